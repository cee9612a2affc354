"""Slots and points as bytes.

A frame is the length of its header (uint32), the header (JSON) and a body compressed with zstd, all little-endian.
The body of a batch is its slots; that of points is the columns of each series, one after another: steps int64,
times int64, values float64.
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Callable, Mapping

from ..errors import InvalidInput
from ..json_texts import read_json
from ..records import Batch, RunKey, Series
from ..slots import SLOT
from .plain import Json, reading, whole

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BATCH_TYPE = "application/vnd.mlfoundry.batch"
POINTS_TYPE = "application/vnd.mlfoundry.points"
SLOTS_LIMIT_BYTES = 64 * 1024 * 1024  # of a batch, once unpacked
ANSWER_LIMIT_BYTES = 256 * 1024 * 1024  # several times what a server sends at once, packed or unpacked
HEADER_LIMIT_BYTES = 16 * 1024 * 1024
WINDOW_LOG_LIMIT = 24  # a frame that asks for more memory to be read is none of ours
_LENGTH = struct.Struct("<I")


def frame(header: Json, body: bytes) -> bytes:
    """Return a frame."""
    text = json.dumps(header, separators=(",", ":")).encode()
    return b"".join([_LENGTH.pack(len(text)), text, zstd.compress(body, 1)])


def read_frame(data: bytes, size_of: Callable[[Json], int]) -> tuple[Json, bytes]:
    """Return the header and the body of a frame.

    Args:
        data: The frame.
        size_of: Tells from the header how many bytes the body has. No more memory is taken than that, whatever a
            small body would unpack to.
    """
    (length,) = _LENGTH.unpack_from(data)
    if length > HEADER_LIMIT_BYTES or _LENGTH.size + length > len(data):
        raise InvalidInput(f"the header of a frame of {len(data):,} bytes cannot have {length:,}")
    header = read_json(data[_LENGTH.size : _LENGTH.size + length])
    size = size_of(header)
    if size > ANSWER_LIMIT_BYTES:
        raise InvalidInput(f"the body of a frame cannot have {size:,} bytes; at most {ANSWER_LIMIT_BYTES:,} are read")
    reader = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: WINDOW_LOG_LIMIT})
    try:
        body = reader.decompress(data[_LENGTH.size + length :], max_length=size + 1)
    except zstd.ZstdError as error:
        raise InvalidInput(f"the body of a frame is no zstd ({error})") from error
    if len(body) != size or not reader.eof or reader.unused_data:
        raise InvalidInput(f"the body of a frame is not one frame of zstd that holds {size:,} bytes")
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
    return frame(header, batch.data)


def read_batch(run: RunKey, journal_id: int, data: bytes) -> Batch:
    """Return a batch of one journal of a run from bytes."""
    with reading("batch"):
        header, body = read_frame(data, _batch_size)
        names = {int(number): tuple(keys) for number, keys in header["names"].items()}
        if not all(isinstance(key, str) for keys in names.values() for key in keys):
            raise InvalidInput("the names of a batch are text")
        return Batch(run, journal_id, header["start"], header["stop"], body, names, bool(header["settle"]))


def _batch_size(header: Json) -> int:
    start, stop = whole("start", header), whole("stop", header)
    size = SLOT * (stop - start)
    if not 0 <= start <= stop or size > SLOTS_LIMIT_BYTES:
        raise InvalidInput(
            f"a batch cannot hold slots {start} to {stop}; it holds at most {SLOTS_LIMIT_BYTES // SLOT:,}"
        )
    return size


def points_frame(series: list[Series]) -> bytes:
    """Return points as bytes."""
    header = {"series": [[each.name, len(each.steps), each.count] for each in series]}
    body = b"".join(
        column.astype(kind, copy=False).tobytes()
        for each in series
        for column, kind in ((each.steps, "<i8"), (each.times, "<i8"), (each.values, "<f8"))
    )
    return frame(header, body)


def read_points(data: bytes) -> list[Series]:
    """Return points from bytes."""
    import numpy as np

    with reading("answer with points"):
        header, body = read_frame(data, _points_size)
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


def _points_size(header: Json) -> int:
    sizes = [size for _, size, _ in header["series"]]
    if not all(type(size) is int and size >= 0 for size in sizes):
        raise InvalidInput("a series has no negative number of points")
    return 24 * sum(map(int, sizes))
