"""The pool of connections to PostgreSQL: dead ones are found out by their first statement, and nothing is lost."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from mlfoundry.errors import BackendUnavailable, InvalidInput, StoreBusy
from mlfoundry.store import postgres
from mlfoundry.store.postgres import PostgresDatabase

POOL = 4
ADD = "INSERT INTO member_of (user_id, project_id, permission) VALUES (?, ?, ?)"


@pytest.fixture
def database(schema):
    database = PostgresDatabase(schema, pool_size=POOL)
    yield database
    database.close()


def pids(database):
    """The connections of the pool, by having all of them at once."""
    together, found = threading.Barrier(POOL), []

    def hold():
        with database.read() as tx:
            found.append(tx.row("SELECT pg_backend_pid()"))
            together.wait(30)

    threads = [threading.Thread(target=hold) for _ in range(POOL)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {pid for (pid,) in found}


def test_connections_that_ended_meanwhile_are_replaced_and_no_caller_hears_of_it(database, schema):
    mine = pids(database)
    assert len(mine) == POOL
    with psycopg.connect(schema, autocommit=True) as other:
        for pid in mine:
            other.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))
    with database.write() as tx:
        tx.run(ADD, ("ann", 1, 1))
    with database.read() as tx:
        assert tx.rows("SELECT user_id FROM member_of") == [("ann",)]


def test_a_connection_that_ends_within_a_transaction_takes_all_of_it_along(database, schema):
    def interrupted():
        with database.write() as tx:
            tx.run(ADD, ("ann", 1, 1))
            (pid,) = tx.row("SELECT pg_backend_pid()")
            with psycopg.connect(schema, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))
            tx.row("SELECT 1")

    with pytest.raises(BackendUnavailable, match="PostgreSQL cannot be used now"):
        interrupted()
    with database.read() as tx:
        assert tx.rows("SELECT user_id FROM member_of") == []


def test_what_raises_within_a_transaction_undoes_it_and_frees_the_connection(database):
    def broken_off():
        with database.write() as tx:
            tx.run(ADD, ("ann", 1, 1))
            raise KeyError

    for _ in range(2 * POOL):
        with pytest.raises(KeyError):
            broken_off()
    with database.read() as tx:
        assert tx.rows("SELECT user_id FROM member_of") == []


def test_reading_writes_nothing(database):
    with pytest.raises(BackendUnavailable, match="read-only transaction"), database.read() as tx:
        tx.run(ADD, ("ann", 1, 1))


def test_a_commit_that_is_not_settled_does_not_wait_for_the_disk_and_one_that_is_does(database):
    for settle, expected in ((False, "off"), (True, "on"), (False, "off")):
        with database.write(settle=settle) as tx:
            assert tx.row("SHOW synchronous_commit") == (expected,)


def test_rows_beyond_one_statements_parameters_are_all_inserted(database):
    rows = [(f"user-{number}", number, 1) for number in range(10_001)]
    with database.write() as tx:
        tx.run_many(ADD, rows)
        tx.run_many(ADD, [])
    with database.read() as tx:
        assert tx.row("SELECT COUNT(*), MIN(project_id), MAX(project_id) FROM member_of") == (10_001, 0, 10_000)


def test_text_that_postgresql_cannot_keep_is_refused_by_name(database):
    with pytest.raises(InvalidInput, match="cannot keep"), database.write() as tx:
        tx.run(ADD, ("a\0b", 1, 1))


def test_a_statement_that_takes_too_long_is_stopped_and_says_what_to_do(database, monkeypatch):
    monkeypatch.setattr(postgres, "READ_S", 1)
    with (
        pytest.raises(BackendUnavailable, match=r"took too long for this .* Ask for less at once"),
        database.read() as tx,
    ):
        tx.row("SELECT pg_sleep(20)")
    with database.read() as tx:
        assert tx.row("SELECT 1") == (1,)


def test_a_transaction_that_does_nothing_for_long_is_undone_and_frees_its_locks(database, schema, monkeypatch):
    def idle():
        with database.write() as tx:
            tx.hold_rights(7, alone=True)
            with psycopg.connect(schema, autocommit=True) as other:
                other.execute("SELECT pg_advisory_lock(7)")  # waits until the one that does nothing is ended
            tx.row("SELECT 1")

    monkeypatch.setattr(postgres, "IDLE_S", 1)
    with pytest.raises(StoreBusy, match="undone so that others can go on"):
        idle()
    with database.write() as tx:
        tx.hold_rights(7, alone=True)


def test_every_transaction_has_its_limits_and_no_other_session_gets_them(database):
    names = ("statement_timeout", "idle_in_transaction_session_timeout", "lock_timeout")
    with database.read() as tx:
        assert [tx.row(f"SHOW {name}")[0] for name in names] == ["30s", "2min", "0"]
    for settle in (True, False):
        with database.write(settle=settle) as tx:
            assert [tx.row(f"SHOW {name}")[0] for name in names] == ["2min", "2min", "30s"]
    connection = database._opened().getconn()
    assert [connection.execute(f"SHOW {name}").fetchone()[0] for name in names] == ["0", "0", "0"]
    database._opened().putconn(connection)


def test_a_server_that_does_not_answer_is_waited_for_by_all_at_once(monkeypatch):
    monkeypatch.setitem(postgres._PATIENCE, "connect_timeout", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and says nothing
        away = PostgresDatabase(f"postgresql://me@127.0.0.1:{silent.getsockname()[1]}/x?sslmode=disable", pool_size=8)
        began = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            told = [pool.submit(away.describe) for _ in range(8)]
            assert all("cannot be used now" in str(each.exception()) for each in told)
        assert time.monotonic() - began < 8  # and not 16
