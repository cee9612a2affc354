"""The points of metrics: stored in chunks, merged as they grow, read whole, thinned, or from a count on.

The chunks of a series lie one behind the other: ``seq`` is the number of points before a chunk, so a
reader that has n points asks for those after n, whatever was merged meanwhile. Points stand in the
order in which their batches were committed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..names import SYSTEM_PREFIX
from ..records import RunKey, Series
from ..slots import Rows
from . import chunks, keys
from .chunks import SEALED, Points
from .database import Transaction
from .keys import key_id

MERGE_PIECES = 64
SEAL_FROM = 1024
_BLOCK = 200  # rows of one statement
_MERGED_AT_ONCE = 64  # series whose points are held at once: 6 MB, and copies
_STRETCH = 256 * SEALED  # points that are held at once to be thinned: 25 MB, and copies


def columns(rows: Iterable[Rows], names: Mapping[int, Sequence[str]]) -> tuple[dict[str, Points], int]:
    """Return decoded rows as one column a metric, in the order of logging.

    Returns:
        The columns, and the number of points whose key nobody knows (its definition is damaged).
    """
    parts: dict[str, list[tuple[Any, Points]]] = {}
    nameless = 0
    for each in rows:
        known = names.get(each.number)
        if known is None or len(known) != each.values.shape[1]:
            nameless += each.values.size
            continue
        for column, name in enumerate(known):
            steps = each.steps if each.steps.ndim == 1 else each.steps[:, column]
            parts.setdefault(name, []).append((each.order, (steps, each.times, each.values[:, column])))
    found = {}
    for name, stretches in parts.items():
        points = chunks.join([stretch for _, stretch in stretches])
        if len(stretches) > 1:
            order = np.argsort(np.concatenate([order for order, _ in stretches]), kind="stable")
            points = (points[0][order], points[1][order], points[2][order])
        found[name] = points
    return found, nameless


@dataclass(slots=True)
class _Growth:
    """A series after its row has grown by `points`."""

    system: int
    key: int
    points: Points
    n: int
    pieces: int
    sealed: int


def write(tx: Transaction, run: RunKey, new: Mapping[str, Points]) -> None:
    """Append points to the series of a run."""
    by_key = {key_id(name): (name, points) for name, points in new.items() if len(points[0])}
    ordered = sorted(by_key)  # all writers lock series in one order
    grown: list[_Growth] = []
    for start in range(0, len(ordered), _BLOCK):
        block = ordered[start : start + _BLOCK]
        found = _series_values(run, block, by_key)
        values = [value for key in block for value in found[key]]
        rows = tx.rows(_UPSERT.format(rows=", ".join([_UPSERT_ROW] * len(block))), values)
        grown += [_Growth(system, key, by_key[key][1], *counts) for system, key, *counts in rows]
    for kind in ("metric", "system"):
        system = int(kind == "system")
        keys.note(tx, run, kind, [by_key[g.key][0] for g in grown if g.n == len(g.points[0]) and g.system == system])
    # The threshold differs from key to key, so that keys logged together do not all merge at once.
    is_due = [g.pieces >= MERGE_PIECES + g.key % 16 or g.n - g.sealed >= SEALED for g in grown]
    _merge(tx, run, [growth for growth, due in zip(grown, is_due, strict=True) if due])
    pieces = [growth for growth, due in zip(grown, is_due, strict=True) if not due]
    starts = [(each.key, each.n - len(each.points[0]), each.points) for each in pieces]
    tx.run_many(_INSERT_CHUNK, _chunk_values(run, starts))


_UPSERT_ROW = "(?, ?, ?, ?, ?, 1, 0, ?, ?, ?, ?, ?)"
_UPSERT = """
INSERT INTO series (project_id, run_id, system, key_id, n, pieces, sealed, last_step, last_at, last, lowest, highest)
VALUES {rows}
ON CONFLICT (project_id, run_id, system, key_id) DO UPDATE SET
  n = series.n + excluded.n,
  pieces = series.pieces + 1,
  last = CASE WHEN (excluded.last_step, excluded.last_at) > (series.last_step, series.last_at)
    OR (excluded.last_step, excluded.last_at) = (series.last_step, series.last_at)
    AND (series.last IS NULL OR excluded.last >= series.last) THEN excluded.last ELSE series.last END,
  last_at = CASE WHEN (excluded.last_step, excluded.last_at) > (series.last_step, series.last_at)
    THEN excluded.last_at ELSE series.last_at END,
  last_step = CASE WHEN excluded.last_step > series.last_step THEN excluded.last_step ELSE series.last_step END,
  lowest = CASE WHEN series.lowest IS NULL OR excluded.lowest < series.lowest
    THEN excluded.lowest ELSE series.lowest END,
  highest = CASE WHEN series.highest IS NULL OR excluded.highest > series.highest
    THEN excluded.highest ELSE series.highest END
RETURNING system, key_id, n, pieces, sealed
"""
_INSERT_CHUNK = "INSERT INTO chunk (project_id, run_id, key_id, seq, n, overview, data) VALUES (?, ?, ?, ?, ?, ?, ?)"


def _series_values(
    run: RunKey, wanted: Sequence[int], by_key: Mapping[int, tuple[str, Points]]
) -> dict[int, list[Any]]:
    """Return the row of each key as `_UPSERT_ROW` takes it."""
    blob, found = bytes.fromhex(run.run_id), {}
    for alike in _of_one_length((key, by_key[key][1]) for key in wanted):
        points = steps, times, values = chunks.stacked([each for _, each in alike])
        count = steps.shape[1]
        lows, highs = chunks.extremes(values)
        in_order: list[bool] = np.all(steps[:, 1:] > steps[:, :-1], axis=1).tolist()
        lasts = [steps[:, -1].tolist(), times[:, -1].tolist(), values[:, -1].tolist()]
        for row, (key, _) in enumerate(alike):
            last = [column[row] for column in lasts] if in_order[row] else _last(*(column[row] for column in points))
            last_value = None if math.isnan(last[2]) else last[2]
            system = int(by_key[key][0].startswith(SYSTEM_PREFIX))
            head = [run.project_id, blob, system, key, count, last[0], last[1]]
            found[key] = [*head, last_value, lows[row], highs[row]]
    return found


def _last(steps: NDArray[np.int64], times: NDArray[np.int64], values: NDArray[np.float64]) -> list[Any]:
    """Return step, time and value of the last point.

    At one step and time the greatest value is the last; a NaN only when there is no number there.
    """
    at = np.lexsort((np.where(np.isnan(values), -np.inf, values), ~np.isnan(values), times, steps))[-1]
    return [int(steps[at]), int(times[at]), float(values[at])]


def _of_one_length(many: Iterable[tuple[Any, Points]]) -> list[list[tuple[Any, Points]]]:
    """Return stretches with what belongs to each, those of one length together: they are worked on as one array."""
    found: dict[int, list[tuple[Any, Points]]] = {}
    for each in many:
        found.setdefault(len(each[1][0]), []).append(each)
    return list(found.values())


def _chunk_values(run: RunKey, stretches: Iterable[tuple[int, int, Points]]) -> list[list[Any]]:
    """Return the rows of chunks from (key, points of the series before it, points)."""
    blob, rows = bytes.fromhex(run.run_id), []
    for alike in _of_one_length(((key, seq), points) for key, seq, points in stretches):
        encoded = chunks.encode_all(chunks.stacked([points for _, points in alike]))
        for ((key, seq), points), data in zip(alike, encoded, strict=True):
            rows.append([run.project_id, blob, key, seq, len(points[0]), chunks.overview(points), data])
    return rows


def _merge(tx: Transaction, run: RunKey, due: Iterable[_Growth], *, finish: bool = False) -> None:
    """Write the open chunks of series and their new points as few large chunks; seal the full ones."""
    alike: dict[int, list[_Growth]] = {}
    for growth in due:
        alike.setdefault(growth.sealed, []).append(growth)
    for sealed, growths in alike.items():
        for start in range(0, len(growths), _MERGED_AT_ONCE):
            _merge_alike(tx, run, growths[start : start + _MERGED_AT_ONCE], sealed, finish=finish)


def _merge_alike(tx: Transaction, run: RunKey, growths: Sequence[_Growth], sealed: int, *, finish: bool) -> None:
    """Merge series whose chunks are sealed up to the same count."""
    where = (run.project_id, bytes.fromhex(run.run_id), *(growth.key for growth in growths), sealed)
    marks = ", ".join("?" * len(growths))
    rows = tx.rows(
        f"SELECT key_id, data FROM chunk WHERE project_id = ? AND run_id = ? AND key_id IN ({marks}) AND seq >= ? "
        "ORDER BY key_id, seq",
        where,
    )
    tx.run(f"DELETE FROM chunk WHERE project_id = ? AND run_id = ? AND key_id IN ({marks}) AND seq >= ?", where)
    stored = {key: [data for _, data in of_key] for key, of_key in groupby(rows, lambda row: row[0])}
    made: list[tuple[int, int, Points]] = []
    outcomes: dict[tuple[int, int, int], list[int]] = {}
    for growth in growths:
        points = chunks.join([chunks.decode_all(stored.get(growth.key, [])), growth.points])
        count = len(points[0])
        starts = range(0, count, SEALED)
        made += [(growth.key, sealed + start, chunks.cut(points, start, start + SEALED)) for start in starts]
        rest = count % SEALED
        is_open = rest > 0 and (finish or rest < SEAL_FROM)
        outcome = (growth.system, int(is_open), sealed + count - (rest if is_open else 0))
        outcomes.setdefault(outcome, []).append(growth.key)
    tx.run_many(_INSERT_CHUNK, _chunk_values(run, made))
    for (system, pieces, sealed_now), keys_alike in outcomes.items():
        marks = ", ".join("?" * len(keys_alike))
        tx.run(
            "UPDATE series SET pieces = ?, sealed = ? "
            f"WHERE project_id = ? AND run_id = ? AND system = ? AND key_id IN ({marks})",
            (pieces, sealed_now, *where[:2], system, *keys_alike),
        )


def compact(tx: Transaction, run: RunKey) -> None:
    """Merge what is left open of every series of a run, because the run has ended."""
    empty = chunks.join([])
    rows = tx.rows(
        "SELECT system, key_id, n, pieces, sealed FROM series WHERE project_id = ? AND run_id = ? AND pieces > 1 "
        "ORDER BY key_id",
        (run.project_id, bytes.fromhex(run.run_id)),
    )
    _merge(
        tx,
        run,
        [_Growth(system, key, empty, n, pieces, sealed) for system, key, n, pieces, sealed in rows],
        finish=True,
    )


# -- reading -------------------------------------------------------------------------------------


def read(
    tx: Transaction, run: RunKey, name: str, *, max_points: int | None = None, since: int = 0, most: int | None = None
) -> Series:
    """Return the points of one metric after the first `since`, `most` of them; an unknown metric has none.

    With `max_points`, which is about all of them, no more memory is taken than for a stretch of them and the answer.
    """
    where = (run.project_id, bytes.fromhex(run.run_id), key_id(name))
    found = tx.row(
        "SELECT n FROM series WHERE project_id = ? AND run_id = ? AND system = ? AND key_id = ?",
        (*where[:2], int(name.startswith(SYSTEM_PREFIX)), where[2]),
    )
    count = 0 if found is None else int(found[0])
    wanted = count - since
    if wanted <= 0:
        return Series(name, *chunks.join([]), count)
    if max_points is not None:
        points = _thinned(tx, where, count, max_points)
    elif most is None:
        points = _points(tx, where, since)
    else:
        points = chunks.cut(_points(tx, where, since, min(count, since + most)), 0, most)
    return Series(name, *chunks.in_order(points), count)


def _thinned(tx: Transaction, where: tuple[int, bytes, int], count: int, max_points: int) -> Points:
    """Return at most so many points of a series, of stretches of it that are thinned themselves where it is long."""
    buckets = max(1, max_points // 4)
    if count / (chunks.SEALED // chunks.OVERVIEW_STRETCHES) >= max_points / 16:
        return chunks.thin(chunks.in_order(_overviews(tx, where)), buckets)
    parts = []
    for start in range(0, count, _STRETCH):
        size = min(_STRETCH, count - start)
        points = chunks.in_order(chunks.cut(_points(tx, where, start, start + size), 0, size))
        if size < count:  # twice its share, so that buckets which begin elsewhere in the end still find their least
            points = chunks.thin(points, math.ceil(2 * buckets * size / count))
        parts.append(points)
    return chunks.thin(chunks.in_order(chunks.join(parts)), buckets)


def read_new(tx: Transaction, run: RunKey, counts: Mapping[str, int], since: Mapping[str, int]) -> list[Series]:
    """Return the points of several metrics after the first `since` of each.

    Metrics that are logged together are read together, in one statement.

    Args:
        tx: The transaction.
        run: The run.
        counts: How many points each metric has; the answer is in this order.
        since: How many of them the reader has.
    """
    where = (run.project_id, bytes.fromhex(run.run_id))
    alike: dict[int, list[int]] = {}
    for name, count in counts.items():
        known = since.get(name, 0)
        if count > known:
            alike.setdefault(known, []).append(key_id(name))
    found: dict[int, Points] = {}
    for start, keys_alike in alike.items():
        for block in range(0, len(keys_alike), _BLOCK):
            found.update(_new_points(tx, where, keys_alike[block : block + _BLOCK], start))
    none = chunks.join([])
    return [Series(name, *found.get(key_id(name), none), count) for name, count in counts.items()]


def _new_points(tx: Transaction, run: tuple[int, bytes], keys_alike: Sequence[int], since: int) -> dict[int, Points]:
    """Return the points of some keys after the first `since`, by key."""
    marks = ", ".join("?" * len(keys_alike))
    rows = tx.rows(
        f"SELECT key_id, seq, data FROM chunk WHERE project_id = ? AND run_id = ? AND key_id IN ({marks}) "
        "AND seq >= ? ORDER BY key_id, seq",
        (*run, *keys_alike, since),
    )
    points = chunks.decode_all([data for _, _, data in rows])
    if len(rows) == len(points[0]) == len(keys_alike) and all(seq == since for _, seq, _ in rows):
        # A point each: nearly always, while somebody watches a run.
        return {key: chunks.cut(points, place, place + 1) for place, (key, _, _) in enumerate(rows)}
    whole: dict[int, Points] = {}
    end = 0
    for key, of_key in groupby(rows, lambda row: row[0]):
        stretch = list(of_key)
        start, end = end, end + sum(chunks.size(data) for _, _, data in stretch)
        if stretch[0][1] == since:
            whole[key] = chunks.in_order(chunks.cut(points, start, end))
    for key in keys_alike:
        if key not in whole:
            # A merge has taken the next point into a chunk that begins before it.
            whole[key] = chunks.in_order(_points(tx, (*run, key), since))
    return whole


def _points(tx: Transaction, where: tuple[int, bytes, int], since: int, stop: int = (1 << 63) - 1) -> Points:
    # A chunk has at most SEALED points, or what one merge left open: fewer than SEALED as well.
    rows = tx.rows(
        "SELECT seq, data FROM chunk WHERE project_id = ? AND run_id = ? AND key_id = ? AND seq > ? AND seq < ? "
        "AND seq + n > ? ORDER BY seq",
        (*where, since - SEALED, stop, since),
    )
    points = chunks.decode_all([data for _, data in rows])
    return chunks.cut(points, max(0, since - rows[0][0])) if rows else points


def arrived(tx: Transaction, run: RunKey, name: str, first: int, stop: int) -> Points:
    """Return the points of one metric from place `first` to before `stop` in the order in which they were stored."""
    points = _points(tx, (run.project_id, bytes.fromhex(run.run_id), key_id(name)), first, stop)
    return chunks.cut(points, 0, stop - first)


def _overviews(tx: Transaction, where: tuple[int, bytes, int]) -> Points:
    rows = tx.rows(
        "SELECT overview, CASE WHEN overview IS NULL THEN data END FROM chunk "
        "WHERE project_id = ? AND run_id = ? AND key_id = ? ORDER BY seq",
        where,
    )
    return chunks.join([chunks.read_overview(o) if o is not None else chunks.decode(d) for o, d in rows])


def verify(tx: Transaction, run: RunKey) -> list[str]:
    """Return what does not agree between the series of a run and their chunks; empty when all does."""
    where = (run.project_id, bytes.fromhex(run.run_id))
    wrong = []
    for key, n in tx.rows("SELECT key_id, n FROM series WHERE project_id = ? AND run_id = ?", where):
        at = 0
        for seq, size, data in tx.rows(
            "SELECT seq, n, data FROM chunk WHERE project_id = ? AND run_id = ? AND key_id = ? ORDER BY seq",
            (*where, key),
        ):
            if seq != at or len(chunks.decode(data)[0]) != size:
                wrong.append(f"run {run.run_id}, key {key}: chunk at {seq} does not follow {at}")
            at = seq + size
        if at != n:
            wrong.append(f"run {run.run_id}, key {key}: {n} points counted, {at} found")
    return wrong
