"""Points read by who may: what a question must keep to, and its answer."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import InvalidInput, TooLarge
from ..records import LEAST_POINTS, Series, SeriesQuery
from ..store import series
from ..store.database import Transaction
from ..values import plain_text

SERIES_LIMIT = 10_000


def require_possible(query: SeriesQuery) -> None:
    """Raise InvalidInput for a question that no answer can fit."""
    if query.max_points is not None and query.max_points < LEAST_POINTS:
        raise InvalidInput(f"max_points is {query.max_points}; give at least {LEAST_POINTS}, or None for all points")
    if query.max_points is not None and (query.since or query.most is not None):
        other = "most" if query.most is not None else "since"
        raise InvalidInput(f"max_points thins out all points of a metric; give it without {other}, or {other} alone")
    if query.names is not None and len(query.names) > SERIES_LIMIT:
        raise InvalidInput(
            f"{len(query.names):,} metrics were asked for; give at most {SERIES_LIMIT:,}, or None for all"
        )
    for name in (*(query.names or ()), *query.since):
        plain_text("a metric's name", name)
    if any(count < 0 for count in query.since.values()):
        raise InvalidInput(f"since is {min(query.since.values())}; give how many points are known already, from 0")
    if query.most is not None and query.most < 1:
        raise InvalidInput(f"most is {query.most}; give at least 1, or None for all points")


def read_series(tx: Transaction, query: SeriesQuery, limit: int | None) -> list[Series]:
    """Return the points that are asked for, of at most `limit` points in all.

    Raises:
        TooLarge: There are more.
    """
    from ..store import points

    names = query.names
    if names is None:
        counts = series.counts(tx, query.run, system=query.system, known=query.since)
        _require_few(query, counts, limit)
        if query.since and query.most is None:
            return points.read_new(tx, query.run, counts, query.since)
        names = tuple(counts)
    elif limit is not None:
        _require_few(query, series.count(tx, query.run, names), limit)
    return [
        points.read(
            tx,
            query.run,
            name,
            max_points=query.max_points,
            since=query.since.get(name, 0),
            most=query.most,
        )
        for name in names
    ]


def _require_few(query: SeriesQuery, counts: Mapping[str, int], limit: int | None) -> None:
    """Refuse a question whose answer would hold too many points."""
    if limit is None:
        return
    bounds = [bound for bound in (query.max_points, query.most) if bound is not None]
    names = counts if query.names is None else [name for name in query.names if name in counts]
    total = sum(min([max(0, counts[name] - query.since.get(name, 0)), *bounds]) for name in names)
    if total > limit:
        raise TooLarge(
            f"these are {total:,} points of {len(names):,} metrics, and one answer holds at most {limit:,}. Ask for "
            "fewer metrics, for max_points of each, or for most of them at a time, with since for those you have."
        )
