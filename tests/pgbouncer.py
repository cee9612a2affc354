"""A pgbouncer of the tests' own before their PostgreSQL, in transaction mode: each may get another connection.

It passes on every database of that server under its own name. Found on the PATH or where Debian keeps it (package
``pgbouncer``); like PostgreSQL it refuses to run as root.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from tests import postgres

START_S = 30
CONFIGURATION = """\
[databases]
* = host=127.0.0.1 port={port}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own}
unix_socket_dir =
auth_type = trust
auth_file = {home}/users
pool_mode = transaction
max_client_conn = 500
default_pool_size = {connections}
server_idle_timeout = 5
logfile = {home}/log
"""


def program() -> str | None:
    """Return where pgbouncer lies, None when it is not installed."""
    return shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")


class Pooler:
    """A pgbouncer that runs.

    Attributes:
        uri: What leads through it where the server's own URI would lead past it.
        process: The program.
    """

    def __init__(self, uri: str, *, connections: int = 20) -> None:
        found = program()
        if found is None:
            raise RuntimeError("pgbouncer is not installed; on Debian and Ubuntu: apt-get install pgbouncer")
        self._home = postgres.new_home()
        past, own = urlsplit(uri), postgres.free_port()
        user = past.username or "postgres"
        (self._home / "users").write_text(f'"{user}" ""\n')
        words = {"port": past.port, "own": own, "home": self._home, "connections": connections}
        (self._home / "pgbouncer.ini").write_text(CONFIGURATION.format(**words))
        command = [found, "-q", str(self._home / "pgbouncer.ini")]
        self.process = subprocess.Popen(command, **postgres.as_owner(self._home))
        self.uri = f"postgresql://{user}@127.0.0.1:{own}{past.path}"
        deadline = time.monotonic() + START_S
        while not self._answers():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError(f"pgbouncer does not answer: {Path(self._home, 'log').read_text()}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.uri, connect_timeout=START_S).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(START_S)
        shutil.rmtree(self._home, ignore_errors=True)
