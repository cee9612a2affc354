"""Journals as a dead process leaves them, and a reader of its own: what the product's reader is compared with.

conftest puts it where the test modules can import it.
"""

from __future__ import annotations

import itertools
import json
import struct
from pathlib import Path

from mlfoundry.journal import Journal
from mlfoundry.journal.segment import Segment
from mlfoundry.records import NewRun
from mlfoundry.shipping import recovery

SLOT = 32
RUN_ID = "0123456789abcdef" * 2


def origin(**more):
    new = NewRun(
        run_id=RUN_ID,
        project_name="p",
        run_name="x",
        owner=None,
        tags={},
        description="",
        started_at_us=1_700_000_000_000_000,
    )
    return recovery.origin(new, user="ann", uri="here", role="owner", pid=1) | more


def leave_journal(root: Path, records: int) -> Path:
    """Leave a journal of points, rows, uneven rows and documents, as a dead process leaves it; return its folder."""
    journal = Journal(root, origin())
    journal.open()
    for number in range(records):
        match number % 7:
            case 0:
                journal.log({"a": float(number), "b": -float(number), "c": number / 7}, None)
            case 1 | 2 | 3:
                journal.log({"a": number / 3}, None)
            case 4:
                journal.write({"kind": "params", "values": {f"p{number}": ["int", str(number)]}})
            case 5:
                journal.log({"b": float("nan"), "a": float("inf")}, None)
            case 6:
                journal.log({f"key{number % 5}": -0.0}, number)
    folder = journal.folder
    journal.close(settled=False)
    return folder


def records_of(data: bytes, start: int = 0):
    """Yield (first byte, last byte + 1, kind, body) of each record of intact slots: a reader of its own."""
    place = start
    while place < len(data):
        check, kind, length = struct.unpack_from("<III", data, place)
        if check == kind == length == 0:
            return
        taken = SLOT if kind < 2**31 else SLOT * (1 + -(-length // SLOT))
        yield place, place + taken, kind, data[place : place + taken]
        place += taken


def covered(record) -> int:
    """Return the byte after what the check of a record covers: zeros that fill its last slot are outside."""
    first, stop, kind, body = record
    return stop if kind < 2**31 else first + SLOT + struct.unpack_from("<I", body, 8)[0]


def unchanged_in(damaged: bytes, records):
    """Return the records whose bytes stand in `damaged` as they were."""
    return [
        record
        for record in records
        if len(damaged) >= record[1]
        and damaged[record[0] : covered(record)] == record[3][: covered(record) - record[0]]
    ]


def told_by(records):
    """Return (points, params, names) that these records hold; points as (key number, column, step, bits)."""
    points, params, names = [], {}, {}
    for _, _, kind, body in records:
        if kind < 2**31:
            _, number, step, _, bits = struct.unpack("<IIqqQ", body)
            points.append((number, 0, step, bits))
            continue
        _, _, length, number, step, _ = struct.unpack_from("<IIIIqq", body)
        payload = body[SLOT : SLOT + length]
        count = length // 8
        if kind == 2**31 + 1:
            bits = struct.unpack(f"<{count}Q", payload)
            points += [(number, column, step, bits[column]) for column in range(count)]
        elif kind == 2**31 + 2:
            half = count // 2
            steps, bits = (
                struct.unpack(f"<{half}q", payload[: 8 * half]),
                struct.unpack(f"<{half}Q", payload[8 * half :]),
            )
            points += [(number, column, steps[column], bits[column]) for column in range(half)]
        else:
            content = json.loads(payload)
            if content["kind"] == "params":
                params.update(content["values"])
            elif content["kind"] == "keys":
                names.update({int(key): tuple(each) for key, each in content["names"].items()})
    return points, params, names


def intact_records(files, without=()):
    """Return the records of these files; those of `without` are gone, but for the definitions that others repeat."""
    found = []
    for file, following in itertools.zip_longest(files, files[1:]):
        if file in without:
            continue
        base, _, preamble = Segment.parse_name(file.name)
        data = file.read_bytes()
        if following is not None:
            data = data[: (preamble + Segment.parse_name(following.name)[0] - base) * SLOT]
        found += [r for r in records_of(data[: preamble * SLOT]) if b'"keys"' in r[3][:64]]
        found += list(records_of(data, preamble * SLOT))
    return found
