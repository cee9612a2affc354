"""Filters and orders, compiled to SQL with bound parameters, and the pages they give.

A run that lacks a metric, param or tag matches no comparison with it but ``IS NULL``. What is compared is looked up
first: where few runs match, the statement names them; where many do, it asks of each run in turn. Either way a page
takes as long as it is, not as the project is. Pages go by the values of the last row, not by numbers of rows: a run
that comes in between moves nothing.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime
from typing import Any

from ..errors import InvalidFilter, InvalidInput, shown
from ..names import NEAR, SYSTEM_PREFIX
from ..query.parser import parse_filter, parse_order
from ..query.tree import (
    And,
    Comparison,
    Field,
    Node,
    Not,
    Or,
    OrderTerm,
    attribute_value,
    find_attribute,
    format_filter,
    near_attribute,
)
from ..records import PAGE_LIMIT, RunPage, RunQuery, RunRows
from . import hints, keys, ordering, runs
from .database import Row, Transaction
from .ordering import Compiled, Source, Stretch, Term
from .projects import Project

FEW = 5_000  # runs that a statement names
NAMED = 20_000  # … for all comparisons of a filter
INDEXED_TEXT = 64  # characters, as in the migration
NAMES_LIMIT = 1_000
_VIEWS = {"active": "run.deleted_at IS NULL", "deleted": "run.deleted_at IS NOT NULL", "all": "1 = 1"}
_AGGREGATES = {"last": "last", "min": "lowest", "max": "highest"}
_IN_TURN = ("run.started_at", "s.last", "a.num")  # what an index gives in order
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


def page(tx: Transaction, project: Project, query: RunQuery) -> RunPage:
    """Return a page of a project's runs.

    Raises:
        InvalidFilter: The filter or the order cannot be read, or names what is ambiguous.
        InvalidInput: The limit, the view or the cursor is not one.
    """
    rows, cursor, told = _found(tx, project, query)
    found = runs.fill(tx, project, rows, params=query.params, tags=query.tags, metrics=query.metrics)
    return RunPage(tuple(found), cursor, told)


def page_of_rows(tx: Transaction, project: Project, query: RunQuery) -> RunRows:
    """Return a page as `page` does, for whoever passes it on. Raises as `page`."""
    rows, cursor, told = _found(tx, project, query)
    wanted = {"params": query.params, "tags": query.tags, "metrics": query.metrics}
    return runs.as_rows(tx, project, rows, **wanted, next_cursor=cursor, hints=told)


def _found(tx: Transaction, project: Project, query: RunQuery) -> tuple[list[Row], str | None, tuple[str, ...]]:
    """Return the runs of a page, the cursor of the next, and hints."""
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
    order, source = compiler.order(query.order_by)
    # An index gives the runs in turn, so that the page is full after few of them.
    stops_early = order[0].expression in _IN_TURN or (source is not None and source.columns[0] in _IN_TURN)
    condition, values = compiler.filter(query.filter, in_turn=stops_early and query.offset < FEW)
    last = ordering.read_cursor(query.cursor, len(order))
    # Where few runs match, they are found by what they match, and then put in order.
    parts = (
        ordering.whole(order)
        if source is None or compiler.few
        else ordering.stretches(order, project.project_id, source)
    )
    matching = f"run.project_id = ? AND {_VIEWS[query.view]} AND {condition}"
    rows = _rows(tx, query, ordering.from_cursor(parts, last), last, (matching, [project.project_id, *values]))
    more = len(rows) > query.limit
    rows = rows[: query.limit]
    told = hints.for_query(tx, project, query) if query.cursor is None else ()
    return rows, ordering.cursor_of(rows[-1][-len(order) :]) if more else None, told


def _rows(
    tx: Transaction, query: RunQuery, parts: list[Stretch], last: list[Any] | None, matching: Compiled
) -> list[Row]:
    """Return one row more than a page has, stretch by stretch; what follows the first begins at its beginning."""
    rows: list[Row] = []
    skip = query.offset
    for number, part in enumerate(parts):
        columns, column_values = part.columns()
        after, after_values = part.after(None if number else last)
        condition, values = part.condition
        bound = [*column_values, matching[1][0], *values, *matching[1], *after_values]
        terms = "".join(f", o{i}" for i in range(part.nulls + len(part.terms)))
        rows += tx.rows(
            f"SELECT {runs.COLUMNS}{terms} FROM (SELECT run.*{columns} FROM {part.tables} WHERE run.project_id = ? "
            f"AND {condition} AND {matching[0]}) found WHERE {after} ORDER BY {part.ways()} LIMIT ? OFFSET ?",
            [*bound, query.limit + 1 - len(rows), skip],
        )
        if len(rows) > query.limit or number == len(parts) - 1:
            break
        if skip and not rows:
            row = tx.row(
                f"SELECT COUNT(*) FROM (SELECT run.*{columns} FROM {part.tables} WHERE run.project_id = ? "
                f"AND {condition} AND {matching[0]}) found WHERE {after}",
                bound,
            )
            assert row is not None
            skip -= int(row[0])
        else:
            skip = 0
    return rows


def count(tx: Transaction, project_id: int, filter_text: str) -> int:
    """Return how many runs of a project match a filter. Raises as `page`."""
    condition, values = _Compiler(tx, project_id).filter(filter_text)
    row = tx.row(
        f"SELECT COUNT(*) FROM run WHERE run.project_id = ? AND {_VIEWS['active']} AND {condition}",
        [project_id, *values],
    )
    assert row is not None
    return int(row[0])


# -- compiling -----------------------------------------------------------------------------------


class _Compiler:
    """Compiles the filters and orders of one project; bare names are looked up in it."""

    def __init__(self, tx: Transaction, project_id: int) -> None:
        self._tx = tx
        self._project_id = project_id
        self._to_name = NAMED
        self._in_turn = False
        self.few = False  # whether all that can be found are few runs

    def filter(self, text: str, *, in_turn: bool = False) -> Compiled:
        """Compile a filter.

        Args:
            text: The filter.
            in_turn: Whether run after run is asked until there are enough, which PostgreSQL does not see by itself.
        """
        self._in_turn = in_turn
        node = parse_filter(text)
        if node is None:
            return "1 = 1", []
        try:
            return self._node(node, decides=True)
        except InvalidFilter as error:
            if not error.text:
                raise InvalidFilter(
                    str(error.args[0]), text=text, position=error.position, length=error.length
                ) from None
            raise

    def order(self, terms: tuple[str, ...]) -> tuple[list[Term], Source | None]:
        """Return the terms, and the table that holds the first when that is no column of a run's own.

        The run's id decides at the end.
        """
        order: list[Term] = []
        sources: list[Source | None] = []
        for term in parse_order(terms) or (OrderTerm(Field("attributes", "started_at"), descending=True),):
            field = self._resolved(term.field, term.position, term.length)
            if field.kind == "attributes":
                is_nullable = field.name == "ended_at"
                order.append(Term(_ATTRIBUTES[field.name], [], term.descending, may_be_null=is_nullable))
                sources.append(None)
                continue
            source = _source(field)
            condition, values = source.condition
            for column in source.columns:
                expression = (
                    f"(SELECT {column} FROM {source.table} {source.alias} WHERE {source.alias}.project_id = ? "
                    f"AND {source.alias}.run_id = run.run_id AND {condition})"
                )
                order.append(Term(expression, [self._project_id, *values], term.descending, may_be_null=True))
            sources.append(source)
        return [*order, Term("run.run_id", [], order[-1].descending, may_be_null=False)], sources[0]

    def _node(self, node: Node, *, decides: bool = False) -> Compiled:
        """Compile a condition; one that `decides` must hold for every run that is found."""
        match node:
            case And(parts):
                return self._joined(" AND ", parts, decides=decides)
            case Or(parts):
                return self._joined(" OR ", parts)
            case Not(part):
                condition, values = self._node(part)
                return f"NOT {condition}", values
        return self._comparison(node, decides=decides)

    def _joined(self, word: str, parts: tuple[Node, ...], *, decides: bool = False) -> Compiled:
        compiled = [self._node(part, decides=decides) for part in parts]
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
            if attribute := near_attribute(field.name):
                near = [attribute, *near][:NEAR]
            more = f"did you mean {' or '.join(near)}?" if near else f"write metrics.{field.name} when it is to come"
            raise InvalidFilter(
                f"no run of this project has a metric, param or tag {field.name!r}; {more}",
                position=position,
                length=length,
            )
        name = attribute if kinds == ["attributes"] and attribute else field.name
        return Field(kinds[0], name, field.aggregate)

    def _comparison(self, node: Comparison, *, decides: bool) -> Compiled:
        field = self._resolved(node.field, node.position, node.length)
        if node.field.kind is None:
            node = _checked(node, field)
        if field.kind == "attributes":
            try:
                return self._attribute(field.name, node)
            except InvalidFilter as error:
                raise InvalidFilter(
                    str(error.args[0]), position=node.value_position, length=node.value_length
                ) from None
        source = _source(field)
        condition, values = f"{source.alias}.run_id = run.run_id AND {source.condition[0]}", source.condition[1]
        values = [self._project_id, *values]
        exists = (
            f"EXISTS (SELECT 1 FROM {source.table} {source.alias} WHERE {source.alias}.project_id = ? AND {condition}"
        )
        if node.operator in ("IS NULL", "IS NOT NULL"):
            return f"{'NOT ' if node.operator == 'IS NULL' else ''}{exists})", values
        if field.kind == "metrics":
            choices = [_metric_compared(source.columns[0], node.operator, _listed(node.value))]
        else:
            choices = _attr_compared(node.operator, node.value)
        few = self._few(source, choices)
        if few is not None:
            self.few = self.few or decides
            return (f"run.run_id IN ({', '.join('?' for _ in few)})", few) if few else ("1 = 0", [])
        either = " OR ".join(choice for choice, _ in choices)
        if self._in_turn:  # what cannot become a join with all that match: it is found for one run, by its key
            exists = f"COALESCE(({exists.removeprefix('EXISTS (')}"
            return f"{exists} AND ({either})), 0) = 1", [*values, *(value for _, bound in choices for value in bound)]
        return f"{exists} AND ({either}))", [*values, *(value for _, bound in choices for value in bound)]

    def _few(self, source: Source, choices: list[Compiled]) -> list[bytes] | None:
        """Return the runs that match one of the choices, None when they are many."""
        condition, values = source.condition
        found: set[bytes] = set()
        for choice, bound in choices:
            rows = self._tx.rows(
                f"SELECT {source.alias}.run_id FROM {source.table} {source.alias} "
                f"WHERE {source.alias}.project_id = ? AND {condition} AND {choice} LIMIT ?",
                [self._project_id, *values, *bound, FEW + 1],
            )
            found.update(run_id for (run_id,) in rows)
        if len(found) > min(FEW, self._to_name):
            return None
        self._to_name -= len(found)
        return sorted(found)

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
    places = {name: getattr(node, name) for name in ("position", "length", "value_position", "value_length")}
    try:
        written = parse_filter(format_filter(replace(node, field=field)))
    except InvalidFilter as error:
        before = format_filter(replace(node, field=field, value=None))
        position, length = (node.position, node.length)
        if error.position > len(before):
            position, length = (node.value_position, node.value_length)
        raise InvalidFilter(str(error.args[0]), position=position, length=length) from None
    assert isinstance(written, Comparison)
    return replace(written, **places)


def _stored(name: str, literal: Any) -> Any:
    """Return an attribute's literal as its column holds it."""
    value = attribute_value(name, literal)
    if isinstance(value, datetime):
        return round(value.timestamp() * 1_000_000)
    return value * 1_000_000 if name == "duration" and isinstance(value, float) else value


def _source(field: Field) -> Source:
    """Return what holds a metric, param or tag of a project's runs."""
    if field.kind == "metrics":
        values = [int(field.name.startswith(SYSTEM_PREFIX)), keys.key_id(field.name)]
        return Source("series", "s", ("s.system = ? AND s.key_id = ?", values), (f"s.{_AGGREGATES[field.aggregate]}",))
    kind = "param" if field.kind == "params" else "tag"
    return Source("attr", "a", ("a.kind = ? AND a.name = ?", [kind, field.name]), ("a.num", "a.text"))


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


def _attr_compared(operator: str, value: Any) -> list[Compiled]:
    """Return the comparison of a param or tag `a`, as choices of which one must hold: numbers as numbers, and text."""
    if operator not in ("=", "IN", "!=", "NOT IN"):
        if isinstance(value, (int, float)):
            return [("1 = 0", []) if math.isnan(value) else (f"a.num {operator} ?", [float(value)])]
        return [_compared("a.text", operator, value)]
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
