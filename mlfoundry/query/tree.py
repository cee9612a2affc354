"""The syntax tree of a filter, the attributes of a run that it may name, and the tree's canonical text.

Owns the nodes that `parser` makes and the store compiles, and how literals are compared with attributes.
"""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from dataclasses import dataclass
from dataclasses import field as _field
from datetime import UTC, datetime, timedelta
from typing import Literal

from ..errors import InvalidFilter
from .tokens import RESERVED, number, shortened

KINDS = {
    "metrics": "metrics", "metric": "metrics",
    "params": "params", "param": "params", "parameters": "params", "parameter": "params",
    "tags": "tags", "tag": "tags",
    "attributes": "attributes", "attribute": "attributes", "attr": "attributes", "run": "attributes",
}  # fmt: skip
AttributeType = Literal["text", "status", "time", "duration"]
ATTRIBUTES: dict[str, AttributeType] = {
    "run_id": "text",
    "run_name": "text",
    "status": "status",
    "created_by": "text",
    "started_at": "time",
    "ended_at": "time",
    "duration": "duration",
    "description": "text",
    "error": "text",
}
ALIASES = {
    "name": "run_name",
    "user": "created_by",
    "user_id": "created_by",
    "start_time": "started_at",
    "created": "started_at",
    "end_time": "ended_at",
    "notes": "description",
}
_MEANT = {  # what people write for an attribute and no store ever called it
    "state": "status", "started": "started_at", "start": "started_at", "ended": "ended_at", "end": "ended_at",
    "finished_at": "ended_at", "took": "duration", "runtime": "duration", "id": "run_id", "author": "created_by",
    "exception": "error",
}  # fmt: skip
AGGREGATES = ("last", "min", "max")
TEXT_OPERATORS = frozenset({"LIKE", "ILIKE", "NOT LIKE", "NOT ILIKE", "CONTAINS"})

Value = float | int | str


@dataclass(frozen=True, slots=True)
class Field:
    """What a comparison or an order looks at.

    Attributes:
        kind: ``metrics``, ``params``, ``tags`` or ``attributes``; None for a bare name, which the store
            resolves.
        name: The key; of attributes the canonical name, whichever alias was written.
        aggregate: Which value of a metric's series: ``last``, ``min`` or ``max``.
    """

    kind: str | None
    name: str
    aggregate: str = "last"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One field against one value.

    Attributes:
        operator: ``= != < <= > >=``, ``LIKE``, ``ILIKE``, ``CONTAINS``, ``IN``, their ``NOT …`` where the
            language has one, ``IS NULL``, ``IS NOT NULL``.
        value: A number or a text; a tuple of them for ``IN`` and ``NOT IN``; None for ``IS …``. Times,
            durations and statuses are as written: see ``attribute_value``.
        position: Where the field begins in the text; equality does not look at it.
        length: Of the field, in characters, for messages about a name that is not there.
        value_position: Where the value begins, a list with its parenthesis.
        value_length: Of the value, in characters, for messages about one that is none.
    """

    field: Field
    operator: str
    value: Value | tuple[Value, ...] | None
    position: int = _field(default=0, compare=False)
    length: int = _field(default=1, compare=False)
    value_position: int = _field(default=0, compare=False)
    value_length: int = _field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class And:
    """All parts hold."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one part holds."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Node


Node = Comparison | And | Or | Not


@dataclass(frozen=True, slots=True)
class OrderTerm:
    """One key to sort by; ``position`` and ``length`` are those of its field."""

    field: Field
    descending: bool
    position: int = _field(default=0, compare=False)
    length: int = _field(default=1, compare=False)


def format_filter(node: Node) -> str:
    """Return the canonical text of a tree; parsing it gives the same tree."""
    match node:
        case And(parts):
            return " and ".join(_grouped(part, And, Or) for part in parts)
        case Or(parts):
            return " or ".join(_grouped(part, Or) for part in parts)
        case Not(part):
            return f"not {_grouped(part, And, Or)}"
    text = f"{_format_field(node.field)} {node.operator.lower()}"
    if node.value is None:
        return text
    if isinstance(node.value, tuple):
        return f"{text} ({', '.join(_format_value(value) for value in node.value)})"
    return f"{text} {_format_value(node.value)}"


_SAFE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_/]*(?:[.-][A-Za-z0-9_/]+)*")


def _grouped(part: Node, *looser: type[And] | type[Or]) -> str:
    text = format_filter(part)
    return f"({text})" if isinstance(part, looser) else text


def _format_field(field: Field) -> str:
    prefix = field.name.partition(".")[0].lower() if field.kind is None else ""
    is_safe = _SAFE_NAME.fullmatch(field.name) is not None and prefix not in KINDS
    if field.kind is None and (number(field.name) is not None or field.name.lower() in RESERVED):
        is_safe = False
    name = field.name if is_safe else "`" + field.name.replace("`", "``") + "`"
    if field.kind is not None:
        name = f"{field.kind}.{name}"
    return name if field.aggregate == "last" else f"{field.aggregate}({name})"


def _format_value(value: Value) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


def find_attribute(name: str) -> str | None:
    """Return the canonical name of a run's attribute, None when there is no such attribute."""
    lowered = name.lower()
    canonical = ALIASES.get(lowered, lowered)
    return canonical if canonical in ATTRIBUTES else None


def attribute_value(name: str, literal: Value) -> str | float | datetime:
    """Convert a literal to what the attribute is compared with.

    Args:
        name: An attribute or one of its aliases.
        literal: As it stands in a ``Comparison``.

    Returns:
        For times a datetime in UTC, from ISO 8601 text (UTC where it names no zone; a date is its first
        moment) or from milliseconds since 1970. For durations seconds, from a number or from ``500ms``,
        ``90s``, ``5m``, ``2h``, ``1d``. A status in capitals. Else the text.

    Raises:
        InvalidFilter: The attribute is unknown, or the literal is no such value. It carries no position.
    """
    attribute = known_attribute(name)
    match ATTRIBUTES[attribute]:
        case "time":
            return _time(attribute, literal)
        case "duration":
            return _duration(attribute, literal)
        case "status":
            return str(literal).upper()
    return unicodedata.normalize("NFC", str(literal))


def known_attribute(name: str) -> str:
    """Return the canonical name of a run's attribute.

    Raises:
        InvalidFilter: There is no such attribute; it names those that there are. It carries no position.
    """
    attribute = find_attribute(name)
    if attribute is None:
        near = near_attribute(name)
        hint = f" Did you mean {near}?" if near else ""
        raise InvalidFilter(
            f"runs have no attribute {shortened(name)}.{hint} There are {', '.join(ATTRIBUTES)}; a param of "
            "that name is written params.NAME."
        )
    return attribute


def near_attribute(name: str) -> str | None:
    """Return the attribute of a run that was perhaps meant by a name that is none."""
    lowered = name.lower()
    close = [] if lowered in _MEANT else difflib.get_close_matches(lowered, [*ATTRIBUTES, *ALIASES], n=1, cutoff=0.75)
    return _MEANT.get(lowered) or (find_attribute(close[0]) if close else None)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST_MS = 100_000_000_000  # 1973; anything smaller is a year or a time in seconds


def _time(attribute: str, literal: Value) -> datetime:
    try:
        if isinstance(literal, str):
            time = datetime.fromisoformat(literal.strip())
            return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        if literal == 0 or literal >= _EARLIEST_MS:
            return _EPOCH + timedelta(milliseconds=literal)
    except (ValueError, OverflowError):
        pass
    raise InvalidFilter(
        f"{attribute} is compared with a time, and {shortened(literal)} is none. Write '2026-11-01', "
        "'2026-11-01 14:30' (UTC unless it names a zone) or milliseconds since 1970, such as 1793491200000."
    )


_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)", re.IGNORECASE)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def _duration(attribute: str, literal: Value) -> float:
    if isinstance(literal, str):
        match = _DURATION.fullmatch(literal.strip())
        seconds = float(match[1]) * _SECONDS[match[2].lower()] if match else number(literal)
    else:
        seconds = literal
    if seconds is None or math.isnan(seconds):
        raise InvalidFilter(
            f"{attribute} is compared with seconds, and {shortened(literal)} is none. Write a number, or one "
            "with a unit: 500ms, 90s, 5m, 2h, 1d."
        )
    return float(seconds)
