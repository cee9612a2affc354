"""Chunks: stretches of one series as bytes, and the few points of each that stand for it in a drawing.

A chunk is columns of steps, times and values. Small ones are kept plain; from 32 points on the
steps and times are differenced, all bytes grouped by place and compressed with zstd, which takes less
than 8 bytes a point for noise and far less for smooth curves or float32 values.
"""

from __future__ import annotations

import struct
import sys
import threading
from collections.abc import Sequence
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
_WIDTHS = (0, 1, 2, 4, 8)
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
    return encode_all((steps[None], times[None], values[None]))[0]


def encode_all(points: Points) -> list[bytes]:
    """Return many stretches of one length, a row of each array, as `encode` returns each: in a fraction of the time."""
    steps, times = (column.astype("<i8", copy=False) for column in points[:2])
    values = points[2].astype("<f8", copy=False)
    rows, count = values.shape
    if count < _COMPRESS_FROM:
        plain = np.concatenate([steps, times, values.view("<i8")], axis=1).tobytes()
        return [_PLAIN + part for part in _cut_up(plain, rows)]
    (step_heads, step_parts), (time_heads, time_parts) = _differences(steps), _differences(times)
    encoded = []
    # Frames of their own: one Huffman table for all would be spoiled by the lowest bytes, which are noise.
    cut = 6 * count
    for row, places in enumerate(_cut_up(_grouped(values), rows)):
        parts = (step_parts[row] + time_parts[row], places[:cut], places[cut:])
        frames = [_compressed(part) for part in parts]
        head = _COUNTS.pack(count, len(frames[0]), len(frames[1]))
        encoded.append(b"".join([_ZSTD, head, step_heads[row], time_heads[row], *frames]))
    return encoded


def _cut_up(data: bytes, count: int) -> list[bytes]:
    size = len(data) // count
    return [data[size * number : size * number + size] for number in range(count)]


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


def _differences(columns: NDArray[np.int64]) -> tuple[list[bytes], list[bytes]]:
    """Return the heads of columns, and what the differences of each exceed their least by, in the narrowest type."""
    differences = np.empty_like(columns)
    np.subtract(columns[:, 1:], columns[:, :-1], out=differences[:, 1:])
    differences[:, 0] = differences[:, 1]  # the first has none; this one costs nothing
    least = differences.min(axis=1)
    excess = differences.view(np.uint64) - least.view(np.uint64)[:, None]  # modulo 2^64: any int64 may follow any other
    widths = [next(width for width in _WIDTHS if most < 1 << 8 * width) for most in excess.max(axis=1).tolist()]
    heads = [_HEAD.pack(*each) for each in zip(columns[:, 0].tolist(), least.tolist(), widths, strict=True)]
    parts = [b""] * len(widths)
    for width in set(widths) - {0}:
        alike = [row for row, each in enumerate(widths) if each == width]
        narrow = _grouped((excess if len(alike) == len(widths) else excess[alike]).astype(f"<u{width}"))
        for row, part in zip(alike, _cut_up(narrow, len(alike)), strict=True):
            parts[row] = part
    return heads, parts


def _summed(excess: NDArray[Any] | None, first: int, least: int, out: NDArray[np.int64]) -> None:
    sums = out.view(np.uint64)
    sums[:] = np.uint64(least % 2**64)
    if excess is not None:
        sums += excess
    sums[0] = np.uint64(first % 2**64)
    np.cumsum(sums, out=sums)


def _grouped(columns: NDArray[Any]) -> bytes:
    """Return the bytes of each column by their place, which compresses better."""
    rows, _ = columns.shape
    return np.ascontiguousarray(columns).view(np.uint8).reshape(rows, -1, columns.itemsize).transpose(0, 2, 1).tobytes()


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


def extremes(values: NDArray[np.float64]) -> tuple[list[float | None], list[float | None]]:
    """Return the least and the greatest value of each row, NaN left out; None where there is no other."""
    least, greatest = np.fmin.reduce(values, axis=1).tolist(), np.fmax.reduce(values, axis=1).tolist()
    return [None if value != value else value for value in least], [None if v != v else v for v in greatest]


def stacked(parts: Sequence[Points]) -> Points:
    """Return stretches of one length as the rows of one array each."""
    steps, times, values = (np.concatenate(column).reshape(len(parts), -1) for column in zip(*parts, strict=True))
    return steps, times, values
