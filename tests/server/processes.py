"""A server as it is run: `mlfoundry server` in processes of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import requests

LIMIT_S = 60
ROOT = Path(__file__).parents[2]
PROGRAM = "from mlfoundry.cli import main; main()"


def environment(**more: str) -> dict[str, str]:
    """Return an environment without any setting of ours but those given."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("MLFOUNDRY_")}
    return {**kept, "PYTHONPATH": str(ROOT), "MLFOUNDRY_SYSTEM_METRICS": "0", "MLFOUNDRY_CAPTURE": "0", **more}


def run(
    *words: str, home: Path, code: int = 0, text: str | None = None, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a command of the program and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        input=text,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        env=environment(MLFOUNDRY_HOME=str(home), **more),
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


class ServerProcess:
    """A running server.

    Attributes:
        told: What it said with ``--json`` once it listened.
        address: Where it listens.
        log: The lines that it has logged so far.
    """

    def __init__(self, database: str, *words: str, folder: Path, **more: str) -> None:
        self._folder = folder
        self._log = (folder / "server.log").open("a+")
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "server", "--port", "0", *words, "--json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=environment(MLFOUNDRY_HOME=str(folder / "home"), MLFOUNDRY_SERVER_DATABASE=database, **more),
            start_new_session=True,
        )
        self.told = self._first_document()
        self.address: str = self.told["address"]

    def _first_document(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        text = ""
        while not text.endswith("}\n"):
            line = self.process.stdout.readline()
            assert line, f"it ended with {self.process.wait(LIMIT_S)}: {self.log_text()}"
            text += line
        told: dict[str, Any] = json.loads(text)
        return told

    def ready(self) -> ServerProcess:
        """Wait until it answers."""
        wait_for(lambda: self.get("/readyz").status_code == 200)
        return self

    def get(self, path: str, key: str = "", **more: Any) -> requests.Response:
        """Ask it over a new connection."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return requests.get(self.address + path, headers=headers | more.pop("headers", {}), timeout=LIMIT_S, **more)

    def log_text(self) -> str:
        """Return all that it wrote to standard error."""
        return (self._folder / "server.log").read_text()

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_text().splitlines()]

    def workers(self) -> list[int]:
        """Return the processes that it began."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(child) for child in children if "resource_tracker" not in _command(int(child))]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(LIMIT_S)

    def close(self) -> None:
        """Be sure that nothing of it is left."""
        if self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.stop()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(LIMIT_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""


def wait_for(holds: Any, limit_s: float = LIMIT_S) -> None:
    """Wait until something holds, which may fail meanwhile for want of a server."""
    deadline, pause = time.monotonic() + limit_s, threading.Event()
    while True:
        with contextlib.suppress(requests.ConnectionError):
            if holds():
                return
        assert time.monotonic() < deadline, "it did not come to hold in time"
        pause.wait(0.05)
