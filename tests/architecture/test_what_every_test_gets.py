"""A test that leaves something behind fails for it, and the next one begins clean."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LEAKS = {
    "the run ann/p/left is still open": "mlfoundry.get_client(tmp_path, user='ann').create_run('p', 'left')",
    "the thread mlfoundry-odd still runs": (
        "threading.Thread(target=threading.Event().wait, name='mlfoundry-odd', daemon=True).start()"
    ),
    "/journals/": "(tmp_path / 'journals').mkdir(); kept.append(open(tmp_path / 'journals' / 'lock', 'w'))",
}
FILE = """
import os, threading
import mlfoundry

kept = []

def test_leaves(tmp_path):
    {leak}

def test_next(tmp_path):
    assert mlfoundry.open_runs() == []
    assert [t.name for t in threading.enumerate() if t.name in ("mlfoundry-shipper", "mlfoundry-disk")] == []
    assert [name for name in os.environ if name.startswith("MLFOUNDRY_")] == ["MLFOUNDRY_HOME"]
    with mlfoundry.get_client().create_run("p", log_system_metrics=False) as run:
        run.log_metrics({{"loss": 1.0}})
    assert run.get_metrics("loss")["loss"].count == 1
"""


def outcome_of(folder, leak):
    (folder / "test_it.py").write_text(FILE.format(leak=leak))
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import pytest\n"
        f"import tests.conftest as c; c.THREAD_END_S = 1.0\n"
        f"sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', '--rootdir', {str(folder)!r}, {str(folder)!r}], [c]))"
    )
    command = [sys.executable, "-c", code]
    environment = {"PATH": "/usr/bin:/bin", "MLFOUNDRY_USER": "somebody", "MLFOUNDRY_CAPTURE": "0"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    ).stdout


@pytest.mark.parametrize("message", LEAKS)
def test_a_test_that_leaves_something_behind_fails_and_the_next_begins_clean(message, tmp_path):
    printed = outcome_of(tmp_path, LEAKS[message])
    assert "ERROR test_it.py::test_leaves" in printed
    assert message in printed
    assert "2 passed" in printed
    assert "1 error" in printed


def test_a_test_that_leaves_nothing_passes(tmp_path):
    assert "2 passed" in outcome_of(tmp_path, "mlfoundry.get_client(tmp_path, user='ann').create_run('p').end()")


def test_loops_run_at_reduced_counts_unless_asked(scale, pytestconfig):
    full = pytestconfig.getoption("--full")
    assert scale(1000) == (1000 if full else 50)
    assert scale(1000, 7) == (1000 if full else 7)
    assert scale(3) == (3 if full else 1)
