"""Connections that cost more than they are worth: those that never ask anything, or too much, and too many of them.

uvicorn waits for ever for the head of a request, and takes heads of any size and any number of requests before the
first of them is answered. This is its protocol with a bound on each, with one on how many connections an address has,
and with the kernel's help against peers that stop taking their answer.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import socket
from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ..wire.errors import problem_json
from . import envelope
from .addresses import home_of, known_proxies

if TYPE_CHECKING:
    from uvicorn.config import Config

UNTAKEN_S = 90

_log = logging.getLogger("mlfoundry.server")


class BoundedHttp(HttpToolsProtocol):
    """What ``uvicorn.Config(http=…)`` takes.

    Attributes:
        head_s: Within which time the head of a request must have come: from the connection, or from its first byte.
        head_bytes: How much of a request may come that is not its body, head and trailers, before it is whole.
        ahead: How many requests may wait on one connection for the answer to the one before them.
        per_address: How many connections an address may have at once with one worker. Addresses whose word is taken
            for where requests come from (``forwarded_allow_ips``) may have any number: they bring those of others.
    """

    head_s: ClassVar[float] = 15.0
    head_bytes: ClassVar[int] = 64 * 1024
    ahead: ClassVar[int] = 8
    per_address: ClassVar[int] = 256
    _counts: ClassVar[Counter[str]] = Counter()

    def __init__(self, config: Config, *words: Any, **named: Any) -> None:
        super().__init__(config, *words, **named)
        self._deadline: asyncio.TimerHandle | None = None
        self._address = ""
        self._is_head = True
        self._unfinished_bytes = 0  # since something of a request was whole
        given = config.forwarded_allow_ips if config.proxy_headers else []
        self._proxies = known_proxies(tuple(given.split(",") if isinstance(given, str) else given))

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or end it at once when its address has too many."""
        super().connection_made(transport)
        address = self.client[0] if self.client else ""
        self._address = home_of(address)
        self._counts[self._address] += 1
        if self._counts[self._address] > self.per_address and address not in self._proxies:
            transport.abort()
            return
        _give_up_on_the_untaken(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        self._counts[self._address] -= 1
        if self._counts[self._address] <= 0:
            del self._counts[self._address]
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came; the head must be whole in time, whatever there is of it."""
        self._unfinished_bytes += len(data)
        super().data_received(data)
        if self._unfinished_bytes > self.head_bytes and not self.transport.is_closing():
            self.send_400_response(f"its head has more than {self.head_bytes:,} bytes")
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._deadline is None:
            self._await_head()

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._is_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; what follows a body is none, and nobody has asked for it."""
        if self._is_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to answer a request, unless too many wait for their answer already."""
        self._is_head, self._unfinished_bytes = False, 0
        if len(self.pipeline) >= self.ahead:
            raise ValueError("too many requests wait on one connection")  # the parser stops, and uvicorn hangs up
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body, which `limits` bounds."""
        self._unfinished_bytes = 0
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP; no application sees it, so that what all answers have is given to it here."""
        request_id = secrets.token_hex(8)
        body = json.dumps(problem_json("InvalidInput", f"this is no HTTP/1.1: {msg}", request_id)).encode()
        headers = {**envelope.SAFE, "Content-Type": "application/json", "Content-Length": str(len(body))}
        headers |= {"X-Request-Id": request_id, "Connection": "close"}
        _log.info("no HTTP", extra={"request_id": request_id, "status": 400, "client": self.client and self.client[0]})
        if self.cycle is None or self.cycle.response_complete:  # else it would stand in the midst of another answer
            lines = ["HTTP/1.1 400 Bad Request", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
            self.transport.write("\r\n".join(lines).encode("ascii") + body)
        self.transport.close()

    def _await_head(self) -> None:
        self._deadline = self.loop.call_later(self.head_s, self._head_never_came)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _head_never_came(self) -> None:
        self._deadline = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()


def _give_up_on_the_untaken(transport: asyncio.Transport) -> None:
    """Have the kernel end a connection whose peer takes nothing of what is sent for so long."""
    peer = transport.get_extra_info("socket")
    if peer is not None and hasattr(socket, "TCP_USER_TIMEOUT") and peer.family in (socket.AF_INET, socket.AF_INET6):
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNTAKEN_S * 1000)
