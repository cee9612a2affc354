"""The stores that reading is measured on, made by the product itself."""

from __future__ import annotations

import uuid
from pathlib import Path
from random import Random
from zlib import crc32

MILLION = 1_000_000
POINTS_QUICK = 200_000
RUNS, RUNS_QUICK = 10_000, 1_000


def noise(count: int) -> tuple[list[float], list[float]]:
    """Return times and values of a series: 10 points a second, each up to some ms late; gaussian noise.

    Noise in float64 is nearly the worst that values can be. The lateness has a deviation of 1 ms.
    """
    import numpy as np

    random = np.random.default_rng(1)
    times = 1_700_000_000 + 0.1 * np.arange(count) + random.normal(0, 0.001, count)
    return times.tolist(), random.normal(0, 1, count).tolist()


def prepare_a_long_series(prepared: Path, quick: bool) -> None:
    """Make a store with one ended run of one metric with 1,000,000 points (200,000 when quick)."""
    import mlfoundry

    client = mlfoundry.get_client(prepared / "store", user="ann")
    run = client.create_run("demo", "long", log_system_metrics=False, capture=False)
    for step, (at, value) in enumerate(zip(*noise(POINTS_QUICK if quick else MILLION), strict=True)):
        run.log_metrics({"noise": value}, step=step, timestamp=at)
    run.flush()
    run.end()
    client.backend.close()


def prepare_many_runs(prepared: Path, quick: bool) -> None:
    """Make a store with 10,000 runs (1,000 when quick) of 5 params and 5 metrics of one point each.

    The runs go to the backend as a shipper gives them to it, one batch a run, without a journal on the disk:
    ending ten thousand runs one by one would force the disk ten thousand times.
    """
    import mlfoundry
    from mlfoundry import slots
    from mlfoundry.records import Batch, NewRun

    backend = mlfoundry.get_client(prepared / "store", user="ann").backend
    random = Random(1)
    for number in range(RUNS_QUICK if quick else RUNS):
        at_us = 1_700_000_000_000_000 + number * 1_000_000
        new = NewRun(uuid.uuid4().hex, "demo", f"run-{number}", None, {}, "", at_us)
        key = backend.create_run(new).key
        params = {f"param-{name}": ["int", str(random.randrange(10))] for name in range(5)}
        documents: list[dict[str, object]] = [
            {"kind": "params", "values": params},
            {"kind": "end", "status": "FINISHED"},
        ]
        data, journal_id = b"", number + 1
        for name in range(5):
            body = slots.POINT.pack(name + 1, 100, at_us, random.gauss(0, 1))
            start = (slots.seed(journal_id) + len(data) // slots.SLOT) & 0xFFFF_FFFF
            data += crc32(body, start).to_bytes(4, "little") + body
        for content in documents:
            data += slots.document(content, at_us + 500_000, slots.seed(journal_id) + len(data) // slots.SLOT)
        names = {name + 1: (f"metric-{name}",) for name in range(5)}
        backend.ingest(Batch(key, journal_id, 0, len(data) // slots.SLOT, data, names, settle=False))
    backend.close()
