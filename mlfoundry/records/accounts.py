"""The users of a server and their keys."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

UNKNOWN_USER = "?"  # this user, while the server that knows the name cannot be asked; no user can have it


@dataclass(frozen=True, slots=True)
class Account:
    """A user of a server.

    Attributes:
        user: The name.
        is_admin: Whether the user manages users and their keys; it gives no right on any project.
        created_at: When it was made.
        disabled_at: Since when none of its keys is taken, None while they are.
        acts_until: When the key expires that the user shows now, None when it never does or none is shown.
    """

    user: str
    is_admin: bool
    created_at: datetime
    disabled_at: datetime | None
    acts_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key of a user, without what makes it one.

    Attributes:
        key_id: Names it.
        user: Whose it is.
        label: What the user calls it.
        created_at: When it was made.
        expires_at: From when on it is not taken, None for never.
        revoked_at: Since when it is not taken, None while it is.
        last_used_at: When it was last used, to within a minute; None for never.
    """

    key_id: int
    user: str
    label: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
