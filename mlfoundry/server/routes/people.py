"""Users of the server and their keys."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from ...records import Account
from ...wire import accounts
from .. import answers
from ..context import Caller, Has, answer, no_content, require_whole, room
from ..description import errors
from ..fields import BodyId, BodyIdText, Label, Name, QueryName, Seconds
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
    key_id: BodyId | BodyIdText  # as text where numbers have 53 bits
    user: Name | None = None

    @property
    def number(self) -> int:
        """The id, checked."""
        return require_whole("key_id", int(self.key_id))


@router.get("/users", summary="All users", response_model=answers.Users)
@needs(Needs.SERVER_ADMIN)
def list_users(has: Has, caller: Caller) -> Response:
    """See `AccountService.list_users`."""
    return answer({"users": [accounts.account_json(account) for account in has.accounts.list_users(caller)]})


@router.post("/users", summary="Make a user", status_code=201, response_model=answers.User)
@needs(Needs.SERVER_ADMIN)
def create_user(has: Has, caller: Caller, body: NewUser) -> Response:
    """See `AccountService.create_user`."""
    return answer(accounts.account_json(has.accounts.create_user(caller, body.user, is_admin=body.is_admin)), 201)


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
    return answer(accounts.account_json(changed))


@router.get("/keys", summary="A user's keys, without what makes them keys", response_model=answers.Keys)
@needs(Needs.SELF)
def list_keys(has: Has, caller: Caller, user: QueryName | None = None) -> Response:
    """See `AccountService.list_keys`."""
    return answer({"keys": [accounts.key_json(key) for key in has.accounts.list_keys(caller, _named(caller, user))]})


@router.post(
    "/keys", summary="Make a key; the only time that it is told", status_code=201, response_model=answers.MadeKey
)
@needs(Needs.SELF)
def create_key(has: Has, caller: Caller, body: NewKey) -> Response:
    """See `AccountService.create_key`."""
    user = _named(caller, body.user)
    key, record = has.accounts.create_key(caller, user, label=body.label, expires_in_s=body.expires_in_s)
    return answer({"key": key, **accounts.key_json(record)}, 201)


@router.post("/keys/rotate", summary="Make a key in place of another", status_code=201, response_model=answers.MadeKey)
@needs(Needs.SELF)
def rotate_key(has: Has, caller: Caller, body: KeyId) -> Response:
    """See `AccountService.rotate_key`."""
    key, record = has.accounts.rotate_key(caller, _named(caller, body.user), body.number)
    return answer({"key": key, **accounts.key_json(record)}, 201)


@router.post("/keys/revoke", summary="Revoke a key, at once and for good", status_code=204)
@needs(Needs.SELF)
def revoke_key(has: Has, caller: Caller, body: KeyId) -> Response:
    """See `AccountService.revoke_key`."""
    has.accounts.revoke_key(caller, _named(caller, body.user), body.number)
    return no_content()


def _named(caller: Account, user: str | None) -> str:
    return caller.user if user is None else user
