"""What a fork of this process waits for: moments that a child must not inherit half-done.

Two kinds. A call into SQLite: it keeps a table of its own locks in memory, and a child that is forked
inside a transaction inherits the table with the lock taken and could never write. An import by a thread
of ours: the child inherits the lock of the module that was being imported, and would wait for ever when
it imports it itself. Both are short; a fork waits for them a bounded time.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

WAIT_S = 10.0


class _Gate:
    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.inside: list[int] = []  # identities of threads, once for each moment they are in
        self.forking = 0

    def others(self) -> bool:
        own = threading.get_ident()
        return any(thread != own for thread in self.inside)


_gate = _Gate()


@contextmanager
def held_up() -> Iterator[None]:
    """Hold up forks by other threads while the block runs; wait first for one that is under way.

    A thread that forks inside of its own block is not held up: it would wait for itself.
    """
    gate, own = _gate, threading.get_ident()
    with gate.changed:
        while gate.forking and own not in gate.inside:
            gate.changed.wait(WAIT_S)
        gate.inside.append(own)
    try:
        yield
    finally:
        with gate.changed:
            gate.inside.remove(own)
            gate.changed.notify_all()


def _before() -> None:
    gate = _gate
    gate.changed.acquire()  # and kept until the fork is done, so that none enters
    gate.forking += 1
    gate.changed.wait_for(lambda: not gate.others(), timeout=WAIT_S)


def _in_parent() -> None:
    gate = _gate
    gate.forking -= 1
    gate.changed.notify_all()
    gate.changed.release()


def _in_child() -> None:
    global _gate
    _gate = _Gate()


os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
