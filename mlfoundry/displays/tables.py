"""Tables in aligned columns of text, and in HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .markup import CELL, NUMBER, Html
from .texts import cell_width, plain


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


def html_table(
    headers: Sequence[str], rows: Iterable[Sequence[object]], numeric: Sequence[bool] = (), *, caption: str = ""
) -> Html:
    """Return a table; a cell may be a (shown, whole) pair, whose second stands in its tooltip."""
    right = [*numeric, *[False] * (len(headers) - len(numeric))]
    styles = [NUMBER if number else f"{CELL};text-align:left" for number in right]
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
