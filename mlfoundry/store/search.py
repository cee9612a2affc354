"""The pages of a list of runs.

A page takes as long as it is, not as the project is (see `conditions`). Pages go by the values of the last row, not by
numbers of rows: a run that comes in between moves nothing.
"""

from __future__ import annotations

from typing import Any

from ..errors import InvalidInput, shown
from ..records import PAGE_LIMIT, RunPage, RunQuery, RunRows
from . import conditions, hints, ordering, runs
from .conditions import Compiler
from .database import Row, Transaction
from .ordering import Compiled, Stretch
from .projects import Project

NAMES_LIMIT = 1_000
_VIEWS = {"active": "run.deleted_at IS NULL", "deleted": "run.deleted_at IS NOT NULL", "all": "1 = 1"}
_IN_TURN = ("run.started_at", "s.last", "a.num")  # what an index gives in order


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
    compiler = Compiler(tx, project.project_id)
    order, source = compiler.order(query.order_by)
    # An index gives the runs in turn, so that the page is full after few of them.
    stops_early = order[0].expression in _IN_TURN or (source is not None and source.columns[0] in _IN_TURN)
    condition, values = compiler.filter(query.filter, in_turn=stops_early and query.offset < conditions.FEW)
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
    condition, values = Compiler(tx, project_id).filter(filter_text)
    row = tx.row(
        f"SELECT COUNT(*) FROM run WHERE run.project_id = ? AND {_VIEWS['active']} AND {condition}",
        [project_id, *values],
    )
    assert row is not None
    return int(row[0])
