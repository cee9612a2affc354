"""Cards: a heading, and names with their values; a record as one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from datetime import datetime
from enum import Enum
from typing import Any

from ..records.runs import RunRecord
from .markup import CELL, Html
from .quantities import ABSENT, moment, size
from .statuses import html_status
from .texts import plain


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


def card_html(title: str, facts: Iterable[tuple[str, object]], *, run: RunRecord | None = None) -> Html:
    """Return a heading, with the status of a run before it, and a list of names and values."""
    head = [Html.element("b", title)]
    if run is not None:
        head = [html_status(run.status, is_deleted=run.deleted_at is not None), Html.of("  "), *head]
    rows = [
        Html.element(
            "tr",
            Html.element("td", name, style=f"{CELL};opacity:.75"),
            Html.element("td", value, style=f"{CELL};white-space:normal"),
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
