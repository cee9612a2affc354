"""How much of a run one view of it is sent: so many series, so many points. Notebooks and the dashboard keep to it."""

from __future__ import annotations

MAX_POINTS = 1000  # of a series
LEAST_POINTS = 4  # of a series: first, last, least and greatest
SERIES_MOST = 5000  # of a run, the first by name; the table of its metrics holds all
POINTS_MOST = 2_000_000  # of one message: 48 MB


def few_points(series: int) -> int:
    """Return how many points each of so many series may have in one message."""
    return max(LEAST_POINTS, min(MAX_POINTS, POINTS_MOST // max(1, series)))
