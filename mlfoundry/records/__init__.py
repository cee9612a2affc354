"""The records that cross layers: frozen dataclasses and enums, without behaviour.

Rows of SQL, JSON of the wire and DataFrames are each made from these and into these at one edge.
Points in time are datetimes in UTC; ids of runs are 32 hex digits, ids of projects are ints.
Imports nothing of ours, but for `displays` when somebody looks at a record, and pandas when its table is asked for.

Everybody takes the records from here; in which file one stands is nobody else's business. `displays` alone takes them
from their files: none of those that it draws asks how it looks, so that there is no circle.
"""

from .accounts import UNKNOWN_USER, Account, ApiKey
from .artifacts import ArtifactRecord
from .batches import Acknowledgement, Batch
from .health import Health
from .projects import Collaborator, Permission, ProjectRecord
from .runs import LOST, PUSHED_FACT, MetricSummary, NewRun, RunChanges, RunKey, RunRecord, RunStatus
from .searches import PAGE_LIMIT, RunPage, RunQuery, RunRows
from .series import LEAST_POINTS, Series, SeriesQuery
from .shown import Shown

__all__ = [
    "LEAST_POINTS",
    "LOST",
    "PAGE_LIMIT",
    "PUSHED_FACT",
    "UNKNOWN_USER",
    "Account",
    "Acknowledgement",
    "ApiKey",
    "ArtifactRecord",
    "Batch",
    "Collaborator",
    "Health",
    "MetricSummary",
    "NewRun",
    "Permission",
    "ProjectRecord",
    "RunChanges",
    "RunKey",
    "RunPage",
    "RunQuery",
    "RunRecord",
    "RunRows",
    "RunStatus",
    "Series",
    "SeriesQuery",
    "Shown",
]
