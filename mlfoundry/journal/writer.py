"""The write side of a journal: what a log call does.

A record is one copy of a few bytes into a memory map of allocated space: no system call, no switch
of threads. The kernel owns the bytes once they are copied, so they outlive the process however it
ends. The three promises: *accepted*, the call returned; *durable*, `sync` has forced it to the disk;
*stored*, the backend has committed it, and `acknowledge` was told so. Where there is room, and what
becomes of a record when there is none, is the business of `chain`, as is what makes all this safe
against signal handlers and interrupts.
"""

from __future__ import annotations

import itertools
import os
import struct
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import time_ns
from typing import Any
from zlib import crc32

from .. import slots
from ..errors import InvalidValue, shown
from ..names import legal_key, legal_metric_key
from ..values import number, step_number
from .chain import Chain
from .keys import Key, KeySet, KeySpace, at_once, release, setting_holder, setting_next
from .segment import PREAMBLE_SLOT

KEY_LIMIT = 100_000
SET_LIMIT = 1_000
DOCUMENT_LIMIT = 2 * 1024 * 1024

pack_point = slots.POINT.pack
pack_slot = slots.CHECKED_POINT.pack


class Journal(Chain):
    """The journal of one run in one process.

    Threads and signal handlers may log at once. After a fork, `become_child` makes the child's copy
    a new, empty journal that comes into being with its first record.

    Args:
        root: Folder that holds the journals; made (0700) when missing. None keeps all in memory.
        origin: Where the run belongs, as plain JSON; restated in each segment. See `recovery`.
        others: See `Chain`.

    Attributes:
        origin: As given; `become_child` changes its role.
        names: Key number to its one name, key set number to its names.
        accepted: Number of points taken, without those of system metrics.
    """

    def __init__(self, root: Path | None, origin: dict[str, Any], others: Sequence[Path] = ()) -> None:
        self.origin = origin
        self._metrics = KeySpace(legal_metric_key)
        self._system = KeySpace(lambda name: legal_key("system metric", name))
        self._keys = self._metrics.keys
        self._numbers = itertools.count(1)
        self.names: dict[int, tuple[str, ...]] = {}
        self.accepted = 0
        self._quiet_from = self._quiet_until = 0  # the stretch of samples at the journal's end
        super().__init__(root, origin["run_id"], others)
        _journals.add(self)

    def become_child(self) -> None:
        """See `Chain.become_child`; the keys and the steps that they have reached stay. Called by each fork."""
        super().become_child()
        self.origin = {**self.origin, "role": "member", "pid": os.getpid()}
        self.accepted = 0

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
            # The one metric is written out here, because a call costs as much as it does.
            (name,) = metrics
            value = metrics[name]
            if type(value) is not float:
                value = number(name, value)
            key = self._keys.get(name)
            if key is None:
                if step is not None:
                    step = step_number(step)  # before the key is defined
                key = self._define_key(self._metrics, name)
            key_number = key.number
            while True:
                if key.holder is not None:
                    key.holder.release()
                own = key.next if step is None else step
                tail = self.tail
                if tail >= self._limit:
                    if not self._make_room(1, 1):
                        return
                    continue
                try:
                    check = crc32(pack_point(key_number, own, at_us, value), (self._seed + tail) & 0xFFFF_FFFF)
                    data = pack_slot(check, key_number, own, at_us, value)
                except struct.error:
                    raise _beyond(name, step) from None
                if tail == self.tail and tail < self._limit:  # from here to the last store: no call, see `chain`
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
                before = self.tail
                self._row(self._system, dict(metrics), None, time_ns() // 1000)
                if self._quiet_until != before:
                    self._quiet_from = before
                self._quiet_until = self.tail

    def is_quiet(self, acked: int) -> bool:
        """Return whether nothing but samples of the machine came after slot `acked`."""
        return self._quiet_from <= acked and self._quiet_until == self.tail

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
        """Record several values that were logged together, as one row where their keys count alike."""
        values: Any = metrics.values()
        if set(map(type, values)) != {float}:
            values = [v if type(v) is float else number(k, v) for k, v in metrics.items()]
        names = tuple(metrics)
        known = space.sets.get(names)
        if known is None:
            if step is not None:
                step = step_number(step)  # before a key is defined
            known = self._define_set(space, names)
        counted = len(names) if space is self._metrics else 0
        while True:
            if known is None or not (known.holds or self._take(known)):
                self._uneven_row([space.keys[name] for name in names], known, list(values), step, at_us, counted)
                return
            own = known.next if step is None else step
            tail, taken = self.tail, known.taken
            if tail + taken > self._limit:
                if not self._make_room(taken, known.count):
                    return
                continue
            try:
                data = slots.record(slots.ROW, known.number, own, at_us, known.pack(*values), self._seed + tail)
            except struct.error:
                raise _beyond(names[0], step) from None
            size = len(data)
            if tail == self.tail and tail + taken <= self._limit and known.holds:  # no call from here, see `chain`
                offset = self._shift + tail * 32
                self._map[offset : offset + size] = data
                self.tail = tail + taken
                self.accepted += counted
                if own >= known.next:
                    known.next = own + 1
                return

    def _take(self, known: KeySet) -> bool:
        """Let a key set count for its keys; False when they do not stand at one step."""
        while True:
            tail = self.tail
            release(known.keys)
            steps = {key.next for key in known.keys}
            if len(steps) != 1:
                return False
            step, setting = steps.pop(), setting_holder(known.keys, known)
            if tail == self.tail:  # no signal handler logged meanwhile, and none comes before all is set
                known.next = step
                known.holds = True
                at_once(setting)
                return True

    def _uneven_row(
        self, keys: list[Key], known: KeySet | None, values: list[float], step: int | None, at_us: int, counted: int
    ) -> None:
        """Write a row whose keys stand at different steps, or whose key set has no number."""
        count = len(keys)
        while True:
            tail = self.tail
            release(keys)
            steps = [key.next if step is None else step for key in keys]
            following = [max(key.next, own + 1) for key, own in zip(keys, steps, strict=True)]
            try:
                data = self._uneven_record(keys, known, steps, at_us, values, self._seed + tail)
            except struct.error:
                raise _beyond(self.names[keys[0].number][0], step) from None
            size = len(data)
            taken = size // slots.SLOT
            if tail + taken > self._limit:
                if not self._make_room(taken, count):
                    return
                continue
            setting = setting_next(keys, following)
            if tail == self.tail and tail + taken <= self._limit:  # one call from here, which runs no Python
                offset = self._shift + tail * 32
                self._map[offset : offset + size] = data
                self.tail = tail + taken
                self.accepted += counted
                at_once(setting)
                return

    @staticmethod
    def _uneven_record(
        keys: list[Key], known: KeySet | None, steps: list[int], at_us: int, values: list[float], start: int
    ) -> bytes:
        if known is not None:
            payload = struct.pack(f"<{len(keys)}q{len(keys)}d", *steps, *values)
            return slots.record(slots.ROW_WITH_STEPS, known.number, 0, at_us, payload, start)
        return Journal._points(keys, steps, at_us, values, start)

    @staticmethod
    def _points(keys: list[Key], steps: list[int], at_us: int, values: list[float], start: int) -> bytes:
        out = []
        for index, (key, own, value) in enumerate(zip(keys, steps, values, strict=True)):
            body = slots.POINT.pack(key.number, own, at_us, value)
            out.append(crc32(body, (start + index) & 0xFFFF_FFFF).to_bytes(4, "little") + body)
        return b"".join(out)

    def finish(self, content: Mapping[str, Any] | None) -> None:
        """Record the end as a document, none for a part of a run that goes on; logging after it raises RunEnded."""
        with self._lock:
            if not self.finished:
                self._make_room_for_end()
                if self._lost_unsaid:
                    count, self._lost_unsaid = self._lost_unsaid, 0
                    self._say_lost(count)
                if content is not None:
                    self.write(content)
                self.finished = True
                self._limit = 0

    def _say_lost(self, count: int) -> None:
        self.write({"kind": "lost", "count": count})

    # -- keys ------------------------------------------------------------------------------------

    def _define_key(self, space: KeySpace, name: str) -> Key:
        legal = space.legal(name)
        key = space.keys.get(legal)
        if key is None:
            if len(space.keys) >= KEY_LIMIT:
                raise _too_many_keys(name)
            key = Key(next(self._numbers))
            self._name(key.number, (legal,))
            key = space.keys.setdefault(legal, key)  # a signal handler may have defined it meanwhile
        return space.keys.setdefault(name, key)

    def _define_set(self, space: KeySpace, names: tuple[str, ...]) -> KeySet | None:
        """Return the key set of these names, made with the keys that are new; None when there are too many sets."""
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
        return space.sets.setdefault(names, known)

    def _name(self, number: int, names: tuple[str, ...]) -> None:
        """Write what a number means before anything uses it; twice, as every later record leans on it."""
        content = {"kind": "keys", "names": {str(number): list(names)}}
        for _ in range(2):
            self.write(content, weight=0)
        self.names[number] = names

    def _preamble(self) -> bytes:
        """Return what makes a segment readable alone; each document stands twice."""
        at_us = time_ns() // 1000
        documents: list[dict[str, Any]] = [{"kind": "origin", **self.origin}]
        if self.names:
            # A copy, because a signal handler may define keys meanwhile.
            names = {str(key_number): list(names) for key_number, names in dict(self.names).items()}
            documents.append({"kind": "keys", "names": names})
        out = b""
        for content in documents:
            for _ in range(2):
                start = self._seed + PREAMBLE_SLOT + len(out) // slots.SLOT
                out += slots.document(content, at_us, start)
        return out


def _too_many_keys(name: str) -> InvalidValue:
    return InvalidValue(
        f"metric {name!r} would be key number {KEY_LIMIT + 1:,} of this run; at most {KEY_LIMIT:,} are kept. Keep "
        "indices and ids out of metric names, or log a table as an artifact."
    )


def _beyond(name: str, step: int | None) -> InvalidValue:
    if step is None:
        return InvalidValue(f"metric {name!r} has reached the greatest step there is, 2**63 - 1; give step=")
    return InvalidValue(f"step {shown(step)} is beyond 64 bits")


_journals: weakref.WeakSet[Journal] = weakref.WeakSet()


def _in_child() -> None:
    for journal in list(_journals):
        journal.become_child()


os.register_at_fork(after_in_child=_in_child)
