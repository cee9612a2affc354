"""What the modules in a page ask for: frames and JSON. Reads only; changes go to the routes that every client uses."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from ...errors import InvalidInput
from ...names import SYSTEM_PREFIX
from ...panels import frames, limits, runs_table
from ...records import Permission, RunQuery, SeriesQuery
from ...wire import records as wire
from ..context import Caller, Has, Run, answer, no_content, room
from ..fields import ProjectId
from ..policy import Needs, needs
from . import sources
from .bundle import bundle, message
from .following import Following, Known
from .listing import Listing

router = room("dashboard", "/dashboard")
PROJECT = "/projects/{project_id}"
RUN = "/projects/{project_id}/runs/{run_id}"
PIECE = 2000
ASKED_MOST = 200  # runs of one question
CURVES_MOST = 20_000
HELD_MOST = 2 * limits.SERIES_MOST

Places = Annotated[int, Query(ge=0, lt=1 << 40)]
Many = Annotated[int, Query(ge=1, le=runs_table.WHOLE_MOST)]


class Changes(BaseModel):
    """What a page of runs knows."""

    model_config = ConfigDict(extra="forbid", strict=True)
    running: list[str] = []
    seen: str = ""


class Wanted(BaseModel):
    """Some runs of a project, and what is wanted of them."""

    model_config = ConfigDict(extra="forbid", strict=True)
    runs: list[str]
    names: list[str] | None = None
    max_points: int | None = None


class Held(BaseModel):
    """What a page of a run holds, see `Known`; counts as [count, how often it stands there]."""

    model_config = ConfigDict(extra="forbid", strict=True)
    seen: str = ""
    order: str = ""
    counts: list[list[int]] = []
    names: list[str] = []

    def known(self) -> Known:
        """Return it once it is known to be possible."""
        for pair in self.counts:
            if len(pair) != 2 or not 0 <= pair[0] < 1 << 63 or not 1 <= pair[1] <= HELD_MOST:
                raise InvalidInput(
                    f"{pair} is no [count, how often] with a count of points and 1 to {HELD_MOST:,} times"
                )
        series = sum(times for _, times in self.counts)
        if series > HELD_MOST:
            raise InvalidInput(f"counts of {series:,} series; a page holds at most {HELD_MOST:,}")
        if self.names and len(set(self.names)) != series:
            raise InvalidInput(f"{len(self.names)} names and {series} counts; give one count for each name, once")
        return Known(self.seen, self.order, [(count, times) for count, times in self.counts], self.names)


@router.get("/projects", include_in_schema=False)
@needs(Needs.KEY)
def list_projects(has: Has, caller: Caller) -> Response:
    """Give the projects that the caller may see."""
    found = has.tracking.list_projects(caller.user)
    return answer({"projects": [frames.project_json(project) for project in found], "me": caller.user})


@router.get(PROJECT + "/runs", include_in_schema=False)
@needs(Needs.READ)
def page_of_runs(
    has: Has,
    caller: Caller,
    project_id: ProjectId,
    filter: str = "",  # noqa: A002  as everywhere
    order_by: str = "",
    offset: Places = 0,
    count: Many = 200,
    whole: bool = False,
) -> Response:
    """Give a stretch of the table of runs; a long one in several frames."""
    listing = Listing(has.tracking, caller.user, project_id)
    parts = []
    for start in range(offset, offset + count, PIECE):
        size = min(PIECE, offset + count - start)
        parts.append(listing.page(filter_text=filter, order_by=order_by, offset=start, count=size, whole=whole))
        if start + size >= listing.project.run_count:
            break
    return bundle(parts)


@router.post(PROJECT + "/changes", include_in_schema=False)
@needs(Needs.READ)
def changes(has: Has, caller: Caller, project_id: ProjectId, body: Changes) -> Response:
    """Give runs that are new or have changed; nothing where nothing has."""
    found = Listing(has.tracking, caller.user, project_id).changes(body.running, body.seen)
    if found is None:
        return no_content()
    mark, frame = found
    return bundle([frame, message("mark", mark=mark)])


@router.get(PROJECT + "/search", include_in_schema=False)
@needs(Needs.READ)
def search(has: Has, caller: Caller, project_id: ProjectId, filter: str = "") -> Response:  # noqa: A002
    """Give the ids of all runs that match a filter; in a project of very many only their number."""
    listing = Listing(has.tracking, caller.user, project_id)
    first = has.tracking.search_runs(caller.user, RunQuery(project_id, filter, limit=1, params=(), metrics=(), tags=()))
    told: dict[str, Any] = {"hints": list(first.hints)}
    if runs_table.is_paged(listing.project):
        told |= {"runs": [], "total": has.tracking.count_runs(caller.user, project_id, filter)}
    else:
        told["runs"] = listing.matching(filter)
    return answer(told)


@router.post(PROJECT + "/series", include_in_schema=False)
@needs(Needs.READ)
def series(has: Has, caller: Caller, project_id: ProjectId, body: Wanted) -> Response:
    """Give an overview of the points of several runs, a frame each; the coarser the more there are."""
    parts = []
    names = tuple(body.names) if body.names else None
    found = Listing(has.tracking, caller.user, project_id).require(_few(body.runs))
    count = sum(len(record.metrics) if names is None else len(names) for record in found)
    if count > CURVES_MOST:
        raise InvalidInput(
            f"these {len(found):,} runs have {count:,} curves; at most {CURVES_MOST:,} are shown at once. Choose fewer "
            "runs, or name the metrics."
        )
    most = limits.few_points(count)
    for record in found:
        query = SeriesQuery(record.key, names, max_points=min(body.max_points or most, most))
        every = has.tracking.read_series(caller.user, query)
        logged = [each for each in every if not each.name.startswith(SYSTEM_PREFIX)]
        system = [each for each in every if each.name.startswith(SYSTEM_PREFIX)]
        parts.append(frames.whole_points(record.key.run_id, logged, system))
    return bundle(parts)


@router.post(PROJECT + "/details", include_in_schema=False)
@needs(Needs.READ)
def details(has: Has, caller: Caller, project_id: ProjectId, body: Wanted) -> Response:
    """Give all that is said of several runs."""
    listing = Listing(has.tracking, caller.user, project_id)
    level = listing.project.permission
    told = [
        frames.run_snapshot(
            record,
            has.tracking.get_facts(caller.user, record.key),
            may_write=level >= Permission.WRITE,
            may_admin=level >= Permission.ADMIN,
        )
        for record in listing.require(_few(body.runs))
    ]
    return answer({"runs": told})


@router.get(PROJECT + "/people", include_in_schema=False)
@needs(Needs.READ)
def people(has: Has, caller: Caller, project_id: ProjectId) -> Response:
    """Give who has access."""
    found = has.tracking.list_collaborators(caller.user, project_id)
    project = has.tracking.get_project_by_id(caller.user, project_id)
    told = [frames.collaborator_json(person) for person in found]
    return answer({"project": frames.project_json(project), "people": told, "me": caller.user})


@router.post(RUN + "/news", include_in_schema=False)
@needs(Needs.READ)
def news(has: Has, caller: Caller, run: Run, body: Held) -> Response:
    """Give what a page does not know of a run yet."""
    return bundle(Following(has.tracking, caller.user, run).news(body.known()))


@router.get(RUN + "/code", include_in_schema=False)
@needs(Needs.READ)
def code(has: Has, caller: Caller, run: Run) -> Response:
    """Give the source of a run's cells, and what changed in it since the run before."""
    return answer(sources.code_json(has.tracking, caller.user, run))


@router.get(RUN + "/files", include_in_schema=False)
@needs(Needs.READ)
def files(has: Has, caller: Caller, run: Run) -> Response:
    """Give the files of a run."""
    found = has.tracking.list_artifacts(caller.user, run)
    return answer({"files": [wire.artifact_json(each) for each in found]})


@router.get("/keys", include_in_schema=False)
@needs(Needs.KEY)
def keys(has: Has, caller: Caller) -> Response:
    """Give the caller's own keys; ids as text, and times in seconds."""
    found = has.accounts.list_keys(caller, caller.user)
    told = [
        {
            "key_id": str(key.key_id),
            "label": key.label,
            "created_at": frames.seconds(key.created_at),
            "expires_at": frames.seconds(key.expires_at),
            "revoked_at": frames.seconds(key.revoked_at),
            "last_used_at": frames.seconds(key.last_used_at),
        }
        for key in found
    ]
    return answer({"keys": told})


def _few(runs: list[str]) -> list[str]:
    if len(runs) > ASKED_MOST:
        raise InvalidInput(f"{len(runs)} runs are too many at once; select at most {ASKED_MOST}")
    return runs
