"""Runs that are made, or logged to, when the program has its end in sight; each in a real process."""

from __future__ import annotations

import sys

import pytest

from mlfoundry.records import RunStatus
from mlfoundry.runs.process_exit import UNKNOWN_CODE

HEAD = """\
import sys, os, threading
import mlfoundry
run = mlfoundry.get_client(sys.argv[1], user="ann").create_run("p", "x")
run.log_metrics({"a": 1.0})
"""
FINISHED, FAILED = RunStatus.FINISHED, RunStatus.FAILED


def check_end(look, store, status, error):
    seen = look(store)
    assert seen.left == 0
    assert (seen.run().status, seen.run().error) == (status, error)
    assert seen.values("a") == [1.0]


KNOWS_ALL = sys.version_info >= (3, 12)


@pytest.mark.parametrize(
    ("text", "code", "status", "error", "status_311", "error_311"),
    [
        ("sys.exit(main())", 0, FINISHED, "", FINISHED, ""),
        ("sys.exit(main(4))", 4, FAILED, "SystemExit: 4", FINISHED, ""),
        ("ex(main(4))", 4, FAILED, "SystemExit: 4", FINISHED, ""),
        ("main(); ex(4)", 4, FAILED, "SystemExit: 4", FAILED, "SystemExit: 4"),
        ("main(); ex()", 0, FINISHED, "", FINISHED, ""),
        ("main(); ex(main and 4)", 4, FAILED, "SystemExit: 4", FINISHED, ""),
        ("main(); deep(4)", 4, FAILED, "SystemExit: 4", FAILED, UNKNOWN_CODE),
        ("main(); deep(0)", 0, FINISHED, "", FAILED, UNKNOWN_CODE),
        ("sys.exit(deep(0) or main())", 0, FINISHED, "", FINISHED, ""),
        ("try:\n    sys.exit(main(4))\nfinally: pass", 4, FAILED, "SystemExit: 4", FAILED, "SystemExit: 4"),
        ("raise SystemExit(main(4))", 4, FAILED, "SystemExit: 4", FAILED, "SystemExit: 4"),
        ("raise SystemExit(main())", 0, FINISHED, "", FINISHED, ""),
    ],
)
def test_an_exit_that_was_looked_up_before_the_run_was_made(
    text, code, status, error, status_311, error_311, start, look, store, tmp_path
):
    head = HEAD.replace("\n", "\n    ").replace("import", "global run; import", 1).rstrip()
    script = tmp_path / "program.py"
    script.write_text(
        "import sys\nfrom sys import exit as ex\n"
        f"def main(code=None):\n    {head}\n    return code\n"
        "def deep(code):\n    if 'run' in globals(): ex(code)\n"
        f"{text}\n"
    )
    program = start(script, store)
    assert program.exit_code() == code, program.messages()
    check_end(look, store, *((status, error) if KNOWS_ALL else (status_311, error_311)))


def test_a_run_that_was_made_by_executed_text_ends_with_the_program(start, look, store, tmp_path):
    script = tmp_path / "program.py"
    script.write_text(f"import sys\nexec({HEAD!r})\ndef m(): raise SystemExit(3)\nm()\n")
    assert start(script, store).exit_code() == 3
    check_end(look, store, FAILED, "SystemExit: 3")


IN_EXIT_HANDLER = """
def handler():
    late = client.create_run("p", "late")
    late.log_metrics({"a": 1.0})
"""


@pytest.mark.parametrize("is_first_open", [True, False])
@pytest.mark.parametrize("is_registered_first", [True, False])
@pytest.mark.parametrize(("text", "code"), [("", 0), ("sys.exit(0)", 0), ("raise SystemExit(3)", 3)])
def test_a_run_made_in_an_exit_handler_ends_like_any_other(
    text, code, is_registered_first, is_first_open, start, look, store, tmp_path
):
    made = HEAD.replace("run =", "client =").replace('.create_run("p", "x")', "").replace("run.log", "# ")
    create = "run = client.create_run('p', 'x')\n" + ("" if is_first_open else "run.end()\n")
    register = "import atexit; atexit.register(handler)\n"
    order = register + create if is_registered_first else create + register
    script = tmp_path / "program.py"
    script.write_text(made + IN_EXIT_HANDLER + order + text + "\n")
    program = start(script, store, environment={"MLFOUNDRY_END_TIMEOUT_S": "5"})
    assert program.exit_code() == code, program.messages()
    assert "Traceback" not in program.messages()
    seen = look(store)
    assert seen.left == 0
    assert seen.run("x").status is (FAILED if code and is_first_open else FINISHED)
    assert seen.values("a", "late") == [1.0]
    is_beside_x = is_first_open and not is_registered_first  # which is judged by how the program ended
    assert seen.run("late").status is (FAILED if code and is_beside_x else FINISHED)
    seen.check()


@pytest.mark.parametrize(
    "call",
    [
        "run.log_metrics({'b': 1})",
        "run.log_metrics({'b': 1}, step=1, timestamp=1.0)",
        "run.log_params({str(time.time_ns()): 1})",
        "run.log_text('t', 't.txt')",
    ],
)
def test_a_daemon_thread_that_logs_to_the_very_end_makes_no_noise(call, start, look, store, tmp_path):
    script = tmp_path / "program.py"
    script.write_text(
        "import atexit, time\n"
        "def after():\n    ended.set()\n    late.join(9)\n    print(run.status.value, late.is_alive())\n"
        "atexit.register(after)\n"  # which is called when the run has ended, because it was registered before
        f"{HEAD}begun, ended = threading.Event(), threading.Event()\n"
        f"def log():\n    while True:\n        {call}\n        begun.set()\n"
        f"in_flight = run._log\ndef log_late():\n    ended.wait()\n    {call}\n    run._log = in_flight\n    {call}\n"
        "late = threading.Thread(target=log_late, daemon=True); late.start()\n"
        "threading.Thread(target=log, daemon=True).start(); begun.wait()\n"
    )
    program = start(script, store)
    assert program.rest() == "FINISHED False\n"
    assert (program.exit_code(), program.messages()) == (0, "")
    assert look(store).run().status is FINISHED


def test_a_thread_that_logs_while_another_ends_the_run_is_told_that_it_has_ended(start, store):
    text = HEAD + (
        "begun, told = threading.Event(), []\n"
        "def log():\n"
        "    while not told:\n"
        "        try: run.log_metrics({'b': 1}); begun.set()\n"
        "        except mlfoundry.errors.RunEnded as error: told.append(str(error))\n"
        "workers = [threading.Thread(target=log) for _ in range(3)]\n"
        "for each in workers: each.start()\n"
        "begun.wait(); run.end()\n"
        "for each in workers: each.join()\n"
        "print(all('has ended' in each for each in told), any('RUNNING' in each for each in told))\n"
    )
    program = start("-c", text, store)
    assert program.rest() == "True False\n", program.messages()


@pytest.mark.parametrize(("text", "has_traceback"), [("sys.exit(3)", False), ("raise error", True)])
def test_the_traceback_that_is_kept_is_of_what_ended_the_program(text, has_traceback, start, look, store, tmp_path):
    script = tmp_path / "program.py"
    script.write_text(HEAD + f"error = sys.last_value = ValueError('reported before')\n{text}\n")
    start(script, store).exit_code()
    assert ("reported before" in look(store).run().get_facts().get("error.traceback", "")) is has_traceback
