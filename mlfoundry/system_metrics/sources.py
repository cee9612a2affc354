"""Which sources this system has.

Owns the choice between /proc and psutil, and the order of sampling: the process tree comes before the GPUs,
which look for its process ids. The sampler's thread imports this module, nobody else: it is not free.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence

from mlfoundry.system_metrics.container import Container
from mlfoundry.system_metrics.descendants import ProcTree
from mlfoundry.system_metrics.gpu import Gpu
from mlfoundry.system_metrics.host import Host
from mlfoundry.system_metrics.linux import LinuxMachine
from mlfoundry.system_metrics.portable import PsutilMachine, PsutilTree
from mlfoundry.system_metrics.process import Process
from mlfoundry.system_metrics.source import Counted, Failure, Source


def find_sources(
    pid: int, failures: dict[str, Failure], *, has_proc: bool = sys.platform == "linux"
) -> Sequence[Source]:
    """Make the sources of this system.

    Args:
        pid: The root of the process tree.
        failures: Where a source that cannot be made is counted; the others are made all the same.
        has_proc: Whether to read /proc; psutil is imported otherwise, and only then.

    Returns:
        The sources, in the order in which they are to be sampled.
    """
    found: list[Source] = []

    def host() -> Source:
        return Host(LinuxMachine() if has_proc else PsutilMachine(importlib.import_module("psutil")))

    def process() -> Source:
        tree = ProcTree(pid) if has_proc else PsutilTree(importlib.import_module("psutil"), pid)
        return Process(tree, cores=os.cpu_count())

    def gpu() -> Source:
        tree = next((source for source in found if isinstance(source, Process)), None)
        return Gpu() if tree is None else Gpu(lambda: tree.pids)

    makers: list[tuple[str, Callable[[], Source]]] = [("host", host), ("process", process), ("gpu", gpu)]
    if has_proc:
        makers.insert(2, ("container", Container))
    for name, make in makers:
        with Counted(failures, name):
            found.append(make())
    return tuple(found)
