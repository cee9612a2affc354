"""One journal on its way into a backend, with the files beside it: what is sent, and what was answered.

Records and files go each at their own pace, by a thread each: a large file holds up nothing that was logged.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from .. import slots
from ..errors import InvalidInput, JournalGap, MlfoundryError, TooLarge
from ..journal.spool import Spool
from ..records import Batch, NewRun, RunKey, RunRecord
from ..tracking.backend import Backend
from .tries import Tries

QUIET_S = 2.0
HEARTBEAT_S = 15.0
SETTLE_S = 1.0
SLICE_S = 5.0  # for so long one journal is shipped, or its files are sent, before it is the turn of others

_log = logging.getLogger("mlfoundry")


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
        data: The tries to ship its records.
        files: The tries to send its files.
        has_more: Whether there are more records to ship, which wait for their next turn.
        has_files: Whether there are files to send.
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
        self.last = last
        self.done = threading.Event()
        self.data, self.files = Tries(backend.uri), Tries(backend.uri)
        self.is_awaited = False
        self.has_more = self.has_files = False
        self._most_slots: int | None = None
        self._on_made = on_made
        self._heard_at = self._settled_at = time.monotonic()

    @property
    def pending(self) -> int:
        """Number of slots that the backend does not have."""
        return self.journal.tail - (self.acked or 0)

    @property
    def trouble(self) -> str:
        """Why it is not all there, empty when all is well."""
        return self.data.trouble or self.files.trouble

    @property
    def refused(self) -> bool:
        """Whether the backend will not take it, or its files, as things are."""
        return self.data.refused or self.files.refused

    @property
    def refusal(self) -> MlfoundryError | None:
        """How the backend said so the last time; None while it takes all."""
        return self.data.refusal or self.files.refusal

    @property
    def gone(self) -> bool:
        """Whether that is because the run is deleted or unknown, or the journal is too new."""
        return self.data.gone or self.files.gone

    def refusals(self) -> Callable[[], bool]:
        """Return what tells whether the backend has refused records or files once more since this call."""
        tried = [(each, each.count) for each in (self.data, self.files)]
        return lambda: any(each.refused and each.count > count for each, count in tried)

    def hurry(self) -> None:
        """Try all of it once more at the next turn, whatever was put off."""
        self.data.retry_at = self.files.retry_at = 0.0
        self.is_awaited = True

    # -- records ---------------------------------------------------------------------------------

    def is_due(self, now: float) -> bool:
        """Return whether it is time to ship: samples of the machine alone can wait a little."""
        if self.data.retry_at > now:
            return False
        is_quiet = self.acked is not None and not self.last and self.journal.is_quiet(self.acked) and not self.has_more
        return not is_quiet or self.is_awaited or now - self.data.tried_at >= QUIET_S

    def ship(self) -> None:
        """Give the backend what is new; note what went wrong instead of raising it."""
        self.has_more = False
        self.data.make(self._ship_from_where_it_stands)
        self.is_awaited = False

    def _ship_from_where_it_stands(self) -> None:
        try:
            self._ship(last=self.last)
        except JournalGap as gap:
            # A store that stands lower than before lost its last commits, or another node answers: go on
            # from where it stands. The journal keeps all that is not settled.
            self.acked = gap.expected
            raise

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
        stop = self.journal.tail  # what is logged from here on waits for the next turn: few batches cost least
        while self.acked < stop and (data := self.journal.read(self.acked)[0]):
            self._send_some(self.run, data, stop)
            if time.monotonic() > turn_ends:
                self.has_more = True
                return
        self._look_for_files()
        if last:
            if self.has_files:
                return
            if self.settled < self.acked or not self.acked:
                self._send(self.run, b"", self.acked, settle=True)
            self.journal.close(settled=True)
            self.done.set()
        elif time.monotonic() - self._heard_at > HEARTBEAT_S:
            self._send(self.run, b"", self.acked, settle=False)

    def beat(self) -> None:
        """Let the backend hear of the run while something else takes long; for any thread, and raises nothing."""
        run, acked = self.run, self.acked
        is_known = run is not None and acked is not None and not (self.last or self.data.refused or self.done.is_set())
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

    def _send_some(self, run: RunKey, data: bytes, last: int) -> None:
        """Send what comes next: all of `data`, or as much as the backend was found to take at once.

        Args:
            run: The run.
            data: What comes next.
            last: The slot that this turn is to reach.
        """
        assert self.acked is not None
        start, journal_id = self.acked, self.journal.journal_id
        while True:
            most = self._most_slots or len(data) // slots.SLOT
            count = slots.whole_records(data, journal_id=journal_id, first=start, most=most)
            try:
                # The first batch settles the run too, see `recovery`.
                settle = not self.settled or (self.journal.needs_room and self._is_worth_it(start + count, last))
                self._send(run, data[: count * slots.SLOT], start + count, settle=settle)
            except TooLarge:
                if count == slots.whole_records(data, journal_id=journal_id, first=start, most=1):
                    raise  # a record cannot be sent in parts
                self._most_slots = max(1, count // 2)
            else:
                return

    def _is_worth_it(self, stop: int, last: int) -> bool:
        """Return whether to wait for the disk now, for segments to go: once a turn, and each second of a long one."""
        return stop >= last or time.monotonic() - self._settled_at > SETTLE_S

    def _send(self, run: RunKey, data: bytes, stop: int, *, settle: bool) -> None:
        assert self.acked is not None
        batch = Batch(run, self.journal.journal_id, self.acked, stop, data, self.journal.names, settle)
        answer = self.backend.ingest(batch)
        self.acked = max(answer.acked, stop)
        self._heard_at = time.monotonic()
        if answer.settled:
            self.settled, self._settled_at = answer.settled, time.monotonic()
            self.journal.acknowledge(answer.settled)

    # -- files -----------------------------------------------------------------------------------

    def has_files_due(self, now: float) -> bool:
        """Return whether it is time to send files."""
        return self.has_files and self.run is not None and self.files.retry_at <= now and not self.done.is_set()

    def send_files(self, is_over: Callable[[], bool]) -> None:
        """Give the backend the files that wait, as many as fit into a turn; note what went wrong.

        For one thread at a time, which may be another than the one that ships.

        Args:
            is_over: Asked after each file whether to stop.
        """
        self.files.make(lambda: self._send_files(is_over))

    def _send_files(self, is_over: Callable[[], bool]) -> None:
        run, turn_ends = self.run, time.monotonic() + SLICE_S
        assert run is not None
        for path, file in self._waiting_files():
            try:
                Spool.require_unchanged(file)
                with file.open("rb") as source:
                    self.backend.put_artifact(run, path, source)
            except TooLarge:  # a proxy's limit, which can be raised
                raise
            except InvalidInput as error:  # it can never be stored, and must not hold up the others
                Spool(file.parent.parent).set_aside(file, str(error))
            else:
                Spool.done(file)
            if time.monotonic() > turn_ends or is_over():
                return
        self.has_files = False

    def _look_for_files(self) -> None:
        try:
            self.has_files = next(self._waiting_files(), None) is not None
        except OSError:  # it cannot be told just now; whoever sends them says so
            self.has_files = True
        if not self.has_files:
            self.files.is_over()

    def _waiting_files(self) -> Iterator[tuple[str, Path]]:
        """Yield (artifact path, file) of the files that wait, oldest first."""
        folder = self.journal.folder
        return iter(()) if folder is None else Spool(folder).waiting()
