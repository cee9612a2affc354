"""The host and the process tree through psutil, for systems without /proc: macOS, Windows, the BSDs.

Owns every call to psutil. Its numbers are tested on Linux, where psutil works as well and the other way to
the same numbers is at hand; on macOS and Windows it is not tested.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from mlfoundry.system_metrics.host import ALL_CORES
from mlfoundry.system_metrics.process import ProcessState
from mlfoundry.system_metrics.source import Pair

_LOOPBACK = ("lo", "lo0", "Loopback")


class PsutilMachine:
    """The raw numbers of a machine; satisfies `host.Machine`.

    Args:
        psutil: The module.
    """

    def __init__(self, psutil: Any) -> None:
        self._psutil = psutil

    def cpu_times(self) -> dict[str, Pair]:
        """Give busy and total seconds since boot, by core and for all."""
        cores = [_busy_and_total(times) for times in self._psutil.cpu_times(percpu=True)]
        found = {str(core): pair for core, pair in enumerate(cores)}
        found[ALL_CORES] = (sum(pair[0] for pair in cores), sum(pair[1] for pair in cores))
        return found

    def load(self) -> float:
        """Give the load average of the last minute."""
        return float(self._psutil.getloadavg()[0])

    def memory(self) -> tuple[int, int]:
        """Give total and available bytes of memory."""
        memory = self._psutil.virtual_memory()
        return memory.total, memory.available

    def swap(self) -> tuple[int, int]:
        """Give total and used bytes of swap."""
        swap = self._psutil.swap_memory()
        return swap.total, swap.used

    def disk_space(self, path: str) -> tuple[int, int]:
        """Give used and writable bytes of the file system of a path."""
        space = self._psutil.disk_usage(path)
        return space.used, space.free

    def disk_bytes(self) -> dict[str, Pair]:
        """Give bytes read and written by disk; empty on a machine without disks."""
        disks = self._psutil.disk_io_counters(perdisk=True, nowrap=False)
        return {name: (disk.read_bytes, disk.write_bytes) for name, disk in disks.items()}

    def network_bytes(self) -> dict[str, Pair]:
        """Give bytes sent and received by interface, without loopback."""
        cards = self._psutil.net_io_counters(pernic=True, nowrap=False)
        return {
            name: (card.bytes_sent, card.bytes_recv)
            for name, card in cards.items()
            if not (name in _LOOPBACK or name.startswith("Loopback"))
        }


class PsutilTree:
    """A process and its descendants; satisfies `process.Tree`.

    Args:
        psutil: The module.
        pid: The root of the tree.
    """

    def __init__(self, psutil: Any, pid: int) -> None:
        self._psutil = psutil
        self._root = psutil.Process(pid)

    def snapshot(self) -> Sequence[ProcessState]:
        """Read the tree as it is now; a process that ends meanwhile, or may not be seen, is left out."""
        now = time.time()
        states = [_state(process, now) for process in (self._root, *self._root.children(recursive=True))]
        if states[0] is None:
            raise self._psutil.NoSuchProcess(self._root.pid)
        return [state for state in states if state is not None]

    def open_files(self, pid: int) -> int:
        """Count the open files of a process; on Windows its handles."""
        process = self._psutil.Process(pid)
        return int(process.num_fds() if hasattr(process, "num_fds") else process.num_handles())


def _busy_and_total(times: Any) -> Pair:
    # Linux counts guest time in user time too.
    total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    return total - times.idle - getattr(times, "iowait", 0.0), total


def _state(process: Any, now: float) -> ProcessState | None:
    """Read one process; None when it is not to be had at all, None in a field that it does not tell."""
    with suppress(Exception), process.oneshot():  # it may end while it is asked, and each system fails in its way
        created = float(process.create_time())
        times = _told(process.cpu_times)
        memory = _told(process.memory_info)
        return ProcessState(
            pid=process.pid,
            parent=_told(process.ppid) or 0,
            started=created,
            age_s=now - created,
            cpu_s=None if times is None else times.user + times.system,
            reaped_cpu_s=0.0 if times is None else _reaped_s(times),
            rss_bytes=None if memory is None else memory.rss,
            threads=_told(process.num_threads),
            alive=_told(process.status) not in ("zombie", "dead"),
        )
    return None


def _told(ask: Callable[[], Any]) -> Any:
    with suppress(Exception):  # as above
        return ask()
    return None


def _reaped_s(times: Any) -> float:
    return float(getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0))
