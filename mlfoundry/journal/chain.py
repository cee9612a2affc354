"""The segments of a journal, one behind the other: room for records, and their way to the disk and out.

When no file can be had (disk full, read-only) records go to a bounded piece of memory, and from there
to a file as soon as one can be had; when that is full too they are counted as lost. Neither raises, and
neither blocks.

CPython runs signal handlers at calls and jumps back. So whatever changes what a log call looks at ends
with a comparison and stores that hold no call: a handler that logs, or a KeyboardInterrupt, finds it
done or not begun.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from .. import slots
from ..errors import RunEnded
from ..folders import sync_folder
from ..log import Log
from .folder import make_folder
from .segment import Segment
from .spool import Spool

SEGMENT_SLOTS = (8 * 1024, 32 * 1024)  # 256 KiB, then 1 MiB each: one segment is what is shipped at once
MEMORY_SLOTS = 512 * 1024  # 16 MiB
RESERVED_SLOTS = 256  # of memory, for the end of the run
RETRY_S = 1.0

_log = Log("mlfoundry")


class Chain:
    """The segments of one journal in one process; `Journal` says what is written into them.

    Args:
        root: Folder that holds the journals; made (0700) when missing. None keeps all in memory.
        run_id: The run; with the journal's id it names the folder.
        others: Where it begins instead when no file can be made in `root`, the better places first.

    Attributes:
        on_open: Called when the first segment exists; so in a forked child with the first record.
        journal_id: 63 random bits.
        folder: Where it lies, None while there is none.
        tail: Slot number after the last record.
        durable: Slot number up to which records are on the disk.
        lost: Number of points and documents that found no room at all.
        trouble: Why records go to memory, are lost or not durable just now, None when all is well.
        finished: Whether the end was written; nothing more is taken.
        closed: Whether it was given up.
    """

    def __init__(self, root: Path | None, run_id: str, others: Sequence[Path] = ()) -> None:
        self.root = root
        self._others = tuple(others)
        self._run_id = run_id
        self.on_open: Callable[[Any], None] | None = None
        self._reset()

    def _reset(self) -> None:
        """Become a journal that holds nothing and has no file."""
        self._identify()
        self._lock = threading.RLock()  # for logging; a signal handler may log while its thread does
        # For the list of segments, and never held while logging: what ships must not wait for a thread that
        # was interrupted inside a log call by a handler which itself waits for the shipping.
        self._segments_lock = threading.RLock()
        self._lock_fd = -1
        self.folder: Path | None = None
        self._segments: list[Segment] = []  # replaced as a whole, never changed
        self._map: Any = None
        self._shift = 0
        self._limit = 0
        self._generation = 0
        self.tail = 0
        self.durable = 0
        self._settled = 0
        self.lost = 0
        self._lost_unsaid = 0
        self.trouble: str | None = None
        self._retry_at = 0.0
        self._folder_synced = False
        self.finished = False
        self.closed = False

    def _identify(self) -> None:
        self.journal_id = secrets.randbits(63)
        self._seed = slots.seed(self.journal_id)

    def _preamble(self) -> bytes:
        raise AssertionError("the journal knows what makes a segment readable alone")

    def _say_lost(self, count: int) -> None:
        raise AssertionError(f"the journal knows how to say that {count} records were lost")

    # -- room ------------------------------------------------------------------------------------

    def open(self) -> None:
        """Make the first segment now, and not with the first record."""
        with self._lock:
            self._make_room(1, 0)

    def _put(self, tail: int, data: bytes, weight: int) -> bool | None:
        """Write a record that was made for slot `tail`.

        Returns:
            True when it is written, False when there is no room (`weight` is counted as lost), None
            when the record must be made anew: there is room now, or a signal handler wrote in between.
        """
        taken = len(data) // slots.SLOT
        if tail + taken > self._limit:
            return None if self._make_room(taken, weight) else False
        size = len(data)
        if tail == self.tail and tail + taken <= self._limit:  # from here to the last store: no call, see the top
            offset = self._shift + tail * 32
            self._map[offset : offset + size] = data
            self.tail = tail + taken
            return True
        return None

    def _make_room(self, taken: int, weight: int) -> bool:
        """Make room for `taken` slots; count `weight` as lost and return False when none can be had.

        Raises:
            RunEnded: The end is written already, by another thread or by a signal handler.
        """
        while self.tail + taken > self._limit:
            if self.finished or self.closed:
                raise RunEnded("the run has ended; nothing more can be logged to it")
            if not self._grow(taken):
                self.lost += weight
                self._lost_unsaid += weight
                return False
        return True

    def _grow(self, taken: int) -> bool:
        """Begin a segment with room for `taken` slots; False when there is no room anywhere."""
        tail, last = self.tail, self._segments[-1] if self._segments else None
        if last is not None and last.path is None and self._settled < tail:
            return False  # `sync` moves it into a file; more memory would only hide the trouble
        segment = None
        if time.monotonic() >= self._retry_at:
            try:
                segment = self._first_segment(taken) if last is None else self._new_segment(tail, taken)
            except OSError as error:
                if self.finished or self.closed:
                    return True  # a signal handler ended the run meanwhile; `_make_room` says so
                self._troubled(error)
        if segment is None:
            try:
                segment = Segment(None, base=tail, preamble=b"", room=max(MEMORY_SLOTS, taken) + RESERVED_SLOTS)
            except OSError:  # nor is there memory
                return False
            segment.limit -= RESERVED_SLOTS
        try:
            self._use(segment, tail, last)
        finally:
            if segment not in self._segments:  # a handler made room meanwhile, or an interrupt came
                segment.close(unlink=True)
        if last is None and self._segments[0] is segment and self.on_open is not None:
            self.on_open(self)
        return True

    def _use(self, segment: Segment, tail: int, last: Segment | None) -> None:
        memory, shift, limit = segment.map, segment.shift, segment.limit
        preamble, head = segment.preamble, len(segment.preamble)
        with self._segments_lock:
            current = self._segments
            grown = [*current, segment]
            if (current[-1] if current else None) is last and self._segments is current and self.tail == tail:
                memory[:head] = preamble
                self._segments = grown
                self._map = memory
                self._shift = shift
                self._limit = limit

    def _troubled(self, error: OSError) -> None:
        self._retry_at = time.monotonic() + RETRY_S
        where = self.folder or self.root or "a temporary folder"
        if self.trouble is None:
            _log.warning(
                "The journal in %s cannot grow (%s). Records are kept in memory meanwhile and would not "
                "survive the end of this process. Make room there; nothing else needs doing.",
                where,
                error.strerror or error,
            )
        self.trouble = f"{error.strerror or error}: {where}"

    def _first_segment(self, room: int) -> Segment:
        """Make the first file where that can be done; where it begins a journal stays."""
        while True:
            try:
                return self._new_segment(self.tail, room)
            except OSError:
                if not self._others or self._segments:
                    raise
                folder, lock_fd = self.folder, self._lock_fd
                self.folder, self._lock_fd = None, -1
                self.root, self._others = self._others[0], self._others[1:]
                if folder is not None:
                    os.close(lock_fd)
                    shutil.rmtree(folder, ignore_errors=True)

    def _new_segment(self, base: int, room: int) -> Segment:
        """Make a file with room for `room` slots from slot `base` on; the folder with the first."""
        if self.root is None:
            raise OSError("no folder for journals can be written")
        if self.folder is not None and not self.folder.exists():  # somebody deleted it: begin another
            os.close(self._lock_fd)
            self.folder, self._lock_fd = None, -1
        if self.folder is None:
            self._make_folder(self.root)
        assert self.folder is not None
        preamble = self._preamble()
        usual = SEGMENT_SLOTS[min(self._generation, len(SEGMENT_SLOTS) - 1)]
        self._generation += 1
        path = self.folder / Segment.file_name(base, preamble, self._generation)
        segment = Segment(path, base=base, preamble=preamble, room=max(usual, room))
        self._folder_synced = False
        return segment

    def _make_folder(self, root: Path) -> None:
        """Make the journal's folder and take its lock, under another id when the name is taken."""
        journal_id = self.journal_id
        try:
            folder, lock_fd = make_folder(root, f"{self._run_id}.{journal_id:016x}")
        except OSError as error:
            if self.folder is not None:
                return  # a signal handler logged meanwhile and made it
            # An interrupt left the name taken, or this is the handler; nothing is written yet.
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY) or self.tail:
                raise
            self._identify()
            self._make_folder(root)
            return
        if self.folder is None and self.journal_id == journal_id:  # no call until it is taken over
            self.folder = folder
            self._lock_fd = lock_fd
        else:
            os.close(lock_fd)
            shutil.rmtree(folder, ignore_errors=True)

    def _make_room_for_end(self) -> None:
        """Look once more for room on the disk, and else take what is reserved in memory."""
        if self.tail + RESERVED_SLOTS > self._limit:
            self._retry_at = 0.0
            self.sync()
            last = self._segments[-1] if self._segments else None
            if last is not None and last.path is None:
                self._limit = last.limit + RESERVED_SLOTS

    # -- to the disk -----------------------------------------------------------------------------

    def sync(self) -> int:
        """Force what was accepted before this call to the disk; return how far that reaches.

        A failed fsync is never tried again on the same file, because the kernel may have dropped the
        pages: a new segment gets what was not yet on the disk.
        """
        with self._segments_lock:
            if self.closed or not self._segments:
                return self.durable
            last = self._segments[-1]
        if last.path is None and time.monotonic() >= self._retry_at:
            with self._lock:
                self._move(last, last.base)
        failed: Segment | None = None
        files: list[tuple[Segment, int]] = []
        try:
            with self._segments_lock:
                tail = self.tail
                dirty = [segment for segment, stop in self._spans(tail) if stop > self.durable]
                # Descriptors of its own: what is settled meanwhile is closed.
                files.extend((segment, os.dup(segment.fd)) for segment in dirty if segment.path is not None)
            for segment, fd in files:
                failed = segment
                os.fdatasync(fd)
            failed = None
            if len(files) < len(dirty):
                return self.durable
            if not self._folder_synced and self.folder is not None:
                sync_folder(self.folder)
                sync_folder(self.folder.parent)
                self._folder_synced = True
        except OSError as error:
            self._disk_refused(failed, error)
            return self.durable
        finally:
            for _, fd in files:
                os.close(fd)
        self.durable = max(self.durable, tail)
        if self.trouble is not None and self.trouble.startswith("not durable"):
            self.trouble = None
        return self.durable

    def _spans(self, tail: int) -> list[tuple[Segment, int]]:
        """Return each segment with the slot after its last record."""
        stops = [*(segment.base for segment in self._segments[1:]), tail][: len(self._segments)]
        return list(zip(self._segments, stops, strict=True))

    def _disk_refused(self, segment: Segment | None, error: OSError) -> None:
        """After a failed fsync: a new file takes over from what is known to be on the disk."""
        with self._lock, self._segments_lock:
            if self.closed or (segment is not None and segment not in self._segments):
                return  # it was all settled meanwhile
            if segment is None:
                if self.trouble is None:
                    _log.warning("The folder %s cannot be forced to the disk (%s); tried again.", self.folder, error)
                self.trouble = f"not durable: {error.strerror or error}: {self.folder}"
                return
            _log.warning("The disk did not keep %s (%s); a new file takes over.", segment.path, error)
            self._move(segment, max(self.durable, segment.base))

    def _move(self, old: Segment, base: int) -> None:
        """Copy the records from slot `base` on into a new segment, which takes over from there."""
        with self._segments_lock:
            if self.closed or old not in self._segments:
                return
            index = self._segments.index(old)
            last = old is self._segments[-1]
            stop = self.tail if last else self._segments[index + 1].base
        try:
            new = self._new_segment(base, stop - base + last)
        except OSError as error:
            self._troubled(error)
            return
        new.map[: len(new.preamble)] = new.preamble
        new.write(base, old.read(base, stop))
        with self._segments_lock:
            index = self._segments.index(old)
            keep = base > old.base
            self._segments = [*self._segments[: index + keep], new, *self._segments[index + 1 :]]
            if last:
                self._map, self._shift = new.map, new.shift
                self._limit = 0 if self.finished else new.limit
        if not keep:
            old.close(unlink=True)
        if self.trouble is not None:
            were = "record was" if self.lost == 1 else "records were"
            _log.warning("The journal in %s can grow again; %d %s lost.", self.folder, self.lost, were)
            self.trouble = None
        if self._lost_unsaid and not self.finished:
            count, self._lost_unsaid = self._lost_unsaid, 0
            self._say_lost(count)

    # -- out -------------------------------------------------------------------------------------

    def read(self, start: int) -> tuple[bytes, int]:
        """Return the records from slot `start` to the end of its segment, and the slot after them."""
        with self._segments_lock:
            if not self.closed:
                for segment, stop in self._spans(self.tail):
                    if segment.base <= start < stop:
                        return segment.read(start, stop), stop
        return b"", start

    def acknowledge(self, settled: int) -> None:
        """Drop the segments whose records the store holds on its own disk.

        Args:
            settled: Slot number up to which the store would keep the records through a power cut.
        """
        with self._segments_lock:
            self._settled = max(self._settled, settled)
            gone = sum(segment.base <= settled for segment in self._segments[1:])
            dropped, self._segments = self._segments[:gone], self._segments[gone:]
        for segment in dropped:
            segment.close(unlink=True)

    @property
    def needs_room(self) -> bool:
        """Whether a segment could go if its records were settled."""
        with self._segments_lock:
            return len(self._segments) > 1 or bool(self._segments and self._segments[-1].path is None)

    @property
    def in_memory(self) -> int:
        """Number of slots that are held in memory alone."""
        with self._segments_lock:
            last = self._segments[-1] if self._segments else None
            return self.tail - last.base if last is not None and last.path is None else 0

    def close(self, *, settled: bool) -> None:
        """Give the journal up: delete it when all of it is settled, else leave it to `recovery`."""
        with self._segments_lock:
            if self.closed:
                return
            self.closed = True
            self._limit = 0
            self._map = bytearray()  # takes what a call writes that an interrupt held up until now
            segments, self._segments = self._segments, []
        for segment in segments:
            segment.close(unlink=settled)
        if self.folder is not None and settled and Spool(self.folder).rescue():
            shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def become_child(self) -> None:
        """Make this copy, in a forked child, a new journal; the parent's files stay the parent's.

        flock belongs to the open file that parent and child share: the child must close its
        descriptor, or the lock would outlive the parent.
        """
        for segment in self._segments:
            with suppress(OSError):
                segment.close(unlink=False)
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
        closed, finished = self.closed, self.finished
        self._reset()
        self.closed, self.finished = closed, finished
