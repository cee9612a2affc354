"""What system metrics cost in CPU time."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.registry import Figures, Line, Workplace, measure

SETTLING_S = 2.5
_READ = ("stat", "meminfo", "diskstats", "net/dev", "loadavg", "self/stat", "self/status", "self/statm", "self/io")


def _per_minute(used_s: float, seconds: float) -> float:
    """Return CPU seconds a minute, from what fewer seconds took."""
    return used_s * 60 / seconds


def read_proc(work: Workplace) -> Figures:
    """Nine files of /proc read once a second in a process that sleeps; its CPU time, extrapolated to a minute."""
    paths = [Path("/proc") / name for name in _READ]
    seconds = work.count(20, 4)
    began = time.process_time()
    for _ in range(seconds):
        for path in paths:
            path.read_bytes()
        time.sleep(1)
    used = _per_minute(time.process_time() - began, seconds)
    return {"sampler": used, "tracker": used, "process": used}


@measure(
    "sampling",
    Line("system metrics at 1 Hz, sampler's thread", "s/min", "sampler", at_most=0.1),
    Line("  … and shipping and forcing to disk, threads", "s/min", "tracker", at_most=0.1),
    Line("  … whole process", "s/min", "process", at_most=0.1),
    Line("  … series", "", "series"),
    limit=read_proc,
    repeats=3,
    warm_up=False,
)
def sampling(work: Workplace) -> Figures:
    """A run that logs nothing, open for 20 s with everything on: CPU time, extrapolated to a minute (times 3).

    Of the sampler's thread, of all threads of the tracker as ``run.health.tracker_cpu_s`` has it, and of the whole
    process, whose main thread sleeps. The 2.5 s before, with imports, capture and first samples, are not counted.
    """
    import mlfoundry

    run = mlfoundry.get_client(work.folder / "store", user="ann").create_run("demo", "sampled")
    time.sleep(SETTLING_S)
    seconds = work.count(20, 4)
    sampler = run._observation
    before = sampler.cpu_s, run.health.tracker_cpu_s, time.process_time()
    time.sleep(seconds)
    after = sampler.cpu_s, run.health.tracker_cpu_s, time.process_time()
    used = [_per_minute(later - earlier, seconds) for earlier, later in zip(before, after, strict=True)]
    series = len(run.get_system_metrics())
    return {"sampler": used[0], "tracker": used[1], "process": used[2], "series": float(series)}
