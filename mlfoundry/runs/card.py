"""What the card of a run shows, so much of it as a person can still read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .. import displays
from ..records import RunRecord

LONGEST_VALUE_SHOWN, LONGEST_TEXT_SHOWN = 100, 1000  # cells of a terminal
MOST_VALUES_SHOWN = 100


def rows(record: RunRecord, *, dated: bool = False) -> Iterator[tuple[str, object]]:
    """Yield names and values; with `dated` they can be kept, since times are told and not how long ago they were."""
    yield "id", record.key.run_id
    yield "started", displays.moment(record.started_at, dated=dated)
    yield "took", displays.span(displays.duration_s(record))
    if record.deleted_at is not None:
        yield "deleted", f"{displays.moment(record.deleted_at, dated=dated)}; restore() brings it back"
    if record.error:
        yield "error", record.error
    if record.description:
        yield "description", displays.shortened(record.description, LONGEST_TEXT_SHOWN)
    if record.params:
        yield "params", _listed((name, displays.param(value)) for name, value in record.params.items())
    if record.metrics:
        yield "metrics", _listed((name, displays.figure(metric.last)) for name, metric in record.metrics.items())
    if record.tags:
        yield "tags", _listed(record.tags.items())


def _listed(values: Iterable[tuple[str, str]]) -> str:
    """Return names and values on a line that a person can still read: the whole is there for who asks for it."""
    shown = [f"{name}={displays.shortened(value, LONGEST_VALUE_SHOWN)}" for name, value in values]
    more = len(shown) - MOST_VALUES_SHOWN
    return ", ".join(shown[:MOST_VALUES_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
