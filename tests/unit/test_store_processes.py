"""One database in several processes: patience, turns, and forks."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import traceback
from pathlib import Path

import apsw
import pytest

from mlfoundry.errors import StoreBusy
from mlfoundry.store import sqlite_connections
from mlfoundry.store.database import Database

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


def in_child(body) -> str:
    """Run a function in a forked child and return what went wrong there, empty when nothing did."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        try:
            body()
        except BaseException:
            os.write(write, traceback.format_exc().encode()[-4000:])
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(pid, 0)
    return said


def test_a_writer_waits_until_another_process_has_committed(database, tmp_path):
    add(database, 1)
    other = apsw.Connection(str(database.path))
    other.execute("BEGIN IMMEDIATE")
    began = threading.Event()

    def late():
        began.set()
        add(database, 2)

    thread = threading.Thread(target=late)
    thread.start()
    try:
        assert began.wait(10)
        assert count(database) == 1, "readers wait for nobody"
        other.execute(ADD, ("bob", 3))
        other.execute("COMMIT")
    finally:
        thread.join(20)
    other.close()
    assert count(database) == 3


def test_a_transaction_that_will_write_keeps_others_from_writing_from_its_beginning(database):
    add(database, 1)
    other = apsw.Connection(str(database.path))
    with database.write() as tx:
        assert tx.row(COUNT) == (1,), "it has only read so far"
        with pytest.raises(apsw.BusyError):
            other.execute(ADD, ("bob", 2))
        tx.run(ADD, ("ann", 3))
    other.close()
    assert count(database) == 2


def test_who_waited_in_vain_is_told_that_the_store_is_busy(database, monkeypatch):
    add(database, 1)
    database.close()
    monkeypatch.setattr(sqlite_connections, "BUSY_S", 0.05)
    other = apsw.Connection(str(database.path))
    other.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(StoreBusy, match=r"kept the store .* locked for .* Try again; `mlfoundry doctor`"):
            add(database, 2)
        assert count(database) == 1
    finally:
        other.execute("ROLLBACK")
        other.close()
    add(database, 2)
    assert count(database) == 2


def test_processes_that_write_at_once_never_meet_a_lock(database, scale):
    turns = scale(400, 40)
    add(database, 10**6)
    code = (
        "import sys; from pathlib import Path; from mlfoundry.store.database import Database\n"
        "database = Database(Path(sys.argv[1]))\n"
        f"for number in range({turns}):\n"
        "    with database.write() as tx:\n"
        f"        tx.run({ADD!r}, (sys.argv[2], number))\n"
    )
    made = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(database.path), f"user {n}"], stderr=subprocess.PIPE, text=True
        )
        for n in range(4)
    ]
    errors = [process.communicate(timeout=120)[1] for process in made]
    assert errors == [""] * 4
    assert count(database) == 4 * turns + 1
    assert database.check() == []


def test_a_forked_child_has_connections_of_its_own_and_leaves_the_parents_alone(database):
    add(database, 1)
    count(database)

    def child():
        assert database._writer is None
        assert database._readers == []
        assert count(database) == 1
        for number in range(2, 12):
            add(database, number)
        database.close()

    assert in_child(child) == ""
    assert count(database) == 11
    add(database, 100)
    assert count(database) == 12
    assert database.check() == []


def test_a_fork_in_the_middle_of_a_transaction_takes_nothing_of_it_along(database):
    def child():
        assert count(database) == 0

    with database.write() as tx:
        tx.run(ADD, ("ann", 1))
        assert in_child(child) == ""
        tx.run(ADD, ("ann", 2))
    assert count(database) == 2


def test_children_that_only_end_do_not_close_the_parents_files(database):
    add(database, 1)
    for _ in range(5):
        assert in_child(lambda: None) == ""
    assert in_child(lambda: sys.exit(0)) != "", "the error of the exit is told"
    add(database, 2)
    assert Path(f"{database.path}-wal").exists()
    assert count(database) == 2
