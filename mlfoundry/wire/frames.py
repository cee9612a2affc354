"""Slots and points as bytes.

A frame is the length of its header (uint32), the header (JSON) and a body compressed with zstd, all little-endian.
The body of a batch is its slots; that of points is the columns of each series, one after another: steps int64,
times int64, values float64.
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Mapping

from ..errors import InvalidInput
from ..records import Batch, RunKey, Series
from ..slots import SLOT
from .plain import Json, reading, whole

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BATCH_TYPE = "application/vnd.mlfoundry.batch"
POINTS_TYPE = "application/vnd.mlfoundry.points"
BATCH_LIMIT_BYTES = 64 * 1024 * 1024
_LENGTH = struct.Struct("<I")


def _frame(header: Json, body: bytes) -> bytes:
    text = json.dumps(header, separators=(",", ":")).encode()
    return b"".join([_LENGTH.pack(len(text)), text, zstd.compress(body, 1)])


def _read_frame(data: bytes, limit_bytes: int) -> tuple[Json, bytes]:
    (length,) = _LENGTH.unpack_from(data)
    header = json.loads(data[_LENGTH.size : _LENGTH.size + length])
    # The limit holds before memory is taken: a small body may claim to be enormous.
    reader = zstd.ZstdDecompressor()
    body = reader.decompress(data[_LENGTH.size + length :], max_length=limit_bytes + 1)
    if len(body) > limit_bytes or not reader.eof or reader.unused_data:
        raise InvalidInput(f"the body is no single frame of zstd, or holds more than {limit_bytes:,} bytes")
    return header, body


def batch_frame(batch: Batch, names: Mapping[int, tuple[str, ...]]) -> bytes:
    """Return a batch as bytes.

    Args:
        batch: The batch.
        names: Those of its names that its slots use.
    """
    header = {
        "start": batch.start,
        "stop": batch.stop,
        "names": {str(number): keys for number, keys in names.items()},
        "settle": batch.settle,
    }
    return _frame(header, batch.data)


def read_batch(run: RunKey, journal_id: int, data: bytes) -> Batch:
    """Return a batch of one journal of a run from bytes."""
    with reading("batch"):
        header, body = _read_frame(data, BATCH_LIMIT_BYTES)
        names = {int(number): tuple(keys) for number, keys in header["names"].items()}
        if not all(isinstance(key, str) for keys in names.values() for key in keys):
            raise InvalidInput("the names of a batch are text")
        start, stop = whole("start", header), whole("stop", header)
        if len(body) != SLOT * (stop - start):
            raise InvalidInput(
                f"a batch of slots {start} to {stop} holds {len(body)} bytes; it must hold {SLOT} a slot"
            )
        return Batch(run, journal_id, start, stop, body, names, bool(header["settle"]))


def points_frame(series: list[Series]) -> bytes:
    """Return points as bytes."""
    header = {"series": [[each.name, len(each.steps), each.count] for each in series]}
    body = b"".join(
        column.astype(kind, copy=False).tobytes()
        for each in series
        for column, kind in ((each.steps, "<i8"), (each.times, "<i8"), (each.values, "<f8"))
    )
    return _frame(header, body)


def read_points(data: bytes) -> list[Series]:
    """Return points from bytes."""
    import numpy as np

    with reading("answer with points"):
        (length,) = _LENGTH.unpack_from(data)
        header = json.loads(data[_LENGTH.size : _LENGTH.size + length])
        body = zstd.decompress(data[_LENGTH.size + length :])
        found, at = [], 0
        for name, size, count in header["series"]:
            starts = (at, at + 8 * size, at + 16 * size)
            steps, times, values = (
                np.frombuffer(body, kind, size, start).copy()
                for kind, start in zip(("<i8", "<i8", "<f8"), starts, strict=True)
            )
            found.append(Series(name, steps, times, values, count))
            at += 24 * size
        return found
