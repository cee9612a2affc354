"""A curve drawn with characters: each holds two by four dots of braille, or one star where those cannot be shown."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .. import displays

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..records import Series

    Dots = NDArray[np.bool_]

HEIGHT = 8  # characters
ACROSS, DOWN = 2, 4  # dots of a character
_BRAILLE = 0x2800
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of the dots of a character, row by row


def curve(series: Series, width: int, *, braille: bool = True) -> str:
    """Return the finite points of a series over its steps, with its ends named at both axes.

    Args:
        series: At least one finite point.
        width: Characters of a line.
        braille: Whether the characters of braille can be shown.
    """
    import numpy as np

    finite = np.isfinite(series.values)
    steps, values = series.steps[finite].astype(np.float64), series.values[finite]
    top, bottom = displays.figure(float(values.max())), displays.figure(float(values.min()))
    margin = max(map(displays.cell_width, (top, bottom)))
    columns = max(10, width - margin - 2)
    lines = _characters(_dots(steps, values, columns * ACROSS, HEIGHT * DOWN), braille=braille)
    corner, axis, tick, bar = ("└", "─", "┤", "│") if braille else ("+", "-", "+", "|")
    named = {0: top, HEIGHT - 1: bottom}
    drawn = [f"{named.get(i, ''):>{margin}} {tick if i in named else bar}{line}" for i, line in enumerate(lines)]
    first, last = f"{series.steps[finite][0]:,}", f"{series.steps[finite][-1]:,}"
    ends = first if first == last else f"{first} {last.rjust(columns - len(first) - 1)}"
    drawn += [f"{'':>{margin}} {corner}{axis * columns}", f"{'':>{margin}}  {ends}"]
    return "\n".join(line.rstrip() for line in drawn)


def _places(values: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Return in which of `count` equal stretches each value lies; in the middle one when all are the same."""
    import numpy as np

    least, most = float(values.min()), float(values.max())
    if least == most:
        return np.full(len(values), (count - 1) // 2)
    scale = 1.0 if math.isfinite(most - least) else 0.5  # the difference of two floats may be too great for one
    share = (values * scale - least * scale) / (most * scale - least * scale)
    places: NDArray[np.int64] = np.clip(np.rint(share * (count - 1)), 0, count - 1).astype(np.int64)
    return places


def _dots(steps: NDArray[np.float64], values: NDArray[np.float64], across: int, down: int) -> Dots:
    """Return which dots are set: in each column all between its least and greatest, joined with its neighbour's end."""
    import numpy as np

    dots = np.zeros((down, across), np.bool_)
    x, y = _places(steps, across), (down - 1) - _places(values, down)
    before: tuple[int, int] | None = None
    for column in np.unique(x).tolist():
        here = y[x == column]
        dots[here.min() : here.max() + 1, column] = True
        if before is not None:
            _join(dots, before, (column, int(here[0])))
        before = (column, int(here[-1]))
    return dots


def _join(dots: Dots, start: tuple[int, int], end: tuple[int, int]) -> None:
    """Set the dots of a straight line."""
    (x0, y0), (x1, y1) = start, end
    count = max(abs(x1 - x0), abs(y1 - y0))
    for i in range(count + 1):
        dots[round(y0 + (y1 - y0) * i / max(1, count)), round(x0 + (x1 - x0) * i / max(1, count))] = True


def _characters(dots: Dots, *, braille: bool) -> list[str]:
    rows, columns = dots.shape[0] // DOWN, dots.shape[1] // ACROSS
    lines = []
    for row in range(rows):
        line = ""
        for column in range(columns):
            block = dots[row * DOWN : (row + 1) * DOWN, column * ACROSS : (column + 1) * ACROSS]
            code = sum(_BITS[i][j] for i in range(DOWN) for j in range(ACROSS) if block[i, j])
            line += " " if not code else chr(_BRAILLE + code) if braille else "*"
        lines.append(line)
    return lines
