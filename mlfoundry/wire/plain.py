"""Times, numbers and checks that all of the wire's JSON is made with."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from ..errors import InvalidInput, shown
from ..values import utc

Json = dict[str, Any]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBERS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def microseconds(at: datetime | None) -> int | None:
    """Return a time as microseconds since 1970; None stays None."""
    return None if at is None else (at - _EPOCH) // timedelta(microseconds=1)


def read_time(at_us: int | None) -> datetime | None:
    """Return the time that `microseconds` was given."""
    return None if at_us is None else utc(at_us)


def number_json(value: float) -> float | str:
    """Return a number as JSON takes it."""
    if math.isfinite(value):
        return value
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def read_number(value: float | str) -> float:
    """Return the number that `number_json` was given."""
    return _NUMBERS[value] if isinstance(value, str) else float(value)


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn whatever goes wrong while something is read into one error that names it.

    Raises:
        InvalidInput: It is no such thing.
    """
    try:
        yield
    except InvalidInput:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, struct.error) as error:
        raise InvalidInput(f"this is no {what} ({type(error).__name__}: {error})") from error


def only(told: Json, known: Iterable[str]) -> None:
    """Make sure that nothing but what is known is given: a misspelt name must not be passed over."""
    if strange := sorted(set(told) - set(known)):
        raise InvalidInput(f"{shown(strange[0])} is not known here; give {', '.join(known)}")


def text(name: str, value: Any) -> str:
    """Return a value that must be text."""
    if not isinstance(value, str):
        raise InvalidInput(f"{name} is {shown(value)}; give text")
    return value


def whole(name: str, told: Mapping[str, Any]) -> int:
    """Return a value that must be a whole number of 64 bits."""
    value = told[name]
    if type(value) is not int or not -(1 << 63) <= value < 1 << 63:
        raise InvalidInput(f"{name} is {shown(value)}; give a whole number of 64 bits")
    return value
