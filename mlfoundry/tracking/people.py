"""Users of a server and their keys as a client asks for them; the rules are the server's, see `accounts`."""

from __future__ import annotations

from typing import NamedTuple

from ..records import Account, ApiKey
from ..wire import accounts as wire
from ..wire.plain import Json, reading
from .http import HttpBackend


class Caller(NamedTuple):
    """Who a key belongs to, and the key itself.

    Attributes:
        user: The name.
        is_admin: Whether the user is an admin of the server.
        key: What the server keeps of the key; None when it was not asked by key.
        version: The server's version; None when it does not tell.
    """

    user: str
    is_admin: bool
    key: ApiKey | None
    version: str | None = None


class People:
    """The users and keys of one server, as one caller may see and change them.

    Args:
        backend: The way to the server. Every verb may raise what its verbs raise.
    """

    def __init__(self, backend: HttpBackend) -> None:
        self._backend = backend

    def whoami(self) -> Caller:
        """Return whose key this is."""
        told = self._backend.ask("GET", "/whoami")
        with reading("caller"):
            key = told.get("key")
            read = None if key is None else wire.read_key(key)
            return Caller(str(told["user"]), bool(told["is_admin"]), read, told.get("version"))

    def list_users(self) -> list[Account]:
        """See `AccountService.list_users`."""
        return [wire.read_account(told) for told in self._backend.ask("GET", "/users")["users"]]

    def create_user(self, user: str, *, is_admin: bool = False) -> Account:
        """See `AccountService.create_user`."""
        return wire.read_account(
            self._backend.ask("POST", "/users", {"user": user, "is_admin": is_admin}, is_repeatable=False)
        )

    def change_user(self, user: str, *, is_admin: bool | None = None, is_disabled: bool | None = None) -> Account:
        """See `AccountService.change_user`."""
        asked = {"user": user, "is_admin": is_admin, "is_disabled": is_disabled}
        return wire.read_account(self._backend.ask("PATCH", "/users", asked))

    def list_keys(self, user: str | None = None) -> list[ApiKey]:
        """See `AccountService.list_keys`; the caller's own when no user is named."""
        told = self._backend.ask("GET", "/keys", params={"user": user})
        return [wire.read_key(key) for key in told["keys"]]

    def create_key(
        self, user: str | None = None, *, label: str = "", expires_in_s: float | None = None
    ) -> tuple[str, ApiKey]:
        """See `AccountService.create_key`; for the caller when no user is named."""
        asked = {"user": user, "label": label, "expires_in_s": expires_in_s}
        return _made(self._backend.ask("POST", "/keys", asked, is_repeatable=False))

    def rotate_key(self, key_id: int, user: str | None = None) -> tuple[str, ApiKey]:
        """See `AccountService.rotate_key`."""
        asked = {"key_id": key_id, "user": user}
        return _made(self._backend.ask("POST", "/keys/rotate", asked, is_repeatable=False))

    def revoke_key(self, key_id: int, user: str | None = None) -> None:
        """See `AccountService.revoke_key`."""
        self._backend.tell("POST", "/keys/revoke", {"key_id": key_id, "user": user})


def _made(told: Json) -> tuple[str, ApiKey]:
    with reading("key"):
        return str(told["key"]), wire.read_key(told)
