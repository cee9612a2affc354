"""Who belongs to a process tree on Linux, read from /proc at little cost.

Owns the search for descendants. Two ways give the same answer; the cheaper one of the moment is taken:

* list /proc, and read the parent of each process that was not there before: a process that is no descendant
  never becomes one. Not even that while the last id given out, which loadavg tells, is still the same;
* follow ``task/*/children`` (kernels with CONFIG_PROC_CHILDREN), one file per *thread* of the tree: better
  for a small tree on a host with thousands of processes.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from mlfoundry.system_metrics.process import ProcessState
from mlfoundry.system_metrics.procfs import count_open_files, exists, names, read

# Ids are used again: a known stranger is looked at anew after this many listings.
_FORGET_STRANGERS_AFTER = 60

# What loadavg tells may be made up (lxcfs), so it is believed for this many snapshots only.
_LIST_AGAIN_AFTER = 10

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

    def __init__(self, pid: int, *, proc: str = "/proc", since_boot_s: Callable[[], float] = _since_boot_s) -> None:
        self._pid = pid
        self._proc = proc
        self._since_boot_s = since_boot_s
        self._tick_s = 1.0 / os.sysconf("SC_CLK_TCK")
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")
        self._strangers: set[str] = set()
        self._listings = 0
        self._members: set[str] = set()
        self._last_id = b""
        self._unlisted = 0
        self._listed = 0
        self._threads = 0
        self._has_children_files = exists(f"{proc}/{pid}/task/{pid}/children")

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
        return count_open_files(self._proc, pid)

    def _by_listing(self, root: ProcessState, now_s: float) -> list[ProcessState]:
        """Find the tree in the list of all processes, which is read again when there are new ones."""
        last_id = self._last_id_given()
        if last_id and last_id == self._last_id and self._unlisted < _LIST_AGAIN_AFTER:
            self._unlisted += 1
            return self._descend(root, self._members, now_s)[0]
        self._last_id, self._unlisted = last_id, 0
        listed = set(names(self._proc))
        self._listed = len(listed)
        self._listings += 1
        if self._listings % _FORGET_STRANGERS_AFTER == 0:
            self._strangers.clear()
        tree, others = self._descend(root, listed - self._strangers, now_s)
        # A parent that is not listed was perhaps born while the folder was read: ask again next time.
        unsure = {
            str(state.pid)
            for parent, states in others.items()
            if parent and str(parent) not in listed
            for state in states
        }
        if unsure:
            self._last_id = b""
        self._members = {str(state.pid) for state in tree}
        self._strangers = listed - unsure - self._members
        return tree

    def _last_id_given(self) -> bytes:
        try:
            return read(f"{self._proc}/loadavg").split()[4]
        except (OSError, IndexError):
            return b""

    def _descend(
        self, root: ProcessState, candidates: Iterable[str], now_s: float
    ) -> tuple[list[ProcessState], dict[int, list[ProcessState]]]:
        """Read candidates, and part them into the tree and, by parent, all others."""
        by_parent: dict[int, list[ProcessState]] = {}
        for name in candidates:
            if name.isdigit() and name != str(self._pid) and (state := self._find_state(name, now_s)):
                by_parent.setdefault(state.parent, []).append(state)
        tree = [root]
        for state in tree:
            tree.extend(by_parent.pop(state.pid, ()))
        return tree, by_parent

    def _by_children(self, root: ProcessState, now_s: float) -> list[ProcessState]:
        """Find the tree from parent to child, where the kernel tells the children."""
        tree = {root.pid: root}
        waiting = deque([root])
        while waiting:
            folder = f"{self._proc}/{waiting.popleft().pid}/task"
            try:
                threads = names(folder)
            except OSError:  # it has ended meanwhile
                continue
            for thread in threads:
                try:
                    children = read(f"{folder}/{thread}/children").split()
                except OSError:  # as above
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
        """Return what the kernel tells of a process."""
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
            size_bytes=int(field[20]),
        )
