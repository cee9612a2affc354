"""Who belongs to a process tree on Linux, read from /proc at little cost.

Owns the search for descendants. Two ways give the same answer; the cheaper one of the moment is taken:

* list /proc, and read the parent of each process that was not there before. Nearly free with few new
  processes, since a process that is no descendant never becomes one;
* follow ``task/*/children`` (kernels with CONFIG_PROC_CHILDREN), one file per *thread* of the tree: better
  for a small tree on a host with thousands of processes.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Sequence

from mlfoundry.system_metrics.process import ProcessState
from mlfoundry.system_metrics.procfs import read

# Ids are used again: a known stranger is looked at anew after this many listings.
_FORGET_STRANGERS_AFTER = 60

# Reading one children file costs about as much as listing this many processes.
_LISTED_PER_FILE = 16


def _since_boot_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class ProcTree:
    """A process and its descendants, from /proc.

    Args:
        pid: The root of the tree.
        proc: Where /proc is.
        since_boot_s: Gives seconds since boot, in the time that start times of processes are given in.
    """

    def __init__(
        self, pid: int, *, proc: str = "/proc", since_boot_s: Callable[[], float] = _since_boot_s
    ) -> None:
        self._pid = pid
        self._proc = proc
        self._since_boot_s = since_boot_s
        self._tick_s = 1.0 / os.sysconf("SC_CLK_TCK")
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")
        self._strangers: set[str] = set()
        self._listings = 0
        self._listed = 0
        self._threads = 0
        self._has_children_files = os.path.exists(f"{proc}/{pid}/task/{pid}/children")

    def snapshot(self) -> Sequence[ProcessState]:
        """Read the tree as it is now.

        A process that ends meanwhile, or may not be seen, is left out.

        Returns:
            The states, the root first.

        Raises:
            OSError: The root is gone.
        """
        now_s = self._since_boot_s()
        root = self._state(str(self._pid), now_s)
        follow = self._has_children_files and self._threads * _LISTED_PER_FILE < self._listed
        tree = self._by_children(root, now_s) if follow else self._by_listing(root, now_s)
        self._threads = sum(state.threads or 0 for state in tree)
        if follow:
            self._listings += 1
            if self._listings % _FORGET_STRANGERS_AFTER == 0:
                self._listed = 0
        return tree

    def open_files(self, pid: int) -> int:
        """Count the open files of a process.

        Raises:
            OSError: It is gone, or belongs to another user.
        """
        folder = f"{self._proc}/{pid}/fd"
        # Since Linux 6.2 the size of the folder is the number of files; before, it is 0.
        return os.stat(folder).st_size or len(os.listdir(folder))

    def _by_listing(self, root: ProcessState, now_s: float) -> list[ProcessState]:
        names = os.listdir(self._proc)
        self._listed = len(names)
        self._listings += 1
        if self._listings % _FORGET_STRANGERS_AFTER == 0:
            self._strangers.clear()
        candidates = set(names) - self._strangers
        candidates.discard(str(self._pid))
        by_parent: dict[int, list[ProcessState]] = {}
        for name in candidates:
            if name.isdigit() and (state := self._find_state(name, now_s)):
                by_parent.setdefault(state.parent, []).append(state)
        tree = [root]
        for state in tree:
            tree.extend(by_parent.pop(state.pid, ()))
        self._strangers = set(names) - {str(state.pid) for state in tree}
        return tree

    def _by_children(self, root: ProcessState, now_s: float) -> list[ProcessState]:
        tree = {root.pid: root}
        waiting = deque([root])
        while waiting:
            folder = f"{self._proc}/{waiting.popleft().pid}/task"
            try:
                threads = os.listdir(folder)
            except OSError:
                continue
            for thread in threads:
                try:
                    children = read(f"{folder}/{thread}/children").split()
                except OSError:
                    continue
                for child in children:
                    if int(child) not in tree and (state := self._find_state(child.decode(), now_s)):
                        tree[state.pid] = state
                        waiting.append(state)
        return list(tree.values())

    def _find_state(self, name: str, now_s: float) -> ProcessState | None:
        try:
            return self._state(name, now_s)
        except (OSError, ValueError, IndexError):
            return None

    def _state(self, name: str, now_s: float) -> ProcessState:
        # The second field is the command in parentheses, and may hold spaces and parentheses itself.
        line = read(f"{self._proc}/{name}/stat")
        field = line[line.rindex(b")") + 1 :].split()
        started_s = int(field[19]) * self._tick_s
        return ProcessState(
            pid=int(name),
            parent=int(field[1]),
            started=started_s,
            age_s=now_s - started_s,
            cpu_s=(int(field[11]) + int(field[12])) * self._tick_s,
            reaped_cpu_s=(int(field[13]) + int(field[14])) * self._tick_s,
            rss_bytes=int(field[21]) * self._page_bytes,
            threads=int(field[17]),
            alive=field[0] not in (b"Z", b"X"),
        )
