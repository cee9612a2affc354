"""The pool of connections to PostgreSQL: dead ones are found out by their first statement, and nothing is lost."""

from __future__ import annotations

import threading

import psycopg
import pytest

from mlfoundry.errors import BackendUnavailable, InvalidInput
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
