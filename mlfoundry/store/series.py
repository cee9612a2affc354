"""What is known of each series without its points: enough for every table of runs."""

from __future__ import annotations

import math

from ..records import MetricSummary, RunKey
from ..values import utc
from .database import Row, Transaction


def summaries(tx: Transaction, run: RunKey, *, system: bool = False) -> dict[str, MetricSummary]:
    """Return what is known of each metric of a run without reading points, by name."""
    rows = tx.rows(
        "SELECT key.name, s.n, s.last, s.last_step, s.last_at, s.lowest, s.highest FROM series s "
        "JOIN key ON key.project_id = s.project_id AND key.kind = ? AND key.key_id = s.key_id "
        "WHERE s.project_id = ? AND s.run_id = ? AND s.system = ? ORDER BY key.name",
        ("system" if system else "metric", run.project_id, bytes.fromhex(run.run_id), int(system)),
    )
    return {row[0]: summary(row[1:]) for row in rows}


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
