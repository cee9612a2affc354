"""Other trackers at the same work, as far as a Python has them: one process each, in one table.

Each logs to a folder of its own, offline, with its defaults otherwise; "stored" is when its own end has returned.
What is measured beside MLFoundry is the contract of its users, not the quality of its code.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.child import ROOT
from benchmarks.clock import percentiles_us
from benchmarks.results import figure

LONGEST_S = 300

# name: (module, how a run begins, how one point is logged, how it ends)
PEERS = {
    "mlfoundry": (
        "mlfoundry",
        "run = peer.get_client(folder, user='ann').create_run('demo')",
        "run.log_metrics({'loss': 0.5}, step=i)",
        "run.flush(); run.end()",
    ),
    "trackio": ("trackio", "run = peer.init(project='demo')", "peer.log({'loss': 0.5}, step=i)", "peer.finish()"),
    "tensorboardX": (
        "tensorboardX",
        "run = peer.SummaryWriter(folder)",
        "run.add_scalar('loss', 0.5, i)",
        "run.close()",
    ),
    "dvclive": (
        "dvclive",
        "run = peer.Live(folder, save_dvc_exp=False, report=None)",
        "run.log_metric('loss', 0.5); run.next_step()",
        "run.end()",
    ),
}
_SCRIPT = """
import importlib, json, sys, time
folder = sys.argv[1]
began = time.perf_counter()
peer = importlib.import_module({module!r})
imported = time.perf_counter()
{begin}
opened = time.perf_counter()
samples, clock = [], time.perf_counter_ns
started = time.perf_counter()
for i in range({count}):
    before = clock()
    {log}
    samples.append(clock() - before)
{end}
stored = {count} / (time.perf_counter() - started)
print("\\n" + json.dumps([samples, 1e3 * (imported - began), 1e3 * (opened - imported), stored]))
"""


def table(python: str, place: Path, *, quick: bool) -> str:
    """Measure every peer that a Python can import; return the lines of a table."""
    count = 2_000 if quick else 10_000
    lines = [
        f"peers: {count:,} points of one key, one process each",
        f"{'':14}{'import ms':>12}{'begin ms':>12}{'log p50 µs':>12}{'log p99 µs':>12}{'stored points/s':>17}",
    ]
    lines += [f"{name:14}{_measured(name, python, place, count)}" for name in PEERS]
    return "\n".join(lines)


def _measured(name: str, python: str, place: Path, count: int) -> str:
    module, begin, log, end = PEERS[name]
    script = _SCRIPT.format(module=module, begin=begin, log=log, end=end, count=count)
    with tempfile.TemporaryDirectory(dir=place) as folder:
        own = {
            "HOME": folder,
            "MLFOUNDRY_HOME": folder,
            "TRACKIO_DIR": folder,
            "HF_HUB_OFFLINE": "1",
            "DVC_NO_ANALYTICS": "1",
        }
        if name == "mlfoundry":
            own["PYTHONPATH"] = str(ROOT)  # the peers do not get it: their Python is not ours
        try:
            done = subprocess.run(
                [sys.executable if name == "mlfoundry" else python, "-c", script, folder],
                cwd=folder,
                env={**os.environ, **own},
                capture_output=True,
                text=True,
                timeout=LONGEST_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"  skipped: {error}"
    if done.returncode:
        return f"  skipped: {done.stderr.strip().splitlines()[-1][:100]}"
    samples, imported, opened, stored = json.loads(done.stdout.splitlines()[-1])
    calls = percentiles_us(samples)
    return "".join(
        figure(value).rjust(width)
        for value, width in zip(
            (imported, opened, calls["p50"], calls["p99"], stored), (12, 12, 12, 12, 17), strict=True
        )
    )
