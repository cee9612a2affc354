"""Projects: (owner, name) is unique, claimed in a table of its own so that projects can be sharded."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

from ..records import Permission, ProjectRecord
from ..values import utc
from . import members
from .database import Transaction

RUNS_AT_ONCE = 1000  # of a statement that names them
# What says how many runs there are stays true when something else of the project changes, and stays untrue.
_CHANGED = "changes = changes + 1, runs_at = CASE WHEN runs_at = changes THEN changes + 1 ELSE runs_at END"


@dataclass(frozen=True, slots=True)
class Project:
    """A project's own row."""

    project_id: int
    owner: str
    name: str
    created_at: datetime


def make(tx: Transaction, owner: str, name: str, now_us: int) -> int:
    """Make a project with its owner as ADMIN, or find the one of this owner and name; lock it and return its id."""
    project_id, claimed = secrets.randbits(63), None
    while claimed is None:
        claimed = tx.row(
            "INSERT INTO project_name (owner, name, project_id) VALUES (?, ?, ?) "
            "ON CONFLICT (owner, name) DO NOTHING RETURNING project_id",
            (owner, name, project_id),
        )
        found = find(tx, owner, name) if claimed is None else None
        if found is not None and lock(tx, found):
            return found  # else it was deleted between two of these statements
    tx.run(
        "INSERT INTO project (project_id, owner, name, created_at, changes) VALUES (?, ?, ?, ?, 0)",
        (project_id, owner, name, now_us),
    )
    members.put(tx, project_id, owner, Permission.ADMIN, now_us)
    return project_id


def find(tx: Transaction, owner: str, name: str) -> int | None:
    """Return the id of a project, with its rights held when this writes; None when there is none."""
    return tx.found_with_rights("SELECT project_id FROM project_name WHERE owner = ? AND name = ?", (owner, name))


def get(tx: Transaction, project_id: int) -> Project | None:
    """Return a project's own row, None when there is none."""
    row = tx.row("SELECT project_id, owner, name, created_at FROM project WHERE project_id = ?", (project_id,))
    return None if row is None else Project(row[0], row[1], row[2], utc(row[3]))


def seen_by(tx: Transaction, project_id: int, user: str) -> tuple[Project, Permission] | None:
    """Return a project and what a user may do in it, None when there is none or nothing."""
    row = tx.row(
        "SELECT p.project_id, p.owner, p.name, p.created_at, m.permission FROM member m "
        "JOIN project p ON p.project_id = m.project_id WHERE m.project_id = ? AND m.user_id = ?",
        (project_id, user),
    )
    return None if row is None else (Project(row[0], row[1], row[2], utc(row[3])), Permission(row[4]))


def lock_for_run(
    tx: Transaction, project_id: int, owner: str, name: str, user: str, level: Permission
) -> Project | None:
    """Do as `lock` and `count_run`, and return the project, when it has this owner and name and the user this level.

    Otherwise return None, and then nobody waits.
    """
    row = tx.row(
        f"UPDATE project SET {_CHANGED}, runs = runs + 1 WHERE project_id = ? AND owner = ? AND name = ? "
        "AND EXISTS (SELECT 1 FROM member m WHERE m.project_id = project.project_id AND m.user_id = ? "
        "AND m.permission >= ?) RETURNING project_id, owner, name, created_at, changes - runs_at",
        (project_id, owner, name, user, int(level)),
    )
    if row is None:
        return None
    if row[4]:  # an older version made runs here
        tx.run(
            "UPDATE project SET runs_at = changes, runs = 1 + (SELECT COUNT(*) FROM run WHERE run.project_id = ?) "
            "WHERE project_id = ?",
            (project_id, project_id),
        )
    return Project(row[0], row[1], row[2], utc(row[3]))


def lock(tx: Transaction, project_id: int) -> bool:
    """Make others who change the project, or make or rename its runs, wait for this transaction.

    Returns:
        False when there is no such project any more.
    """
    return tx.run(f"UPDATE project SET {_CHANGED} WHERE project_id = ?", (project_id,)) > 0


def count_run(tx: Transaction, project_id: int, more: int = 1) -> None:
    """Count a run that this transaction makes in a project that it has locked; -1 for one that it made not."""
    tx.run("UPDATE project SET runs = runs + ? WHERE project_id = ?", (more, project_id))


def describe(tx: Transaction, project_id: int, permission: Permission) -> ProjectRecord | None:
    """Return a project with its counts, None when there is none.

    It costs as much as there are runs that run or were deleted, not as there are runs.
    """
    row = tx.row(
        "SELECT owner, name, created_at, runs, changes - runs_at, "
        "(SELECT COUNT(*) FROM run WHERE project_id = ? AND deleted_at IS NOT NULL), "
        "(SELECT COUNT(*) FROM run WHERE project_id = ? AND status = 'RUNNING' AND deleted_at IS NULL), "
        "(SELECT started_at FROM run WHERE project_id = ? AND deleted_at IS NULL ORDER BY started_at DESC LIMIT 1), "
        "(SELECT COUNT(*) FROM member WHERE project_id = ?) FROM project WHERE project_id = ?",
        (project_id,) * 5,
    )
    if row is None:
        return None
    owner, name, created_at, runs, is_untrue, deleted, running, last_run_at, people = row
    if is_untrue:
        counted = tx.row("SELECT COUNT(*) FROM run WHERE project_id = ?", (project_id,))
        assert counted is not None
        (runs,) = counted
    return ProjectRecord(
        project_id=project_id,
        owner=owner,
        name=name,
        created_at=utc(created_at),
        permission=permission,
        run_count=runs - deleted,
        running_count=running,
        last_run_at=None if last_run_at is None else utc(last_run_at),
        collaborator_count=people,
    )


def delete(tx: Transaction, project_id: int) -> None:
    """Delete a project and every row of it.

    Its own row and its runs go first: whoever adds to one of them has touched its row before, so that this waits
    for them, and who comes later finds none.
    """
    project = get(tx, project_id)
    lock(tx, project_id)
    found = tx.rows("SELECT run_id FROM run WHERE project_id = ?", (project_id,))
    tx.run("DELETE FROM run WHERE project_id = ?", (project_id,))
    for user in [member.user for member in members.all_of(tx, project_id, owner="")]:
        members.remove(tx, project_id, user)
    for start in range(0, len(found), RUNS_AT_ONCE):
        some = [run_id for (run_id,) in found[start : start + RUNS_AT_ONCE]]
        tx.run(f"DELETE FROM run_home WHERE run_id IN ({', '.join('?' for _ in some)})", some)
    for table in ("artifact", "journal", "chunk", "series", "key", "attr"):
        tx.run(f"DELETE FROM {table} WHERE project_id = ?", (project_id,))
    if project is not None:
        tx.run("DELETE FROM project_name WHERE owner = ? AND name = ?", (project.owner, project.name))
        tx.run("DELETE FROM project WHERE project_id = ?", (project_id,))
