"""A team's servers for a measurement: PostgreSQL or a SQLite file, server processes before it, a user and a key."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.child import ROOT

if TYPE_CHECKING:
    import psutil

    from mlfoundry.tracking.http import HttpBackend

START_S = 60.0
USER = "ann"


@dataclass(frozen=True, slots=True)
class Team:
    """What runs.

    Attributes:
        uri: The database; a path when it is SQLite.
        addresses: Of each server process.
        key: An API key of `USER`.
        processes: The server processes.
        postmaster: PostgreSQL; None with SQLite.
    """

    uri: str
    addresses: list[str]
    key: str
    processes: list[psutil.Process]
    postmaster: psutil.Process | None

    def backend(self, number: int = 0) -> HttpBackend:
        """Return the backend of one of the server processes."""
        from mlfoundry.tracking.http import HttpBackend

        return HttpBackend(self.addresses[number % len(self.addresses)], self.key, user=USER)

    def cpu_s(self) -> tuple[float, float]:
        """Return the CPU time so far of the server processes, and of PostgreSQL."""
        return sum(_cpu_s(process) for process in self.processes), (
            0.0 if self.postmaster is None else _cpu_s(self.postmaster)
        )


def _cpu_s(process: psutil.Process) -> float:
    import psutil

    used = process.cpu_times()
    total: float = used.user + used.system + used.children_user + used.children_system
    for child in process.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            of_child = child.cpu_times()
            total += of_child.user + of_child.system
    return total


@contextmanager
def postgres(**options: object) -> Iterator[tuple[str, Path]]:
    """Run a PostgreSQL with its defaults but for `options`; give its URI and the home of its files."""
    from tests import postgres as installed

    started = installed.start(max_connections=200, **options)
    try:
        yield started["uri"], Path(started["home"])
    finally:
        installed.remove(Path(started["home"]))


@contextmanager
def on_postgres(folder: Path, *, workers: int = 1) -> Iterator[Team]:
    """Run server processes before a PostgreSQL of their own."""
    import psutil

    with postgres() as (uri, home):
        postmaster = psutil.Process(int((home / "data" / "postmaster.pid").read_text().split()[0]))
        with serving(uri, folder, workers=workers, postmaster=postmaster) as team:
            yield team


@contextmanager
def serving(uri: str, folder: Path, *, workers: int = 1, postmaster: psutil.Process | None = None) -> Iterator[Team]:
    """Run server processes before a database that is there."""
    import psutil

    from tests.postgres import free_port

    key = _key(uri)
    ports = [free_port() for _ in range(workers)]
    command = [sys.executable, "-m", "benchmarks.serving", uri, str(folder / "artifacts")]
    started = [subprocess.Popen([*command, str(port)], cwd=ROOT) for port in ports]
    try:
        addresses = [f"http://127.0.0.1:{port}" for port in ports]
        for address in addresses:
            _wait(address)
        yield Team(uri, addresses, key, [psutil.Process(process.pid) for process in started], postmaster)
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(START_S)


def _key(uri: str) -> str:
    from mlfoundry.store.database import Database
    from mlfoundry.store.postgres import PostgresDatabase
    from mlfoundry.tracking.accounts import AccountService

    database = PostgresDatabase(uri) if "://" in uri else Database(Path(uri))
    try:
        return AccountService(database).create_first_admin(USER)  # type: ignore[arg-type]
    finally:
        database.close()


def _wait(address: str) -> None:
    import requests

    deadline = time.monotonic() + START_S
    while True:
        with contextlib.suppress(requests.ConnectionError):
            if requests.get(f"{address}/healthz", timeout=START_S).ok:
                return
        if time.monotonic() > deadline:
            raise RuntimeError(f"{address} does not answer")
        time.sleep(0.02)
