"""How fast points come from log calls into the store."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.limits import database
from benchmarks.registry import Figures, Line, Workplace, measure
from benchmarks.stores import noise

if TYPE_CHECKING:
    import mlfoundry


def insert_chunks(work: Workplace) -> Figures:
    """The same points as 24-byte columns in 4,096-point blobs, made before, inserted in one transaction.

    SQLite with WAL and synchronous=NORMAL.
    """
    points = work.count(100_000, 50_000)
    connection = database(work.folder / "store.db", "chunk (seq INTEGER PRIMARY KEY, data BLOB)")
    blobs = [(at, bytes(24 * min(4096, points - at))) for at in range(0, points, 4096)]
    began = time.perf_counter()
    with connection:
        connection.executemany("INSERT INTO chunk VALUES (?, ?)", blobs)
    took = time.perf_counter() - began
    return {"stored": points / took, "logged": points / took, "keys": points / took}


@measure(
    "ship",
    Line("100k points from log_metrics to stored", "points/s", "stored", at_least=300_000),
    Line("  … the log calls alone", "points/s", "logged"),
    Line("  … as 5,000 rows of 20 keys", "points/s", "keys"),
    limit=insert_chunks,
)
def ship(work: Workplace) -> Figures:
    """100,000 calls of ``run.log_metrics`` with one key and a step, then ``run.flush()``, which waits for the commit.

    Everything is on, and a flush of one point has been made before, so that the store is open. Then the same number
    of points as rows of 20 keys, to another run.
    """
    import mlfoundry

    points = work.count(100_000, 50_000)
    values = noise(points)[1]
    client = mlfoundry.get_client(work.folder / "store", user="ann")
    run = client.create_run("demo", "one-key")
    run.log_metrics({"noise": 0.0})
    run.flush()
    log = run.log_metrics
    began = time.perf_counter()
    for step, value in enumerate(values, start=1):
        log({"noise": value}, step=step)
    logged = time.perf_counter() - began
    if not run.flush():
        raise RuntimeError("the points were not stored in time")
    stored = time.perf_counter() - began
    if len(run.get_metrics("noise")["noise"].steps) != points + 1:
        raise RuntimeError("not all points are stored")
    run.end()
    return {"stored": points / stored, "logged": points / logged, "keys": _rows_per_s(client, points)}


def _rows_per_s(client: mlfoundry.Client, points: int) -> float:
    run = client.create_run("demo", "twenty-keys")
    names = [f"group/metric-{key}" for key in range(20)]
    rows = [dict.fromkeys(names, float(step)) for step in range(points // 20 + 1)]
    run.log_metrics(rows.pop())
    run.flush()
    began = time.perf_counter()
    for step, row in enumerate(rows):
        run.log_metrics(row, step=step)
    run.flush()
    return points / (time.perf_counter() - began)
