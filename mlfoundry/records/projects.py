"""A project, and who may do what in it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from .shown import Shown


class Permission(enum.IntEnum):
    """What a collaborator may do; each level includes those below it."""

    READ = 1
    WRITE = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True, repr=False)
class ProjectRecord(Shown):
    """A project as one caller sees it.

    Attributes:
        project_id: 63 random bits; printed as a decimal number.
        owner: User who owns it; with `name` it identifies the project.
        name: Unique among the owner's projects.
        created_at: When it was made.
        permission: What the caller may do.
        run_count: Number of runs that are not deleted.
        running_count: How many of them are RUNNING.
        last_run_at: Start of the newest run, None without runs.
        collaborator_count: Number of users with access, the owner included.
    """

    project_id: int
    owner: str
    name: str
    created_at: datetime
    permission: Permission
    run_count: int = 0
    running_count: int = 0
    last_run_at: datetime | None = None
    collaborator_count: int = 1


@dataclass(frozen=True, slots=True)
class Collaborator:
    """A user with access to a project.

    Attributes:
        user: The user's name.
        permission: The level that was given; the owner always has ADMIN.
        is_owner: Whether the project is this user's own.
        added_at: When access was first given.
    """

    user: str
    permission: Permission
    is_owner: bool
    added_at: datetime
