"""The 32-byte slots that journals and ingest batches are made of: how they are written and read.

A *point* is one slot; anything else is a header slot and its payload in the slots that follow.
All numbers are little-endian::

    point    check u32 | key number u32 (< 2^31)  | step i64 | time i64 | value f64
    header   check u32 | kind u32 (2^31 + kind)   | length u32 | number u32 | step i64 | time i64
    payload  `length` bytes, padded with zeros to whole slots

    kind 1  row: `length / 8` float64, one for each key of the key set `number`, all at one step
    kind 2  row with steps: as many int64 steps, then as many float64 values
    kind 3  document: a JSON object; its "kind" says what it tells (see `documents`)

The check is the CRC-32 (zlib's) of the other 28 bytes and the payload. Its start value is the
CRC-32 of the journal's id plus the slot's number in the journal, so a slot that lies in the wrong
place or in the wrong journal does not check. Times are microseconds since 1970.

Owns the format alone: files are the business of `journal`, tables of `store`. A reader here never
raises for damaged bytes: it skips to the next slot that checks, and says what it skipped.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from zlib import crc32

from .json_texts import read_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SLOT = 32
POINT = struct.Struct("<Iqqd")
CHECKED_POINT = struct.Struct("<IIqqd")
HEADER = struct.Struct("<IIIqq")
HIGH = 0x8000_0000
ROW, ROW_WITH_STEPS, DOCUMENT = HIGH | 1, HIGH | 2, HIGH | 3
_MASK = 0xFFFF_FFFF


def seed(journal_id: int) -> int:
    """Return the start value of a journal's checks."""
    return crc32(journal_id.to_bytes(8, "little"))


def slots_of(length: int) -> int:
    """Return how many slots a record with a payload of `length` bytes takes, header included."""
    return 1 + (length + SLOT - 1) // SLOT


def record(kind: int, number: int, step: int, at_us: int, payload: bytes, start: int) -> bytes:
    """Return a record of several slots, padded.

    Args:
        kind: ROW, ROW_WITH_STEPS or DOCUMENT.
        number: The key set of a row; 0 for a document.
        step: The row's step; 0 where it has none.
        at_us: Microseconds since 1970.
        payload: The bytes after the header.
        start: The check's start value: ``seed(journal_id) + slot number``.
    """
    head = HEADER.pack(kind, len(payload), number, step, at_us)
    check = crc32(payload, crc32(head, start & _MASK))
    return check.to_bytes(4, "little") + head + payload + bytes(-len(payload) % SLOT)


def document(content: Mapping[str, Any], at_us: int, start: int) -> bytes:
    """Return a document record; `content` must be plain JSON with a "kind"."""
    payload = json.dumps(content, separators=(",", ":")).encode()
    return record(DOCUMENT, 0, 0, at_us, payload, start)


def points(
    number: int, steps: NDArray[np.int64], times: NDArray[np.int64], values: NDArray[np.float64], start: int
) -> bytes:
    """Return points of one key as slots.

    Args:
        number: The key.
        steps: One a point, like `times` and `values`.
        times: Microseconds since 1970.
        values: The values.
        start: The first slot's start value of the check: ``seed(journal_id) + slot number``.
    """
    import numpy as np

    slots = np.empty((len(steps), 8), "<u4")
    slots[:, 1] = number
    for column, numbers in ((2, steps), (4, times), (6, values)):
        kind = "<f8" if numbers.dtype.kind == "f" else "<i8"
        slots[:, column : column + 2] = numbers.astype(kind).view("<u4").reshape(-1, 2)
    slots[:, 0] = _checks(slots[:, 1:], start)
    return slots.tobytes()


def numbers_in(data: bytes) -> set[int]:
    """Return the numbers of keys and key sets that slots use, and perhaps some that they do not."""
    import numpy as np

    words = np.frombuffer(data, "<u4").reshape(-1, SLOT // 4)
    return set(np.unique(words[:, 1]).tolist()) | set(np.unique(words[:, 3]).tolist())


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON record of a journal.

    Attributes:
        content: The object; ``content["kind"]`` says what it tells.
        at_us: When it was written, in microseconds since 1970.
    """

    content: dict[str, Any]
    at_us: int


@dataclass(frozen=True, slots=True)
class Rows:
    """The points of one key set, in the order in which they were logged.

    Attributes:
        number: The key or key set.
        order: int64 (m,): slot numbers, which order rows across key sets.
        steps: int64 (m,), or (m, n) when each key has its own.
        times: int64 (m,), microseconds since 1970.
        values: float64 (m, n), a column a key.
    """

    number: int
    order: NDArray[np.int64]
    steps: NDArray[np.int64]
    times: NDArray[np.int64]
    values: NDArray[np.float64]


@dataclass(slots=True)
class Decoded:
    """What a stretch of slots holds.

    Attributes:
        rows: One entry a key number or key set (and shape).
        documents: In order.
        damage: (first slot, number of slots) of each stretch that does not check.
        end: Slot number after the last record that checks.
        last_at_us: Time of the last record that checks, None when there is none.
    """

    rows: list[Rows] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)
    damage: list[tuple[int, int]] = field(default_factory=list)
    end: int = 0
    last_at_us: int | None = None


def decode(data: bytes, *, journal_id: int, first: int, is_written: bool = False) -> Decoded:
    """Read a stretch of slots that begins at slot number `first` of a journal.

    Every record that checks is returned; every slot outside of one is in `damage`, except for zeros
    at the end, which are room not yet written, unless `is_written` says that there is none.
    """
    import numpy as np

    count = len(data) // SLOT
    words = np.frombuffer(data, dtype="<u4", count=count * 8).reshape(count, 8)
    start = seed(journal_id) + first
    checks = _checks(words[:, 1:], start) == words[:, 0]
    if count and bool((checks & (words[:, 1] < HIGH)).all()):  # nothing but points
        rows_found = _points(words, np.arange(count), first)
        return Decoded(rows_found, end=first + count, last_at_us=max(int(r.times[-1]) for r in rows_found))
    point_checks = checks.tolist()
    kinds: list[int] = words[:, 1].tolist()
    points: list[int] = []
    rows: dict[tuple[int, int, int], list[int]] = {}
    decoded = Decoded(end=first)
    position = end = 0
    damaged: list[int] = []
    while position < count:
        kind = kinds[position]
        if kind < HIGH:
            if point_checks[position]:
                points.append(position)
                end = position = position + 1
                continue
        elif taken := _header(data, position, count, start, rows, decoded.documents):
            end = position = position + taken
            continue
        damaged.append(position)
        position += 1
    decoded.end = first + end
    if not is_written:
        damaged = _without_room(damaged, end, words)
    decoded.damage = _stretches(damaged, first)
    if points:
        decoded.rows.extend(_points(words, np.array(points), first))
    for (number, kind, length), places in rows.items():
        decoded.rows.append(_row(words, number, kind, length, np.array(places), first))
    times = [int(r.times[-1]) for r in decoded.rows] + [d.at_us for d in decoded.documents[-1:]]
    decoded.last_at_us = max(times, default=None)
    return decoded


def whole_records(data: bytes, *, journal_id: int, first: int, most: int) -> int:
    """Return how many slots, `most` at most, hold whole records; those of the first record when it alone has more."""
    count = len(data) // SLOT
    if count <= most:
        return count
    start, position = seed(journal_id) + first, 0
    while position < count:
        is_point = int.from_bytes(data[position * SLOT + 4 : position * SLOT + 8], "little") < HIGH
        # What does not check is skipped slot by slot by whoever reads it; so it may be cut there.
        after = position + (1 if is_point else _header(data, position, count, start, {}, []) or 1)
        if after > most:
            return position or after
        position = after
    return count


def _header(
    data: bytes,
    position: int,
    count: int,
    start: int,
    rows: dict[tuple[int, int, int], list[int]],
    documents: list[Document],
) -> int:
    """Read the record whose header is at `position`; return its slots, 0 when it does not check."""
    offset = position * SLOT
    check = int.from_bytes(data[offset : offset + 4], "little")
    kind, length, number, _, at_us = HEADER.unpack_from(data, offset + 4)
    taken = slots_of(length)
    if position + taken > count:
        return 0
    body = data[offset + SLOT : offset + SLOT + length]
    if crc32(body, crc32(data[offset + 4 : offset + SLOT], (start + position) & _MASK)) != check:
        return 0
    if kind == DOCUMENT:
        content = _content(body)
        if content is None:
            return 0
        documents.append(Document(content, at_us))
    elif kind in (ROW, ROW_WITH_STEPS):
        if not length or length % (8 if kind == ROW else 16):
            return 0
        rows.setdefault((number, kind, length), []).append(position)
    else:
        documents.append(Document({"kind": f"record {kind - HIGH}"}, at_us))
    return taken


def _content(body: bytes) -> dict[str, Any] | None:
    """Return a document's object, None when it is none or lacks a kind."""
    try:
        content = read_json(body)
    except ValueError:
        return None
    return content if isinstance(content, dict) and isinstance(content.get("kind"), str) else None


def _points(words: NDArray[Any], places: NDArray[np.int64], first: int) -> list[Rows]:
    """Return the points at these places, those of one key together and in their order."""
    import numpy as np

    slots = words if len(places) == len(words) else words[places]
    numbers = slots[:, 1]
    if not bool((numbers == numbers[0]).all()):
        order = np.argsort(numbers, kind="stable")
        slots, numbers, places = slots[order], numbers[order], places[order]
    cuts = np.flatnonzero(np.diff(numbers)) + 1
    steps = np.ascontiguousarray(slots[:, 2:4]).view("<i8")[:, 0]
    times = np.ascontiguousarray(slots[:, 4:6]).view("<i8")[:, 0]
    values = np.ascontiguousarray(slots[:, 6:8]).view("<f8")
    edges = [0, *cuts.tolist(), len(places)]
    return [Rows(int(numbers[a]), places[a:b] + first, steps[a:b], times[a:b], values[a:b]) for a, b in pairwise(edges)]


def _row(words: NDArray[Any], number: int, kind: int, length: int, places: NDArray[np.int64], first: int) -> Rows:
    """Return the rows at these places, which are of one key set and one kind."""
    import numpy as np

    heads = words[places]
    steps = np.ascontiguousarray(heads[:, 4:6]).view("<i8")[:, 0]
    times = np.ascontiguousarray(heads[:, 6:8]).view("<i8")[:, 0]
    body = words[places[:, None] + np.arange(1, slots_of(length))].reshape(len(places), -1)
    if kind == ROW:
        values = np.ascontiguousarray(body[:, : length // 4]).view("<f8")
    else:
        half = length // 8
        steps = np.ascontiguousarray(body[:, :half]).view("<i8")
        values = np.ascontiguousarray(body[:, half : 2 * half]).view("<f8")
    return Rows(number, places + first, steps, times, values)


def _without_room(damaged: list[int], end: int, words: NDArray[Any]) -> list[int]:
    """Leave out the zeros after the last record."""
    import numpy as np

    if not damaged or damaged[-1] < len(words) - 1:
        return damaged
    written = np.flatnonzero(words[end:].any(axis=1))
    used = end + int(written[-1]) + 1 if len(written) else end
    return [slot for slot in damaged if slot < used]


def _stretches(damaged: list[int], first: int) -> list[tuple[int, int]]:
    """Join neighbouring damaged slots."""
    stretches: list[tuple[int, int]] = []
    for slot in damaged:
        if stretches and stretches[-1][0] + stretches[-1][1] == slot + first:
            stretches[-1] = (stretches[-1][0], stretches[-1][1] + 1)
        else:
            stretches.append((slot + first, 1))
    return stretches


def _checks(bodies: NDArray[Any], start: int) -> NDArray[Any]:
    """Return zlib's CRC-32 of each row of seven words, four bytes at a time (slicing-by-4).

    Source: Kounavis and Berry, "Novel Table Lookup-Based Algorithms for High-Performance CRC Generation", 2008.
    """
    import numpy as np

    t0, t1, t2, t3 = _tables()
    starts = (np.arange(len(bodies), dtype=np.uint64) + np.uint64(start & _MASK)) & np.uint64(_MASK)
    check = ~starts.astype(np.uint32)
    for column in range(7):
        check ^= bodies[:, column]
        check = t3[check & 0xFF] ^ t2[(check >> 8) & 0xFF] ^ t1[(check >> 16) & 0xFF] ^ t0[check >> 24]
    return ~check


@cache  # threads that need them first may make them twice, and all get whole ones
def _tables() -> tuple[NDArray[Any], ...]:
    import numpy as np

    base = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        base = np.where(base & 1, (base >> 1) ^ np.uint32(0xEDB88320), base >> 1).astype(np.uint32)
    tables = [base]
    for _ in range(3):
        last = tables[-1]
        tables.append(base[last & 0xFF] ^ (last >> 8))
    return tuple(tables)
