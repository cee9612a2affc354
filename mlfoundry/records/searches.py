"""Which runs are asked for, and the pages that are answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .runs import RunRecord

PAGE_LIMIT = 10_000  # of runs


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Which runs of a project, in which order, with which values.

    Attributes:
        project_id: The project.
        filter: Filter text, see `query`; empty for all.
        order_by: Order terms as text; empty for newest first.
        limit: Size of the page, 1 to 10,000.
        cursor: What the page before gave as `next_cursor`, None for the first.
        view: ``"active"``, ``"deleted"`` or ``"all"``.
        params: Names of params wanted, None for all.
        metrics: Names of metrics wanted, None for all.
        tags: Names of tags wanted, None for all.
        offset: Runs to leave out behind the cursor, for tables that are scrolled far; a cursor costs less.
    """

    project_id: int
    filter: str = ""
    order_by: tuple[str, ...] = ()
    limit: int = 1000
    cursor: str | None = None
    view: str = "active"
    params: tuple[str, ...] | None = None
    metrics: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    offset: int = 0


@dataclass(frozen=True, slots=True)
class RunPage:
    """A page of runs.

    Attributes:
        runs: In the order asked for.
        next_cursor: What gives the next page; None after the last.
        hints: On the first page, a sentence for each name asked for that no run of the project has.
    """

    runs: tuple[RunRecord, ...]
    next_cursor: str | None
    hints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunRows:
    """A page of runs as a store has it, on its way to a client: `RunPage` says what it means.

    Attributes:
        project_id: The project of all of them.
        owner: Its owner.
        project_name: Its name.
        runs: (run id as bytes, name, status, created_by, started_at, ended_at, last_seen_at, description, error,
            deleted_at), times in microseconds since 1970.
        attributes: (run id, "param" or "tag", name, type, text).
        metrics: (run id, key, count, last, last_step, last_at, least, greatest).
        metric_names: Keys to names.
        next_cursor: As in `RunPage`.
        hints: As in `RunPage`.
    """

    project_id: int
    owner: str
    project_name: str
    runs: list[tuple[Any, ...]]
    attributes: list[tuple[Any, ...]]
    metrics: list[tuple[Any, ...]]
    metric_names: Mapping[int, str]
    next_cursor: str | None
    hints: tuple[str, ...]
