"""How many bytes a point takes on the disk, once its run has ended."""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

from benchmarks.registry import Figures, Line, Workplace, measure
from benchmarks.stores import MILLION, POINTS_QUICK, noise, prepare_a_long_series

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def _size_bytes(store: Path) -> int:
    """Return the bytes of all files of a store, journals and write-ahead log included."""
    return sum(file.stat().st_size for file in store.rglob("*") if file.is_file())


def compress_noise(work: Workplace) -> Figures:
    """The values alone, their bytes grouped by place, compressed with zstd: noise in float64 does not get smaller."""
    import numpy as np

    values = np.array(noise(work.count(MILLION, POINTS_QUICK))[1])
    grouped = values.view(np.uint8).reshape(-1, 8).T.tobytes()
    return {"noise": len(zstd.compress(grouped, 1)) / len(values)}


@measure(
    "disk-noise",
    Line("bytes a point, 1M points of noise", "B", "noise", at_most=10),
    limit=compress_noise,
    prepare=prepare_a_long_series,
    repeats=1,
    warm_up=False,
)
def disk_of_noise(work: Workplace) -> Figures:
    """All files of a store with one ended run, by its million points: unit steps, times 1 ms late, gaussian noise.

    The store's own empty tables are within; so is what merging left free in the file.
    """
    return {"noise": _size_bytes(work.prepared / "store") / work.count(MILLION, POINTS_QUICK)}


@measure(
    "disk-samples",
    Line("bytes a point, 30 keys, a flush each second", "B", "samples", at_most=10),
    Line("  … while the run is open", "B", "open"),
    Line("  … free pages of the ended run's file", "%", "free"),
    repeats=1,
    warm_up=False,
)
def disk_of_samples(work: Workplace) -> Figures:
    """30 keys with one point a flush, as an hour of system metrics has (3,600 flushes; 600 when quick).

    Ten keys are constant, ten are percentages of one decimal, ten are counts of bytes. The files of the store grow
    from just after ``create_run``; once before ``end``, once after it and the client's close.
    """
    import apsw

    import mlfoundry

    flushes = work.count(3600, 600)
    store = work.folder / "store"
    client = mlfoundry.get_client(store, user="ann")
    run = client.create_run("demo", "samples", log_system_metrics=False, capture=False)
    run.flush()
    random = Random(1)
    client.backend.close()
    empty = _database_bytes(store)
    for second in range(flushes):
        sample = {f"constant-{key}": 16.0 + key for key in range(10)}
        sample |= {f"percent-{key}": round(random.uniform(0, 100), 1) for key in range(10)}
        sample |= {f"bytes-{key}": float(4096 * random.randrange(1 << 22)) for key in range(10)}
        run.log_metrics(sample, timestamp=1_700_000_000 + second + random.gauss(0, 0.001))
        run.flush()
    while_open = _database_bytes(store)
    run.end()
    client.backend.close()
    points = 30 * flushes
    with apsw.Connection(str(store / "mlfoundry.db")) as connection:
        free, pages = connection.pragma("freelist_count"), connection.pragma("page_count")
    return {
        "samples": (_database_bytes(store) - empty) / points,
        "open": (while_open - empty) / points,
        "free": 100 * free / pages,
    }


def _database_bytes(store: Path) -> int:
    """Return the bytes of the database and its write-ahead log."""
    return sum(file.stat().st_size for file in store.glob("mlfoundry.db*"))
