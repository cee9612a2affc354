"""Filters and orders, compiled to SQL with bound parameters, and the pages they give.

A run that lacks a metric, param or tag matches no comparison with it but ``IS NULL``. Pages go by the
values of the last row, not by numbers of rows: a run that comes in between moves nothing.
"""

from __future__ import annotations

import base64
import json
import math
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ..errors import InvalidFilter, InvalidInput, shown
from ..names import SYSTEM_PREFIX
from ..query import parse_filter, parse_order
from ..query_tree import And, Comparison, Field, Node, Not, Or, OrderTerm, attribute_value, find_attribute
from ..query_tree import format as format_filter
from ..records import RunPage, RunQuery
from . import hints, keys, runs
from .database import Transaction
from .projects import Project

PAGE_LIMIT = 10_000
NAMES_LIMIT = 1_000
_VIEWS = {"active": "run.deleted_at IS NULL", "deleted": "run.deleted_at IS NOT NULL", "all": "1 = 1"}
_AGGREGATES = {"last": "last", "min": "lowest", "max": "highest"}
_ATTRIBUTES = {
    "run_id": "run.run_id",
    "run_name": "run.name",
    "status": "run.status",
    "created_by": "run.created_by",
    "started_at": "run.started_at",
    "ended_at": "run.ended_at",
    "duration": "(CASE WHEN run.ended_at IS NULL THEN run.last_seen_at ELSE run.ended_at END - run.started_at)",
    "description": "run.description",
    "error": "run.error",
}

Compiled = tuple[str, list[Any]]


def page(tx: Transaction, project: Project, query: RunQuery) -> RunPage:
    """Return a page of a project's runs.

    Raises:
        InvalidFilter: The filter or the order cannot be read, or names what is ambiguous.
        InvalidInput: The limit, the view or the cursor is not one.
    """
    if not 1 <= query.limit <= PAGE_LIMIT:
        raise InvalidInput(f"limit is {query.limit}; a page has 1 to {PAGE_LIMIT:,} runs")
    if not 0 <= query.offset < 1 << 53:
        raise InvalidInput(f"offset is {query.offset}; it is a number of runs")
    if query.view not in _VIEWS:
        raise InvalidInput(f"view is {shown(query.view)}; give one of {', '.join(_VIEWS)}")
    for wanted in (query.params, query.metrics, query.tags):
        if wanted is not None and len(wanted) > NAMES_LIMIT:
            raise InvalidInput(f"{len(wanted):,} names were asked for; give at most {NAMES_LIMIT:,}, or None for all")
    compiler = _Compiler(tx, project.project_id)
    condition, values = compiler.filter(query.filter)
    order = compiler.order(query.order_by)
    columns = "".join(f", {term.expression} AS o{i}" for i, term in enumerate(order))
    column_values = [value for term in order for value in term.values]
    after, after_values = _after(query.cursor, order)
    ways = ", ".join(term.way(f"o{i}") for i, term in enumerate(order))
    rows = tx.rows(
        f"SELECT {runs.COLUMNS}{''.join(f', o{i}' for i in range(len(order)))} FROM ("
        f"SELECT run.*{columns} FROM run WHERE run.project_id = ? AND {_VIEWS[query.view]} AND {condition}) found "
        f"WHERE {after} ORDER BY {ways} LIMIT ? OFFSET ?",
        [*column_values, project.project_id, *values, *after_values, query.limit + 1, query.offset],
    )
    more = len(rows) > query.limit
    rows = rows[: query.limit]
    found = runs.fill(tx, project, rows, params=query.params, tags=query.tags, metrics=query.metrics)
    told = hints.for_query(tx, project, query) if query.cursor is None else ()
    return RunPage(tuple(found), _cursor(rows[-1][-len(order) :]) if more else None, told)


def count(tx: Transaction, project_id: int, filter_text: str) -> int:
    """Return how many runs of a project match a filter. Raises as `page`."""
    condition, values = _Compiler(tx, project_id).filter(filter_text)
    row = tx.row(
        f"SELECT COUNT(*) FROM run WHERE run.project_id = ? AND {_VIEWS['active']} AND {condition}",
        [project_id, *values],
    )
    assert row is not None
    return int(row[0])


# -- paging --------------------------------------------------------------------------------------


def _cursor(values: tuple[Any, ...]) -> str:
    plain = [{"hex": value.hex()} if isinstance(value, bytes) else value for value in values]
    return base64.urlsafe_b64encode(json.dumps(plain).encode()).decode()


@dataclass(frozen=True, slots=True)
class _Term:
    """One term of an order; NULLs come last in either direction.

    An index can serve the order only where no NULL has to be looked for, so that is done only where there
    can be one.
    """

    expression: str
    values: list[Any]
    descending: bool
    may_be_null: bool

    def way(self, column: str) -> str:
        plain = f"{column} {'DESC' if self.descending else 'ASC'}"
        return f"{column} IS NULL, {plain}" if self.may_be_null else plain

    def behind(self, column: str) -> str:
        plain = f"{column} {'<' if self.descending else '>'} ?"
        return f"({plain} OR {column} IS NULL)" if self.may_be_null else plain


def _after(cursor: str | None, order: list[_Term]) -> Compiled:
    """Return the condition for rows behind the cursor."""
    if cursor is None:
        return "1 = 1", []
    try:
        last = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        last = [bytes.fromhex(value["hex"]) if isinstance(value, dict) else value for value in last]
        fits = len(last) == len(order) and all(map(_is_bindable, last))
    except (ValueError, KeyError, TypeError, RecursionError):
        fits = False
    if not fits:
        raise InvalidInput(f"cursor {cursor[:40]!r} is none of this list; begin again without one")
    choices, values = [], list[Any]()
    same, same_values = "1 = 1", list[Any]()
    for i, (term, value) in enumerate(zip(order, last, strict=True)):
        if value is None:
            same += f" AND o{i} IS NULL"
            continue
        choices.append(f"({same} AND {term.behind(f'o{i}')})")
        values += [*same_values, value]
        same += f" AND o{i} = ?"
        same_values.append(value)
    condition = f"({' OR '.join(choices)})" if choices else "1 = 0"
    if last[0] is not None and not order[0].may_be_null:  # where an index is entered
        condition = f"(o0 {'<=' if order[0].descending else '>='} ? AND {condition})"
        values = [last[0], *values]
    return condition, values


def _is_bindable(value: Any) -> bool:
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    if isinstance(value, str):
        return value.isascii() or value.encode("utf-8", "replace").decode() == value
    return value is None or isinstance(value, (float, bytes))


# -- compiling -----------------------------------------------------------------------------------


class _Compiler:
    """Compiles the filters and orders of one project; bare names are looked up in it."""

    def __init__(self, tx: Transaction, project_id: int) -> None:
        self._tx = tx
        self._project_id = project_id

    def filter(self, text: str) -> Compiled:
        node = parse_filter(text)
        if node is None:
            return "1 = 1", []
        try:
            return self._node(node)
        except InvalidFilter as error:
            if not error.text:
                raise InvalidFilter(
                    str(error.args[0]), text=text, position=error.position, length=error.length
                ) from None
            raise

    def order(self, terms: tuple[str, ...]) -> list[_Term]:
        """Return the terms; the run's id decides at the end."""
        order: list[_Term] = []
        for term in parse_order(terms) or (OrderTerm(Field("attributes", "started_at"), descending=True),):
            field = self._resolved(term.field, term.position, term.length)
            if field.kind in ("params", "tags"):
                columns = [self._attr(field, column) for column in ("num", "text")]
                order += [_Term(*column, term.descending, may_be_null=True) for column in columns]
            elif field.kind == "metrics":
                expression = self._series(field, _AGGREGATES[field.aggregate])
                order.append(_Term(*expression, term.descending, may_be_null=True))
            else:
                is_nullable = field.name == "ended_at"
                order.append(_Term(_ATTRIBUTES[field.name], [], term.descending, may_be_null=is_nullable))
        return [*order, _Term("run.run_id", [], order[-1].descending, may_be_null=False)]

    def _node(self, node: Node) -> Compiled:
        match node:
            case And(parts):
                return self._joined(" AND ", parts)
            case Or(parts):
                return self._joined(" OR ", parts)
            case Not(part):
                condition, values = self._node(part)
                return f"NOT {condition}", values
        return self._comparison(node)

    def _joined(self, word: str, parts: tuple[Node, ...]) -> Compiled:
        compiled = [self._node(part) for part in parts]
        return f"({word.join(sql for sql, _ in compiled)})", [value for _, values in compiled for value in values]

    def _resolved(self, field: Field, position: int, length: int) -> Field:
        """Return a bare name with the kind that the project knows it as."""
        if field.kind is not None:
            return field
        seen = keys.kinds_of(self._tx, self._project_id, field.name)
        plurals = {"metric": "metrics", "system": "metrics", "param": "params", "tag": "tags"}
        kinds = [plural for kind, plural in plurals.items() if kind in seen]
        if attribute := find_attribute(field.name):
            kinds.append("attributes")
        if len(kinds) > 1:
            ways = " or ".join(f"{kind}.{field.name}" for kind in kinds)
            raise InvalidFilter(
                f"{field.name!r} is several things here: write {ways}", position=position, length=length
            )
        if not kinds:
            near = hints.near_names(self._tx, self._project_id, field.name)
            more = f"did you mean {' or '.join(near)}?" if near else f"write metrics.{field.name} when it is to come"
            raise InvalidFilter(
                f"no run of this project has a metric, param or tag {field.name!r}; {more}",
                position=position,
                length=length,
            )
        name = attribute if kinds == ["attributes"] and attribute else field.name
        return Field(kinds[0], name, field.aggregate)

    def _comparison(self, node: Comparison) -> Compiled:
        field = self._resolved(node.field, node.position, node.length)
        if node.field.kind is None:
            node = _checked(node, field)
        if field.kind == "metrics":
            return self._metric(field, node)
        if field.kind == "attributes":
            try:
                return self._attribute(field.name, node)
            except InvalidFilter as error:
                raise InvalidFilter(str(error.args[0]), position=node.position, length=node.length) from None
        if node.operator in ("IS NULL", "IS NOT NULL"):
            expression, values = self._attr(field, "text")
            return f"({expression} {node.operator})", values
        condition, bound = _attr_compared(node.operator, node.value)
        kind = "param" if field.kind == "params" else "tag"
        return (
            "EXISTS (SELECT 1 FROM attr a WHERE a.project_id = ? AND a.run_id = run.run_id AND a.kind = ? "
            f"AND a.name = ? AND {condition})",
            [self._project_id, kind, field.name, *bound],
        )

    def _metric(self, field: Field, node: Comparison) -> Compiled:
        column = f"s.{_AGGREGATES[field.aggregate]}"
        system = int(field.name.startswith(SYSTEM_PREFIX))
        head = [self._project_id, system, keys.key_id(field.name)]
        exists = (
            "EXISTS (SELECT 1 FROM series s WHERE s.project_id = ? AND s.run_id = run.run_id "
            "AND s.system = ? AND s.key_id = ?"
        )
        if node.operator == "IS NULL":
            return f"NOT {exists})", head
        if node.operator == "IS NOT NULL":
            return f"{exists})", head
        condition, bound = _metric_compared(column, node.operator, _listed(node.value))
        return f"{exists} AND {condition})", [*head, *bound]

    def _series(self, field: Field, column: str) -> Compiled:
        system = int(field.name.startswith(SYSTEM_PREFIX))
        return (
            f"(SELECT s.{column} FROM series s WHERE s.project_id = ? AND s.run_id = run.run_id "
            "AND s.system = ? AND s.key_id = ?)",
            [self._project_id, system, keys.key_id(field.name)],
        )

    def _attr(self, field: Field, column: str) -> Compiled:
        kind = "param" if field.kind == "params" else "tag"
        return (
            f"(SELECT a.{column} FROM attr a WHERE a.project_id = ? AND a.run_id = run.run_id "
            "AND a.kind = ? AND a.name = ?)",
            [self._project_id, kind, field.name],
        )

    def _attribute(self, name: str, node: Comparison) -> Compiled:
        column = _ATTRIBUTES[name]
        if node.operator in ("IS NULL", "IS NOT NULL"):
            return f"({column} {node.operator})", []
        if name == "run_id":
            return _run_id(node)
        if isinstance(node.value, tuple):
            value: Any = tuple(_stored(name, each) for each in node.value)
        elif node.operator.endswith(("LIKE", "CONTAINS")):
            value = node.value
        else:
            value = _stored(name, node.value)
        condition, bound = _compared(column, node.operator, value)
        if name == "ended_at":  # a comparison with what is absent is false, so that its negation holds
            condition = f"({column} IS NOT NULL AND {condition})"
        return condition, bound


def _checked(node: Comparison, field: Field) -> Comparison:
    """Return the comparison of a bare name as if its kind had been written, with all that the language asks of it.

    Raises:
        InvalidFilter: What the name turned out to be is not compared in this way.
    """
    try:
        written = parse_filter(format_filter(replace(node, field=field)))
    except InvalidFilter as error:
        raise InvalidFilter(str(error.args[0]), position=node.position, length=node.length) from None
    assert isinstance(written, Comparison)
    return replace(written, position=node.position, length=node.length)


def _stored(name: str, literal: Any) -> Any:
    """Return an attribute's literal as its column holds it."""
    value = attribute_value(name, literal)
    if isinstance(value, datetime):
        return round(value.timestamp() * 1_000_000)
    return value * 1_000_000 if name == "duration" and isinstance(value, float) else value


def _run_id(node: Comparison) -> Compiled:
    """Run ids are bytes in the store: whole ones compare, and beginnings with LIKE 'abc%'."""
    texts = [str(value).lower() for value in _listed(node.value)]
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


def _listed(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _metric_compared(column: str, operator: str, wanted: tuple[Any, ...]) -> Compiled:
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


def _attr_compared(operator: str, value: Any) -> Compiled:
    """Return the comparison of a param or tag `a`: with numbers as numbers, with text as text."""
    if operator not in ("=", "IN", "!=", "NOT IN"):
        if isinstance(value, (int, float)):
            return ("1 = 0", []) if math.isnan(value) else (f"a.num {operator} ?", [float(value)])
        return _compared("a.text", operator, value)
    texts: list[Any] = []
    numbers: list[Any] = []
    for each in _listed(value):
        if isinstance(each, str):
            texts += [each, each.capitalize()] if each.lower() in ("true", "false") else [each]
        elif isinstance(each, float) and math.isnan(each):
            texts += ["nan", "NaN"]
        elif isinstance(each, int) and abs(each) > 2**53:  # beyond what the number column can tell apart
            texts.append(str(each))
        else:
            numbers.append(float(each))
    choices = [f"a.text IN ({', '.join('?' for _ in texts)})"] if texts else []
    choices += [f"(a.num IS NOT NULL AND a.num IN ({', '.join('?' for _ in numbers)}))"] if numbers else []
    bound = texts + numbers
    found = f"({' OR '.join(choices)})"
    return (found if operator in ("=", "IN") else f"NOT {found}"), bound


def _compared(column: str, operator: str, value: Any) -> Compiled:
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
