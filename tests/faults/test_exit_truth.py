"""How a program ends, each in a real process: its open run ends in the true status, and nothing else is changed."""

from __future__ import annotations

import signal

import pytest

from mlfoundry.records import RunStatus

HEAD = """\
import sys, os, threading
import mlfoundry
run = mlfoundry.get_client(sys.argv[1], user="ann").create_run("p", "x")
run.log_metrics({"a": 1.0})
"""
FINISHED, FAILED, KILLED = RunStatus.FINISHED, RunStatus.FAILED, RunStatus.KILLED

# name: (the program after HEAD, exit code, status, error)
ENDS = {
    "the last line": ("", 0, FINISHED, ""),
    "an exception": ("raise ValueError('learning rate')", 1, FAILED, "ValueError: learning rate"),
    "an exception without a message": ("raise KeyError", 1, FAILED, "KeyError"),
    "an exception whose message fails": (
        "class Odd(Exception):\n    def __str__(self): raise RuntimeError\nraise Odd",
        1,
        FAILED,
        "Odd: <no message: RuntimeError>",
    ),
    "sys.exit()": ("sys.exit()", 0, FINISHED, ""),
    "sys.exit(0)": ("sys.exit(0)", 0, FINISHED, ""),
    "sys.exit(None)": ("sys.exit(None)", 0, FINISHED, ""),
    "exit()": ("exit()", 0, FINISHED, ""),
    "quit()": ("quit()", 0, FINISHED, ""),
    "sys.exit(3)": ("sys.exit(3)", 3, FAILED, "SystemExit: 3"),
    "exit(3)": ("exit(3)", 3, FAILED, "SystemExit: 3"),
    "sys.exit with a text": ("sys.exit('no data')", 1, FAILED, "SystemExit: no data"),
    "raise SystemExit": ("raise SystemExit", 0, FINISHED, ""),
    "raise SystemExit(0)": ("raise SystemExit(0)", 0, FINISHED, ""),
    "raise SystemExit(3)": ("raise SystemExit(3)", 3, FAILED, "SystemExit: 3"),
    "raise SystemExit(main())": ("def main(): pass\nraise SystemExit(main())", 0, FINISHED, ""),
    "sys.exit(main())": ("def main(): return 4\nsys.exit(main())", 4, FAILED, "SystemExit: 4"),
    "sys.exit far below": ("def deep(n): deep(n - 1) if n else sys.exit(5)\ndeep(50)", 5, FAILED, "SystemExit: 5"),
    "sys.exit(False)": ("sys.exit(False)", 0, FINISHED, ""),
    "sys.exit(True)": ("sys.exit(True)", 1, FAILED, "SystemExit: True"),
    "sys.exit(0.0)": ("sys.exit(0.0)", 1, FAILED, "SystemExit: 0.0"),
    "sys.exit with a text that says nothing": ("sys.exit('')", 1, FAILED, "SystemExit"),
    "raise SystemExit(0) in a function": ("def m(): raise SystemExit(0)\nm()", 0, FINISHED, ""),
    "raise SystemExit in a function": ("def m(): raise SystemExit\nm()", 0, FINISHED, ""),
    "raise SystemExit(2) in a function": ("def m(): raise SystemExit(2)\nm()", 2, FAILED, "SystemExit: 2"),
    "a SystemExit of its own kind": (
        "class Stop(SystemExit): pass\ndef m(): raise Stop(2)\nm()",
        2,
        FAILED,
        "SystemExit: 2",
    ),
    "a SystemExit whose code is set late": ("e = SystemExit(0); e.code = 4\nraise e", 4, FAILED, "SystemExit: 4"),
    "raise SystemExit(3) in exec": ("exec(compile('raise SystemExit(3)', 'x', 'exec'))", 3, FAILED, "SystemExit: 3"),
    "a module that exits": (
        "import runpy\nname = sys.argv[0] + '_'\nopen(name, 'w').write('exit(5)')\nrunpy.run_path(name)",
        5,
        FAILED,
        "SystemExit: 5",
    ),
    "an imported exit in a function": ("from sys import exit as ex\ndef m(): ex(4)\nm()", 4, FAILED, "SystemExit: 4"),
    "sys.exit in asyncio": (
        "import asyncio\nasync def main(): sys.exit(3)\nasyncio.run(main())",
        3,
        FAILED,
        "SystemExit: 3",
    ),
    "an exit in compiled code that handles it": (
        "import ctypes\nctypes.pythonapi.PyRun_SimpleString(b'raise SystemExit(3)')",
        3,
        FAILED,
        "SystemExit: 3",
    ),
    "a clean exit in compiled code that handles it": (
        "import ctypes\nctypes.pythonapi.PyRun_SimpleString(b'raise SystemExit(0)')",
        0,
        FINISHED,
        "",
    ),
    "argparse's error": ("import argparse\nargparse.ArgumentParser().parse_args(['--no'])", 2, FAILED, "SystemExit: 2"),
    "a swallowed sys.exit": ("try: sys.exit(3)\nexcept SystemExit: pass", 0, FINISHED, ""),
    "a swallowed exception": ("try: 1 / 0\nexcept ZeroDivisionError: pass", 0, FINISHED, ""),
    "a swallowed sys.exit, then an exception": (
        "try: sys.exit(0)\nexcept SystemExit: pass\nraise ValueError('late')",
        1,
        FAILED,
        "ValueError: late",
    ),
    "a swallowed exception that was reported, as a GUI does": (
        "try: 1 / 0\nexcept ZeroDivisionError as error: sys.last_value = error",
        0,
        FINISHED,
        "",
    ),
    "an exception that was reported, then sys.exit(3)": (
        "try: 1 / 0\nexcept ZeroDivisionError as error: sys.last_value = error\nsys.exit(3)",
        3,
        FAILED,
        "SystemExit: 3",
    ),
    "a swallowed sys.exit(0) whose code is read, then an exception": (
        "def g(): sys.exit(0)\ntry: g()\nexcept SystemExit as e: assert e.code == 0\nraise ValueError('late')",
        1,
        FAILED,
        "ValueError: late",
    ),
    "a swallowed sys.exit(0), then SystemExit(2) in a function": (
        "try: sys.exit(0)\nexcept SystemExit: pass\ndef m(): raise SystemExit(2)\nm()",
        2,
        FAILED,
        "SystemExit: 2",
    ),
    "a swallowed sys.exit(3), then SystemExit(0) in a function": (
        "try: sys.exit(3)\nexcept SystemExit: pass\ndef m(): raise SystemExit(0)\nm()",
        0,
        FINISHED,
        "",
    ),
    "a swallowed sys.exit(2) whose code is read": (
        "def g():\n    try: sys.exit(2)\n    except SystemExit as e: return e.code - 2\ndef m(): exit(g())\nm()",
        0,
        FINISHED,
        "",
    ),
    "a swallowed sys.exit(2), then the end of a function": (
        "def m():\n    try: sys.exit(2)\n    except SystemExit as error: return error.code\nm()",
        0,
        FINISHED,
        "",
    ),
    "sys.exit(3) that is raised again after a swallowed sys.exit(0)": (
        "try: sys.exit(3)\nexcept SystemExit:\n    try: sys.exit(0)\n    except SystemExit: pass\n    raise",
        3,
        FAILED,
        "SystemExit: 3",
    ),
    "sys.exit(3) in a thread, then SystemExit(0) in a function": (
        "t = threading.Thread(target=lambda: sys.exit(3)); t.start(); t.join()\ndef m(): raise SystemExit(0)\nm()",
        0,
        FINISHED,
        "",
    ),
    "SystemExit(0) while a thread exits with 3": (
        "def late(): threading.main_thread().join(); sys.exit(3)\nthreading.Thread(target=late).start()\nsys.exit(0)",
        0,
        FINISHED,
        "",
    ),
    "a generator that is closed": (
        "def g():\n    with run: yield 1; yield 2\nit = g(); next(it); it.close()",
        0,
        FINISHED,
        "",
    ),
    "a generator that is forgotten": (
        "def g():\n    with run: yield 1; yield 2\nit = g(); next(it); del it\nraise ValueError('late')",
        1,
        FINISHED,
        "",
    ),
    "a generator that its consumer fails": (
        "def g():\n    with run: yield 1; yield 2\nit = g(); next(it); it.throw(ValueError('in'))",
        1,
        FAILED,
        "ValueError: in",
    ),
    "a swallowed sys.exit(3), then sys.exit(0)": ("try: sys.exit(3)\nexcept SystemExit: sys.exit(0)", 0, FINISHED, ""),
    "an exception in a thread alone": (
        "t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()",
        0,
        FINISHED,
        "",
    ),
    "sys.exit in a thread alone": (
        "t = threading.Thread(target=lambda: sys.exit(3)); t.start(); t.join()",
        0,
        FINISHED,
        "",
    ),
    # CPython forgets that an interrupt ended the program when any thread of it imports certain modules afterwards
    # (those that make named tuples): the flush has them imported before.
    "KeyboardInterrupt": ("run.flush()\nraise KeyboardInterrupt", -signal.SIGINT, KILLED, "KeyboardInterrupt"),
    "SIGINT": (
        "import signal\nrun.flush()\nsignal.raise_signal(signal.SIGINT)\nfor _ in range(9): pass",
        -signal.SIGINT,
        KILLED,
        "KeyboardInterrupt",
    ),
    "SIGTERM": ("import signal\nsignal.raise_signal(signal.SIGTERM)", -signal.SIGTERM, KILLED, ""),
    "SIGKILL": ("import signal\nos.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, KILLED, ""),
    "os._exit(0)": ("os._exit(0)", 0, KILLED, ""),
    "os.abort": (
        "import resource\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))\nos.abort()",
        -signal.SIGABRT,
        KILLED,
        "",
    ),
    "exec of another program": ("os.execv('/bin/true', ['true'])", 0, KILLED, ""),
    "end() and then an exception": ("run.end()\nraise ValueError", 1, FINISHED, ""),
    "end('FAILED') and the last line": ("run.end('FAILED')", 0, FAILED, ""),
    "with and the last line": ("with run: pass", 0, FINISHED, ""),
    "with and an exception": ("with run: raise ValueError('in')", 1, FAILED, "ValueError: in"),
    "with and an exception that is caught outside": (
        "try:\n    with run: raise ValueError('in')\nexcept ValueError: pass",
        0,
        FAILED,
        "ValueError: in",
    ),
    "with and sys.exit(0)": ("with run: sys.exit(0)", 0, FINISHED, ""),
    "with and sys.exit(3)": ("with run: sys.exit(3)", 3, FAILED, "SystemExit: 3"),
    "with and exit()": ("with run: exit()", 0, FINISHED, ""),
    "with and KeyboardInterrupt": ("with run: raise KeyboardInterrupt", -signal.SIGINT, KILLED, "KeyboardInterrupt"),
    "with and os._exit": ("with run: os._exit(0)", 0, KILLED, ""),
    "with and SIGKILL": ("import signal\nwith run: os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, KILLED, ""),
    "an exception while another is handled": (
        "try: 1 / 0\nexcept ZeroDivisionError: raise ValueError('second') from None",
        1,
        FAILED,
        "ValueError: second",
    ),
    "asyncio": (
        "import asyncio\nasync def main(): raise OSError('async')\nasyncio.run(main())",
        1,
        FAILED,
        "OSError: async",
    ),
}


def check_end(look, store, status, error):
    seen = look(store)
    assert seen.left == 0
    run = seen.run()
    assert (run.status, run.error) == (status, error)
    assert run.ended_at >= run.started_at
    assert seen.values("a") == [1.0]
    seen.check()


@pytest.mark.parametrize("how", ENDS)
def test_a_program_that_ends_by(how, start, look, store, tmp_path):
    text, code, status, error = ENDS[how]
    script = tmp_path / "program.py"
    script.write_text(HEAD + text + "\n")
    program = start(script, store)
    assert program.exit_code() == code, program.messages()
    assert "mlfoundry" not in program.messages().replace(str(script), "").lower()
    assert "journal" not in program.messages()
    check_end(look, store, status, error)


@pytest.mark.parametrize(
    ("text", "code", "status", "error"),
    [
        ("", 0, FINISHED, ""),
        ("try: sys.exit(3)\nexcept SystemExit: pass", 0, FINISHED, ""),
        ("sys.exit(0)", 0, FINISHED, ""),
        ("sys.exit(3)", 3, FAILED, "SystemExit: 3"),
        ("raise SystemExit(3)", 3, FAILED, "SystemExit: 3"),
        ("raise ValueError('m')", 1, FAILED, "ValueError: m"),
    ],
)
def test_a_program_that_is_run_as_a_module(text, code, status, error, start, look, store, tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__main__.py").write_text(HEAD + text + "\n")
    program = start("-m", "package", store, cwd=tmp_path)
    assert program.exit_code() == code, program.messages()
    check_end(look, store, status, error)


@pytest.mark.parametrize(
    ("text", "code", "status"), [("exit(0)", 0, FINISHED), ("exit()", 0, FINISHED), ("exit(3)", 3, FAILED)]
)
def test_a_program_that_ends_by_an_exit_it_imported_before(text, code, status, start, look, store, tmp_path):
    script = tmp_path / "program.py"
    script.write_text(f"from sys import exit\n{HEAD}{text}\n")
    program = start(script, store)
    assert program.exit_code() == code
    seen = look(store)
    assert seen.run().status is status


def test_a_run_made_in_a_function_and_one_made_in_a_thread_end_truly(start, look, store, tmp_path):
    script = tmp_path / "program.py"
    script.write_text(
        "import sys, threading, mlfoundry\n"
        "client = mlfoundry.get_client(sys.argv[1], user='ann')\n"
        "runs = []\n"
        "def make(name): runs.append(client.create_run('p', name)); runs[-1].log_metrics({'a': 1.0})\n"
        "thread = threading.Thread(target=make, args=('thread',)); thread.start(); thread.join()\n"
        "make('function')\n"
        "sys.exit(3)\n"
    )
    assert start(script, store).exit_code() == 3
    seen = look(store)
    assert [seen.run(name).status for name in ("thread", "function")] == [FAILED, FAILED]
    assert seen.run("function").error == "SystemExit: 3"


LEAVES_ALL_AS_IT_WAS = """
import builtins, json, locale, logging, os, random, signal, sys, threading, warnings

def state():
    mask = os.umask(0)
    os.umask(mask)
    root = logging.getLogger()
    return {
        "exits": [repr(sys.exit), repr(builtins.exit), repr(builtins.quit), type(sys.exit).__name__],
        "hooks": [repr(sys.excepthook), repr(threading.excepthook), repr(sys.unraisablehook), repr(sys.displayhook)],
        "signals": [repr(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
        "warnings": list(map(repr, warnings.filters)),
        "logging": [root.level, list(map(repr, root.handlers)), logging.raiseExceptions, repr(logging.lastResort)],
        "umask": mask,
        "cwd": os.getcwd(),
        "locale": locale.setlocale(locale.LC_ALL),
        "random": hash(random.getstate()),
        "environment": dict(os.environ),
        "switch": sys.getswitchinterval(),
        "recursion": sys.getrecursionlimit(),
        "trace": [repr(sys.gettrace()), repr(sys.getprofile())],
    }

import numpy, psutil, apsw, platformdirs, coolname  # what they do at import is theirs
before = state()
import mlfoundry
client = mlfoundry.get_client(sys.argv[1], user="ann")
assert state() == before, "import or get_client"
run = client.create_run("p", log_system_metrics=True, capture=True)
during = state()
run.log_metrics({"a": 1.0})
assert repr(sys.exit) == before["exits"][0]
run.end()
with client.create_run("p") as run:
    pass
after = state()
for name in before:
    assert after[name] == before[name], (name, before[name], after[name])
    assert name == "exits" or during[name] == before[name], (name, before[name], during[name])
print("same")
"""


def test_import_run_and_end_leave_the_process_as_it_was(start, store):
    program = start("-c", LEAVES_ALL_AS_IT_WAS, store)
    assert program.rest() == "same\n", program.messages()
    assert program.exit_code() == 0
    assert program.messages() == ""


def test_an_exit_that_somebody_else_put_in_place_meanwhile_stays(start, store):
    text = (
        "import sys, mlfoundry\n"
        "run = mlfoundry.get_client(sys.argv[1], user='ann').create_run('p')\n"
        "def own(code=None): raise SystemExit(code)\n"
        "noting, sys.exit = sys.exit, own\n"
        "run.end()\n"
        "assert sys.exit is own\n"
        "sys.exit = noting\n"
        "sys.exit(6)\n"
    )
    assert start("-c", text, store).exit_code() == 6
