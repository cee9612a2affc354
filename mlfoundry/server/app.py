"""The application: services, routes, limits, and the one shape of every error."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from .. import __version__
from ..errors import BackendUnavailable, MlfoundryError, NotAuthenticated, TooManyAttempts, quoted
from ..store.artifacts import ArtifactStore
from ..store.database import Database
from ..tracking import accounts
from ..tracking.accounts import AccountService
from ..tracking.lease import LEASE_S
from ..tracking.service import TrackingService
from ..tracking.sessions import SessionService
from ..wire import errors as wire_errors
from ..wire.errors import problem_json
from .attempts import FailedAttempts
from .base_path import BasePath, require_free
from .context import Services
from .context import answer as json_answer
from .dashboard import add_dashboard, error_page
from .description import describe
from .envelope import Envelope, id_of
from .gates import Gate, KeyGate
from .guard import WrongMediaType
from .hosts import KnownHosts
from .limits import (
    JSON_LIMIT_BYTES,
    LOGIN_LIMIT_BYTES,
    PART_LIMIT_BYTES,
    SENT_BATCH_LIMIT_BYTES,
    RequestLimits,
    Turns,
)
from .metrics import ServerMetrics
from .policy import Needs, needs, refuse_undeclared, routes_of
from .routes import artifacts, data, health, people, projects, runs

RETRY_AFTER_S = 2.0
DESCRIPTION_PATH = "/api/v1/openapi.json"
_UNREAD_BODY = "There was an error parsing the body"  # FastAPI's own
_CODES = {400: "InvalidInput", 404: "NotFound", 405: "MethodNotAllowed", 416: "InvalidInput"}

_log = logging.getLogger("mlfoundry.server")


def create_app(
    database: Database,
    files: ArtifactStore,
    *,
    hosts: list[str] | None = None,
    gate: Gate | None = None,
    base_path: str = "",
) -> FastAPI:
    """Return the application over a store.

    Args:
        database: Where rows are kept.
        files: Where the bytes of artifacts are kept.
        hosts: Names that a request may be addressed to, see `KnownHosts`; any when None.
        gate: Who may come in with a browser; whoever has an API key of this server when None.
        base_path: The path below which a proxy has it, such as ``/mlfoundry``, whether the proxy takes it off what it
            passes on or not.

    Raises:
        RuntimeError: A route does not declare who may use it.
        InvalidSetting: The base path begins as a route does.
    """
    app = _bare(database)
    _take_in(app, database, files, gate)
    _add_routes(app)
    require_free(base_path, _paths(app))
    app.openapi = describe(app)  # type: ignore[method-assign]
    _declare_openapi(app)
    _answer_errors(app)
    _surround(app, hosts, base_path)
    refuse_undeclared(app)
    return app


def _bare(database: Database) -> FastAPI:
    """Return an application that does nothing yet but close the database at its end."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        database.close()

    return FastAPI(
        title="MLFoundry",
        version=__version__,
        openapi_url=DESCRIPTION_PATH,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )


def _take_in(app: FastAPI, database: Database, files: ArtifactStore, gate: Gate | None) -> None:
    """Give the application what its routes work with."""
    # Where one person alone comes in, no users are kept that a collaborator could be one of, and processes die on this
    # machine, which sees it.
    is_team = gate is None
    tracking = TrackingService(
        database, files, knows_user=accounts.knows if is_team else None, lease_s=LEASE_S if is_team else None
    )
    users = AccountService(database)
    app.state.services = Services(tracking, users)
    app.state.gate = gate or KeyGate(SessionService(database, users))
    app.state.metrics = ServerMetrics()
    app.state.attempts = FailedAttempts()
    app.state.place = None  # told to people where it is their own machine's
    app.state.turns = Turns()


def _surround(app: FastAPI, hosts: list[str] | None, base_path: str) -> None:
    """Put around the routes what looks at every request before them; what is added last is asked first."""
    app.add_middleware(RequestLimits, limit_bytes=_limit_bytes)
    if hosts is not None:
        app.add_middleware(KnownHosts, names=hosts)
    app.add_middleware(Envelope, metrics=app.state.metrics, failed=_failed)  # around all that answers
    if base_path:
        app.add_middleware(BasePath, path=base_path)


def require_base(base_path: str) -> None:
    """Refuse a base path that `create_app` would, before there is a database. Raises InvalidSetting."""
    app = FastAPI(openapi_url=DESCRIPTION_PATH, docs_url=None, redoc_url=None)
    _add_routes(app)
    require_free(base_path, _paths(app))


def _add_routes(app: FastAPI) -> None:
    for room in (health, projects, runs, data, artifacts, people):
        app.router.routes += room.router.routes
    add_dashboard(app)


def _paths(app: FastAPI) -> Iterator[str]:
    return (str(getattr(route, "path", "/")) for route in routes_of(app))


def _limit_bytes(path: str) -> int:
    """Return how large a body may be; those without a key send the least."""
    if not path.startswith("/api/"):
        return LOGIN_LIMIT_BYTES if path == "/login" else JSON_LIMIT_BYTES
    if "/journals/" in path:
        return SENT_BATCH_LIMIT_BYTES
    return PART_LIMIT_BYTES if "/blobs/" in path else JSON_LIMIT_BYTES


def _declare_openapi(app: FastAPI) -> None:
    """Give the description of the interface a policy as well: it tells nothing that the documentation does not."""
    for route in routes_of(app):
        if getattr(route, "path", "") == app.openapi_url:
            needs(Needs.NOTHING)(route.endpoint)  # type: ignore[attr-defined]


def _answer(request: Request, status: int, told: dict[str, Any], headers: dict[str, str]) -> Response:
    """Return an error: as a page for whoever reads pages, else as JSON."""
    if page := error_page(request, status, str(told["error"]["message"]), headers):
        return page
    response = json_answer(told, status)
    response.headers.update(headers)
    return response


def _failed(request: Request) -> Response:
    told = problem_json("Failed", "the server failed; its log says more under this id", id_of(request.scope))
    return _answer(request, 500, told, {})


def _answer_errors(app: FastAPI) -> None:
    def problem(request: Request, status: int, code: str, message: str, headers: dict[str, str]) -> Response:
        return _answer(request, status, problem_json(code, message, id_of(request.scope)), headers)

    @app.exception_handler(MlfoundryError)
    def _ours(request: Request, error: MlfoundryError) -> Response:
        status = 415 if isinstance(error, WrongMediaType) else wire_errors.http_status(error)
        request_id, headers = id_of(request.scope), {}
        if isinstance(error, NotAuthenticated):
            headers["WWW-Authenticate"] = "Bearer"
        if isinstance(error, TooManyAttempts):
            headers["Retry-After"] = f"{error.retry_after_s or RETRY_AFTER_S:.0f}"
        if isinstance(error, BackendUnavailable):
            headers["Retry-After"] = f"{error.retry_after_s or RETRY_AFTER_S:g}"
            _log.warning("unavailable", extra={"request_id": request_id, "reason": str(error)})
        return _answer(request, status, wire_errors.error_json(error, request_id), headers)

    @app.exception_handler(RequestValidationError)
    def _shape(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        place = ".".join(str(part)[:100] for part in first.get("loc", ()))
        told = f"{place}: {first.get('msg', 'not understood')}"
        if first.get("type") == "json_invalid":
            why = first.get("ctx", {}).get("error", "not understood")
            told = f"the body is no JSON: {why}, at character {first['loc'][-1]}"
        return problem(request, 400, "InvalidInput", told, {})

    @app.exception_handler(HTTPException)
    def _http(request: Request, error: HTTPException) -> Response:
        headers, status, message = dict(error.headers or {}), error.status_code, str(error.detail)
        if message == HTTPStatus(status).phrase:  # the framework's, which says nothing
            if status == 404:
                place = quoted(request.url.path)
                message = f"there is nothing at {place}; {DESCRIPTION_PATH} describes what there is"
            elif status == 405:
                message = f"{quoted(request.method)} is not taken here; {headers.get('Allow', 'nothing')} is"
        elif message == _UNREAD_BODY:
            message = "the body is no JSON that can be read: it is broken off, too deep, or no UTF-8"
        return problem(request, status, _CODES.get(status, "Http"), message, headers)

    @app.exception_handler(ClientDisconnect)
    def _gone(request: Request, _: ClientDisconnect) -> Response:
        return problem(request, 400, "InvalidInput", "the client went away while it sent the body", {})
