"""Chunks: stretches of one series as bytes, and the few points of each that stand for it in a drawing.

A chunk is columns of steps, times and values. Small ones are kept plain; from 32 points on the
columns are differenced (steps, times), their bytes regrouped by place and compressed with zstd, which
takes 8 bytes a point for noise and far less for smooth curves or float32 values.
"""

from __future__ import annotations

import sys
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


def encode(points: Points) -> bytes:
    """Return (steps, times, values) of one length as bytes."""
    steps, times, values = points
    if len(steps) < _COMPRESS_FROM:
        return _PLAIN + steps.astype("<i8").tobytes() + times.astype("<i8").tobytes() + values.astype("<f8").tobytes()
    columns = [np.diff(steps, prepend=0), np.diff(times, prepend=0), values]
    grouped = [np.ascontiguousarray(c).view(np.uint8).reshape(-1, 8).T.tobytes() for c in columns]
    return _ZSTD + zstd.compress(b"".join(grouped), 1)


def decode(data: bytes) -> Points:
    """Return (steps, times, values): the inverse of `encode`, bit for bit."""
    if data[:1] == _PLAIN:
        columns = np.frombuffer(data, "<i8", offset=1).reshape(3, -1)
        return columns[0], columns[1], columns[2].view("<f8")
    raw = np.frombuffer(zstd.decompress(memoryview(data)[1:]), np.uint8).reshape(3, 8, -1)
    columns = np.ascontiguousarray(raw.transpose(0, 2, 1)).view("<i8")[:, :, 0]
    return np.cumsum(columns[0]), np.cumsum(columns[1]), columns[2].view("<f8")


def join(parts: list[Points]) -> Points:
    """Return several stretches as one."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64)
    steps, times, values = zip(*parts, strict=True)
    return np.concatenate(steps), np.concatenate(times), np.concatenate(values)


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
    steps, times, values = thin(points, OVERVIEW_STRETCHES)
    return steps.astype("<i8").tobytes() + times.astype("<i8").tobytes() + values.astype("<f8").tobytes()


def read_overview(data: bytes) -> Points:
    """Return the points of an overview."""
    return decode(_PLAIN + data)


def extremes(values: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Return the least and the greatest value, NaN left out; None twice when there is no other."""
    least = float(np.fmin.reduce(values))
    return (None, None) if least != least else (least, float(np.fmax.reduce(values)))
