"""Rows of runs and projects that nobody sees through the protocol: what an end leaves, what a deletion leaves."""

from __future__ import annotations

import io
import uuid

import pytest

from mlfoundry import slots
from mlfoundry.records import Batch, NewRun, Permission
from mlfoundry.store import points, projects
from mlfoundry.tracking.embedded import EmbeddedBackend

POINTS = 200


@pytest.fixture
def backend(tmp_path):
    backend = EmbeddedBackend(tmp_path / "store", "ann")
    yield backend
    backend.close()


@pytest.fixture
def make_run(backend):
    """``make_run("iris")`` makes a run with a little of everything, its points in many batches."""
    journal_ids = iter(range(1, 100))

    def make(project):
        run = backend.create_run(NewRun(uuid.uuid4().hex, project, "svm", None, {"stage": "dev"}, "", 0)).key
        journal_id = next(journal_ids)
        seed = slots.seed(journal_id)

        def send(start, data):
            stop = start + len(data) // slots.SLOT
            backend.ingest(Batch(run, journal_id, start, stop, data, {1: ("loss", "system/cpu")}))
            return stop

        at = send(0, slots.document({"kind": "params", "values": {"lr": ["float", "0.1"]}}, 1, seed))
        for step in range(POINTS // 20):
            row = slots.record(slots.ROW, 1, step, 1, bytes(16), seed + at)
            at = send(at, row)
        backend.put_artifact(run, "model.bin", io.BytesIO(b"the same bytes"))
        send(at, slots.document({"kind": "end", "status": "FINISHED"}, 2, seed + at))
        return run

    return make


def rows_of(backend, project_id):
    """Return the number of rows of a project in each table."""
    with backend.database.read() as tx:
        tables = [
            name
            for name, sql in tx.rows("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
            if "project_id" in sql
        ]
        assert len(tables) >= 12
        return {
            table: tx.row(f"SELECT COUNT(*) FROM {table} WHERE project_id = ?", (project_id,))[0] for table in tables
        }


def test_the_end_of_a_run_merges_the_pieces_of_its_series(backend, make_run):
    run = make_run("iris")
    with backend.database.read() as tx:
        assert tx.rows("SELECT pieces FROM series") == [(1,), (1,)]
        assert tx.rows("SELECT n FROM chunk") == [(POINTS // 20,), (POINTS // 20,)]
        assert points.verify(tx, run) == []


def test_a_deleted_project_leaves_no_row_in_any_table_and_no_file(backend, make_run):
    gone, kept = make_run("gone"), make_run("kept")
    for run in (gone, kept):
        backend.set_permission(run.project_id, "bob", Permission.WRITE, new=True)
    before = rows_of(backend, kept.project_id)
    assert rows_of(backend, gone.project_id) == before
    assert all(before.values()), "the test fills every table"

    backend.delete_project(gone.project_id)

    assert not any(rows_of(backend, gone.project_id).values())
    assert rows_of(backend, kept.project_id) == before
    assert [folder.name for folder in (backend.root / "artifacts").iterdir()] == [str(kept.project_id)]


def test_a_project_that_is_deleted_with_an_error_is_not_deleted(backend, make_run):
    run = make_run("iris")
    before = rows_of(backend, run.project_id)
    with pytest.raises(ValueError, match="stop"), backend.database.write() as tx:  # noqa: PT012
        projects.delete(tx, run.project_id)
        raise ValueError("stop")
    assert rows_of(backend, run.project_id) == before


def test_a_run_that_is_not_made_leaves_no_row(backend, make_run):
    run = make_run("iris")
    with backend.database.read() as tx:
        before = tx.rows("SELECT (SELECT COUNT(*) FROM project_name), (SELECT COUNT(*) FROM run_home)")
    for new in (
        NewRun(run.run_id, "other", "svm", None, {}, "", 0),
        NewRun(uuid.uuid4().hex, "other", "svm", "bob", {}, "", 0),
        NewRun(uuid.uuid4().hex, "other", "a/b", None, {}, "", 0),
    ):
        with pytest.raises(Exception, match=r"taken by|no project|holds"):
            backend.create_run(new)
    with backend.database.read() as tx:
        assert tx.rows("SELECT (SELECT COUNT(*) FROM project_name), (SELECT COUNT(*) FROM run_home)") == before
