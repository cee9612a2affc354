"""The rules for users of a server and their keys: who may make them, what a key looks like, when it is taken."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
import zlib
from base64 import b32encode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from ..errors import BackendUnavailable, InvalidInput, LastAdmin, NotAuthenticated, PermissionDenied, UserNotFound
from ..names import legal_name
from ..records import Account, ApiKey
from ..store import accounts
from ..store.database import Database, Transaction
from ..values import plain_text
from ..wire.plain import microseconds
from .attempts import done_again

KEY_BITS = 160
LABEL_LIMIT = 200
USE_NOTED_EVERY_US = 60_000_000
_KEY = re.compile(r"mlf_([a-z2-7]{32})([0-9a-f]{8})")


def new_key() -> str:
    """Return a new key: ``mlf_``, 160 random bits, and a check that tells a slip of the hand from a wrong key."""
    secret = b32encode(secrets.token_bytes(KEY_BITS // 8)).decode().lower()
    return f"mlf_{secret}{_check(secret)}"


def looks_like_key(text: str) -> bool:
    """Return whether a text can be a key at all."""
    found = _KEY.fullmatch(text)
    return found is not None and _check(found[1]) == found[2]


def _check(secret: str) -> str:
    return f"{zlib.crc32(secret.encode()):08x}"


def digest_of(key: str) -> bytes:
    """Return what is kept of a key."""
    # No slow hash: 160 random bits cannot be guessed however fast one tries.
    return hashlib.sha256(key.encode()).digest()


class AccountService:
    """Users and keys of one store; `caller` is always who asks.

    Args:
        database: Where they are kept.
        now_us: The clock: microseconds since 1970.
    """

    def __init__(self, database: Database, *, now_us: Callable[[], int] = lambda: time.time_ns() // 1000) -> None:
        self._database = database
        self._now_us = now_us

    # -- keys ------------------------------------------------------------------------------------

    def authenticate(self, key: str) -> Account:
        """Return whose key this is, as things stand now.

        Raises:
            NotAuthenticated: It is none, or is not taken any more; says why.
        """
        if not looks_like_key(key):
            raise NotAuthenticated("this is no API key: one begins with mlf_ and ends with a check that holds")
        return self.account_of(digest_of(key))

    def account_of(self, digest: bytes) -> Account:
        """Return whose key it is that has a digest; raises as `authenticate`."""
        now_us = self._now_us()
        with self._database.look() as tx:
            known = accounts.whose_key(tx, digest)
        if known is None:
            raise NotAuthenticated("this server does not know the API key; run mlfoundry login")
        found, account = known
        if found.revoked_at is not None:
            raise NotAuthenticated("the API key was revoked; run mlfoundry login with another one")
        if found.expires_at is not None and found.expires_at.timestamp() * 1e6 <= now_us:
            raise NotAuthenticated("the API key has expired; run mlfoundry login with another one")
        if account.disabled_at is not None:
            raise NotAuthenticated(f"the account {account.user!r} is disabled; an admin of the server can enable it")
        last_us = 0.0 if found.last_used_at is None else found.last_used_at.timestamp() * 1e6
        if now_us - last_us > USE_NOTED_EVERY_US:
            # A store that cannot be written just now can still be read.
            with suppress(BackendUnavailable), self._database.write() as tx:
                accounts.note_use(tx, digest, now_us)
        return replace(account, acts_until=found.expires_at)

    def describe_key(self, key: str) -> ApiKey | None:
        """Return what is kept of a key that is in hand; None when it is not known."""
        with self._database.look() as tx:
            return accounts.find_key(tx, digest_of(key))

    @done_again
    def create_key(
        self, caller: Account, user: str, *, label: str = "", expires_in_s: float | None = None
    ) -> tuple[str, ApiKey]:
        """Make a key for the caller, or as an admin for anybody; return it, this once, and what is kept of it.

        It never outlives the key that the caller shows, whatever time was asked for.

        Raises:
            PermissionDenied: The caller is somebody else and no admin.
            UserNotFound: There is no such user.
            InvalidInput: The label or the time cannot be.
        """
        _require_self_or_admin(caller, user)
        label = plain_text("label", label, LABEL_LIMIT)
        if expires_in_s is not None and not 0 < expires_in_s <= 10 * 366 * 86400:
            raise InvalidInput(f"expires_in_s is {expires_in_s!r}; give seconds, at most ten years, or None for never")
        with self._database.write(settle=True) as tx:
            _find(tx, user)
            return self._add_key(tx, user, label, _earlier_us(self._in_us(expires_in_s), caller.acts_until))

    def _in_us(self, seconds: float | None) -> int | None:
        return None if seconds is None else self._now_us() + round(seconds * 1e6)

    def _add_key(self, tx: Transaction, user: str, label: str, expires_at: int | None) -> tuple[str, ApiKey]:
        key = new_key()
        accounts.add_key(
            tx, digest_of(key), secrets.randbits(63), user, label=label, expires_at=expires_at, now_us=self._now_us()
        )
        record = accounts.find_key(tx, digest_of(key))
        assert record is not None
        return key, record

    def list_keys(self, caller: Account, user: str) -> list[ApiKey]:
        """Return a user's keys, the oldest first. The caller's own, or any as an admin."""
        _require_self_or_admin(caller, user)
        with self._database.read() as tx:
            _find(tx, user)
            return accounts.keys_of(tx, user)

    @done_again
    def revoke_key(self, caller: Account, user: str, key_id: int) -> None:
        """Revoke a key, at once and for good; twice is a no-op.

        Raises:
            InvalidInput: The user has no such key.
        """
        _require_self_or_admin(caller, user)
        with self._database.write(settle=True) as tx:
            _find(tx, user)
            if not accounts.revoke_key(tx, user, key_id, self._now_us()):
                raise _no_key(user, key_id)

    @done_again
    def rotate_key(self, caller: Account, user: str, key_id: int) -> tuple[str, ApiKey]:
        """Make a key with the label and the expiry of another, and revoke that one in the same step.

        Raises:
            PermissionDenied: It would outlive the key that the caller shows.
            InvalidInput: The user has no such key, or it is not taken any more.
        """
        _require_self_or_admin(caller, user)
        now_us = self._now_us()
        with self._database.write(settle=True) as tx:
            _find(tx, user)
            old = next((key for key in accounts.keys_of(tx, user) if key.key_id == key_id), None)
            if old is None:
                raise _no_key(user, key_id)
            expires_at = microseconds(old.expires_at)
            if old.revoked_at is not None or (expires_at is not None and expires_at <= now_us):
                raise InvalidInput(f"key {key_id} of {user!r} is not taken any more; make a new one")
            if _earlier_us(expires_at, caller.acts_until) != expires_at:  # the owner did not ask for a shorter one
                raise PermissionDenied(
                    f"the key in place of {key_id} would outlive yours, which expires at "
                    f"{caller.acts_until:%Y-%m-%d %H:%M UTC}; use one that does not expire before it"
                )
            accounts.revoke_key(tx, user, key_id, now_us)
            return self._add_key(tx, user, old.label, expires_at)

    # -- users -----------------------------------------------------------------------------------

    @done_again
    def create_first_admin(self, user: str) -> str:
        """Make an admin without being one, for whoever has the database in hand; return a key for them.

        Raises:
            InvalidInput: There is a user of this name.
        """
        user = legal_name("user name", user)
        with self._database.write(settle=True) as tx:
            if not accounts.add(tx, user, is_admin=True, now_us=self._now_us()):
                raise InvalidInput(f"there is a user {user!r} already")
            return self._add_key(tx, user, "first admin", None)[0]

    def has_admin(self) -> bool:
        """Return whether there is an admin who can act, so that nobody needs to make the first."""
        with self._database.read() as tx:
            return any(account.is_admin and account.disabled_at is None for account in accounts.all_of(tx))

    @done_again
    def create_user(self, caller: Account, user: str, *, is_admin: bool = False) -> Account:
        """Make a user. Needs an admin of the server.

        Raises:
            InvalidInput: There is a user of this name.
        """
        _require_admin(caller)
        user = legal_name("user name", user)
        with self._database.write(settle=True) as tx:
            if not accounts.add(tx, user, is_admin=is_admin, now_us=self._now_us()):
                raise InvalidInput(f"there is a user {user!r} already")
            return _find(tx, user)

    def list_users(self, caller: Account) -> list[Account]:
        """Return all users by name. Needs an admin of the server."""
        _require_admin(caller)
        with self._database.read() as tx:
            return accounts.all_of(tx)

    @done_again
    def change_user(
        self, caller: Account, user: str, *, is_admin: bool | None = None, is_disabled: bool | None = None
    ) -> Account:
        """Make a user an admin or not, disable or enable one; None leaves a thing as it is. Needs an admin.

        Raises:
            LastAdmin: The server would have no admin left who can act.
        """
        _require_admin(caller)
        with self._database.write(settle=True) as tx:
            accounts.count_admins(tx)  # first, so that two admins who change each other take turns
            _require_admin(_find(tx, caller.user))
            old = _find(tx, user)
            now_admin = old.is_admin if is_admin is None else is_admin
            disabled = old.disabled_at is not None if is_disabled is None else is_disabled
            accounts.change(tx, user, is_admin=now_admin, is_disabled=disabled, now_us=self._now_us())
            if not accounts.count_admins(tx):
                raise LastAdmin(f"{user!r} is the server's last admin; make another one first")
            return _find(tx, user)


def knows(tx: Transaction, user: str) -> bool:
    """Return whether there is a user of this name."""
    return accounts.find(tx, user) is not None


def _earlier_us(expires_at: int | None, limit: datetime | None) -> int | None:
    """Return the earlier of two times, of which None is never."""
    known = [at for at in (expires_at, microseconds(limit)) if at is not None]
    return min(known) if known else None


def _find(tx: Transaction, user: str) -> Account:
    account = accounts.find(tx, user)
    if account is None:
        raise UserNotFound(f"this server has no user {user!r}; an admin makes one with: mlfoundry users add")
    return account


def _require_admin(caller: Account) -> None:
    if not caller.is_admin:
        raise PermissionDenied(f"{caller.user!r} is no admin of this server; this needs one")


def _require_self_or_admin(caller: Account, user: str) -> None:
    if caller.user != user and not caller.is_admin:
        raise PermissionDenied(f"these are keys of {user!r}; only {user!r} and admins of the server manage them")


def _no_key(user: str, key_id: int) -> InvalidInput:
    return InvalidInput(f"{user!r} has no key {key_id}; mlfoundry keys list shows those there are")
