"""The threads that bring journals to the disk and into a backend, and the table of what is on its way.

One `Shipper` a process, made with the first run. Its *disk* thread forces journals to the disk before a
second is over, which keeps the promise "durable at most 1 s later" also while a backend is slow. Its
*shipping* thread gives what is new to the backends; a failure backs off and tries again for ever, and
nothing of it reaches the program that logs. Journals that dead processes left are adopted here as
well and go the same way (see `recovery`).

After a fork the child has a shipper of its own, once it logs.
"""

from __future__ import annotations

import atexit
import logging
import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from . import forks, recovery
from .errors import (
    BackendUnavailable,
    JournalGap,
    JournalUnreadable,
    MlfoundryError,
    NotAuthenticated,
    NotFound,
    PermissionDenied,
    RunDeleted,
)
from .journal.reader import LeftJournal
from .journal.spool import Spool
from .records import Batch, NewRun, RunKey, RunRecord
from .tracking.backend import Backend

SHIP_S = 0.5
SYNC_S = 0.8
QUIET_S = 2.0
HEARTBEAT_S = 15.0
SWEEP_S = 5.0
BACK_OFF_S = (0.5, 30.0)
REFUSED_S = 60.0

_random = random.Random()  # one's own: the program's random numbers stay as they would be without us
_log = logging.getLogger("mlfoundry")
_REFUSALS = (PermissionDenied, NotFound, RunDeleted, NotAuthenticated, JournalUnreadable)


class Shippable(Protocol):
    """A journal, living or left behind."""

    journal_id: int
    names: Any

    @property
    def folder(self) -> Path | None: ...  # noqa: D102
    @property
    def tail(self) -> int: ...  # noqa: D102
    @property
    def needs_room(self) -> bool: ...  # noqa: D102
    @property
    def durable(self) -> int: ...  # noqa: D102
    def is_quiet(self, acked: int) -> bool: ...  # noqa: D102
    def read(self, start: int) -> tuple[bytes, int]: ...  # noqa: D102
    def sync(self) -> int: ...  # noqa: D102
    def acknowledge(self, settled: int) -> None: ...  # noqa: D102
    def close(self, *, settled: bool) -> None: ...  # noqa: D102


class Shipment:
    """One journal on its way into a backend.

    Args:
        journal: What is shipped.
        backend: Where to.
        new: The run as it is to be made when the backend does not have it yet.
        run: Where it lies, None when it must be made first.
        on_made: Told of the run when shipping had to make it.
        last: Whether nothing more will be logged: it is closed when all of it is settled.
        fresh: Whether the backend cannot have seen this journal before.

    Attributes:
        acked: Slot up to which the backend has it, None when it must be asked.
        is_awaited: Whether somebody waits for it.
        attempts: How often shipping was tried.
        trouble: Why it is not shipped just now, empty when all is well.
        refused: Whether the backend will not take it as things are.
        gone: Whether that is because the run is deleted or unknown, or the journal is too new.
        done: Set when all of it is settled and the journal is deleted.
    """

    def __init__(
        self,
        journal: Shippable,
        backend: Backend,
        new: NewRun,
        *,
        run: RunKey | None,
        on_made: Callable[[RunRecord], None] | None = None,
        last: bool = False,
        fresh: bool = False,
    ) -> None:
        self.journal = journal
        self.backend = backend
        self.new = new
        self.run = run
        self.acked: int | None = 0 if fresh else None
        self.settled = 0
        self.trouble = ""
        self.refused = False
        self.gone = False
        self.last = last
        self.done = threading.Event()
        self.attempts = 0
        self.is_awaited = False
        self._tried_at = 0.0
        self._on_made = on_made
        self._failures = 0
        self.retry_at = 0.0
        self._heard_at = time.monotonic()

    @property
    def pending(self) -> int:
        """Number of slots that the backend does not have."""
        return self.journal.tail - (self.acked or 0)

    def is_due(self, now: float) -> bool:
        """Return whether it is time to ship: samples of the machine alone can wait a little."""
        if self.retry_at > now:
            return False
        is_quiet = self.acked is not None and not self.last and self.journal.is_quiet(self.acked)
        return not is_quiet or self.is_awaited or now - self._tried_at >= QUIET_S

    def ship(self) -> None:
        """Give the backend what is new; note what went wrong instead of raising it."""
        try:
            self._tried_at = time.monotonic()
            self._ship(last=self.last)
        except JournalGap as gap:
            # A store that stands lower than before lost its last commits, or another node answers: go on
            # from where it stands. The journal keeps all that is not settled.
            self.acked = gap.expected
            self._failed(f"the store asks for slot {gap.expected}, not {gap.got}", delay_s=BACK_OFF_S[0])
        except _REFUSALS as error:
            self.refused = True
            self.gone = isinstance(error, (RunDeleted, NotFound, JournalUnreadable))
            self._failed(f"the store does not take it: {error}", delay_s=REFUSED_S)
        except BackendUnavailable as error:
            self._failed(str(error), delay_s=error.retry_after_s)
        except Exception as error:
            _log.debug("shipping failed", exc_info=True)
            self._failed(f"{type(error).__name__}: {error}")
        else:
            if self.trouble:
                _log.warning("%s is reachable again; shipping goes on.", self.backend.uri)
            self.trouble, self.refused, self._failures = "", False, 0
        self.attempts += 1
        self.is_awaited = False

    def _ship(self, *, last: bool) -> None:
        """Ship all there is; with `last`, which was asked for before, nothing can come after it."""
        if self.run is None:
            record = self.backend.create_run(self.new)
            self.run = record.key
            if self._on_made is not None:
                self._on_made(record)
        if self.acked is None:
            self.acked = self.backend.acked(self.run, self.journal.journal_id)
        while True:
            data, stop = self.journal.read(self.acked)
            if not data:
                break
            self._send(self.run, data, stop, settle=self.journal.needs_room)
        self._send_files(self.run)
        now = time.monotonic()
        if last:
            if self.settled < self.acked or not self.acked:
                self._send(self.run, b"", self.acked, settle=True)
            self.journal.close(settled=True)
            self.done.set()
        elif now - self._heard_at > HEARTBEAT_S:
            self._send(self.run, b"", self.acked, settle=False)

    def _send_files(self, run: RunKey) -> None:
        if self.journal.folder is None:
            return
        for path, file in Spool(self.journal.folder).waiting():
            with file.open("rb") as source:
                self.backend.put_artifact(run, path, source)
            Spool.done(file)

    def _send(self, run: RunKey, data: bytes, stop: int, *, settle: bool) -> None:
        assert self.acked is not None
        batch = Batch(run, self.journal.journal_id, self.acked, stop, data, self.journal.names, settle)
        answer = self.backend.ingest(batch)
        self.acked = max(answer.acked, stop)
        self._heard_at = time.monotonic()
        if answer.settled:
            self.settled = answer.settled
            self.journal.acknowledge(answer.settled)

    def _failed(self, message: str, *, delay_s: float | None = None) -> None:
        least, most = BACK_OFF_S
        if delay_s is None:
            delay_s = min(most, least * 2 ** min(self._failures, 20)) * _random.uniform(0.7, 1.3)
        self._failures += 1
        self.retry_at = time.monotonic() + delay_s
        if not self.trouble:
            _log.warning("Not stored yet, and tried again until it is: %s", message)
        self.trouble = message


class Shipper:
    """The threads of this process that sync and ship; made by `shipper`."""

    def __init__(self) -> None:
        self._shipments: list[Shipment] = []
        self._sweeps: dict[tuple[str, str], tuple[Backend, list[Path]]] = {}
        self._swept_at = 0.0
        self._changed = threading.Condition()
        self._ship_now = threading.Event()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._later: list[Callable[[], object]] = []
        self._sweeps_wanted = self._sweeps_begun = self._sweeps_done = 0
        self._sweeping = threading.Lock()
        self.cpu_s = 0.0

    def add(self, shipment: Shipment) -> None:
        """Take a journal in; begin the threads with the first."""
        with self._changed:
            self._shipments.append(shipment)
        self._begin()

    def watch(self, backend: Backend, roots: list[Path]) -> None:
        """Adopt from now on what dead processes leave in these folders for this backend."""
        with self._changed:
            self._sweeps[backend.uri, backend.user] = (backend, roots)
        self._begin()

    def later(self, begin: Callable[[], object]) -> None:
        """Call `begin` in the shipping thread soon.

        Starting a thread waits until it runs; beside threads that import modules that takes milliseconds,
        which the program that makes a run should not pay.
        """
        with self._changed:
            self._later.append(begin)
        self._begin()
        self._ship_now.set()

    def _begin(self) -> None:
        with self._changed:
            if not self._threads and not self._stopping.is_set():
                self._start("mlfoundry-shipper", self._ship)

    def _start(self, name: str, body: Callable[[], None]) -> None:
        thread = threading.Thread(target=body, name=name, daemon=True)
        self._threads.append(thread)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is ending; the next process ships what is here
            self._threads.remove(thread)

    # -- waiting ---------------------------------------------------------------------------------

    def wait(self, until: Callable[[], bool], timeout_s: float, *, sweep: bool = False) -> bool:
        """Ship at once and wait until `until` holds; return whether it does within the time.

        Args:
            until: Asked after each round of shipping.
            timeout_s: How long to wait at most.
            sweep: Look for journals of processes that died meanwhile first.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            swept = self._sweeps_begun + 1 if sweep else 0
            self._sweeps_wanted = max(self._sweeps_wanted, swept)
            for shipment in self._shipments:
                shipment.retry_at = 0.0
                shipment.is_awaited = True
            while not until() or (self._sweeps and self._sweeps_done < swept):
                left = deadline - time.monotonic()
                if left <= 0 or not self._threads:
                    return until()
                self._ship_now.set()
                self._changed.wait(min(left, 0.5))
        return True

    def adopted(self) -> list[Shipment]:
        """Return what dead processes left and is on its way."""
        with self._changed:
            return [each for each in self._shipments if isinstance(each.journal, LeftJournal)]

    def stop(self, timeout_s: float = 1.0) -> None:
        """End the threads; what is not shipped stays in the journals. Twice is a no-op."""
        self._stopping.set()
        self._ship_now.set()
        for thread in self._threads:
            thread.join(timeout_s)
        for shipment in self._shipments:
            if not shipment.done.is_set():
                shipment.journal.close(settled=False)
        self._shipments.clear()
        self._threads.clear()

    # -- the threads -----------------------------------------------------------------------------

    def _disk(self) -> None:
        while not self._stopping.wait(SYNC_S):
            began = time.thread_time()
            for shipment in list(self._shipments):
                try:
                    shipment.journal.sync()
                except Exception:
                    _log.warning("a journal could not be forced to the disk; trying again", exc_info=True)
            self.cpu_s += time.thread_time() - began

    def _ship(self) -> None:
        with forks.held_up():
            import numpy  # noqa: F401  what shipping needs: a child must not be forked while it is imported

            from .store import points  # noqa: F401
        self._start("mlfoundry-disk", self._disk)
        while not self._stopping.is_set():
            began = time.thread_time()
            try:
                self._round()
            except Exception:
                _log.warning("shipping was disturbed and goes on", exc_info=True)
            with self._changed:
                self._shipments = [shipment for shipment in self._shipments if not shipment.done.is_set()]
                self._changed.notify_all()
            self.cpu_s += time.thread_time() - began
            self._ship_now.wait(SHIP_S)
            self._ship_now.clear()

    def _round(self) -> None:
        while self._later:
            self._later.pop(0)()
        try:
            self._sweep()
        except Exception:
            _log.warning("what dead processes left could not be looked through", exc_info=True)
        now = time.monotonic()
        for shipment in list(self._shipments):
            if shipment.is_due(now) and not self._stopping.is_set():
                shipment.ship()
                if shipment.gone and isinstance(shipment.journal, LeftJournal):
                    parked = shipment.journal.park()
                    _log.warning("What a dead process logged to it is kept in %s: %s", parked, shipment.trouble)
                    shipment.done.set()

    def _sweep(self) -> None:
        """Adopt what dead processes left, now and then and when somebody waits for it."""
        with self._changed:
            is_wanted = self._sweeps_wanted > self._sweeps_begun
            if not is_wanted and self._swept_at and time.monotonic() - self._swept_at < SWEEP_S:
                return
            self._sweeps_begun += 1
            begun = self._sweeps_begun
        try:
            self._adopt_all()
        finally:
            self._swept_at = time.monotonic()
            self._sweeps_done = begun

    def _adopt_all(self) -> None:
        with self._sweeping:
            for backend, roots in list(self._sweeps.values()):
                for left in recovery.left_behind(roots):
                    shipment = self._adopted(left, backend)
                    if shipment is not None:
                        with self._changed:
                            self._shipments.append(shipment)

    def count_left(self, roots: list[Path]) -> int:
        """Return how many journals of dead processes are not stored: on their way, or left where they lie."""
        with self._sweeping:
            return len(self.adopted()) + sum(map(recovery.count_dead, roots))

    def _adopted(self, left: LeftJournal, backend: Backend) -> Shipment | None:
        try:
            found = recovery.prepare(left, backend)
        except BackendUnavailable:
            left.close(settled=False)  # the next sweep tries again
        except (NotFound, RunDeleted) as error:
            _log.warning("What a dead process logged is kept in %s: %s", left.park(), error)
        except MlfoundryError as error:
            left.close(settled=False)
            _log.warning("The journal %s is left where it is: %s", left.folder, error)
        except Exception:
            left.close(settled=False)
            _log.warning("The journal %s could not be recovered", left.folder, exc_info=True)
        else:
            return None if found is None else Shipment(left, found.backend, found.new, run=found.run, last=True)
        return None


_shipper: Shipper | None = None
_forked: list[Callable[[], None]] = []
_making = threading.Lock()


def shipper() -> Shipper:
    """Return this process's shipper; make it when there is none."""
    global _shipper
    with _making:
        if _shipper is None:
            _shipper = Shipper()
            atexit.register(stop)
        return _shipper


def current() -> Shipper | None:
    """Return this process's shipper, None when none was needed so far."""
    return _shipper


def stop(timeout_s: float = 1.0) -> None:
    """End this process's shipper, when there is one; the next run begins another.

    What is not shipped stays in the journals, for the next process.
    """
    global _shipper
    with _making:
        ended, _shipper = _shipper, None
    if ended is not None:
        atexit.unregister(stop)
        ended.stop(timeout_s)


def after_fork(restart: Callable[[], None]) -> None:
    """Call `restart` in each forked child, after the child's copy of the shipper is gone."""
    _forked.append(restart)


def _in_child() -> None:
    global _shipper, _making
    _making = threading.Lock()
    inherited, _shipper = _shipper, None
    if inherited is not None:
        for shipment in inherited._shipments:
            become_child = getattr(shipment.journal, "become_child", None)
            if become_child is not None:
                become_child()
            else:
                shipment.journal.close(settled=False)  # the child's copy of an adopted journal's lock
    for restart in _forked:
        restart()


os.register_at_fork(after_in_child=_in_child)
