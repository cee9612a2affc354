"""The order of a list of runs: its terms, the cursor of its pages, and the stretches that indexes give in order.

A run that lacks what orders the list comes last in either direction. Such an order falls into stretches: first the
runs that have the value, which an index on the values gives as they are wanted, then those that have none. A page
asks a stretch only for what the ones before it could not fill.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import InvalidInput
from ..json_texts import read_json

Compiled = tuple[str, list[Any]]
EVERYTHING: Compiled = ("1 = 1", [])


@dataclass(frozen=True, slots=True)
class Term:
    """One term of an order; NULLs come last in either direction.

    An index can serve the order only where no NULL has to be looked for, so that is done only where there
    can be one.
    """

    expression: str
    values: list[Any]
    descending: bool
    may_be_null: bool

    def way(self, column: str) -> str:
        """Return what orders by this term."""
        plain = f"{column} {'DESC' if self.descending else 'ASC'}"
        return f"{column} IS NULL, {plain}" if self.may_be_null else plain

    def behind(self, column: str) -> str:
        """Return the condition for what comes behind a value."""
        plain = f"{column} {'<' if self.descending else '>'} ?"
        return f"({plain} OR {column} IS NULL)" if self.may_be_null else plain


@dataclass(frozen=True, slots=True)
class Source:
    """Rows of another table that hold what the first terms of an order are made of, one a run at most.

    Attributes:
        table: Its name.
        alias: What it is called in a statement.
        condition: What tells its rows from others of the project.
        columns: Those of the terms, the first ones of the order.
    """

    table: str
    alias: str
    condition: Compiled
    columns: tuple[str, ...]

    @property
    def of_run(self) -> str:
        """What makes a row that of a run of the same project."""
        return f"{self.alias}.project_id = run.project_id AND {self.alias}.run_id = run.run_id"


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a list, which comes wholly before the next one.

    Attributes:
        tables: What is read, ``run`` among it.
        condition: What lies in it.
        nulls: How many of the order's first terms have no value here.
        terms: The others.
    """

    tables: str
    condition: Compiled
    nulls: int
    terms: Sequence[Term]

    def columns(self) -> Compiled:
        """Return the terms as columns of a statement, with their values."""
        absent = [f", NULL AS o{i}" for i in range(self.nulls)]
        there = [f", {term.expression} AS o{i}" for i, term in enumerate(self.terms, self.nulls)]
        return "".join(absent + there), [value for term in self.terms for value in term.values]

    def ways(self) -> str:
        """Return what orders the stretch."""
        return ", ".join(term.way(f"o{i}") for i, term in enumerate(self.terms, self.nulls))

    def after(self, last: Sequence[Any] | None) -> Compiled:
        """Return the condition for what comes behind a row of this stretch."""
        if last is None:
            return EVERYTHING
        choices, values = [], list[Any]()
        same, same_values = "1 = 1", list[Any]()
        own = list(enumerate(zip(self.terms, last[self.nulls :], strict=True), self.nulls))
        for i, (term, value) in own:
            if value is None:
                same += f" AND o{i} IS NULL"
                continue
            choices.append(f"({same} AND {term.behind(f'o{i}')})")
            values += [*same_values, value]
            same += f" AND o{i} = ?"
            same_values.append(value)
        condition = f"({' OR '.join(choices)})" if choices else "1 = 0"
        at, (first, value) = own[0]
        if value is not None and not first.may_be_null:  # where an index is entered
            return f"(o{at} {'<=' if first.descending else '>='} ? AND {condition})", [value, *values]
        return condition, values


def whole(terms: Sequence[Term]) -> list[Stretch]:
    """Return a list as one stretch."""
    return [Stretch("run", EVERYTHING, 0, terms)]


def stretches(terms: Sequence[Term], project_id: int, source: Source) -> list[Stretch]:
    """Return the stretches of a list that is ordered by columns of a source: by the first that has a value."""
    table, alias = source.table, source.alias
    tables = f"{table} {alias} JOIN run ON {source.of_run}"
    condition, values = f"{alias}.project_id = ? AND {source.condition[0]}", [project_id, *source.condition[1]]
    found, absent = [], ""
    for at, column in enumerate(source.columns):
        rest = [replace(terms[at], expression=column, values=[], may_be_null=False)]
        rest += [
            replace(term, expression=other, values=[])
            for term, other in zip(terms[at + 1 :], source.columns[at + 1 :], strict=False)
        ]
        rest += terms[len(source.columns) :]
        found.append(Stretch(tables, (f"{condition}{absent} AND {column} IS NOT NULL", values), at, rest))
        absent += f" AND {column} IS NULL"
    some = " OR ".join(f"{column} IS NOT NULL" for column in source.columns)
    without = (
        f"NOT EXISTS (SELECT 1 FROM {table} {alias} WHERE {alias}.project_id = ? AND {alias}.run_id = run.run_id "
        f"AND {source.condition[0]} AND ({some}))"
    )
    none = len(source.columns)
    return [*found, Stretch("run", (without, values), none, terms[none:])]


def from_cursor(parts: list[Stretch], last: Sequence[Any] | None) -> list[Stretch]:
    """Return the stretches from the one on in which a cursor's row lies."""
    if last is None or len(parts) == 1:
        return parts
    nulls = next((i for i, value in enumerate(last) if value is not None), len(last))
    return [part for part in parts if part.nulls >= min(nulls, parts[-1].nulls)]


def cursor_of(values: Sequence[Any]) -> str:
    """Return the cursor of the page behind a row with these values of the order's terms."""
    plain = [{"hex": value.hex()} if isinstance(value, bytes) else value for value in values]
    return base64.urlsafe_b64encode(json.dumps(plain).encode()).decode()


def read_cursor(cursor: str | None, count: int) -> list[Any] | None:
    """Return the values that `cursor_of` was given, None without a cursor.

    Raises:
        InvalidInput: It is none of a list with so many terms.
    """
    if cursor is None:
        return None
    last: list[Any] = []
    try:
        told = read_json(base64.urlsafe_b64decode(cursor.encode()))
        last = [bytes.fromhex(value["hex"]) if isinstance(value, dict) else value for value in told]
        fits = len(last) == count and all(map(_is_bindable, last))
    except (ValueError, KeyError, TypeError):
        fits = False
    if not fits:
        raise InvalidInput(f"cursor {cursor[:40]!r} is none of this list; begin again without one")
    return last


def _is_bindable(value: Any) -> bool:
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    if isinstance(value, str):
        return value.isascii() or value.encode("utf-8", "replace").decode() == value
    return value is None or isinstance(value, (float, bytes))
