"""Whether the server lives, whether it can serve, and what it counted."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import Response

from ... import __version__
from ...wire import accounts
from .. import answers
from ..context import Caller, Has, answer, room
from ..policy import Needs, needs

router = room("health")


@router.get("/healthz", summary="Whether the process lives", response_model=answers.Health)
@needs(Needs.NOTHING)
def health() -> Response:
    """Answer as long as the process does."""
    return answer({"status": "ok"})


@router.get("/readyz", summary="Whether requests can be served: the database answers", response_model=answers.Health)
@needs(Needs.NOTHING)
def ready(has: Has) -> Response:
    """Ask the database; 503 when it cannot be used."""
    has.tracking.database.describe()
    return answer({"status": "ok"})


@router.get(
    "/metrics",
    summary="Counters of all workers of this server, for Prometheus",
    response_class=Response,
    responses={200: {"description": "Counters.", "content": {"text/plain": {"schema": {"type": "string"}}}}},
)
@needs(Needs.KEY)
def metrics(request: Request) -> Response:
    """Return counters of all workers of this server."""
    return Response(request.app.state.metrics.text(), media_type="text/plain; version=0.0.4")


@router.get("/api/v1/whoami", summary="Whose key this is", response_model=answers.WhoAmI)
@needs(Needs.KEY)
def whoami(request: Request, has: Has, caller: Caller) -> Response:
    """Return the caller's name, and what is kept of the key that was shown."""
    shown = getattr(request.state, "key", None)
    key = None if shown is None else has.accounts.describe_key(shown)
    told = {"user": caller.user, "is_admin": caller.is_admin, "version": __version__}
    return answer(told | {"key": None if key is None else accounts.key_json(key)})
