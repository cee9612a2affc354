"""What a container, or any limited control group, allows the run and how near it is to the limits.

Owns the reading of cgroup v1, v2 and both together (hybrid). Linux only. Memory in use is the *working set*:
without file pages that the kernel can drop at once, which is what the limit is about. A limit may sit on any
ancestor; the smallest counts, and use is read at the level where that limit sits.
Silent without a limit, unless the control group is a container's own: then memory in use is told.
Formats: https://docs.kernel.org/admin-guide/cgroup-v2.html and .../cgroup-v1/.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass

from mlfoundry.system_metrics.procfs import exists, read, read_table
from mlfoundry.system_metrics.source import Counters, Reading, Source

# v1 writes "no limit" as the largest number of whole pages.
_NO_LIMIT_BYTES = 1 << 60

# A process may be moved to another group; groups are looked up anew after this long.
_LOOK_AGAIN_AFTER_S = 60.0


@dataclass(frozen=True, slots=True)
class Group:
    """The control group of the process for one controller.

    Attributes:
        folders: Its folder and those of its ancestors, innermost first, as far as they can be seen.
        version: 1 or 2.
        own: Whether the visible hierarchy begins at this group, as it does in a container.
    """

    folders: tuple[str, ...]
    version: int
    own: bool


def find_groups(proc: str, root: str) -> dict[str, Group]:
    """Look up the control groups of this process.

    Args:
        proc: Where /proc is.
        root: Where the file systems of ``proc``'s mountinfo are, normally ``/``.

    Returns:
        Groups by controller (``memory``, ``cpu``, ``cpuacct``); controllers that are nowhere are absent.

    Raises:
        OSError: /proc has no cgroup or mountinfo file.
    """
    paths = {}
    for line in read(f"{proc}/self/cgroup").decode(errors="surrogateescape").splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path
    groups: dict[str, Group] = {}
    for line in read(f"{proc}/self/mountinfo").decode(errors="surrogateescape").splitlines():
        mount, _, kind = line.partition(" - ")
        top, point = (_unescaped(word) for word in mount.split()[3:5])
        fstype, *_, options = kind.split()
        # A controller that v1 has is not in v2, so v2 only fills the gaps.
        if fstype == "cgroup":
            for controller in {"memory", "cpu", "cpuacct"} & set(options.split(",")) & paths.keys():
                groups.setdefault(controller, _group(root + point, top, paths[controller], version=1))
        elif fstype == "cgroup2" and "" in paths:
            group = _group(root + point, top, paths[""], version=2)
            for controller in ("memory", "cpu"):
                if controller not in paths:
                    groups.setdefault(controller, group)
    return groups


def _group(point: str, top: str, path: str, *, version: int) -> Group:
    point = posixpath.normpath(point)
    inside = path if top == "/" else posixpath.relpath(path, top)
    # A path outside of what is mounted (another namespace's view) leaves the mount itself as the best guess.
    folder = posixpath.normpath(f"{point}/{inside}")
    if ".." in f"{path}/{inside}".split("/") or not exists(folder):
        folder = point
    folders = [folder]
    while folders[-1] != point and len(folders[-1]) > len(point):
        folders.append(posixpath.dirname(folders[-1]))
    own = folder == point and (top != "/" or exists(f"{point}/cgroup.type"))
    return Group(tuple(folders), version, own)


def _unescaped(word: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), word)


class Container(Source):
    """Series of the limits that the control groups of this process set.

    Args:
        proc: Where /proc is.
        root: The folder that the mount points are under.
    """

    name = "container"

    def __init__(self, *, proc: str = "/proc", root: str = "") -> None:
        super().__init__()
        self._proc = proc
        self._root = root
        self._groups: dict[str, Group] | None = None
        self._found_at_s = 0.0
        self._counters: dict[str, Counters] = {}

    def readings(self) -> Iterable[tuple[str, Reading]]:
        """List the readings of one sample; none where no control group is to be seen."""
        if self._groups is None or not 0.0 <= self._at_s - self._found_at_s < _LOOK_AGAIN_AFTER_S:
            yield "groups", self._look
        groups = self._groups or {}
        if "memory" in groups:
            yield "memory", lambda: self._read_memory(groups["memory"])
        if "cpu" in groups:
            yield "cpu", lambda: self._read_cpu(groups["cpu"])

    def _look(self) -> dict[str, float]:
        self._groups, self._found_at_s = None, self._at_s
        self._groups = find_groups(self._proc, self._root)
        return {}

    def _read_memory(self, group: Group) -> dict[str, float]:
        limited = [(limit, folder) for folder in group.folders if (limit := _memory_limit(folder, group.version))]
        if not limited:
            if not group.own or not exists(f"{group.folders[0]}/memory.stat"):
                return {}
            return {"system/container/memory_used_bytes": _working_set(group.folders[0], group.version)}
        limit, folder = min(limited, key=lambda pair: pair[0])
        used = _working_set(folder, group.version)
        return {
            "system/container/memory_limit_bytes": limit,
            "system/container/memory_used_bytes": used,
            "system/container/memory_percent": 100.0 * used / limit,
        }

    def _read_cpu(self, group: Group) -> dict[str, float]:
        limited = [(cores, folder) for folder in group.folders if (cores := _cpu_limit(folder, group.version))]
        if not limited:
            return {}
        cores, folder = min(limited, key=lambda pair: pair[0])
        found = {"system/container/cpu_limit_cores": cores}
        # Kept by folder: another group's counters have nothing to do with these.
        counters = self._counters.setdefault(folder, Counters())
        rate = counters.per_second({folder: self._cpu_seconds(folder, group)}, self._at_s)
        if rate is not None:
            found["system/container/cpu_percent"] = 100.0 * rate[0] / cores
            found["system/container/cpu_throttled_s_per_s"] = rate[1]
        return found

    def _cpu_seconds(self, folder: str, group: Group) -> tuple[float, float]:
        """Give CPU seconds spent and seconds throttled since the group was made."""
        stat = read_table(f"{folder}/cpu.stat")
        if group.version == 2:
            return stat[b"usage_usec"] / 1e6, stat[b"throttled_usec"] / 1e6
        # The accounting controller may be mounted elsewhere, with the same groups inside.
        accounting = (self._groups or {})["cpuacct"]
        level = group.folders.index(folder)
        spent_ns = int(read(f"{accounting.folders[min(level, len(accounting.folders) - 1)]}/cpuacct.usage"))
        return spent_ns / 1e9, stat[b"throttled_time"] / 1e9


def _memory_limit(folder: str, version: int) -> int | None:
    text = _text(f"{folder}/memory.max" if version == 2 else f"{folder}/memory.limit_in_bytes")
    if text in (None, "max"):
        return None
    limit = int(text or "")
    return limit if 0 < limit < _NO_LIMIT_BYTES else None


def _working_set(folder: str, version: int) -> int:
    stat = read_table(f"{folder}/memory.stat")
    if version == 2:
        return max(0, int(read(f"{folder}/memory.current")) - stat[b"inactive_file"])
    return max(0, int(read(f"{folder}/memory.usage_in_bytes")) - stat[b"total_inactive_file"])


def _cpu_limit(folder: str, version: int) -> float | None:
    """Give the cores that a level allows, None for all of them."""
    if version == 2:
        quota, period = (_text(f"{folder}/cpu.max") or "max 1").split()
    else:
        quota = _text(f"{folder}/cpu.cfs_quota_us") or "-1"
        period = _text(f"{folder}/cpu.cfs_period_us") or "1"
    if quota == "max" or int(quota) <= 0:
        return None
    return int(quota) / int(period)


def _text(path: str) -> str | None:
    """Read a file that need not be there: the root group has no limits."""
    try:
        return read(path).decode().strip()
    except FileNotFoundError:
        return None
