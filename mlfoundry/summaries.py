"""What is known of the metrics of a run, made into records when somebody looks at them.

Tables of thousands of runs look at few of their metrics. The store makes these from its rows, a client from what a
server sends.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .records import MetricSummary
from .values import utc


class Summaries(Mapping[str, MetricSummary]):
    """Summaries by name, each made when it is looked at.

    Args:
        rows: (anything, key, count, last, last step, last time, least, greatest) of each metric of a run; a value is
            None, or NaN, where there is no number.
        names: Keys to names.
    """

    __slots__ = ("_known", "_names", "_rows")

    def __init__(self, rows: Sequence[tuple[Any, ...]], names: Mapping[int, str] | Sequence[str]) -> None:
        self._rows = rows
        self._names = names
        self._known: dict[str, tuple[Any, ...] | MetricSummary] | None = None

    def _by_name(self) -> dict[str, tuple[Any, ...] | MetricSummary]:
        if self._known is None:
            names = self._names
            self._known = {names[row[1]]: row for row in self._rows}
        return self._known

    def __getitem__(self, name: str) -> MetricSummary:
        known = self._by_name()
        found = known[name]
        if not isinstance(found, MetricSummary):
            found = known[name] = summary(found[2:])
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name())

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return repr(dict(self))


def summary(row: tuple[Any, ...]) -> MetricSummary:
    """Return a summary from (count, last, last step, last time in microseconds, least, greatest)."""
    n, last, last_step, last_at, lowest, highest = row
    nan = math.nan
    return MetricSummary(
        count=n,
        last=nan if last is None else last,
        last_step=last_step,
        last_at=utc(last_at),
        min=nan if lowest is None else lowest,
        max=nan if highest is None else highest,
    )
