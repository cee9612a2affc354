"""What the magics say in a cell's output: one quiet line or two, as HTML and as text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mlfoundry import RunStatus, displays
from mlfoundry.displays import Html

from .changes import Changes
from .recording import Learned

_QUIET = "font-size:12px;opacity:.8;margin:2px 0"
_CODE = "font-size:12px;line-height:1.35;margin:2px 0;white-space:pre;overflow-x:auto"


@dataclass(frozen=True, slots=True)
class Notice:
    """Lines to show, and more of it behind a click.

    Attributes:
        lines: Each is one line.
        details: What the click on the last line shows, empty for nothing.
        status: Shown before the first line.
    """

    lines: tuple[str, ...]
    details: str = ""
    status: RunStatus | None = None

    def __repr__(self) -> str:
        lines = [displays.plain(line) for line in self.lines]
        if self.status is not None:
            lines[0] = f"{displays.status_text(self.status)}  {lines[0]}"
        return "\n".join([*lines, *(f"  {displays.plain(line)}" for line in self.details.splitlines())])

    def _repr_html_(self) -> str:
        parts: list[Html] = []
        for number, line in enumerate(self.lines):
            is_first = number == 0 and self.status is not None
            content: list[object] = (
                [displays.html_status(self.status), Html.of("  "), line] if is_first and self.status else [line]
            )
            if self.details and number == len(self.lines) - 1:
                summary = Html.element("summary", *content, style="cursor:pointer")
                code = Html("\n").join(Html.of(each) for each in self.details.splitlines())
                parts.append(
                    Html.element("details", summary, Html.element("pre", Html(code), style=_CODE), style=_QUIET)
                )
            else:
                parts.append(Html.element("div", *content, style=_QUIET))
        return Html.element("div", *parts)

    def show(self) -> None:
        """Display it in the output of the running cell."""
        from IPython.display import display

        display(self)  # type: ignore[no-untyped-call]


def learned(told: Learned, changes: Changes | None, *, since: str = "", of: str = "the run") -> list[str]:
    """Return what was learned from a cell, a line each; `of` says of which run, where there may be several."""
    lines = []
    if parts := list(_captured(told)):
        lines.append("captured: " + "; ".join(parts))
    for name, (value, held) in told.kept.items():
        new, old = (displays.shortened(each, 24) for each in (displays.param(value), held))
        lines.append(f"{name}={new} was not logged: {of} has {name}={old} already, and params do not change")
    for name, why in told.unlogged.items():
        lines.append(f"--metric {name} was not logged: {why}")
    if changes is not None:
        lines.append(f"since {since or changes.since.run_name}: {changes.summary()}")
    return lines


def _captured(told: Learned) -> Iterable[str]:
    if told.params:
        shown = [f"{name}={displays.shortened(displays.param(value), 24)}" for name, value in told.params.items()]
        yield "params " + ", ".join(shown[:6]) + (f" and {len(shown) - 6} more" if len(shown) > 6 else "")
    if told.metrics:
        logged = [f"{name}={_last(*metric)}" for name, metric in told.metrics.items()]
        yield ("metric " if len(logged) == 1 else "metrics ") + ", ".join(logged)
    if told.masked is not None:
        yield "source" + (
            f" ({told.masked} {'secret' if told.masked == 1 else 'secrets'} masked)" if told.masked else ""
        )
    cost = told.cost
    if cost.cpu_s is not None:
        parts = [f"CPU {displays.span(cost.cpu_s)}"]
        if cost.peak_bytes:
            parts.append(f"peak memory {displays.size(cost.peak_bytes)}")
        if cost.gpu_bytes:
            parts.append(f"GPU memory {displays.size(cost.gpu_bytes)}")
        yield "cost (" + ", ".join(parts) + ")"


def _last(value: float, count: int) -> str:
    shown = displays.figure(value)
    return shown if count == 1 else f"{shown} ({count:,} points)"
