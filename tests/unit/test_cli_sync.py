"""`mlfoundry sync`: what a process left that really died is stored, and what stays is said with its reason."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

import mlfoundry
from mlfoundry.cli import main
from mlfoundry.shipping import shipper as shippers

LOGGING = """
import os, signal, sys, mlfoundry
client = mlfoundry.get_client(user="ann")
run = client.create_run("demo", sys.argv[1], log_system_metrics=False, capture=False)
run.flush()
for step in range(100):
    run.log_metrics({"loss": step / 7}, step=step)
print(run.run_id, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def client(home):
    return mlfoundry.get_client(home, user="ann")


@pytest.fixture
def cli(home):
    def call(*args, code=0):
        result = CliRunner().invoke(main, ["--user", "ann", *args])
        assert result.exit_code == code, result.output
        return result

    return call


@pytest.fixture
def logging(home):
    """Begin processes that log a run and wait; end those that a test leaves."""
    processes = []

    def begin(name="dead"):
        process = subprocess.Popen(
            [sys.executable, "-c", LOGGING, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        processes.append(process)
        return process, process.stdout.readline().strip()

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def dead(logging):
    """The id of a run whose process was killed."""
    process, run_id = logging()
    process.send_signal(signal.SIGKILL)
    process.wait()
    return run_id


def _journals(home):
    return [folder for folder in (home / "journals").iterdir() if folder.name != "parked"]


def test_what_a_killed_process_left_is_stored_and_its_run_is_killed(dead, home, client, cli):
    assert len(_journals(home)) == 1
    assert cli("sync").stdout == "1 journal stored.\n"
    assert _journals(home) == []
    run = client.get_run(dead)
    assert run.status is mlfoundry.RunStatus.KILLED
    assert run.get_metrics("loss")["loss"].values.tolist() == [step / 7 for step in range(100)]
    assert "all is stored" in cli("sync").stdout


def test_what_was_stored_is_told_as_json(dead, cli):
    assert json.loads(cli("sync", "--json").stdout) == {"stored": 1, "left": [], "living": 0}


def test_the_journal_of_a_living_process_is_left_to_it(logging, home, cli):
    process, _ = logging("alive")
    assert "1 journal of processes that live" in cli("sync").stdout
    assert json.loads(cli("sync", "--json").stdout) == {"stored": 0, "left": [], "living": 1}
    assert len(_journals(home)) == 1
    process.communicate("")
    assert process.returncode == 0


def test_a_store_that_is_away_is_an_error_of_its_own_and_nothing_is_lost(dead, home, cli):
    _take_away(home)
    result = cli("sync", "--timeout", "5", code=5)
    assert "mlfoundry.db" in result.stderr
    assert len(_journals(home)) == 1


def test_a_journal_that_cannot_be_read_is_named_with_the_reason(home, cli):
    folder = home / "journals" / f"{'a' * 32}.{'b' * 16}"
    folder.mkdir(parents=True)
    (folder / "lock").symlink_to("lock")
    told = cli("sync", "--timeout", "5", code=1)
    assert str(folder) in told.stderr
    assert "it cannot be read (Too many levels of symbolic links)" in told.stderr
    (left,) = json.loads(cli("sync", "--json", code=1).stdout)["left"]
    assert left["reason"].startswith("it cannot be read")
    assert left["living"] is None


def test_what_belongs_to_a_deleted_run_is_put_aside_and_said(dead, home, client, cli):
    client.backend.delete_run(client.backend.get_run(dead).key)
    (left,) = json.loads(cli("sync", "--json", code=1).stdout)["left"]
    assert left["run"] == "ann/demo/dead"
    assert left["parked"] is True
    assert "restore" in left["reason"]
    assert "put aside" in cli("doctor", code=1).stdout


def test_sync_goes_on_to_say_what_is_put_aside_and_how_it_comes_back(dead, client, cli):
    client.backend.delete_run(client.backend.get_run(dead).key)
    cli("sync", code=1)
    told = cli("sync", code=1)
    assert "all is stored" not in told.stdout
    assert "ann/demo/dead" in told.stderr
    assert f"mlfoundry restore {dead}" in told.stderr


def test_a_run_that_is_restored_gets_what_its_dead_process_logged(dead, home, client, cli):
    client.backend.delete_run(client.backend.get_run(dead).key)
    cli("sync", code=1)
    cli("restore", dead)
    run = client.get_run(dead)
    assert run.status is mlfoundry.RunStatus.KILLED
    assert run.get_metrics("loss")["loss"].values.tolist() == [step / 7 for step in range(100)]
    assert _journals(home) == []
    assert "all is stored" in cli("sync").stdout


def test_a_run_that_was_restored_elsewhere_gets_what_was_put_aside_with_the_next_sync(dead, client, cli):
    key = client.backend.get_run(dead).key
    client.backend.delete_run(key)
    cli("sync", code=1)
    client.backend.restore_run(key)
    assert json.loads(cli("sync", "--json").stdout) == {"stored": 1, "left": [], "living": 0}
    assert client.get_run(dead).status is mlfoundry.RunStatus.KILLED


def test_what_belongs_to_a_deleted_project_is_put_aside_and_said_with_what_can_be_done(dead, client, cli):
    client.backend.delete_project(client.backend.get_run(dead).key.project_id)
    told = cli("sync", code=1)
    assert "its project was deleted" in told.stderr
    assert "move it to where you keep backups" in told.stderr


def test_without_any_journal_sync_makes_no_store(home, cli):
    cli("sync")
    assert list(home.iterdir()) == []


def test_a_timeout_that_is_no_number_is_wrong_usage(cli):
    cli("sync", "--timeout", "soon", code=2)
    cli("sync", "--timeout", "-1", code=2)


def test_client_sync_counts_a_journal_that_the_store_cannot_be_asked_about(dead, home, client):
    _take_away(home)
    found = set()
    for _ in range(40):  # the shipper may look at the journals at any moment of it
        found.add(client.sync(1.0))
        shippers._shipper.stop(10.0)
        shippers._shipper = None
    assert found == {1}


def _take_away(home):
    """Put a folder in the place of the database, which not even root can open as one."""
    for path in home.glob("mlfoundry.db*"):
        path.rename(home / f"away-{path.name}")
    (home / "mlfoundry.db").mkdir()
