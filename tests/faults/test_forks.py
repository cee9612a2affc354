"""Forks, processes, threads and tasks: everyone's points exact, nobody waits for ever, only the owner ends the run."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mlfoundry.records import RunStatus

LIMIT_S = 60.0  # ends long before, but for a machine that is full of work
EVERY = [float(number) for number in range(200)]


def logged(start, look, store, way):
    """Run a way of `forks.py`; return its lines and the metrics that a new client finds, by key."""
    program = start("forks.py", store, way)
    lines = program.rest(LIMIT_S).splitlines()
    assert program.exit_code() == 0, program.messages()
    assert lines[-1] == "fine FINISHED", program.messages()
    assert program.messages() == ""
    seen = look(store)
    assert seen.left == 0
    seen.check()
    assert seen.run().status is RunStatus.FINISHED
    assert list((store / "journals").iterdir()) == []
    return lines[:-1], {key: points.values.tolist() for key, points in seen.run().get_metrics().items()}


def test_a_forked_child_logs_to_the_run_of_its_parent(start, look, store):
    lines, metrics = logged(start, look, store, "plain_fork")
    assert lines == ["0"]
    assert metrics == {"parent": EVERY * 2, "child": EVERY}


def test_a_forked_child_that_leaves_its_part_open_has_stored_it_at_its_end_and_says_nothing(start, look, store):
    text = (
        "import mlfoundry, os, sys\n"
        "run = mlfoundry.get_client(sys.argv[1], user='ann', end_timeout_s=20).create_run('p', 'x')\n"
        "run.log_metrics({'parent': 1})\n"
        "if not os.fork(): run.log_metrics({'child': 1}); sys.exit(0)\n"
        "os.wait(); found = run.client.get_run('p/x'); print(found.get_metrics()['child'].values, found.status.value)\n"
    )
    program = start("-c", text, store)
    assert program.rest(LIMIT_S) == "[1.] RUNNING\n"
    assert (program.exit_code(), program.messages()) == (0, "")
    assert look(store).run().status is RunStatus.FINISHED
    assert list((store / "journals").iterdir()) == []


def test_a_forked_child_that_never_logs_leaves_no_trace(start, look, store):
    lines, metrics = logged(start, look, store, "silent_fork")
    assert lines == ["0", "0"]
    assert metrics == {"parent": EVERY}


def test_however_a_child_ends_its_exit_code_stays_and_the_run_goes_on(start, look, store):
    lines, metrics = logged(start, look, store, "ends_of_children")
    assert lines == ["3 4 1 0 0"]
    assert metrics == dict.fromkeys(("os_exit", "sys_exit", "exception", "end", "block", "parent"), EVERY)


def test_a_child_and_its_own_children_log_at_once(start, look, store):
    lines, metrics = logged(start, look, store, "double_fork")
    assert lines == ["0 0 0", "0"]
    assert metrics == dict.fromkeys(("parent", "child", "grandchild0", "grandchild1", "grandchild2"), EVERY)


def test_children_of_a_child_that_never_logged_have_journals_of_their_own(start, look, store):
    lines, metrics = logged(start, look, store, "after_a_silent_child")
    assert lines == ["0 0 0", "0"]
    assert metrics == dict.fromkeys(("parent", "grandchild0", "grandchild1", "grandchild2"), EVERY)


def test_forks_beside_threads_that_log_at_full_rate_neither_hang_nor_lose(start, look, store, scale):
    for turn in range(scale(20, 1)):
        lines, metrics = logged(start, look, store / str(turn), "beside_busy_threads")
        assert lines[0] == " ".join(["0"] * 12)
        expected = {f"child{number}": EVERY for number in range(12)}
        expected |= {f"thread{n}": [float(v) for v in range(int(c))] for n, c in enumerate(lines[1].split())}
        assert metrics == expected


def test_a_forked_child_logs_to_each_open_run_of_its_parent(start, look, store):
    lines, metrics = logged(start, look, store, "two_runs")
    assert lines == ["0"]
    assert metrics == {"parent": EVERY, "child": EVERY}
    other = look(store).run("other")
    assert other.status is RunStatus.FINISHED
    assert other.get_metrics()["child"].values.tolist() == EVERY


@pytest.mark.parametrize("way", ["fork", "spawn", "forkserver"])
def test_processes_and_pools_of_multiprocessing_log_to_the_run(start, look, store, way):
    lines, metrics = logged(start, look, store, way)
    assert lines == ["0 8"]
    assert metrics == dict.fromkeys(("parent", "process", *(f"pool{number}" for number in range(8))), EVERY)


HOLDS_A_LOCK_AT_THE_FORK = """
import os, sys, threading, time
import mlfoundry
from mlfoundry.shipping import shipper
run = mlfoundry.get_client(sys.argv[1], user="ann").create_run("p", "x")
run.log_metrics({"a": 1.0})
run.flush()
(lane,) = shipper.shipper()._lanes.values()
owner = eval(sys.argv[2], {"shipper": shipper.shipper(), "lane": lane, "run": run, "making": shipper})
lock = getattr(owner, "_cond", owner)
held, forked = threading.Event(), threading.Event()
def hold():
    with lock:
        held.set()
        forked.wait()
threading.Thread(target=hold).start()
held.wait()
child = os.fork()
if child == 0:
    run.log_metrics({"child": 1.0})
    sys.exit(7)
forked.set()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
run.end()
print("fine", flush=True)
"""


@pytest.mark.parametrize(
    "lock",
    [
        "shipper._stopping",
        "shipper._wanted",
        "shipper._changed",
        "lane._now",
        "lane._adopting",
        "making._making",
        "run._journal._lock",
        "run._end_lock",
    ],
)
def test_a_child_forked_while_a_thread_holds_a_lock_logs_and_ends(start, look, store, lock):
    program = start("-c", HOLDS_A_LOCK_AT_THE_FORK, store, lock)
    assert program.line(LIMIT_S) == "7"
    assert program.line(LIMIT_S) == "fine"
    assert look(store).values("child") == [1.0]


FORKS_INSIDE_A_TRANSACTION = """
import os, sys, threading, time
import mlfoundry
run = mlfoundry.get_client(sys.argv[1], user="ann", end_timeout_s=15).create_run("p", "x")
run.log_metrics({"a": 1.0})
run.flush()
inside = threading.Event()
def work():
    with getattr(run.client.backend.database, sys.argv[2])() as tx:
        tx.rows("SELECT count(*) FROM project")
        inside.set()
        numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000)"
        tx.rows(numbers + " SELECT count(*) FROM n")
thread = threading.Thread(target=work)
thread.start()
inside.wait()
child = os.fork()
if child == 0:
    began = time.monotonic()
    run.log_metrics({"child": 1.0})
    run.end()
    os._exit(time.monotonic() - began > 10)
thread.join()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
run.end()
print("fine", flush=True)
"""


@pytest.mark.parametrize("verb", ["write", "read"])
def test_a_child_forked_inside_a_transaction_of_its_parent_can_use_the_store(start, look, store, verb):
    program = start("-c", FORKS_INSIDE_A_TRANSACTION, store, verb)
    assert program.line(LIMIT_S) == "0", program.messages()
    assert program.line(LIMIT_S) == "fine"
    assert look(store).values("child") == [1.0]


FORKS_INSIDE_AN_IMPORT = """
import importlib.abc, os, sys, threading
import mlfoundry
inside, never = threading.Event(), threading.Event()
class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "numpy" and threading.current_thread() is not threading.main_thread():
            inside.set()
            never.wait(1.5)
sys.meta_path.insert(0, Slow())
run = mlfoundry.get_client(sys.argv[1], user="ann", end_timeout_s=15).create_run("p", "x")
run.log_metrics({"a": 1.0})
inside.wait(5)
child = os.fork()
if child == 0:
    import numpy
    run.log_metrics({"child": 1.0})
    run.end()
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
run.end()
print("fine", flush=True)
"""


def test_a_child_forked_while_a_thread_of_ours_imports_is_not_blocked(start, look, store):
    program = start("-c", FORKS_INSIDE_AN_IMPORT, store)
    assert program.line(LIMIT_S) == "0", program.messages()
    assert program.line(LIMIT_S) == "fine"
    assert look(store).values("child") == [1.0]


# -- threads and tasks -----------------------------------------------------------------------------


def test_threads_that_log_at_once_lose_nothing_and_keep_their_own_order(client, scale):
    count = scale(10_000, 2_000)
    with client.create_run("p", "x", log_system_metrics=False, capture=False) as run:

        def log(worker):
            for number in range(count):
                run.log_metrics({f"own{worker}": float(number)})
                if number % 2:
                    run.log_metrics({"shared": float(worker), f"pair{worker}": float(number)})
                else:
                    run.log_metrics({"shared": float(worker)})

        threads = [threading.Thread(target=log, args=(worker,)) for worker in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    metrics = client.get_run(run.run_id).get_metrics()
    for worker in range(16):
        assert metrics[f"own{worker}"].values.tolist() == [float(number) for number in range(count)]
        assert metrics[f"pair{worker}"].values.tolist() == [float(number) for number in range(1, count, 2)]
        assert (metrics["shared"].values == worker).sum() == count
    assert metrics["shared"].steps.tolist() == list(range(16 * count))


def test_tasks_that_log_at_once_lose_nothing(client):
    async def log(run, worker):
        for number in range(50):
            run.log_metrics({f"task{worker}": float(number), "shared": float(worker)})
            await asyncio.sleep(0)

    async def all_at_once(run):
        await asyncio.gather(*(log(run, worker) for worker in range(200)))

    run = client.create_run("p", "x", log_system_metrics=False, capture=False)
    with run, ThreadPoolExecutor(1) as thread:  # this one may have a loop of its own
        thread.submit(lambda: asyncio.run(all_at_once(run))).result()
    metrics = client.get_run(run.run_id).get_metrics()
    for worker in range(200):
        assert metrics[f"task{worker}"].values.tolist() == [float(number) for number in range(50)]
    assert metrics["shared"].steps.tolist() == list(range(200 * 50))
