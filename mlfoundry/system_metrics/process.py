"""The run's own process and everything that it started: workers count.

Owns the sums over the tree and the accounting of CPU seconds of processes that come and go. Who belongs to
the tree comes from a `Tree`: `descendants.ProcTree` where there is a /proc, else `portable.PsutilTree`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol

from mlfoundry.system_metrics.source import Reading, Source

# How long after its birth a process may still be a copy of its parent, on its way to become another program.
_COPY_S = 1.0

# Clock ticks of 10 ms in both the age of a process and its CPU time.
_CLOCK_SLACK_S = 0.05


class ProcessState(NamedTuple):
    """One process at one moment. A number that could not be read is None.

    Attributes:
        pid: Its process id.
        parent: The process id of its parent.
        started: Anything that tells it from an earlier process of the same id.
        age_s: Seconds since it started.
        cpu_s: CPU seconds that it spent itself.
        reaped_cpu_s: CPU seconds of its ended children, theirs included, that it has waited for.
        rss_bytes: Resident memory.
        threads: Number of threads.
        alive: False for a zombie, which still has CPU seconds but nothing else.
        size_bytes: Virtual memory.
    """

    pid: int
    parent: int
    started: float
    age_s: float
    cpu_s: float | None
    reaped_cpu_s: float
    rss_bytes: int | None
    threads: int | None
    alive: bool = True
    size_bytes: int | None = None


class Tree(Protocol):
    """A process and its descendants."""

    def snapshot(self) -> Sequence[ProcessState]:
        """Give the processes that are there now, the root first; raises when the root is gone."""

    def open_files(self, pid: int) -> int:
        """Count the open files of one process; raises when it may not be seen."""


class CpuLedger:
    """CPU seconds that a changing tree of processes spent between two snapshots.

    A process counts from its first sight; one born since the last snapshot counts from its birth. The last
    stretch of one that ended, and the whole of one that came and went unseen, are found in what its parent
    has reaped. Never negative, and never more than all cores can do.
    """

    def __init__(self, *, cores: int | None = None) -> None:
        self._cores = cores or os.cpu_count() or 1
        self._before: dict[int, ProcessState] = {}
        self._at_s = math.inf

    def spent(self, states: Sequence[ProcessState], at_s: float) -> tuple[float, float] | None:
        """Take a snapshot.

        Args:
            states: The tree as it is now.
            at_s: When, in seconds of the source's own time; not later than before means a fresh start.

        Returns:
            CPU seconds since the former snapshot, with the seconds that passed; None at a start.
        """
        now = {state.pid: state for state in states if state.cpu_s is not None}
        before, self._before = self._before, now
        seconds, self._at_s = at_s - self._at_s, at_s
        if not before or not now or not 0.0 < seconds < math.inf:
            return None
        total = 0.0
        reaped: dict[int, float] = {}
        for pid, state in now.items():
            cpu_s = state.cpu_s or 0.0
            former = before.get(pid)
            if former is not None and former.started == state.started:
                total += max(0.0, cpu_s - (former.cpu_s or 0.0))
                reaped[pid] = state.reaped_cpu_s - former.reaped_cpu_s
            elif state.age_s <= seconds + _CLOCK_SLACK_S:
                total += cpu_s
                reaped[pid] = state.reaped_cpu_s
        self._take_off_counted(before, reaped, now)
        total += sum(max(0.0, seconds_reaped) for seconds_reaped in reaped.values())
        return min(total, seconds * self._cores), seconds

    def _take_off_counted(
        self, before: dict[int, ProcessState], reaped: dict[int, float], now: dict[int, ProcessState]
    ) -> None:
        """Subtract what was already counted of each ended process from what its next of kin has reaped."""
        for former in before.values():
            state = now.get(former.pid)
            if state is not None and state.started == former.started:
                continue
            kin = before.get(former.parent)
            seen = {former.pid}
            while kin is not None and kin.pid not in reaped and kin.pid not in seen:
                seen.add(kin.pid)
                kin = before.get(kin.parent)
            if kin is not None and kin.pid in reaped:
                reaped[kin.pid] -= (former.cpu_s or 0.0) + former.reaped_cpu_s


class Process(Source):
    """Series of the run's process tree.

    Args:
        tree: The process and its descendants.
        cores: Number of cores of the machine; default: all that the system has.

    Attributes:
        pids: The process ids of the tree at the latest sample, empty before it.
    """

    name = "process"

    def __init__(self, tree: Tree, *, cores: int | None = None) -> None:
        super().__init__()
        self.pids: frozenset[int] = frozenset()
        self._tree = tree
        self._ledger = CpuLedger(cores=cores)
        self._states: Sequence[ProcessState] = ()

    def readings(self) -> Iterable[tuple[str, Reading]]:
        """List the readings of one sample: first the tree, then what is made of it."""
        self._forget()
        yield "tree", self._read_tree
        if self._states:
            yield "cpu", self._read_cpu
            yield "memory", self._read_memory
            yield "threads", self._read_threads
            yield "open_files", self._read_open_files

    def _forget(self) -> None:
        self._states, self.pids = (), frozenset()

    def _read_tree(self) -> dict[str, float]:
        self._states = tuple(self._tree.snapshot())
        self.pids = frozenset(state.pid for state in self._states)
        return {"system/process/count": sum(state.alive for state in self._states)}

    def _read_cpu(self) -> dict[str, float]:
        if all(state.cpu_s is None for state in self._states):
            raise LookupError("no process of the tree tells its CPU time")
        spent = self._ledger.spent(self._states, self._at_s)
        return {} if spent is None else {"system/process/cpu_percent": 100.0 * spent[0] / spent[1]}

    def _read_memory(self) -> dict[str, float]:
        known = {state.pid: state for state in self._states}
        sizes = [
            state.rss_bytes
            for state in self._states
            if state.alive and state.rss_bytes is not None and not _is_copy(state, known.get(state.parent))
        ]
        if not sizes:
            raise LookupError("no process of the tree tells its memory")
        found: dict[str, float] = {"system/process/memory_rss_bytes": sum(sizes)}
        if self._states[0].rss_bytes is not None:
            found["system/process/main_memory_rss_bytes"] = self._states[0].rss_bytes
        return found

    def _read_threads(self) -> dict[str, float]:
        numbers = [state.threads for state in self._states if state.alive and state.threads is not None]
        if not numbers:
            raise LookupError("no process of the tree tells its threads")
        return {"system/process/threads": sum(numbers)}

    def _read_open_files(self) -> dict[str, float]:
        numbers: list[int] = []
        for state in self._states:
            if state.alive:
                with suppress(Exception):  # it may be gone, or another user's
                    numbers.append(int(self._tree.open_files(state.pid)))
        if not numbers:
            raise LookupError("no process of the tree tells its open files")
        return {"system/process/open_files": sum(numbers)}


def _is_copy(state: ProcessState, parent: ProcessState | None) -> bool:
    """Return whether a process has just been split off: until it starts its program, all its memory is its parent's."""
    return (
        parent is not None
        and state.age_s < _COPY_S
        and state.size_bytes is not None
        and state.size_bytes == parent.size_bytes
    )
