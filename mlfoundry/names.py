"""What may be a name, in which normal form it is kept, which come near to another, and names for those who give none.

Owns the rules for names of projects, runs, users, keys (metrics, params, tags) and artifact
paths. Every layer that takes a name from outside calls these functions; the store relies on it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from itertools import islice
from typing import Any

from .errors import InvalidName, shown

NAME_LIMIT = 128
KEY_LIMIT = 250
PATH_LIMIT = 1000
SYSTEM_PREFIX = "system/"
NEAR = 3
LIKENESS = 0.75  # a slip in a word of four letters; less finds words that only share some
LOOKED_THROUGH = 5_000  # names; to compare more of them would be felt

# They would be read as something else in a URL, a path or an `owner/project/run`.
_RESERVED = frozenset("/\\%?#")
# Cc control, Cf invisible and bidirectional, Cs lone surrogate, Co private, Cn unassigned, Zl/Zp line breaks.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# The joiners inside emoji and several scripts are Cf too, and harmless between visible characters.
_JOINERS = frozenset("\u200c\u200d")
# Letters and symbols that show nothing: fillers of Hangul and the empty pattern of Braille.
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800")


def _check_visible(kind: str, name: str) -> None:
    """Refuse what the eye cannot tell from another name."""
    for index, character in enumerate(name):
        category = unicodedata.category(character)
        between = 0 < index < len(name) - 1 and name[index - 1] not in _JOINERS and not name[index - 1].isspace()
        if category in _HIDDEN and not (character in _JOINERS and between):
            raise InvalidName(
                f"{kind} {shown(name)} holds {character!r} (U+{ord(character):04X}), which cannot be seen there. "
                "Leave control, direction and invisible characters out."
            )
    if all(unicodedata.category(character)[0] in "CMZ" or character in _BLANK for character in name):
        raise InvalidName(f"{kind} {shown(name)} shows nothing. Give at least one visible character.")


def _text(kind: str, name: object, limit: int) -> str:
    """Return the normal form of a text whose characters can all be seen."""
    if not isinstance(name, str):
        raise InvalidName(f"{kind} must be a string, not {shown(name)}")
    if len(name) > limit:
        raise InvalidName(f"{kind} has {len(name)} characters, at most {limit} are allowed: {name[:40]!r}…")
    if not name.isascii():
        name = unicodedata.normalize("NFC", name)
        if len(name) > limit:
            raise InvalidName(f"{kind} has {len(name)} characters in normal form, at most {limit} are allowed")
        _check_visible(kind, name)
    elif not name.isprintable() or not name.strip():
        _check_visible(kind, name)
        raise InvalidName(f"{kind} is empty. Give at least one visible character.")
    return name


def legal_name(kind: str, name: object) -> str:
    r"""Return the normal form (NFC) of a name of a project, run or user.

    Args:
        kind: What the name is of, for the message: ``"project name"``.
        name: 1 to 128 visible characters; inner spaces are fine, ``/ \ % ? #`` are not.

    Raises:
        InvalidName: What is wrong with it and what is allowed.
    """
    legal = _text(kind, name, NAME_LIMIT)
    if legal != legal.strip():
        raise InvalidName(f"{kind} {legal!r} begins or ends with a space. Remove it.")
    for character in legal:
        if character in _RESERVED:
            raise InvalidName(
                f"{kind} {legal!r} holds {character!r}. Names form owner/project/run and URLs, "
                "so / \\ % ? # are not allowed; use - or _ instead."
            )
    if legal in (".", ".."):
        raise InvalidName(f"{kind} {legal!r} means a folder. Choose another.")
    return legal


def legal_key(kind: str, key: object) -> str:
    """Return the normal form (NFC) of a metric, param or tag key: 1 to 250 visible characters.

    Slashes and dots are allowed and group keys in charts (``val/loss``, ``optimizer.lr``).

    Raises:
        InvalidName: What is wrong with it and what is allowed.
    """
    return _text(kind, key, KEY_LIMIT)


def legal_metric_key(key: object) -> str:
    """Return the normal form of a metric's key; ``system/`` is kept for the sampler.

    Raises:
        InvalidName: What is wrong with it and what is allowed.
    """
    legal = legal_key("metric key", key)
    if legal.startswith(SYSTEM_PREFIX):
        raise InvalidName(
            f"metric key {legal!r} begins with {SYSTEM_PREFIX!r}, which is kept for system metrics. "
            "Choose another prefix."
        )
    return legal


def legal_path(path: object) -> str:
    """Return an artifact path in its one legal spelling: relative, ``/`` between parts.

    Raises:
        InvalidName: For absolute paths, ``.`` and ``..``, empty parts, backslashes, drive letters,
            control characters and more than 1000 characters.
    """
    legal = _text("artifact path", path, PATH_LIMIT)
    parts = legal.split("/")
    if "\\" in legal or any(part in ("", ".", "..") or part != part.strip() for part in parts):
        raise InvalidName(
            f"artifact path {legal!r} is not a plain relative path like 'plots/loss.png': no leading or "
            "doubled '/', no '.' or '..', no backslash, no part that begins or ends with a space."
        )
    if len(parts[0]) == 2 and parts[0][1] == ":":
        raise InvalidName(f"artifact path {legal!r} begins with a drive letter; give a relative path")
    if any(len(part.encode()) > 255 for part in parts):
        raise InvalidName(f"artifact path {legal[:60]!r}… has a part of more than 255 bytes, which no disk takes")
    return legal


def numbered(name: str, number: int) -> str:
    """Return ``name-2`` for 2, and so on: what a run is called whose name is taken; for 1 the name itself.

    The suffix counts within the 128 characters of a name: a long name is cut to make room.
    """
    if number == 1:
        return name
    suffix = f"-{number}"
    return name[: NAME_LIMIT - len(suffix)] + suffix


def number_of(found: str, name: str) -> int | None:
    """Return the number with which `numbered` makes one name of another, None where it does not."""
    digits = found.rpartition("-")[2]
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        return None
    return int(digits) if numbered(name, int(digits)) == found else None


def is_run_id(text: object) -> bool:
    """Return whether a text is the id of a run: 32 hex digits, 0-9 and a-f."""
    return isinstance(text, str) and len(text) == 32 and set(text) <= set("0123456789abcdef")


def alike(name: str, known: Iterable[str], *, likeness: float = LIKENESS) -> list[str]:
    """Return the names that were perhaps meant by one that nobody has, at most `NEAR`, the nearest first.

    They look like it, upper and lower case being the same here, or end in it as ``val/loss`` in ``loss``.

    >>> alike("los", ["loss", "val/loss", "accuracy"])
    ['loss']
    """
    from difflib import get_close_matches  # no program needs it before a name is wrong

    folded = name.casefold()
    by_folded: dict[str, list[str]] = {}
    ends = []
    for each in islice(known, LOOKED_THROUGH):
        by_folded.setdefault(each.casefold(), []).append(each)
        if each.casefold().endswith((f"/{folded}", f".{folded}")):
            ends.append(each)
    close = get_close_matches(folded, by_folded, n=NEAR, cutoff=likeness)
    return list(dict.fromkeys([*(one for each in close for one in by_folded[each]), *ends]))[:NEAR]


def random_name() -> str:
    """Return two random English words joined by a dash, such as ``steel-numbat``.

    The program's own random numbers stay as they would be without us, and a program that seeds them does
    not get the same name each time.
    """
    if not _generator:
        import random

        state = random.getstate()  # coolname draws from the program's numbers when it is imported
        from coolname import RandomGenerator
        from coolname.data import config

        _generator.append(RandomGenerator(config, random.SystemRandom()))  # type: ignore[arg-type]
        random.setstate(state)
    return str(_generator[0].generate_slug(2))


_generator: list[Any] = []
