"""How much of a run one view of it is sent: so many series, so many points. Notebooks and the dashboard keep to it."""

from __future__ import annotations

from ..records import LEAST_POINTS

MAX_POINTS = 1000  # of a series
SERIES_MOST = 5000  # of a kind, the first by name; views say how many there are besides
POINTS_MOST = 2_000_000  # of one message: 48 MB


def few_points(series: int) -> int:
    """Return how many points each of so many series may have in one message."""
    return max(LEAST_POINTS, min(MAX_POINTS, POINTS_MOST // max(1, series)))
