"""What is known of each series without its points: enough for every table of runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from ..records import MetricSummary, RunKey
from ..values import utc
from .database import Row, Transaction
from .keys import key_id

_BLOCK = 1000


def counts(tx: Transaction, run: RunKey, *, system: bool | None = False) -> dict[str, int]:
    """Return how many points each metric of a run has, by name: of one kind, or of both, logged ones first."""
    kinds = (system,) if system is not None else (False, True)
    found: dict[str, int] = {}
    for is_system in kinds:
        rows = tx.rows(
            "SELECT key.name, s.n FROM series s "
            "JOIN key ON key.project_id = s.project_id AND key.kind = ? AND key.key_id = s.key_id "
            "WHERE s.project_id = ? AND s.run_id = ? AND s.system = ? ORDER BY key.name",
            ("system" if is_system else "metric", run.project_id, bytes.fromhex(run.run_id), int(is_system)),
        )
        found.update(rows)
    return found


def count(tx: Transaction, run: RunKey, names: Sequence[str]) -> dict[str, int]:
    """Return how many points each of some metrics of a run has, by name; those it does not have are left out."""
    ids = {key_id(name): name for name in names}
    found: dict[str, int] = {}
    for start in range(0, len(ids), _BLOCK):
        some = list(ids)[start : start + _BLOCK]
        marks = ", ".join("?" for _ in some)
        rows = tx.rows(
            f"SELECT key_id, n FROM series WHERE project_id = ? AND run_id = ? AND key_id IN ({marks})",
            (run.project_id, bytes.fromhex(run.run_id), *some),
        )
        found.update((ids[key], n) for key, n in rows)
    return found


class Summaries(Mapping[str, MetricSummary]):
    """Summaries by name, each made when it is looked at: a table of thousands of runs looks at few.

    Args:
        rows: (run_id, key_id, n, last, last_step, last_at, lowest, highest) of each metric of a run.
        names: Key ids to names.
    """

    __slots__ = ("_known", "_names", "_rows")

    def __init__(self, rows: Sequence[Row], names: Mapping[int, str]) -> None:
        self._rows = rows
        self._names = names
        self._known: dict[str, Row | MetricSummary] | None = None

    def _by_name(self) -> dict[str, Row | MetricSummary]:
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


def summary(row: Row) -> MetricSummary:
    """Return a summary from (n, last, last_step, last_at, lowest, highest)."""
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
