"""What the fault tests share: programs in processes of their own, and the look at what they left."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

import mlfoundry
from mlfoundry.journal import chain
from mlfoundry.store import points
from mlfoundry.tracking.service import RunKey

FOLDER = Path(__file__).parent


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


left_journals = sys.modules.setdefault("left_journals", _load("left_journals"))
LIMIT_S = 30.0


class Program:
    """A Python program in a process (and process group) of its own.

    Attributes:
        process: The process.
        log: File with what it wrote to stderr.
    """

    def __init__(self, arguments: list[str], log: Path, environment: dict[str, str], **options) -> None:
        self.log = log
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=environment,
                start_new_session=True,
                **options,
            )
        self._read = b""

    def line(self, limit_s: float = LIMIT_S) -> str:
        """Return its next line."""
        while b"\n" not in self._read:
            ready, _, _ = select.select([self.process.stdout], [], [], limit_s)
            if not ready:
                raise TimeoutError(f"it said nothing within {limit_s:.0f} s; before: {self.messages()}")
            block = os.read(self.process.stdout.fileno(), 65536)
            if not block:
                raise EOFError(f"it ended with {self.process.wait(LIMIT_S)}: {self.messages()}")
            self._read += block
        line, _, self._read = self._read.partition(b"\n")
        return line.decode()

    def say(self, text: str) -> None:
        """Give it a line to read."""
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def run_for(self, seconds: float) -> None:
        """Let it run so long, or until it ends."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)

    def kill(self, *, group: bool = False) -> None:
        """Send SIGKILL to it, or to its whole group, and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            if group:
                os.killpg(self.process.pid, signal.SIGKILL)
            else:
                self.process.kill()
        self.process.wait(LIMIT_S)
        deadline = time.monotonic() + LIMIT_S
        while group and self._others_live():  # until then they hold their locks
            assert time.monotonic() < deadline
            os.sched_yield()

    def _others_live(self) -> bool:
        for place in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                threads = list((place / "task").iterdir())
                state = (place / "stat").read_text().rpartition(")")[2].split()
                # One whose main thread is gone lives on while another thread is not gone yet.
                if int(state[2]) == self.process.pid and (state[0] not in "ZX" or len(threads) > 1):
                    return True
        return False

    def exit_code(self, limit_s: float = LIMIT_S) -> int:
        """Wait until it ends; return its exit code, negative for a signal."""
        return self.process.wait(limit_s)

    def rest(self, limit_s: float = LIMIT_S) -> str:
        """Wait until it ends; return what it said since the last line."""
        out, _ = self.process.communicate(timeout=limit_s)
        return (self._read + out).decode()

    def messages(self) -> str:
        """Return what it wrote to stderr."""
        return self.log.read_text(errors="replace")


@pytest.fixture
def start(tmp_path):
    """Start a program of this folder (or any file, or source text after "-c"); all are ended after the test."""
    started: list[Program] = []

    def begin(*arguments: object, environment: dict[str, str] | None = None, **options) -> Program:
        words = [str(word) for word in arguments]
        if words[0].endswith(".py") and "/" not in words[0]:
            words[0] = str(FOLDER / words[0])
        inherited = {name: text for name, text in os.environ.items() if not name.startswith("MLFOUNDRY_")}
        inherited |= {"MLFOUNDRY_CAPTURE": "0", "MLFOUNDRY_SYSTEM_METRICS": "0"}
        # From 3.12 Python warns of every fork beside a thread, whoever's thread it is.
        inherited |= {"PYTHONWARNINGS": "default,ignore:This process:DeprecationWarning"}
        inherited |= {"TMPDIR": str(tmp_path)} | (environment or {})
        log = tmp_path / f"stderr-{len(started)}"
        started.append(Program([sys.executable, *words], log, inherited, **options))
        return started[-1]

    yield begin
    for program in started:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(program.process.pid, signal.SIGKILL)
        program.process.wait(LIMIT_S)
        program.process.stdin.close()
        program.process.stdout.close()


class Look:
    """What a new client finds in a store, once it has recovered what dead processes left."""

    def __init__(self, store: Path) -> None:
        self.client = mlfoundry.get_client(store, user="ann")
        self.left = self.client.sync(timeout_s=LIMIT_S)

    def run(self, name: str = "x", project: str = "p"):
        """Return a run."""
        return self.client.get_run(f"ann/{project}/{name}")

    def values(self, key: str, name: str = "x") -> list[float]:
        """Return the values of a metric, in order."""
        table = self.run(name).get_metrics(key)
        return table[key].values.tolist()

    def check(self) -> None:
        """Assert that the store is whole."""
        database = self.client.backend.database
        if not database.is_made():  # who only looks makes no store
            return
        assert database.check() == []
        with database.read() as tx:
            for project_id, run_id in tx.rows("SELECT project_id, run_id FROM run"):
                assert points.verify(tx, RunKey(project_id, run_id.hex())) == []

    def contents(self) -> dict[str, list]:
        """Return all rows of all tables."""
        with self.client.backend.database.read() as tx:
            tables = [name for (name,) in tx.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {table: sorted(map(repr, tx.rows(f"SELECT * FROM {table}"))) for table in tables}


@pytest.fixture
def look():
    """Open a store with a new client; its connections are closed after the test."""
    opened: list[Look] = []

    def begin(store: Path) -> Look:
        opened.append(Look(store))
        return opened[-1]

    yield begin
    for each in opened:
        each.client.backend.close()


@pytest.fixture
def small_segments(monkeypatch):
    """Let journals begin segments of so few slots."""

    def set_sizes(*sizes: int) -> None:
        monkeypatch.setattr(chain, "SEGMENT_SLOTS", sizes)

    return set_sizes


@pytest.fixture
def store(tmp_path):
    """A folder for a store, not made yet."""
    return tmp_path / "store"


@pytest.fixture
def client(store):
    """A client of the store."""
    made = mlfoundry.get_client(store, user="ann")
    yield made
    made.backend.close()
