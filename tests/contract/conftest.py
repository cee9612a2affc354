"""What the contract tests stand on: one store reached in each way there is, and journals written by hand.

A way is one of `WAYS`: it gives a function from a user's name to a client. All users of one test share one store.
Nothing here or in the tests beside it looks into the store by any other way.
"""

from __future__ import annotations

import math
import secrets
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import mlfoundry
from mlfoundry import slots
from mlfoundry.client import Client
from mlfoundry.records import Acknowledgement, Batch, NewRun, RunKey, RunQuery, RunRecord
from mlfoundry.tracking.backend import Backend
from tests.pgbouncer import Pooler
from tests.servers import TeamServer, on_pooler, on_postgres, on_sqlite

AsUser = Callable[[str], Client]
Backends = Callable[[str], Backend]
Way = Callable[[pytest.FixtureRequest, Path], Iterator[AsUser]]
START_US = 1_700_000_000_000_000
# Whom the tests share projects with before they are seen otherwise: a server must know its users.
COLLABORATORS = ("ada", "ann", "bob", "carl", "eve", "newcomer", "rex", "rob", "sam", "wes", "bystander")


def _embedded(request: pytest.FixtureRequest, folder: Path) -> Iterator[AsUser]:
    yield lambda user: mlfoundry.get_client(folder, user=user, end_timeout_s=30)


def _of_server(server: TeamServer, home: Path) -> Iterator[AsUser]:
    for user in COLLABORATORS:
        server.key(user)
    yield lambda user: mlfoundry.get_client(
        server.address, api_key=server.key(user), home=home / user, end_timeout_s=30
    )
    server.close()


def _http_sqlite(request: pytest.FixtureRequest, folder: Path) -> Iterator[AsUser]:
    yield from _of_server(on_sqlite(request.getfixturevalue("servers"), folder), folder / "homes")


def _http_postgres(request: pytest.FixtureRequest, folder: Path) -> Iterator[AsUser]:
    servers, uri = request.getfixturevalue("servers"), request.getfixturevalue("postgres_uri")
    yield from _of_server(on_postgres(servers, folder, uri), folder / "homes")


def _http_partitions(request: pytest.FixtureRequest, folder: Path) -> Iterator[AsUser]:
    servers, uri = request.getfixturevalue("servers"), request.getfixturevalue("postgres_uri")
    yield from _of_server(on_postgres(servers, folder, uri, partitions=4), folder / "homes")


def _http_pgbouncer(request: pytest.FixtureRequest, folder: Path) -> Iterator[AsUser]:
    servers, pooler = request.getfixturevalue("servers"), request.getfixturevalue("pooler")
    yield from _of_server(on_pooler(servers, folder, request.getfixturevalue("postgres_uri"), pooler), folder / "homes")


WAYS: dict[str, Way] = {"embedded": _embedded, "http-sqlite": _http_sqlite, "http-postgres": _http_postgres}
# The same store code in other surroundings: one test in FEWER, chosen by its name, and all with --full.
MORE_WAYS: dict[str, Way] = {"http-partitions": _http_partitions, "http-pgbouncer": _http_pgbouncer}
FEWER = 24


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave most tests in other surroundings out of a short run."""
    if config.getoption("--full"):
        return
    left_out = [item for item in items if _is_more(item) and zlib.crc32(item.name.encode()) % FEWER]
    config.hook.pytest_deselected(items=left_out)
    gone = set(map(id, left_out))
    items[:] = [item for item in items if id(item) not in gone]


def _is_more(item: pytest.Item) -> bool:
    call = getattr(item, "callspec", None)
    return call is not None and call.params.get("way") in MORE_WAYS


@pytest.fixture(scope="session")
def pooler(postgres_uri: str) -> Iterator[Pooler]:
    """A pgbouncer of this worker's own."""
    made = Pooler(postgres_uri)
    yield made
    made.stop()


@pytest.fixture(params=[*WAYS, *MORE_WAYS])
def way(request: pytest.FixtureRequest) -> Way:
    """One way to a store."""
    return (WAYS | MORE_WAYS)[request.param]


@pytest.fixture
def as_user(
    request: pytest.FixtureRequest, way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[AsUser]:
    """``as_user("ann")`` is Ann's client of this test's store."""
    monkeypatch.setenv("MLFOUNDRY_SYSTEM_METRICS", "0")
    monkeypatch.setenv("MLFOUNDRY_CAPTURE", "0")
    known: dict[str, Client] = {}
    begun = way(request, tmp_path / "store")
    begin = next(begun)

    def client(user: str) -> Client:
        if user not in known:
            known[user] = begin(user)
        return known[user]

    yield client
    for each in known.values():
        each.backend.close()
    for _ in begun:
        raise AssertionError("a way begins once")


@pytest.fixture
def client(as_user: AsUser) -> Client:
    """Ann's client."""
    return as_user("ann")


@pytest.fixture
def backends(as_user: AsUser) -> Backends:
    """``backends("ann")`` is Ann's backend of this test's store."""
    return lambda user: as_user(user).backend


@pytest.fixture
def backend(backends: Backends) -> Backend:
    """Ann's backend."""
    return backends("ann")


@pytest.fixture
def wish() -> Callable[..., NewRun]:
    """``wish("name")`` is a run to be made; all of it can be given."""
    return _wish


def _wish(name: str = "run", project: str = "iris", **given: Any) -> NewRun:
    whole = {
        "run_id": uuid.uuid4().hex,
        "owner": None,
        "tags": {},
        "description": "",
        "started_at_us": START_US,
    } | given
    return NewRun(project_name=project, run_name=name, **whole)


@pytest.fixture
def make_run(backend: Backend) -> Callable[..., RunRecord]:
    """``make_run("name", project="iris")`` makes a run of Ann's."""
    return lambda *words, **given: backend.create_run(_wish(*words, **given))


class Pen:
    """Writes the slots of one journal, and gives them to a backend in batches.

    Attributes:
        journal_id: Of the journal.
        names: Key numbers to names, which every batch takes along.
        data: All that was written.
        sent: Slot up to which `send` has given it away.
    """

    def __init__(self, backend: Backend, run: RunKey, journal_id: int) -> None:
        self.backend = backend
        self.run = run
        self.journal_id = journal_id
        self.names: dict[int, tuple[str, ...]] = {}
        self.data = bytearray()
        self.sent = 0
        self._numbers: dict[tuple[str, ...], int] = {}

    @property
    def tail(self) -> int:
        """Slot after the last record."""
        return len(self.data) // slots.SLOT

    @property
    def _seed(self) -> int:
        return slots.seed(self.journal_id) + self.tail

    def _number(self, *names: str) -> int:
        number = self._numbers.setdefault(names, len(self._numbers) + 1)
        self.names[number] = names
        return number

    def point(self, name: str, value: float, step: int = 0, at_us: int = START_US) -> Pen:
        """Write one value of one metric."""
        body = slots.POINT.pack(self._number(name), step, at_us, value)
        self.data += zlib.crc32(body, self._seed & 0xFFFF_FFFF).to_bytes(4, "little") + body
        return self

    def points(self, name: str, values: Sequence[float], first_step: int = 0) -> Pen:
        """Write values of one metric at steps that follow each other, a second apart."""
        for step, value in enumerate(values, first_step):
            self.point(name, value, step, START_US + step * 1_000_000)
        return self

    def row(self, metrics: Mapping[str, float], step: int = 0, at_us: int = START_US) -> Pen:
        """Write one value of several metrics at one step."""
        payload = b"".join(slots.POINT.pack(0, 0, 0, value)[-8:] for value in metrics.values())
        self.data += slots.record(slots.ROW, self._number(*metrics), step, at_us, payload, self._seed)
        return self

    def document(self, content: Any, at_us: int = START_US + 1_000_000) -> Pen:
        """Write a document."""
        self.data += slots.document(content, at_us, self._seed)
        return self

    def raw(self, kind: int, payload: bytes, number: int = 0) -> Pen:
        """Write a record whose check is right and whose payload may be anything."""
        self.data += slots.record(kind, number, 0, START_US, payload, self._seed)
        return self

    def params(self, **values: tuple[str, str]) -> Pen:
        """Write params, given as (type, text)."""
        return self.document({"kind": "params", "values": {name: list(typed) for name, typed in values.items()}})

    def tags(self, **values: str | None) -> Pen:
        """Write tags."""
        return self.document({"kind": "tags", "values": values})

    def end(self, status: str = "FINISHED", at_us: int = START_US + 5_000_000, **more: Any) -> Pen:
        """Write the end."""
        return self.document({"kind": "end", "status": status, **more}, at_us)

    def batch(self, start: int, stop: int, *, settle: bool = False) -> Batch:
        """Return a stretch of what was written as a batch."""
        data = bytes(self.data[start * slots.SLOT : stop * slots.SLOT])
        return Batch(self.run, self.journal_id, start, stop, data, self.names, settle)

    def send(self, *, settle: bool = False) -> Acknowledgement:
        """Give the backend what it was not given yet."""
        start, self.sent = self.sent, self.tail
        return self.backend.ingest(self.batch(start, self.sent, settle=settle))


@pytest.fixture
def pen(backend: Backend) -> Callable[..., Pen]:
    """``pen(run)`` writes a new journal of a run; ``backend`` says under whose name, Ann's when not given."""
    made = iter(range(1, 1_000_000))

    def begin(run: RunRecord, backend: Backend = backend) -> Pen:
        return Pen(backend, run.key, secrets.randbits(40) << 20 | next(made))

    return begin


# -- a small project to search in ----------------------------------------------------------------

DAY_US = 86_400_000_000
FIRST_DAY_US = 1_767_225_600_000_000  # 2026-01-01
NAN, INF = math.nan, math.inf

# name: (metrics as series, params as (type, text), tags, how it stands)
RUNS: dict[str, tuple[dict[str, list[float]], dict[str, tuple[str, str]], dict[str, str], dict[str, Any]]] = {
    "svm-1": (
        {"loss": [0.9, 0.1], "acc": [0.5, 0.9]},
        {"model": ("str", "svm"), "C": ("float", "1.0"), "path": ("str", "100%_done"), "flag": ("bool", "True")},
        {"stage": "prod", "note": "Größe 10%"},
        {"status": "FINISHED", "elapsed_us": 90_000_000},
    ),
    "svm-2": (
        {"loss": [0.1, 0.5], "acc": [0.7]},
        {"model": ("str", "SVM"), "C": ("int", "10"), "path": ("str", "100x_done"), "flag": ("bool", "False")},
        {"stage": "dev", "version": "2"},
        {"status": "FAILED", "elapsed_us": 1_500_000, "error": "ValueError: no % in _"},
    ),
    "cnn": (
        {"loss": [NAN]},
        {"model": ("str", "cnn"), "C": ("str", "2"), "path": ("str", "C:\\data"), "flag": ("str", "true")},
        {"stage": "prod", "version": "10"},
        {"status": "KILLED", "elapsed_us": 86_400_000_000},
    ),
    "tree": (
        {"loss": [-INF], "acc": [INF, 0.0]},
        {
            "model": ("none", "None"),
            "C": ("str", "many"),
            "seed": ("int", "123456789012345678"),
            "lr": ("float", "nan"),
        },
        {"stage": ""},
        {"status": "FINISHED", "elapsed_us": 0},
    ),
    "bare": ({}, {}, {}, {}),
}


@pytest.fixture
def logged_params() -> dict[str, dict[str, tuple[str, str]]]:
    """The params of the runs that `found` makes, as (type, text)."""
    return {name: params for name, (_, params, _, _) in RUNS.items()}


@pytest.fixture
def found(make_run, pen, backend):
    """``found("loss < 1")`` is the names of the matching runs of `RUNS`, oldest first."""
    for day, (name, (metrics, params, tags, end)) in enumerate(RUNS.items()):
        run = make_run(name, started_at_us=FIRST_DAY_US + day * DAY_US, tags=tags, description=f"the {name} run")
        journal = pen(run).params(**params)
        for metric, values in metrics.items():
            journal.points(metric, values)
        if end:
            journal.end(**end)
        journal.send()
    project_id = run.key.project_id

    def search(text: str, *order: str, **more: Any) -> list[str]:
        page = backend.search_runs(RunQuery(project_id, text, order or ("started_at",), **more))
        assert page.next_cursor is None
        return [each.run_name for each in page.runs]

    return search
