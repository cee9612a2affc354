"""A process that is killed while it makes a store: the next opens it, and nothing that was accepted is lost."""

from __future__ import annotations

import contextlib
import signal

import pytest

from mlfoundry.records import RunStatus


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
