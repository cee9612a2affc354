"""A process that is killed while it makes a store: the next opens it, and nothing that was accepted is lost."""

from __future__ import annotations

import contextlib
import signal

import apsw
import pytest

from mlfoundry.records import RunStatus
from mlfoundry.store import schema


@pytest.fixture
def statements(start, store):
    """How many statements making a store and a run takes."""
    program = start("killed_at_statement.py", store.with_name("whole"), 10_000)
    assert program.line() == "accepted"
    done, left = program.line().split()
    assert done == "done"
    return 10_000 - int(left)


def lines_of(program):
    found = []
    with contextlib.suppress(EOFError):
        while True:
            found.append(program.line())
    return found


def test_a_store_whose_maker_was_killed_at_any_statement_opens_and_holds_what_was_accepted(
    start, look, store, scale, statements
):
    assert statements > 40, "the tables are made one by one"
    codes: list[int] = []
    step = max(1, statements // scale(statements, 12))
    for number in range(1, statements, step):
        place = store.with_name(f"store-{number}")
        program = start("killed_at_statement.py", place, number)
        told = lines_of(program)
        codes.append(program.exit_code())
        seen = look(place)
        assert seen.left == 0
        seen.check()
        if "accepted" in told:
            assert seen.values("a") == [1.0]
            assert seen.run().status in (RunStatus.KILLED, RunStatus.FINISHED)
        seen.client.create_run("q", "after", log_system_metrics=False, capture=False).end()
        assert seen.run("after", "q").status is RunStatus.FINISHED
    # How often the shipper commits is not the same each time: the last of them may not be reached.
    assert set(codes) <= {0, -signal.SIGKILL}
    assert codes.count(-signal.SIGKILL) >= 0.8 * len(codes)


def test_a_store_whose_maker_was_killed_before_any_call_on_its_file_is_whole_or_not_there(start, look, store):
    program = start("killed_at_statement.py", store, 10_000, "calls")
    told = lines_of(program)
    assert program.exit_code() == 0, program.messages()
    calls = 10_000 - int(told[-1].split()[1])
    assert calls >= 8, "open, write, fsync, close and link, then open, fsync and close for the folder"
    for number in range(1, calls + 1):
        place = store.with_name(f"store-{number}")
        program = start("killed_at_statement.py", place, number, "calls")
        assert (lines_of(program), program.exit_code()) == ([], -signal.SIGKILL)
        file = place / "mlfoundry.db"
        if file.exists():
            connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
            assert connection.pragma("user_version") == schema.newest_version()
            assert connection.pragma("journal_mode") == "wal"
            connection.close()
        seen = look(place)
        assert seen.left == 0
        seen.client.create_run("q", "after", log_system_metrics=False, capture=False).end()
        assert seen.run("after", "q").status is RunStatus.FINISHED
        seen.check()
        assert [each.name for each in place.glob(".*")] == []
        assert file.stat().st_mode & 0o777 == 0o600
