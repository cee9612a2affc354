"""The whole machine: processors, memory, swap, disk, network.

Owns which series a machine has and how percentages are made of counters. Where the numbers come from is a
`Machine`: `linux.LinuxMachine` where there is a /proc, else `portable.PsutilMachine`.
In a container these are the host's numbers; `container` has the limits that count there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from mlfoundry.system_metrics.source import Counters, Pair, Reading, Source

ALL_CORES = "all"


class Machine(Protocol):
    """Raw numbers of a machine. Each call reads anew, and raises when it cannot."""

    def cpu_times(self) -> Mapping[str, Pair]:
        """Give busy and total seconds since boot (any unit), by core number and for `ALL_CORES`."""

    def load(self) -> float:
        """Give the mean number of tasks that ran or waited during the last minute."""

    def memory(self) -> tuple[int, int]:
        """Give total and available bytes of memory."""

    def swap(self) -> tuple[int, int]:
        """Give total and used bytes of swap; total 0 is a machine without it."""

    def disk_space(self, path: str) -> tuple[int, int]:
        """Give bytes in use, and bytes that a user may still write, on the file system of a path."""

    def disk_bytes(self) -> Mapping[str, Pair]:
        """Give bytes read and written since boot, by disk; nothing is counted twice."""

    def network_bytes(self) -> Mapping[str, Pair]:
        """Give bytes sent and received since boot, by interface, without loopback."""


class Host(Source):
    """Series of the whole machine.

    Args:
        machine: Where the numbers come from.
        path: A path on the file system to watch; default the working directory at this moment.
        max_cores: A machine with more cores than this gives no series per core: nobody can tell 256
            lines apart, and they would be 22 million points a day.
    """

    name = "host"

    def __init__(self, machine: Machine, *, path: str | None = None, max_cores: int = 64) -> None:
        super().__init__()
        self._machine = machine
        self._path = str(Path.cwd()) if path is None else path
        self._max_cores = max_cores
        self._cpu, self._disk, self._network = Counters(), Counters(), Counters()

    def readings(self) -> Iterable[tuple[str, Reading]]:
        """List the readings of one sample."""
        return (
            ("cpu", self._read_cpu),
            ("load", lambda: {"system/cpu/load_1min": self._machine.load()}),
            ("memory", self._read_memory),
            ("swap", self._read_swap),
            ("disk_space", self._read_disk_space),
            ("disk", self._read_disk),
            ("network", self._read_network),
        )

    def _read_cpu(self) -> dict[str, float]:
        grown, _ = self._cpu.growth(self._machine.cpu_times(), self._at_s)
        found = {}
        for core, (busy, total) in grown.items():
            if total <= 0:
                continue
            percent = min(100.0, 100.0 * busy / total)
            if core == ALL_CORES:
                found["system/cpu/percent"] = percent
            elif len(grown) <= self._max_cores + 1:
                found[f"system/cpu/core/{core}/percent"] = percent
        return found

    def _read_memory(self) -> dict[str, float]:
        total, available = self._machine.memory()
        return {
            "system/memory/total_bytes": total,
            "system/memory/available_bytes": available,
            "system/memory/used_bytes": total - available,
            "system/memory/percent": 100.0 * (total - available) / total,
        }

    def _read_swap(self) -> dict[str, float]:
        total, used = self._machine.swap()
        if total == 0:
            return {}
        return {"system/swap/used_bytes": used, "system/swap/percent": 100.0 * used / total}

    def _read_disk_space(self) -> dict[str, float]:
        used, free = self._machine.disk_space(self._path)
        if used + free == 0:
            return {}
        return {"system/disk/used_bytes": used, "system/disk/percent": 100.0 * used / (used + free)}

    def _read_disk(self) -> dict[str, float]:
        rate = self._disk.per_second(self._machine.disk_bytes(), self._at_s)
        if rate is None:
            return {}
        return {"system/disk/read_bytes_per_s": rate[0], "system/disk/written_bytes_per_s": rate[1]}

    def _read_network(self) -> dict[str, float]:
        rate = self._network.per_second(self._machine.network_bytes(), self._at_s)
        if rate is None:
            return {}
        return {"system/network/sent_bytes_per_s": rate[0], "system/network/received_bytes_per_s": rate[1]}
