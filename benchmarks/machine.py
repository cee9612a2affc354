"""The machine that measures, in words: figures without it mean nothing."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path


def load() -> float:
    """Return the load average of the last minute; nan where the system has none."""
    try:
        return os.getloadavg()[0]
    except OSError:
        return float("nan")


def describe() -> dict[str, str]:
    """Return what the figures depend on: processor, cores, memory, system, Python and the tracker."""
    import apsw
    import numpy as np

    import mlfoundry

    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}, numpy {np.__version__}",
        "store": f"SQLite {apsw.sqlite_lib_version()}",
        "mlfoundry": mlfoundry.__version__,
    }


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
