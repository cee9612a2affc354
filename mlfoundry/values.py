"""What a metric, param or tag value may be, and how it is kept.

A metric is a float64. A param is text with a type: None, bools, ints, floats and text come back as they went in, lists,
tuples and arrays as lists, anything else as text. Nothing is imported to recognise the numbers of numpy, torch, jax or
pandas: they are asked for what they can do.
"""

from __future__ import annotations

import argparse
import json
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from .errors import InvalidValue, shown
from .names import legal_key

TEXT_LIMIT = 65_536
NAMES_PER_CALL = 10_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PARAM_TYPES = ("int", "float", "bool", "none", "str", "json")
JSON_DEPTH = 50
INT_DIGITS = 4_300  # Python's own limit for the text of an int, where nobody raised it
STEP_MIN, STEP_MAX = -(2**63), 2**63 - 1
_FIRST_US, _END_US = -62_135_596_800_000_000, 253_402_300_800_000_000  # the years 1 to 9999


_LONG_INT = re.compile(rf"\d{{{INT_DIGITS}}}")
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+(?=>)")
_TIMES = "a datetime, or seconds since 1970 as time.time() gives them"
_NUMBERS = "an int, float, bool, Decimal, numpy number or an array or tensor of one element (log its mean, say)"


def number(key: str, value: object) -> float:
    """Return a metric's value as the float64 that is kept.

    Args:
        key: The metric, for the message.
        value: int, float, bool, Decimal, Fraction, a numpy scalar, or an array or tensor of exactly
            one element. NaN and the infinities are values; the sign of zero is kept.

    Raises:
        InvalidValue: It is no real number, or a finite one too large for a float64.
    """
    return _float(f"metric {key!r}", value, _NUMBERS)


def _float(what: str, value: object, allowed: str) -> float:
    """Return a number as a float64; `what` and `allowed` are for the message."""
    size = getattr(value, "size", 1)
    if callable(size):  # torch: a method; numpy: a number
        size = math.prod(size())
    if size != 1:
        raise InvalidValue(f"{what} got an array of {size} elements; allowed is {allowed}")
    try:
        item = getattr(value, "item", None)
        plain = value if item is None else item()
        dtype = str(getattr(value, "dtype", ""))
        is_masked = item is not None and bool(getattr(value, "mask", False))
        is_other = isinstance(plain, (str, bytes, bytearray, complex)) or "complex" in dtype or "time" in dtype
        if is_other or is_masked or not (hasattr(plain, "__float__") or hasattr(plain, "__index__")):
            raise TypeError("it is no number")
        result = float(plain)
        if math.isinf(result) and not bool(plain == result):
            raise OverflowError("it is finite and beyond 1.8e308")
    except OverflowError as error:
        raise InvalidValue(f"{what} got a number that no float64 can hold ({error})") from error
    except Exception as error:  # the object's own __float__ or item may raise anything at all
        raise InvalidValue(f"{what} got {shown(value)}: {error}. Allowed is {allowed}") from error
    return result


def step_number(step: object) -> int:
    """Return a step as an int64.

    Raises:
        InvalidValue: It is no whole number, or beyond int64.
    """
    try:
        whole = operator.index(step)  # type: ignore[arg-type]
    except TypeError:
        raise InvalidValue(
            f"step got {shown(step)}; a step is a whole number. Use timestamp= for times, or round it."
        ) from None
    if not STEP_MIN <= whole <= STEP_MAX:
        raise InvalidValue(f"step {shown(whole)} is beyond 64 bits")
    return whole


def microseconds(timestamp: object) -> int:
    """Return a point in time as microseconds since 1970 (UTC).

    Args:
        timestamp: A datetime (without a zone it is taken as local time, as Python does) or seconds
            since 1970 as ``time.time()`` gives them.

    Raises:
        InvalidValue: It is neither, or outside of the years 1 to 9999.
    """
    if isinstance(timestamp, datetime):
        try:
            timestamp = timestamp.timestamp()
        except (ValueError, OverflowError) as error:
            raise InvalidValue(f"timestamp got {shown(timestamp)}, which is no point in time ({error})") from error
    if isinstance(timestamp, bool):
        raise InvalidValue(f"timestamp got {shown(timestamp)}; allowed is {_TIMES}")
    seconds = _float("timestamp", timestamp, _TIMES)
    if not -62_135_596_800 <= seconds < 253_402_300_800:
        raise InvalidValue(
            f"timestamp {seconds!r} lies outside of the years 1 to 9999; it is in seconds since 1970, "
            "not in milliseconds"
        )
    return round(seconds * 1_000_000)


def in_calendar(at_us: int) -> bool:
    """Return whether microseconds since 1970 lie in the years 1 to 9999, which datetimes can hold."""
    return _FIRST_US <= at_us < _END_US


def utc(at_us: int) -> datetime:
    """Return microseconds since 1970 as a datetime in UTC; a time that no datetime can hold becomes the nearest."""
    if not _FIRST_US <= at_us < _END_US:
        at_us = _FIRST_US if at_us < _FIRST_US else _END_US - 1
    return _EPOCH + timedelta(0, 0, at_us)


def flatten(params: object, kind: str = "param") -> dict[str, Any]:
    """Return nested mappings as one level, keys joined with dots, in their order.

    Args:
        params: A mapping, an ``argparse.Namespace`` or a dataclass's instance; so may values be again.
        kind: ``"param"`` or ``"tag"``, for messages.

    Raises:
        InvalidValue: It is no mapping, nests itself, has twins after joining, or more than 10,000 names.
        InvalidName: A key is not legal.
    """
    flat: dict[str, Any] = {}
    for key, value in _leaves(params, kind, ()):
        legal = legal_key(f"{kind} key", key)
        if legal in flat:
            raise InvalidValue(f"{kind} {legal!r} is given twice (nested keys are joined with dots)")
        flat[legal] = value
        if len(flat) > NAMES_PER_CALL:
            raise InvalidValue(f"more than {NAMES_PER_CALL:,} {kind}s in one call; log a file as an artifact instead")
    return flat


def _leaves(value: object, kind: str, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Yield the dotted name and the value of each leaf of nested mappings."""
    if isinstance(value, argparse.Namespace):
        value = vars(value)
    elif is_dataclass(value) and not isinstance(value, type | Mapping):
        value = {each.name: getattr(value, each.name) for each in fields(value) if hasattr(value, each.name)}
    if not isinstance(value, Mapping):
        if not path:
            raise InvalidValue(
                f"{kind}s must be a mapping, an argparse.Namespace or a dataclass's instance, not {shown(value)}"
            )
        yield ".".join(path), value
        return
    if len(path) > 20:
        raise InvalidValue(f"{kind} {'.'.join(path[:3])}… nests more than 20 levels deep")
    if path and not value:
        yield ".".join(path), {}
    for key, inner in value.items():
        if not isinstance(key, str) and (not path or not isinstance(key, (int, float, bool))):
            raise InvalidValue(f"{kind} key must be a string, not {shown(key)}")
        yield from _leaves(inner, kind, (*path, str(key)))


def param_text(name: str, value: object) -> tuple[str, str]:
    """Return a param's value as (type, text): what is stored.

    The types are ``int float bool none str json``. Lists, tuples and the arrays and tensors of numpy, torch, jax and
    pandas become JSON when they hold plain values, whole however long they are: what they print may leave numbers out.
    Anything else is kept as ``str(value)``, without the address in memory that a text like ``<function f at 0x7f…>``
    tells: it is another each time. Two values of one text are the same param.

    Raises:
        InvalidValue: The text is longer than 65,536 characters or holds NUL or a lone surrogate.
    """
    what = f"param {name!r}"
    if value is None:
        return "none", "None"
    if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"):
        return "bool", str(bool(value))
    if isinstance(value, str):
        return "str", plain_text(what, str(value))
    scalar = str(getattr(value, "dtype", "")) if getattr(value, "shape", None) == () else ""
    if isinstance(value, int) or "int" in scalar:
        text = _text(what, operator.index(value))  # type: ignore[arg-type]
        if len(text) >= INT_DIGITS:
            raise InvalidValue(
                f"{what} is an int of {len(text):,} digits, at most {INT_DIGITS - 1:,} are kept; log it as text"
            )
        return "int", text
    if isinstance(value, float) or "float" in scalar:
        return "float", repr(float(value))  # type: ignore[arg-type]
    if isinstance(value, (list, tuple, dict)) or _is_array(value):
        return _json_text(what, value)
    return "str", plain_text(what, _ADDRESS.sub("", _text(what, value)))


def _json_text(what: str, value: object) -> tuple[str, str]:
    """Return (type, text) of what JSON can hold, when it holds plain values."""
    plain = _plain_array(what, value) if _is_array(value) else value
    _check_depth(what, plain, JSON_DEPTH)
    try:
        text = json.dumps(plain, ensure_ascii=False, default=lambda inner: _plain_array(what, inner))
    except InvalidValue:
        raise
    except (TypeError, ValueError, RecursionError):
        return "str", plain_text(what, _ADDRESS.sub("", _text(what, plain)))
    if _LONG_INT.search(text):  # whoever reads it may not be allowed longer ones
        raise InvalidValue(f"{what} holds an int of {INT_DIGITS:,} digits or more; log it as text")
    return "json", plain_text(what, text)


def _is_array(value: object) -> bool:
    """Return whether it is an array, a tensor or a series of any number of elements but one without an axis."""
    return callable(getattr(value, "tolist", None)) and getattr(value, "shape", ()) != ()


def _plain_array(what: str, value: Any) -> Any:
    """Return an array, or a number of such a library, as the lists and numbers of Python.

    Raises:
        InvalidValue: It has more elements than any text that is kept.
        TypeError: It is neither.
    """
    if not callable(getattr(value, "tolist", None)):
        raise TypeError("it is no array")
    count = math.prod(getattr(value, "shape", ()))
    if count > TEXT_LIMIT:  # before a list is made of it, which takes many times its memory
        raise InvalidValue(
            f"{what} is an array of {count:,} elements, too many for the {TEXT_LIMIT:,} characters that are kept. "
            "Log it as an artifact, and its shape or a hash of it as the param."
        )
    try:
        return value.tolist()
    except Exception as error:  # a stranger's tolist may raise anything at all
        raise TypeError(str(error)) from error


def _check_depth(what: str, value: object, left: int) -> None:
    if not left:
        raise InvalidValue(f"{what} nests more than {JSON_DEPTH} levels deep; log it as text or as an artifact")
    if isinstance(value, (list, tuple)):
        for each in value:
            _check_depth(what, each, left - 1)
    elif isinstance(value, dict):
        for each in value.values():
            _check_depth(what, each, left - 1)


def _text(what: str, value: object) -> str:
    try:
        return str(value)
    except Exception as error:  # a stranger's __str__ may raise anything at all
        raise InvalidValue(f"{what} got a {type(value).__name__} whose text cannot be had ({error})") from error


def tag_text(name: str, value: object) -> str:
    """Return a tag's value as text.

    Raises:
        InvalidValue: The text is longer than 65,536 characters or holds NUL or a lone surrogate.
    """
    return plain_text(f"tag {name!r}", _text(f"tag {name!r}", value))


def tag_texts(tags: object) -> dict[str, str | None]:
    """Return tags as they are stored: nested mappings joined with dots, values as text, None kept.

    Raises:
        InvalidName, InvalidValue: A key or a value cannot be kept.
    """
    return {name: None if value is None else tag_text(name, value) for name, value in flatten(tags, "tag").items()}


def param_value(kind: str, text: str) -> Any:
    """Return a stored param as Python knew it: the inverse of `param_text`.

    A text that this process cannot turn into its value comes back as it is: what is stored may be nonsense,
    nest deeper or have more digits than this Python takes, and one such param must not hide all others.
    """
    try:
        return _VALUES[kind](text)
    except (KeyError, ValueError, RecursionError):
        return text


def _from_json(text: str) -> Any:
    value = json.loads(text)
    if text.count("[") + text.count("{") > JSON_DEPTH:  # what was parsed could still be too deep to be shown
        _check_depth("stored JSON", value, JSON_DEPTH)
    return value


_VALUES: dict[str, Callable[[str], Any]] = {
    "int": int,
    "float": float,
    "bool": {"True": True, "False": False}.__getitem__,
    "none": {"None": None}.__getitem__,
    "str": str,
    "json": _from_json,
}


def param_number(kind: str, text: str) -> float | None:
    """Return what a param compares as, when it is a number: ints, floats, bools and number-like text."""
    if kind == "bool":
        return float(text == "True")
    if kind in ("none", "json"):
        return None
    try:
        value = float(text)
    except (ValueError, OverflowError):
        return None
    return None if math.isnan(value) else value


def plain_text(what: str, text: object, limit: int = TEXT_LIMIT) -> str:
    """Return text that every engine and every file can hold.

    Raises:
        InvalidValue: It is no string, too long, or holds NUL or half a surrogate pair.
    """
    if not isinstance(text, str):
        raise InvalidValue(f"{what} must be text, not {shown(text)}")
    if len(text) > limit:
        raise InvalidValue(
            f"{what} has {len(text):,} characters, at most {limit:,} are kept. Use log_text for longer text."
        )
    if "\0" in text:
        raise InvalidValue(f"{what} holds a NUL character, which databases cannot keep: {text[:40]!r}")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InvalidValue(f"{what} holds half of a surrogate pair, which is no text: {text[:40]!r}") from error
    return text
