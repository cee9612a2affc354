"""How people name a project and a run, and what has that name: an id, ``owner/project/run``, ``project/run``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import suggestions
from .errors import InvalidName, MlfoundryError, ProjectNotFound, RunNotFound, quoted, shown
from .names import is_run_id
from .records import ProjectRecord, RunQuery, RunRecord

if TYPE_CHECKING:
    from .tracking.backend import Backend


def split(project_name: str, owner: str | None) -> tuple[str | None, str]:
    """Return (owner, name) of a project given as its name or as ``owner/project``."""
    if isinstance(project_name, str) and project_name.count("/") == 1 and owner is None:
        owner, project_name = project_name.split("/")
    return owner, project_name


def get_project(backend: Backend, name: str, owner: str | None) -> ProjectRecord:
    """Return a project.

    Raises:
        ProjectNotFound: There is none; names those that come near.
    """
    owner, name = split(name, owner)
    try:
        return backend.get_project(owner, name)
    except ProjectNotFound as error:
        suggestions.add(error, suggestions.projects(backend, owner, name))
        raise


def get_run(backend: Backend, run: str) -> RunRecord:
    """Return a run.

    Raises:
        InvalidName: It is no name of a run.
        ProjectNotFound, RunNotFound: There is none; names those that come near.
    """
    if not isinstance(run, str) or not run.strip():
        raise InvalidName(f"a run is given as its id or as owner/project/run, not {shown(run)}")
    parts = run.strip().split("/")
    if len(parts) == 1:
        run_id = parts[0].lower()
        if not is_run_id(run_id):
            near = suggestions.sentence(suggestions.runs_named(backend, parts[0])) or _as_project(backend, run.strip())
            raise InvalidName(
                f"{quoted(run)} is neither a run id (32 hex digits) nor project/run or owner/project/run.{near}"
            )
        return backend.get_run(run_id)
    if len(parts) > 3:
        raise InvalidName(f"{quoted(run)} has {len(parts)} parts; give owner/project/run")
    owner = parts[0] if len(parts) == 3 else None
    try:
        return backend.get_run_by_name(owner, parts[-2], parts[-1])
    except ProjectNotFound as error:
        if told := _as_project(backend, run.strip()):
            error.args = (f"{str(error).rstrip('.')}.{told}", *error.args[1:])
        else:
            suggestions.add(error, suggestions.projects(backend, owner, parts[-2]))
        raise
    except RunNotFound as error:
        if told := _as_deleted(backend, run.strip(), owner, parts[-2], parts[-1]):
            error.args = (f"{str(error).rstrip('.')}.{told}", *error.args[1:])
            raise
        near_runs = suggestions.runs(backend, owner, parts[-2], parts[-1])
        suggestions.add(error, ["/".join([*parts[:-1], each]) for each in near_runs])
        raise


def _as_project(backend: Backend, name: str) -> str:
    """Return what to do with a name that was given as a run's and is a project's; empty when it is none."""
    owner, project = split(name, None)
    try:
        backend.get_project(owner, project)
    except MlfoundryError:
        return ""
    return f" It is a project: list_runs({name!r}), or mlfoundry runs {name}, shows its runs."


def _as_deleted(backend: Backend, run: str, owner: str | None, project: str, name: str) -> str:
    """Return how to bring back a run of that name which was deleted; empty without one."""
    quoted = name.replace("'", "''")
    try:
        project_id = backend.get_project(owner, project).project_id
        query = RunQuery(
            project_id, f"attributes.run_name = '{quoted}'", view="deleted", params=(), metrics=(), tags=()
        )
        found = backend.search_runs(query).runs
    except MlfoundryError:
        return ""
    if not found:
        return ""
    if len(found) > 1:
        return (
            f" {len(found)} runs of that name were deleted; search_runs(…, view='deleted') or mlfoundry runs {project} "
            "--view deleted lists them, to restore one."
        )
    return (
        f" A run of that name was deleted; get_run({found[0].key.run_id!r}).restore(), or mlfoundry restore {run}, "
        "brings it back."
    )
