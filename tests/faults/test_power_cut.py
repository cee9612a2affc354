"""The power goes while a run has just begun: what its journal holds is not lost with what the store forgot."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

import mlfoundry
from mlfoundry.shipping import recovery, shipper
from mlfoundry.tracking import lease

LOGGING = """
import os, sys, mlfoundry
from mlfoundry.shipping import shipper
shipper.SHIP_S = 3600.0  # what the store is told of the run is its making
client = mlfoundry.get_client(user="ann")
run = client.create_run(
    "demo", "first", tags={"stage": "draft"}, description="cut off", log_system_metrics=False, capture=False
)
for step in range(100):
    run.log_metrics({"loss": step / 7}, step=step)
print(run.run_id, run.run_name, flush=True)
os._exit(9)
"""


@pytest.fixture
def client(home):
    with mlfoundry.get_client(home, user="ann") as client:
        yield client


@pytest.fixture
def cut_off(home, client):
    """A run in whose first moment the power went: its journal was on the disk, what the store had answered was not."""

    def cut(*, with_project=True):
        if with_project:
            with client.create_run("demo", "first", log_system_metrics=False, capture=False):
                pass
        client.backend.make()
        client.close()
        before = home.parent / f"{home.name}-before"
        before.mkdir()
        for file in home.glob("mlfoundry.db*"):
            shutil.copy(file, before)
        program = subprocess.run([sys.executable, "-c", LOGGING], stdout=subprocess.PIPE, text=True, check=False)
        assert program.returncode == 9
        for file in home.glob("mlfoundry.db*"):
            file.unlink()
        for file in before.iterdir():
            shutil.copy(file, home)
        return program.stdout.split()

    return cut


def _restarted(monkeypatch):
    monkeypatch.setattr(recovery, "boot_id", lambda: "another start")


@pytest.mark.parametrize("with_project", [True, False])
def test_a_run_that_the_store_forgot_is_made_again_from_its_journal(cut_off, client, monkeypatch, with_project):
    run_id, name = cut_off(with_project=with_project)
    _restarted(monkeypatch)
    assert client.sync(30.0) == 0
    run = client.get_run(run_id)
    assert run.run_name == name == ("first-2" if with_project else "first")
    assert (run.status, run.description, run.get_tags()) == ("KILLED", "cut off", {"stage": "draft"})
    assert run.get_metrics("loss")["loss"].values.tolist() == [step / 7 for step in range(100)]
    assert run.record.key.project_id == client.get_project("demo").project_id


def test_a_run_that_is_gone_while_the_machine_went_on_was_deleted_with_its_project_and_stays_so(
    cut_off, client, home, caplog
):
    run_id, _ = cut_off(with_project=False)
    client.sync(30.0)
    assert client.list_projects() == []
    (parked,) = (home / "journals" / "parked").iterdir()
    assert parked.name.startswith(run_id)
    assert str(parked) in caplog.text


def test_a_run_that_had_been_settled_is_not_made_again_after_a_power_cut(client, home, monkeypatch):
    run = client.create_run("demo", "long", log_system_metrics=False, capture=False)
    run.log_metrics({"loss": 1.0}, timestamp=run.started_at.timestamp() + 2 * recovery.FORGETTABLE_S)
    run.log_metrics({"loss": 0.5})
    client.delete_project("demo")
    run.end()
    monkeypatch.setattr("mlfoundry.shipping.recovery.FORGETTABLE_S", -1.0)
    _restarted(monkeypatch)
    shipper.stop(10.0)
    assert client.sync(5.0) == 0
    assert client.list_projects() == []
    assert len(list((home / "journals" / "parked").iterdir())) == 1


def test_the_first_batch_of_a_run_settles_it(client, monkeypatch):
    settled = []
    ingest = type(client.backend).ingest
    monkeypatch.setattr(
        type(client.backend), "ingest", lambda self, batch: settled.append(batch.settle) or ingest(self, batch)
    )
    with client.create_run("demo", log_system_metrics=False, capture=False) as run:
        for _ in range(3):
            run.log_metrics({"loss": 1.0})
            run.flush()
    assert settled[0] is True
    assert not all(settled)


@pytest.fixture
def without_journal(home):
    """``without_journal()`` is the id of a run whose row is on the disk, and whose journal is not."""

    def cut():
        program = subprocess.run([sys.executable, "-c", LOGGING], stdout=subprocess.PIPE, text=True, check=False)
        assert program.returncode == 9
        shutil.rmtree(home / "journals")
        return program.stdout.split()[0]

    return cut


def test_a_run_without_a_journal_ends_as_lost_once_nothing_is_heard_of_it_for_long(
    without_journal, client, home, monkeypatch
):
    run_id = without_journal()
    assert client.get_run(run_id).status == "RUNNING", "a process may yet live that could make no journal"
    assert client.sync(10.0) == 0
    assert client.get_run(run_id).status == "RUNNING"
    monkeypatch.setattr(lease, "UNHEARD_S", 0.0)
    with mlfoundry.get_client(home, user="ann") as another:
        run = another.get_run(run_id)
        assert (run.status, run.record.is_lost, run.ended_at) == ("KILLED", True, run.started_at)
        assert run.record.error == "Lost: its process is gone, and so is the journal of what it logged last"
        assert [each.status for each in another.list_runs("demo")] == ["KILLED"]


def test_a_process_that_lives_ends_lost_runs_of_others_and_not_those_that_have_a_journal(
    without_journal, client, home, monkeypatch
):
    monkeypatch.setattr(lease, "UNHEARD_S", 0.0)
    lost = without_journal()
    with client.create_run("demo", "living", log_system_metrics=False, capture=False) as run:
        run.flush()
        assert client.sync(10.0) == 0
        assert client.backend.get_run(lost).is_lost
        assert client.backend.get_run(run.run_id).status == "RUNNING"
        parked = home / "journals" / "parked"
        parked.mkdir(mode=0o700)
        (parked / f"{'ab' * 16}.{7:016x}").mkdir()
        kept = []
        monkeypatch.setattr(type(client.backend), "end_unheard", lambda self, ids: kept.append(set(ids)) or 0)
        assert recovery.end_unheard(client.backend, client.settings.journal_roots()) == 0
        assert kept[-1] == {run.run_id, "ab" * 16}


def test_a_run_that_was_taken_for_lost_runs_again_with_what_its_process_logs_next(client, monkeypatch):
    run = client.create_run("demo", "slept", log_system_metrics=False, capture=False)
    run.log_metrics({"loss": 1.0})
    run.flush()
    monkeypatch.setattr(lease, "UNHEARD_S", 0.0)
    assert client.backend.end_unheard(()) == 1
    monkeypatch.undo()
    assert client.backend.get_run(run.run_id).is_lost
    run.log_metrics({"loss": 0.5})
    run.flush()
    assert (client.backend.get_run(run.run_id).status, client.backend.get_run(run.run_id).error) == ("RUNNING", "")
    run.end()
    assert client.get_run(run.run_id).status == "FINISHED"
