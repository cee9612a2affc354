"""Runs: made, found, searched, edited, deleted."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from ...wire import pages, records, requests
from .. import answers
from ..context import Caller, Has, Run, answer, no_content, room
from ..description import errors
from ..fields import (
    BodyRunId,
    Filter,
    Name,
    PageSize,
    ProjectId,
    QueryName,
    RunId,
    Skipped,
    Text,
    TimeUs,
    View,
    Wanted,
)
from ..policy import Needs, needs

router = room("runs", "/api/v1")
RUN = "/projects/{project_id}/runs/{run_id}"


class NewRunBody(BaseModel):
    """A run to be made."""

    model_config = ConfigDict(extra="forbid", strict=True)
    run_id: BodyRunId
    project_name: Name
    run_name: Name
    owner: Name | None
    tags: dict[str, Text]
    description: Text
    started_at_us: TimeUs


class RunQueryBody(BaseModel):
    """A question for runs."""

    model_config = ConfigDict(extra="forbid", strict=True)
    filter: Filter = ""
    order_by: list[str] = []
    limit: PageSize = 1000
    cursor: str | None = None
    offset: Skipped = 0
    view: View = "active"
    params: Wanted | None = None
    metrics: Wanted | None = None
    tags: Wanted | None = None


class ChangesBody(BaseModel):
    """What shall change of a run; what is not named stays."""

    model_config = ConfigDict(extra="forbid", strict=True)
    tags: dict[str, Text | None] | None = None
    description: Text | None = None
    run_name: Name | None = None


@router.post(
    "/runs",
    summary="Make a run; the same id again is a no-op",
    response_model=answers.Run,
    responses=errors(410),
)
@needs(Needs.WRITE)
def create_run(has: Has, caller: Caller, body: NewRunBody) -> Response:
    """See `Backend.create_run`; a project of the caller's own is made when it is missing."""
    new = requests.read_new_run(body.model_dump())
    return answer(records.run_json(has.tracking.create_run(caller.user, new)))


@router.get("/runs", summary="A run by the names of its owner, project and itself", response_model=answers.Run)
@needs(Needs.READ)
def get_run_by_name(
    has: Has, caller: Caller, project: QueryName, run: QueryName, owner: QueryName | None = None
) -> Response:
    """See `Backend.get_run_by_name`."""
    return answer(records.run_json(has.tracking.get_run_by_name(caller.user, owner, project, run)))


@router.get("/runs/{run_id}", summary="A run by its id", response_model=answers.Run)
@needs(Needs.READ)
def get_run(has: Has, caller: Caller, run_id: RunId) -> Response:
    """See `Backend.get_run`."""
    return answer(records.run_json(has.tracking.get_run(caller.user, run_id)))


@router.post(
    "/projects/{project_id}/runs/search",
    summary="A page of a project's runs",
    response_model=answers.RunPage,
    responses={200: answers.binary(pages.RUNS_TYPE, "The page; by columns for whoever accepts that.")},
)
@needs(Needs.READ)
def search_runs(request: Request, has: Has, caller: Caller, project_id: ProjectId, body: RunQueryBody) -> Response:
    """See `Backend.search_runs`."""
    query = requests.read_run_query(project_id, body.model_dump())
    if pages.RUNS_TYPE in request.headers.get("accept", ""):
        found = has.tracking.search_run_rows(caller.user, query)
        return Response(pages.page_frame(found), media_type=pages.RUNS_TYPE)
    return answer(records.page_json(has.tracking.search_runs(caller.user, query)))


@router.patch(RUN, summary="Change tags, description or name", response_model=answers.Run)
@needs(Needs.WRITE)
def update_run(has: Has, caller: Caller, run: Run, body: ChangesBody) -> Response:
    """See `Backend.update_run`."""
    changes = requests.read_changes(body.model_dump(exclude_none=True) | _tags(body))
    return answer(records.run_json(has.tracking.update_run(caller.user, run, changes)))


def _tags(body: ChangesBody) -> dict[str, Any]:
    """Return the tags as they were given: None as text removes one, so that it must not be left out."""
    return {} if body.tags is None else {"tags": body.tags}


@router.delete(RUN, summary="Hide a run and free its name", status_code=204)
@needs(Needs.WRITE)
def delete_run(has: Has, caller: Caller, run: Run) -> Response:
    """See `Backend.delete_run`; WRITE deletes the caller's own runs, ADMIN any."""
    has.tracking.delete_run(caller.user, run)
    return no_content()


@router.post(RUN + "/restore", summary="Bring a deleted run back", response_model=answers.Run)
@needs(Needs.WRITE)
def restore_run(has: Has, caller: Caller, run: Run) -> Response:
    """See `Backend.restore_run`."""
    return answer(records.run_json(has.tracking.restore_run(caller.user, run)))


@router.get(RUN + "/facts", summary="What was captured of a run's surroundings", response_model=answers.Facts)
@needs(Needs.READ)
def get_facts(has: Has, caller: Caller, run: Run) -> Response:
    """See `Backend.get_facts`."""
    return answer({"facts": has.tracking.get_facts(caller.user, run)})
