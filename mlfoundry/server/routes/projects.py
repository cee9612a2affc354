"""Projects and who may do what in them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from ...errors import InvalidInput, shown
from ...records import Permission
from ...wire import records
from .. import answers
from ..context import Caller, Has, answer, no_content, room
from ..description import errors
from ..fields import Kind, Level, Name, ProjectId, QueryName
from ..policy import Needs, needs

router = room("projects", "/api/v1/projects")


class Grant(BaseModel):
    """A user and the level they shall have."""

    model_config = ConfigDict(extra="forbid", strict=True)
    user: Name
    permission: Level
    new: bool | None = None


@router.get("", summary="All projects that the caller may see", response_model=answers.Projects)
@needs(Needs.KEY)
def list_projects(has: Has, caller: Caller) -> Response:
    """See `Backend.list_projects`."""
    found = has.tracking.list_projects(caller.user)
    return answer({"projects": [records.project_json(project) for project in found]})


@router.get("/named", summary="A project by its owner and name", response_model=answers.Project)
@needs(Needs.READ)
def get_project(has: Has, caller: Caller, name: QueryName, owner: QueryName | None = None) -> Response:
    """See `Backend.get_project`."""
    return answer(records.project_json(has.tracking.get_project(caller.user, owner, name)))


@router.delete("/{project_id}", summary="Delete a project with all its runs and files, for good", status_code=204)
@needs(Needs.ADMIN)
def delete_project(has: Has, caller: Caller, project_id: ProjectId) -> Response:
    """See `Backend.delete_project`."""
    has.tracking.delete_project(caller.user, project_id)
    return no_content()


@router.get(
    "/{project_id}/keys",
    summary="The names of metrics, params or tags that a project has seen",
    response_model=answers.Names,
)
@needs(Needs.READ)
def list_keys(has: Has, caller: Caller, project_id: ProjectId, kind: Kind) -> Response:
    """See `Backend.list_keys`."""
    return answer({"keys": has.tracking.list_keys(caller.user, project_id, kind)})


@router.get(
    "/{project_id}/collaborators", summary="Who has access, the owner first", response_model=answers.Collaborators
)
@needs(Needs.READ)
def list_collaborators(has: Has, caller: Caller, project_id: ProjectId) -> Response:
    """See `Backend.list_collaborators`."""
    found = has.tracking.list_collaborators(caller.user, project_id)
    return answer({"collaborators": [records.collaborator_json(person) for person in found]})


@router.put(
    "/{project_id}/collaborators",
    summary="Give a user a level",
    response_model=answers.Nothing,
    responses=errors(409),
)
@needs(Needs.ADMIN)
def set_permission(has: Has, caller: Caller, project_id: ProjectId, grant: Grant) -> Response:
    """See `Backend.set_permission`."""
    if grant.permission not in Permission.__members__:
        allowed = ", ".join(Permission.__members__)
        raise InvalidInput(f"permission is {shown(grant.permission)}; give one of {allowed}")
    level = Permission[grant.permission]
    has.tracking.set_permission(caller.user, project_id, grant.user, level, new=grant.new)
    return answer({})


@router.delete(
    "/{project_id}/collaborators",
    summary="Take a user's access away, at once",
    status_code=204,
    responses=errors(409),
)
@needs(Needs.ADMIN)
def remove_collaborator(has: Has, caller: Caller, project_id: ProjectId, user: QueryName) -> Response:
    """See `Backend.remove_collaborator`; whoever has access may remove themselves."""
    has.tracking.remove_collaborator(caller.user, project_id, user)
    return no_content()
