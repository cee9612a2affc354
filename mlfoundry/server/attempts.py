"""Keys that are none, counted by the address that shows them.

A right key is always taken, however many wrong ones come from the same address: nobody can lock anybody out, behind
one proxy or one office's address either. Guessing is hopeless anyhow, keys have 160 random bits; what is held down is
how much the server does for whoever tries, and a client that goes on with a key that is none is told to wait.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fastapi import Request

from ..errors import NotAuthenticated, TooManyAttempts
from .addresses import home_of

LIMIT = 30
WINDOW_S = 60.0
ADDRESSES = 10_000


class FailedAttempts:
    """Counts of one process.

    Args:
        limit: Keys that may fail within a window before the answer is to wait.
        window_s: Its length.
        now_s: The clock.
    """

    def __init__(
        self, limit: int = LIMIT, *, window_s: float = WINDOW_S, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = limit
        self._window_s = window_s
        self._now_s = now_s
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()

    @contextmanager
    def counting(self, request: Request) -> Iterator[None]:
        """Count it when what is done here finds that a key is not taken.

        Raises:
            TooManyAttempts: In place of NotAuthenticated, when many have failed before.
        """
        try:
            yield
        except NotAuthenticated as error:
            wait_s = self._failed(home_of(request.client.host) if request.client is not None else "")
            if wait_s:
                raise TooManyAttempts(
                    f"{error}. More than {self._limit} keys that are not taken came from this address within "
                    f"{self._window_s:g} s: wait {wait_s:.0f} s. A key that is taken is answered all the same.",
                    retry_after_s=wait_s,
                ) from error
            raise

    def _failed(self, address: str) -> float:
        """Count a failure; return how long to wait, 0 when that is not due."""
        now = self._now_s()
        since, count = self._counts.pop(address, (now, 0))
        if now - since >= self._window_s:
            since, count = now, 0
        self._counts[address] = since, count + 1
        while len(self._counts) > ADDRESSES:
            self._counts.popitem(last=False)
        return max(1.0, since + self._window_s - now) if count >= self._limit else 0.0
