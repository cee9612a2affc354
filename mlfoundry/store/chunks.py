"""Chunks: stretches of one series as bytes, and the few points of each that stand for it in a drawing.

A chunk is columns of steps, times and values. Small ones are kept plain; from 32 points on the
steps and times are differenced, all bytes grouped by place and compressed with zstd, which takes less
than 8 bytes a point for noise and far less for smooth curves or float32 values.
"""

from __future__ import annotations

import struct
import sys
import threading
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Points = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]

SEALED = 4096
OVERVIEW_FROM = 256
OVERVIEW_STRETCHES = 4
_PLAIN, _ZSTD = b"\x00", b"\x01"
_COMPRESS_FROM = 32
_COUNTS = struct.Struct("<III")
_HEAD = struct.Struct("<qqB")
_ONE = struct.Struct("<qqd")
_own = threading.local()
_LONE = np.dtype([("kind", "u1"), ("step", "<i8"), ("time", "<i8"), ("value", "<f8")])


def encode(points: Points) -> bytes:
    """Return (steps, times, values) of one length as bytes.

    The layout after the first byte, little-endian: u32 count, u32 lengths of the first two frames; then for
    steps and for times the first value i64, the least difference i64 and the width u8 (0, 1, 2, 4 or 8
    bytes) of what differences exceed it by; then three zstd frames: those excesses; the six lower bytes of
    the values; the two upper ones; each column by place of its bytes (all lowest bytes first).
    """
    steps, times, values = points
    if len(steps) == 1:
        return _PLAIN + _ONE.pack(steps[0], times[0], values[0])
    if len(steps) < _COMPRESS_FROM:
        return _PLAIN + steps.astype("<i8").tobytes() + times.astype("<i8").tobytes() + values.astype("<f8").tobytes()
    heads, columns = [], []
    for column in (steps, times):
        head, excess = _differences(column.astype("<i8", copy=False))
        heads.append(head)
        columns.append(_grouped(excess))
    places = _grouped(values.astype("<f8", copy=False))
    # Frames of their own: one Huffman table for all would be spoiled by the lowest bytes, which are noise.
    cut = 6 * len(steps)
    frames = [_compressed(part) for part in (b"".join(columns), places[:cut], places[cut:])]
    return b"".join([_ZSTD, _COUNTS.pack(len(steps), len(frames[0]), len(frames[1])), *heads, *frames])


def decode(data: bytes) -> Points:
    """Return (steps, times, values): the inverse of `encode`, bit for bit."""
    count = size(data)
    points = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count, np.float64)
    decode_into(data, points)
    return points


def size(data: bytes) -> int:
    """Return the number of points of an encoded stretch."""
    if data[:1] == _PLAIN:
        return (len(data) - 1) // 24
    return int(_COUNTS.unpack_from(data, 1)[0])


def decode_into(data: bytes, points: Points) -> None:
    """Write what `encode` was given into arrays of its length."""
    steps, times, values = points
    if data[:1] == _PLAIN:
        columns = np.frombuffer(data, "<i8", offset=1).reshape(3, -1)
        steps[:], times[:], values[:] = columns[0], columns[1], columns[2].view("<f8")
        return
    count, first_length, second_length = _COUNTS.unpack_from(data, 1)
    at = 1 + _COUNTS.size + 2 * _HEAD.size
    ends = (at, at + first_length, at + first_length + second_length, len(data))
    view = memoryview(data)
    frames = [_inflated(view[start:stop]) for start, stop in pairwise(ends)]
    raw, at = np.frombuffer(frames[0], np.uint8), 0
    for i, column in enumerate((steps, times)):
        first, least, width = _HEAD.unpack_from(data, 1 + _COUNTS.size + i * _HEAD.size)
        _summed(_ungrouped(raw[at : at + count * width], f"<u{width}") if width else None, first, least, column)
        at += count * width
    values[:] = _ungrouped(np.frombuffer(frames[1] + frames[2], np.uint8), "<f8")


def _compressed(data: bytes) -> bytes:
    """Return one frame. To make a compressor costs more than to compress a small chunk, so each thread keeps one."""
    compressor = getattr(_own, "compressor", None)
    if compressor is None:
        compressor = _own.compressor = zstd.ZstdCompressor(1)
    frame: bytes = compressor.compress(data, zstd.ZstdCompressor.FLUSH_FRAME)
    return frame


def _inflated(frame: memoryview) -> bytes:
    decompressor = zstd.ZstdDecompressor()
    data: bytes = decompressor.decompress(frame)
    if not decompressor.eof:
        raise zstd.ZstdError("the frame is cut off")
    return data


def _differences(column: NDArray[np.int64]) -> tuple[bytes, NDArray[Any]]:
    """Return the head of a column and what its differences exceed their least by, in the narrowest type."""
    differences = np.empty_like(column)
    np.subtract(column[1:], column[:-1], out=differences[1:])
    differences[0] = differences[1]  # the first has none; this one costs nothing
    least = differences.min()
    excess = differences.view(np.uint64) - least.view(np.uint64)  # modulo 2^64: any int64 may follow any other
    most = int(excess.max())
    width = next(width for width in (0, 1, 2, 4, 8) if most < 1 << 8 * width)
    head = _HEAD.pack(int(column[0]), int(least), width)
    return head, excess.astype(f"<u{width}") if width else np.empty(0, np.uint8)


def _summed(excess: NDArray[Any] | None, first: int, least: int, out: NDArray[np.int64]) -> None:
    sums = out.view(np.uint64)
    sums[:] = np.uint64(least % 2**64)
    if excess is not None:
        sums += excess
    sums[0] = np.uint64(first % 2**64)
    np.cumsum(sums, out=sums)


def _grouped(column: NDArray[Any]) -> bytes:
    """Return a column's bytes by their place, which compresses better."""
    return np.ascontiguousarray(column).view(np.uint8).reshape(-1, column.itemsize).T.tobytes()


def _ungrouped(raw: NDArray[np.uint8], dtype: str) -> NDArray[Any]:
    width = np.dtype(dtype).itemsize
    planes = raw.reshape(width, -1)
    out = np.empty((planes.shape[1], width), np.uint8)
    for place in range(width):  # faster than one transposed copy
        out[:, place] = planes[place]
    return out.view(dtype)[:, 0]


def join(parts: list[Points]) -> Points:
    """Return several stretches as one."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64)
    steps, times, values = zip(*parts, strict=True)
    return np.concatenate(steps), np.concatenate(times), np.concatenate(values)


def decode_all(blobs: list[bytes]) -> Points:
    """Return several encoded stretches as one."""
    if all(len(data) == _LONE.itemsize for data in blobs):  # a point each, as a metric that is logged now and then has
        lone = np.frombuffer(b"".join(blobs), _LONE)
        return lone["step"].copy(), lone["time"].copy(), lone["value"].copy()
    ends = [0, *accumulate(size(data) for data in blobs)]
    points = np.empty(ends[-1], np.int64), np.empty(ends[-1], np.int64), np.empty(ends[-1], np.float64)
    for data, start, stop in zip(blobs, ends[:-1], ends[1:], strict=True):
        decode_into(data, cut(points, start, stop))
    return points


def cut(points: Points, start: int, stop: int | None = None) -> Points:
    """Return a stretch of points."""
    return points[0][start:stop], points[1][start:stop], points[2][start:stop]


def in_order(points: Points) -> Points:
    """Return points by step, then time, then arrival."""
    steps, times, values = points
    if len(steps) < 2 or bool((steps[1:] > steps[:-1]).all()):
        return points
    order = np.lexsort((times, steps))
    return steps[order], times[order], values[order]


def thin(points: Points, buckets: int) -> Points:
    """Return the first, last, least and greatest point of each of `buckets` stretches of equal count.

    Source: Jugel et al., "M4: A Visualization-Oriented Time Series Data Aggregation", VLDB 2014. NaN is
    neither least nor greatest.
    """
    steps, times, values = points
    count = len(steps)
    if count <= 4 * buckets:
        return points
    edges = np.linspace(0, count, buckets + 1).astype(np.int64)
    starts = edges[:-1]
    # A NaN in a stretch would win both searches: it is replaced by what can win neither.
    absent = np.isnan(values)
    if count % buckets == 0 and not bool(absent.any()):
        table = values.reshape(buckets, -1)
        least, greatest = starts + table.argmin(axis=1), starts + table.argmax(axis=1)
    else:
        least = _positions(np.where(absent, np.inf, values), edges, np.minimum)
        greatest = _positions(np.where(absent, -np.inf, values), edges, np.maximum)
    kept = np.unique(np.concatenate([starts, edges[1:] - 1, least, greatest]))
    return steps[kept], times[kept], values[kept]


def _positions(values: NDArray[np.float64], edges: NDArray[np.int64], best: Any) -> NDArray[np.int64]:
    """Return where each stretch first reaches its best value."""
    starts = edges[:-1]
    wanted = np.repeat(best.reduceat(values, starts), np.diff(edges))
    hits = np.flatnonzero(values == wanted)
    return hits[np.searchsorted(hits, starts)]


def overview(points: Points) -> bytes | None:
    """Return the points that stand for a chunk in a drawing as bytes, None for a small chunk."""
    if len(points[0]) < OVERVIEW_FROM:
        return None
    steps, times, values = thin(in_order(points), OVERVIEW_STRETCHES)
    return steps.astype("<i8").tobytes() + times.astype("<i8").tobytes() + values.astype("<f8").tobytes()


def read_overview(data: bytes) -> Points:
    """Return the points of an overview."""
    return decode(_PLAIN + data)


def extremes(values: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Return the least and the greatest value, NaN left out; None twice when there is no other."""
    if len(values) == 1:
        only = float(values[0])
        return (None, None) if only != only else (only, only)
    least = float(np.fmin.reduce(values))
    return (None, None) if least != least else (least, float(np.fmax.reduce(values)))
