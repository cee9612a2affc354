"""A PostgreSQL of the tests' own: on loopback, in a folder of its own, shared by all workers, stopped at the end.

PostgreSQL refuses to run as root, so that it is then started as another user. The server is found on the PATH or where
Debian keeps it (package ``postgresql``). The measurements start theirs here as well.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

START_S = 60
OTHER_USERS = ("postgres", "nobody")
# Of servers that serve tests: what they hold may be lost in a power cut.
OPTIONS: dict[str, object] = {"fsync": "off", "max_connections": 200, "shared_buffers": "64MB"}


def running(folder: Path) -> str:
    """Return the URI of the server whose files lie beside `folder`; the first who asks starts it."""
    note = folder / "postgres.json"
    with (folder / "postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not note.exists():
            note.write_text(json.dumps(start(**OPTIONS)))
    return str(json.loads(note.read_text())["uri"])


def stop(folder: Path) -> None:
    """Stop the server, when one was started; twice is a no-op."""
    note = folder / "postgres.json"
    if not note.exists():
        return
    home = Path(json.loads(note.read_text())["home"])
    note.unlink()
    remove(home)


def remove(home: Path) -> None:
    """Stop the server whose files lie in `home`, and remove them."""
    control("stop", home, "-m", "fast")
    shutil.rmtree(home, ignore_errors=True)


def control(verb: str, home: Path, *words: str) -> None:
    """Have ``pg_ctl`` start, stop or promote the server whose files lie in `home`, and wait until it has."""
    command = [program("pg_ctl"), verb, "-D", str(home / "data"), "-w", "-t", str(START_S), "-l", str(home / "log")]
    subprocess.run([*command, *words], check=True, capture_output=True, timeout=START_S, **as_owner(home))


def as_owner(home: Path) -> dict[str, Any]:
    """Return how a program of PostgreSQL is run: never as root."""
    how: dict[str, Any] = {"cwd": home, "env": {**os.environ, "LC_ALL": "C.UTF-8"}}
    if os.getuid() == 0:
        how["user"] = home.owner()
    return how


def program(name: str) -> str:
    """Return where a program of PostgreSQL lies."""
    found = shutil.which(name)
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    if found is None and not debian:
        raise RuntimeError(f"{name} of PostgreSQL is not installed; on Debian and Ubuntu: apt-get install postgresql")
    return found or str(debian[-1])


def start(**options: object) -> dict[str, str]:
    """Start a server with these options; the others have PostgreSQL's defaults. Return its URI and its home."""
    home = new_home()
    words = ["-U", "mlfoundry", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
    subprocess.run(
        [program("initdb"), "-D", str(home / "data"), *words], check=True, capture_output=True, **as_owner(home)
    )
    return {"uri": serve(home, **options), "home": str(home)}


def serve(home: Path, *, port: int | None = None, **options: object) -> str:
    """Start the server whose files lie in `home`, at a free port when none is given; return its URI."""
    port = port or free_port()
    given = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": home}
    given |= {"log_min_messages": "fatal", **options}
    control("start", home, "-o", " ".join(f"-c {name}={value}" for name, value in given.items()))
    return f"postgresql://mlfoundry@127.0.0.1:{port}/postgres"


def new_home() -> Path:
    """Return an empty folder of a user as whom PostgreSQL may run."""
    home = Path(tempfile.mkdtemp(prefix="mlfoundry-postgres-", dir="/tmp"))
    if os.getuid() == 0:
        shutil.chown(home, next(name for name in OTHER_USERS if _exists(name)))
    return home


class Cluster:
    """A PostgreSQL of one test alone, which it may kill.

    Attributes:
        uri: Where it is reached, also after a new start.
    """

    def __init__(self) -> None:
        made = start(**OPTIONS)
        self.uri = made["uri"]
        self._home = Path(made["home"])

    def kill(self) -> None:
        """Kill its main process, as the kernel does when memory is short: what no disk was asked for is lost."""
        os.kill(self._pid(), signal.SIGKILL)

    def pause(self) -> None:
        """Let nothing of it answer, without any connection being closed."""
        for pid in self._pids():
            os.kill(pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on after a pause."""
        for pid in self._pids():
            os.kill(pid, signal.SIGCONT)

    def start(self) -> None:
        """Start it after a kill; it recovers what was committed."""
        deadline = time.monotonic() + START_S
        while True:
            try:
                serve(self._home, port=int(self.uri.rpartition(":")[2].partition("/")[0]), **OPTIONS)
            except subprocess.CalledProcessError:  # processes of the killed one are not gone yet
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def remove(self) -> None:
        """Stop it and delete its files."""
        with contextlib.suppress(subprocess.CalledProcessError, subprocess.TimeoutExpired):
            control("stop", self._home, "-m", "immediate")
        shutil.rmtree(self._home, ignore_errors=True)

    def _pid(self) -> int:
        return int((self._home / "data" / "postmaster.pid").read_text().split()[0])

    def _pids(self) -> list[int]:
        first = self._pid()
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return [first, *map(int, children)]


def _exists(name: str) -> bool:
    import pwd

    with contextlib.suppress(KeyError):
        pwd.getpwnam(name)
        return True
    return False


def free_port() -> int:
    """Return a port of loopback that nobody uses just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
