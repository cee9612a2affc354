"""Migrations: from nothing to the newest version, once, by one process; a newer store is left alone."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from mlfoundry.errors import StoreTooNew
from mlfoundry.store import schema as versions
from mlfoundry.store.database import Database
from mlfoundry.store.schema import migrations, newest_version
from mlfoundry.store.sqlite_connections import migrate
from mlfoundry.tracking.embedded import EmbeddedBackend


def version(path) -> int:
    connection = apsw.Connection(str(path))
    found = connection.pragma("user_version")
    connection.close()
    return int(found)


def schema(connection) -> list[tuple[str, ...]]:
    return connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY type, name").fetchall()


def fingerprint(folder: Path) -> dict[str, tuple[str, int]]:
    return {
        path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(folder.iterdir())
    }


def test_the_migrations_are_numbered_without_a_gap_and_say_what_they_do():
    assert [number for number, _ in migrations()] == list(range(1, newest_version() + 1))
    for _, sql in migrations():
        assert sql.startswith("-- "), "the first line is one line of purpose"


def test_an_empty_file_becomes_a_store_of_the_newest_version(tmp_path):
    database = Database(tmp_path / "store.db")
    with database.write() as tx:
        assert tx.row("PRAGMA user_version") == (newest_version(),)
    database.close()
    assert version(tmp_path / "store.db") == newest_version()


@pytest.mark.parametrize("begin", range(newest_version()))
def test_from_every_older_version_the_same_tables_are_reached(begin):
    old, new = apsw.Connection(":memory:"), apsw.Connection(":memory:")
    if begin:
        migrate(old, upto=begin)
    migrate(old)
    migrate(new)
    assert schema(old) == schema(new)
    assert old.pragma("user_version") == new.pragma("user_version") == newest_version()
    old.close()
    new.close()


def test_migrating_twice_changes_nothing():
    connection = apsw.Connection(":memory:")
    migrate(connection)
    before, changes = schema(connection), connection.total_changes()
    migrate(connection)
    assert (schema(connection), connection.total_changes()) == (before, changes)
    connection.close()


def test_a_migration_that_fails_leaves_the_version_and_the_tables_before_it(monkeypatch):
    connection = apsw.Connection(":memory:")
    migrate(connection)
    before, newest = schema(connection), newest_version()
    broken = [*migrations(), (newest + 1, "CREATE TABLE half (x BIGINT); CREATE TABLE half (x BIGINT);")]
    monkeypatch.setattr(versions, "migrations", lambda: broken)
    monkeypatch.setattr(versions, "newest_version", lambda: newest + 1)
    with pytest.raises(apsw.SQLError):
        migrate(connection)
    assert schema(connection) == before
    assert connection.pragma("user_version") == newest
    assert not connection.in_transaction
    connection.close()


def test_opening_a_store_that_is_up_to_date_writes_nothing(tmp_path):
    Database(tmp_path / "store.db").close()
    database = Database(tmp_path / "store.db")
    with database.write() as tx:
        tx.run("INSERT INTO member_of (user_id, project_id, permission) VALUES ('ann', 1, 1)")
    database.close()
    before = fingerprint(tmp_path)
    for _ in range(2):
        with database.read() as tx:
            assert tx.row("SELECT COUNT(*) FROM member_of") == (1,)
        with database.write():
            pass
        database.close()
    assert fingerprint(tmp_path) == before


def test_processes_that_open_a_new_store_at_once_all_find_it_whole(tmp_path, scale):
    code = (
        "import sys; from pathlib import Path; from mlfoundry.store.database import Database\n"
        "sys.stdin.readline()\n"
        "database = Database(Path(sys.argv[1]))\n"
        "with database.read() as tx: tx.rows('SELECT * FROM chunk')\n"
        "with database.write() as tx:\n"
        "    tx.run('INSERT INTO member_of (user_id, project_id, permission) VALUES (?, 1, 1)', (sys.argv[2],))\n"
    )
    for attempt in range(scale(40, 2)):
        path = tmp_path / f"store {attempt}.db"
        made = [
            subprocess.Popen(
                [sys.executable, "-c", code, str(path), f"user {n}"],
                stdin=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for n in range(4)
        ]
        for process in made:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        assert [process.communicate(timeout=120)[1] for process in made] == [""] * 4
        database = Database(path)
        with database.read() as tx:
            assert tx.row("SELECT COUNT(*) FROM member_of") == (4,)
        database.close()


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_store_of_a_newer_version_is_refused_with_both_versions_and_not_touched(tmp_path, mode):
    newer = newest_version() + 7
    connection = apsw.Connection(str(tmp_path / "mlfoundry.db"))
    connection.execute(f"PRAGMA journal_mode = {mode}")
    connection.execute("CREATE TABLE unknown (x BIGINT)")
    connection.execute(f"PRAGMA user_version = {newer}")
    connection.close()
    before = fingerprint(tmp_path)
    database = Database(tmp_path / "mlfoundry.db")
    wanted = f"schema version {newer}, and this MLFoundry knows versions up to {newest_version()}. Upgrade MLFoundry"
    for begin in (database.read, database.write):
        with pytest.raises(StoreTooNew, match=wanted), begin():
            pass
    with pytest.raises(StoreTooNew, match=wanted):
        EmbeddedBackend(tmp_path, "ann").list_projects()
    database.close()
    assert fingerprint(tmp_path) == before


def test_no_connection_is_left_open_on_a_store_that_was_refused(tmp_path):
    connection = apsw.Connection(str(tmp_path / "store.db"))
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    held = len(apsw.connections())
    database = Database(tmp_path / "store.db")
    for begin in (database.read, database.write):
        for _ in range(3):
            with pytest.raises(StoreTooNew), begin():
                pass
    assert len(apsw.connections()) == held
