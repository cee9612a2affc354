"""Users of the server and their keys."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from ...records import Account, ApiKey
from ...wire.plain import microseconds
from .. import answers
from ..context import Caller, Has, answer, no_content, require_whole, room
from ..description import errors
from ..fields import BodyId, Label, Name, QueryName, Seconds
from ..policy import Needs, needs

router = room("users and keys", "/api/v1")


class NewUser(BaseModel):
    """A user to be made."""

    model_config = ConfigDict(extra="forbid", strict=True)
    user: Name
    is_admin: bool = False


class UserChanges(BaseModel):
    """What shall change of a user; what is not named stays."""

    model_config = ConfigDict(extra="forbid", strict=True)
    user: Name
    is_admin: bool | None = None
    is_disabled: bool | None = None


class NewKey(BaseModel):
    """A key to be made; the caller's own when no user is named."""

    model_config = ConfigDict(extra="forbid", strict=True)
    user: Name | None = None
    label: Label = ""
    expires_in_s: Seconds | None = None


class KeyId(BaseModel):
    """A key of a user; the caller's own when no user is named."""

    model_config = ConfigDict(extra="forbid", strict=True)
    key_id: BodyId
    user: Name | None = None


@router.get("/users", summary="All users", response_model=answers.Users)
@needs(Needs.SERVER_ADMIN)
def list_users(has: Has, caller: Caller) -> Response:
    """See `AccountService.list_users`."""
    return answer({"users": [_account(account) for account in has.accounts.list_users(caller)]})


@router.post("/users", summary="Make a user", status_code=201, response_model=answers.User)
@needs(Needs.SERVER_ADMIN)
def create_user(has: Has, caller: Caller, body: NewUser) -> Response:
    """See `AccountService.create_user`."""
    return answer(_account(has.accounts.create_user(caller, body.user, is_admin=body.is_admin)), 201)


@router.patch(
    "/users",
    summary="Make a user an admin or not, disable or enable one",
    response_model=answers.User,
    responses=errors(404, 409),
)
@needs(Needs.SERVER_ADMIN)
def change_user(has: Has, caller: Caller, body: UserChanges) -> Response:
    """See `AccountService.change_user`."""
    changed = has.accounts.change_user(caller, body.user, is_admin=body.is_admin, is_disabled=body.is_disabled)
    return answer(_account(changed))


@router.get("/keys", summary="A user's keys, without what makes them keys", response_model=answers.Keys)
@needs(Needs.SELF)
def list_keys(has: Has, caller: Caller, user: QueryName | None = None) -> Response:
    """See `AccountService.list_keys`."""
    return answer({"keys": [_key(key) for key in has.accounts.list_keys(caller, _named(caller, user))]})


@router.post(
    "/keys", summary="Make a key; the only time that it is told", status_code=201, response_model=answers.MadeKey
)
@needs(Needs.SELF)
def create_key(has: Has, caller: Caller, body: NewKey) -> Response:
    """See `AccountService.create_key`."""
    user = _named(caller, body.user)
    key, record = has.accounts.create_key(caller, user, label=body.label, expires_in_s=body.expires_in_s)
    return answer({"key": key, **_key(record)}, 201)


@router.post("/keys/rotate", summary="Make a key in place of another", status_code=201, response_model=answers.MadeKey)
@needs(Needs.SELF)
def rotate_key(has: Has, caller: Caller, body: KeyId) -> Response:
    """See `AccountService.rotate_key`."""
    key, record = has.accounts.rotate_key(caller, _named(caller, body.user), require_whole("key_id", body.key_id))
    return answer({"key": key, **_key(record)}, 201)


@router.post("/keys/revoke", summary="Revoke a key, at once and for good", status_code=204)
@needs(Needs.SELF)
def revoke_key(has: Has, caller: Caller, body: KeyId) -> Response:
    """See `AccountService.revoke_key`."""
    has.accounts.revoke_key(caller, _named(caller, body.user), require_whole("key_id", body.key_id))
    return no_content()


def _named(caller: Account, user: str | None) -> str:
    return caller.user if user is None else user


def _account(account: Account) -> dict[str, Any]:
    return {
        "user": account.user,
        "is_admin": account.is_admin,
        "created_at": microseconds(account.created_at),
        "disabled_at": microseconds(account.disabled_at),
    }


def _key(key: ApiKey) -> dict[str, Any]:
    return {
        "key_id": key.key_id,
        "user": key.user,
        "label": key.label,
        "created_at": microseconds(key.created_at),
        "expires_at": microseconds(key.expires_at),
        "revoked_at": microseconds(key.revoked_at),
        "last_used_at": microseconds(key.last_used_at),
    }
