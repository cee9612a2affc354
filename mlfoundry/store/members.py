"""Who has which permission on a project, by project and by user."""

from __future__ import annotations

from ..records import Collaborator, Permission
from ..values import utc
from .database import Transaction


def permission(tx: Transaction, project_id: int, user: str) -> Permission | None:
    """Return a user's permission, None without access."""
    row = tx.row("SELECT permission FROM member WHERE project_id = ? AND user_id = ?", (project_id, user))
    return None if row is None else Permission(row[0])


def put(tx: Transaction, project_id: int, user: str, level: Permission, now_us: int) -> None:
    """Give a user a permission in place of the one before."""
    tx.run(
        "INSERT INTO member (project_id, user_id, permission, added_at) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (project_id, user_id) DO UPDATE SET permission = excluded.permission",
        (project_id, user, int(level), now_us),
    )
    tx.run(
        "INSERT INTO member_of (user_id, project_id, permission) VALUES (?, ?, ?) "
        "ON CONFLICT (user_id, project_id) DO UPDATE SET permission = excluded.permission",
        (user, project_id, int(level)),
    )


def remove(tx: Transaction, project_id: int, user: str) -> bool:
    """Take a user's access away; return whether there was any."""
    tx.run("DELETE FROM member_of WHERE user_id = ? AND project_id = ?", (user, project_id))
    return tx.run("DELETE FROM member WHERE project_id = ? AND user_id = ?", (project_id, user)) > 0


def all_of(tx: Transaction, project_id: int, *, owner: str) -> list[Collaborator]:
    """Return everybody with access, the owner first, then by level and name."""
    rows = tx.rows(
        "SELECT user_id, permission, added_at FROM member WHERE project_id = ? ORDER BY permission DESC, user_id",
        (project_id,),
    )
    people = [Collaborator(user, Permission(level), user == owner, utc(at)) for user, level, at in rows]
    return sorted(people, key=lambda person: not person.is_owner)


def projects_of(tx: Transaction, user: str) -> list[tuple[int, Permission]]:
    """Return the ids of the projects that a user may see, with the permission on each."""
    rows = tx.rows("SELECT project_id, permission FROM member_of WHERE user_id = ?", (user,))
    return [(project_id, Permission(level)) for project_id, level in rows]
