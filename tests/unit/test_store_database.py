"""The database: transactions, readers beside a writer, and what a settled commit is."""

from __future__ import annotations

import contextlib
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import apsw
import pytest

from mlfoundry.errors import BackendUnavailable
from mlfoundry.records import Batch, NewRun
from mlfoundry.store import blank, sqlite_connections
from mlfoundry.store.database import READERS_KEPT, Database
from mlfoundry.tracking.embedded import EmbeddedBackend

COUNT = "SELECT COUNT(*) FROM member_of"
ADD = "INSERT INTO member_of (user_id, project_id, permission) VALUES (?, ?, 1)"


@pytest.fixture
def database(tmp_path):
    database = Database(tmp_path / "store.db")
    yield database
    database.close()


def count(database):
    with database.read() as tx:
        return tx.row(COUNT)[0]


def add(database, number):
    with database.write() as tx:
        tx.run(ADD, ("ann", number))


# -- transactions --------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, BackendUnavailable])
def test_a_transaction_that_raises_leaves_nothing_and_the_next_one_works(database, error):
    add(database, 1)
    with pytest.raises(error, match="half-way"), database.write() as tx:  # noqa: PT012
        tx.run(ADD, ("ann", 2))
        raise error("half-way")
    assert count(database) == 1
    add(database, 2)
    assert count(database) == 2


def test_a_statement_that_fails_leaves_nothing_of_its_transaction(database):
    with pytest.raises(BackendUnavailable, match="no such table: nowhere"), database.write() as tx:  # noqa: PT012
        tx.run(ADD, ("ann", 1))
        tx.run("INSERT INTO nowhere VALUES (1)")
    assert count(database) == 0


@pytest.mark.parametrize(
    "error",
    [each for each in vars(apsw).values() if isinstance(each, type) and issubclass(each, apsw.Error)],
    ids=lambda error: error.__name__,
)
def test_whatever_sqlite_raises_is_one_of_our_errors_and_names_the_store(database, error):
    add(database, 1)
    for use in (database.read, database.write):
        with pytest.raises(BackendUnavailable) as caught, use():
            raise error("as told")
        assert str(database.path) in str(caught.value)
        assert type(caught.value.__cause__) is error


def test_a_reader_sees_the_last_commit_and_not_what_is_being_written(database):
    add(database, 1)
    with database.write() as tx:
        tx.run(ADD, ("ann", 2))
        assert count(database) == 1
    assert count(database) == 2


def test_a_reader_sees_one_state_from_its_beginning_to_its_end(database):
    add(database, 1)
    with database.read() as tx:
        assert tx.row(COUNT) == (1,)
        add(database, 2)
        assert tx.row(COUNT) == (1,)
    assert count(database) == 2


def test_a_reader_cannot_write(database):
    count(database)
    with pytest.raises(BackendUnavailable), database.read() as tx:
        tx.run(ADD, ("ann", 1))
    assert count(database) == 0


def test_a_statement_says_how_many_rows_it_changed(database):
    for number in range(3):
        add(database, number)
    with database.write() as tx:
        assert tx.run("UPDATE member_of SET permission = 2 WHERE project_id < ?", (2,)) == 2
        assert tx.run("UPDATE member_of SET permission = 2 WHERE project_id = ?", (77,)) == 0
        assert tx.run("DELETE FROM member_of WHERE user_id = ?", ("ann",)) == 3


def test_threads_take_turns_in_writing_and_read_at_once(database):
    def work(first):
        for number in range(first, first + 25):
            add(database, number)
            count(database)

    threads = [threading.Thread(target=work, args=(100 * n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(database) == 200


def test_more_readers_at_once_than_are_kept_all_read(database):
    add(database, 1)
    with contextlib.ExitStack() as stack:
        for _ in range(3 * READERS_KEPT):
            assert stack.enter_context(database.read()).row(COUNT) == (1,)
    assert len(database._readers) <= READERS_KEPT
    assert count(database) == 1


def test_a_closed_database_opens_again_with_its_next_use(database):
    add(database, 1)
    for _ in range(2):
        database.close()
        database.close()
        assert count(database) == 1
    database.close()
    add(database, 2)
    assert count(database) == 2


# -- settled commits -----------------------------------------------------------------------------


def synchronous(tx):
    return tx.row("PRAGMA synchronous")[0]


def test_only_a_commit_that_settles_waits_for_the_disk(database):
    for settle, level in ((False, 1), (True, 2), (True, 2), (False, 1), (True, 2)):
        with database.write(settle=settle) as tx:
            assert synchronous(tx) == level
    database.close()
    with database.write(settle=True) as tx:
        assert synchronous(tx) == 2, "also with the first use of a connection"


def test_a_failed_transaction_does_not_change_what_the_next_one_waits_for(database):
    with pytest.raises(ValueError, match="x"), database.write(settle=True):
        raise ValueError("x")
    with database.write() as tx:
        assert synchronous(tx) == 1


def test_settling_what_is_held_already_forces_it_to_the_disk_all_the_same(tmp_path):
    backend = EmbeddedBackend(tmp_path, "ann")
    run = backend.create_run(NewRun(uuid.uuid4().hex, "iris", "run", None, {}, "", 0))
    batch = Batch(run.key, 7, 0, 1, bytes(32), {})
    backend.ingest(batch)
    log = tmp_path / "mlfoundry.db-wal"
    for _ in range(2):
        before = log.stat().st_size
        answer = backend.ingest(Batch(run.key, 7, 0, 1, bytes(32), {}, settle=True))
        assert answer.settled == 1
        # SQLite forces the log to the disk with a commit that writes; one that writes nothing forces nothing.
        assert log.stat().st_size > before
    backend.close()


# -- a new store -----------------------------------------------------------------------------------


def test_a_new_file_is_private_in_wal_mode_and_has_no_other_beside_it(database, tmp_path):
    assert count(database) == 0
    assert database.describe()["journal mode"] == "wal"
    assert database.path.stat().st_mode & 0o777 == 0o600
    assert database.path.stat().st_nlink == 1
    assert {each.name for each in tmp_path.iterdir()} <= {"store.db", "store.db-wal", "store.db-shm"}
    assert database.check() == []


def test_where_a_file_can_have_no_second_name_it_is_made_all_the_same(database, monkeypatch):
    def link(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(blank.os, "link", link)
    add(database, 1)
    assert (count(database), database.describe()["journal mode"]) == (1, "wal")
    assert list(database.path.parent.glob(".*")) == []


def test_on_a_network_file_system_it_is_made_with_a_rollback_journal(database, monkeypatch):
    monkeypatch.setattr(sqlite_connections, "file_system", lambda _: "nfs4")
    add(database, 1)
    assert (count(database), database.describe()["journal mode"]) == (1, "delete")


def test_of_many_who_make_it_at_once_each_gets_the_same(tmp_path):
    path = tmp_path / "store.db"
    databases = [Database(path) for _ in range(8)]
    start = threading.Barrier(len(databases))

    def first(number):
        start.wait()
        add(databases[number], number)

    with ThreadPoolExecutor(len(databases)) as threads:
        list(threads.map(first, range(len(databases))))
    assert [count(each) for each in databases] == [len(databases)] * len(databases)
    for each in databases:
        each.close()
    assert [each.name for each in tmp_path.iterdir()] == ["store.db"]


def test_one_who_is_late_does_not_take_the_place_of_a_store_that_is_there(database, tmp_path):
    add(database, 1)
    assert blank.make(database.path, b"another")
    assert count(database) == 1
    left = tmp_path / f".{database.path.name}.0123456789abcdef.new"
    left.hardlink_to(database.path)  # its maker was killed before it took that name away
    again = Database(database.path)
    add(again, 2)
    again.close()
    assert not left.exists()
    assert count(database) == 2
