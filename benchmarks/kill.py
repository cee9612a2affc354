"""What a SIGKILL takes: nothing that a log call returned for."""

from __future__ import annotations

import mmap
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from random import Random

from benchmarks.child import ROOT
from benchmarks.registry import Figures, Line, Workplace, measure

_COUNT = struct.Struct("<q")


def log_for_ever(store: str, counter: str) -> None:
    """Log without a pause; after each call note in `counter`, a memory map, how many have returned."""
    import mlfoundry

    with Path(counter).open("r+b") as file:
        returned = mmap.mmap(file.fileno(), 4096)
    run = mlfoundry.get_client(store, user="ann").create_run("demo", "killed")
    step = 0
    while True:
        run.log_metrics({"loss": float(step)}, step=step)
        step += 1
        _COUNT.pack_into(returned, 0, step)


@measure(
    "kill",
    Line("SIGKILL: accepted points lost", "points", "lost", at_most=0),
    Line("  … stored twice or out of order", "points", "wrong", at_most=0),
    Line("  … accepted before the kill", "points", "accepted"),
    Line("  … next client finds the run KILLED after", "ms", "recovered"),
    repeats=3,
    warm_up=False,
)
def kill(work: Workplace) -> Figures:
    """A process logs one key without a pause and is killed 0.5–2 s after its first point, at random.

    It notes each call that returned in a memory map, which outlives it. Then a client opens the store, finds the
    run, and reads its points: lost are calls that returned and have no point. This is no proof; the tests kill more.
    """
    store, counter = work.folder / "store", work.folder / "returned"
    counter.write_bytes(bytes(4096))
    code = f"from benchmarks.kill import log_for_ever; log_for_ever({str(store)!r}, {str(counter)!r})"
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) as logging:
        _wait_for_points(counter, logging)
        time.sleep(Random(os.getpid()).uniform(0.5, 2.0))
        logging.send_signal(signal.SIGKILL)
        logging.wait()
    (accepted,) = _COUNT.unpack_from(counter.read_bytes())
    import mlfoundry

    began = time.perf_counter()
    run = mlfoundry.get_client(store, user="ann").get_run("demo/killed")
    recovered = 1e3 * (time.perf_counter() - began)
    if run.status != "KILLED":
        raise RuntimeError(f"the run is {run.status}")
    series = run.get_metrics("loss")["loss"]
    found = len(series.steps)
    wrong = sum(
        int(step) != at or value != at for at, (step, value) in enumerate(zip(series.steps, series.values, strict=True))
    )
    return {
        "lost": float(max(0, accepted - found)),
        "wrong": float(wrong + max(0, found - accepted - 1)),
        "accepted": float(accepted),
        "recovered": recovered,
    }


def _wait_for_points(counter: Path, logging: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while not _COUNT.unpack_from(counter.read_bytes())[0]:
        if logging.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the process that logs did not come to its first point")
        time.sleep(0.01)
