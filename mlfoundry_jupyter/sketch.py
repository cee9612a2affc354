"""Line charts as small SVG images inside the HTML itself: they need no script, no style sheet and no server.

An image holds no text but numbers of ours; titles and names stand beside it in HTML. Its colours can be read on
light and on dark, since it cannot know which of them its page has.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlfoundry import displays
from mlfoundry.displays import Html

COLOURS = ("#3b82d6", "#d9730d", "#2a9d6f", "#b3589a", "#8a7f00", "#7a6fd0", "#c04a4a", "#0f93a8")
_INK = "#7f7f7f"
# A GIF of one pixel: what stands before and after its colour.
_PIXEL_BEFORE = b"GIF89a\1\0\1\0\x80\0\0"
_PIXEL_AFTER = b"\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0;"
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 4, 6, 16


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a chart: places along x in any order that rises, and values of which NaN is a gap."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    colour: str = COLOURS[0]


@dataclass(frozen=True, slots=True)
class Band:
    """A stretch of x that is shaded."""

    start: float
    end: float


def chart(
    lines: Sequence[Line],
    alt: str,
    *,
    bands: Sequence[Band] = (),
    axis: tuple[float, float] | None = None,
    from_zero: bool = False,
    unit: str = "",
    is_time: bool = False,
    points: int = 120,
    size: tuple[int, int] = (300, 120),
) -> Html:
    """Return a chart as an image.

    Args:
        lines: What is drawn.
        alt: What somebody reads who does not see the image.
        bands: What is shaded behind the lines.
        axis: Range of the values; what the values need when None.
        from_zero: Whether that range holds zero as well.
        unit: How values are written, see `number`.
        is_time: Whether x is in seconds.
        points: At most about so many a line.
        size: Width and height in pixels.
    """
    width, height = size
    left, right = _extent([line.x for line in lines])
    low, high = _extent([line.y for line in lines])
    low, high = axis or _padded(min(low, 0.0) if from_zero else low, max(high, 0.0) if from_zero else high)
    frame = _Frame(left, right, low, high, width, height)
    marks = _marks(low, high, 1024 if unit in ("B", "B/s") else 1000)
    parts = [frame.bands(bands), frame.grid(marks), frame.labels(marks, unit, (left, right), is_time=is_time)]
    parts += [frame.line(line, points) for line in lines]
    return image("".join(parts), alt, width, height)


def mark(colour: str) -> Html:
    """Return the colour of a line for a legend, as an image like the line: a style may be taken away."""
    pixel = _PIXEL_BEFORE + bytes.fromhex(colour.removeprefix("#")) + _PIXEL_AFTER
    source = f"data:image/gif;base64,{base64.b64encode(pixel).decode()}"
    look = 'width="14" height="3" align="middle" style="vertical-align:middle;height:3px"'
    return Html(f'<img src="{source}" alt="" {look}>')


def image(content: str, alt: str, width: int, height: int) -> Html:
    """Return SVG content, which is ours alone and in half pixels, as an image."""
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * width} {2 * height}">{content}</svg>'
    source = f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
    return Html(f'<img src="{source}" width="{width}" height="{height}" alt="{Html.of(alt)}">')


def number(value: float, unit: str) -> str:
    """Return a value with its unit: bytes in binary units, other numbers with at most four digits."""
    if not math.isfinite(value):
        return displays.figure(value)
    if unit in ("B", "B/s"):
        return displays.size(value) + unit[1:]
    return f"{displays.figure(float(f'{value:.4g}'))}{' ' if unit and unit != '%' else ''}{unit}"


class _Frame:
    """The place of a chart: from values to half pixels, which are whole numbers and so take few bytes."""

    def __init__(self, left: float, right: float, low: float, high: float, width: int, height: int) -> None:
        self.x0, self.x1 = 2 * _LEFT, 2 * (width - _RIGHT)
        self.y0, self.y1 = 2 * (height - _BOTTOM), 2 * _TOP
        self.left, self.low, self.high = left, low, high
        self.x_scale = (self.x1 - self.x0) / ((right - left) or 1.0)
        self.y_scale = (self.y1 - self.y0) / ((high - low) or 1.0)

    def x(self, value: float) -> int:
        return round(min(max(self.x0 + (value - self.left) * self.x_scale, self.x0), self.x1))

    def y(self, value: float) -> int:
        return round(min(max(self.y0 + (value - self.low) * self.y_scale, self.y1), self.y0))

    def bands(self, bands: Sequence[Band]) -> str:
        if not bands:
            return ""
        stretches = [(self.x(band.start), self.x(band.end)) for band in bands]
        paths = "".join(f"M{start} {self.y0}V{self.y1}h{max(2, end - start)}V{self.y0}z" for start, end in stretches)
        return f'<path d="{paths}" fill="{_INK}" fill-opacity=".16"/>'

    def grid(self, marks: Sequence[float]) -> str:
        lines = "".join(f"M{self.x0} {self.y(value)}H{self.x1}" for value in marks)
        return f'<path d="{lines}" stroke="{_INK}" stroke-opacity=".35" stroke-width="2"/>'

    def labels(self, marks: Sequence[float], unit: str, ends: tuple[float, float], *, is_time: bool) -> str:
        names = [displays.span(value) if is_time else displays.figure(value) for value in ends]
        rising = "".join(_text(self.x0 - 8, self.y(value) + 7, short(value, unit)) for value in marks)
        look = f'font-family="system-ui,sans-serif" font-size="20" fill="{_INK}"'
        last = _text(self.x1, self.y0 + 24, names[1]) if ends[0] < ends[1] else ""
        first = _text(self.x0, self.y0 + 24, names[0])
        return f'<g {look}>{first}<g text-anchor="end">{rising}{last}</g></g>'

    def line(self, line: Line, points: int) -> str:
        x, y = _thinned(line.x, line.y, points)
        path, before = [], None
        for place, value in zip(x.tolist(), y.tolist(), strict=True):
            if not math.isfinite(value):
                before = None
                continue
            at = self.x(place), self.y(value)
            if before is None:
                path.append(f"M{at[0]} {at[1]}l0 0")  # a point alone is drawn as well, as a dot
            elif at != before:
                path.append(f"l{at[0] - before[0]} {at[1] - before[1]}")
            before = at
        look = f'fill="none" stroke="{line.colour}" stroke-width="3" stroke-linejoin="round" stroke-linecap="round"'
        return f'<path d="{"".join(path)}" {look}/>' if path else ""


def short(value: float, unit: str) -> str:
    """Return a value for an axis: seven characters at most in all ordinary cases."""
    if unit in ("B", "B/s"):
        for letter in ("", "K", "M", "G"):
            if abs(value) < 1000:
                return f"{value:.3g}{letter}"
            value /= 1024
        return f"{value:.3g}T"
    return f"{displays.figure(float(f'{value:.3g}'))}{'%' if unit == '%' else ''}"


def _text(x: int, y: int, text: str) -> str:
    return f'<text x="{x}" y="{y}">{Html.of(text)}</text>'


def _extent(columns: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    every = np.concatenate([np.empty(0), *columns])
    finite = every[np.isfinite(every)]
    return (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)


def _padded(low: float, high: float) -> tuple[float, float]:
    if low < high:
        return low, high
    return (low - abs(low) / 2, high + abs(high) / 2) if low else (0.0, 1.0)


def _marks(low: float, high: float, base: int) -> list[float]:
    """Return two to five round values of a range; its ends when it is too narrow or too wide for any."""
    size = high - low
    if not (math.isfinite(size) and size > max(1e-9 * abs(low), 1e-9 * abs(high), 1e-290)):
        return [low, high]
    unit = base ** math.floor(math.log(size, base)) if base == 1024 and size >= base else 1.0
    power = 10.0 ** math.floor(math.log10(size / unit))
    for factor in (5.0, 2.0, 1.0, 0.5):
        step = factor * power * unit
        marks = [step * n for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
        if len(marks) >= 3:
            break
    return marks


def _thinned(
    x: NDArray[np.float64], y: NDArray[np.float64], points: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return least and greatest of each stretch, in their order: no peak is lost."""
    if len(x) <= points:
        return x, y
    width = -(-len(x) // max(1, points // 2))
    padding = np.full(-len(x) % width, np.nan)
    stretches = np.concatenate([y, padding]).reshape(-1, width)
    least = np.where(np.isnan(stretches), np.inf, stretches).argmin(axis=1)
    most = np.where(np.isnan(stretches), -np.inf, stretches).argmax(axis=1)
    first = np.arange(len(stretches)) * width
    told = np.isfinite(stretches).any(axis=1)
    ends = np.array([0, len(x) - 1])
    places = np.unique(np.concatenate([ends, (first + least)[told], (first + most)[told]]))
    return x[places], y[places]
