"""The records that cross layers: frozen dataclasses and enums, without behaviour.

Rows of SQL, JSON of the wire and DataFrames are each made from these and into these at one edge.
Points in time are datetimes in UTC; ids of runs are 32 hex digits, ids of projects are ints.
Imports nothing of ours, but for `displays` when somebody looks at a record.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


class RunStatus(enum.StrEnum):
    """Where a run stands; the names are MLflow's."""

    RUNNING = "RUNNING"
    SCHEDULED = "SCHEDULED"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


PAGE_LIMIT = 10_000  # of runs
LOST = "Lost: "
"""How the error of a run begins that was given up, since nothing was heard of its process any more."""


class Permission(enum.IntEnum):
    """What a collaborator may do; each level includes those below it."""

    READ = 1
    WRITE = 2
    ADMIN = 3


class Shown:
    """A record that shows itself as a card: text anywhere, HTML in a notebook."""

    __slots__ = ()

    def __repr__(self) -> str:
        from . import displays  # how a record looks is not its own business; this is the one look upwards

        return displays.record_text(self)

    def _repr_html_(self) -> str:
        from . import displays

        return displays.record_html(self)


class RunKey(NamedTuple):
    """Where a run lies: every statement of the store needs both."""

    project_id: int
    run_id: str


@dataclass(frozen=True, slots=True, repr=False)
class ProjectRecord(Shown):
    """A project as one caller sees it.

    Attributes:
        project_id: 63 random bits; printed as a decimal number.
        owner: User who owns it; with `name` it identifies the project.
        name: Unique among the owner's projects.
        created_at: When it was made.
        permission: What the caller may do.
        run_count: Number of runs that are not deleted.
        running_count: How many of them are RUNNING.
        last_run_at: Start of the newest run, None without runs.
        collaborator_count: Number of users with access, the owner included.
    """

    project_id: int
    owner: str
    name: str
    created_at: datetime
    permission: Permission
    run_count: int = 0
    running_count: int = 0
    last_run_at: datetime | None = None
    collaborator_count: int = 1


@dataclass(frozen=True, slots=True)
class Collaborator:
    """A user with access to a project.

    Attributes:
        user: The user's name.
        permission: The level that was given; the owner always has ADMIN.
        is_owner: Whether the project is this user's own.
        added_at: When access was first given.
    """

    user: str
    permission: Permission
    is_owner: bool
    added_at: datetime


@dataclass(frozen=True, slots=True)
class Account:
    """A user of a server.

    Attributes:
        user: The name.
        is_admin: Whether the user manages users and their keys; it gives no right on any project.
        created_at: When it was made.
        disabled_at: Since when none of its keys is taken, None while they are.
    """

    user: str
    is_admin: bool
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key of a user, without what makes it one.

    Attributes:
        key_id: Names it.
        user: Whose it is.
        label: What the user calls it.
        created_at: When it was made.
        expires_at: From when on it is not taken, None for never.
        revoked_at: Since when it is not taken, None while it is.
        last_used_at: When it was last used, to within a minute; None for never.
    """

    key_id: int
    user: str
    label: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


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
class Batch:
    """A stretch of one journal on its way into a store.

    Attributes:
        run: The run.
        journal_id: The journal; offsets count its slots.
        start: First slot.
        stop: Slot after the last one.
        data: The slots, ``32 * (stop - start)`` bytes (see `slots`).
        names: Key numbers to names, at least those that `data` uses and does not define itself.
        settle: Whether the store should answer only when this would survive a power cut.
    """

    run: RunKey
    journal_id: int
    start: int
    stop: int
    data: bytes
    names: Mapping[int, tuple[str, ...]]
    settle: bool = False


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What a store holds of a journal.

    Attributes:
        acked: Slot up to which it is committed.
        settled: Slot up to which it would survive a power cut of the store's machine.
    """

    acked: int
    settled: int


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


LEAST_POINTS = 4
"""The fewest points that a series can be thinned out to: first, last, least and greatest."""


@dataclass(frozen=True, slots=True)
class SeriesQuery:
    """Which points of a run.

    Attributes:
        run: The run.
        names: Metrics, None for all of them (without system metrics unless `system`).
        system: With `names` None: system metrics instead of logged ones; None for both, logged ones first.
        max_points: At most so many points a series, from `LEAST_POINTS` on, chosen so that first, last, least and
            greatest of each bucket are among them; None for all points. Not together with `since` or `most`.
        since: Number of points of a series that the reader has already; those are left out.
        most: At most so many points of each series: the next that arrived after those; None for all.
    """

    run: RunKey
    names: tuple[str, ...] | None = None
    system: bool | None = False
    max_points: int | None = None
    since: Mapping[str, int] = field(default_factory=dict)
    most: int | None = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Series(Shown):
    """Points of one metric, by step, then time, then arrival; of one length, possibly 0.

    Attributes:
        name: The metric.
        steps: int64.
        times: int64, microseconds since 1970 (UTC).
        values: float64.
        count: Number of points in the store; what the next `SeriesQuery.since` takes.
    """

    name: str
    steps: NDArray[np.int64]
    times: NDArray[np.int64]
    values: NDArray[np.float64]
    count: int

    def to_pandas(self) -> pd.DataFrame:
        """Return a row a point: ``step``, ``time`` (UTC), ``value``.

        Raises:
            MissingExtra: pandas is not installed.
        """
        from . import displays

        frames = displays.pandas()
        times = frames.to_datetime(self.times, unit="us", utc=True)
        frame: pd.DataFrame = frames.DataFrame({"step": self.steps, "time": times, "value": self.values})
        return frame


@dataclass(frozen=True, slots=True, repr=False)
class ArtifactRecord(Shown):
    """A file of a run.

    Attributes:
        path: Relative, with ``/``.
        size_bytes: Its size.
        sha256: 64 hex digits.
        created_at: When it was logged.
    """

    path: str
    size_bytes: int
    sha256: str
    created_at: datetime


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


@dataclass(frozen=True, slots=True, repr=False)
class Health(Shown):
    """How the tracker of a run is doing; truthful at the moment it is asked.

    Attributes:
        state: ``"ok"``, ``"behind"`` (something is not stored yet), ``"offline"`` (the backend cannot be
            reached), ``"refused"`` (the backend will not take the data) or ``"losing"`` (records were lost).
        accepted: Points that log calls took in this process.
        pending_bytes: What is accepted and not yet stored.
        not_durable_bytes: What is accepted and a power cut could still take.
        in_memory_bytes: What even the end of this process could take, because no file could be had.
        lost: Records that found no room at all.
        message: Why, and what to do; empty when all is well.
        tracker_cpu_s: CPU seconds that shipper and sampler have used so far.
    """

    state: str
    accepted: int
    pending_bytes: int
    not_durable_bytes: int
    in_memory_bytes: int
    lost: int
    message: str
    tracker_cpu_s: float
