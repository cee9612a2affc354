"""The set-up says in one line what a machine lacks and what to do about it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("sh", "cat", "head", "dirname", "ln", "mkdir", "rm")


@pytest.fixture
def machine(tmp_path):
    """A folder like a clone's, and a PATH that holds nothing but what a test puts there."""
    (tmp_path / "clone" / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "make-venv", tmp_path / "clone" / ".ci")
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool))
    return tmp_path


def add_python(machine, name, *, version="Python 3.11.7", refuses=""):
    """Put a Python there that says it is of this version and cannot run code that holds a certain word."""
    recent = "1" if version.startswith("Python 3.1") else ""
    script = f"""#!/bin/sh
case "$*" in
    -V) echo "{version}"; exit 0 ;;
    *version_info*\\<*) [ -n "{recent}" ]; exit $? ;;
    *"{refuses or "nothing of the kind"}"*) exit 1 ;;
    "-m venv --clear .venv") rm -rf .venv; mkdir -p .venv/bin; ln -s {sys.executable} .venv/bin/python; exit 0 ;;
esac
exec {sys.executable} "$@"
"""
    path = machine / "bin" / name
    path.write_text(script)
    path.chmod(0o755)


def make_venv(machine, *arguments):
    command = [str(machine / "clone" / ".ci" / "make-venv"), *arguments]
    environment = {**os.environ, "PATH": str(machine / "bin")}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_without_any_python_it_says_which_is_needed(machine):
    done = make_venv(machine)
    assert done.returncode != 0
    assert "Python 3.11 or later is needed; python3 is: not there. Install one" in done.stderr
    assert done.stderr.count("\n") == 1


def test_with_an_old_python_it_says_what_it_found(machine):
    add_python(machine, "python3", version="Python 3.9.2")
    done = make_venv(machine)
    assert done.returncode != 0
    assert "python3 is: Python 3.9.2. Install one, or name it: make PYTHON=" in done.stderr


def test_a_named_python_that_is_too_old_is_not_replaced_by_another(machine):
    add_python(machine, "python3")
    add_python(machine, "python3.9", version="Python 3.9.2")
    done = make_venv(machine, "python3.9")
    assert done.returncode != 0
    assert "PYTHON=python3.9 is no Python 3.11 or later (it is: Python 3.9.2)" in done.stderr
    assert not (machine / "clone" / ".venv").exists()


def test_without_ensurepip_it_names_the_package_that_brings_it(machine):
    add_python(machine, "python3", refuses="ensurepip")
    done = make_venv(machine)
    assert done.returncode != 0
    assert f"apt install python3.{sys.version_info.minor}-venv" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_environment_is_made_once_and_anew_when_the_folder_has_moved(machine):
    add_python(machine, "python3.11", refuses="ensurepip")
    add_python(machine, "python3")
    mark = machine / "clone" / ".venv" / "made-for"
    assert make_venv(machine).returncode == 0
    made_at = mark.stat().st_mtime_ns
    assert make_venv(machine).stdout == ""
    assert mark.stat().st_mtime_ns == made_at
    (machine / "clone").rename(machine / "moved")
    shutil.copytree(machine / "moved", machine / "clone", symlinks=True)
    mark.write_text("/elsewhere any python\n")
    assert "Making .venv" in make_venv(machine).stdout
    assert mark.read_text().startswith(str(machine / "clone"))


def test_an_environment_of_ones_own_is_used_as_it_is(machine):
    own = machine / "clone" / ".venv" / "bin" / "python"
    own.parent.mkdir(parents=True)
    own.symlink_to(sys.executable)
    done = make_venv(machine)
    assert done.returncode == 0
    assert done.stdout == done.stderr == ""
