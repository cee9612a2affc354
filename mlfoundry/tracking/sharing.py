"""Who shares a project: the rights on it, and how they change.

Who changes them does so alone: nothing is written meanwhile under a right that is about to go. What each right allows
is in `rights`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..errors import CollaboratorNotFound, InvalidInput, LastAdmin, UserNotFound
from ..names import legal_name
from ..records import Collaborator, Permission
from ..store import members, projects
from ..store.database import Database, Transaction
from ..store.projects import Project
from . import rights
from .attempts import done_again


class Sharing:
    """The verbs about the rights on a project; `user` is always the caller.

    Args:
        database: Where rows are kept.
        knows_user: As of `TrackingService`.
        settles: Likewise.
        now_us: The clock: microseconds since 1970.
    """

    def __init__(
        self,
        database: Database,
        *,
        knows_user: Callable[[Transaction, str], bool] | None,
        settles: bool,
        now_us: Callable[[], int],
    ) -> None:
        self._database = database
        self._knows_user = knows_user
        self._settles = settles
        self._now_us = now_us

    def permission(self, user: str, project_id: int) -> Permission:
        """Return what a user may do in a project. Raises ProjectNotFound."""
        with self._database.read() as tx:
            rights.require(tx, user, project_id, Permission.READ)
            held = members.permission(tx, project_id, user)
        assert held is not None
        return held

    def list_collaborators(self, user: str, project_id: int) -> list[Collaborator]:
        """See `Backend.list_collaborators`."""
        with self._database.read() as tx:
            project = rights.require(tx, user, project_id, Permission.READ)
            return members.all_of(tx, project_id, owner=project.owner)

    @done_again
    def set_permission(
        self, user: str, project_id: int, other: str, permission: Permission, *, new: bool | None
    ) -> None:
        """See `Backend.set_permission`."""
        other = legal_name("user name", other)
        with self.alone(user, project_id, Permission.ADMIN) as (tx, project):
            held = members.permission(tx, project_id, other)
            if other == project.owner and permission is not Permission.ADMIN:
                raise _owner_stays(project)
            if new is True and held is not None:
                raise InvalidInput(
                    f"{other!r} is a collaborator of {project.owner}/{project.name} already, with {held.name}. "
                    "To change that, set the permission: set_permission, or mlfoundry collaborators set."
                )
            if new is False and held is None:
                raise _no_collaborator(project, other)
            if held is None and self._knows_user is not None and not self._knows_user(tx, other):
                raise UserNotFound(
                    f"this server has no user {other!r}. An admin of the server makes one: mlfoundry users add"
                )
            members.put(tx, project_id, other, permission, self._now_us())

    @done_again
    def remove_collaborator(self, user: str, project_id: int, other: str) -> None:
        """See `Backend.remove_collaborator`."""
        other = legal_name("user name", other)
        level = Permission.READ if other == user else Permission.ADMIN
        with self.alone(user, project_id, level) as (tx, project):
            if other == project.owner:
                raise _owner_stays(project)
            if not members.remove(tx, project_id, other):
                raise _no_collaborator(project, other)

    @contextmanager
    def alone(self, user: str, project_id: int, level: Permission) -> Iterator[tuple[Transaction, Project]]:
        """Begin a transaction for which others who change rights on a project, or use them, wait.

        Whoever lacks the level is told so before anybody is made to wait for them.
        """
        with self._database.read() as tx:
            rights.require(tx, user, project_id, level)
        with self._database.write(settle=self._settles) as tx:
            tx.hold_rights(project_id, alone=True)
            projects.lock(tx, project_id)
            yield tx, rights.require(tx, user, project_id, level)


def _no_collaborator(project: Project, user: str) -> CollaboratorNotFound:
    return CollaboratorNotFound(
        f"{user!r} is no collaborator of {project.owner}/{project.name}. To add them: add_collaborator, or mlfoundry "
        "collaborators add."
    )


def _owner_stays(project: Project) -> LastAdmin:
    return LastAdmin(
        f"{project.owner!r} owns {project.owner}/{project.name} and always has ADMIN; that cannot be taken away"
    )
