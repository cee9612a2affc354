"""What ``mlfoundry show --metric`` prints: the points of metrics as curves, as CSV or as JSON."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .. import displays, suggestions
from ..errors import NotFound
from ..names import alike, legal_key
from ..records import SeriesQuery
from . import documents, layout, output, plot, tables

if TYPE_CHECKING:
    from ..records import Series
    from ..runs.stored_run import StoredRun

PIPED_WIDTH = 80
MOST_WIDTH = 100


def read(run: StoredRun, names: Sequence[str]) -> list[Series]:
    """Return all points of metrics and system metrics.

    Raises:
        NotFound: The run has no points of one; names those that come near.
    """
    asked = tuple(dict.fromkeys(legal_key("metric key", name) for name in names))
    found = {series.name: series for series in run.client.backend.read_series(SeriesQuery(run.record.key, asked))}
    for name, series in found.items():
        if not len(series.steps):
            system = run.client.backend.list_keys(run.record.key.project_id, "system")
            near = suggestions.sentence(alike(name, [*run.record.metrics, *system]))
            raise NotFound(f"{run.fqn} has no points of a metric {name!r}.{near}")
    return list(found.values())


def document(run: StoredRun, found: Iterable[Series]) -> dict[str, Any]:
    """Return points as JSON can hold them."""
    points = {
        series.name: {
            "steps": series.steps.tolist(),
            "times": [f"{time}" for time in tables.time_texts(series.times).tolist()],
            "values": [documents.number(value) for value in series.values.tolist()],
        }
        for series in found
    }
    return {"run": {"run_id": run.run_id, "fqn": run.fqn}, "metrics": points}


def write_csv(found: Iterable[Series]) -> None:
    """Print points as CSV, a row a point, as ``mlfoundry export`` writes them."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["metric", "step", "time", "value"])
    for series in found:
        name = tables.guarded(output.safe(series.name))
        for start in range(0, len(series.steps), tables.BLOCK):
            writer.writerows((name, *cells) for cells in tables.csv_rows(series, start))


def tell(found: Iterable[Series]) -> None:
    """Print each metric as a curve, with its least, greatest and last value."""
    width = output.width()
    for i, series in enumerate(found):
        output.echo(("\n" if i else "") + output.coloured(displays.plain(series.name), bold=True))
        output.echo(output.indented(layout.joined(_told(series), None if width is None else width - 2)))
        if any(map(_is_finite, series.values.tolist())):
            room = min(MOST_WIDTH, width or PIPED_WIDTH) - 2
            output.echo(output.indented(plot.curve(series, room, braille=_shows_braille())))


def _is_finite(value: float) -> bool:
    return isinstance(documents.number(value), float)


def _told(series: Series) -> list[str]:
    import numpy as np

    count = len(series.steps)
    finite = np.isfinite(series.values)
    told = [f"{count:,} point{'s' if count != 1 else ''}", f"last {_at(series, count - 1)}"]
    if finite.any():
        places = np.flatnonzero(finite)
        told.append(f"min {_at(series, int(places[series.values[finite].argmin()]))}")
        told.append(f"max {_at(series, int(places[series.values[finite].argmax()]))}")
    gone = count - int(finite.sum())
    return [*told, f"{gone:,} NaN or infinite, not drawn"] if gone else told


def _at(series: Series, index: int) -> str:
    return f"{displays.figure(float(series.values[index]))} (step {int(series.steps[index]):,})"


def _shows_braille() -> bool:
    try:
        "⣿└".encode(sys.stdout.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
