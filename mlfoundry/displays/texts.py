"""Strangers' text on one line of a terminal: what it may hold, how wide it is, and how it is cut."""

from __future__ import annotations

import unicodedata

_CONTROLS = (*range(32), *range(127, 160))
_TURNS = (0x061C, 0x200E, 0x200F, 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_HIDDEN = {code: f"\\x{code:02x}" for code in _CONTROLS} | {code: f"\\u{code:04x}" for code in _TURNS}


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
