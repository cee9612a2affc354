"""A run: what identifies it, where it stands, what is known of it, and what may change of it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from .accounts import UNKNOWN_USER


class RunStatus(enum.StrEnum):
    """Where a run stands; the names are MLflow's."""

    RUNNING = "RUNNING"
    SCHEDULED = "SCHEDULED"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


LOST = "Lost: "
"""How the error of a run begins that was given up, since nothing was heard of its process any more."""

PUSHED_FACT = "tracker.pushed"  # what a push leaves with a run for the next one; of no use to people


class RunKey(NamedTuple):
    """Where a run lies: every statement of the store needs both."""

    project_id: int
    run_id: str


@dataclass(frozen=True, slots=True)
class MetricSummary:
    """What is known of a metric without reading its points.

    Attributes:
        count: Number of points.
        last: Value with the greatest (step, time, value), as MLflow defines the latest.
        last_step: Its step.
        last_at: Its time.
        min: Least value, NaN left out; NaN when there is no other.
        max: Greatest value, likewise.
    """

    count: int
    last: float
    last_step: int
    last_at: datetime
    min: float
    max: float


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run, with as much of its params, tags and metrics as was asked for.

    Attributes:
        key: Its project and id.
        owner: Owner of the project.
        project_name: Name of the project.
        run_name: Unique in the project among runs that are not deleted.
        status: Where it stands.
        created_by: User who made it.
        started_at: When it was made.
        ended_at: When it ended, None while it runs.
        last_seen_at: When the store last heard of it.
        description: Free text.
        error: Type and message of the exception that ended it, empty without one.
        deleted_at: When it was deleted, None when it was not.
        params: Name to value, typed as logged.
        tags: Name to text.
        metrics: Name to summary; system metrics are not among them.
    """

    key: RunKey
    owner: str
    project_name: str
    run_name: str
    status: RunStatus
    created_by: str
    started_at: datetime
    ended_at: datetime | None
    last_seen_at: datetime
    description: str = ""
    error: str = ""
    deleted_at: datetime | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, MetricSummary] = field(default_factory=dict)

    @property
    def fqn(self) -> str:
        """``owner/project/run``, without an owner while that is not known."""
        names = [self.project_name, self.run_name]
        return "/".join(names if self.owner == UNKNOWN_USER else [self.owner, *names])

    @property
    def is_lost(self) -> bool:
        """Whether it was given up because nothing was heard of its process any more; it may come back."""
        return self.status is RunStatus.KILLED and self.error.startswith(LOST)

    @property
    def has_ended(self) -> bool:
        """Whether it goes on no longer, as far as can be known: not one that was only given up."""
        return self.status not in (RunStatus.RUNNING, RunStatus.SCHEDULED) and not self.is_lost


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to be made.

    Attributes:
        run_id: 32 hex digits, made by the client: making the same run twice gives the first.
        project_name: The project; made under the caller when `owner` is None or the caller.
        run_name: The wish; a taken name gets a suffix.
        owner: Owner of the project, None for the caller.
        tags: Name to text.
        description: Free text.
        started_at_us: Microseconds since 1970.
    """

    run_id: str
    project_name: str
    run_name: str
    owner: str | None
    tags: Mapping[str, str]
    description: str
    started_at_us: int


@dataclass(frozen=True, slots=True)
class RunChanges:
    """What may change of a run that is stored; None leaves a thing as it is.

    Attributes:
        tags: Name to new text; None as text removes the tag.
        description: New text.
        run_name: New name; taken names are refused with a suffix as at the start.
    """

    tags: Mapping[str, str | None] | None = None
    description: str | None = None
    run_name: str | None = None
