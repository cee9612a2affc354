"""Connections to a PostgreSQL that are kept for the next transaction.

Whoever needs one and finds none makes it at once: when the server is away that fails at once, and when it is back it
works at once. Nothing is tried again in the background, so that nothing waits longer after a long outage than after
a short one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from ..errors import StoreBusy
from .database import Row

if TYPE_CHECKING:
    import psycopg

IDLE_S = 600.0
AGE_S = 3600.0  # what a server's process remembers of a long life costs it memory


class Connections:
    """At most `limit` connections; threads may take and give back at once.

    Args:
        connect: Makes one.
        limit: How many there may be.
        wait_s: How long to wait for one that is in use.
    """

    def __init__(self, connect: Callable[[], psycopg.Connection[Row]], *, limit: int, wait_s: float) -> None:
        self._connect = connect
        self._limit = limit
        self._wait_s = wait_s
        self._free = threading.Semaphore(limit)
        self._lock = threading.Lock()
        self._idle: list[tuple[float, psycopg.Connection[Row]]] = []
        self._made_at: dict[int, float] = {}
        self._is_closed = False

    def getconn(self) -> psycopg.Connection[Row]:
        """Return a connection, the one that was used last, or a new one; it may be dead by now.

        Raises:
            StoreBusy: All are in use.
            psycopg.OperationalError: None can be made.
        """
        if not self._free.acquire(timeout=self._wait_s):
            raise StoreBusy(
                f"all {self._limit} connections to the store's PostgreSQL were busy for {self._wait_s:g} s. Try again."
            )
        try:
            with self._lock:
                if self._idle:
                    return self._idle.pop()[1]
            connection = self._connect()
        except BaseException:  # an interrupt gives the place back as well
            self._free.release()
            raise
        with self._lock:
            self._made_at[id(connection)] = time.monotonic()
        return connection

    def putconn(self, connection: psycopg.Connection[Row]) -> None:
        """Give a connection back; one that is dead, old or in a transaction is closed."""
        from psycopg.pq import TransactionStatus

        now, gone = time.monotonic(), []
        is_idle = connection.pgconn.transaction_status == TransactionStatus.IDLE
        with self._lock:
            is_young = now - self._made_at.get(id(connection), 0.0) < AGE_S
            if is_idle and is_young and not self._is_closed:
                self._idle.append((now, connection))
            else:
                gone.append(connection)
            while self._idle and now - self._idle[0][0] > IDLE_S:
                gone.append(self._idle.pop(0)[1])
            for each in gone:
                self._made_at.pop(id(each), None)
        self._free.release()
        for each in gone:
            with suppress(Exception):  # it is as good as closed
                each.close()

    def close(self) -> None:
        """Close those that are not in use; the others follow when they are given back."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()
