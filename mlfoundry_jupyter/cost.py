"""What a cell costs: time, CPU seconds, the memory it reached, GPU memory.

Measured of this process and all that it started, from the sources of `mlfoundry.system_metrics`. A thread looks at
short intervals first and at longer ones later, so that a short cell is seen and a long one pays little.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlfoundry.system_metrics.source import Source

FIRST_S = 0.05
LONGEST_S = 1.0
END_S = 0.5

_PEAK = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")
_meters: list[Meter] = []
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Cost:
    """What a cell cost; None where it could not be measured.

    Attributes:
        wall_s: Seconds it took.
        cpu_s: CPU seconds of the process and its children, those that have ended included.
        peak_bytes: The most memory that they held at once, as far as it was seen; of this process alone exactly.
            Pages that a fork shares with its parent count in each.
        gpu_bytes: The most memory that they held on all GPUs.
    """

    wall_s: float
    cpu_s: float | None = None
    peak_bytes: int | None = None
    gpu_bytes: int | None = None


class Meter:
    """Measures from `start` to `stop`; several may run at once, as for a cell that runs another.

    Args:
        is_whole: Whether to measure more than the time.
        on_look: Called at each look, in the thread that looks; it must not raise.
        sources: Makes what is sampled: a process tree, then perhaps GPUs; those of this system by default.

    Example:
        >>> meter = Meter()
        >>> meter.start()
        >>> meter.stop().wall_s < 60
        True
    """

    def __init__(
        self,
        *,
        is_whole: bool = True,
        on_look: Callable[[], None] | None = None,
        sources: Callable[[], Sequence[Source]] | None = None,
    ) -> None:
        self._is_whole = is_whole
        self._on_look = on_look
        self._make_sources = sources or _sources
        self._began_s = 0.0
        self._cpu_s: float | None = None
        self._peak_bytes = 0
        self._gpu_bytes: int | None = None
        self._children: _Children | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; costs less than a millisecond, more the first time."""
        if self._is_whole:
            with _lock:
                _share_peak()
                _meters.append(self)
                _reset_peak()
            self._children = _Children()
            self._cpu_s = _own_cpu_s()
        if self._is_whole or self._on_look is not None:
            self._thread = threading.Thread(target=self._watch, name="mlfoundry-cell", daemon=True)
            with contextlib.suppress(RuntimeError):  # no thread can be had: the peaks of others are not seen
                self._thread.start()
        self._began_s = time.perf_counter()

    def stop(self) -> Cost:
        """End; return what was measured. A sample that hangs is waited for half a second at most."""
        wall_s = time.perf_counter() - self._began_s
        self._stopping.set()
        if not self._is_whole or self._cpu_s is None:
            return Cost(wall_s)
        cpu_s = _own_cpu_s() - self._cpu_s
        if self._children is not None:
            cpu_s += self._children.spent()
        if self._thread is not None and self._thread.ident is not None:
            self._thread.join(END_S)
        with _lock:
            _share_peak()
            if self in _meters:
                _meters.remove(self)
        return Cost(wall_s, max(0.0, cpu_s), self._peak_bytes or None, self._gpu_bytes)

    def note(self, peak_bytes: int) -> None:
        """Take note of memory that was held while this meter runs."""
        self._peak_bytes = max(self._peak_bytes, peak_bytes)

    def _watch(self) -> None:
        """Note the greatest use of memory until told to stop."""
        sources = self._found_sources() if self._is_whole else ()
        interval_s = FIRST_S
        is_last = False
        while not is_last:
            is_last = self._stopping.is_set()
            for source in sources:
                self._take(source.sample(None))
            if self._on_look is not None and not is_last:
                self._on_look()
            if not is_last:
                self._stopping.wait(interval_s)
            interval_s = min(interval_s * 2, LONGEST_S)
        for source in sources:
            source.close()

    def _found_sources(self) -> Sequence[Source]:
        from mlfoundry import forks

        try:
            with forks.held_up():
                return self._make_sources()
        except Exception:  # noqa: BLE001  what cannot be measured is left out, whatever the reason
            return ()

    def _take(self, values: Mapping[str, float]) -> None:
        self.note(int(values.get("system/process/memory_rss_bytes", 0)))
        held = [value for name, value in values.items() if name.endswith("/process_memory_bytes")]
        if held:
            self._gpu_bytes = max(self._gpu_bytes or 0, int(sum(held)))


def _sources() -> Sequence[Source]:
    from mlfoundry.system_metrics.gpu import Gpu
    from mlfoundry.system_metrics.process import Process
    from mlfoundry.system_metrics.sources import find_sources

    return [source for source in find_sources(os.getpid(), {}) if isinstance(source, (Process, Gpu))]


class _Children:
    """CPU seconds of the process's children, from when this was made."""

    def __init__(self) -> None:
        self._tree: Any = None
        self._reaped_s = _reaped_s()
        self._living_s: dict[tuple[int, float], float] = {}
        with contextlib.suppress(Exception):  # as with the other sources: what cannot be had is left out
            self._tree = _tree()
            self._living_s = self._living()

    def spent(self) -> float:
        """Return what they spent so far: those that ended and were waited for, and those that live."""
        living: dict[tuple[int, float], float] = {}
        with contextlib.suppress(Exception):  # as above
            living = self._living()
        spent = _reaped_s() - self._reaped_s
        spent += sum(cpu_s - self._living_s.get(each, 0.0) for each, cpu_s in living.items())
        # What ended meanwhile is among the reaped with all that it ever spent.
        return spent - sum(cpu_s for each, cpu_s in self._living_s.items() if each not in living)

    def _living(self) -> dict[tuple[int, float], float]:
        states = self._tree.snapshot()[1:] if self._tree is not None else ()
        return {(s.pid, s.started): (s.cpu_s or 0.0) + s.reaped_cpu_s for s in states}


def _tree() -> Any:
    if sys.platform == "linux":
        from mlfoundry.system_metrics.descendants import ProcTree

        return ProcTree(os.getpid())
    import psutil  # type: ignore[unreachable, unused-ignore]

    from mlfoundry.system_metrics.portable import PsutilTree

    return PsutilTree(psutil, os.getpid())


def _own_cpu_s() -> float:
    return time.process_time()


def _reaped_s() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _share_peak() -> None:
    """Tell all meters how much this process held at most since the last reset."""
    peak = _peak_bytes()
    for meter in _meters:
        meter.note(peak)


def _peak_bytes() -> int:
    try:
        for line in _PEAK.read_bytes().splitlines():
            if line.startswith(b"VmHWM:"):
                return int(line.split()[1]) * 1024 if _is_reset else 0
    except (OSError, ValueError, IndexError):
        pass
    return 0


_is_reset = False


def _reset_peak() -> None:
    """Let the kernel forget how much this process held at most; where it will not, samples have to do."""
    global _is_reset
    try:
        _RESET.write_bytes(b"5")
        _is_reset = True
    except OSError:  # not Linux, or not allowed
        _is_reset = False
