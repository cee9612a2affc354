"""What an open run takes of the memory of its process."""

from __future__ import annotations

import json
import subprocess
import sys

from benchmarks.child import ROOT
from benchmarks.registry import Figures, Line, Workplace, measure

_MEMORY = """
import time
def megabytes():
    with open("/proc/self/smaps_rollup") as file:
        fields = dict(line.split()[:2] for line in file.readlines()[1:])
    return {"rss": int(fields["Rss:"]) / 1024, "pss": int(fields["Pss:"]) / 1024}
"""
_BARE = "print(megabytes())"
_IMPORTS = "import numpy, apsw\nprint(megabytes())"
_RUN = """
import mlfoundry
run = mlfoundry.get_client({store!r}, user="ann").create_run("demo", "svm")
found = []
def log(start, stop):
    for step in range(start, stop):
        run.log_metrics({{"loss": 0.5}}, step=step)
    run.flush()
log(0, 1000)
time.sleep({wait})
found.append(megabytes())
for part in range(2):
    log(1000 + part * {half}, 1000 + (part + 1) * {half})
    time.sleep(2)
    found.append(megabytes())
run.end()
print(found)
"""


def _python(code: str) -> str:
    """Return what a bare Python prints that runs some code."""
    done = subprocess.run([sys.executable, "-c", _MEMORY + code], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.replace("'", '"')


def numpy_and_sqlite(work: Workplace) -> Figures:  # noqa: ARG001
    """``import numpy, apsw`` over bare Python: what arrays and a store take without a tracker."""
    bare, loaded = json.loads(_python(_BARE)), json.loads(_python(_IMPORTS))
    return {"rss": loaded["rss"] - bare["rss"], "pss": loaded["pss"] - bare["pss"]}


@measure(
    "memory",
    Line("memory of an open run over bare Python, RSS", "MB", "rss", at_most=40),
    Line("  … PSS", "MB", "pss", at_most=40),
    Line("  … growth over 1M points, RSS", "MB", "grown"),
    Line("  … growth over their second half, RSS", "MB", "grown_later", at_most=5),
    limit=numpy_and_sqlite,
    repeats=3,
    warm_up=False,
)
def memory(work: Workplace) -> Figures:
    """Memory (MiB) of ``python -c`` with a run open, everything on, 3 s old and with 1,000 points, less bare Python's.

    RSS counts shared pages whole, PSS by their share. Then a million points (100,000 when quick) without a pause,
    stored, 2 s later. "Flat" is taken to mean that their second half adds less than 5 MB, 10 bytes a point: the
    allocator keeps and returns pieces of that order from batch to batch.
    """
    half = work.count(500_000, 50_000)
    bare = json.loads(_python(_BARE))
    opened, halfway, full = json.loads(
        _python(_RUN.format(store=str(work.folder / "store"), half=half, wait=work.count(3, 1)))
    )
    return {
        "rss": opened["rss"] - bare["rss"],
        "pss": opened["pss"] - bare["pss"],
        "grown": full["rss"] - opened["rss"],
        "grown_later": full["rss"] - halfway["rss"],
    }
