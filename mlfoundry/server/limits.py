"""What a request may cost before anything of it is looked at: its size, and the time that it takes to arrive."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON_LIMIT_BYTES = 1024 * 1024
BATCH_LIMIT_BYTES = 16 * 1024 * 1024
PART_LIMIT_BYTES = 16 * 1024 * 1024
BODY_PAUSE_S = 30.0


class Refused(Exception):
    """The request was answered here; whatever reads its body stops."""


class RequestLimits:
    """Refuses bodies that are too large, and gives up on those that do not go on arriving.

    Args:
        app: The application.
        limit_bytes: Gives the limit of a path.
        pause_s: How long a body may not go on arriving.
    """

    def __init__(self, app: Any, *, limit_bytes: Callable[[str], int], pause_s: float = BODY_PAUSE_S) -> None:
        self._app = app
        self._limit_bytes = limit_bytes
        self._pause_s = pause_s

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve a request within its limits."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit_bytes(scope["path"])
        told = dict(scope["headers"]).get(b"content-length", b"0")
        if not told.isdigit() or int(told) > limit:
            await _refuse(send, 413, "TooLarge", f"the body is larger than the {limit:,} bytes that this takes")
            return
        taken, has_begun, is_refused = 0, False, False

        async def refuse(status: int, code: str, message: str) -> None:
            nonlocal is_refused
            is_refused = True
            if not has_begun:
                await _refuse(send, status, code, message)

        async def limited() -> Message:
            nonlocal taken
            try:
                message = await asyncio.wait_for(receive(), None if has_begun else self._pause_s)
            except TimeoutError:
                await refuse(408, "TooSlow", f"the body did not go on arriving for {self._pause_s:g} s")
                raise Refused from None
            taken += len(message.get("body", b""))
            if taken > limit:
                await refuse(413, "TooLarge", f"the body is larger than the {limit:,} bytes that this takes")
                raise Refused
            return message

        async def unless_refused(message: Message) -> None:
            nonlocal has_begun
            if not is_refused:
                has_begun = True
                await send(message)

        with contextlib.suppress(Refused):
            await self._app(scope, limited, unless_refused)


async def _refuse(send: Send, status: int, code: str, message: str) -> None:
    body = json.dumps({"error": {"code": code, "message": message, "request_id": ""}}).encode()
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
