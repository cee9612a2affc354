"""What stands in for parts of Python while a run is open behaves like them, and goes when the run ends."""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import pickle
import subprocess
import sys
import threading
from multiprocessing import get_context

import pytest

import mlfoundry
from mlfoundry.records import RunStatus
from mlfoundry.runs import process_exit

CODE, EXIT = SystemExit.__dict__["code"], sys.exit


@pytest.fixture
def client(tmp_path):
    made = mlfoundry.get_client(tmp_path / "store", user="ann")
    yield made
    made.backend.close()


@pytest.fixture(params=["as this Python can", "by reading the code"])
def open_run(client, request, monkeypatch):
    if request.param == "by reading the code":
        monkeypatch.setattr(process_exit, "_watch_unwinding", lambda: False)
        monkeypatch.setattr(process_exit.sys, "version_info", (3, 11))
    with client.create_run("p", log_system_metrics=False, capture=False) as run:
        yield run
    assert SystemExit.__dict__["code"] is CODE
    assert sys.exit is EXIT


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_sys_exit_can_be_pickled_while_a_run_is_open(open_run, protocol):
    assert pickle.loads(pickle.dumps(sys.exit, protocol)) is sys.exit


def test_sys_exit_that_was_pickled_is_that_of_another_process(open_run):
    text = "import pickle, sys; assert pickle.load(sys.stdin.buffer) is sys.exit; assert 'mlfoundry' not in sys.modules"
    subprocess.run([sys.executable, "-I", "-c", text], input=pickle.dumps(sys.exit), check=True, timeout=60)


def test_sys_exit_can_be_given_to_another_process(open_run):
    process = get_context("spawn").Process(target=sys.exit, args=(3,))
    process.start()
    process.join(60)
    assert process.exitcode == 3


def test_sys_exit_that_was_kept_still_works_when_the_run_has_ended(client):
    with client.create_run("p", log_system_metrics=False, capture=False):
        kept = sys.exit
    assert pickle.loads(pickle.dumps(kept)) is sys.exit
    with pytest.raises(SystemExit) as raised:
        kept(3)
    assert raised.value.code == 3


def test_sys_exit_looks_as_ever_while_a_run_is_open(open_run):
    assert inspect.signature(sys.exit) == inspect.signature(EXIT)
    assert copy.copy(sys.exit) is sys.exit
    assert copy.deepcopy([sys.exit]) == [sys.exit]
    for name in ("__name__", "__qualname__", "__module__", "__doc__", "__self__", "__text_signature__"):
        assert getattr(sys.exit, name) == getattr(EXIT, name), name
    assert repr(sys.exit) == repr(EXIT)
    assert functools.wraps(sys.exit)(lambda: 0).__name__ == "exit"
    with pytest.raises(TypeError, match="expected at most 1 argument"):
        sys.exit(1, 2)


@pytest.mark.parametrize("args", [(), (0,), (3,), ("text",), (None,), ((1, 2),)])
def test_sys_exit_raises_as_ever_while_a_run_is_open(open_run, args):
    with pytest.raises(SystemExit) as expected:
        EXIT(*args)
    with pytest.raises(SystemExit) as raised:
        sys.exit(*args)
    assert type(raised.value) is SystemExit
    assert (raised.value.code, raised.value.args) == (expected.value.code, expected.value.args)
    assert raised.value.__context__ is None


def test_the_code_of_a_system_exit_can_be_read_and_set_as_ever_while_a_run_is_open(open_run):
    error = SystemExit(3)
    assert error.code == getattr(error, "code", None) == 3
    error.code = "text"
    assert error.code == "text"
    del error.code
    assert error.code is None
    assert SystemExit.code is CODE
    assert "code" in dir(error)
    assert pickle.loads(pickle.dumps(SystemExit(4))).code == 4
    assert isinstance(copy.copy(error), SystemExit)


def test_a_thread_that_exits_says_nothing_of_the_program(open_run):
    seen = []

    def leave():
        try:
            sys.exit(3)
        except SystemExit as error:
            seen.append(error.code)

    thread = threading.Thread(target=leave)
    thread.start()
    thread.join()
    assert (seen, process_exit._watch.seen) == ([3], [])


def test_an_exit_that_is_caught_is_not_taken_for_the_end(open_run):
    with pytest.raises(SystemExit):
        sys.exit(3)
    assert not process_exit._watch.left


@pytest.mark.skipif(sys.version_info < (3, 12), reason="there is no sys.monitoring")
def test_where_others_monitor_already_the_code_is_read(client, monkeypatch):
    taken = [tool for tool in (3, 4) if sys.monitoring.get_tool(tool) is None]
    for tool in taken:
        sys.monitoring.use_tool_id(tool, "another")
    try:
        with client.create_run("p", log_system_metrics=False, capture=False):
            assert SystemExit.__dict__["code"] is not CODE
            assert sys.exit is EXIT
        assert SystemExit.__dict__["code"] is CODE
        assert all(sys.monitoring.get_tool(tool) == "another" for tool in taken)
    finally:
        for tool in taken:
            sys.monitoring.free_tool_id(tool)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("m"), RunStatus.FAILED),
        (SystemExit(), RunStatus.FINISHED),
        (SystemExit(0), RunStatus.FINISHED),
        (SystemExit(False), RunStatus.FINISHED),
        (SystemExit(0.0), RunStatus.FAILED),
        (SystemExit(1), RunStatus.FAILED),
        (SystemExit("text"), RunStatus.FAILED),
        (SystemExit(""), RunStatus.FAILED),
        (KeyboardInterrupt(), RunStatus.KILLED),
        (asyncio.CancelledError(), RunStatus.KILLED),
        (GeneratorExit(), RunStatus.FINISHED),
    ],
    ids=repr,
)
def test_an_exception_that_leaves_the_block_decides_the_status(client, error, status):
    with pytest.raises(type(error)), client.create_run("p", log_system_metrics=False, capture=False) as run:
        raise error
    assert run.status is status
    assert run.error == ("" if status is RunStatus.FINISHED else process_exit.described(error))


def test_a_generator_that_is_closed_while_it_holds_a_run_has_finished(client):
    runs = []

    def epochs():
        with client.create_run("p", log_system_metrics=False, capture=False) as run:
            runs.append(run)
            yield 1
            yield 2

    for _ in epochs():
        break
    assert [(run.status, run.error) for run in runs] == [(RunStatus.FINISHED, "")]


WATCHES_WHILE_THREADS_BEGIN = """
import gc, sys, threading, time
from mlfoundry.runs import process_exit
gc.callbacks.append(lambda *_: time.sleep(0.0001))  # others run in the midst of each collection
over = threading.Event()
def begin():
    while not over.is_set():
        threading.Thread(target=int).start()
def watch():
    gc.set_threshold(1)
    for _ in range(100):
        process_exit.watch(print)
        process_exit.unwatch(print)
    gc.set_threshold(700)
others = threading.Thread(target=begin)
others.start()
if sys.argv[1] == "main thread":
    watch()
else:
    thread = threading.Thread(target=watch)
    thread.start()
    thread.join()
over.set()
others.join()
print("fine", gc.isenabled())
"""


@pytest.mark.parametrize("where", ["main thread", "another thread"])
def test_a_first_run_stops_no_program_whose_threads_begin_while_garbage_is_collected(where):
    command = [sys.executable, "-c", WATCHES_WHILE_THREADS_BEGIN, where]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("fine True\n", "")
