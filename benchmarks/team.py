"""A team's server for a measurement: PostgreSQL or a SQLite file, ``mlfoundry server`` before it, a user and a key."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.child import ROOT

if TYPE_CHECKING:
    import psutil

    from mlfoundry.tracking.http import HttpBackend

START_S = 60.0
USER = "ann"
COMMAND = (sys.executable, "-c", "from mlfoundry.cli import main; main()", "server")


@dataclass(frozen=True, slots=True)
class Team:
    """What runs.

    Attributes:
        uri: The database; a path when it is SQLite.
        address: Of the server.
        key: An API key of `USER`.
        servers: Its first process, and what stands between it and the database.
        postmaster: PostgreSQL; None with SQLite.
    """

    uri: str
    address: str
    key: str
    servers: tuple[psutil.Process, ...]
    postmaster: psutil.Process | None

    def backend(self) -> HttpBackend:
        """Return a client's backend."""
        from mlfoundry.tracking.http import HttpBackend

        return HttpBackend(self.address, self.key, user=USER)

    def cpu_s(self) -> tuple[float, float]:
        """Return the CPU time so far of the server's processes, and of PostgreSQL."""
        return sum(map(_cpu_s, self.servers)), 0.0 if self.postmaster is None else _cpu_s(self.postmaster)


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
def on_postgres(folder: Path, *, workers: int = 1, partitions: int = 0, is_pooled: bool = False) -> Iterator[Team]:
    """Run a server before a PostgreSQL of their own, with a pgbouncer between them when `is_pooled`."""
    import psutil

    from tests.pgbouncer import Pooler

    with postgres() as (uri, home):
        postmaster = psutil.Process(int((home / "data" / "postmaster.pid").read_text().split()[0]))
        pooler = Pooler(uri) if is_pooled else None
        try:
            own = uri if pooler is None else pooler.uri
            with serving(own, folder, workers=workers, partitions=partitions, postmaster=postmaster) as team:
                pooling = () if pooler is None else (psutil.Process(pooler.process.pid),)
                yield replace(team, servers=(*team.servers, *pooling))
        finally:
            if pooler is not None:
                pooler.stop()


@contextmanager
def serving(
    uri: str, folder: Path, *, workers: int = 1, partitions: int = 0, postmaster: psutil.Process | None = None
) -> Iterator[Team]:
    """Run ``mlfoundry server`` before a database that is there."""
    import psutil

    from tests.postgres import free_port

    key, port = _key(uri, partitions), free_port()
    address = f"http://127.0.0.1:{port}"
    given = {"database": uri, "artifacts": folder / "artifacts", "port": port, "workers": workers}
    words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen([*COMMAND, *words], cwd=ROOT, stdout=log, stderr=log)
    try:
        _wait(address)
        yield Team(uri, address, key, (psutil.Process(process.pid),), postmaster)
    finally:
        process.terminate()
        process.wait(START_S)


def _key(uri: str, partitions: int) -> str:
    from mlfoundry.store.database import Database
    from mlfoundry.store.postgres import PostgresDatabase
    from mlfoundry.tracking.accounts import AccountService

    database = PostgresDatabase(uri, partitions=partitions) if "://" in uri else Database(Path(uri))
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
