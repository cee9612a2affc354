"""What every request meets before its route: who asks, then whether it is shaped as the route takes it.

All of it comes before the body is read: whoever has no key cannot make the server take one in. What is slow about a
request (its body, its answer) is not part of the turn that it takes to be worked on.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from ..errors import InvalidInput, quoted
from .gates import SAFE_METHODS
from .limits import Turns, caller_of
from .policy import Needs, declared

JSON_TYPE = "application/json"


class WrongMediaType(InvalidInput):
    """The body is of a type that the route does not take."""


def guarded(authenticate: Callable[[Request], None]) -> type[APIRoute]:
    """Return the kind of route that finds out who asks before it reads what they send.

    Args:
        authenticate: Finds out who asks; raises when the route needs more.
    """

    class Guarded(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()
            taken = taken_types(self)
            known = set(_parameters(self.dependant))

            async def guarded(request: Request) -> Response:
                turns: Turns = request.app.state.turns
                if declared(self) is not Needs.NOTHING:
                    # Here an address takes turns, for the moment that it takes to look a key up: whoever shows keys
                    # that are none does not use up the threads.
                    async with turns.of(caller_of(request.scope)):
                        await run_in_threadpool(authenticate, request)
                _require_media_type(request, taken)
                if self.path.startswith("/api/"):
                    _require_known(request, known)
                if request.method not in SAFE_METHODS:
                    # Before the turn: while a body comes slowly nothing is worked on. `limits` bounds what waits so.
                    await request.body()
                async with turns.of(caller_of(request.scope)):
                    return await handle(request)

            return guarded

    return Guarded


def taken_types(route: APIRoute) -> list[str]:
    """Return the media types that a route takes a body of; none when it takes no body."""
    if route.body_field is not None:
        return [JSON_TYPE]
    return list((route.openapi_extra or {}).get("requestBody", {}).get("content", {}))


def _parameters(dependant: Dependant) -> Iterator[str]:
    """Yield the names that a route and what it depends on take in the query."""
    for field in dependant.query_params:
        yield field.alias
    for each in dependant.dependencies:
        yield from _parameters(each)


def _require_media_type(request: Request, taken: list[str]) -> None:
    given = request.headers.get("content-type")
    if not taken or (given is None and JSON_TYPE not in taken):
        return
    kind = (given or "").partition(";")[0].strip().lower()
    if kind not in taken:
        raise WrongMediaType(f"the Content-Type is {quoted(given) if given else 'missing'}; send {' or '.join(taken)}")


def _require_known(request: Request, known: set[str]) -> None:
    """Refuse a parameter that is not known: a misspelt name must not be passed over."""
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name not in known:
            allowed = f"give {', '.join(sorted(known))}" if known else "none is"
            raise InvalidInput(f"the parameter {quoted(name)} is not known here; {allowed}")
        if name in seen:
            raise InvalidInput(f"the parameter {name} is given twice")
        seen.add(name)
