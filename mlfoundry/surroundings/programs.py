"""Running another program for what it prints, never for longer than it may take."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path


def output(command: list[str], *, directory: Path, environment: dict[str, str], timeout_s: float) -> str | None:
    """Return what a program printed; None when it failed, or when it and its children had to be killed."""
    import signal
    import subprocess

    if timeout_s <= 0:
        return None
    process = subprocess.Popen(
        command,
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # no terminal to ask on, and a group of its own to kill
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    try:
        printed, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):  # stuck in a dead network drive: leave it behind
            process.wait(timeout=0.5)
        return None
    finally:
        if process.stdout is not None:
            process.stdout.close()
    return printed.decode("utf-8", "replace") if process.returncode == 0 else None
