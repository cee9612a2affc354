"""Sessions of browsers: begun with an API key, over when the key is, when they are ended, or after two weeks."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable

from ..errors import NotAuthenticated
from ..records import Account
from ..store import sessions
from ..store.database import Database
from .accounts import AccountService, digest_of
from .attempts import done_again

SESSION_S = 14 * 86400.0


class SessionService:
    """Sessions of one store; every process that shares the store knows all of them.

    Args:
        database: Where they are kept.
        accounts: Whose keys begin them.
        now_us: The clock: microseconds since 1970.
    """

    def __init__(
        self,
        database: Database,
        accounts: AccountService,
        *,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._now_us = now_us

    def begin(self, key: str) -> str:
        """Begin a session with a key; return what the browser shows from then on.

        Raises:
            NotAuthenticated: The key is none, or is not taken any more; says why.
        """
        self._accounts.authenticate(key)
        session = secrets.token_urlsafe(32)
        self._add(_digest(session), digest_of(key))
        return session

    @done_again
    def _add(self, digest: bytes, key_digest: bytes) -> None:
        now_us = self._now_us()
        with self._database.write(settle=True) as tx:
            sessions.add(tx, digest, key_digest, expires_at=now_us + round(SESSION_S * 1e6), now_us=now_us)

    def account(self, session: str) -> Account:
        """Return whose session it is, as things stand now.

        Raises:
            NotAuthenticated: It is over, its key is not taken any more, or its user is disabled.
        """
        with self._database.look() as tx:
            key_digest = sessions.find_key(tx, _digest(session), now_us=self._now_us())
        if key_digest is None:
            raise NotAuthenticated("this session is over; log in again")
        return self._accounts.account_of(key_digest)

    @done_again
    def end(self, session: str) -> None:
        """End a session at once; one that is over already is fine."""
        with self._database.write(settle=True) as tx:
            sessions.remove(tx, _digest(session))


def _digest(session: str) -> bytes:
    return hashlib.sha256(session.encode()).digest()
