"""What a call of log_metrics costs the program that makes it."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from benchmarks.clock import each_call_ns, percentiles_us
from benchmarks.limits import busy_thread, packing
from benchmarks.registry import Figures, Line, Workplace, measure

if TYPE_CHECKING:
    import mlfoundry

CALLS, CALLS_QUICK = 100_000, 30_000


def _open_run(work: Workplace) -> mlfoundry.Run:
    import mlfoundry

    return mlfoundry.get_client(work.folder / "store", user="ann").create_run("demo", "svm")


def _metrics(keys: int, count: int) -> list[dict[str, float]]:
    """Return what is logged: made before, because it is the program's cost and not the tracker's."""
    noise = Random(1)
    return [{f"group/metric-{key}": noise.gauss(0, 1) for key in range(keys)} for _ in range(count)]


def _calls(log: Callable[..., None], metrics: list[dict[str, float]]) -> Callable[[int], object]:
    many = len(metrics)

    def call(number: int) -> None:
        log(metrics[number % many], step=number)

    return call


def pack_one(work: Workplace) -> Figures:
    """``struct.pack_into`` of one point to a memory map: every call timed, like the product's."""
    count = work.count(CALLS, CALLS_QUICK)
    return percentiles_us(each_call_ns(packing(work.folder, count), count))


@measure(
    "log-1-key",
    Line("log_metrics 1 key, p50", "µs", "p50", at_most=3),
    Line("  … p99", "µs", "p99", at_most=15),
    Line("  … mean", "µs", "mean"),
    Line("  … slowest", "µs", "greatest"),
    limit=pack_one,
)
def log_one_key(work: Workplace) -> Figures:
    """100,000 calls of ``run.log_metrics({key: value}, step=i)``, one after the other, each timed.

    Everything is on: shipping, forcing to the disk, system metrics. Within the figure: a wrapper's call and a look
    into a list, about 0.1 µs, which are also in the limit. 1,000 calls before do not count.
    """
    run = _open_run(work)
    call = _calls(run.log_metrics, _metrics(1, 1000))
    each_call_ns(call, 1000)
    return percentiles_us(each_call_ns(call, work.count(CALLS, CALLS_QUICK)))


def pack_twenty(work: Workplace) -> Figures:
    """Twenty times ``struct.pack_into`` of one point to a memory map a call."""
    count = work.count(CALLS, CALLS_QUICK) // 5
    pack = packing(work.folder, 20 * count)

    def call(number: int) -> None:
        for place in range(20 * number, 20 * number + 20):
            pack(place)

    return percentiles_us(each_call_ns(call, count))


@measure(
    "log-20-keys",
    Line("log_metrics 20 keys, p50", "µs", "p50", at_most=15),
    Line("  … p99", "µs", "p99"),
    limit=pack_twenty,
)
def log_twenty_keys(work: Workplace) -> Figures:
    """20,000 calls of ``run.log_metrics`` with 20 keys and a step, one after the other, each timed; all is on."""
    run = _open_run(work)
    call = _calls(run.log_metrics, _metrics(20, 100))
    each_call_ns(call, 200)
    return percentiles_us(each_call_ns(call, work.count(CALLS, CALLS_QUICK) // 5))


@measure(
    "log-20-uneven",
    Line("log_metrics 20 keys at different steps, p50", "µs", "p50", at_most=15),
    Line("  … p99", "µs", "p99"),
    limit=pack_twenty,
)
def log_twenty_uneven_keys(work: Workplace) -> Figures:
    """20,000 calls of ``run.log_metrics`` with 20 keys, without a step, when each key stands at a step of its own.

    Key k was logged k times alone before, and every key counts up by itself: a row with twenty steps.
    """
    run = _open_run(work)
    metrics = _metrics(20, 100)
    for many, key in enumerate(metrics[0]):
        for _ in range(many):
            run.log_metrics({key: 0.5})
    log = run.log_metrics

    def call(number: int) -> None:
        log(metrics[number % 100])

    each_call_ns(call, 200)
    return percentiles_us(each_call_ns(call, work.count(CALLS, CALLS_QUICK) // 5))


def _beside_a_busy_thread(call: Callable[[int], object], seconds: float) -> Figures:
    """Time calls that a program makes 0.5 ms apart while another thread computes."""
    samples: list[int] = []
    with busy_thread():
        number, until = 0, time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(0.0005)
            began = time.perf_counter_ns()
            call(number)
            samples.append(time.perf_counter_ns() - began)
            number += 1
    return percentiles_us(samples)


def pack_beside_a_busy_thread(work: Workplace) -> Figures:
    """``struct.pack_into`` of one point to a memory map beside the same thread, at the same pace."""
    figures = _beside_a_busy_thread(packing(work.folder, 10_000), work.count(3, 1))
    return {
        "mean": figures["mean"],
        "p50": figures["p50"],
        "tight": _tight(packing(work.folder, work.count(200_000, 50_000)), work.count(200_000, 50_000)),
    }


def append_beside_a_busy_thread(work: Workplace) -> Figures:
    """``list.append`` of a float beside the same thread: without a pause, and 0.5 ms apart."""
    kept: list[float] = []
    figures = _beside_a_busy_thread(lambda _: kept.append(0.5), work.count(3, 1))
    return {
        "mean": figures["mean"],
        "p50": figures["p50"],
        "tight": _tight(lambda _: kept.append(0.5), work.count(200_000, 50_000)),
    }


def _tight(call: Callable[[int], object], count: int) -> float:
    """Return the mean of calls without a pause beside a busy thread, in microseconds."""
    with busy_thread():
        began = time.perf_counter_ns()
        for number in range(count):
            call(number)
        return (time.perf_counter_ns() - began) / count / 1e3


def _log_beside_a_busy_thread(work: Workplace) -> Figures:
    run = _open_run(work)
    call = _calls(run.log_metrics, _metrics(1, 1000))
    each_call_ns(call, 1000)
    figures = _beside_a_busy_thread(call, work.count(3, 1))
    return {"mean": figures["mean"], "p50": figures["p50"], "tight": _tight(call, work.count(200_000, 50_000))}


@measure(
    "log-busy",
    Line("log_metrics beside a busy thread, mean", "µs", "mean", times_limit=3),
    Line("  … p50", "µs", "p50"),
    Line("  … calls without a pause, mean", "µs", "tight"),
    limit=pack_beside_a_busy_thread,
    repeats=3,
    warm_up=False,
)
def log_beside_a_busy_thread(work: Workplace) -> Figures:
    """``run.log_metrics`` with one key, 0.5 ms apart for 3 s, beside a thread that computes in Python; the mean.

    Whoever gives up the interpreter within the call waits 5 ms for it, and that would be in the mean. After that
    200,000 calls without a pause, wall time by number of calls: half of it belongs to the other thread.
    """
    return _log_beside_a_busy_thread(work)


@measure(
    "log-busy-append",
    Line("log_metrics beside a busy thread, of list.append", "µs", "mean"),
    Line("  … calls without a pause, mean", "µs", "tight"),
    limit=append_beside_a_busy_thread,
    repeats=3,
    warm_up=False,
    in_quick=False,
)
def log_beside_a_busy_thread_of_append(work: Workplace) -> Figures:
    """As log-busy, beside a limit that keeps nothing: ``list.append``."""
    return _log_beside_a_busy_thread(work)
