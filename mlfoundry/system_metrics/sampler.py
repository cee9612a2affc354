"""The thread that samples a machine at a steady pace while a run is open.

Owns the schedule, the isolation of sources from one another, the accounting of its own cost and the end of
the thread. What is read is in the sources; what becomes of it is the `record` function's business.
A run makes one sampler, starts it, and stops it at its end.
"""

from __future__ import annotations

import importlib
import math
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from mlfoundry import forks
from mlfoundry.system_metrics.source import Counted, Failure, Source

THREAD_NAME = "mlfoundry-sampler"

# Over less time than this, clock ticks of 10 ms make nonsense of a rate: the last sample of a run may come
# right after the one before.
_SHORTEST_RATE_S = 0.1


class Pace:
    """When to sample: on a steady grid that yields when samples are too expensive.

    A tick that was missed (a suspended machine, a long sample) is left out, never made up for. After three
    samples in a row that took more than half of the interval, or a tenth of it in CPU seconds, the interval
    doubles, up to a minute; after sixty in a row that would be cheap at half of it, it halves again, down
    to what was asked for.

    Args:
        interval_s: Seconds between samples, as asked for.
        now_s: The time of the first sample.
    """

    LONGEST_INTERVAL_S = 60.0
    BUSY_SHARE = 0.1
    WALL_SHARE = 0.5
    SLOWER_AFTER = 3
    FASTER_AFTER = 60

    def __init__(self, interval_s: float, now_s: float) -> None:
        self.interval_s = interval_s
        self.due_s = now_s
        self._asked_s = interval_s
        self._expensive = 0
        self._cheap = 0

    def sampled(self, *, took_s: float, cpu_s: float, now_s: float) -> None:
        """Take note of a sample, and set ``due_s`` to the next tick that is still to come.

        Args:
            took_s: Seconds that the sample took.
            cpu_s: CPU seconds that it took.
            now_s: The time now.
        """
        self._adapt(took_s, cpu_s)
        self.due_s += self.interval_s
        if self.due_s <= now_s:
            missed = math.floor((now_s - self.due_s) / self.interval_s) + 1
            self.due_s += missed * self.interval_s

    def _adapt(self, took_s: float, cpu_s: float) -> None:
        if self._is_expensive(took_s, cpu_s, self.interval_s):
            self._expensive, self._cheap = self._expensive + 1, 0
        elif self._is_expensive(took_s, cpu_s, self.interval_s / 4):
            self._expensive = self._cheap = 0
        else:
            self._expensive, self._cheap = 0, self._cheap + 1
        slowest = max(self._asked_s, self.LONGEST_INTERVAL_S)
        if self._expensive >= self.SLOWER_AFTER:
            self.interval_s, self._expensive = min(self.interval_s * 2, slowest), 0
        elif self._cheap >= self.FASTER_AFTER:
            self.interval_s, self._cheap = max(self.interval_s / 2, self._asked_s), 0

    def _is_expensive(self, took_s: float, cpu_s: float, interval_s: float) -> bool:
        return took_s > self.WALL_SHARE * interval_s or cpu_s > self.BUSY_SHARE * interval_s


class Sampler:
    """Samples the machine in a daemon thread from `start` to `stop`.

    What cannot be read is absent from that sample, counted in `failures` and tried again; it stops neither
    the thread nor another series. A sampler runs once. It does not survive a fork: in a forked child it is
    stopped, and records nothing.

    Args:
        record: Called in the sampler's thread with the values of each sample by the name of their series,
            all of which begin with ``system/``; never with an empty mapping. What it raises is counted.
        interval_s: Seconds between samples, above 0.
        sources: What to sample, in this order; default: host, process tree, container and GPUs.
        clock: Seconds that only grow.
        pid: The root of the process tree; default this process.

    Raises:
        ValueError: The interval is not above 0.

    Example:
        >>> import threading
        >>> first = threading.Event()
        >>> sampler = Sampler(lambda values: first.set())
        >>> sampler.start()
        >>> first.wait(10)
        True
        >>> sampler.stop()
    """

    def __init__(
        self,
        record: Callable[[Mapping[str, float]], None],
        *,
        interval_s: float = 1.0,
        sources: Sequence[Source] | None = None,
        clock: Callable[[], float] = time.monotonic,
        pid: int | None = None,
    ) -> None:
        if not 0 < interval_s < math.inf:
            raise ValueError(f"interval_s must be a number of seconds above 0, not {interval_s!r}")
        self._record = record
        self._sources = sources
        self._clock = clock
        self._owner = os.getpid()
        self._pid = self._owner if pid is None else pid
        self._pace = Pace(interval_s, 0.0)
        self._last_s: dict[int, float] = {}
        self._stopping = threading.Event()
        self._abandoned = False
        self._thread: threading.Thread | None = None
        self._failures: dict[str, Failure] = {}
        self._cpu_s = 0.0

    @property
    def interval_s(self) -> float:
        """Seconds between samples at present: more than was asked for while samples are too expensive."""
        return self._pace.interval_s

    @property
    def cpu_s(self) -> float:
        """CPU seconds that the sampler's thread has spent so far, imports included."""
        return self._cpu_s

    @property
    def failures(self) -> Mapping[str, Failure]:
        """What could not be read or recorded so far, by source, reading or series; empty when all is well."""
        found = dict(self._failures)
        for source in self._sources or ():
            found.update(dict(getattr(source, "failures", {})))
        return MappingProxyType(found)

    def start(self) -> None:
        """Start sampling; the first sample is taken at once, in the sampler's thread.

        Returns at once and does not raise: where no thread can be had, `failures` says so. A second call
        does nothing.
        """
        if self._thread is not None or self._stopping.is_set():
            return
        thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)
        with Counted(self._failures, "thread"):
            thread.start()
            self._thread = thread

    def stop(self, *, timeout_s: float = 2.0) -> None:
        """Take a last sample and end the thread.

        Never raises; a second call does nothing. When it returns in time, everything has been recorded;
        nothing is recorded after it.

        Args:
            timeout_s: How long to wait for a sample that hangs. After it the thread is left to itself,
                and what it may still read is dropped.
        """
        if os.getpid() != self._owner:
            return
        self._stopping.set()
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return
        # Python 3.14 refuses to join while the interpreter shuts down.
        with Counted(self._failures, "thread"):
            thread.join(max(0.0, timeout_s))
        self._abandoned = thread.is_alive()

    def _run(self) -> None:
        if self._sources is None:
            # Imported here: what the sources need costs milliseconds that create_run should not wait for.
            with forks.held_up():
                sources = importlib.import_module("mlfoundry.system_metrics.sources")
                self._sources = sources.find_sources(self._pid, self._failures)
        self._pace.due_s = self._clock()
        while not self._stopping.is_set():
            self._tick()
            self._stopping.wait(max(0.0, self._pace.due_s - self._clock()))
        self._tick()
        for source in self._sources:
            with Counted(self._failures, source.name):
                source.close()
        self._cpu_s = time.thread_time()

    def _tick(self) -> None:
        started_s, cpu_before_s = self._clock(), time.thread_time()
        values: dict[str, float] = {}
        for source in self._sources or ():
            values.update(self._sample(source))
        if values and not self._abandoned:
            with Counted(self._failures, "record"):
                self._record(values)
        self._cpu_s = time.thread_time()
        now_s = self._clock()
        self._pace.sampled(took_s=now_s - started_s, cpu_s=self._cpu_s - cpu_before_s, now_s=now_s)

    def _sample(self, source: Source) -> Mapping[str, float]:
        """Sample one source; after a sample that raised, it starts afresh."""
        now_s = self._clock()
        last_s = self._last_s.pop(id(source), None)
        elapsed_s = None if last_s is None else now_s - last_s
        if elapsed_s is not None and elapsed_s < min(_SHORTEST_RATE_S, self._pace.interval_s / 2):
            elapsed_s = None
        values: dict[str, float] = {}
        with Counted(self._failures, source.name):
            values = dict(source.sample(elapsed_s))
            self._last_s[id(source)] = now_s
        return values
