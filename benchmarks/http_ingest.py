"""Points from clients over HTTP into PostgreSQL, with one server process and with two."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from benchmarks import team
from benchmarks.registry import Figures, Line, Workplace, measure

if TYPE_CHECKING:
    from multiprocessing.synchronize import Barrier

    from mlfoundry.records import Batch
    from mlfoundry.tracking.http import HttpBackend

KEYS = 50


@dataclass(frozen=True, slots=True)
class Load:
    """What each client sends: so many batches of so many points of 50 metrics."""

    clients: int
    batches: int
    points: int


def large(work: Workplace, clients: int) -> Load:
    """Return batches of 10,000 points: what a busy loop or a journal that is behind sends."""
    return Load(clients, work.count(80, 16) // (1 if clients == 1 else 4), 10_000)


def small(work: Workplace, clients: int) -> Load:
    """Return batches of 500 points: a loop of 10 steps a second."""
    return Load(clients, work.count(400, 80) // (1 if clients == 1 else 4), 500)


@dataclass(frozen=True, slots=True)
class Taken:
    """What a load took: points a second, and microseconds of CPU a point of the servers and of PostgreSQL."""

    points_per_s: float
    server_us: float
    postgres_us: float


_start: Any = None  # the barrier at which the clients of one load wait for each other


def _meet(barrier: Barrier) -> None:
    global _start
    _start = barrier


def _client(work: Callable[..., Callable[[], None]], number: int, given: tuple[Any, ...]) -> tuple[float, float]:
    """In a process of its own: prepare, wait for the others, work; return begin and end."""
    try:
        go = work(number, *given)
    except BaseException:
        _start.abort()
        raise
    _start.wait(120)
    began = time.monotonic()
    go()
    return began, time.monotonic()


def _together(clients: int, work: Callable[..., Callable[[], None]], *given: Any, begun: Callable[[], Any]) -> Any:
    """Run clients that begin at one moment; return how long they took, and what `begun` gave at that moment."""
    context = get_context("spawn")
    barrier = context.Barrier(clients + 1)
    with ProcessPoolExecutor(clients, context, _meet, (barrier,)) as pool:
        asked = [pool.submit(_client, work, number, given) for number in range(clients)]
        with contextlib.suppress(threading.BrokenBarrierError):  # the results say why
            barrier.wait(120)
        at_begin = begun()
        times = [each.result() for each in asked]
    return max(ended for _, ended in times) - min(began for began, _ in times), at_begin


def _sender(_: int, address: str, key: str, load: Load) -> Callable[[], None]:
    from mlfoundry.tracking.http import HttpBackend

    backend = HttpBackend(address, key, user=team.USER)
    first, *rest = _batches(backend, load)
    backend.ingest(first)  # it makes the series and the connection

    def send() -> None:
        for batch in rest:
            if backend.ingest(batch).acked != batch.stop:
                raise RuntimeError("the server holds less than it was sent")

    return send


def _batches(backend: HttpBackend, load: Load) -> list[Batch]:
    import numpy as np

    from benchmarks.batches import START_US, Writing, of_points
    from mlfoundry.records import NewRun

    run = backend.create_run(NewRun(uuid.uuid4().hex, "demo", "run", None, {}, "", START_US)).key
    writing = Writing(run, secrets.randbits(62), [f"group/metric-{key}" for key in range(KEYS)])
    noise, rows = np.random.default_rng(1), load.points // KEYS
    return [
        of_points(writing, KEYS, rows, noise.normal(0, 1, load.points).tolist(), first_step=rows * number)
        for number in range(load.batches + 1)
    ]


def take(place: team.Team, load: Load) -> Taken:
    """Have clients send their load to the servers."""
    took_s, before = _together(load.clients, _sender, place.address, place.key, load, begun=place.cpu_s)
    points = load.clients * load.batches * load.points
    each_us = [1e6 * (late - early) / points for early, late in zip(before, place.cpu_s(), strict=True)]
    return Taken(points / took_s, *each_us)


def _inserter(_: int, uri: str, load: Load, blob: bytes) -> Callable[[], None]:
    import psycopg

    connection = psycopg.connect(uri, autocommit=True, prepare_threshold=None)
    rows = [(secrets.randbits(62), blob, len(blob)) for _ in range(load.batches * KEYS)]

    def insert() -> None:
        for at in range(0, len(rows), KEYS):
            with connection.transaction(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL synchronous_commit = off")
                cursor.executemany("INSERT INTO plain VALUES (%s, %s, %s)", rows[at : at + KEYS])
        connection.close()

    return insert


def _plain(uri: str, load: Load) -> float:
    import numpy as np

    from mlfoundry.store import chunks

    rows = load.points // KEYS
    steps = np.arange(rows, dtype=np.int64)
    blob = chunks.encode((steps, 10_000 * steps, np.random.default_rng(1).normal(0, 1, rows)))
    took_s, _ = _together(load.clients, _inserter, uri, load, blob, begun=lambda: None)
    return float(load.clients * load.batches * load.points / took_s)


def insert_plainly(work: Workplace) -> Figures:
    """The same chunks, made before, inserted into a table of PostgreSQL without index: a transaction for each batch.

    By the driver that the server has, over loopback, with ``synchronous_commit`` off, from as many processes.
    """
    import psycopg

    with team.postgres() as (uri, _):
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute("CREATE TABLE plain (id BIGINT, data BYTEA, size BIGINT)")
        return {
            "one": _plain(uri, large(work, 1)),
            "eight": _plain(uri, large(work, 8)),
            "one_small": _plain(uri, small(work, 1)),
            "eight_small": _plain(uri, small(work, 8)),
        }


@measure(
    "http-ingest",
    Line("http ingest to PostgreSQL, one worker: 1 client, 10,000 a batch", "points/s", "one"),
    Line("  … 8 clients", "points/s", "eight", at_least=500_000),
    Line("  … 8 clients: CPU of the server", "µs/point", "server_us"),
    Line("  … 8 clients: CPU of PostgreSQL", "µs/point", "postgres_us"),
    Line("  … 1 client, 500 a batch", "points/s", "one_small"),
    Line("  … 8 clients, 500 a batch", "points/s", "eight_small"),
    Line("  … 8 clients, 500 a batch: CPU of the server", "µs/point", "server_us_small"),
    Line("  … 8 clients, 500 a batch: CPU of PostgreSQL", "µs/point", "postgres_us_small"),
    limit=insert_plainly,
    repeats=3,
    in_quick=False,
)
def ingest(work: Workplace) -> Figures:
    """Clients in processes of their own give batches of 50 metrics to a server process before a PostgreSQL of its own.

    Batches are made before; a client waits for each one's acknowledgement before it sends the next, over one
    kept-alive connection. PostgreSQL has its defaults (fsync on). Clients, server and PostgreSQL share the machine.
    """
    with team.on_postgres(work.folder) as place:
        one, eight = take(place, large(work, 1)), take(place, large(work, 8))
        one_small, eight_small = take(place, small(work, 1)), take(place, small(work, 8))
    return {
        "one": one.points_per_s,
        "eight": eight.points_per_s,
        "server_us": eight.server_us,
        "postgres_us": eight.postgres_us,
        "one_small": one_small.points_per_s,
        "eight_small": eight_small.points_per_s,
        "server_us_small": eight_small.server_us,
        "postgres_us_small": eight_small.postgres_us,
    }


@measure(
    "http-two-workers",
    Line("http ingest to PostgreSQL, two workers: 8 clients, 10,000 a batch", "points/s", "two"),
    Line("  … CPU of the servers", "µs/point", "server_us"),
    Line("  … 8 clients, 500 a batch", "points/s", "two_small"),
    limit=None,
    repeats=3,
    in_quick=False,
)
def ingest_by_two(work: Workplace) -> Figures:
    """The same with ``--workers 2``: two server processes on one database."""
    with team.on_postgres(work.folder, workers=2) as place:
        two, two_small = take(place, large(work, 8)), take(place, small(work, 8))
    return {"two": two.points_per_s, "server_us": two.server_us, "two_small": two_small.points_per_s}
