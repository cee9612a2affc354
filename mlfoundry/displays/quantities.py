"""Numbers, sizes and times as people read them."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from ..records.runs import RunRecord
from .texts import plain

ABSENT = "–"


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


def moment(at: datetime, *, dated: bool = False) -> str:
    """Return a time with how long ago it was, or alone where that would soon be wrong."""
    exact = at.isoformat(timespec="seconds")
    return exact if dated else f"{age(at)} ({exact})"
