"""The picture of a run: what a saved notebook shows where no live view can be. A pure function from records.

It is HTML of which no part needs a script, a style sheet or a server, and complete plain text. Where a viewer
takes all styles away (GitHub does), the order of lines, tables and images still tells the story.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlfoundry import displays
from mlfoundry.displays import Html
from mlfoundry.names import SYSTEM_PREFIX
from mlfoundry.panels import frames
from mlfoundry.records import RunRecord, RunStatus, Series
from mlfoundry.system_metrics import catalogue

from . import ranking, sketch

POINTS = 400
LIMIT_BYTES = 48_000
SHOWN_LINES = len(sketch.COLOURS)
_GROUPS = (
    "CPU", "Process CPU", "Container CPU", "Memory", "Process memory", "Container memory", "GPU", "GPU memory",
    "GPU memory size", "Disk", "Network", "GPU power", "GPU temperature",
)  # fmt: skip

_TEXT = "font-size:13px;line-height:1.5"
_FAINT = f"{_TEXT};opacity:.75"
_ERROR = f"{_TEXT};color:var(--jp-error-color0, #e03c3c);font-weight:600;white-space:pre-wrap"
_CHART = "display:inline-block;vertical-align:top;margin:4px 14px 4px 0;width:300px;font-size:12px"

Picture = tuple[str, str]


class Detail(NamedTuple):
    """How much of a run a picture shows: points a line, how many of each kind, characters of a tooltip."""

    points: int
    params: int
    rows: int
    charts: int
    groups: int
    cells: int
    tip: int


DETAILS = (
    Detail(points=120, params=40, rows=24, charts=9, groups=6, cells=12, tip=400),
    Detail(points=80, params=40, rows=24, charts=9, groups=6, cells=12, tip=200),
    Detail(points=50, params=24, rows=16, charts=6, groups=6, cells=8, tip=120),
    Detail(points=30, params=16, rows=12, charts=6, groups=4, cells=6, tip=80),
    Detail(points=30, params=8, rows=6, charts=3, groups=3, cells=4, tip=60),
)


# -- a run ---------------------------------------------------------------------------------------


def run_picture(
    record: RunRecord,
    facts: Mapping[str, str],
    logged: Sequence[Series],
    system: Sequence[Series],
    *,
    now: datetime | None = None,
) -> Picture:
    """Return a run as HTML of at most 50 kB and as complete text; with charts of what has a course.

    Args:
        record: The run.
        facts: What was noted of it; its cells and its traceback are among them.
        logged: Its metrics with their points, or an overview of them.
        system: Its system metrics, likewise.
        now: The time as of which a run that still runs is told; now when None.
    """
    now = now or datetime.now(UTC)
    cells = frames.cells(record, facts)
    text = _run_text(record, facts, system, cells, now)
    html = Html()
    for detail in DETAILS:
        charts = _charts(record, logged, system, cells, detail)
        html = _run_html(record, cells, charts, now, detail)
        if len(html.encode()) <= LIMIT_BYTES:
            break
    return html, text


def _run_html(
    record: RunRecord,
    cells: Sequence[Mapping[str, Any]],
    charts: Sequence[Html],
    now: datetime,
    detail: Detail,
) -> Html:
    """Return the picture of a run as HTML."""
    parts = [_header(record, now)]
    if record.error:
        parts.append(Html.element("div", displays.shortened(record.error, 1000), style=_ERROR))
    if record.description:
        parts.append(Html.element("div", displays.shortened(record.description, 1000), style=_TEXT))
    if record.params:
        parts.append(_params(record.params, detail))
    if tags := _tags(record):
        parts.append(_params(tags, detail))
    if record.metrics:
        parts.append(_metrics(record, detail))
    if charts:
        parts.append(Html.element("div", *charts))
    if cells:
        parts.append(_cells(cells, detail))
    return Html.element("div", *parts)


def _header(record: RunRecord, now: datetime) -> Html:
    took = displays.span(displays.duration_s(record, now))
    first = Html.element(
        "div",
        displays.html_status(record.status),
        Html.of("  "),
        Html.element("b", displays.shortened(record.run_name, 80), title=displays.shortened(record.run_name, 250)),
        f"  {record.owner}/{displays.shortened(record.project_name, 80)}  ·  {took}",
        style="font-size:14px;line-height:1.6",
    )
    parts = [first, Html.element("div", _when(record, now), style=_FAINT)]
    if record.ended_at is None:
        parts.append(Html.element("div", _later(record), style=_FAINT))
    return Html.element("div", *parts)


def _when(record: RunRecord, now: datetime) -> str:
    started = f"started {_stamp(record.started_at)} by {record.created_by}"
    if record.ended_at is None:
        started += f"  ·  as of {_stamp(now)}"
    return f"{started}  ·  run id {record.key.run_id}"


def _later(record: RunRecord) -> str:
    """Return what leads from a picture that grows old to the run as it is now."""
    return f"%mlfoundry_attach {record.key.run_id} shows it as it is now"


def _stamp(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _params(params: Mapping[str, Any], detail: Detail) -> Html:
    shown = list(params.items())[: detail.params]
    told: list[object] = []
    for name, value in shown:
        text = displays.figure(value)
        pair = (f"{displays.shortened(name, 60)} ", _cut(text, 60, detail))
        told += [Html.element("span", *pair, style="white-space:nowrap;margin-right:14px"), " "]
    if len(params) > len(shown):
        told.append(f"and {len(params) - len(shown)} more")
    return Html.element("div", *told, style=_TEXT)


def _tags(record: RunRecord) -> dict[str, str]:
    """Return the tags without those that the extension keeps for itself."""
    return {name: text for name, text in record.tags.items() if not name.startswith("mlfoundry.")}


def _cut(text: str, width: int, detail: Detail) -> Html:
    """Return text in bold, with more of it in its tooltip where it was cut."""
    shown = displays.shortened(text, width)
    return Html.element("b", shown, title=displays.shortened(text, detail.tip) if len(text) > width else None)


def _metrics(record: RunRecord, detail: Detail) -> Html:
    rows: list[list[object]] = []
    for name in ranking.charted(record.metrics)[: detail.rows]:
        metric = record.metrics[name]
        numbers = [metric.last, metric.min, metric.max]
        row: list[object] = [(displays.shortened(name, 60), displays.shortened(name, detail.tip))]
        row += [(displays.figure(value), repr(value)) for value in numbers]
        row += [displays.figure(metric.last_step), displays.figure(metric.count)]
        rows.append(row)
    headers = ["metric", "last", "min", "max", "step", "points"]
    left = len(record.metrics) - len(rows)
    return displays.html_table(
        headers, rows, [False, *[True] * 5], caption=f"and {left} more metrics" if left > 0 else ""
    )


def _charts(
    record: RunRecord,
    logged: Sequence[Series],
    system: Sequence[Series],
    cells: Sequence[Mapping[str, Any]],
    detail: Detail,
) -> list[Html]:
    """Return the charts of the first metrics in the order of the live panel, then those of the machine."""
    charts = []
    drawn = {series.name: series for series in logged if len(series.values) > 1}
    for series in [drawn[name] for name in ranking.charted(drawn)[: detail.charts]]:
        line = sketch.Line(series.steps.astype(np.float64), series.values)
        alt = f"{displays.shortened(series.name, detail.tip)} by step"
        title = [_cut(series.name, 34, detail), f"  {displays.figure(float(series.values[-1]))}"]
        charts.append(chart(title, sketch.chart([line], alt, points=detail.points)))
    origin = record.started_at.timestamp()
    bands = [band for cell in cells if (band := _band(cell, origin))]
    for group, members in _groups(system)[: detail.groups]:
        charts.append(_system_chart(group, members, bands, origin, detail))
    return charts


def chart(title: Sequence[object], image: Html, legend: Sequence[object] = (), *, told: str = "") -> Html:
    """Return an image with what it is called, what is said of it and which line is which."""
    parts = [Html.element("div", *title)]
    if told:
        parts.append(Html.element("div", told, style="font-size:11px;opacity:.75"))
    parts.append(image)
    if legend:
        parts.append(Html.element("div", *legend, style="font-size:11px"))
    return Html.element("div", *parts, style=_CHART)


def _system_chart(
    group: str, members: Sequence[Series], bands: Sequence[sketch.Band], origin: float, detail: Detail
) -> Html:
    shown = _different(members)[:SHOWN_LINES]
    known = catalogue.find(shown[0].name)
    unit, axis = (known.unit, known.axis) if known else ("", None)
    lines, legend = [], []
    for series, colour in zip(shown, sketch.COLOURS, strict=False):
        lines.append(sketch.Line(_seconds(series, origin), series.values, colour))
        legend += [sketch.mark(colour), f"\u00a0{_short_name(series.name)}   "]
    alt = f"{group} over time: {', '.join(series.name for series in shown)}"
    points = detail.points // (2 if len(shown) > 2 else 1)
    image = sketch.chart(lines, alt, bands=bands, axis=axis, from_zero=True, unit=unit, is_time=True, points=points)
    every = np.concatenate([series.values for series in shown])
    told = _summary(every, unit) if len(shown) == 1 else _summary(every, unit).partition(" · ")[2]
    return chart([Html.element("b", group)], image, legend if len(shown) > 1 else (), told=told)


def _different(members: Sequence[Series]) -> list[Series]:
    """Return series without those that would lie on another: without children, a process is all of its tree."""
    kept: list[Series] = []
    for series in sorted(members, key=lambda each: "/main_" in each.name):
        if not any(np.array_equal(series.values, other.values, equal_nan=True) for other in kept):
            kept.append(series)
    return kept


def _seconds(series: Series, origin: float) -> NDArray[np.float64]:
    return series.times / 1e6 - origin


def _band(cell: Mapping[str, Any], origin: float) -> sketch.Band | None:
    start, end = cell.get("started_at"), cell.get("ended_at")
    if not isinstance(start, (int, float)) or not isinstance(end, (int, float)):
        return None
    return sketch.Band(start - origin, end - origin)


def _groups(system: Sequence[Series]) -> list[tuple[str, list[Series]]]:
    """Return the groups that say most about a run, each with its series that have points."""
    found: dict[str, list[Series]] = {}
    for series in system:
        known = catalogue.find(series.name)
        if known is not None and len(series.values):
            found.setdefault(known.group, []).append(series)
    return [(group, found[group]) for group in _GROUPS if group in found]


def _summary(values: NDArray[np.float64], unit: str) -> str:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return ""
    return f"avg {sketch.number(float(finite.mean()), unit)} · peak {sketch.number(float(finite.max()), unit)}"


def _short_name(name: str) -> str:
    """Return what tells a series from the others of its chart: ``gpu 1``, ``sent``."""
    *parents, last = name.removeprefix(SYSTEM_PREFIX).split("/")
    numbered = [f"{before} {number}" for before, number in pairwise(parents) if number.isdecimal()]
    return "".join(numbered) or re.sub(r"_(bytes|bytes_per_s|percent)$", "", last).replace("_", " ")


_CELL_NUMBERS = (("took", "wall_s", displays.span), ("CPU", "cpu_s", displays.span),
                 ("peak memory", "peak_bytes", displays.size), ("GPU memory", "gpu_bytes", displays.size))  # fmt: skip


def _cells(cells: Sequence[Mapping[str, Any]], detail: Detail) -> Html:
    headers, rows = _cell_table(cells[-detail.cells :], detail.tip)
    for row, cell in zip(rows, cells[-detail.cells :], strict=True):
        row[1] = displays.html_status(status) if (status := _status(cell)) else row[1]
    caption = f"the last {len(rows)} of {len(cells)} cells" if len(cells) > len(rows) else ""
    return displays.html_table(headers, rows, [True, False, *[True] * (len(headers) - 3)], caption=caption)


def _cell_table(cells: Sequence[Mapping[str, Any]], tip: int) -> tuple[list[str], list[list[object]]]:
    """Return headers and rows; a number that no cell has (GPU memory, mostly) has no column."""
    numbers = [
        (head, name, form) for head, name, form in _CELL_NUMBERS if any(cell.get(name) is not None for cell in cells)
    ]
    rows: list[list[object]] = []
    for cell in cells:
        status = _status(cell)
        row: list[object] = [str(cell["n"]), displays.status_text(status) if status else str(cell.get("status"))]
        row += [_told(cell.get(name), form) for _, name, form in numbers]
        rows.append([*row, _source_cell(str(cell.get("source") or ""), tip)])
    return ["cell", "status", *(head for head, _, _ in numbers), "source"], rows


def _status(cell: Mapping[str, Any]) -> RunStatus | None:
    """Return how a cell ended; None for a word that we do not know."""
    with contextlib.suppress(ValueError):
        return RunStatus(cell.get("status", RunStatus.RUNNING))
    return None


def _source_cell(source: str, tip: int) -> tuple[str, str]:
    """Return the first line that says what a cell does, and more of it for the tooltip."""
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("%", "#", "import ", "from "))]
    first = next(iter(telling or lines), "")
    return displays.shortened(first, 48), displays.shortened(source, tip)


def _told(value: object, form: Any) -> str:
    return str(form(value)) if isinstance(value, (int, float)) and not isinstance(value, bool) else displays.ABSENT


def _run_text(
    record: RunRecord,
    facts: Mapping[str, str],
    system: Sequence[Series],
    cells: Sequence[Mapping[str, Any]],
    now: datetime,
) -> str:
    """Return the picture of a run as text."""
    took = displays.span(displays.duration_s(record, now))
    fqn = f"{record.owner}/{record.project_name}/{record.run_name}"
    lines = [
        displays.plain(f"{displays.status_text(record.status)}  {fqn}  {took}"),
        displays.plain(_when(record, now)),
        *([_later(record)] if record.ended_at is None else []),
    ]
    if record.error:
        lines.append(f"error: {displays.plain(record.error)}")
    if record.description:
        lines.append(displays.plain(record.description))
    if record.params:
        lines += ["", *_aligned("params", {name: displays.figure(value) for name, value in record.params.items()})]
    if tags := _tags(record):
        lines += ["", *_aligned("tags", tags)]
    if record.metrics:
        rows = [
            [name, *map(displays.figure, (m.last, m.min, m.max, m.last_step, m.count))]
            for name, m in ((name, record.metrics[name]) for name in ranking.charted(record.metrics))
        ]
        headers = ["metric", "last", "min", "max", "step", "points"]
        lines += ["", displays.text_table(headers, rows, [False, *[True] * 5])]
    if system:
        lines += ["", *_aligned("system", {series.name: _system_summary(series) for series in system})]
    if cells:
        headers, table = _cell_table(cells, 60)
        rows = [[shown[0] if isinstance(shown, tuple) else str(shown) for shown in row] for row in table]
        lines += ["", displays.text_table(headers, rows, [True, False, *[True] * (len(headers) - 3)])]
    if traceback := facts.get("error.traceback"):
        lines += ["", *map(displays.plain, traceback.splitlines())]
    return "\n".join(lines)


def _system_summary(series: Series) -> str:
    known = catalogue.find(series.name)
    return _summary(series.values, known.unit if known else "") or displays.ABSENT


def _aligned(title: str, values: Mapping[str, str]) -> list[str]:
    return displays.card_text(title, values.items()).splitlines()
