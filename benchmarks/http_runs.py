"""Runs over HTTP: made, listed, sorted and filtered, among a thousand and among a hundred thousand."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from benchmarks import team
from benchmarks.batches import START_US, Writing, of_points
from benchmarks.clock import median_ms
from benchmarks.registry import Figures, Line, Workplace, measure

if TYPE_CHECKING:
    from mlfoundry.tracking.http import HttpBackend

SCREEN = 100
VALUES = range(5)
BLOCK = 10_000


def fill(uri: str, runs: int, *, user: str = team.USER) -> None:
    """Put ended runs of 5 params and 5 metrics of one point each into a store, table by table."""
    from mlfoundry.records import NewRun
    from mlfoundry.store import keys
    from mlfoundry.store.artifact_folder import ArtifactFolder
    from mlfoundry.store.database import Database
    from mlfoundry.store.postgres import PostgresDatabase
    from mlfoundry.tracking.service import TrackingService

    database = PostgresDatabase(uri) if "://" in uri else Database(Path(uri))
    service = TrackingService(database, ArtifactFolder(Path("no-files-are-kept")))
    first = service.create_run(user, NewRun(uuid.uuid4().hex, "demo", "first", None, {}, "", START_US)).key
    random = Random(1)
    for start in range(1, runs, BLOCK):
        with database.write() as tx:
            for table, rows in _rows(first.project_id, range(start, min(runs, start + BLOCK)), random, user):
                tx.run_many(f"INSERT INTO {table} VALUES ({', '.join('?' for _ in rows[0])})", rows)
    with database.write() as tx:
        keys.note(tx, first, "metric", [f"metric-{number}" for number in VALUES])
        keys.note(tx, first, "param", [f"param-{number}" for number in VALUES])
        tx.run("UPDATE project SET runs = ? WHERE project_id = ?", (runs, first.project_id))
        tx.run("ANALYZE")  # as PostgreSQL does by itself within a minute
    database.close()


def _rows(project_id: int, numbers: range, random: Random, user: str) -> Iterator[tuple[str, list[tuple[object, ...]]]]:
    from mlfoundry.store import keys

    ids = [secrets.token_bytes(16) for _ in numbers]
    times = [START_US + 1_000_000 * number for number in numbers]
    yield (
        "run (project_id, run_id, name, status, created_by, started_at, ended_at, last_seen_at, description, error)",
        [
            (project_id, run_id, f"run-{number}", "FINISHED", user, at, at + 500_000, at + 500_000, "", "")
            for number, run_id, at in zip(numbers, ids, times, strict=True)
        ],
    )
    yield "run_home (run_id, project_id)", [(run_id, project_id) for run_id in ids]
    digits = [[str(random.randrange(10)) for _ in VALUES] for _ in ids]
    yield (
        "attr (project_id, run_id, kind, name, type, text, num)",
        [
            (project_id, run_id, "param", f"param-{number}", "int", digit, float(digit))
            for run_id, own in zip(ids, digits, strict=True)
            for number, digit in enumerate(own)
        ],
    )
    columns = "n, pieces, sealed, last_step, last_at, last, lowest, highest"
    yield (
        f"series (project_id, run_id, system, key_id, {columns})",
        [
            (project_id, run_id, 0, keys.key_id(f"metric-{number}"), 1, 1, 0, 100, at, value, value, value)
            for run_id, at in zip(ids, times, strict=True)
            for number in VALUES
            for value in [random.gauss(0, 1)]
        ],
    )


class Lists:
    """The pages of one project over HTTP."""

    def __init__(self, backend: HttpBackend) -> None:
        self._backend = backend
        self._project_id = backend.get_project(None, "demo").project_id

    def page_ms(self, limit: int, filter_text: str = "", *order: str) -> float:
        """Return the median time of a first page, from the question to the records."""
        from mlfoundry.records import RunQuery

        query = RunQuery(self._project_id, filter_text, order, limit=limit)
        if len(self._backend.search_runs(query).runs) < min(limit, SCREEN):
            raise RuntimeError(f"{filter_text!r} finds too little to measure")
        return median_ms(lambda: self._backend.search_runs(query))


METRIC = "metrics.`metric-0` ASC"
PARAM = "params.`param-1` = '3'"


def insert_singly(work: Workplace) -> Figures:
    """As many rows inserted one by one into a table of PostgreSQL with a key, a transaction each, without the server.

    And a thousand runs' eleven rows each selected from one table of PostgreSQL, as tuples.
    """
    import psycopg

    runs = work.count(1000, 200)
    with team.postgres() as (uri, _), psycopg.connect(uri, autocommit=True, prepare_threshold=None) as connection:
        connection.execute("CREATE TABLE run (id BYTEA PRIMARY KEY, name TEXT)")
        began = time.perf_counter()
        for number in range(runs):
            with connection.transaction():
                connection.execute("SET LOCAL synchronous_commit = off")
                connection.execute("INSERT INTO run VALUES (%s, %s)", (secrets.token_bytes(16), f"run-{number}"))
        made_s = (time.perf_counter() - began) * 1000 / runs
        connection.execute("CREATE TABLE value (run BIGINT, name TEXT, text TEXT, num FLOAT8, PRIMARY KEY (run, name))")
        connection.execute(
            "INSERT INTO value SELECT run, 'name-' || n, 'text', 0.5 "
            "FROM generate_series(1, %s) run, generate_series(0, 10) n",
            (runs,),
        )
        listed_ms = median_ms(lambda: connection.execute("SELECT * FROM value", binary=True).fetchall())
    return {"created": made_s, "listed": listed_ms, "sorted": listed_ms}


@measure(
    "http-runs",
    Line("http, PostgreSQL: create 1,000 runs", "s", "created", at_most=5),
    Line("  … 1,000 runs listed with all their values", "ms", "listed", at_most=30),
    Line("  … and sorted by a metric", "ms", "sorted", at_most=30),
    Line("  … the first 100 of them", "ms", "screen"),
    limit=insert_singly,
    repeats=3,
    in_quick=False,
)
def a_thousand_runs(work: Workplace) -> Figures:
    """One client makes 1,000 runs one after another, each a request, then asks for pages of runs as records.

    Each run that is listed has 5 params and 5 metrics. The times are the client's: question, server, PostgreSQL and
    the reading of the answer.
    """
    from mlfoundry.records import NewRun

    runs = work.count(1000, 200)
    with team.on_postgres(work.folder) as place:
        backend = place.backend()
        backend.create_run(NewRun(uuid.uuid4().hex, "made", "run", None, {}, "", START_US))
        began = time.perf_counter()
        for number in range(1, runs + 1):
            backend.create_run(NewRun(uuid.uuid4().hex, "made", "run", None, {}, "", START_US + number))
        created = (time.perf_counter() - began) * 1000 / runs
        fill(place.uri, runs)
        lists = Lists(backend)
        return {
            "created": created,
            "listed": lists.page_ms(1000),
            "sorted": lists.page_ms(1000, "", METRIC),
            "screen": lists.page_ms(SCREEN),
        }


def _many(place: team.Team, runs: int) -> Figures:
    fill(place.uri, runs)
    lists = Lists(place.backend())
    return {
        "first": lists.page_ms(SCREEN),
        "sorted": lists.page_ms(SCREEN, "", METRIC),
        "filtered": lists.page_ms(SCREEN, PARAM),
        "both": lists.page_ms(SCREEN, PARAM, METRIC),
    }


@measure(
    "http-many-runs",
    Line("http, PostgreSQL, 100,000 runs: first 100", "ms", "first", at_most=50),
    Line("  … sorted by a metric", "ms", "sorted", at_most=50),
    Line("  … filtered by a param", "ms", "filtered", at_most=50),
    Line("  … both", "ms", "both", at_most=50),
    limit=None,
    repeats=1,
    warm_up=False,
    in_quick=False,
)
def many_runs(work: Workplace) -> Figures:
    """The first page of 100 among 100,000 runs of 5 params and 5 metrics, from the question to the records."""
    with team.on_postgres(work.folder) as place:
        return _many(place, work.count(100_000, 10_000))


@measure(
    "http-many-runs-sqlite",
    Line("http, SQLite, 100,000 runs: first 100", "ms", "first", at_most=50),
    Line("  … sorted by a metric", "ms", "sorted", at_most=50),
    Line("  … filtered by a param", "ms", "filtered", at_most=50),
    Line("  … both", "ms", "both", at_most=50),
    limit=None,
    repeats=1,
    warm_up=False,
    in_quick=False,
)
def many_runs_on_sqlite(work: Workplace) -> Figures:
    """The same with a server on a SQLite file."""
    with team.serving(str(work.folder / "mlfoundry.db"), work.folder) as place:
        return _many(place, work.count(100_000, 10_000))


@measure(
    "http-run-page",
    Line("http, PostgreSQL: 50 series of 100,000 points, 1,000 points of each, one request", "ms", "overview"),
    Line("  … size of the answer", "kB", "answer_kb"),
    Line("  … what is new of 50 series", "ms", "news"),
    limit=None,
    repeats=3,
    warm_up=False,
    in_quick=False,
)
def run_page(work: Workplace) -> Figures:
    """What a run's page asks for: all its charts at once, then what came since, as bytes that the client has read."""
    from mlfoundry.records import NewRun, SeriesQuery
    from mlfoundry.wire import frames

    rows, size = work.count(100_000, 10_000), 2_000
    with team.on_postgres(work.folder) as place:
        backend = place.backend()
        run = backend.create_run(NewRun(uuid.uuid4().hex, "demo", "run", None, {}, "", START_US)).key
        names = tuple(f"group/metric-{number}" for number in range(50))
        writing, random = Writing(run, secrets.randbits(62), names), Random(1)
        for start in range(0, rows, size):
            values = [random.gauss(0, 1) for _ in range(50 * size)]
            backend.ingest(of_points(writing, 50, size, values, first_step=start))
        query = SeriesQuery(run, names, max_points=1000)
        found = backend.read_series(query)
        new = SeriesQuery(run, names, since=dict.fromkeys(names, rows - 10))
        return {
            "overview": median_ms(lambda: backend.read_series(query)),
            "answer_kb": len(frames.points_frame(found)) / 1000,
            "news": median_ms(lambda: backend.read_series(new)),
        }
