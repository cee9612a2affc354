"""Figures of matplotlib and plotly as the bytes of a file."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

from ..errors import InvalidValue


def figure_bytes(figure: Any, path: str) -> tuple[bytes, str]:
    """Return a figure as bytes, and the ending that `path` lacks.

    Neither matplotlib nor plotly is imported: a figure of theirs can only exist when they are.

    Raises:
        InvalidValue: It is no figure of theirs, or the ending is none of theirs.
    """
    suffix = Path(path).suffix.lower().lstrip(".")
    matplotlib, pyplot = sys.modules.get("matplotlib.figure"), sys.modules.get("matplotlib.pyplot")
    if pyplot is not None and figure is pyplot:
        figure = pyplot.gcf()
    figure = getattr(figure, "figure", None) or figure
    if matplotlib is not None and isinstance(figure, matplotlib.Figure):
        if suffix not in ("", "png", "svg", "pdf"):
            raise InvalidValue(f"log_figure cannot make .{suffix} of a matplotlib figure; use .png, .svg or .pdf")
        out = io.BytesIO()
        figure.savefig(out, format=suffix or "png", bbox_inches="tight")
        return out.getvalue(), "" if suffix else ".png"
    plotly = sys.modules.get("plotly.basedatatypes")
    if plotly is not None and isinstance(figure, plotly.BaseFigure):
        if suffix not in ("", "json", "html"):
            raise InvalidValue(f"log_figure cannot make .{suffix} of a plotly figure; use .json or .html")
        if suffix == "html":
            return figure.to_html(include_plotlyjs=True).encode(), ""
        return figure.to_json().encode(), "" if suffix else ".json"
    raise InvalidValue(
        f"log_figure got {type(figure).__name__}; give a matplotlib or plotly figure, or use log_artifact for a file"
    )
