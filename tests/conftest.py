"""What every test gets: a home of its own, and a check that it leaves nothing running behind."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from pathlib import Path

import hypothesis
import pytest

from mlfoundry.runs.own_runs import open_runs
from mlfoundry.shipping import shipper as shippers

THREAD_END_S = 10.0

hypothesis.settings.register_profile("reduced", deadline=None, max_examples=50, database=None)
hypothesis.settings.register_profile("full", deadline=None, max_examples=1000, database=None)


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="run loops at their full counts")


def pytest_configure(config):
    hypothesis.settings.load_profile("full" if config.getoption("--full") else "reduced")


@pytest.fixture(scope="session")
def scale(pytestconfig):
    """How often a loop runs: ``scale(1000)`` is 1000 with --full and 50 without; ``scale(1000, 10)`` is 10 without."""
    is_full = pytestconfig.getoption("--full")

    def count(full: int, reduced: int | None = None) -> int:
        return full if is_full else max(1, full // 20) if reduced is None else reduced

    return count


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path_factory):
    """An empty home, and none of the settings of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("MLFOUNDRY_")]:
        monkeypatch.delenv(name)
    folder = tmp_path_factory.mktemp("home", numbered=True)
    monkeypatch.setenv("MLFOUNDRY_HOME", str(folder))
    return folder


@pytest.fixture(autouse=True)
def _nothing_left_behind(home):
    """End what a test left open, and fail it for that.

    Runs that were open before the test belong to a fixture of wider scope: then the shipper goes on.
    """
    runs_before, threads_before, journals_before = set(map(id, open_runs())), _threads(), _journal_files()
    yield
    left = [f"the run {run.fqn} is still open" for run in open_runs() if id(run) not in runs_before]
    for run in open_runs():
        if id(run) not in runs_before:
            with contextlib.suppress(Exception):  # whatever the test broke; the run is reported all the same
                run.end("KILLED")
    if not runs_before:
        shippers.stop(THREAD_END_S)
    for thread in _threads() - threads_before:
        thread.join(THREAD_END_S)
        if thread.is_alive():
            left.append(f"the thread {thread.name} still runs")
    left += [f"the journal file {name} is still open" for name in sorted(_journal_files() - journals_before)]
    if left:
        pytest.fail("this test leaves something behind: " + "; ".join(left), pytrace=False)


def _threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("mlfoundry-")}


def _journal_files() -> set[str]:
    """Files of journals that this process has open: each is locked by it."""
    if sys.platform != "linux":
        return set()
    files = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the folder's own descriptor is gone by now
            files.add(str(descriptor.readlink()))
    return {name for name in files if "/journals/" in name or name.removesuffix(" (deleted)").endswith("/lock")}


@pytest.fixture(scope="session")
def postgres_uri(tmp_path_factory, worker_id):
    """A PostgreSQL of the tests' own, shared by all workers."""
    from tests import postgres

    return postgres.running(_shared(tmp_path_factory.getbasetemp(), worker_id))


@pytest.fixture(scope="session")
def chromium():
    """A browser for the whole session."""
    from tests.browser.conftest import running_chromium

    with running_chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def servers():
    """A uvicorn of this worker's own, see `tests.servers`."""
    from tests.servers import Servers

    running = Servers()
    yield running
    running.stop()


def _shared(base: Path, worker_id: str) -> Path:
    """Return the folder that all workers of a session share."""
    return base if worker_id == "master" else base.parent


def pytest_sessionfinish(session):
    """End what the workers shared, once they are done."""
    if hasattr(session.config, "workerinput"):
        return
    from tests import postgres

    factory = getattr(session.config, "_tmp_path_factory", None)
    if factory is not None:
        postgres.stop(factory.getbasetemp())
