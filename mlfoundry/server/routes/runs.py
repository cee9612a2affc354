"""Runs: made, found, searched, edited, deleted."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from ...wire import records, requests
from ..context import Caller, Has, Run, answer, no_content, room
from ..policy import Needs, needs
from .projects import ProjectId

router = room("runs", "/api/v1")
RUN = "/projects/{project_id}/runs/{run_id}"


class NewRunBody(BaseModel):
    """A run to be made."""

    model_config = ConfigDict(extra="forbid", strict=True)
    run_id: str
    project_name: str
    run_name: str
    owner: str | None
    tags: dict[str, str]
    description: str
    started_at_us: int


class RunQueryBody(BaseModel):
    """A question for runs."""

    model_config = ConfigDict(extra="forbid", strict=True)
    filter: str = ""
    order_by: list[str] = []
    limit: int = 1000
    cursor: str | None = None
    view: str = "active"
    params: list[str] | None = None
    metrics: list[str] | None = None
    tags: list[str] | None = None
    offset: int = 0


class ChangesBody(BaseModel):
    """What shall change of a run; what is not named stays."""

    model_config = ConfigDict(extra="forbid", strict=True)
    tags: dict[str, str | None] | None = None
    description: str | None = None
    run_name: str | None = None


@router.post("/runs", summary="Make a run; the same id again is a no-op")
@needs(Needs.WRITE)
def create_run(has: Has, caller: Caller, body: NewRunBody) -> Response:
    """See `Backend.create_run`; a project of the caller's own is made when it is missing."""
    new = requests.read_new_run(body.model_dump())
    return answer(records.run_json(has.tracking.create_run(caller.user, new)))


@router.get("/runs", summary="A run by the names of its owner, project and itself")
@needs(Needs.READ)
def get_run_by_name(has: Has, caller: Caller, project: str, run: str, owner: str | None = None) -> Response:
    """See `Backend.get_run_by_name`."""
    return answer(records.run_json(has.tracking.get_run_by_name(caller.user, owner, project, run)))


@router.get("/runs/{run_id}", summary="A run by its id")
@needs(Needs.READ)
def get_run(has: Has, caller: Caller, run_id: str) -> Response:
    """See `Backend.get_run`."""
    return answer(records.run_json(has.tracking.get_run(caller.user, run_id)))


@router.post("/projects/{project_id}/runs/search", summary="A page of a project's runs")
@needs(Needs.READ)
def search_runs(has: Has, caller: Caller, project_id: ProjectId, body: RunQueryBody) -> Response:
    """See `Backend.search_runs`."""
    query = requests.read_run_query(project_id, body.model_dump())
    return answer(records.page_json(has.tracking.search_runs(caller.user, query)))


@router.patch(RUN, summary="Change tags, description or name")
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


@router.post(RUN + "/restore", summary="Bring a deleted run back")
@needs(Needs.WRITE)
def restore_run(has: Has, caller: Caller, run: Run) -> Response:
    """See `Backend.restore_run`."""
    return answer(records.run_json(has.tracking.restore_run(caller.user, run)))


@router.get(RUN + "/facts", summary="What was captured of a run's surroundings")
@needs(Needs.READ)
def get_facts(has: Has, caller: Caller, run: Run) -> Response:
    """See `Backend.get_facts`."""
    return answer({"facts": has.tracking.get_facts(caller.user, run)})
