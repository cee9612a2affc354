"""Cells that are runs in a real kernel: interrupted, restarted, executed again, by a person's habits."""

import itertools
import json
import time

import pytest

import mlfoundry
from mlfoundry.panels import frames
from tests.notebooks.kernel import Kernel

numbers = itertools.count(1)
BUSY = "import time\nprint('busy', flush=True)\nwhile True: time.sleep(0.05)"
# A kernel whose loop has nothing else to do would not notice the interrupt, with or without us.
AWAITING = "import asyncio\nprint('busy', flush=True)\nwhile True: await asyncio.sleep(0.05)"


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    kernel = Kernel(tmp_path_factory.mktemp("kernel"))
    yield kernel
    kernel.close()


@pytest.fixture
def store(kernel):
    with mlfoundry.get_client(kernel.folder / "store", user="ann") as client:
        yield client


@pytest.fixture
def project():
    return f"project-{next(numbers)}"


def statuses(store, project):
    return {run.run_name: run.status.value for run in store.list_runs(project)}


def test_a_cell_stays_an_ordinary_cell(kernel, store, project):
    reply = kernel.cell(f"%%mlfoundry_run {project} --name a\nimport asyncio\nawait asyncio.sleep(0)\n41 + 1")
    assert reply["status"] == "ok"
    assert "42" in reply["shown"]
    assert statuses(store, project) == {"a": "FINISHED"}


def test_a_cell_that_fails_says_so_to_the_front_end_so_that_run_all_stops(kernel, store, project):
    first = kernel.begin(f"%%mlfoundry_run {project} --name a\n\n1 / 0")
    second = kernel.begin("print('must not run')")
    reply = kernel.end(first)
    assert (reply["status"], reply["ename"]) == ("error", "ZeroDivisionError")
    assert "line 3" in "\n".join(reply["traceback"])
    assert kernel.end(second)["status"] == "aborted"
    assert statuses(store, project) == {"a": "FAILED"}


@pytest.mark.parametrize(
    "body",
    [BUSY, AWAITING],
    ids=["loop", "await"],
)
def test_an_interrupted_cell_leaves_a_killed_run(kernel, store, project, body):
    asked = kernel.begin(f"%%mlfoundry_run {project} --name a\n{body}")
    kernel.wait_for_text(asked, "busy")
    kernel.manager.interrupt_kernel()
    assert kernel.end(asked)["status"] == "error"
    run = store.get_run(f"{project}/a")
    assert run.status.value == "KILLED"
    assert run.error.startswith(("KeyboardInterrupt", "CancelledError"))
    assert kernel.cell("mlfoundry = __import__('mlfoundry'); mlfoundry.open_runs()")["shown"] == "[]"


def test_a_cell_that_was_interrupted_can_be_executed_again(kernel, store, project):
    asked = kernel.begin(f"%%mlfoundry_run {project} --name a\n{BUSY}", "cell-a")
    kernel.wait_for_text(asked, "busy")
    kernel.manager.interrupt_kernel()
    kernel.end(asked)
    kernel.cell(f"%%mlfoundry_run {project} --name a\n1", "cell-a")
    assert statuses(store, project) == {"a": "KILLED", "a-2": "FINISHED"}


def test_a_restart_in_the_middle_leaves_nothing_running_and_the_cell_is_known_again(kernel, store, project):
    kernel.cell(f"%%mlfoundry_run {project} --name a\nlr = 1", "cell-b")
    kernel.cell(f"%mlfoundry_run {project} --name many")
    asked = kernel.begin(f"%%mlfoundry_run {project} --name b\n{BUSY}", "cell-c")
    kernel.wait_for_text(asked, "busy")
    kernel.restart()
    reply = kernel.cell(f"%%mlfoundry_run {project} --name a --rerun replace\nlr = 2", "cell-b")
    assert "since a: lr 1 → 2" in reply["shown"]
    kernel.cell("run.client.sync()")
    assert statuses(store, project) == {"a": "FINISHED", "many": "KILLED", "b": "KILLED"}
    assert store.get_run(f"{project}/a").get_params() == {"lr": 2}


def test_a_kernel_that_is_killed_leaves_a_killed_run_with_all_that_it_logged(kernel, store, project):
    kernel.cell(f"%mlfoundry_run {project} --name many")
    kernel.cell("first = 1")
    body = (
        "import os, signal\nfor step in range(100): run.log_metrics({'loss': step}, step=step)\nos.kill(os.getpid(), 9)"
    )
    kernel.begin(body)
    kernel.wait_for_death()
    began = time.time()
    store.sync()
    run = store.get_run(f"{project}/many")
    assert run.status.value == "KILLED"
    assert run.get_metrics("loss")["loss"].count == 100
    first, second = frames.cells(run.record, run.get_facts())
    assert (first["status"], second["status"]) == ("FINISHED", "KILLED")
    assert second["started_at"] <= second["ended_at"] <= began
    kernel.restart()


def test_a_kernel_that_is_shut_down_in_order_ends_its_run_at_once(kernel, store, project):
    kernel.cell(f"%mlfoundry_run {project} --name many")
    kernel.restart(now=False)
    assert statuses(store, project) == {"many": "KILLED"}


def test_the_same_cell_id_in_another_notebook_is_another_cell(kernel, store, project):
    kernel.cell(f"%%mlfoundry_run {project} --name a --rerun replace\n1", "cell-d")
    kernel.cell("import os; os.environ['JPY_SESSION_NAME'] = 'copy.ipynb'")
    kernel.cell(f"%%mlfoundry_run {project} --name a --rerun replace\n1", "cell-d")
    kernel.cell("os.environ['JPY_SESSION_NAME'] = 'notebook.ipynb'")
    assert statuses(store, project) == {"a": "FINISHED", "a-2": "FINISHED"}


def test_the_kernel_offers_our_options_and_projects(kernel, project):
    kernel.cell(f"%%mlfoundry_run {project}\n1")

    def offered(code):
        asked = kernel.client.complete(code, len(code))
        while True:
            reply = kernel.client.get_shell_msg(timeout=60)
            if reply["parent_header"].get("msg_id") == asked:
                content = reply["content"]
                start = code[: content["cursor_start"]]
                return [start + match for match in content["matches"]]

    assert offered("%%mlfoundry_run demo --na") == ["%%mlfoundry_run demo --name"]
    assert f"%mlfoundry_runs {project}" in offered("%mlfoundry_runs pro")
    assert "%%mlfoundry_run" in offered("%%mlfoundry_ru")


def test_a_cell_knows_what_it_and_its_children_cost(kernel, store, project):
    work = "import time\nend = time.process_time() + 0.4\nwhile time.process_time() < end: pass\n"
    kernel.cell(
        f"%%mlfoundry_run {project} --name a\nimport subprocess, sys\nblock = bytearray(200 << 20)\ndel block\n{work}"
        f"subprocess.run([sys.executable, '-c', {work!r}], check=True)"
    )
    kernel.cell(f"%%mlfoundry_run {project} --name b\n1")
    heavy, light = (json.loads(store.get_run(f"{project}/{n}").get_facts()["cell.0001"]) for n in "ab")
    assert heavy["cpu_s"] >= 0.75
    assert light["cpu_s"] < 0.5
    assert heavy["peak_bytes"] - light["peak_bytes"] > 150 << 20


def test_the_panel_is_shown_while_the_cell_runs_and_pictures_its_end(kernel, project):
    kernel.cell("import os; os.environ['MLFOUNDRY_PANEL'] = '1'")
    reply = kernel.cell(f"%%mlfoundry_run {project} --name a\nlr = 1\nrun.log_metrics({{'loss': 1.0}})")
    kernel.cell("os.environ['MLFOUNDRY_PANEL'] = '0'")
    assert reply["status"] == "ok"
    assert "running" in reply["shown"]
    assert "✓ finished" in reply["shown"]
    assert "captured: params lr=1" in reply["shown"]
