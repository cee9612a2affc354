"""A fresh process for one probe: ``python -m benchmarks.child MODULE FUNCTION FOLDER PREPARED QUICK``.

It imports nothing but the probe's module, and the probes import what they measure themselves: what is loaded
already costs nothing to load. The figures go to the last line of its output, as JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.registry import Figures, Workplace

ROOT = Path(__file__).resolve().parent.parent
LONGEST_S = 600.0


class ProbeFailed(Exception):
    """A probe's process ended without figures; the message holds its last words."""


def in_fresh_process(module: str, function: str, *, folder: Path, prepared: Path, quick: bool) -> Figures:
    """Run a probe in a process of its own.

    Args:
        module: Where the probe is.
        function: Its name.
        folder: Where the process gets an empty folder of its own, removed afterwards.
        prepared: What the probe may read.
        quick: See `Workplace`.

    Raises:
        ProbeFailed: It gave no figures.
    """
    with tempfile.TemporaryDirectory(dir=folder) as own:
        command = [sys.executable, "-m", "benchmarks.child", module, function, own, str(prepared), str(int(quick))]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFOUNDRY_")}
        environment["MLFOUNDRY_HOME"] = own
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LONGEST_S, check=False
        )
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        raise ProbeFailed(f"{module}.{function} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    figures: Figures = json.loads(lines[-1])
    return figures


def main(module: str, function: str, folder: str, prepared: str, quick: str) -> None:
    """Run one probe, or one `prepare`, and print its figures."""
    work = getattr(importlib.import_module(module), function)
    if function.startswith("prepare_"):
        work(Path(prepared), bool(int(quick)))
        print("{}")
    else:
        print(json.dumps(work(Workplace(Path(folder), Path(prepared), bool(int(quick))))))


if __name__ == "__main__":
    main(*sys.argv[1:])
