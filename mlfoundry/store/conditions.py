"""Filters and orders, compiled to SQL with bound parameters.

A run that lacks a metric, param or tag matches no comparison with it but ``IS NULL``. What is compared is looked up
first: where few runs match, the statement names them; where many do, it asks of each run in turn.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..errors import InvalidFilter
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
    find_attribute,
    format_filter,
    near_attribute,
)
from . import hints, keys
from .comparisons import attr_compared, compared, listed, metric_compared, run_id_compared, stored
from .database import Transaction
from .ordering import Compiled, Source, Term

FEW = 5_000  # runs that a statement names
NAMED = 20_000  # … for all comparisons of a filter
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


class Compiler:
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
            choices = [metric_compared(source.columns[0], node.operator, listed(node.value))]
        else:
            choices = attr_compared(node.operator, node.value)
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
            return run_id_compared(node)
        if isinstance(node.value, tuple):
            value: Any = tuple(stored(name, each) for each in node.value)
        elif node.operator.endswith(("LIKE", "CONTAINS")):
            value = node.value
        else:
            value = stored(name, node.value)
        condition, bound = compared(column, node.operator, value)
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


def _source(field: Field) -> Source:
    """Return what holds a metric, param or tag of a project's runs."""
    if field.kind == "metrics":
        values = [int(field.name.startswith(SYSTEM_PREFIX)), keys.key_id(field.name)]
        return Source("series", "s", ("s.system = ? AND s.key_id = ?", values), (f"s.{_AGGREGATES[field.aggregate]}",))
    kind = "param" if field.kind == "params" else "tag"
    return Source("attr", "a", ("a.kind = ? AND a.name = ?", [kind, field.name]), ("a.num", "a.text"))
