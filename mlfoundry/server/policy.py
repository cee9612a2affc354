"""Who may use a route. Every route says so; an application with one that does not is not started."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from fastapi import FastAPI
from starlette.routing import BaseRoute

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


class Needs(enum.Enum):
    """What a caller needs. The levels on a project are held to by `tracking.rights`, in the verb's own transaction."""

    NOTHING = "nothing"
    KEY = "a key"
    READ = "READ on the project"
    WRITE = "WRITE on the project"
    ADMIN = "ADMIN on the project"
    SELF = "to be the user, or an admin of the server"
    SERVER_ADMIN = "to be an admin of the server"


def needs(level: Needs) -> Callable[[Endpoint], Endpoint]:
    """Declare what callers of a route need."""

    def declare(endpoint: Endpoint) -> Endpoint:
        endpoint.needs = level  # type: ignore[attr-defined]
        return endpoint

    return declare


def declared(route: BaseRoute) -> Needs | None:
    """Return what a route declares, None when it declares nothing."""
    level = getattr(getattr(route, "endpoint", None), "needs", None)
    return level if isinstance(level, Needs) else None


def routes_of(app: FastAPI) -> Iterator[BaseRoute]:
    """Return every route that answers, as the application really has them; what holds routes is one as well."""
    yield from app.routes


def refuse_undeclared(app: FastAPI) -> None:
    """Refuse to go on when a route declares nothing.

    Raises:
        RuntimeError: Names those routes.
    """
    open_routes = [getattr(route, "path", repr(route)) for route in routes_of(app) if declared(route) is None]
    if open_routes:
        raise RuntimeError(f"these routes do not declare who may use them: {', '.join(open_routes)}")
