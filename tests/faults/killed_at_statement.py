"""Open a store for the first time and log to a run; be killed at the given SQL statement or before the given file call.

Arguments: store, number, and "calls" to count the calls on the new store's file instead of statements.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import apsw

import mlfoundry

left = int(sys.argv[2])


def count(*_: object) -> bool:
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    return True


class Counting:
    """The module ``os``, of which each function counts."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(os, name)
        return (lambda *words, **given: count() and found(*words, **given)) if callable(found) else found


if sys.argv[3:] == ["calls"]:
    from mlfoundry import folders
    from mlfoundry.store import blank

    def sync_folder(folder: Path) -> None:
        """Count these calls of `folders`, and none for other folders."""
        folders.os = counting
        try:
            folders.sync_folder(folder)
        finally:
            folders.os = os

    counting = blank.os = Counting()
    blank.sync_folder = sync_folder
else:
    apsw.connection_hooks.append(lambda connection: connection.set_exec_trace(count))
run = mlfoundry.get_client(sys.argv[1], user="ann").create_run("p", "x", log_system_metrics=False, capture=False)
run.log_metrics({"a": 1.0})
print("accepted", flush=True)
run.end()
print("done", left, flush=True)
