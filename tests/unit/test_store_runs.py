"""Rows of runs and projects that nobody sees through the protocol: what an end leaves, what a deletion leaves."""

from __future__ import annotations

import io
import uuid

import apsw
import pytest

from mlfoundry import slots
from mlfoundry.records import Batch, NewRun, Permission, RunChanges
from mlfoundry.store import points, projects
from mlfoundry.store.sqlite_connections import migrate
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


def count_of(backend, project="iris"):
    return backend.get_project(None, project).run_count


def test_a_project_says_how_many_runs_it_has_without_counting_them(backend, make_run):
    project_id = make_run("iris").project_id
    assert count_of(backend) == 1
    with backend.database.write() as tx:
        tx.run("UPDATE project SET runs = 7 WHERE project_id = ?", (project_id,))
    assert count_of(backend) == 7
    assert backend.list_projects()[0].run_count == 7


def test_runs_that_an_older_version_makes_meanwhile_are_counted(backend, make_run):
    run = make_run("iris")

    def as_before(name):
        """Make a run as it was made before projects knew how many they have."""
        with backend.database.write() as tx:
            tx.run("UPDATE project SET changes = changes + 1 WHERE project_id = ?", (run.project_id,))
            tx.run(
                "INSERT INTO run (project_id, run_id, name, status, created_by, started_at, last_seen_at, description, "
                "error) VALUES (?, ?, ?, 'FINISHED', 'ann', 1, 1, '', '')",
                (run.project_id, uuid.uuid4().bytes, name),
            )

    as_before("older-1")
    assert count_of(backend) == 2
    backend.update_run(run, RunChanges(run_name="renamed"))
    as_before("older-2")
    assert count_of(backend) == 3
    make_run("iris")
    assert count_of(backend) == 4
    with backend.database.read() as tx:  # and from now on nobody counts
        assert tx.row("SELECT runs, changes - runs_at FROM project WHERE project_id = ?", (run.project_id,)) == (4, 0)


def test_a_store_of_the_version_before_knows_how_many_runs_its_projects_have(tmp_path):
    connection = apsw.Connection(str(tmp_path / "mlfoundry.db"))
    migrate(connection, upto=5)
    for project_id, runs in ((1, 3), (2, 0)):
        connection.execute(f"INSERT INTO project VALUES ({project_id}, 'ann', 'p{project_id}', 1, 9)")
        connection.execute(f"INSERT INTO project_name VALUES ('ann', 'p{project_id}', {project_id})")
        connection.execute(f"INSERT INTO member VALUES ({project_id}, 'ann', 3, 1)")
        connection.execute(f"INSERT INTO member_of VALUES ('ann', {project_id}, 3)")
        for number in range(runs):
            connection.execute(
                "INSERT INTO run (project_id, run_id, name, status, created_by, started_at, last_seen_at, description, "
                "error, deleted_at) VALUES (?, ?, ?, 'FINISHED', 'ann', 5, 1, '', '', ?)",
                (project_id, uuid.uuid4().bytes, f"run-{number}", 1 if number == 0 else None),
            )
    connection.close()
    backend = EmbeddedBackend(tmp_path, "ann")
    assert (count_of(backend, "p1"), count_of(backend, "p2")) == (2, 0)
    with backend.database.read() as tx:
        assert tx.rows("SELECT runs, changes - runs_at FROM project ORDER BY project_id") == [(3, 0), (0, 0)]
    backend.create_run(NewRun(uuid.uuid4().hex, "p1", "run-0", None, {}, "", 0))
    assert count_of(backend, "p1") == 3
    backend.close()


def test_a_project_that_was_deleted_and_made_anew_by_another_process_gets_the_runs(backend, make_run, tmp_path):
    make_run("iris")
    other = EmbeddedBackend(tmp_path / "store", "ann")
    other.delete_project(other.get_project(None, "iris").project_id)
    made = make_run("iris")
    assert count_of(other) == 1
    assert other.get_run(made.run_id).key == made
    other.delete_project(made.project_id)
    again = other.create_run(NewRun(uuid.uuid4().hex, "iris", "svm", None, {}, "", 0)).key
    assert make_run("iris").project_id == again.project_id
    assert count_of(backend) == 2
    other.close()


def test_a_name_that_was_taken_and_is_free_again_is_given(backend, make_run):
    def made():
        return backend.create_run(NewRun(uuid.uuid4().hex, "iris", "svm", None, {}, "", 0))

    first, second, third = made(), made(), made()
    assert [each.run_name for each in (first, second, third)] == ["svm", "svm-2", "svm-3"]
    backend.delete_run(first.key)
    assert made().run_name == "svm"
    backend.delete_run(second.key)
    assert made().run_name == "svm-2"


def test_a_name_of_many_runs_is_counted_on_and_a_gap_is_filled_whoever_makes_it(backend, tmp_path):
    other = EmbeddedBackend(tmp_path / "store", "ann")

    def made(backend, wish="svm"):
        return backend.create_run(NewRun(uuid.uuid4().hex, "iris", wish, None, {}, "", next(clock)))

    clock = iter(range(1, 1000))
    runs_made = [made(backend) for _ in range(9)]
    assert [each.run_name for each in runs_made[-2:]] == ["svm-8", "svm-9"]
    assert made(other).run_name == "svm-10"
    assert [made(backend).run_name for _ in range(2)] == ["svm-11", "svm-12"]
    other.update_run(made(other, "tree").key, RunChanges(run_name="svm-13"))
    assert made(backend).run_name == "svm-14"
    other.delete_run(runs_made[2].key)
    assert made(backend).run_name == "svm-3"
    backend.delete_run(runs_made[0].key)
    assert [made(backend).run_name for _ in range(2)] == ["svm", "svm-15"]
    other.close()
