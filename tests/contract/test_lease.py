"""Runs of processes that a server hears no more of: given up, found true, and running again when they come back."""

from __future__ import annotations

import io
import secrets
import uuid

import psycopg
import pytest

from mlfoundry import slots
from mlfoundry.records import Batch, NewRun, RunQuery, RunStatus
from mlfoundry.store import lives
from mlfoundry.store.artifact_folder import ArtifactFolder
from mlfoundry.store.database import Database
from mlfoundry.store.postgres import PostgresDatabase
from mlfoundry.tracking.lease import LEASE_S
from mlfoundry.tracking.service import TrackingService

START_US = 1_700_000_000_000_000
A_WHILE_US = round(LEASE_S * 1e6) + 1
JOURNAL = 7


class Clock:
    now_us = START_US

    def __call__(self):
        return self.now_us


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request, tmp_path):
    if request.param == "sqlite":
        opened = Database(tmp_path / "store.db")
    else:
        uri, name = request.getfixturevalue("postgres_uri"), f"test_{secrets.token_hex(8)}"
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        opened = PostgresDatabase(f"{uri}?options=-csearch_path%3D{name}", pool_size=2)
    yield opened
    opened.close()


@pytest.fixture
def service(database, tmp_path, clock):
    return TrackingService(database, ArtifactFolder(tmp_path / "artifacts"), lease_s=LEASE_S, now_us=clock)


@pytest.fixture
def run(service):
    return service.create_run("ann", NewRun(uuid.uuid4().hex, "iris", "svm", None, {}, "", START_US))


def heard(service, run, start=0, *documents, points=0):
    """Let the service hear of a run: documents, then points of a metric a second apart; return the next slot."""
    seed, data = slots.seed(JOURNAL), b""
    for content in documents:
        data += slots.document(content, START_US, seed + start + len(data) // slots.SLOT)
    for step in range(points):
        at_us = START_US + (step + 1) * 1_000_000
        data += slots.record(slots.ROW, 1, step, at_us, bytes(8), seed + start + len(data) // slots.SLOT)
    stop = start + len(data) // slots.SLOT
    service.ingest("ann", Batch(run.key, JOURNAL, start, stop, data, {1: ("loss",)}))
    return stop


LOOKS = {
    "by id": lambda service, run: service.get_run("ann", run.key.run_id).status,
    "by name": lambda service, run: service.get_run_by_name("ann", None, "iris", "svm").status,
    "in a list": lambda service, run: service.search_runs("ann", RunQuery(run.key.project_id)).runs[0].status,
    "by its status": lambda service, run: (
        service.search_runs("ann", RunQuery(run.key.project_id, "status = 'KILLED'")).runs[0].status
    ),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS.keys())
def test_whoever_looks_first_finds_a_run_killed_that_nothing_was_heard_of(service, run, clock, look):
    clock.now_us += A_WHILE_US
    assert look(service, run) is RunStatus.KILLED


def test_it_was_killed_at_the_time_of_its_last_record_and_says_why(service, run, clock):
    heard(service, run, points=5)
    clock.now_us += 10 * A_WHILE_US
    found = service.get_run("ann", run.key.run_id)
    assert (found.ended_at - found.started_at).total_seconds() == 5
    assert found.error == "Lost: nothing was heard of its process for 120 s"


def test_a_run_that_logged_nothing_was_killed_when_it_began(service, run, clock):
    clock.now_us += A_WHILE_US
    found = service.get_run("ann", run.key.run_id)
    assert found.ended_at == found.started_at


def test_projects_do_not_count_lost_runs_as_running(service, run, clock):
    assert service.get_project("ann", None, "iris").running_count == 1
    clock.now_us += A_WHILE_US
    assert service.get_project("ann", None, "iris").running_count == 0
    heard(service, run)
    assert service.list_projects("ann")[0].running_count == 1
    clock.now_us += A_WHILE_US
    assert service.list_projects("ann")[0].running_count == 0


def test_a_list_of_projects_is_told_as_it_stands_when_runs_go_on_being_lost(service, run, clock, monkeypatch):
    ended = []
    monkeypatch.setattr(lives, "give_up", lambda tx, project_id, since_us, **_: ended.append(project_id))
    clock.now_us += A_WHILE_US
    assert [project.running_count for project in service.list_projects("ann")] == [1]
    assert ended == [run.key.project_id]


def test_a_run_of_which_something_is_heard_goes_on(service, run, clock):
    for _ in range(5):
        clock.now_us += A_WHILE_US - 2
        heard(service, run)
        assert service.get_run("ann", run.key.run_id).status is RunStatus.RUNNING


def test_a_run_that_was_only_cut_off_runs_again_and_nothing_of_it_is_missing(service, run, clock):
    at = heard(service, run, points=3)
    clock.now_us += A_WHILE_US
    assert service.get_run("ann", run.key.run_id).status is RunStatus.KILLED
    heard(service, run, at, points=4)
    found = service.get_run("ann", run.key.run_id)
    assert (found.status, found.ended_at, found.error) == (RunStatus.RUNNING, None, "")
    assert found.metrics["loss"].count == 7


def test_the_true_end_of_a_run_that_was_given_up_counts(service, run, clock):
    clock.now_us += A_WHILE_US
    assert service.get_run("ann", run.key.run_id).status is RunStatus.KILLED
    heard(service, run, 0, {"kind": "end", "status": "FINISHED", "elapsed_us": 3_000_000})
    found = service.get_run("ann", run.key.run_id)
    assert (found.status, found.error) == (RunStatus.FINISHED, "")
    assert (found.ended_at - found.started_at).total_seconds() == 3


def test_a_file_that_somebody_adds_to_a_run_that_was_given_up_does_not_bring_it_back(service, run, clock):
    clock.now_us += A_WHILE_US
    before = service.get_run("ann", run.key.run_id)
    assert before.status is RunStatus.KILLED
    service.put_artifact("ann", run.key, "note.txt", io.BytesIO(b"found its machine switched off"))
    assert service.get_run("ann", run.key.run_id) == before


def test_whatever_counts_runs_ends_the_lost_ones_first(service, run, clock):
    clock.now_us += A_WHILE_US
    assert service.count_runs("ann", run.key.project_id, "status = 'RUNNING'") == 0
    assert service.get_project_by_id("ann", run.key.project_id).running_count == 0


def test_a_run_that_ended_is_never_given_up_and_never_runs_again(service, run, clock):
    at = heard(service, run, 0, {"kind": "end", "status": "FAILED", "error": "ValueError: no", "elapsed_us": 1})
    clock.now_us += A_WHILE_US
    heard(service, run, at)
    found = service.get_run("ann", run.key.run_id)
    assert (found.status, found.error) == (RunStatus.FAILED, "ValueError: no")


def test_without_a_lease_a_run_runs_for_ever(database, tmp_path, clock):
    service = TrackingService(database, ArtifactFolder(tmp_path / "artifacts"), now_us=clock)
    run = service.create_run("ann", NewRun(uuid.uuid4().hex, "iris", "svm", None, {}, "", START_US))
    clock.now_us += 1000 * A_WHILE_US
    assert service.get_run("ann", run.key.run_id).status is RunStatus.RUNNING
