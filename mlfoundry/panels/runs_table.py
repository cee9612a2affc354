"""The table of a project's runs as its views get it: how much of it, and what tells two states of a run apart.

`runs.js` holds it. Who reads the runs, and when, is the dashboard's and the notebook's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..records import ProjectRecord, RunRecord
from . import frames

WHOLE_MOST = 10_000  # runs that a page holds at once; of more it asks for what it shows
NEWEST = 50  # runs that are looked at again for those that are new
EXTREMES_MOST = 100_000  # values of a table whose least and greatest are told as well


def is_paged(project: ProjectRecord) -> bool:
    """Return whether a project has more runs than a page holds at once."""
    return project.run_count > WHOLE_MOST


def state_of(record: RunRecord) -> tuple[Any, ...]:
    """Return what is the same as long as a run looks the same in the table."""
    counts = tuple((name, metric.count) for name, metric in record.metrics.items())  # no value changes without a point
    rest = (record.description, record.error, tuple(sorted(record.tags.items())), len(record.params))
    return (record.status.value, record.run_name, record.ended_at, *rest, counts)


def frame(
    project: ProjectRecord,
    records: Sequence[RunRecord],
    *,
    offset: int,
    whole: bool,
    told: Mapping[str, str],
    gone: Sequence[str] = (),
) -> bytes:
    """Return some runs of a project as a frame.

    Args:
        project: The project.
        records: The runs.
        offset: The place of the first of them.
        whole: Whether they are a part of the whole list.
        told: What the header says beside that, such as the user.
        gone: Ids of runs that are there no more.
    """
    extra: dict[str, Any] = {"whole": whole, "paged": whole and is_paged(project), **told}
    if gone:
        extra["gone"] = list(gone)
    total = project.run_count
    width = max((len(record.metrics) for record in records), default=0)
    extremes = total * width <= EXTREMES_MOST
    return frames.runs_frame(project, records, offset=offset, total=total, extra=extra, extremes=extremes)
