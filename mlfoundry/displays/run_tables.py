"""Tables of runs: which columns tell most of them, and their cells."""

from __future__ import annotations

from collections.abc import Sequence

from ..records.runs import MetricSummary, RunRecord
from .markup import Html
from .quantities import ABSENT, age, duration_s, figure, param, span, stamp
from .statuses import html_status, standing
from .tables import html_table, text_table
from .texts import plain, shortened

STARTED = {False: "started", True: "started (UTC)"}


class RunColumns:
    """Which columns tell most of some runs, and their cells.

    State and name, the first metrics by name, the params that differ, duration, age.

    Attributes:
        metrics: Names of the metrics that are shown.
        params: Names of the params that are shown.
        left_out: How many metrics and differing params there are besides.
    """

    def __init__(self, records: Sequence[RunRecord], *, metrics: int = 3, params: int = 4) -> None:
        seen: dict[str, int] = {}
        values: dict[str, set[str]] = {}
        for record in records:
            for name in record.metrics:
                seen[name] = seen.get(name, 0) + 1
            for name, value in record.params.items():
                values.setdefault(name, set()).add(str(value))
        self.metrics = sorted(seen, key=lambda name: (-seen[name], name))[:metrics]
        several = [name for name, different in values.items() if len(different) > 1]
        self._values = values
        self.params = sorted(several or list(values), key=lambda name: (len(values[name]), name))[:params]
        self.left_out = len(seen) - len(self.metrics) + len(several or values) - len(self.params)

    @property
    def headers(self) -> list[str]:
        """Names of the columns."""
        return self.named("started")

    def named(self, started: str) -> list[str]:
        """Return the names of the columns, with one's own for the last."""
        both = set(self.metrics) & set(self.params)
        metrics = [f"{name} (metric)" if name in both else name for name in self.metrics]
        params = [f"{name} (param)" if name in both else name for name in self.params]
        return ["status", "run", *metrics, *params, "took", started]

    @property
    def numeric(self) -> list[bool]:
        """Which columns hold numbers."""
        params = [all(map(_is_number, self._values[name])) for name in self.params]
        return [False, False, *[True] * len(self.metrics), *params, True, False]

    def cells(self, record: RunRecord, *, dated: bool = False) -> list[tuple[str, object]]:
        """Return (shown, whole) of each cell of a run; with `dated` the time at which it started, not its age."""
        metrics = [record.metrics.get(name) for name in self.metrics]
        error = f": {record.error}" if record.error else ""
        return [
            (standing(record), f"{record.status.value}{error}"),
            (shortened(record.run_name, 36), record.run_name),
            *((ABSENT, ABSENT) if m is None else (figure(m.last), _told(m)) for m in metrics),
            *(_param_cell(record, name) for name in self.params),
            (span(duration_s(record)), f"{duration_s(record):.3f} s"),
            ((stamp if dated else age)(record.started_at), record.started_at.isoformat(timespec="seconds")),
        ]


def _param_cell(record: RunRecord, name: str) -> tuple[str, object]:
    if name not in record.params:
        return ABSENT, ABSENT
    value = record.params[name]
    return shortened(param(value), 24), param(value) if value is None else value


def _is_number(text: str) -> bool:
    if text == "None":
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True


def _told(metric: MetricSummary) -> str:
    last = f"last {metric.last!r} at step {metric.last_step}"
    return f"{last}; min {metric.min!r}; max {metric.max!r}; {metric.count} points"


def runs_text(records: Sequence[RunRecord], caption: str, *, dated: bool = False) -> str:
    """Return a table of runs as text; with `dated` it can be kept, since it says when they started."""
    if not records:
        return plain(caption)
    columns = RunColumns(records)
    rows = [[shown for shown, _ in columns.cells(record, dated=dated)] for record in records]
    return f"{plain(caption)}\n{text_table(columns.named(STARTED[dated]), rows, columns.numeric)}"


def runs_html(records: Sequence[RunRecord], caption: str) -> Html:
    """Return a table of runs as HTML, which notebooks keep: it says when they started, not how long ago."""
    if not records:
        return Html.element("div", caption, style="font-size:13px")
    columns = RunColumns(records)
    rows = []
    for record in records:
        cells: list[object] = list(columns.cells(record, dated=True))
        title = f"{record.status.value} {record.error}".strip()
        shown = html_status(record.status, is_deleted=record.deleted_at is not None)
        cells[0] = Html.element("span", shown, title=title)
        rows.append(cells)
    return html_table(columns.named(STARTED[True]), rows, columns.numeric, caption=caption)
