"""The application: services, routes, limits, and the one shape of every error."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from .. import __version__
from ..errors import BackendUnavailable, MlfoundryError, NotAuthenticated, TooManyAttempts, shown
from ..store.artifacts import ArtifactStore
from ..store.database import Database
from ..tracking import accounts
from ..tracking.accounts import AccountService
from ..tracking.lease import LEASE_S
from ..tracking.service import TrackingService
from ..tracking.sessions import SessionService
from ..wire import errors as wire_errors
from .attempts import FailedAttempts
from .base_path import BasePath
from .context import Services
from .context import answer as json_answer
from .dashboard import add_dashboard, error_page
from .description import describe
from .gates import Gate, KeyGate
from .guard import WrongMediaType
from .hosts import KnownHosts
from .limits import BATCH_LIMIT_BYTES, JSON_LIMIT_BYTES, PART_LIMIT_BYTES, RequestLimits, Turns
from .metrics import ServerMetrics, metric_method
from .policy import refuse_undeclared
from .routes import artifacts, data, health, people, projects, runs

RETRY_AFTER_S = 2.0
DESCRIPTION_PATH = "/api/v1/openapi.json"
_CODES = {400: "InvalidInput", 404: "NotFound", 405: "MethodNotAllowed", 416: "InvalidInput"}
_UNLOGGED = ("/healthz", "/readyz", "/metrics")  # asked every few seconds; only what goes wrong with them is told

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
    """
    # Where one person alone comes in, no users are kept that a collaborator could be one of, and processes die on this
    # machine, which sees it.
    is_team = gate is None
    tracking = TrackingService(
        database, files, knows_user=accounts.knows if is_team else None, lease_s=LEASE_S if is_team else None
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        database.close()

    app = FastAPI(
        title="MLFoundry",
        version=__version__,
        openapi_url=DESCRIPTION_PATH,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    users = AccountService(database)
    app.state.services = Services(tracking, users)
    app.state.gate = gate or KeyGate(SessionService(database, users))
    app.state.metrics = ServerMetrics()
    app.state.attempts = FailedAttempts()
    app.state.place = None  # told to people where it is their own machine's
    app.state.turns = Turns()
    for room in (health, projects, runs, data, artifacts, people):
        app.router.routes += room.router.routes
    add_dashboard(app)
    app.openapi = describe(app)  # type: ignore[method-assign]
    _declare_openapi(app)
    _answer_errors(app)
    app.add_middleware(RequestLimits, limit_bytes=_limit_bytes)
    app.middleware("http")(_observed)  # the outermost, so that what the limits refuse has an id and is counted
    if hosts is not None:
        app.add_middleware(KnownHosts, names=hosts)
    if base_path:
        app.add_middleware(BasePath, path=base_path)
    refuse_undeclared(app)
    return app


def _limit_bytes(path: str) -> int:
    if "/journals/" in path:
        return BATCH_LIMIT_BYTES
    return PART_LIMIT_BYTES if "/blobs/" in path else JSON_LIMIT_BYTES


def _declare_openapi(app: FastAPI) -> None:
    """Give the description of the interface a policy as well: it tells nothing that the documentation does not."""
    from .policy import Needs, needs, routes_of

    for route in routes_of(app):
        if getattr(route, "path", "") == app.openapi_url:
            needs(Needs.NOTHING)(route.endpoint)  # type: ignore[attr-defined]


async def _observed(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Give each request an id, a line in the log and its place in the metrics."""
    request.state.request_id = request_id = secrets.token_hex(8)
    metrics = request.app.state.metrics
    began = time.perf_counter()
    metrics.begin()
    status = 500  # what an exception that comes through here is answered with
    try:
        response = await call_next(request)
        status = response.status_code
    finally:
        took_s = time.perf_counter() - began
        path = getattr(request.scope.get("route"), "path", "none")
        metrics.note(request.method, path, status, took_s)
        if status >= 400 or path not in _UNLOGGED:
            _log.info("request", extra=_logged(request, request_id, path, status, took_s))
    response.headers["X-Request-Id"] = request_id
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = response.headers.get("Cache-Control", "no-store")
    return response


def _logged(request: Request, request_id: str, path: str, status: int, took_s: float) -> dict[str, Any]:
    """Return what the log says of a request: nothing that a caller wrote, but for a name that a key belongs to."""
    account = getattr(request.state, "account", None)
    return {
        "request_id": request_id,
        "method": metric_method(request.method),
        "path": path,
        "status": status,
        "took_ms": round(1000 * took_s, 2),
        "user": account.user if account is not None else None,
        "client": request.client.host if request.client is not None else None,
    }


def _answer_errors(app: FastAPI) -> None:
    def answer(request: Request, status: int, told: dict[str, Any], **headers: str) -> Response:
        if page := error_page(request, status, str(told["error"]["message"]), headers):
            return page
        response = json_answer(told, status)
        response.headers.update(headers)
        return response

    def id_of(request: Request) -> str:
        return str(getattr(request.state, "request_id", ""))

    @app.exception_handler(MlfoundryError)
    def _ours(request: Request, error: MlfoundryError) -> Response:
        status = 415 if isinstance(error, WrongMediaType) else wire_errors.http_status(error)
        headers = {}
        if isinstance(error, NotAuthenticated):
            headers["WWW-Authenticate"] = "Bearer"
        if isinstance(error, TooManyAttempts):
            headers["Retry-After"] = f"{error.retry_after_s or RETRY_AFTER_S:.0f}"
        if isinstance(error, BackendUnavailable):
            headers["Retry-After"] = f"{error.retry_after_s or RETRY_AFTER_S:g}"
            _log.warning("unavailable", extra={"request_id": id_of(request), "reason": str(error)})
        return answer(request, status, wire_errors.error_json(error, id_of(request)), **headers)

    @app.exception_handler(RequestValidationError)
    def _shape(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        place = ".".join(str(part)[:100] for part in first.get("loc", ()))
        if first.get("type") == "json_invalid":
            why = first.get("ctx", {}).get("error", "not understood")
            told = f"the body is no JSON: {why}, at character {first['loc'][-1]}"
            return answer(request, 400, _plain("InvalidInput", told, request))
        return answer(request, 400, _plain("InvalidInput", f"{place}: {first.get('msg', 'not understood')}", request))

    @app.exception_handler(HTTPException)
    def _http(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        code, message = _CODES.get(error.status_code, "Http"), str(error.detail)
        if error.status_code == 404:
            message = f"there is nothing at {shown(request.url.path)}; {DESCRIPTION_PATH} describes what there is"
        elif error.status_code == 405:
            message = f"{shown(request.method)} is not taken here; {headers.get('Allow', 'nothing')} is"
        elif error.status_code == 400:
            message = "the body is no JSON that can be read: it is broken off, too deep, or no UTF-8"
        return answer(request, error.status_code, _plain(code, message, request), **headers)

    @app.exception_handler(ClientDisconnect)
    def _gone(request: Request, _: ClientDisconnect) -> Response:
        return answer(request, 400, _plain("InvalidInput", "the client went away while it sent the body", request))

    @app.exception_handler(Exception)
    def _unexpected(request: Request, error: Exception) -> Response:
        _log.error("failed", exc_info=error, extra={"request_id": id_of(request)})
        told = _plain("Failed", "the server failed; its log says more under this id", request)
        return answer(request, 500, told)

    def _plain(code: str, message: str, request: Request) -> dict[str, Any]:
        return {"error": {"code": code, "message": message, "request_id": id_of(request)}}
