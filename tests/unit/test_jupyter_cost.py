"""What a cell costs, measured of real work in this process and its children."""

import mmap
import subprocess
import sys
import threading
import time

import pytest

from mlfoundry.system_metrics.source import Source
from mlfoundry_jupyter import cost
from mlfoundry_jupyter.cost import Cost, Meter

WORK = "import time\nend = time.process_time() + {s}\nwhile time.process_time() < end: pass"
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's own peak is read from /proc")


def held_for_a_moment(size_bytes):
    """Hold memory that the allocator did not have at hand from tests before."""
    with mmap.mmap(-1, size_bytes) as block:
        for place in range(0, size_bytes, mmap.PAGESIZE):
            block[place] = 1


def measured(work, **options):
    meter = Meter(**options)
    meter.start()
    work()
    return meter.stop()


def test_cpu_seconds_are_those_of_the_process_and_of_children_that_ended():
    def work():
        exec(WORK.format(s=0.2))
        subprocess.run([sys.executable, "-c", WORK.format(s=0.3)], check=True)

    found = measured(work)
    assert 0.45 <= found.cpu_s <= 2.0
    assert found.wall_s >= 0.4


def test_a_child_that_lives_on_counts_from_the_beginning_of_the_cell_to_its_end():
    say = "print(1, flush=True)\nsys.stdin.readline()\n"
    source = f"import time, sys\n{{work}}\n{say}{{work}}\n{say}"
    child = subprocess.Popen(
        [sys.executable, "-c", source.format(work=WORK.format(s=0.3))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        child.stdout.readline()

        def work():
            child.stdin.write("\n")
            child.stdin.flush()
            child.stdout.readline()

        during = measured(work)
        child.stdin.write("\n")
        child.stdin.close()
        after = measured(lambda: child.wait(10))
    assert 0.25 <= during.cpu_s <= 0.55
    assert after.cpu_s < 0.25  # what it spent before is not this cell's


@LINUX
def test_memory_that_was_held_for_a_moment_is_seen_and_what_was_held_before_is_not():
    held_for_a_moment(200 << 20)
    bare = measured(lambda: None, sources=list).peak_bytes  # a browser of other tests is a child, and large

    assert measured(lambda: held_for_a_moment(300 << 20), sources=list).peak_bytes - bare > 250 << 20
    assert measured(lambda: None, sources=list).peak_bytes - bare < 100 << 20


@LINUX
def test_a_meter_inside_of_another_does_not_take_its_peak_away():
    outer = Meter(sources=list)
    outer.start()
    held_for_a_moment(300 << 20)
    inner = measured(lambda: None, sources=list)
    found = outer.stop()
    assert found.peak_bytes - inner.peak_bytes > 200 << 20
    assert cost._meters == []


class Gpus(Source):
    name = "gpu"

    def __init__(self):
        super().__init__()
        self.held = iter([100.0, 900.0, 300.0])
        self.sampled = threading.Semaphore(0)
        self.closed = False

    def readings(self):
        def read():
            value = next(self.held, 200.0)
            self.sampled.release()
            return {"system/gpu/0/process_memory_bytes": value, "system/gpu/1/process_memory_bytes": value}

        yield "memory", read

    def close(self):
        self.closed = True


def test_gpu_memory_is_the_greatest_sum_over_all_gpus():
    gpus = Gpus()

    def work():
        for _ in range(3):
            assert gpus.sampled.acquire(timeout=10)

    assert measured(work, sources=lambda: [gpus]).gpu_bytes == 1800
    assert gpus.closed


def test_a_source_that_cannot_be_made_costs_its_numbers_alone():
    def broken():
        raise OSError("no")

    found = measured(lambda: None, sources=broken)
    assert found.cpu_s is not None
    assert found.gpu_bytes is None


def test_time_alone_needs_no_thread():
    meter = Meter(is_whole=False)
    meter.start()
    assert not [thread for thread in threading.enumerate() if thread.name == "mlfoundry-cell"]
    found = meter.stop()
    assert found == Cost(found.wall_s)


def test_a_meter_is_cheap():
    measured(lambda: None)
    began = time.process_time()
    for _ in range(20):
        measured(lambda: None)
    assert (time.process_time() - began) / 20 < 0.02
