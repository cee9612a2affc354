"""From nothing to a run that logs, and its end: import, client, run."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from statistics import median

from benchmarks.child import ROOT
from benchmarks.clock import once_ms
from benchmarks.limits import database
from benchmarks.registry import Figures, Line, Workplace, measure


def _python_ms(code: str, *, times: int) -> float:
    """Return the median wall time of a Python that runs some code, from fork to exit."""
    took = []
    for _ in range(times):
        began = time.perf_counter_ns()
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
        took.append((time.perf_counter_ns() - began) / 1e6)
    return median(took)


def bare_python(work: Workplace) -> Figures:
    """``python -c pass``: the median wall time of 15 processes, from fork to exit."""
    took = _python_ms("pass", times=work.count(15, 5))
    return {"import": took, "client": took}


@measure(
    "import",
    Line("import mlfoundry, whole process", "ms", "import", times_limit=1.5),
    Line("  … and mlfoundry.get_client named", "ms", "client"),
    Line("  third-party modules it loads", "", "third_party", at_most=0),
    limit=bare_python,
    repeats=3,
)
def import_mlfoundry(work: Workplace) -> Figures:
    """``python -c "import mlfoundry"``: the median wall time of 15 processes, from fork to exit.

    Then the same with ``mlfoundry.get_client`` named, which loads the client's modules; and how many modules from
    site-packages (other than those that bare Python loads there) ``sys.modules`` holds after the import.
    """
    count = "import sys; before = set(sys.modules); import mlfoundry; print(sum('site-packages' in "
    count += "(getattr(sys.modules[m], '__file__', '') or '') for m in set(sys.modules) - before))"
    third_party = subprocess.run([sys.executable, "-c", count], cwd=ROOT, check=True, capture_output=True, text=True)
    return {
        "import": _python_ms("import mlfoundry", times=work.count(15, 5)),
        "client": _python_ms("import mlfoundry; mlfoundry.get_client", times=work.count(15, 5)),
        "third_party": float(third_party.stdout),
    }


def prepare_one_run(prepared: Path, quick: bool) -> None:  # noqa: ARG001
    """Make a store with one ended run, and list the modules that making it loads."""
    before = set(sys.modules)
    import mlfoundry

    client = mlfoundry.get_client(prepared / "store", user="ann")
    run = client.create_run("demo", "first")
    used = {name for name in set(sys.modules) - before if not name.startswith("__")}
    run.log_metrics({"loss": 0.5})
    run.end()
    (prepared / "modules").write_text("\n".join(sorted(used)), encoding="utf-8")


def _load(work: Workplace) -> None:
    """Load what making a run loads."""
    for name in (work.prepared / "modules").read_text(encoding="utf-8").split():
        import_module(name)


def _own_store(work: Workplace) -> Path:
    """Return a copy of the prepared store that this process may write."""
    import shutil

    return Path(shutil.copytree(work.prepared / "store", work.folder / "store"))


def a_row_and_a_map(work: Workplace) -> Figures:
    """An empty journal and a row, by hand: a folder with a 256 KiB file, allocated and mapped, then a commit to SQLite.

    The database is opened and put into WAL mode within the time; apsw is loaded before.
    """
    schema = "run (id BLOB PRIMARY KEY, name TEXT)"
    database(work.folder / "store.db", schema).close()

    def make() -> None:
        folder = work.folder / "journal"
        folder.mkdir(mode=0o700)
        fd = os.open(folder / "segment", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.posix_fallocate(fd, 0, 256 * 1024)
        mmap.mmap(fd, 256 * 1024)
        connection = database(work.folder / "store.db", schema)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO run VALUES (?, ?)", (os.urandom(16), "first"))
        connection.execute("COMMIT")

    took = once_ms(make)
    return {"stored": took, "new": took, "second": took, "in_all": took}


@measure(
    "create-run",
    Line("create_run, first in process, store exists", "ms", "stored", at_most=10),
    Line("  … in a store that it makes", "ms", "new", at_most=10),
    Line("  … second in process", "ms", "second", at_most=10),
    Line("  … first, with get_client and all imports", "ms", "in_all"),
    limit=a_row_and_a_map,
    prepare=prepare_one_run,
    repeats=7,
)
def create_run(work: Workplace) -> Figures:
    """``client.create_run("demo", "svm")`` with everything on, as users call it: system metrics, capture, shipping.

    Each in a process that made none before: in a store with one run, in a store that does not exist, and with
    nothing loaded. The modules that it loads are loaded before the first two (see the third for what they cost).
    """
    return {
        **_in_process(_create_first, work),
        **_in_process(_create_in_new_store, work),
        **_in_process(_create_with_imports, work),
    }


def _in_process(probe: object, work: Workplace) -> Figures:
    """Run a part of a measurement in a process of its own: "first" is true once a process."""
    from benchmarks.child import in_fresh_process

    name = getattr(probe, "__name__", "")
    return in_fresh_process(__name__, name, folder=work.folder, prepared=work.prepared, quick=work.quick)


def _create_first(work: Workplace) -> Figures:
    _load(work)
    import mlfoundry

    client = mlfoundry.get_client(_own_store(work), user="ann")
    first = once_ms(lambda: client.create_run("demo", "svm"))
    second = once_ms(lambda: client.create_run("demo", "svm"))
    return {"stored": first, "second": second}


def _create_in_new_store(work: Workplace) -> Figures:
    _load(work)
    import mlfoundry

    client = mlfoundry.get_client(work.folder / "new", user="ann")
    return {"new": once_ms(lambda: client.create_run("demo", "svm"))}


def _create_with_imports(work: Workplace) -> Figures:
    store = _own_store(work)

    def create() -> None:
        import mlfoundry

        mlfoundry.get_client(store, user="ann").create_run("demo", "svm")

    return {"in_all": once_ms(create)}


def open_database(work: Workplace) -> Figures:
    """``apsw.Connection`` on the same store, and one row read; apsw is loaded before."""
    import apsw

    path = str(_own_store(work) / "mlfoundry.db")

    def opened() -> None:
        apsw.Connection(path).execute("SELECT name FROM project").fetchone()

    return {"open": once_ms(opened), "first_read": once_ms(opened)}


@measure(
    "open-store",
    Line("get_client", "ms", "open", at_most=1),
    Line("get_client and get_project, up-to-date store", "ms", "first_read"),
    limit=open_database,
    prepare=prepare_one_run,
    repeats=7,
)
def open_store(work: Workplace) -> Figures:
    """``mlfoundry.get_client(store)``, then ``get_project``, which opens the database: first in process.

    The modules are loaded before. The design asks for less than a millisecond to open an up-to-date store.
    """
    _load(work)
    import mlfoundry

    store = _own_store(work)
    clients: list[mlfoundry.Client] = []
    opened = once_ms(lambda: clients.append(mlfoundry.get_client(store, user="ann")))
    return {"open": opened, "first_read": opened + once_ms(lambda: clients[0].get_project("demo"))}


def sync_and_commit(work: Workplace) -> Figures:
    """``fdatasync`` of a written file, then a commit to SQLite with synchronous=FULL: what "stored" needs of a disk."""
    connection = database(work.folder / "store.db", "run (id INTEGER PRIMARY KEY)", synchronous="FULL")
    fd = os.open(work.folder / "segment", os.O_RDWR | os.O_CREAT, 0o600)
    os.write(fd, bytes(32 * 1000))

    def settle() -> None:
        os.fdatasync(fd)
        connection.execute("INSERT INTO run DEFAULT VALUES")

    return {"end": once_ms(settle)}


@measure("end", Line("run.end(), 1,000 points on their way", "ms", "end"), limit=sync_and_commit, warm_up=False)
def end(work: Workplace) -> Figures:
    """``run.end()`` right after 1,000 calls of ``log_metrics``, everything on: returns when all is stored.

    The run is two seconds old, so that capture is over and system metrics were sampled.
    """
    import mlfoundry

    run = mlfoundry.get_client(work.folder / "store", user="ann").create_run("demo", "svm")
    time.sleep(work.count(2, 1))
    for step in range(1000):
        run.log_metrics({"loss": 1 / (1 + step)}, step=step)
    return {"end": once_ms(run.end)}
