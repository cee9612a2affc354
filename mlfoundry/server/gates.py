"""How a browser shows who it is: a cookie that holds a session, and what every change must show besides.

`KeyGate` lets in whoever has an API key of this server; `OwnGate` whoever has the token of this process, as the one
user whose store it is. `context.authenticate` asks the gate for requests that show no key.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import UTC, datetime
from typing import Protocol

from fastapi import Request
from starlette.responses import Response

from ..errors import NotAuthenticated, PermissionDenied
from ..records import Account
from ..tracking.sessions import SESSION_S, SessionService

CSRF_HEADER = "x-csrf-token"
COOKIE = "mlfoundry_session"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Gate(Protocol):
    """Where sessions come from.

    Attributes:
        takes_keys: Whether a request may show an API key instead of a session.
        cookie: Name of the cookie.
        way_in: What to tell somebody who shows nothing at all.
    """

    takes_keys: bool
    cookie: str
    way_in: str

    def begin(self, secret: str) -> str:
        """Begin a session with what a person has in hand. Raises NotAuthenticated."""

    def account(self, session: str) -> Account:
        """Return whose session it is. Raises NotAuthenticated."""

    def end(self, session: str) -> None:
        """End a session."""


class KeyGate:
    """Sessions that are begun with an API key; every worker knows them."""

    takes_keys = True
    cookie = COOKIE
    way_in = "this needs an API key; run mlfoundry login, or set MLFOUNDRY_API_KEY"

    def __init__(self, sessions: SessionService) -> None:
        self._sessions = sessions

    def begin(self, secret: str) -> str:
        """See `Gate`."""
        return self._sessions.begin(secret.strip())

    def account(self, session: str) -> Account:
        """See `Gate`."""
        return self._sessions.account(session)

    def end(self, session: str) -> None:
        """See `Gate`."""
        self._sessions.end(session)


class OwnGate:
    """The session of this process alone, for the one user whose store it is.

    Args:
        user: The name that the user works under.
        token: What the link holds that the process prints.
        port: Where the process listens: cookies know no ports, so that two would take each other's.
    """

    takes_keys = False
    way_in = "this is the dashboard of one person; open the link that mlfoundry ui printed"

    def __init__(self, user: str, token: str, *, port: int) -> None:
        self.cookie = f"{COOKIE}_{port}"
        self._account = Account(user, is_admin=False, created_at=datetime.now(UTC), disabled_at=None)
        self._token = token
        self._sessions: set[str] = set()

    def begin(self, secret: str) -> str:
        """See `Gate`."""
        if not hmac.compare_digest(secret.strip().encode(), self._token.encode()):
            raise NotAuthenticated("this is not the token of this dashboard; open the link that mlfoundry ui printed")
        session = secrets.token_urlsafe(32)
        self._sessions.add(session)
        return session

    def account(self, session: str) -> Account:
        """See `Gate`."""
        if session not in self._sessions:
            raise NotAuthenticated("this dashboard was started anew; open the link that mlfoundry ui printed")
        return self._account

    def end(self, session: str) -> None:
        """See `Gate`."""
        self._sessions.discard(session)


def gate_of(request: Request) -> Gate:
    """Return the application's gate."""
    gate: Gate = request.app.state.gate
    return gate


def session_of(request: Request) -> str | None:
    """Return the session that a request shows, None when it shows none."""
    return request.cookies.get(_cookie_name(request)) or None


def csrf_token(session: str) -> str:
    """Return what a page of a session shows with every change; other sites cannot read it."""
    return hashlib.sha256(b"csrf " + session.encode()).hexdigest()[:40]


def require_own_change(request: Request, session: str) -> None:
    """Take a change only from a page of this server that was made for this session.

    Raises:
        PermissionDenied: It comes from elsewhere, or does not show the page's token.
    """
    require_own_origin(request)
    shown = request.headers.get(CSRF_HEADER, "")
    if not hmac.compare_digest(shown.encode(), csrf_token(session).encode()):
        raise PermissionDenied("this change does not come from a page of this session; reload the page and try again")


def require_own_origin(request: Request) -> None:
    """Take a request only from a page of this server; browsers say where it comes from.

    Raises:
        PermissionDenied: It comes from elsewhere, or does not say from where.
    """
    origin = request.headers.get("origin", "")
    host = request.headers.get("host", "")
    if not host or origin.partition("://")[2].lower() != host.lower():
        raise PermissionDenied("this change comes from another site; open the dashboard itself and try again")


def set_session(request: Request, response: Response, session: str) -> None:
    """Give a browser its session."""
    response.set_cookie(
        _cookie_name(request),
        session,
        max_age=round(SESSION_S),
        path="/",
        secure=_is_secure(request),
        httponly=True,
        samesite="lax",  # strict would ask everybody to log in who follows a link from a notebook or a chat
    )


def drop_session(request: Request, response: Response) -> None:
    """Take a browser's session away."""
    response.delete_cookie(_cookie_name(request), path="/", secure=_is_secure(request), httponly=True, samesite="lax")


def _is_secure(request: Request) -> bool:
    return request.url.scheme == "https"


def _cookie_name(request: Request) -> str:
    # The prefix has browsers take it from this very host alone, over https, for all paths.
    return f"__Host-{gate_of(request).cookie}" if _is_secure(request) else gate_of(request).cookie
