"""The process tree: real children first, then what cannot be staged with real ones."""

import contextlib
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
import pytest

from mlfoundry.system_metrics.catalogue import SERIES, find
from mlfoundry.system_metrics.descendants import ProcTree
from mlfoundry.system_metrics.portable import PsutilTree
from mlfoundry.system_metrics.process import CpuLedger, Process, ProcessState

linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")

WAIT = "import sys; print('up', flush=True); sys.stdin.read()"
BURN = "import time; print('up', flush=True)\nwhile True: pass"


@contextlib.contextmanager
def child(code, *arguments):
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


TREES = [
    pytest.param(lambda pid: ProcTree(pid), marks=linux, id="proc"),
    pytest.param(lambda pid: PsutilTree(psutil, pid), id="psutil"),
]


@pytest.fixture(params=TREES)
def process(request):
    return Process(request.param(os.getpid()), cores=64)


def run_for(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.01)


class Stopwatch:
    """Samples a source with the time that really passed."""

    def __init__(self, source):
        self.source = source
        self.at = None

    def sample(self):
        now = time.monotonic()
        elapsed, self.at = None if self.at is None else now - self.at, now
        return self.source.sample(elapsed)


def test_children_and_their_children_count(process):
    before = process.sample(None)
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {WAIT!r}])"
    with child(nested):
        sample = process.sample(1.0)
        assert sample["system/process/count"] == before["system/process/count"] + 2
        assert sample["system/process/threads"] >= before["system/process/threads"] + 2
        assert sample["system/process/open_files"] > before["system/process/open_files"]
        rss, own = sample["system/process/memory_rss_bytes"], sample["system/process/main_memory_rss_bytes"]
        assert rss > own + 4e6
        assert {find(name) for name in sample} == {s for s in SERIES if s.source == "process"}
        assert process.failures == {}
        assert len(process.pids) == sample["system/process/count"]


@pytest.mark.parametrize(
    ("age_s", "size_bytes", "memory_bytes"), [(0.02, 5000, 300), (0.02, 4000, 600), (2.0, 5000, 600)]
)
def test_the_memory_of_a_child_that_is_still_a_copy_of_its_parent_is_counted_once(age_s, size_bytes, memory_bytes):
    parent = ProcessState(1, 0, 0.0, 60.0, 1.0, 0.0, 300, 1, size_bytes=5000)
    child = ProcessState(2, 1, 59.0, age_s, 0.0, 0.0, 300, 1, size_bytes=size_bytes)
    process = Process(SimpleNamespace(snapshot=lambda: [parent, child], open_files=lambda pid: 3), cores=1)
    assert process.sample(None)["system/process/memory_rss_bytes"] == memory_bytes


def test_a_busy_child_shows_as_about_one_core_and_an_idle_tree_as_none(process):
    watch = Stopwatch(process)
    watch.sample()
    run_for(0.3)
    assert watch.sample()["system/process/cpu_percent"] < 40
    with child(BURN) as burning:
        watch.sample()
        before, at = sum(psutil.Process(burning.pid).cpu_times()[:2]), watch.at
        run_for(0.5)
        measured = watch.sample()["system/process/cpu_percent"]
        # On a busy machine the child does not get its whole core: what it did get is what counts.
        spent_s = sum(psutil.Process(burning.pid).cpu_times()[:2]) - before
        assert measured == pytest.approx(100 * spent_s / (watch.at - at), abs=25)
        assert 0 < measured < 130


def test_a_child_that_came_and_went_between_two_samples_is_counted(process):
    watch = Stopwatch(process)
    watch.sample()
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", burn], check=True)
    at = watch.at
    sample = watch.sample()
    spent_s = sample["system/process/cpu_percent"] / 100 * (watch.at - at)
    assert 0.28 < spent_s < 0.6


def test_the_past_of_a_tree_that_is_seen_for_the_first_time_is_no_spike():
    with child(BURN) as burning:
        run_for(0.3)
        process = Process(PsutilTree(psutil, burning.pid), cores=64)
        watch = Stopwatch(process)
        assert "system/process/cpu_percent" not in watch.sample()
        run_for(0.2)
        assert watch.sample()["system/process/cpu_percent"] < 140


def test_a_child_that_is_no_longer_waited_for_is_a_zombie_and_not_counted(process):
    before = process.sample(None)["system/process/count"]
    with child("print('up', flush=True)") as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        assert process.sample(1.0)["system/process/count"] == before


def test_a_root_that_is_gone_is_silence(process):
    with child(WAIT) as gone:
        pass
    for tree in (lambda: ProcTree(gone.pid), lambda: PsutilTree(psutil, gone.pid)):
        with contextlib.suppress(psutil.NoSuchProcess):
            source = Process(tree())
            assert source.sample(None) == {}
            assert source.failures["process/tree"].count == 1


def state(pid, parent=0, cpu_s=0.0, reaped=0.0, age=1000.0, started=None, **more):
    started = float(pid) if started is None else started
    return ProcessState(pid, parent, started, age, cpu_s, reaped, more.get("rss", 1), more.get("threads", 1))


def spent(*snapshots, cores=64):
    ledger = CpuLedger(cores=cores)
    results = [ledger.spent(states, float(at)) for at, states in enumerate(snapshots)]
    return [None if result is None else pytest.approx(result[0]) for result in results]


def test_what_a_child_spent_after_its_last_sight_is_found_with_its_parent():
    running = [state(1, cpu_s=5.0), state(2, 1, cpu_s=100.0)]
    assert spent(running, [state(1, cpu_s=5.0, reaped=100.4)]) == [None, 0.4]


def test_a_grandchild_that_ends_with_its_parent_is_counted_once():
    running = [state(1), state(2, 1, cpu_s=10.0), state(3, 2, cpu_s=20.0, reaped=3.0)]
    assert spent(running, [state(1, reaped=33.5)]) == [None, 0.5]


def test_a_child_that_nobody_waited_for_takes_nothing_back():
    assert spent([state(1, cpu_s=1.0), state(2, 1, cpu_s=50.0)], [state(1, cpu_s=1.3)]) == [None, 0.3]


def test_a_child_counts_from_its_birth_when_it_is_new_and_from_its_sight_when_it_is_not():
    new, old = state(2, 1, cpu_s=0.4, age=0.9), state(3, 1, cpu_s=900.0, age=901.0)
    assert spent([state(1)], [state(1), new], [state(1), new, old]) == [None, 0.4, 0.0]


def test_a_process_id_that_is_used_again_is_another_process():
    former, new = state(2, 1, cpu_s=500.0, started=1.0), state(2, 1, cpu_s=0.1, age=0.2, started=9.0)
    assert spent([state(1), former], [state(1, reaped=500.0), new]) == [None, 0.1]


def test_cpu_time_that_runs_backwards_is_never_negative():
    assert spent([state(1, cpu_s=2.0, reaped=2.0)], [state(1, cpu_s=1.9, reaped=1.5)]) == [None, 0.0]


def test_no_more_is_ever_told_than_all_cores_can_do():
    assert spent([state(1)], [state(1, cpu_s=1e6)], cores=2) == [None, 2.0]


def test_a_tree_of_mad_parents_ends():
    assert spent([state(1), state(2, 3), state(3, 2)], [state(1)]) == [None, 0.0]


class FakeProc:
    """A fake /proc with processes that have a parent, and children files if wanted."""

    def __init__(self, root, children_files=False):
        self.root = root
        self.children_files = children_files
        self.children = {}
        (root / "meminfo").write_text("")

    def add(self, pid, parent, *, name="python", state="S", threads=1):
        folder = self.root / str(pid)
        (folder / "task" / str(pid)).mkdir(parents=True, exist_ok=True)
        (folder / "fd").mkdir(exist_ok=True)
        fields = [state, parent, *[0] * 9, 100, 50, 30, 20, 0, 0, threads, 0, 500, 0, 7, *[0] * 20]
        (folder / "stat").write_text(f"{pid} ({name}) {' '.join(map(str, fields))}\n")
        self.children.setdefault(parent, []).append(pid)
        if self.children_files:
            (folder / "task" / str(pid) / "children").write_text("")
            if parent in self.children and (self.root / str(parent)).exists():
                text = " ".join(map(str, self.children[parent]))
                (self.root / str(parent) / "task" / str(parent) / "children").write_text(text)

    def tree(self, pid):
        return ProcTree(pid, proc=str(self.root), since_boot_s=lambda: 60.0)


def pids(tree):
    return sorted(state.pid for state in tree.snapshot())


@linux
def test_a_line_of_stat_is_understood_whatever_the_command_is_called(tmp_path):
    proc = FakeProc(tmp_path)
    proc.add(10, 1, name=") S 1 (evil name", threads=3)
    (only,) = proc.tree(10).snapshot()
    tick = os.sysconf("SC_CLK_TCK")
    assert only == ProcessState(
        pid=10,
        parent=1,
        started=500 / tick,
        age_s=60.0 - 500 / tick,
        cpu_s=pytest.approx(150 / tick),
        reaped_cpu_s=pytest.approx(50 / tick),
        rss_bytes=7 * os.sysconf("SC_PAGE_SIZE"),
        threads=3,
        alive=True,
        size_bytes=0,
    )


@linux
@pytest.mark.parametrize("children_files", [False, True])
def test_descendants_are_found_and_strangers_are_not(tmp_path, children_files):
    proc = FakeProc(tmp_path, children_files)
    for pid, parent in [(1, 0), (10, 1), (11, 10), (12, 11), (20, 1), (21, 20)]:
        proc.add(pid, parent)
    for stranger in range(100, 400 if children_files else 101):
        proc.add(stranger, 1)
    tree = proc.tree(10)
    assert pids(tree) == [10, 11, 12]
    proc.add(13, 12)
    proc.add(22, 21)
    assert pids(tree) == [10, 11, 12, 13]
    (tmp_path / "12" / "stat").unlink()
    assert pids(tree) == [10, 11]


@linux
def test_children_files_are_followed_when_they_are_the_cheaper_way(tmp_path, monkeypatch):
    proc = FakeProc(tmp_path, children_files=True)
    proc.add(10, 1)
    proc.add(11, 10)
    for stranger in range(100, 400):
        proc.add(stranger, 1)
    tree = proc.tree(10)
    tree.snapshot()
    listings = []
    listing = ProcTree._by_listing
    monkeypatch.setattr(ProcTree, "_by_listing", lambda *args: listings.append(1) or listing(*args))
    for _ in range(100):
        assert pids(tree) == [10, 11]
    assert 1 <= len(listings) <= 3, "now and then the listing is taken, as a check"


@linux
def test_known_strangers_are_not_read_again_but_looked_at_once_a_minute(tmp_path, monkeypatch):
    proc = FakeProc(tmp_path)
    for pid, parent in [(1, 0), (10, 1), (20, 1)]:
        proc.add(pid, parent)
    tree = proc.tree(10)
    tree.snapshot()
    proc.add(20, 10)
    assert pids(tree) == [10]
    for _ in range(60):
        found = pids(tree)
    assert found == [10, 20]


@linux
def test_proc_is_not_listed_while_the_last_id_given_out_is_the_same_but_is_now_and_then(tmp_path):
    proc = FakeProc(tmp_path)
    loadavg = tmp_path / "loadavg"
    loadavg.write_text("0.1 0.1 0.1 1/9 11\n")
    for pid, parent in [(1, 0), (10, 1), (11, 10)]:
        proc.add(pid, parent)
    tree = proc.tree(10)
    assert pids(tree) == [10, 11]
    proc.add(12, 11)
    assert pids(tree) == [10, 11], "as the id says that nothing is new"
    loadavg.write_text("0.1 0.1 0.1 1/9 12\n")
    assert pids(tree) == [10, 11, 12]
    (tmp_path / "11" / "stat").unlink()
    assert pids(tree) == [10], "what ended is missed without a listing"
    proc.add(11, 10)
    proc.add(13, 10)
    for _ in range(10):
        found = pids(tree)
    assert found == [10, 11, 12, 13], "an id that never changes is not believed for ever"


@linux
def test_a_child_whose_parent_was_born_during_the_listing_is_asked_for_again(tmp_path):
    proc = FakeProc(tmp_path)
    proc.add(10, 1)
    proc.add(31, 30)
    tree = proc.tree(10)
    assert pids(tree) == [10]
    proc.add(30, 10)
    assert pids(tree) == [10, 30, 31]


@linux
def test_a_child_that_dies_between_the_list_and_the_reading_is_left_out(tmp_path):
    proc = FakeProc(tmp_path)
    proc.add(10, 1)
    proc.add(11, 10)
    (tmp_path / "12").mkdir()
    (tmp_path / "13").mkdir()
    (tmp_path / "13" / "stat").write_text("")
    source = Process(proc.tree(10))
    assert source.sample(None)["system/process/count"] == 2
    assert source.failures == {}


@linux
@pytest.mark.parametrize("fails", ["all", "one"])
def test_open_files_that_may_not_be_seen_leave_out_their_process(tmp_path, monkeypatch, fails):
    proc = FakeProc(tmp_path)
    proc.add(10, 1)
    proc.add(11, 10)
    tree = proc.tree(10)

    def open_files(pid):
        if pid == 11 or fails == "all":
            raise PermissionError("not yours")
        return 5

    monkeypatch.setattr(tree, "open_files", open_files)
    source = Process(tree)
    sample = source.sample(None)
    assert sample.get("system/process/open_files") == (5.0 if fails == "one" else None)
    assert sample["system/process/count"] == 2


FAILURES = [
    psutil.AccessDenied(1),
    psutil.NoSuchProcess(1),
    psutil.ZombieProcess(1),
    OSError("no"),
    RuntimeError("no"),
    ValueError("no"),
    None,
]
METHODS = {
    "cpu_times": {"system/process/cpu_percent"},
    "memory_info": {"system/process/memory_rss_bytes", "system/process/main_memory_rss_bytes"},
    "num_threads": {"system/process/threads"},
    "num_fds": {"system/process/open_files"},
}
ALL_SERIES = {series.pattern for series in SERIES if series.source == "process"}


class FakePsutil:
    """A psutil with a root 1 and a child 2, methods of which may fail."""

    NoSuchProcess = psutil.NoSuchProcess

    def __init__(self):
        self.broken = {}

    def Process(self, pid):
        answers = {
            "create_time": time.time() - 100,
            "cpu_times": SimpleNamespace(user=1.0, system=1.0, children_user=0.0, children_system=0.0),
            "memory_info": SimpleNamespace(rss=1000),
            "num_threads": 2,
            "num_fds": 3,
            "status": "running",
            "ppid": pid - 1,
        }

        def method(name, answer):
            def call():
                if (pid, name) in self.broken:
                    error = self.broken[pid, name]
                    if error is not None:
                        raise error
                    return None
                return answer

            return call

        process = SimpleNamespace(pid=pid, oneshot=contextlib.nullcontext)
        for name, answer in answers.items():
            setattr(process, name, method(name, answer))
        process.children = lambda recursive: method("children", [self.Process(2)] if pid == 1 else [])()
        return process


@pytest.mark.parametrize("failure", FAILURES, ids=repr)
@pytest.mark.parametrize("method", METHODS)
def test_a_method_of_psutil_that_fails_everywhere_silences_its_own_series(method, failure):
    fake = FakePsutil()
    source = Process(PsutilTree(fake, 1))
    fake.broken = {(1, method): failure, (2, method): failure}
    source.sample(None)
    assert ALL_SERIES - source.sample(1.0).keys() == METHODS[method]
    assert [f.count for f in source.failures.values()] == [2]


@pytest.mark.parametrize("failure", FAILURES, ids=repr)
@pytest.mark.parametrize("method", ["create_time", *METHODS])
def test_a_child_that_fails_is_dropped_alone(method, failure):
    fake = FakePsutil()
    source = Process(PsutilTree(fake, 1))
    fake.broken = {(2, method): failure}
    source.sample(None)
    sample = source.sample(1.0)
    assert sample.keys() == ALL_SERIES
    if method == "create_time":
        assert sample["system/process/count"] == 1
    if method in ("create_time", "memory_info"):
        assert sample["system/process/memory_rss_bytes"] == 1000
    assert source.failures == {}


@pytest.mark.parametrize("failure", FAILURES, ids=repr)
@pytest.mark.parametrize("method", ["children", "create_time"])
def test_a_tree_that_cannot_be_listed_is_silence_and_comes_back(method, failure):
    fake = FakePsutil()
    source = Process(PsutilTree(fake, 1))
    fake.broken = {(1, method): failure}
    assert source.sample(None) == {}
    assert source.pids == frozenset()
    fake.broken = {}
    assert source.sample(1.0)["system/process/count"] == 2
