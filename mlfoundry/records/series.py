"""Which points of a run are asked for, and the points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..dataframes import pandas
from .runs import RunKey
from .shown import Shown

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

LEAST_POINTS = 4
"""The fewest points that a series can be thinned out to: first, last, least and greatest."""


@dataclass(frozen=True, slots=True)
class SeriesQuery:
    """Which points of a run.

    Attributes:
        run: The run.
        names: Metrics, None for all of them (without system metrics unless `system`).
        system: With `names` None: system metrics instead of logged ones; None for both, logged ones first.
        max_points: At most so many points a series, from `LEAST_POINTS` on, chosen so that first, last, least and
            greatest of each bucket are among them; None for all points. Not together with `since` or `most`.
        since: Number of points of a series that the reader has already; those are left out.
        most: At most so many points of each series: the next that arrived after those; None for all.
    """

    run: RunKey
    names: tuple[str, ...] | None = None
    system: bool | None = False
    max_points: int | None = None
    since: Mapping[str, int] = field(default_factory=dict)
    most: int | None = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Series(Shown):
    """Points of one metric, by step, then time, then arrival; of one length, possibly 0.

    Attributes:
        name: The metric.
        steps: int64.
        times: int64, microseconds since 1970 (UTC).
        values: float64.
        count: Number of points in the store; what the next `SeriesQuery.since` takes.
    """

    name: str
    steps: NDArray[np.int64]
    times: NDArray[np.int64]
    values: NDArray[np.float64]
    count: int

    def to_pandas(self) -> pd.DataFrame:
        """Return a row a point: ``step``, ``time`` (UTC), ``value``.

        Raises:
            MissingExtra: pandas is not installed.
        """
        frames = pandas()
        times = frames.to_datetime(self.times, unit="us", utc=True)
        frame: pd.DataFrame = frames.DataFrame({"step": self.steps, "time": times, "value": self.values})
        return frame
