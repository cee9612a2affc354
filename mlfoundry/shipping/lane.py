"""The journals on their way to one store or server, the thread that ships them, and the one that sends their files.

Lanes do not wait for each other: a dead server holds up nothing that goes elsewhere. A lane knows whether its backend
can be reached. While it cannot, one try at a time finds out when it can again, then all go on at once; and what dead
processes left for it stays unread (see `recovery`). `shipper` makes the lanes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from .. import forks
from ..errors import BackendUnavailable, MlfoundryError, NotFound, RunDeleted
from ..journal.reader import LeftJournal
from ..log import Log
from ..tracking.backend import Backend
from . import recovery
from .shipment import HEARTBEAT_S, Shipment
from .tries import REFUSED_S, back_off_s

BEATS_EVERY_S = 2.0
LOOK_S = 60.0

_log = Log("mlfoundry")


class Lane:
    """The shipments to one backend.

    Args:
        uri: The backend's.
        changed: Held while the table of shipments changes, and notified after each round.
        stopping: Set when the process wants its threads to end.
        pause_s: How long a round waits for the next, when nobody is in a hurry.
        sweep_s: How long a look for what dead processes left waits for the next.

    Attributes:
        shipments: What is on its way.
        away_since: Since when the backend cannot be reached, by a clock that never jumps; None while it can.
        sending: The thread that sends files, None before the first.
        has_thread: Whether it has a thread of its own; `run` is its body.
    """

    def __init__(
        self, uri: str, changed: threading.Condition, stopping: threading.Event, *, pause_s: float, sweep_s: float
    ) -> None:
        self.uri = uri
        self.shipments: list[Shipment] = []
        self.away_since: float | None = None
        self.sending: threading.Thread | None = None
        self.has_thread = False
        self._shipping_s = self._sending_s = 0.0
        self._changed = changed
        self._stopping = stopping
        self._pause_s, self._sweep_s = pause_s, sweep_s
        self._now = threading.Event()
        self._failures = 0
        self._retry_at = 0.0
        self._watched: dict[str, tuple[Backend, list[Path]]] = {}
        self._swept_at = self._looked_at = 0.0
        self._sweeps_wanted = self._sweeps_begun = self._sweeps_done = 0
        self._adopting = threading.Lock()
        self._in_hand = 0
        self._put_off: dict[tuple[str, Path], float] = {}
        self._round_began: float | None = None

    def watch(self, backend: Backend, roots: list[Path]) -> None:
        """Adopt from now on what dead processes left in these folders."""
        with self._changed:
            self._watched[backend.user_if_known or ""] = (backend, roots)

    def hurry(self, *, sweep: bool, run_id: str | None = None) -> Callable[[], bool]:
        """Try what is awaited once more at once, whatever was put off, and before all else.

        Args:
            sweep: Look for journals of processes that died meanwhile first.
            run_id: The run whose journals are awaited; None when all are.

        Returns:
            Tells whether that look is over.
        """
        wanted = self._sweeps_begun + 1 if sweep and self._watched else 0
        self._sweeps_wanted = max(self._sweeps_wanted, wanted)
        self._retry_at = 0.0
        for shipment in self.shipments:
            if run_id is None or shipment.new.run_id == run_id:
                shipment.hurry()
        return lambda: self._sweeps_done >= wanted

    def reconsider(self) -> None:
        """Look again also at those journals of dead processes that were not taken a moment ago."""
        self._put_off.clear()

    def wake(self) -> None:
        """Begin the next round now."""
        self._now.set()

    def adopted(self) -> list[Shipment]:
        """Return what dead processes left and is on its way."""
        with self._changed:
            return [each for each in self.shipments if isinstance(each.journal, LeftJournal)]

    def count_left(self, roots: list[Path]) -> int:
        """Return how many journals of dead processes are not stored: on their way, or left where they lie."""
        with self._adopting:
            return len(self.adopted()) + self._in_hand + sum(map(recovery.count_dead, roots))

    @property
    def cpu_s(self) -> float:
        """What its threads have cost."""
        return self._shipping_s + self._sending_s

    # -- the threads -----------------------------------------------------------------------------

    def run(self) -> None:
        """Ship until the process stops: the body of the lane's thread."""
        with forks.held_up():
            # What an end needs: where it is imported at the end, Python 3.11 forgets that Ctrl-C is what ended it.
            import traceback  # noqa: F401

            import numpy  # noqa: F401  what shipping needs: a child must not be forked while it is imported

            from ..store import points  # noqa: F401
        while not self._stopping.is_set():
            self.turn()
            self._now.wait(self._pause_s)
            self._now.clear()

    def turn(self) -> None:
        """Ship once all that is due; called by the lane's thread, or by whoever waits when it has none."""
        began = time.thread_time()
        try:
            self._round_began = time.monotonic()
            self._round()
        except Exception:  # the thread must outlive any round
            _log.warning("shipping was disturbed and goes on", exc_info=True)
        self._round_began = None
        with self._changed:
            self.shipments = [shipment for shipment in self.shipments if not shipment.done.is_set()]
            self._changed.notify_all()
        if any(shipment.has_more for shipment in self.shipments):
            self._now.set()
        self._begin_sending()
        self._shipping_s += time.thread_time() - began

    def _begin_sending(self) -> None:
        """Begin the thread that sends files when there are some, unless it is at work."""
        is_idle = self.sending is None or not self.sending.is_alive()
        if is_idle and self.away_since is None and self._files_due() and not self._stopping.is_set():
            thread = threading.Thread(target=self._send_files, name="mlfoundry-files", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter is ending, and begins no thread any more
                self._send_files()
            else:
                self.sending = thread

    def _files_due(self) -> list[Shipment]:
        now = time.monotonic()
        return [shipment for shipment in list(self.shipments) if shipment.has_files_due(now)]

    def _send_files(self) -> None:
        """Send files until none is due: the body of a thread, which a large one may hold up for as long as it takes."""
        began = time.thread_time()
        while (due := self._files_due()) and self.away_since is None and not self._stopping.is_set():
            min(due, key=lambda each: each.files.tried_at).send_files(self._stopping.is_set)
            with self._changed:
                self._changed.notify_all()
            self._now.set()  # for the records that wait for the files
            self._sending_s, began = self._sending_s + time.thread_time() - began, time.thread_time()

    @property
    def is_held_up(self) -> bool:
        """Whether a round takes so long that runs that wait for their turn must be heard of in another way."""
        began = self._round_began
        return began is not None and time.monotonic() - began > HEARTBEAT_S

    def keep_heard(self) -> None:
        """Let the backend hear of all runs until the round is over: the body of a thread beside the lane's own.

        A batch that a server is slow to take may take longer than the lease of a run.
        """
        while self.is_held_up and not self._stopping.wait(BEATS_EVERY_S):
            for shipment in list(self.shipments):
                shipment.beat()

    def _round(self) -> None:
        """Look for what dead processes left, then ship what is due."""
        if time.monotonic() < self._retry_at:
            return
        try:
            self._sweep()
        except BackendUnavailable as error:
            self._failed(error)
            return
        except Exception:  # what lives is shipped all the same
            _log.warning("what dead processes left could not be looked through", exc_info=True)
        now = time.monotonic()
        # After what somebody waits for, the one that waits longest: were it always the same that fails, the others
        # would never be tried.
        due = [each for each in self.shipments if each.is_due(now)]
        for shipment in sorted(due, key=lambda each: (not each.is_awaited, each.data.tried_at)):
            if self._stopping.is_set():
                return
            was_awaited = shipment.is_awaited
            shipment.ship()
            if was_awaited:
                with self._changed:
                    self._changed.notify_all()
            if shipment.data.unavailable is not None:
                self._failed(shipment.data.unavailable)
                return
            self._reached()
            if shipment.gone and isinstance(shipment.journal, LeftJournal):
                parked = shipment.journal.park()
                _log.warning("What a dead process logged to it is kept in %s: %s", parked, shipment.trouble)
                shipment.done.set()
            if not was_awaited and self._is_hurried():
                return  # the next round begins at once, with what is awaited

    def _is_hurried(self) -> bool:
        """Return whether somebody has begun to wait for a shipment since the round began."""
        now = time.monotonic()
        return self._now.is_set() and any(each.is_awaited and each.is_due(now) for each in list(self.shipments))

    def _failed(self, error: BackendUnavailable) -> None:
        now = time.monotonic()
        self._retry_at = now + back_off_s(self._failures, error.retry_after_s)
        self._failures += 1
        if self.away_since is None:
            self.away_since = now
        for shipment in self.shipments:
            shipment.data.put_off(str(error))

    def _reached(self) -> None:
        self._failures, self.away_since = 0, None

    # -- what dead processes left ----------------------------------------------------------------

    def _sweep(self) -> None:
        """Adopt what dead processes left, now and then and when somebody waits for it."""
        with self._changed:
            is_wanted = self._sweeps_wanted > self._sweeps_begun
            if not is_wanted and self._swept_at and time.monotonic() - self._swept_at < self._sweep_s:
                return
            self._sweeps_begun += 1
            begun = self._sweeps_begun
        try:
            for user, (backend, roots) in list(self._watched.items()):
                if is_wanted or self._swept_at - self._looked_at > LOOK_S:
                    with suppress(MlfoundryError):  # what is to be shipped does not wait for it
                        recovery.end_unheard(backend, roots)
                    self._looked_at = time.monotonic()
                for folder in recovery.folders_in(roots):
                    if time.monotonic() >= self._put_off.get((user, folder), 0.0):
                        self._adopt(folder, backend, user)
        finally:
            self._swept_at = time.monotonic()
            self._sweeps_done = begun

    def _adopt(self, folder: Path, backend: Backend, user: str) -> None:
        """Take a journal over when its process is gone.

        Raises:
            BackendUnavailable: It waits, unread, until the backend can be reached.
        """
        if self._failures and not recovery.can_be_asked(backend, folder):
            return
        with self._adopting:
            left = recovery.take(folder)
            self._in_hand = 0 if left is None else 1
        if left is None:
            return
        shipment = None
        try:
            shipment = self._shipment_of(left, backend, user)
        finally:
            with self._adopting, self._changed:
                self._in_hand = 0
                if shipment is not None:
                    self.shipments.append(shipment)

    def _shipment_of(self, left: LeftJournal, backend: Backend, user: str) -> Shipment | None:
        """Return how an adopted journal is shipped; None when nothing of it is to be, or not now."""
        is_new = (user, left.folder) not in self._put_off
        try:
            found = recovery.prepare(left, backend)
        except BackendUnavailable:
            left.close(settled=False)
            raise
        except (NotFound, RunDeleted) as error:
            _log.warning("What a dead process logged is kept in %s: %s", left.park(), error)
        except Exception as error:  # whatever one journal holds must not keep the others back
            left.close(settled=False)
            self._put_off[user, left.folder] = time.monotonic() + REFUSED_S
            if is_new:
                trace = None if isinstance(error, MlfoundryError) else error
                _log.warning("The journal %s is left where it is: %s", left.folder, error, exc_info=trace)
        else:
            return None if found is None else Shipment(left, found.backend, found.new, run=found.run, last=True)
        return None
