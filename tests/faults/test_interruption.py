"""A log call that is cut short, by a signal's handler, an interrupt or death: each record is whole or absent.

The first tests are exhaustive: they stop a few calls (which define keys, change key sets and begin segments) at each
instruction after which CPython may run a handler, and at each instruction at all for a death.
"""

from __future__ import annotations

import contextlib
import dis
import itertools
import json
import os
import random
import signal
import sys
from pathlib import Path

import pytest

import mlfoundry
from mlfoundry import slots
from mlfoundry.journal import Journal, reader
from mlfoundry.journal.reader import LeftJournal
from mlfoundry.records import RunStatus
from mlfoundry.store import points

OURS = str(Path(mlfoundry.__file__).parent)
# CPython looks for signals when a function begins, when a loop jumps back, and after a call.
OPEN_TO_SIGNALS = {"RESUME", "JUMP_BACKWARD", "CALL", "CALL_FUNCTION_EX", "CALL_KW"}
CALLS = [
    {"a": 1.0},
    {"a": 2.0, "b": 2.0},
    {"b": 3.0},
    {"b": 4.0, "a": 4.0},
    {"a": 5.0, "b": 5.0},
    {"c": 6.0},
    {"a": 7.0, "b": 7.0},
    {"a": 8.0, "b": 8.0, "c": 8.0},
    {"a": 9.0},
]


MOMENT_S = 100  # what one moment may take; none takes one, unless this thread waits for itself


@pytest.fixture(autouse=True)
def _no_deadlock():
    """Turn a deadlock of this thread with itself into a failure."""

    def give_up(*_):
        pytest.fail("the test waits for a lock that its own thread holds")  # no OSError: those are a disk's

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(MOMENT_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


class Stop:
    """Calls `act` at the instruction number `at` that our code reaches; counts them in `seen`."""

    def __init__(self, act, at: int | None, *, everywhere: bool = False):
        self._act, self._at, self._everywhere = act, at, everywhere
        self._before: dict[int, int] = {}
        self._names: dict[object, dict[int, str]] = {}
        self.seen = 0

    def __enter__(self):
        sys._getframe().f_trace_opcodes = True  # Python 3.12 tells of no instruction unless some frame asked before
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_):
        sys.settrace(None)

    def _trace(self, frame, event, arg):
        if not frame.f_code.co_filename.startswith(OURS):
            return None
        if event == "call":
            frame.f_trace_opcodes = True
            frame.f_trace_lines = False
        elif event == "opcode":
            code = frame.f_code
            if code not in self._names:
                self._names[code] = {step.offset: step.opname for step in dis.get_instructions(code)}
            before = self._names[code].get(self._before.get(id(frame)))
            self._before[id(frame)] = frame.f_lasti
            if self._everywhere or before in OPEN_TO_SIGNALS:
                self.seen += 1
                if self._at is None or self.seen == self._at:
                    self._act()
        elif event == "return":
            self._before.pop(id(frame), None)
        return self._trace


def moments(stride):
    """Return each moment, or every so many of them, other ones each time."""
    for at in itertools.count(random.randint(1, stride), stride):
        signal.alarm(MOMENT_S)
        yield at


def close_forgotten(folder):
    """Close what is open below a folder: an interrupt may come before the number of a new descriptor is noted."""
    for link in list(Path("/proc/self/fd").iterdir()):
        with contextlib.suppress(OSError):
            if link.readlink().is_relative_to(folder):
                os.close(int(link.name))


def journal_in(folder):
    return Journal(folder, {"run_id": "0" * 32, "role": "owner"})


def values_in(folder):
    """Return (values, steps) of each key in the journal that lies in a folder of journals."""
    found = {}
    for place in sorted(folder.iterdir()):
        if (parsed := reader.parse_folder(place.name)) is None:
            continue
        left = LeftJournal(place, *parsed, -1)
        assert left.damage == []
        at, parts = 0, []
        while at < left.tail:
            data, at_next = left.read(at)
            decoded = slots.decode(data, journal_id=left.journal_id, first=at)
            assert decoded.damage == []
            parts += decoded.rows
            at = at_next
        columns, nameless = points.columns(parts, left.names)
        assert nameless == 0, "points without the name of their key"
        found |= {key: (values.tolist(), steps.tolist()) for key, (steps, _, values) in columns.items()}
    return found


def expected_of(calls):
    found = {}
    for call in calls:
        for key, value in call.items():
            found.setdefault(key, []).append(value)
    return found


@pytest.fixture(params=[(64,), (8, 8, 8)], ids=["one segment", "many segments"])
def _segments(small_segments, request):
    small_segments(*request.param)


@pytest.mark.usefixtures("_segments")
def test_a_handler_that_logs_at_any_moment_of_a_call_leaves_every_record_whole(tmp_path, scale):
    for at in moments(scale(1, 31)):
        folder = tmp_path / str(at)
        journal = journal_in(folder)

        def handle(journal=journal):
            journal.log({"a": -1.0}, None)
            journal.log({"a": -2.0, "b": -2.0}, None)
            journal.log({"h": -3.0}, None)
            journal.sync()
            journal.read(0)

        with Stop(handle, at) as stop:
            for call in CALLS:
                journal.log(call, None)
        journal.close(settled=False)
        handled = stop.seen >= at
        found = values_in(folder)
        for key, values in expected_of(CALLS).items():
            stored, steps = found[key]
            assert [value for value in stored if value > 0] == values, f"{key} at {at}"
            own = {"a": [-1.0, -2.0], "b": [-2.0]}.get(key, []) if handled else []
            assert [value for value in stored if value < 0] == own, f"{key} at {at}; lost {journal.lost}"
            assert sorted(steps) == list(range(len(stored))), f"{key} at {at}"
        assert found.get("h", ([], []))[0] == [-3.0] * handled
        assert journal.lost == 0
        if not handled:
            break
    assert stop.seen > 50


@pytest.mark.usefixtures("_segments")
def test_an_interrupt_at_any_moment_of_a_call_leaves_its_record_whole_or_absent_and_logging_works(tmp_path, scale):
    def interrupt():
        raise KeyboardInterrupt

    for at in moments(scale(1, 23)):
        folder = tmp_path / str(at)
        journal = journal_in(folder)
        returned, cut = [], None
        with Stop(interrupt, at) as stop:
            for call in CALLS:
                try:
                    journal.log(call, None)
                except KeyboardInterrupt:
                    cut = call
                else:
                    returned.append(call)
        journal.log({"after": 10.0}, None)
        journal.close(settled=False)
        close_forgotten(folder)
        found = {key: values for key, (values, _) in values_in(folder).items()}
        whole = [call for call in CALLS if call in returned or call is cut]
        assert found in (
            expected_of([*returned, {"after": 10.0}]),
            expected_of([*whole, {"after": 10.0}]),
        ), f"at {at}, in {cut}"
        if stop.seen < at:
            break
    assert stop.seen > 50
    close_locks(tmp_path)


def close_locks(folder):
    """Close the descriptor of an interrupt between the opening of a file and the name for it: nobody can have it."""
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = entry.readlink()
        except OSError:
            continue
        if target.is_relative_to(folder) and target.name.startswith("lock"):
            os.close(int(entry.name))


@pytest.mark.usefixtures("_segments")
def test_a_death_at_any_instruction_of_a_call_leaves_all_calls_that_returned(tmp_path, scale):
    folder = tmp_path / "journals"
    journal = journal_in(folder)
    returned: list[dict[str, float]] = []
    turn = itertools.count()
    stride = scale(1, 10)

    def die():
        if next(turn) % stride == 0 and folder.exists():
            signal.alarm(MOMENT_S)
            found = {key: values for key, (values, _) in values_in(folder).items()}
            assert found in (expected_of(returned), expected_of(CALLS[: len(returned) + 1]))

    with Stop(die, None, everywhere=True) as stop:
        for call in CALLS:
            journal.log(call, None)
            returned.append(call)
    journal.close(settled=False)
    assert stop.seen > 500


# -- real signals ----------------------------------------------------------------------------------


def test_signal_handlers_that_log_while_the_program_logs_lose_nothing(start, look, store, scale):
    program = start("signalled.py", store, "logs", scale(3_000, 300))
    told = json.loads(program.line())
    assert program.exit_code() == 0, program.messages()
    assert program.messages() == ""
    calls, handled = told["calls"], told["handled"]
    assert told["lost"] == 0
    seen = look(store)
    metrics = seen.run().get_metrics()
    a = metrics["a"].values.tolist()
    assert [value for value in a if value >= 0] == [float(n) for n in range(calls) for _ in range(2)]
    assert a.count(-1.0) == handled
    assert metrics["a"].steps.tolist() == list(range(len(a)))
    assert metrics["b"].values.tolist() == [float(n) for n in range(calls)]
    assert metrics["handler"].values.tolist() == [float(n) for n in range(handled)]
    assert metrics["shared"].values.tolist().count(-1.0) == handled
    assert seen.run().get_params() == {f"handled{n}": n for n in range(handled)}
    assert sum(len(points.values) for points in metrics.values()) == told["accepted"]


def test_interrupts_while_the_program_logs_leave_each_record_whole_or_absent(start, look, store, scale):
    program = start("signalled.py", store, "interrupts", scale(3_000, 300))
    told = json.loads(program.line())
    assert program.exit_code() == 0, program.messages()
    seen = look(store)
    assert seen.run().status is RunStatus.FINISHED
    a, b = seen.values("a"), seen.values("b")
    assert a == b
    assert a == sorted(set(a))
    assert set(told["returned"]) <= set(a) <= set(range(1, told["calls"] + 1))
    assert seen.values("after") == [1.0]
    assert "tracker.damaged_records" not in seen.run().get_facts()


def test_a_handler_that_ends_the_run_while_the_program_logs_returns_soon_and_all_is_stored(start, look, store, scale):
    count = scale(300, 15)
    program = start("signalled.py", store, "ends", count)
    told = json.loads(program.line(120))
    assert program.messages() == ""
    assert told["slowest"] < 5.0
    seen = look(store)
    for number, calls in enumerate(told["counts"]):
        assert seen.run(f"x{number}").status is RunStatus.KILLED
        values = seen.values("a", f"x{number}")
        assert values in ([float(n) for n in range(calls)], [float(n) for n in range(calls + 1)])
