"""What a user may see and do: each function gives what was asked for, or raises what this user is to be told.

A project that one may not READ does not exist: the error is that of a missing one. A member who lacks a level is
told which one. In a transaction that writes, the rights on the project stay as they were found until its end: whoever
takes one away waits for that, so that nothing is written under a right once its withdrawal is answered.
"""

from __future__ import annotations

from ..errors import PermissionDenied, ProjectNotFound, RunDeleted, RunNotFound, shown
from ..names import is_run_id, legal_name
from ..records import Permission, RunKey
from ..store import members, projects, runs
from ..store.database import Transaction
from ..store.projects import Project


def require(tx: Transaction, user: str, project_id: int, level: Permission) -> Project:
    """Return a project on which a user has a level.

    Raises:
        ProjectNotFound: There is none that this user may see.
        PermissionDenied: The user has a lower level.
    """
    exists = 0 <= project_id < 1 << 63
    if exists:
        tx.hold_rights(project_id)
    permission = members.permission(tx, project_id, user) if exists else None
    project = projects.get(tx, project_id) if permission is not None else None
    if project is None or permission is None:
        raise ProjectNotFound(f"there is no project with the id {project_id} that {user!r} may see")
    _check_level(user, project, permission, level)
    return project


def require_by_name(tx: Transaction, user: str, owner: str | None, name: str, level: Permission) -> Project:
    """Return a project by its name on which a user has a level; `owner` None is the user. Raises as `require`."""
    owner = user if owner is None else legal_name("owner", owner)
    name = legal_name("project name", name)
    project_id = projects.find(tx, owner, name)
    if project_id is not None:
        tx.hold_rights(project_id)
    permission = None if project_id is None else members.permission(tx, project_id, user)
    project = None if project_id is None else projects.get(tx, project_id)
    if project is None or permission is None:
        whose = "" if owner == user else f" Is the owner right? {user!r} sees only projects shared with {user!r}."
        raise ProjectNotFound(f"there is no project {owner}/{name} that {user!r} may see.{whose}")
    _check_level(user, project, permission, level)
    return project


def require_run(tx: Transaction, user: str, run: RunKey, level: Permission) -> Project:
    """Return the project of a run on which a user has a level; the run may be deleted.

    Raises:
        RunNotFound: There is no such run that this user may see.
        PermissionDenied: The user has a lower level.
    """
    return _require_run(tx, user, run, level)[0]


def require_open(tx: Transaction, user: str, run: RunKey) -> Project:
    """Return the project of a run to which a user may log; raises as `require_run`.

    Raises:
        RunDeleted: The run is deleted.
    """
    project, is_open = _require_run(tx, user, run, Permission.WRITE)
    if not is_open:
        raise RunDeleted(
            f"run {run.run_id} of {project.owner}/{project.name} was deleted; what is logged to it is not "
            "stored. Restore the run, or end it here."
        )
    return project


def _require_run(tx: Transaction, user: str, run: RunKey, level: Permission) -> tuple[Project, bool]:
    """Return the project of a run, and whether data is taken for the run; raises as `require_run`."""
    try:
        project = require(tx, user, run.project_id, level)
    except ProjectNotFound:
        raise no_run(run.run_id, user) from None
    is_open = runs.is_open(tx, run)
    if is_open is None:
        raise no_run(run.run_id, user)
    return project, is_open


def require_may_delete(tx: Transaction, user: str, run: RunKey) -> Project:
    """Return the project of a run that a user may delete and restore: ADMIN any run, WRITE the user's own."""
    project = require_run(tx, user, run, Permission.READ)
    record = runs.get(tx, project, run.run_id)
    is_own = record is not None and record.created_by == user
    return require(tx, user, run.project_id, Permission.WRITE if is_own else Permission.ADMIN)


def run_key(run: RunKey) -> RunKey:
    """Return a run's key when it can be one.

    Raises:
        RunNotFound: It cannot, so there is no such run.
    """
    if not 0 <= run.project_id < 1 << 63:
        raise RunNotFound(f"there is no run {run.run_id!r} in a project {run.project_id}")
    if not is_run_id(run.run_id):
        raise RunNotFound(f"there is no run {shown(run.run_id)}: a run's id has 32 hex digits (0-9, a-f)")
    return RunKey(run.project_id, run.run_id)


def no_run(run_id: str, user: str) -> RunNotFound:
    """Return the error for a run that is not there, or that this user may not see."""
    return RunNotFound(f"there is no run {run_id} that {user!r} may see")


def _check_level(user: str, project: Project, held: Permission, needed: Permission) -> None:
    if held < needed:
        raise PermissionDenied(
            f"{user!r} has {held.name} on {project.owner}/{project.name}; this needs {needed.name}. "
            f"Ask {project.owner!r} or another ADMIN of the project for it."
        )
