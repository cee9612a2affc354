"""What every answer has, whoever makes it and whatever it refuses: an id, safe headers, a line in the log, a count.

It is the outermost of all that stands around the routes, so that what fails is answered here as well.
"""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import Request
from starlette.datastructures import MutableHeaders
from starlette.responses import Response

from ..wire.errors import problem_json
from .metrics import ServerMetrics, metric_method

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cache-Control": "no-store",
}
_UNLOGGED = ("/healthz", "/readyz", "/metrics")  # asked every few seconds; only what goes wrong with them is told

_log = logging.getLogger("mlfoundry.server")


def id_of(scope: Message) -> str:
    """Return the id of a request, under which the log says more."""
    return str(scope.get("state", {}).get("request_id", ""))


async def refuse(
    scope: Message, send: Send, status: int, code: str, message: str, headers: dict[str, str] | None = None
) -> None:
    """Answer a request with an error before anything of the application has seen it."""
    response = JsonProblem(status, code, message, id_of(scope), headers)
    await response(scope, _nothing_comes, send)


class JsonProblem(Response):
    """An error that no exception of ours stands for, in the one shape of all errors."""

    media_type = "application/json"

    def __init__(
        self, status: int, code: str, message: str, request_id: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(problem_json(code, message, request_id), status, headers)

    def render(self, content: Any) -> bytes:
        """Return JSON."""
        return json.dumps(content, separators=(",", ":")).encode()


async def _nothing_comes() -> Message:
    return {"type": "http.disconnect"}


class Envelope:
    """Gives each answer what all have.

    Args:
        app: All that is within.
        metrics: Where answers are counted.
        failed: Makes the answer to a request in which something failed that was not foreseen.
    """

    def __init__(self, app: Any, *, metrics: ServerMetrics, failed: Callable[[Request], Response]) -> None:
        self._app = app
        self._metrics = metrics
        self._failed = failed

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})["request_id"] = secrets.token_hex(8)
        answer = _Answer(scope, send, self._metrics)
        self._metrics.begin()
        try:
            await self._app(scope, receive, answer.send)
        except Exception as error:  # whatever it is: somebody waits for an answer, and the log must say what it was
            _log.error("failed", exc_info=error, extra={"request_id": id_of(scope)})
            if answer.has_begun:
                raise  # uvicorn breaks the connection off, which is all that can be said now
            await self._failed(Request(scope))(scope, receive, answer.send)
        finally:
            answer.note(500)  # unless it was noted with what it really was


class _Answer:
    """The answer to one request, on its way out."""

    def __init__(self, scope: Message, send: Send, metrics: ServerMetrics) -> None:
        self._scope, self._send, self._metrics = scope, send, metrics
        self._began = time.perf_counter()
        self.has_begun = False

    async def send(self, message: Message) -> None:
        """Pass a part of it on; the first one gets the headers."""
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = id_of(self._scope)
            for name, value in SAFE.items():
                headers.setdefault(name, value)
            self.note(message["status"])
        await self._send(message)

    def note(self, status: int) -> None:
        """Log and count it, once."""
        if self.has_begun:
            return
        self.has_begun = True
        took_s = time.perf_counter() - self._began
        method, path = self._scope["method"], getattr(self._scope.get("route"), "path", "none")
        self._metrics.note(method, path, status, took_s)
        if status >= 400 or path not in _UNLOGGED:
            _log.info("request", extra=self._told(path, status, took_s))

    def _told(self, path: str, status: int, took_s: float) -> dict[str, Any]:
        """Return what the log says: nothing that a caller wrote, but for a name that a key belongs to."""
        account, client = self._scope["state"].get("account"), self._scope.get("client")
        return {
            "request_id": id_of(self._scope),
            "method": metric_method(self._scope["method"]),
            "path": path,
            "status": status,
            "took_ms": round(1000 * took_s, 2),
            "user": account.user if account is not None else None,
            "client": client[0] if client else None,
        }
