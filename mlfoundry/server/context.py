"""What every request has at hand: the services, who asks, and its id."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from ..errors import InvalidInput, NotAuthenticated, PermissionDenied
from ..records import Account, RunKey
from ..tracking.accounts import AccountService
from ..tracking.service import TrackingService
from .fields import ProjectId, RunId
from .gates import SAFE_METHODS, gate_of, require_own_change, session_of
from .guard import guarded
from .policy import Needs, declared


@dataclass(frozen=True, slots=True)
class Services:
    """What the routes work with; one of each for an application."""

    tracking: TrackingService
    accounts: AccountService


# What a route depends on is found without any wait; were it not "async", a thread would be asked for each of it.


async def services(request: Request) -> Services:
    """Return the application's services."""
    return _services(request)


def _services(request: Request) -> Services:
    found = request.app.state.services
    assert isinstance(found, Services)
    return found


def authenticate(request: Request) -> None:
    """Find out who asks, as the route of the request needs it; runs before every route, and before its body is read.

    Raises:
        NotAuthenticated: There is no key that is taken.
        PermissionDenied: The route is for admins of the server.
    """
    level = declared(request.scope["route"])
    if level is None:
        raise RuntimeError("a route without a policy was reached")
    if level is Needs.NOTHING:
        return
    account = _shown_account(request)
    if level is Needs.SERVER_ADMIN and not account.is_admin:
        raise PermissionDenied(f"{account.user!r} is no admin of this server; this needs one")
    request.state.account = account


def _shown_account(request: Request) -> Account:
    """Return whose key, or else whose session, a request shows."""
    gate = gate_of(request)
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if gate.takes_keys and scheme.lower() == "bearer" and key:
        request.state.key = key.strip()
        with request.app.state.attempts.counting(request):
            return _services(request).accounts.authenticate(request.state.key)
    session = session_of(request)
    if session is None:
        raise NotAuthenticated(gate.way_in)
    account = gate.account(session)
    if request.method not in SAFE_METHODS:
        require_own_change(request, session)
    request.state.session = session
    return account


async def caller(request: Request) -> Account:
    """Return who asks."""
    account = request.state.account
    assert isinstance(account, Account)
    return account


async def run_key(project_id: ProjectId, run_id: RunId) -> RunKey:
    """Return the run that a path names."""
    return RunKey(project_id, run_id)


Caller = Annotated[Account, Depends(caller)]
Has = Annotated[Services, Depends(services)]
Run = Annotated[RunKey, Depends(run_key)]


def room(tag: str, prefix: str = "") -> APIRouter:
    """Return an empty set of routes, each of which finds out who asks before it answers."""
    return APIRouter(
        prefix=prefix,
        tags=[tag],
        route_class=guarded(authenticate),
        generate_unique_id_function=lambda route: f"{tag}.{route.name}".replace(" ", "_"),
    )


def answer(told: Any, status: int = 200) -> Response:
    """Return JSON that is made already, past all checks of shape: a page of runs is large."""
    return Response(json.dumps(told, separators=(",", ":")), status, media_type="application/json")


def no_content() -> Response:
    """Return that all is done and there is nothing to say."""
    return Response(status_code=204)


def require_whole(name: str, value: int) -> int:
    """Return an id that 64 bits hold.

    Raises:
        InvalidInput: They do not.
    """
    if not 0 <= value < 1 << 63:
        raise InvalidInput(f"{name} is {value}; it has 63 bits")
    return value
