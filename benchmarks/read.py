"""Reading a long series back: whole, and thinned for a drawing."""

from __future__ import annotations

from benchmarks.clock import median_ms, once_ms
from benchmarks.registry import Figures, Line, Workplace, measure
from benchmarks.stores import MILLION, POINTS_QUICK, prepare_a_long_series


def read_a_file(work: Workplace) -> Figures:
    """A file of as many points of 24 bytes, read and taken apart into three contiguous numpy arrays."""
    import numpy as np

    count = work.count(MILLION, POINTS_QUICK)
    path = work.folder / "points"
    points = np.zeros(count, [("step", "<i8"), ("time", "<i8"), ("value", "<f8")])
    points["value"] = np.random.default_rng(1).normal(0, 1, count)
    path.write_bytes(points.tobytes())

    def read() -> None:
        found = np.frombuffer(path.read_bytes(), points.dtype)
        for column in ("step", "time", "value"):
            np.ascontiguousarray(found[column])

    return {"warm": median_ms(read), "first": once_ms(read)}


@measure(
    "read",
    Line("read 1M points to numpy", "ms", "warm", at_most=60),
    Line("  … first in process, imports and open aside", "ms", "first"),
    limit=read_a_file,
    prepare=prepare_a_long_series,
)
def read(work: Workplace) -> Figures:
    """``run.get_metrics("noise")`` of a million points, written by another process: the median of 7, after one.

    The first one has the run found and the modules loaded before; the file is in the page cache.
    """
    import mlfoundry

    run = mlfoundry.get_client(work.prepared / "store", user="ann").get_run("demo/long")
    first = once_ms(lambda: run.get_metrics("noise"))
    return {"warm": median_ms(lambda: run.get_metrics("noise")), "first": first}


def read_statistics(work: Workplace) -> Figures:
    """245 rows (one for 4,096 points) with first, last, least and greatest, selected from SQLite and made an array."""
    import apsw
    import numpy as np

    connection = apsw.Connection(str(work.folder / "store.db"))
    connection.execute("CREATE TABLE chunk (seq INTEGER PRIMARY KEY, first REAL, last REAL, low REAL, high REAL)")
    with connection:
        connection.executemany("INSERT INTO chunk VALUES (?, 0.1, 0.2, 0.3, 0.4)", [(at,) for at in range(245)])

    def read() -> None:
        np.array(connection.execute("SELECT first, last, low, high FROM chunk").fetchall())

    took = median_ms(read)
    return {"1000": took, "4000": took}


@measure(
    "overview",
    Line("overview of 1M points, max_points=1000", "ms", "1000", at_most=5),
    Line("  … max_points=4000", "ms", "4000", at_most=5),
    limit=read_statistics,
    prepare=prepare_a_long_series,
)
def overview(work: Workplace) -> Figures:
    """``run.get_metrics("noise", max_points=…)`` of a million points: the median of 7, after one."""
    import mlfoundry

    run = mlfoundry.get_client(work.prepared / "store", user="ann").get_run("demo/long")

    def overview_ms(max_points: int) -> float:
        return median_ms(lambda: run.get_metrics("noise", max_points=max_points))

    return {"1000": overview_ms(1000), "4000": overview_ms(4000)}
