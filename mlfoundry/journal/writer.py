"""The write side of a journal: what a log call does, and what the shipper asks of it.

A record is one copy of a few bytes into a memory map of allocated space: no system call, no switch
of threads. The kernel owns the bytes once they are copied, so they outlive the process however it
ends. The three promises: *accepted*, the call returned; *durable*, `sync` has forced it to the disk;
*stored*, the backend has committed it, and `acknowledge` was told so.

When no file can be had (disk full, read-only) records go to a bounded piece of memory, and from
there to a file as soon as one can be had; when that is full too they are counted as lost. Neither
raises, and neither blocks.

Writing a record ends with a comparison and two stores that hold no call: CPython runs signal
handlers only at calls and jumps back, so a handler that logs, or a KeyboardInterrupt, finds each
record whole or absent.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import logging
import os
import secrets
import shutil
import struct
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from time import time_ns
from typing import Any
from zlib import crc32

from .. import slots
from ..errors import InvalidValue, shown
from ..folders import make_private
from ..names import legal_key, legal_metric_key
from ..values import number, step_number
from .keys import Key, KeySet, KeySpace
from .segment import PREAMBLE_SLOT, Segment

SEGMENT_SLOTS = (8 * 1024, 32 * 1024, 128 * 1024)  # 256 KiB, 1 MiB, then 4 MiB each
MEMORY_SLOTS = 512 * 1024  # 16 MiB
KEY_LIMIT = 100_000
SET_LIMIT = 1_000
DOCUMENT_LIMIT = 2 * 1024 * 1024
RETRY_S = 1.0

pack_point = slots.POINT.pack

_log = logging.getLogger("mlfoundry")


class Journal:
    """The journal of one run in one process.

    Threads and signal handlers may log at once. After a fork, `become_child` makes the child's copy
    a new, empty journal that comes into being with its first record.

    Args:
        root: Folder that holds the journals; made (0700) when missing. None keeps all in memory.
        origin: Where the run belongs, as plain JSON; restated in each segment. See `recovery`.

    Attributes:
        on_open: Called when the journal's first segment exists; so in a forked child with the first record.
        journal_id: 63 random bits.
        origin: As given; `become_child` changes its role.
        names: Key number to its one name, key set number to its names.
        accepted: Number of points taken.
        lost: Number of points and documents that found no room at all.
        tail: Slot number after the last record.
        durable: Slot number up to which records are on the disk.
        trouble: Why records go to memory or are lost just now, None when all is well.
    """

    def __init__(self, root: Path | None, origin: dict[str, Any]) -> None:
        self.root = root
        self.origin = origin
        self.on_open: Callable[[Journal], None] | None = None
        self._metrics = KeySpace(legal_metric_key)
        self._system = KeySpace(lambda name: legal_key("system metric", name))
        self._keys = self._metrics.keys
        self._numbers = itertools.count(1)
        self.names: dict[int, tuple[str, ...]] = {}
        self._reset()

    def _reset(self) -> None:
        self.journal_id = secrets.randbits(63)
        self._seed = slots.seed(self.journal_id)
        self._lock = threading.RLock()  # for logging; a signal handler may log while its thread does
        # For the list of segments, and never held while logging: what ships must not wait for a thread that
        # was interrupted inside a log call by a handler which itself waits for the shipping.
        self._segments_lock = threading.RLock()
        self._lock_fd = -1
        self.folder: Path | None = None
        self._segments: list[Segment] = []
        self._map: Any = None
        self._shift = 0
        self._limit = 0
        self._generation = 0
        self._making_room = False
        self.tail = 0
        self.durable = 0
        self._settled = 0
        self.accepted = 0
        self.lost = 0
        self._lost_unsaid = 0
        self.trouble: str | None = None
        self._retry_at = 0.0
        self._folder_synced = False
        self.closed = False

    # -- logging ---------------------------------------------------------------------------------

    def log(self, metrics: dict[str, Any], step: int | None, at_us: int | None = None) -> None:
        """Record one value of each metric at one step.

        Args:
            metrics: Key to value, see `values.number`.
            step: Any int64; None counts up by one from the greatest step of each key so far.
            at_us: Microseconds since 1970; None is now.

        Raises:
            InvalidName: Before anything of the call is recorded.
            InvalidValue: Likewise.
        """
        if at_us is None:
            at_us = time_ns() // 1000
        if step is not None and type(step) is not int:
            step = step_number(step)
        with self._lock:
            if len(metrics) != 1:
                if metrics:
                    self._row(self._metrics, metrics, step, at_us)
                return
            for name, value in metrics.items():  # the one; written out here, because a call costs as much as it does
                if type(value) is not float:
                    value = number(name, value)  # noqa: PLW2901
                key = self._keys.get(name)
                if key is None:
                    if step is not None:
                        step = step_number(step)  # before the key is defined
                    key = self._define_key(self._metrics, name)
                while True:
                    if key.holder is not None:
                        key.holder.release()
                    own = key.next if step is None else step
                    tail = self.tail
                    if tail >= self._limit and not self._make_room(1, 1):
                        return
                    try:
                        body = pack_point(key.number, own, at_us, value)
                    except struct.error:
                        raise _beyond(name, step) from None
                    data = crc32(body, (self._seed + tail) & 0xFFFF_FFFF).to_bytes(4, "little") + body
                    if tail == self.tail:  # from here to the last store: no call, see the top
                        offset = self._shift + tail * 32
                        self._map[offset : offset + 32] = data
                        self.tail = tail + 1
                        self.accepted += 1
                        if own >= key.next:
                            key.next = own + 1
                        return

    def log_system(self, metrics: Mapping[str, float]) -> None:
        """Record a sample of system metrics; the keys begin with ``system/``."""
        if metrics:
            with self._lock:
                self._row(self._system, dict(metrics), None, time_ns() // 1000)

    def write(self, content: Mapping[str, Any], at_us: int | None = None, *, weight: int = 1) -> None:
        """Record a document: plain JSON with a "kind"; it counts as `weight` records when it is lost.

        Raises:
            InvalidValue: Its JSON is longer than 2 MiB.
        """
        at_us = time_ns() // 1000 if at_us is None else at_us
        with self._lock:
            while True:
                tail = self.tail
                data = slots.document(content, at_us, self._seed + tail)
                if len(data) > DOCUMENT_LIMIT:
                    raise InvalidValue(
                        f"{content.get('kind')} of one call take {len(data):,} bytes, at most "
                        f"{DOCUMENT_LIMIT:,} are taken. Make several calls, or log a file as an artifact."
                    )
                if self._put(tail, data, weight) is not None:
                    return

    def _row(self, space: KeySpace, metrics: dict[str, Any], step: int | None, at_us: int) -> None:
        values: Any = metrics.values()
        if set(map(type, values)) != {float}:
            values = [v if type(v) is float else number(k, v) for k, v in metrics.items()]
        names = tuple(metrics)
        known = space.sets.get(names)
        if known is None:
            if step is not None:
                step = step_number(step)  # before a key is defined
            known = self._define_set(space, names)
        while True:
            if known is None or not (known.holds or known.take()):
                self._uneven_row([space.keys[name] for name in names], known, list(values), step, at_us)
                return
            own = known.next if step is None else step
            tail = self.tail
            try:
                data = slots.record(slots.ROW, known.number, own, at_us, known.pack(*values), self._seed + tail)
            except struct.error:
                raise _beyond(names[0], step) from None
            written = self._put(tail, data, known.count)
            if written:
                self.accepted += known.count
                if own >= known.next:
                    known.next = own + 1
            if written is not None:
                return

    def _uneven_row(
        self, keys: list[Key], known: KeySet | None, values: list[float], step: int | None, at_us: int
    ) -> None:
        """Write a row whose keys stand at different steps, or whose key set has no number."""
        while True:
            for key in keys:
                if key.holder is not None:
                    key.holder.release()
            steps = [key.next if step is None else step for key in keys]
            tail = self.tail
            try:
                if known is not None:
                    payload = struct.pack(f"<{len(keys)}q{len(keys)}d", *steps, *values)
                    start = self._seed + tail
                    data = slots.record(slots.ROW_WITH_STEPS, known.number, 0, at_us, payload, start)
                else:
                    data = self._points(keys, steps, at_us, values, self._seed + tail)
            except struct.error:
                raise _beyond(self.names[keys[0].number][0], step) from None
            written = self._put(tail, data, len(keys))
            if written:
                self.accepted += len(keys)
                for key, own in zip(keys, steps, strict=True):
                    key.next = max(key.next, own + 1)
            if written is not None:
                return

    @staticmethod
    def _points(keys: list[Key], steps: list[int], at_us: int, values: list[float], start: int) -> bytes:
        out = []
        for index, (key, own, value) in enumerate(zip(keys, steps, values, strict=True)):
            body = slots.POINT.pack(key.number, own, at_us, value)
            out.append(crc32(body, (start + index) & 0xFFFF_FFFF).to_bytes(4, "little") + body)
        return b"".join(out)

    def _put(self, tail: int, data: bytes, weight: int) -> bool | None:
        """Write a record that was made for slot `tail`.

        Returns:
            True when it is written, False when there is no room (`weight` is counted as lost), None
            when a signal handler wrote in between and the record must be made anew.
        """
        taken = len(data) // slots.SLOT
        if tail + taken > self._limit and not self._make_room(taken, weight):
            return False
        size = len(data)
        if tail == self.tail:  # from here to the last store: no call, see the top
            offset = self._shift + tail * 32
            self._map[offset : offset + size] = data
            self.tail = tail + taken
            return True
        return None

    # -- keys ------------------------------------------------------------------------------------

    def _define_key(self, space: KeySpace, name: str) -> Key:
        legal = space.legal(name)
        key = space.keys.get(legal)
        if key is None:
            if len(space.keys) >= KEY_LIMIT:
                raise _too_many_keys(name)
            key = Key(next(self._numbers))
            self._name(key.number, (legal,))
            space.keys[legal] = key
        space.keys[name] = key
        return key

    def _define_set(self, space: KeySpace, names: tuple[str, ...]) -> KeySet | None:
        # All that can be wrong with any of them, before the first is defined.
        legal = [name if name in space.keys else space.legal(name) for name in names]
        new = [name for name in legal if name not in space.keys]
        if len(space.keys) + len(new) > KEY_LIMIT:
            raise _too_many_keys(new[0])
        numbers = [space.keys[name].number for name in legal if name in space.keys]
        if len(set(new)) < len(new) or len(set(numbers)) < len(numbers):
            raise InvalidValue(f"two of the keys {shown(list(names))} have one Unicode normal form; log one")
        keys = [space.keys.get(name) or self._define_key(space, name) for name in names]
        if len(space.sets) >= SET_LIMIT:
            return None
        known = KeySet(next(self._numbers), keys)
        self._name(known.number, tuple(self.names[key.number][0] for key in keys))
        space.sets[names] = known
        return known

    def _name(self, number: int, names: tuple[str, ...]) -> None:
        """Write what a number means before anything uses it; twice, as every later record leans on it."""
        content = {"kind": "keys", "names": {str(number): list(names)}}
        for _ in range(2):
            self.write(content, weight=0)
        self.names[number] = names

    # -- segments --------------------------------------------------------------------------------

    def open(self) -> None:
        """Make the first segment now, and not with the first record."""
        with self._lock:
            self._make_room(1, 0)

    def _make_room(self, taken: int, weight: int) -> bool:
        """Begin a segment with room for `taken` slots; count `weight` as lost when none can be had."""
        if not self._making_room and not self.closed:
            self._making_room = True
            try:
                self._begin_segment(taken)
            finally:
                self._making_room = False
        if self.tail + taken <= self._limit:
            return True
        self.lost += weight
        self._lost_unsaid += weight
        return False

    def _begin_segment(self, taken: int) -> None:
        first = not self._segments
        in_memory = bool(self._segments) and self._segments[-1].path is None
        if in_memory and self._settled < self.tail:
            return  # `sync` moves it into a file; more memory would only hide the trouble
        segment = None
        if time.monotonic() >= self._retry_at:
            try:
                segment = self._new_segment(self.tail, taken)
            except OSError as error:
                self._troubled(error)
        if segment is None:
            segment = Segment(None, base=self.tail, preamble=b"", room=max(MEMORY_SLOTS, taken))
        with self._segments_lock:
            self._segments.append(segment)
            self._use(segment)
        if first and self.on_open is not None:
            self.on_open(self)

    def _use(self, segment: Segment) -> None:
        self._map, self._shift, self._limit = segment.map, segment.shift, segment.limit

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

    def _new_segment(self, base: int, room: int) -> Segment:
        if self.root is None:
            raise OSError("no folder for journals can be written")
        if self.folder is None:
            name = f"{self.origin['run_id']}.{self.journal_id:016x}"
            self.folder, self._lock_fd = make_folder(self.root, name)
        elif not self.folder.exists():  # somebody deleted it: begin another under its name
            os.close(self._lock_fd)
            self.folder, self._lock_fd = make_folder(self.root, self.folder.name)
        preamble = self._preamble()
        usual = SEGMENT_SLOTS[min(self._generation, len(SEGMENT_SLOTS) - 1)]
        path = self.folder / Segment.file_name(base, preamble, self._generation)
        self._generation += 1
        segment = Segment(path, base=base, preamble=preamble, room=max(usual, room))
        self._folder_synced = False
        return segment

    def _preamble(self) -> bytes:
        """Return what makes a segment readable alone; each document stands twice."""
        at_us = time_ns() // 1000
        documents: list[dict[str, Any]] = [{"kind": "origin", **self.origin}]
        if self.names:
            names = {str(key_number): list(names) for key_number, names in self.names.items()}
            documents.append({"kind": "keys", "names": names})
        out = b""
        for content in documents:
            for _ in range(2):
                start = self._seed + PREAMBLE_SLOT + len(out) // slots.SLOT
                out += slots.document(content, at_us, start)
        return out

    # -- shipping --------------------------------------------------------------------------------

    def _spans(self, tail: int) -> list[tuple[Segment, int]]:
        """Return each segment with the slot after its last record."""
        stops = [*(segment.base for segment in self._segments[1:]), tail][: len(self._segments)]
        return list(zip(self._segments, stops, strict=True))

    def read(self, start: int) -> tuple[bytes, int]:
        """Return the records from slot `start` to the end of its segment, and the slot after them."""
        with self._segments_lock:
            if not self.closed:
                for segment, stop in self._spans(self.tail):
                    if segment.base <= start < stop:
                        return segment.read(start, stop), stop
        return b"", start

    def sync(self) -> int:
        """Force what was accepted before this call to the disk; return how far that reaches.

        A failed fsync is never tried again on the same file, because the kernel may have dropped the
        pages: a new segment gets what was not yet on the disk.
        """
        with self._segments_lock:
            if self.closed or not self._segments:
                return self.durable
            in_memory = self._segments[-1].path is None
        if in_memory and time.monotonic() >= self._retry_at:
            with self._lock:
                self._move(self._segments[-1], self._segments[-1].base)
        with self._segments_lock:
            tail = self.tail
            dirty = [segment for segment, stop in self._spans(tail) if stop > self.durable]
        failed: Segment | None = None
        try:
            for segment in dirty:
                if segment.path is None:
                    return self.durable
                failed = segment
                os.fdatasync(segment.fd)
            failed = None
            if not self._folder_synced and self.folder is not None:
                _sync_folder(self.folder)
                _sync_folder(self.folder.parent)
                self._folder_synced = True
        except OSError as error:
            self._disk_refused(failed, error)
            return self.durable
        self.durable = max(self.durable, tail)
        if self.trouble is not None and self.trouble.startswith("not durable"):
            self.trouble = None
        return self.durable

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
        new.write(base, old.read(base, stop))
        with self._segments_lock:
            self._segments.insert(index + 1, new)
            if last:
                self._use(new)
            if base == old.base:
                self._segments.remove(old)
                old.close(unlink=True)
        if self.trouble is not None:
            _log.warning("The journal in %s can grow again; %d records were lost.", self.folder, self.lost)
            self.trouble = None
        if self._lost_unsaid:
            count, self._lost_unsaid = self._lost_unsaid, 0
            self.write({"kind": "lost", "count": count})

    def acknowledge(self, settled: int) -> None:
        """Drop the segments whose records the store holds on its own disk.

        Args:
            settled: Slot number up to which the store would keep the records through a power cut.
        """
        with self._segments_lock:
            self._settled = max(self._settled, settled)
            while len(self._segments) > 1 and self._segments[1].base <= settled:
                self._segments.pop(0).close(unlink=True)

    def close(self, *, settled: bool) -> None:
        """Give the journal up: delete it when all of it is settled, else leave it to `recovery`."""
        with self._segments_lock:
            if self.closed:
                return
            self.closed = True
            self._limit = 0
            self._map = bytearray()  # takes what a call writes that a signal handler interrupted to end the run
            for segment in self._segments:
                segment.close(unlink=settled)
            self._segments.clear()
            if self.folder is not None and settled:
                shutil.rmtree(self.folder, ignore_errors=True)
            if self._lock_fd >= 0:
                os.close(self._lock_fd)
                self._lock_fd = -1

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

    def become_child(self) -> None:
        """Make this copy, in a forked child, a new journal; the parent's files stay the parent's.

        flock belongs to the open file that parent and child share: the child must close its
        descriptor, or the lock would outlive the parent.
        """
        for segment in self._segments:
            with contextlib.suppress(OSError):
                segment.close(unlink=False)
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
        closed = self.closed
        self.origin = {**self.origin, "role": "member", "pid": os.getpid()}
        self._reset()
        self.closed = closed


def _too_many_keys(name: str) -> InvalidValue:
    return InvalidValue(
        f"metric {name!r} would be key number {KEY_LIMIT + 1:,} of this run; at most {KEY_LIMIT:,} are kept. Keep "
        "indices and ids out of metric names, or log a table as an artifact."
    )


def _beyond(name: str, step: int | None) -> InvalidValue:
    if step is None:
        return InvalidValue(f"metric {name!r} has reached the greatest step there is, 2**63 - 1; give step=")
    return InvalidValue(f"step {shown(step)} is beyond 64 bits")


def make_folder(root: Path, name: str) -> tuple[Path, int]:
    """Make a journal's folder and return it with the descriptor that holds its lock.

    It is made under a hidden name and shown only when the lock is held, so that nobody ever sees a
    living journal without its owner.

    Raises:
        OSError: The folder cannot be made.
    """
    make_private(root)
    hidden = root / f".{name}"
    hidden.mkdir(mode=0o700)
    try:
        fd = os.open(hidden / "lock", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            hidden.rename(root / name)
        except BaseException:
            os.close(fd)
            raise
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise
    return root / name, fd


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
