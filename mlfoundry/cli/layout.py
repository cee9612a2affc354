"""How tables and texts fit a terminal: long names are cut in the middle, columns left out or put below each other.

Widths are cells of the terminal; None stands for output that no terminal shows, and nothing is cut there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from .. import displays

GAP = 2
NAME_LEAST = 16  # cells that a name keeps while there are columns to leave out
TEXT_LEAST = 8
STACKED_LEAST = 14  # where columns move below each other and none is lost
LEAST = 3
_FIGURE = re.compile(r"-?[0-9][0-9,.]*(e[+-]?[0-9]+)?")


class Grid:
    """A table that is not laid out yet.

    Args:
        headers: Names of the columns.
        rows: Cells as text, a row for each thing.
        numeric: Which columns stand to the right; numbers in them keep all their digits.
        fixed: Columns that keep all of their text, by index.
        keep: Cells that any other text keeps while there are columns to leave out or to move.
    """

    def __init__(
        self,
        headers: Sequence[str],
        rows: Sequence[Sequence[str]],
        numeric: Sequence[bool],
        *,
        fixed: Sequence[int] = (),
        keep: int = TEXT_LEAST,
    ) -> None:
        self.headers = [displays.plain(header) for header in headers]
        self._rows = [[displays.plain(cell) for cell in row] for row in rows]
        self._numeric = numeric
        columns = list(zip(self.headers, *self._rows, strict=True))
        self._natural = [max(map(displays.cell_width, column)) for column in columns]
        figures = [max((len(cell) for cell in column[1:] if _FIGURE.fullmatch(cell)), default=0) for column in columns]
        name = next((i for i, is_number in enumerate(numeric) if not is_number and i not in fixed), None)
        self._least = [
            natural if i in fixed else min(natural, max(figures[i], NAME_LEAST if i == name else keep))
            for i, natural in enumerate(self._natural)
        ]

    def text(self, width: int | None, columns: Sequence[int] | None = None) -> str:
        """Return the table, or some of its columns, with cells cut so that no line is longer than `width`."""
        shown = range(len(self.headers)) if columns is None else columns
        lines = [[row[i] for i in shown] for row in [self.headers, *self._rows]]
        if width is not None:
            room = width - GAP * (len(shown) - 1)
            widths = _fitted([self._natural[i] for i in shown], [self._least[i] for i in shown], room)
            lines = [list(map(displays.shortened, line, widths)) for line in lines]
        return displays.text_table(lines[0], lines[1:], [self._numeric[i] for i in shown])

    def fits(self, width: int, columns: Sequence[int]) -> bool:
        """Return whether some columns can stand beside each other and be of use."""
        return sum(self._least[i] for i in columns) + GAP * (len(columns) - 1) <= width

    def chosen(self, dispensable: Sequence[int], width: int | None) -> tuple[str, list[str]]:
        """Return the table with as many columns as fit, and the names of those that were left out.

        Args:
            dispensable: Columns that may be left out, the first to go first.
            width: Cells of the terminal, None for no end of them.
        """
        columns, gone = list(range(len(self.headers))), []
        for column in dispensable if width is not None else ():
            if width is None or self.fits(width, columns):
                break
            columns.remove(column)
            gone.append(column)
        return self.text(width, columns), [self.headers[column] for column in sorted(gone)]

    def stacked(self, keys: int, width: int | None) -> str:
        """Return the table with all its columns: those that do not fit beside each other stand below.

        Args:
            keys: How many columns at the left are repeated.
            width: Cells of the terminal, None for no end of them.
        """
        head, left = list(range(keys)), list(range(keys, len(self.headers)))
        if width is None or not left:
            return self.text(width)
        parts = []
        while left:
            columns = [*head, left.pop(0)]
            while left and self.fits(width, [*columns, left[0]]):
                columns.append(left.pop(0))
            parts.append(self.text(width, columns))
        return "\n\n".join(parts)


def _fitted(natural: list[int], least: list[int], room: int) -> list[int]:
    """Return widths that fill the room at most: the widest columns give first, down to their least, then below."""
    for floor in (least, [min(each, LEAST) for each in least]):
        if sum(floor) > room:
            continue
        low, high = 0, max(natural, default=0)
        while low < high:  # the greatest width that all may have
            middle = (low + high + 1) // 2
            fits = sum(_capped(natural, floor, middle)) <= room
            low, high = (middle, high) if fits else (low, middle - 1)
        return _capped(natural, floor, low)
    return [min(each, LEAST) for each in least]


def _capped(natural: list[int], floor: list[int], most: int) -> list[int]:
    return [min(each, max(keep, most)) for each, keep in zip(natural, floor, strict=True)]


# -- texts ---------------------------------------------------------------------------------------


def wrapped(text: str, width: int | None, indent: int = 0) -> str:
    """Return a line of text broken at spaces where it can be; lines behind the first are moved to the right.

    Args:
        text: The line; safe already.
        width: Cells of the terminal, None for no end of them.
        indent: How far the lines behind the first are moved; the first has that much less room too.
    """
    if width is None or displays.cell_width(text) <= width - indent:
        return text
    room = max(TEXT_LEAST, width - indent)
    found, line = [], ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if displays.cell_width(longer) <= room:
            line = longer
            continue
        if line:
            found.append(line)
        *whole, line = _pieces(word, room)
        found += whole
    return ("\n" + " " * indent).join([*found, line])


def joined(parts: Sequence[str], width: int | None) -> str:
    """Return some parts beside each other, on as many lines as it takes; none is broken."""
    lines = [""]
    for part in parts:
        longer = f"{lines[-1]}   {part}" if lines[-1] else part
        if width is None or not lines[-1] or displays.cell_width(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(part)
    return "\n".join(lines)


def _pieces(word: str, room: int) -> list[str]:
    """Cut a word that is longer than a line."""
    pieces, piece = [], ""
    for character in word:
        if displays.cell_width(piece + character) > room:
            pieces.append(piece)
            piece = ""
        piece += character
    return [*pieces, piece]


def pairs(facts: Sequence[tuple[str, str]], width: int | None, safe: Callable[[object], str]) -> str:
    """Return names and values in two columns; what a value needs besides its first line stands below that.

    Args:
        facts: Names and values, each possibly of several lines.
        width: Cells of the terminal, None for no end of them.
        safe: What makes a line of strangers' text safe.
    """
    names = [safe(name) for name, _ in facts]
    if width is not None:
        names = [displays.shortened(name, max(TEXT_LEAST, width * 2 // 5)) for name in names]
    column = max(map(displays.cell_width, names), default=0)
    indent = column + 4
    found = []
    for name, (_, value) in zip(names, facts, strict=True):
        gap = " " * (column - displays.cell_width(name))
        parts = [wrapped(safe(line), width, indent) for line in value.split("\n")]
        found.append(f"  {name}{gap}  " + ("\n" + " " * indent).join(parts))
    return "\n".join(found)
