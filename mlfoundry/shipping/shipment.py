"""One journal on its way into a backend: what is sent, what was answered, and what went wrong so far."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from .. import slots
from ..errors import (
    BackendUnavailable,
    InvalidInput,
    JournalGap,
    JournalUnreadable,
    MlfoundryError,
    NotAuthenticated,
    NotFound,
    PermissionDenied,
    RunDeleted,
    StoreBusy,
    TooLarge,
    WrongHash,
)
from ..journal.spool import Spool
from ..log import Log
from ..records import Batch, NewRun, RunKey, RunRecord
from ..tracking.backend import Backend

QUIET_S = 2.0
HEARTBEAT_S = 15.0
BACK_OFF_S = (0.5, 5.0)  # at most so that a server that comes back is used within seconds
REFUSED_S = 60.0
SLICE_S = 5.0  # for so long one journal is shipped before it is the turn of others

_random = random.Random()  # one's own: the program's random numbers stay as they would be without us
_log = Log("mlfoundry")
NOT_TAKEN = (PermissionDenied, NotFound, RunDeleted, NotAuthenticated)  # what is logged, as things are
_REFUSALS = (*NOT_TAKEN, JournalUnreadable, TooLarge)


def back_off_s(failures: int, asked_s: float | None = None) -> float:
    """Return how long to wait after a failure: longer each time, or as the other side asked, and never all at once.

    Args:
        failures: How many there were before.
        asked_s: What the other side asked for; it is never cut short.
    """
    if asked_s is not None:
        return asked_s + _random.uniform(0.0, min(1.0, asked_s))
    least, most = BACK_OFF_S
    return min(most, least * 2.0 ** min(failures, 20)) * _random.uniform(0.7, 1.3)


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
        refusal: How it said so the last time; None while it takes it.
        gone: Whether that is because the run is deleted or unknown, or the journal is too new.
        unavailable: How the last try found that the backend cannot be used at all now, None when it could be.
        tried_at: When it was tried last, by a clock that never jumps.
        has_more: Whether there is more to ship, which waits for its next turn.
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
        self.refusal: MlfoundryError | None = None
        self.gone = False
        self.last = last
        self.done = threading.Event()
        self.attempts = 0
        self.is_awaited = False
        self.tried_at = 0.0
        self.unavailable: BackendUnavailable | None = None
        self.has_more = False
        self._most_slots: int | None = None
        self._is_told = False
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
        is_quiet = self.acked is not None and not self.last and self.journal.is_quiet(self.acked) and not self.has_more
        return not is_quiet or self.is_awaited or now - self.tried_at >= QUIET_S

    def ship(self) -> None:
        """Give the backend what is new; note what went wrong instead of raising it."""
        self.unavailable, self.has_more = None, False
        try:
            self.tried_at = time.monotonic()
            self._ship(last=self.last)
        except JournalGap as gap:
            # A store that stands lower than before lost its last commits, or another node answers: go on
            # from where it stands. The journal keeps all that is not settled.
            self.acked = gap.expected
            self._failed(f"the store asks for slot {gap.expected}, not {gap.got}", delay_s=BACK_OFF_S[0])
        except _REFUSALS as error:
            self.refused, self.refusal = True, error
            self.gone = isinstance(error, (RunDeleted, NotFound, JournalUnreadable))
            self._failed(f"the store does not take it: {error}", delay_s=REFUSED_S)
        except BackendUnavailable as error:
            # A lock that another holds is about this run's project, a hash about one file; the backend can be used.
            self.unavailable = None if isinstance(error, (StoreBusy, WrongHash)) else error
            self._failed(str(error), delay_s=back_off_s(self._failures, error.retry_after_s))
        except Exception as error:  # data is kept and tried again, whatever went wrong
            _log.debug("shipping failed", exc_info=True)
            self._failed(f"{type(error).__name__}: {error}", delay_s=back_off_s(self._failures))
        else:
            if self._is_told:
                how = "takes it again" if self.refused else "is reachable again"
                _log.warning("%s %s; shipping goes on.", self.backend.uri, how)
            self.trouble, self.refused, self.refusal, self.gone = "", False, None, False
            self._is_told, self._failures = False, 0
        self.attempts += 1
        self.is_awaited = False

    def _ship(self, *, last: bool) -> None:
        """Ship what fits into a turn; with `last`, which was asked for before, nothing can come after it."""
        if self.run is None:
            record = self.backend.create_run(self.new)
            self.run = record.key
            if self._on_made is not None:
                self._on_made(record)
        if self.acked is None:
            self.acked = self.backend.acked(self.run, self.journal.journal_id)
        turn_ends = time.monotonic() + SLICE_S
        while data := self.journal.read(self.acked)[0]:
            self._send_some(self.run, data)
            if time.monotonic() > turn_ends:
                self.has_more = True
                return
        self.has_more = not self._send_files(self.run, turn_ends)
        now = time.monotonic()
        if self.has_more:
            return
        if last:
            if self.settled < self.acked or not self.acked:
                self._send(self.run, b"", self.acked, settle=True)
            self.journal.close(settled=True)
            self.done.set()
        elif now - self._heard_at > HEARTBEAT_S:
            self._send(self.run, b"", self.acked, settle=False)

    def beat(self) -> None:
        """Let the backend hear of the run while something else takes long; for any thread, and raises nothing."""
        run, acked = self.run, self.acked
        is_known = run is not None and acked is not None and not (self.last or self.refused or self.done.is_set())
        if not is_known or time.monotonic() - self._heard_at <= HEARTBEAT_S:
            return
        assert run is not None
        assert acked is not None
        try:
            self.backend.ingest(Batch(run, self.journal.journal_id, acked, acked, b"", {}))
        except MlfoundryError as error:  # shipping meets it as well, and says so
            _log.debug("the backend did not hear of run %s: %s", run.run_id, error)
        else:
            self._heard_at = time.monotonic()

    def _send_files(self, run: RunKey, turn_ends: float) -> bool:
        """Send the files that wait; return whether none is left when the turn ends."""
        if self.journal.folder is None:
            return True
        spool = Spool(self.journal.folder)
        for path, file in spool.waiting():
            try:
                with file.open("rb") as source:
                    self.backend.put_artifact(run, path, source)
            except TooLarge:  # a proxy's limit, which can be raised
                raise
            except InvalidInput as error:  # it can never be stored, and must not hold up the others
                spool.set_aside(file, str(error))
            else:
                Spool.done(file)
            if time.monotonic() > turn_ends:
                return False
        return True

    def _send_some(self, run: RunKey, data: bytes) -> None:
        """Send what comes next: all of `data`, or as much as the backend was found to take at once."""
        assert self.acked is not None
        start, journal_id = self.acked, self.journal.journal_id
        while True:
            most = self._most_slots or len(data) // slots.SLOT
            count = slots.whole_records(data, journal_id=journal_id, first=start, most=most)
            try:
                # The first batch settles the run too, see `recovery`; later ones wait for the disk where it is of use.
                settle = self.journal.needs_room or not self.settled
                self._send(run, data[: count * slots.SLOT], start + count, settle=settle)
            except TooLarge:
                if count == slots.whole_records(data, journal_id=journal_id, first=start, most=1):
                    raise  # a record cannot be sent in parts
                self._most_slots = max(1, count // 2)
            else:
                return

    def _send(self, run: RunKey, data: bytes, stop: int, *, settle: bool) -> None:
        assert self.acked is not None
        batch = Batch(run, self.journal.journal_id, self.acked, stop, data, self.journal.names, settle)
        answer = self.backend.ingest(batch)
        self.acked = max(answer.acked, stop)
        self._heard_at = time.monotonic()
        if answer.settled:
            self.settled = answer.settled
            self.journal.acknowledge(answer.settled)

    def put_off(self, trouble: str) -> None:
        """Note that the backend cannot be reached, which another journal's shipment found out and has told."""
        self.trouble = self.trouble or trouble
        self.retry_at = 0.0  # it is tried with the others

    def _failed(self, message: str, *, delay_s: float) -> None:
        self._failures += 1
        self.retry_at = time.monotonic() + delay_s
        if not self._is_told:
            self._is_told = True
            _log.warning("Not stored yet, and tried again until it is: %s", message)
        self.trouble = message
