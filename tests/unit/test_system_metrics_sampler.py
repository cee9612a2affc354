"""The sampler's thread: its pace, its end, and that nothing stops it."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from mlfoundry.system_metrics import Sampler
from mlfoundry.system_metrics.catalogue import find
from mlfoundry.system_metrics.sampler import THREAD_NAME, Pace
from mlfoundry.system_metrics.source import Counters, Source


class Recorder:
    """Keeps what is recorded, and lets a test wait for it."""

    def __init__(self):
        self.samples = []
        self._changed = threading.Condition()

    def __call__(self, values):
        with self._changed:
            self.samples.append(dict(values))
            self._changed.notify_all()

    def wait_for(self, count):
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.samples) >= count, 10), self.samples


class Ticks:
    """A source that tells the elapsed time that it was given, and fails on demand."""

    name = "ticks"

    def __init__(self, series="system/ticks", error=None):
        self.series = series
        self.error = error
        self.elapsed = []
        self.closed = 0

    def sample(self, elapsed_s):
        self.elapsed.append(elapsed_s)
        if self.error is not None:
            raise self.error
        return {self.series: float(len(self.elapsed))}

    def close(self):
        self.closed += 1


@pytest.fixture
def record():
    before = set(threading.enumerate())
    yield Recorder()
    assert {t for t in threading.enumerate() if t.name == THREAD_NAME} <= before


def test_the_first_sample_is_taken_at_once_and_the_last_at_the_stop(record):
    sampler = Sampler(record, interval_s=3600, sources=[Ticks()])
    sampler.start()
    record.wait_for(1)
    sampler.stop()
    assert record.samples == [{"system/ticks": 1.0}, {"system/ticks": 2.0}]


def test_a_run_that_ends_before_the_first_sample_still_has_one(record):
    sampler = Sampler(record, interval_s=3600, sources=[Ticks()])
    sampler.start()
    sampler.stop()
    assert len(record.samples) >= 1


def test_stop_is_quick_however_long_the_interval(record):
    sampler = Sampler(record, interval_s=3600, sources=[Ticks()])
    sampler.start()
    record.wait_for(1)
    began = time.monotonic()
    sampler.stop()
    assert time.monotonic() - began < 0.5


def test_stop_may_be_called_twice_before_start_and_from_the_recording_thread(record):
    Sampler(record).stop()
    sampler = Sampler(lambda values: (record(values), sampler.stop()), sources=[Ticks()])
    sampler.start()
    record.wait_for(2)
    sampler.stop()
    sampler.stop()
    assert len(record.samples) == 2


def test_a_sampler_runs_once_and_starts_one_thread(record):
    sampler = Sampler(record, sources=[Ticks()])
    sampler.start()
    sampler.start()
    assert [t.daemon for t in threading.enumerate() if t.name == THREAD_NAME] == [True]
    sampler.stop()
    sampler.start()
    assert not [t for t in threading.enumerate() if t.name == THREAD_NAME]


def test_every_source_is_closed_at_the_end(record):
    source = Ticks()
    sampler = Sampler(record, sources=[source])
    sampler.start()
    sampler.stop()
    assert source.closed == 1


def test_a_sample_that_hangs_does_not_hold_up_the_stop_and_is_dropped(record):
    hanging, go_on = threading.Event(), threading.Event()

    class Hanging(Ticks):
        def sample(self, elapsed_s):
            hanging.set()
            go_on.wait(10)
            return super().sample(elapsed_s)

    sampler = Sampler(record, sources=[Hanging()])
    sampler.start()
    hanging.wait(10)
    began = time.monotonic()
    sampler.stop(timeout_s=0.05)
    assert time.monotonic() - began < 1
    thread = next(t for t in threading.enumerate() if t.name == THREAD_NAME)
    go_on.set()
    thread.join(10)
    assert record.samples == []


def test_a_record_that_raises_is_counted_and_called_again(record):
    def broken(values):
        record(values)
        raise OSError("disk full")

    sampler = Sampler(broken, interval_s=0.01, sources=[Ticks()])
    sampler.start()
    record.wait_for(3)
    sampler.stop()
    failure = sampler.failures["record"]
    assert failure.count >= 3
    assert failure.last_error == "OSError: disk full"


def test_a_source_that_raises_leaves_the_others_alone_and_is_tried_again(record):
    broken = Ticks("system/broken", error=RuntimeError("gone"))
    sampler = Sampler(record, interval_s=0.01, sources=[broken, Ticks()])
    sampler.start()
    record.wait_for(3)
    broken.error = None
    record.wait_for(len(record.samples) + 2)
    sampler.stop()
    assert all("system/ticks" in sample for sample in record.samples)
    assert "system/broken" not in record.samples[0]
    assert "system/broken" in record.samples[-1]
    assert sampler.failures["ticks"].count >= 3


def test_a_source_that_raised_starts_afresh_without_rates(record):
    source = Ticks(error=RuntimeError("gone"))
    other = Ticks("system/other")
    sampler = Sampler(record, interval_s=0.01, sources=[source, other])
    sampler.start()
    record.wait_for(2)
    sampler.stop()
    assert set(source.elapsed) == {None}
    assert other.elapsed[0] is None


def test_an_empty_sample_is_not_recorded(record):
    done = threading.Event()

    class Empty(Ticks):
        def sample(self, elapsed_s):
            done.set()
            return {}

    sampler = Sampler(record, sources=[Empty()])
    sampler.start()
    assert done.wait(10)
    sampler.stop()
    assert record.samples == []


def test_rates_are_left_out_when_the_last_sample_comes_right_after_another(record):
    source = Ticks()
    sampler = Sampler(record, interval_s=3600, sources=[source])
    sampler.start()
    record.wait_for(1)
    sampler.stop()
    assert source.elapsed == [None, None]


def test_the_thread_keeps_to_the_clock_that_it_is_given(record):
    class Clock:
        now = 1000.0

        def __call__(self):
            return self.now

    clock, source, seen = Clock(), Ticks(), []

    def take_a_moment(values):
        seen.append(clock.now)
        clock.now += 0.01
        record(values)

    class Wait(threading.Event):
        def wait(self, timeout=None):
            # The machine is suspended for 7.5 s while the thread waits for the fourth sample.
            clock.now += timeout + (7.5 if len(seen) == 3 else 0.0)
            return super().wait(0.001)

    sampler = Sampler(take_a_moment, interval_s=1.0, sources=[source], clock=clock)
    sampler._stopping = Wait()
    sampler.start()
    record.wait_for(6)
    sampler.stop()
    # One sample after the suspend, on the grid again, and no burst.
    assert seen[:6] == pytest.approx([1000.0, 1001.0, 1002.0, 1010.5, 1011.0, 1012.0])
    assert source.elapsed[:6] == [None, *[pytest.approx(s) for s in (1.0, 1.0, 8.5, 0.5, 1.0)]]


def test_the_schedule_neither_drifts_nor_makes_up_for_missed_ticks():
    pace = Pace(1.0, 50.0)
    for now, due in [(50.01, 51.0), (51.02, 52.0), (52.3, 53.0), (59.5, 60.0), (60.0, 61.0), (62.0, 63.0)]:
        pace.sampled(took_s=0.01, cpu_s=0.001, now_s=now)
        assert pace.due_s == due


def test_a_wake_up_just_before_the_tick_does_not_sample_twice():
    pace = Pace(1.0, 0.0)
    pace.sampled(took_s=0.0, cpu_s=0.0, now_s=-0.0001)
    assert pace.due_s == 1.0


@pytest.mark.parametrize("cost", [{"took_s": 0.6, "cpu_s": 0.0}, {"took_s": 0.0, "cpu_s": 0.11}])
def test_samples_that_stay_expensive_double_the_interval_up_to_a_minute_and_cheap_ones_bring_it_back(cost):
    pace = Pace(1.0, 0.0)
    for _ in range(2):
        pace.sampled(now_s=pace.due_s, **cost)
    pace.sampled(now_s=pace.due_s, took_s=0.3, cpu_s=0.0)
    assert pace.interval_s == 1.0
    for _ in range(3):
        pace.sampled(now_s=pace.due_s, **cost)
    assert pace.interval_s == 2.0
    for _ in range(60):
        pace.sampled(now_s=pace.due_s, took_s=0.001, cpu_s=0.001)
    assert pace.interval_s == 1.0
    for _ in range(200):
        pace.sampled(now_s=pace.due_s, took_s=100.0, cpu_s=100.0)
    assert pace.interval_s == 60.0


def test_the_sampler_says_that_it_has_slowed_down(record):
    class Slow(Ticks):
        def sample(self, elapsed_s):
            time.sleep(0.006)
            return super().sample(elapsed_s)

    sampler = Sampler(record, interval_s=0.01, sources=[Slow()])
    sampler.start()
    record.wait_for(4)
    sampler.stop()
    assert sampler.interval_s > 0.01


@pytest.mark.parametrize("interval", [0, -1, float("nan"), float("inf")])
def test_an_interval_that_cannot_be_is_refused_with_its_value(interval):
    with pytest.raises(ValueError, match=str(interval)):
        Sampler(lambda values: None, interval_s=interval)


def test_a_thread_that_cannot_be_had_is_counted_and_not_raised(record, monkeypatch):
    def no_thread(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    sampler = Sampler(record)
    sampler.start()
    sampler.stop()
    assert sampler.failures["thread"].last_error == "RuntimeError: can't start new thread"


def test_values_that_are_no_finite_numbers_are_absent_and_counted_one_by_one():
    class Odd(Source):
        name = "odd"

        def readings(self):
            yield "all", lambda: {"system/a": None, "system/b": float("nan"), "system/c": 3, "system/d": "x"}

    source = Odd()
    assert source.sample(None) == {"system/c": 3.0}
    assert set(source.failures) == {"system/a", "system/b", "system/d"}


def test_a_missed_reading_makes_the_next_growth_longer_and_not_larger():
    counters = Counters()
    assert counters.per_second({"a": (0, 0)}, 0.0) is None
    assert counters.per_second({"a": (10, 5)}, 1.0) == (10, 5)
    assert counters.per_second({"a": (40, 20)}, 4.0) == (10, 5)
    assert counters.per_second({"a": (0, 0), "b": (9e9, 9e9)}, 5.0) is None, "reset, and newly seen"
    assert counters.per_second({"a": (1, 1), "b": (9e9, 9e9)}, 5.0) is None, "a fresh start"


def test_this_machine_is_sampled_within_the_catalogue_at_little_cost(record):
    sampler = Sampler(record, interval_s=0.15)
    sampler.start()
    record.wait_for(3)
    sampler.stop()
    first, second = record.samples[:2]
    assert {
        "system/memory/percent",
        "system/process/count",
        "system/process/memory_rss_bytes",
    } <= first.keys()
    assert {"system/cpu/percent", "system/process/cpu_percent"} <= second.keys() - first.keys()
    assert [name for name in second if find(name) is None] == []
    assert all(type(value) is float for value in second.values())
    assert 0 < sampler.cpu_s < 1.0


def test_importing_the_package_brings_neither_psutil_nor_nvml_nor_logging():
    code = (
        "import sys, mlfoundry.system_metrics;"
        "print([m for m in ('psutil', 'pynvml', 'logging', 'ctypes', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_stops_at_once_and_records_nothing(record):
    sampler = Sampler(record, interval_s=3600, sources=[Ticks()])
    sampler.start()
    record.wait_for(1)
    # The worst moment: the child inherits the lock of the event as held, for ever.
    with sampler._stopping._cond:
        child = os.fork()
        if child == 0:
            signal.alarm(5)
            sampler.stop(timeout_s=5)
            os._exit(len(record.samples))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    sampler.stop()
    assert len(record.samples) == 2
