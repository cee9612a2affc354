"""Values on their way from a log call to the store and back: bit for bit."""

from __future__ import annotations

import math
import struct
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlfoundry.errors import InvalidName, InvalidValue, RunEnded

KINDS_OF_NAN = [0x7FF8000000000000, 0xFFF8000000000000, 0x7FF0000000000001, 0x7FFFFFFFFFFFFFFF, 0xFFF0DEADBEEF0001]


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


def from_bits(word: int) -> float:
    return float(struct.unpack("<d", struct.pack("<Q", word))[0])


@pytest.fixture
def logged(client):
    """``logged(values, at_once)`` logs values, one series or one metric each, and returns what is stored."""

    def through(values, *, at_once):
        with client.create_run("iris") as run:
            if at_once:
                run.log_metrics({f"m{index:04}": value for index, value in enumerate(values)}, step=3)
            else:
                for value in values:
                    run.log_metrics({"loss": value})
        table = client.get_run(run.run_id).get_metrics()
        if at_once:
            return [float(table[f"m{index:04}"].values[0]) for index in range(len(values))]
        return table["loss"].values.tolist()

    return through


NUMBERS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from(KINDS_OF_NAN).map(from_bits),
    st.integers(-(10**300), 10**300),
    st.integers(-(2**53), 2**53),
    st.booleans(),
    st.decimals(allow_nan=False, places=8, min_value=-(10**20), max_value=10**20),
    st.sampled_from(["Infinity", "-Infinity", "NaN", "-0", "1e-400"]).map(Decimal),
    st.fractions(),
    st.integers(-(2**63), 2**63 - 1).map(np.int64),
    st.integers(0, 255).map(np.uint8),
    st.floats(width=32).map(np.float32),
    st.floats(width=16).map(np.float16),
    st.floats().map(np.float64),
    st.booleans().map(np.bool_),
    st.floats().map(np.array),
    st.floats().map(lambda value: np.array([[value]])),
)


@given(values=st.lists(NUMBERS, min_size=1, max_size=40), at_once=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
def test_every_number_comes_back_as_the_float_that_it_is(logged, values, at_once):
    wanted = [float(value.item() if isinstance(value, np.ndarray) else value) for value in values]
    got = logged(values, at_once=at_once)
    assert [bits(value) for value in got] == [bits(value) for value in wanted]


@pytest.mark.parametrize("at_once", [False, True])
def test_every_kind_of_nan_zero_and_infinity_keeps_its_bits(logged, at_once):
    values = [*map(from_bits, KINDS_OF_NAN), 0.0, -0.0, math.inf, -math.inf, 5e-324, -5e-324, 1.7976931348623157e308]
    assert [bits(value) for value in logged(values * 40, at_once=at_once)] == [bits(value) for value in values * 40]


@pytest.mark.parametrize(
    "value",
    [None, "0.5", b"1", 1j, [1.0], {"a": 1}, object(), np.array([1.0, 2.0]), np.datetime64("2026-01-01"), 10**400,
     np.array("x"), Decimal("sNaN"), Fraction(10**400)],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_is_no_number_is_refused_by_its_key_and_nothing_of_its_call_is_kept(client, value):
    with client.create_run("iris") as run:
        with pytest.raises(InvalidValue, match="metric 'bad'"):
            run.log_metrics({"good": 1.0, "bad": value})
        with pytest.raises(InvalidValue, match="metric 'bad'"):
            run.log_metrics({"bad": value})
    assert list(client.get_run(run.run_id).get_metrics()) == []


def test_steps_count_up_by_themselves_key_by_key(client):
    with client.create_run("iris") as run:
        run.log_metrics({"a": 1.0})
        run.log_metrics({"a": 2.0, "b": 1.0})
        run.log_metrics({"b": 2.0}, step=10)
        run.log_metrics({"a": 3.0, "b": 3.0})
        run.log_metrics({"a": 4.0}, step=-5)
        run.log_metrics({"a": 5.0})
    table = client.get_run(run.run_id).get_metrics()
    assert dict(zip(table["a"].values.tolist(), table["a"].steps.tolist(), strict=True)) == {
        1.0: 0, 2.0: 1, 3.0: 2, 4.0: -5, 5.0: 3,
    }  # fmt: skip
    assert table["b"].steps.tolist() == [0, 10, 11]


@pytest.mark.parametrize("step", [2**63 - 1, -(2**63), 0, np.int32(7), True])
def test_any_step_of_64_bits_is_kept(client, step):
    with client.create_run("iris") as run:
        run.log_metrics({"a": 1.0}, step=step)
        run.log_metrics({"b": 1.0, "c": 2.0}, step=step)
    for series in client.get_run(run.run_id).get_metrics().values():
        assert series.steps.tolist() == [int(step)]


@pytest.mark.parametrize("step", [2**63, -(2**63) - 1, 1.5, "1", 10**30])
def test_a_step_that_is_none_is_refused(client, step):
    with client.create_run("iris") as run:
        with pytest.raises(InvalidValue, match="step"):
            run.log_metrics({"a": 1.0}, step=step)
        with pytest.raises(InvalidValue, match="step"):
            run.log_metrics({"a": 1.0, "b": 2.0}, step=step)
    assert list(client.get_run(run.run_id).get_metrics()) == []


@pytest.mark.parametrize(
    ("timestamp", "at_us"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC), 1_767_323_045_678_901),
        (datetime(2026, 1, 2, 4, 4, 5, 678901, tzinfo=timezone(timedelta(hours=1))), 1_767_323_045_678_901),
        (1_767_323_045.25, 1_767_323_045_250_000),
        (0, 0),
        (-1.5, -1_500_000),
    ],
)
def test_a_time_that_is_given_is_kept_to_the_microsecond(client, timestamp, at_us):
    with client.create_run("iris") as run:
        run.log_metrics({"a": 1.0}, timestamp=timestamp)
    assert client.get_run(run.run_id).get_metrics("a")["a"].times.tolist() == [at_us]


@pytest.mark.parametrize("name", ["", " ", "a\nb", "system/cpu", "x" * 251, "\u202egnp", 5, None])
def test_a_name_that_is_not_legal_is_refused_and_nothing_of_its_call_is_kept(client, name):
    with client.create_run("iris") as run:
        with pytest.raises((InvalidName, InvalidValue)):
            run.log_metrics({"good": 1.0, name: 2.0})
        with pytest.raises((InvalidName, InvalidValue)):
            run.log_metrics({name: 2.0})
    assert list(client.get_run(run.run_id).get_metrics()) == []


@pytest.mark.parametrize(
    "name", ["a", "val/loss", "a.b", "größe", "損失", "🎉", "x" * 250, "with space", "%_\\'\"`;--"]
)
def test_any_visible_name_is_kept(client, name):
    with client.create_run("iris") as run:
        run.log_metrics({name: 1.0})
        run.log_metrics({name: 2.0, "other": 3.0})
        run.log_params({name: 1})
        run.set_tags({name: "x"})
    stored = client.get_run(run.run_id)
    assert stored.get_metrics(name)[name].values.tolist() == [1.0, 2.0]
    assert stored.get_params() == {name: 1}
    assert stored.get_tags() == {name: "x"}


def test_an_ended_run_takes_nothing_more_but_edits(client):
    run = client.create_run("iris")
    run.end("KILLED")
    run.end()
    for call in (lambda: run.log_metrics({"a": 1.0}), lambda: run.log_params({"a": 1}), lambda: run.log_text("x", "a")):
        with pytest.raises(RunEnded, match=r"has ended \(KILLED\)"):
            call()
    run.set_tags({"a": 1})
    assert client.get_run(run.run_id).get_tags() == {"a": "1"}
    assert client.get_run(run.run_id).status == "KILLED"
