"""What a request may cost before anything of it is looked at: its size, the time that it takes, and what waits of it.

A body that is too large is refused, one that does not go on arriving is given up, and what one caller has under way
is bounded: whoever floods the server waits for themselves, not the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from ..errors import BackendUnavailable
from .addresses import home_of
from .base_path import path_below
from .envelope import Message, Receive, Send, refuse

LOGIN_LIMIT_BYTES = 4096  # also for who has no key
JSON_LIMIT_BYTES = 1024 * 1024
SENT_BATCH_LIMIT_BYTES = 16 * 1024 * 1024
PART_LIMIT_BYTES = 16 * 1024 * 1024
BODY_PAUSE_S = 30.0
BODY_LEAST_BYTES_PER_S = 8 * 1024
ANSWER_PAUSE_S = 60.0
CALLER_LIMIT_BYTES = 256 * 1024 * 1024
CALLER_TURNS = 16
TURN_WAIT_S = 20.0
BUSY_RETRY_S = 2.0


class Refused(Exception):
    """The request was answered here; whatever reads its body stops."""


class Bodies:
    """How many bytes of bodies each caller has under way; what is beyond the limit is refused, for that caller alone.

    Args:
        limit_bytes: For each caller.
    """

    def __init__(self, limit_bytes: int = CALLER_LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._held: Counter[str] = Counter()

    def take(self, caller: str, size: int) -> bool:
        """Count bytes that came; return whether they still fit."""
        self._held[caller] += size
        return self._held[caller] <= self._limit

    def give_back(self, caller: str, size: int) -> None:
        """Forget bytes that are done with."""
        self._held[caller] -= size
        if self._held[caller] <= 0:
            del self._held[caller]


class Turns:
    """How many requests of one caller are worked on at once; more of them wait, and then are sent away.

    Args:
        count: For each caller; less than the threads that there are, so that others find one.
        wait_s: For how long a request waits.
    """

    def __init__(self, count: int = CALLER_TURNS, *, wait_s: float = TURN_WAIT_S) -> None:
        self._count = count
        self._wait_s = wait_s
        self._gates: OrderedDict[str, tuple[asyncio.Semaphore, list[None]]] = OrderedDict()

    @asynccontextmanager
    async def of(self, caller: str) -> AsyncIterator[None]:
        """Wait for a turn of a caller, and hold it.

        Raises:
            BackendUnavailable: Too many of the caller's requests are before this one.
        """
        gate, users = self._gates.setdefault(caller, (asyncio.Semaphore(self._count), []))
        users.append(None)
        try:
            try:
                async with asyncio.timeout(self._wait_s):  # no task is made for it, as `wait_for` does
                    await gate.acquire()
            except TimeoutError:
                raise BackendUnavailable(
                    f"{self._count} requests of {caller} are being answered and this one has waited {self._wait_s:g} s "
                    "behind them; send fewer at once",
                    retry_after_s=BUSY_RETRY_S,
                ) from None
            try:
                yield
            finally:
                gate.release()
        finally:
            users.pop()
            if not users:
                self._gates.pop(caller, None)


def caller_of(scope: Message) -> str:
    """Return for whom a request counts: the user when it is known, else the address it comes from."""
    account = scope.get("state", {}).get("account")
    client = scope.get("client")
    return repr(account.user) if account is not None else home_of(client[0]) if client else "nobody"


class RequestLimits:
    """Holds every request to its limits.

    Args:
        app: The application.
        limit_bytes: Gives the limit of a path of a route.
        bodies: What callers have under way.
        pause_s: How long a body may not go on arriving, and a start that it has before it must keep up a least rate.
        answer_pause_s: How long a client may not take anything of its answer.
    """

    def __init__(
        self,
        app: Any,
        *,
        limit_bytes: Callable[[str], int],
        bodies: Bodies | None = None,
        pause_s: float = BODY_PAUSE_S,
        answer_pause_s: float = ANSWER_PAUSE_S,
    ) -> None:
        self._app = app
        self._limit_bytes = limit_bytes
        self._bodies = bodies or Bodies()
        self._pause_s = pause_s
        self._answer_pause_s = answer_pause_s

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve a request within its limits."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit_bytes(path_below(scope))
        told = dict(scope["headers"]).get(b"content-length", b"0")
        if not told.isdigit() or len(told) > 18 or int(told) > limit:
            await _refuse(scope, send, 413, "TooLarge", _too_large(limit))
            return
        body = _Body(scope, receive, send, limit, self._bodies, self._pause_s, self._answer_pause_s)
        try:
            with contextlib.suppress(Refused):
                await self._app(scope, body.receive, body.send)
        finally:
            body.give_back()


class _Body:
    """One request between the client and the application."""

    def __init__(
        self,
        scope: Message,
        receive: Receive,
        send: Send,
        limit: int,
        bodies: Bodies,
        pause_s: float,
        answer_pause_s: float,
    ) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._limit, self._bodies = limit, bodies
        self._pause_s, self._answer_pause_s = pause_s, answer_pause_s
        self._began = time.monotonic()
        self._taken = 0
        self._counted: Counter[str] = Counter()
        self._is_whole = self._has_begun = self._is_refused = False

    async def receive(self) -> Message:
        """Return what the client sends next; refuse it when it is too much or too slow."""
        if self._is_whole or self._has_begun:  # all that can come is that the client has gone
            return await self._receive()
        left_s = self._began + self._pause_s + self._taken / BODY_LEAST_BYTES_PER_S - time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, min(self._pause_s, left_s))):
                message = await self._receive()
        except TimeoutError:
            await self._refuse(
                408,
                "TooSlow",
                f"the body did not go on arriving: it must within {self._pause_s:g} s, and come with at least "
                f"{BODY_LEAST_BYTES_PER_S:,} bytes a second",
            )
            raise Refused from None
        self._is_whole = not message.get("more_body", False)
        size = len(message.get("body", b""))
        self._taken += size
        if self._taken > self._limit:
            await self._refuse(413, "TooLarge", _too_large(self._limit))
            raise Refused
        caller = caller_of(self._scope)
        self._counted[caller] += size
        if size and not self._bodies.take(caller, size):
            await self._refuse(503, "BackendUnavailable", f"{caller} sends too much at once; send fewer bodies at once")
            raise Refused
        return message

    async def send(self, message: Message) -> None:
        """Pass on a piece of the answer; give up on a client that takes none."""
        if self._is_refused:
            return
        self._has_begun = True
        try:
            async with asyncio.timeout(self._answer_pause_s):
                await self._send(message)
        except TimeoutError:
            raise Refused from None

    def give_back(self) -> None:
        """The request is over."""
        for caller, size in self._counted.items():
            self._bodies.give_back(caller, size)

    async def _refuse(self, status: int, code: str, message: str) -> None:
        self._is_refused = True
        if not self._has_begun:
            await _refuse(self._scope, self._send, status, code, message)


def _too_large(limit: int) -> str:
    return f"the body is larger than the {limit:,} bytes that this takes"


async def _refuse(scope: Message, send: Send, status: int, code: str, message: str) -> None:
    headers = {"Connection": "close"}  # what still comes of the body is not read
    if status == 503:
        headers["Retry-After"] = f"{BUSY_RETRY_S:g}"
    await refuse(scope, send, status, code, message, headers)
