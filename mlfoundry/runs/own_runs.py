"""The runs that this process has open: which they are, their end with the process, their way into forked children.

A run enters itself and leaves when it ends. How each of them ends is its own business, and how the process ends that
of `process_exit`.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

from ..records import RunStatus
from ..shipping import shipper as shippers
from . import process_exit

if TYPE_CHECKING:
    from .run import Run

_open: list[Run] = []
_lock = threading.RLock()


def open_runs() -> list[Run]:
    """Return the runs that this process has open, oldest first."""
    return list(_open)


def enter(run: Run) -> None:
    """Take a run in that has begun: it is ended with the process at the latest."""
    with _lock:
        _open.append(run)
        process_exit.watch(_end_all)


def leave(run: Run) -> None:
    """Forget a run that has ended; twice is a no-op."""
    with _lock:
        if run in _open:
            _open.remove(run)
        if not _open:
            process_exit.unwatch(_end_all)


def _end_all(status: RunStatus, error: str) -> None:
    """At the end of the process: end what is open, within a bounded time in all."""
    runs = open_runs()
    deadline = time.monotonic() + max((run.client.settings.end_timeout_s for run in runs), default=0.0)
    last = getattr(sys, "last_value", None) if error else None
    if last is not None and process_exit.described(last) != error:
        last = None  # something that was reported earlier and did not end the program
    for run in runs:
        run._end(status, error=error, timeout_s=max(0.0, deadline - time.monotonic()), traceback=last)


def _in_child() -> None:
    global _lock
    _lock = threading.RLock()
    for run in _open:
        run._forked()


shippers.after_fork(_in_child)
