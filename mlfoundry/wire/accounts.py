"""Users of a server and their keys as JSON."""

from __future__ import annotations

from ..records import Account, ApiKey
from ..values import utc
from .plain import Json, microseconds, read_time, reading, whole


def account_json(account: Account) -> Json:
    """Return a user as JSON."""
    return {
        "user": account.user,
        "is_admin": account.is_admin,
        "created_at": microseconds(account.created_at),
        "disabled_at": microseconds(account.disabled_at),
    }


def read_account(told: Json) -> Account:
    """Return a user from JSON."""
    with reading("user"):
        return Account(
            user=str(told["user"]),
            is_admin=bool(told["is_admin"]),
            created_at=utc(told["created_at"]),
            disabled_at=read_time(told["disabled_at"]),
        )


def key_json(key: ApiKey) -> Json:
    """Return what is kept of a key as JSON."""
    return {
        "key_id": key.key_id,
        "user": key.user,
        "label": key.label,
        "created_at": microseconds(key.created_at),
        "expires_at": microseconds(key.expires_at),
        "revoked_at": microseconds(key.revoked_at),
        "last_used_at": microseconds(key.last_used_at),
    }


def read_key(told: Json) -> ApiKey:
    """Return what is kept of a key from JSON."""
    with reading("key"):
        return ApiKey(
            key_id=whole("key_id", told),
            user=str(told["user"]),
            label=str(told["label"]),
            created_at=utc(told["created_at"]),
            expires_at=read_time(told["expires_at"]),
            revoked_at=read_time(told["revoked_at"]),
            last_used_at=read_time(told["last_used_at"]),
        )
