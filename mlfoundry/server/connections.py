"""Connections that cost more than they are worth: those that never ask anything, and too many from one address.

uvicorn waits for ever for the head of a request. This is its protocol with a deadline for that, with a bound on how
many connections one address has, and with the kernel's help against peers that stop taking their answer.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from uvicorn.config import Config

HEAD_S = 15.0
PER_ADDRESS = 256
UNTAKEN_S = 90


def bounded(
    *, head_s: float = HEAD_S, per_address: int = PER_ADDRESS, proxies: Collection[str] = ()
) -> type[asyncio.Protocol]:
    """Return the protocol for ``uvicorn.Config(http=…)``.

    Args:
        head_s: Within which time the head of a request must have come, from its first byte or from the connection.
        per_address: How many connections an address may have at once with one worker.
        proxies: Addresses that may have any number, since they bring the requests of others.
    """
    counts: Counter[str] = Counter()

    class Bounded(H11Protocol):
        def __init__(self, config: Config, *words: Any, **named: Any) -> None:
            super().__init__(config, *words, **named)
            self._deadline: asyncio.TimerHandle | None = None
            self._address = ""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._address = self.client[0] if self.client else ""
            counts[self._address] += 1
            if counts[self._address] > per_address and self._address not in proxies:
                transport.abort()
                return
            _give_up_on_the_untaken(transport)
            self._await_head()

        def connection_lost(self, exc: Exception | None) -> None:
            counts[self._address] -= 1
            if counts[self._address] <= 0:
                del counts[self._address]
            self._stop_waiting()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                self._stop_waiting()
            elif self._deadline is None:
                self._await_head()

        def _await_head(self) -> None:
            self._deadline = self.loop.call_later(head_s, self._head_never_came)

        def _stop_waiting(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        def _head_never_came(self) -> None:
            self._deadline = None
            if self.cycle is None or self.cycle.response_complete:
                self.transport.abort()

    return Bounded


def _give_up_on_the_untaken(transport: asyncio.Transport) -> None:
    """Have the kernel end a connection whose peer takes nothing of what is sent for so long."""
    peer = transport.get_extra_info("socket")
    if peer is not None and hasattr(socket, "TCP_USER_TIMEOUT") and peer.family in (socket.AF_INET, socket.AF_INET6):
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNTAKEN_S * 1000)
