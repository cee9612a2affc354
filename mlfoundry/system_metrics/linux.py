"""A machine's numbers on Linux, straight from /proc: about a fifth of what psutil spends on the same.

Owns the formats of /proc/stat, meminfo, loadavg, diskstats and net/dev (proc(5)) and which disks and
network interfaces count. `host` makes series of it.
"""

from __future__ import annotations

import os

from mlfoundry.system_metrics.host import ALL_CORES
from mlfoundry.system_metrics.procfs import exists, names, read, read_table
from mlfoundry.system_metrics.source import Pair

_SECTOR_BYTES = 512

# Layers over other disks, or no disks at all: their bytes are counted below them, or never reach a disk.
_NOT_A_DISK = ("loop", "ram", "zram", "dm-", "md", "fd", "sr")


class LinuxMachine:
    """The raw numbers of a Linux machine; satisfies `host.Machine`.

    Args:
        proc: Where /proc is.
        sys: Where /sys is.
    """

    def __init__(self, *, proc: str = "/proc", sys: str = "/sys") -> None:
        self._proc = proc
        self._sys = sys
        self._is_disk: dict[str, bool] = {}
        self._meminfo: dict[bytes, int] | None = None
        self._interfaces: frozenset[str] = frozenset()
        self._physical: frozenset[str] = frozenset()

    def cpu_times(self) -> dict[str, Pair]:
        """Give busy and total clock ticks since boot, by core and for all; waiting for disks is idle."""
        times = {}
        for line in read(f"{self._proc}/stat").splitlines():
            if not line.startswith(b"cpu"):
                break
            name, *words = line.split()
            # Guest time, the ninth and tenth number, is part of user time already.
            ticks = [int(word) for word in words[:8]]
            idle = ticks[3] + (ticks[4] if len(ticks) > 4 else 0)
            times[name[3:].decode() or ALL_CORES] = (float(sum(ticks) - idle), float(sum(ticks)))
        return times

    def load(self) -> float:
        """Give the load average of the last minute."""
        return float(read(f"{self._proc}/loadavg").split()[0])

    def memory(self) -> tuple[int, int]:
        """Give total and available bytes of memory; available is the kernel's own estimate."""
        self._meminfo = None
        self._meminfo = table = read_table(f"{self._proc}/meminfo")
        return table[b"MemTotal"] * 1024, table[b"MemAvailable"] * 1024

    def swap(self) -> tuple[int, int]:
        """Give total and used bytes of swap, of the same moment as the memory that was asked for before."""
        table, self._meminfo = self._meminfo or read_table(f"{self._proc}/meminfo"), None
        return table[b"SwapTotal"] * 1024, (table[b"SwapTotal"] - table[b"SwapFree"]) * 1024

    def disk_space(self, path: str) -> tuple[int, int]:
        """Give used and writable bytes, as ``df`` does: what is kept for root is neither."""
        space = os.statvfs(path)
        return (space.f_blocks - space.f_bfree) * space.f_frsize, space.f_bavail * space.f_frsize

    def disk_bytes(self) -> dict[str, Pair]:
        """Give bytes read and written by whole disk; partitions and layers over disks do not count."""
        moved: dict[str, Pair] = {}
        for line in read(f"{self._proc}/diskstats").splitlines():
            field = line.split()
            name = field[2].decode()
            if name not in self._is_disk:
                self._is_disk[name] = self._counts_as_disk(name)
            if self._is_disk[name]:
                moved[name] = (int(field[5]) * _SECTOR_BYTES, int(field[9]) * _SECTOR_BYTES)
        return moved

    def network_bytes(self) -> dict[str, Pair]:
        """Give bytes sent and received by interface.

        Hardware interfaces alone where there are any, since bridges, bonds and tunnels move the same bytes
        once more; all but loopback where there are none, as in most containers.
        """
        moved: dict[str, Pair] = {}
        for line in read(f"{self._proc}/net/dev").splitlines():
            name, colon, numbers = line.rpartition(b":")
            field = numbers.split()
            if colon and name.strip() != b"lo":
                moved[name.strip().decode()] = (int(field[8]), int(field[0]))
        if moved.keys() != self._interfaces:
            self._interfaces = frozenset(moved)
            self._physical = frozenset(filter(self._has_hardware, moved)) or self._interfaces
        return {name: pair for name, pair in moved.items() if name in self._physical}

    def _counts_as_disk(self, name: str) -> bool:
        if name.startswith(_NOT_A_DISK):
            return False
        return name.replace("/", "!") in names(f"{self._sys}/block")

    def _has_hardware(self, name: str) -> bool:
        return exists(f"{self._sys}/class/net/{name}/device")
