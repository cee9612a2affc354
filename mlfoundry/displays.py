"""How records look: complete plain text, and HTML of the same content for notebooks.

Pure functions from records and plain values. HTML is made by `Html` alone, which escapes all that it is
given: names, tags, keys and exception texts are strangers' text.
"""

from __future__ import annotations

import html
import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from .records import MetricSummary, RunRecord, RunStatus

ABSENT = "–"
STATUS_SIGNS = {
    RunStatus.RUNNING: "●",
    RunStatus.SCHEDULED: "○",
    RunStatus.FINISHED: "✓",
    RunStatus.FAILED: "✕",
    RunStatus.KILLED: "■",
}
_STATUS_COLOURS = {
    # JupyterLab's own, which follow its theme; elsewhere tones that can be read on light and on dark.
    RunStatus.RUNNING: "var(--jp-info-color0, #1f7fd0)",
    RunStatus.SCHEDULED: "inherit",
    RunStatus.FINISHED: "var(--jp-success-color0, #2e8b2e)",
    RunStatus.FAILED: "var(--jp-error-color0, #e03c3c)",
    RunStatus.KILLED: "var(--jp-warn-color0, #b5701c)",
}
_CONTROLS = (*range(32), *range(127, 160))
_TURNS = (0x061C, 0x200E, 0x200F, 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_HIDDEN = {code: f"\\x{code:02x}" for code in _CONTROLS} | {code: f"\\u{code:04x}" for code in _TURNS}


# -- values --------------------------------------------------------------------------------------


def plain(text: object) -> str:
    """Return text on one line without characters that would steer a terminal or turn its direction."""
    return str(text).translate(_HIDDEN)


def cell_width(text: str) -> int:
    """Return how many cells of a terminal a text fills: two for a wide character, none for one that combines.

    >>> cell_width("loss"), cell_width("模型"), cell_width("e\u0301")
    (4, 4, 1)
    """
    if text.isascii():
        return len(text)
    return sum(map(_cells, text))


def _cells(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def shortened(text: object, width: int = 40) -> str:
    """Return text of at most `width` cells, cut in the middle."""
    text = plain(text)
    if cell_width(text) <= width:
        return text
    half = (width - 1) // 2
    return f"{_beginning(text, width - 1 - half)}…{_beginning(text[::-1], half)[::-1]}"


def _beginning(text: str, width: int) -> str:
    used = 0
    for i, character in enumerate(text):
        used += _cells(character)
        if used > width:
            return text[:i]
    return text


def figure(value: Any) -> str:
    """Return a number with at most four significant digits; whole numbers whole; other values as text."""
    if value is None:
        return ABSENT
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return plain(value)
    if isinstance(value, float):
        if math.isnan(value):
            return "NaN"
        if math.isinf(value):
            return "∞" if value > 0 else "-∞"
        if value == int(value) and abs(value) < 1e15:
            return f"{int(value):,}" if abs(value) >= 10_000 else str(int(value))
        if 10_000 <= abs(value) < 1e6:
            return f"{value:,.0f}"
        if 1e-3 <= abs(value) < 1e6:
            return f"{value:.4g}"
        mantissa, exponent = f"{value:.3e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return f"{value:,}" if abs(value) >= 10_000 else str(value)


def param(value: Any) -> str:
    """Return the value of a param like `figure`; the value None is the word, and no sign of absence."""
    return "None" if value is None else figure(value)


def size(count: float) -> str:
    """Return a number of bytes with a binary unit."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def span(seconds: float) -> str:
    """Return a length of time in its two greatest units."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, name, lower, lower_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= unit:
            return f"{whole // unit} {name} {whole % unit // lower} {lower_name}"
    return f"{whole} s"


def age(at: datetime | None, now: datetime | None = None) -> str:
    """Return how long ago a time was."""
    if at is None:
        return ABSENT
    seconds = ((now or datetime.now(UTC)) - at).total_seconds()
    return "just now" if seconds < 10 else f"{span(seconds).partition(' ')[0]} {span(seconds).split(' ')[1]} ago"


def stamp(at: datetime | None) -> str:
    """Return a time for what is kept, where "2 min ago" would soon be wrong."""
    return ABSENT if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"


def duration_s(run: RunRecord, now: datetime | None = None) -> float:
    """Return how many seconds a run has taken, or takes so far."""
    end = run.ended_at or (now or datetime.now(UTC))
    return max(0.0, (end - run.started_at).total_seconds())


def status_text(status: RunStatus) -> str:
    """Return a status as a sign and a word."""
    return f"{STATUS_SIGNS[status]} {status.value.lower()}"


def standing(run: RunRecord) -> str:
    """Return the status of a run as a sign and a word, and whether the run is deleted."""
    return status_text(run.status) + (", deleted" if run.deleted_at is not None else "")


# -- plain text ----------------------------------------------------------------------------------


def text_table(headers: Sequence[str], rows: Iterable[Sequence[str]], numeric: Sequence[bool] = ()) -> str:
    """Return a table in aligned columns; numeric ones to the right."""
    cells = [[plain(cell) for cell in row] for row in [headers, *rows]]
    widths = [max(cell_width(row[i]) for row in cells) for i in range(len(headers))]
    right = [*numeric, *[False] * (len(headers) - len(numeric))]
    lines = []
    for row in cells:
        gaps = [" " * (width - cell_width(cell)) for cell, width in zip(row, widths, strict=True)]
        parts = [gap + cell if to_right else cell + gap for cell, gap, to_right in zip(row, gaps, right, strict=True)]
        lines.append("  ".join(parts).rstrip())
    lines.insert(1, "  ".join("─" * width for width in widths))
    return "\n".join(lines)


# -- HTML ----------------------------------------------------------------------------------------


class Html(str):
    """HTML that is safe to show: everything that is not `Html` itself is escaped on its way in."""

    __slots__ = ()

    @classmethod
    def of(cls, value: object) -> Html:
        """Return a value as HTML text."""
        return value if isinstance(value, Html) else cls(html.escape(str(value).translate(_HIDDEN), quote=True))

    @classmethod
    def element(cls, tag: str, *content: object, style: str = "", title: object = None) -> Html:
        """Return an element; `tag` and `style` are ours, content and title may be anybody's."""
        attributes = f' style="{html.escape(style, quote=True)}"' if style else ""
        if title is not None:
            attributes += f' title="{cls.of(title)}"'
        return cls(f"<{tag}{attributes}>{''.join(cls.of(each) for each in content)}</{tag}>")

    @classmethod
    def link(cls, address: str, text: object) -> Html:
        """Return a link that opens beside the page.

        Raises:
            ValueError: The address is none of http or https.
        """
        if not address.startswith(("http://", "https://")):
            raise ValueError(f"{address!r} is no address of http or https")
        href = html.escape(address, quote=True)
        return cls(f'<a href="{href}" target="_blank" rel="noopener noreferrer">{cls.of(text)}</a>')


_CELL = "padding:2px 10px;white-space:nowrap;border-bottom:1px solid rgba(128,128,128,.25)"
_NUMBER = f"{_CELL};text-align:right;font-variant-numeric:tabular-nums"


def html_table(
    headers: Sequence[str], rows: Iterable[Sequence[object]], numeric: Sequence[bool] = (), *, caption: str = ""
) -> Html:
    """Return a table; a cell may be a (shown, whole) pair, whose second stands in its tooltip."""
    right = [*numeric, *[False] * (len(headers) - len(numeric))]
    styles = [_NUMBER if number else f"{_CELL};text-align:left" for number in right]
    head = Html.element(
        "tr", *(Html.element("th", h, style=f"{s};font-weight:600") for h, s in zip(headers, styles, strict=True))
    )
    body = [head]
    for row in rows:
        cells = []
        for cell, style in zip(row, styles, strict=True):
            shown, whole = cell if isinstance(cell, tuple) else (cell, None)
            cells.append(Html.element("td", shown, style=style, title=whole if whole != shown else None))
        body.append(Html.element("tr", *cells))
    table = Html.element("table", *body, style="border-collapse:collapse;font-size:13px;margin:4px 0")
    if not caption:
        return table
    return Html.element("div", Html.element("div", caption, style="font-size:13px;opacity:.75"), table)


def html_status(status: RunStatus, *, is_deleted: bool = False) -> Html:
    """Return a status as sign, word and colour, and whether the run is deleted."""
    told = Html.element("span", status_text(status), style=f"color:{_STATUS_COLOURS[status]};font-weight:600")
    return Html.element("span", told, ", deleted") if is_deleted else told


# -- single records ------------------------------------------------------------------------------


def moment(at: datetime, *, dated: bool = False) -> str:
    """Return a time with how long ago it was, or alone where that would soon be wrong."""
    exact = at.isoformat(timespec="seconds")
    return exact if dated else f"{age(at)} ({exact})"


def record_rows(record: Any, *, dated: bool = False) -> tuple[str, list[tuple[str, object]]]:
    """Return the title and the facts of a project, a health, an artifact or a series; see `moment` for `dated`."""
    rows: list[tuple[str, object]] = []
    for field in fields(record):
        value = getattr(record, field.name)
        name = field.name.removesuffix("_bytes").replace("_", " ")
        if field.name.endswith("_bytes"):
            rows.append((name, f"{size(value)} ({value:,} B)" if value >= 1024 else f"{value} B"))
        elif field.name.endswith("_s"):
            rows.append((name.removesuffix(" s"), f"{value:.3f} s"))
        elif isinstance(value, datetime):
            rows.append((name, moment(value, dated=dated)))
        elif isinstance(value, Enum):
            rows.append((name, value.name))
        elif hasattr(value, "dtype"):
            rows.append((name, _array_text(value)))
        else:
            rows.append((name, ABSENT if value in (None, "") else value))
    titles = {"ProjectRecord": "project", "ArtifactRecord": "artifact"}
    kind = type(record).__name__
    return titles.get(kind, kind.lower()), rows


def _array_text(array: Any) -> str:
    if not len(array):
        return "none"
    ends = f"{array[0]} … {array[-1]}" if len(array) > 1 else f"{array[0]}"
    return f"{len(array):,} × {array.dtype}: {ends}"


def record_text(record: Any) -> str:
    """Return a record as a card of text."""
    return card_text(*record_rows(record))


def record_html(record: Any) -> Html:
    """Return a record as a card of HTML."""
    return card_html(*record_rows(record, dated=True))


# -- tables of runs ------------------------------------------------------------------------------


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


def card_html(title: str, facts: Iterable[tuple[str, object]], *, run: RunRecord | None = None) -> Html:
    """Return a heading, with the status of a run before it, and a list of names and values."""
    head = [Html.element("b", title)]
    if run is not None:
        head = [html_status(run.status, is_deleted=run.deleted_at is not None), Html.of("  "), *head]
    rows = [
        Html.element(
            "tr",
            Html.element("td", name, style=f"{_CELL};opacity:.75"),
            Html.element("td", value, style=f"{_CELL};white-space:normal"),
        )
        for name, value in facts
    ]
    table = Html.element("table", *rows, style="border-collapse:collapse;font-size:13px;margin:4px 0")
    return Html.element("div", Html.element("div", *head, style="font-size:14px"), table)


def card_text(title: str, facts: Iterable[tuple[str, object]]) -> str:
    """Return a heading and a list of names and values as text."""
    pairs = [(plain(name), plain(value)) for name, value in facts]
    width = max((len(name) for name, _ in pairs), default=0)
    return "\n".join([plain(title), *(f"  {name.ljust(width)}  {value}" for name, value in pairs)])
