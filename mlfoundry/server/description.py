"""The description of the interface (OpenAPI), completed with what each route's policy says of it.

A route declares its own answers; which errors it shares with all others follows from what it needs and takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from . import answers
from .guard import taken_types
from .policy import Needs, declared, routes_of

ERROR_TYPE = "application/json"
SCHEME = "api key"
_LEVELS = (Needs.READ, Needs.WRITE, Needs.ADMIN)
_SAYS = {
    400: "Something of the request cannot be: the message says what, and what is allowed.",
    401: "There is no key, or one that is not taken (any more).",
    403: "The caller lacks the level that the message names.",
    404: "There is no such thing, or the caller has no right to know of it.",
    408: "The body did not go on arriving.",
    409: "It does not fit what is there; the message says how.",
    410: "The run or its project was deleted.",
    413: "The body is larger than this takes.",
    415: "The body is of a media type that this does not take.",
    416: "The range begins behind the end.",
    421: "The request is addressed to a host that this server does not go by.",
    422: "The journal holds records that this version of the server cannot read.",
    429: "Too many keys that are none came from this address.",
    503: "The store cannot be used now; try again after Retry-After.",
}
_ABOUT = """\
The interface of an MLFoundry server. Every error is one JSON shape, `{"error": {"code", "message", "request_id"}}`.
Times are microseconds since 1970 (UTC); ids have 63 bits. What is not known is refused, not passed over.
"""


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return how a route declares errors that not every route of its kind has."""
    return {status: {"model": answers.Error, "description": _SAYS[status]} for status in statuses}


def describe(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """Return what gives the description of an application; it is made when it is first asked for."""
    made: dict[str, Any] = {}

    def description() -> dict[str, Any]:
        if not made:
            made.update(get_openapi(title=app.title, version=app.version, description=_ABOUT, routes=app.routes))
            schemes = made["components"].setdefault("securitySchemes", {})
            schemes[SCHEME] = {"type": "http", "scheme": "bearer", "description": "An API key: mlf_…"}
            for route in routes_of(app):
                if isinstance(route, APIRoute) and route.include_in_schema:
                    for method in route.methods or ():
                        _complete(made["paths"][route.path_format][method.lower()], route)
            for unused in ("HTTPValidationError", "ValidationError"):
                made["components"]["schemas"].pop(unused, None)
        return made

    return description


def _complete(operation: dict[str, Any], route: APIRoute) -> None:
    level = declared(route)
    told = operation["responses"]
    operation["description"] = f"Needs {level.value}." if level is not None else ""
    if 422 not in route.responses:
        told.pop("422", None)  # which FastAPI adds; what it means there is a 400 here
    for status in _shared_errors(level, has_body=bool(taken_types(route))):
        told.setdefault(str(status), _error(status))
    if level is not Needs.NOTHING:
        operation["security"] = [{SCHEME: []}]
    operation["responses"] = dict(sorted(told.items()))


def _shared_errors(level: Needs | None, *, has_body: bool) -> list[int]:
    statuses = [400, 408, 413, 421, 503]
    if level is not Needs.NOTHING:
        statuses += [401, 429]
    if level in _LEVELS or level is Needs.SELF:
        statuses += [404]
    if level not in (Needs.NOTHING, Needs.KEY, Needs.READ):
        statuses += [403]
    if has_body:
        statuses += [415]
    return statuses


def _error(status: int) -> dict[str, Any]:
    shape = {"schema": {"$ref": "#/components/schemas/Error"}}
    return {"description": _SAYS[status], "content": {ERROR_TYPE: shape}}
