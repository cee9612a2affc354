"""Single comparisons as SQL with bound parameters; which column is compared, `conditions` says."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from ..errors import InvalidFilter
from ..query.tree import Comparison, attribute_value
from .ordering import Compiled

INDEXED_TEXT = 64  # characters, as in the migration


def compared(column: str, operator: str, value: Any) -> Compiled:
    """Return one comparison; `column` is ours, the value is bound."""
    if isinstance(value, str) and value.lower() in ("true", "false") and operator in ("=", "!="):
        operator, value = ("IN" if operator == "=" else "NOT IN"), (value, value.capitalize())
    if operator in ("IN", "NOT IN"):
        return f"{column} {operator} ({', '.join('?' for _ in value)})", list(value)
    if operator in ("CONTAINS", "NOT CONTAINS"):
        pattern = str(value).lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        negated = "NOT " if operator.startswith("NOT") else ""
        return f"LOWER({column}) {negated}LIKE ? ESCAPE '\\'", [f"%{pattern}%"]
    if operator.endswith("LIKE"):
        pattern = str(value).replace("\\", "\\\\")
        negated = "NOT " if operator.startswith("NOT") else ""
        if operator.endswith("ILIKE"):
            return f"LOWER({column}) {negated}LIKE ? ESCAPE '\\'", [pattern.lower()]
        return f"{column} {negated}LIKE ? ESCAPE '\\'", [pattern]
    return f"{column} {operator} ?", [value]


def metric_compared(column: str, operator: str, wanted: tuple[Any, ...]) -> Compiled:
    """Return the comparison of a metric, whose column holds NULL for NaN."""
    numbers = [float(value) for value in wanted]
    plain = [value for value in numbers if not math.isnan(value)]
    has_nan = len(plain) < len(numbers)
    if operator in ("=", "IN", "!=", "NOT IN"):
        choices = [f"{column} IN ({', '.join('?' for _ in plain)})"] if plain else []
        choices += [f"{column} IS NULL"] if has_nan else []
        found = f"({' OR '.join(choices)})"
        if operator in ("=", "IN"):
            return found, plain
        missed = f"NOT COALESCE({' OR '.join(choices)}, 1 = 0)"
        return missed, plain
    if has_nan:
        return "1 = 0", []
    return f"{column} {operator} ?", plain


def attr_compared(operator: str, value: Any) -> list[Compiled]:
    """Return the comparison of a param or tag `a`, as choices of which one must hold: numbers as numbers, and text."""
    if operator not in ("=", "IN", "!=", "NOT IN"):
        if isinstance(value, (int, float)):
            return [("1 = 0", []) if math.isnan(value) else (f"a.num {operator} ?", [float(value)])]
        return [compared("a.text", operator, value)]
    texts: list[Any] = []
    numbers: list[Any] = []
    for each in listed(value):
        if isinstance(each, str):
            texts += [each, each.capitalize()] if each.lower() in ("true", "false") else [each]
        elif isinstance(each, float) and math.isnan(each):
            texts += ["nan", "NaN"]
        elif isinstance(each, int) and abs(each) > 2**53:  # beyond what the number column can tell apart
            texts.append(str(each))
        else:
            numbers.append(float(each))
    choices: list[Compiled] = []
    if texts:
        marks = ", ".join("?" for _ in texts)
        same = f"a.type <> 'fact' AND SUBSTR(a.text, 1, {INDEXED_TEXT}) IN ({marks})"  # what the index holds
        bound = [text[:INDEXED_TEXT] for text in texts]
        if max(map(len, texts)) >= INDEXED_TEXT:  # a shorter one is equal when its beginning is
            same, bound = f"{same} AND a.text IN ({marks})", [*bound, *texts]
        choices.append((f"({same})", bound))
    if numbers:
        choices.append((f"(a.num IS NOT NULL AND a.num IN ({', '.join('?' for _ in numbers)}))", numbers))
    if operator in ("=", "IN"):
        return choices
    either = " OR ".join(choice for choice, _ in choices)
    return [(f"NOT ({either})", [value for _, bound in choices for value in bound])]


def run_id_compared(node: Comparison) -> Compiled:
    """Run ids are bytes in the store: whole ones compare, and beginnings with LIKE 'abc%'."""
    texts = [str(value).lower() for value in listed(node.value)]
    if node.operator in ("=", "!=", "IN", "NOT IN") and all(_is_hex(text, 32) for text in texts):
        ids = [bytes.fromhex(text) for text in texts]
        word = "NOT IN" if node.operator in ("!=", "NOT IN") else "IN"
        return f"run.run_id {word} ({', '.join('?' for _ in ids)})", ids
    beginning = texts[0][:-1]
    if node.operator in ("LIKE", "ILIKE") and texts[0].endswith("%") and _is_hex(beginning, None):
        low, high = beginning.ljust(32, "0"), beginning.ljust(32, "f")
        return "run.run_id BETWEEN ? AND ?", [bytes.fromhex(low), bytes.fromhex(high)]
    raise InvalidFilter("run_id is compared with 32 hex digits, or by its beginning: run_id LIKE '3fa9%'")


def _is_hex(text: str, length: int | None) -> bool:
    digits = bool(text) and all(c in "0123456789abcdef" for c in text)
    return digits and (len(text) == length if length else len(text) <= 32)


def stored(name: str, literal: Any) -> Any:
    """Return an attribute's literal as its column holds it."""
    value = attribute_value(name, literal)
    if isinstance(value, datetime):
        return round(value.timestamp() * 1_000_000)
    return value * 1_000_000 if name == "duration" and isinstance(value, float) else value


def listed(value: Any) -> tuple[Any, ...]:
    """Return the values of a list, or the one value, as several."""
    return value if isinstance(value, tuple) else (value,)
