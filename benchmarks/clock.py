"""Taking the time of calls."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.registry import Figures


def percentiles_us(samples_ns: list[int]) -> Figures:
    """Return p50, p99, the mean and the greatest of samples, in microseconds."""
    ordered = sorted(samples_ns)
    count = len(ordered)
    return {
        "p50": ordered[count // 2] / 1e3,
        "p99": ordered[min(count - 1, count * 99 // 100)] / 1e3,
        "mean": sum(ordered) / count / 1e3,
        "greatest": ordered[-1] / 1e3,
    }


def each_call_ns(call: Callable[[int], object], count: int) -> list[int]:
    """Return the time of each of `count` calls, made one after the other with their number."""
    clock, samples = time.perf_counter_ns, []
    for number in range(count):
        began = clock()
        call(number)
        samples.append(clock() - began)
    return samples


def median_ms(work: Callable[[], object], *, repeats: int = 7) -> float:
    """Return the median time of some work after one time that does not count, in milliseconds."""
    work()
    samples = sorted(each_call_ns(lambda _: work(), repeats))
    return samples[repeats // 2] / 1e6


def once_ms(work: Callable[[], object]) -> float:
    """Return the time of some work that is done once, in milliseconds."""
    return each_call_ns(lambda _: work(), 1)[0] / 1e6
