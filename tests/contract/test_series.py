"""Points of metrics: what is known of them without reading, read whole, thinned, and followed live."""

from __future__ import annotations

import math
import struct
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlfoundry.errors import InvalidInput
from mlfoundry.records import SeriesQuery

START_US = 1_700_000_000_000_000
NAN, INF = math.nan, math.inf


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


@pytest.fixture
def run(make_run):
    return make_run()


@pytest.fixture
def summary(backend, run):
    """What is known of the metric ``loss``."""
    return lambda: backend.get_run(run.key.run_id).metrics["loss"]


@pytest.fixture
def read(backend, run):
    """``read("loss", max_points=…)`` is a series."""

    def one(name="loss", *, since=0, max_points=None):
        query = SeriesQuery(run.key, (name,), max_points=max_points, since={name: since} if since else {})
        (series,) = backend.read_series(query)
        assert series.name == name
        assert len(series.steps) == len(series.times) == len(series.values)
        assert (series.steps.dtype, series.times.dtype, series.values.dtype) == (np.int64, np.int64, np.float64)
        return series

    return one


# -- summaries -----------------------------------------------------------------------------------


def test_the_last_value_is_the_one_of_the_greatest_step(run, pen, summary):
    pen(run).point("loss", 1.0, 5).point("loss", 9.0, 7).point("loss", 0.1, 6).send()
    assert (summary().last, summary().last_step, summary().count) == (9.0, 7, 3)
    pen(run).point("loss", 4.0, 2).send()
    assert (summary().last, summary().last_step, summary().count) == (9.0, 7, 4)
    assert (summary().min, summary().max) == (0.1, 9.0)


def test_of_one_step_the_latest_time_counts_and_of_one_time_the_greatest_value(run, pen, summary):
    pen(run).point("loss", 9.0, 7, START_US + 5).point("loss", 1.0, 7, START_US + 9).send()
    assert summary().last == 1.0
    assert (summary().last_at.microsecond, summary().last_step) == (9, 7)
    pen(run).point("loss", 3.0, 7, START_US + 9).send()
    pen(run).point("loss", 2.0, 7, START_US + 9).send()
    assert summary().last == 3.0


POINTS = st.lists(
    st.tuples(
        st.integers(-3, 3),
        st.integers(0, 3),
        st.sampled_from([0.0, -0.0, 1.0, -1.5, INF, -INF, NAN]),
    ),
    min_size=1,
    max_size=12,
)


def expected(points):
    """Return (last, min, max) as they are defined; NaN is the least of all values."""
    _, _, last = max(
        points,
        key=lambda point: (point[0], point[1], -INF if math.isnan(point[2]) else point[2], not math.isnan(point[2])),
    )
    numbers = [value for _, _, value in points if not math.isnan(value)]
    return last, min(numbers, default=NAN), max(numbers, default=NAN)


@given(points=POINTS, cuts=st.sets(st.integers(1, 11)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_known_does_not_depend_on_how_the_points_were_batched(make_run, pen, backend, points, cuts):
    run = make_run()
    journal = pen(run)
    for index, (step, at_us, value) in enumerate(points):
        journal.point("loss", value, step, at_us)
        if index + 1 in cuts:
            journal.send()
    journal.send()
    found = backend.get_run(run.key.run_id).metrics["loss"]
    for got, wanted in zip((found.last, found.min, found.max), expected(points), strict=True):
        assert got == wanted or (math.isnan(got) and math.isnan(wanted))
    assert found.count == len(points)


@pytest.mark.parametrize("value", [0.1, -0.0, 0.0, 5e-324, 1.7976931348623157e308, INF, -INF, NAN, 3.0, 2.0**60])
def test_a_single_value_is_known_bit_for_bit(run, pen, summary, value):
    pen(run).point("loss", value).send()
    assert bits(summary().last) == bits(value)
    for known in (summary().min, summary().max):
        assert bits(known) == bits(value)


def test_a_series_of_nan_alone_has_neither_least_nor_greatest(run, pen, summary):
    for _ in range(2):
        pen(run).point("loss", NAN).send()
    assert all(math.isnan(value) for value in (summary().last, summary().min, summary().max))
    pen(run).point("loss", 2.0, -1).send()
    assert (summary().min, summary().max) == (2.0, 2.0)
    assert math.isnan(summary().last)


def test_least_and_greatest_leave_nan_out(run, pen, summary):
    pen(run).points("loss", [NAN, 3.0, NAN, 1.0, NAN]).send()
    assert (summary().min, summary().max) == (1.0, 3.0)
    assert math.isnan(summary().last)


def test_system_metrics_are_not_among_a_runs_metrics(run, pen, backend):
    pen(run).point("system/cpu", 1.0).point("loss", 2.0).send()
    assert list(backend.get_run(run.key.run_id).metrics) == ["loss"]
    assert [s.name for s in backend.read_series(SeriesQuery(run.key))] == ["loss"]
    assert [s.name for s in backend.read_series(SeriesQuery(run.key, system=True))] == ["system/cpu"]
    assert [s.name for s in backend.read_series(SeriesQuery(run.key, system=None))] == ["loss", "system/cpu"]
    (loss, cpu) = backend.read_series(SeriesQuery(run.key, system=None, since={"loss": 1}))
    assert (loss.values.tolist(), loss.count, cpu.values.tolist()) == ([], 1, [1.0])
    assert backend.read_series(SeriesQuery(run.key, ("system/cpu",)))[0].values.tolist() == [1.0]


# -- reading -------------------------------------------------------------------------------------


def test_points_come_by_step_then_time_then_arrival(run, pen, read):
    journal = pen(run)
    for step, at, value in ((5, 9, 1.0), (2, 3, 2.0), (5, 1, 3.0), (2, 3, 4.0), (-1, 8, 5.0), (5, 9, 6.0), (2, 3, 0.0)):
        journal.point("loss", value, step, at)
    journal.send()
    series = read()
    assert series.steps.tolist() == [-1, 2, 2, 2, 5, 5, 5]
    assert series.times.tolist() == [8, 3, 3, 3, 1, 9, 9]
    assert series.values.tolist() == [5.0, 2.0, 4.0, 0.0, 3.0, 1.0, 6.0]


def test_steps_and_times_at_their_limits_come_back(run, pen, read):
    journal = pen(run)
    for step in (-(2**63), -1, 0, 2**63 - 1):
        journal.point("loss", 1.0, step, 1)
    for step in range(100):
        journal.point("many", 1.0, (-1) ** step * (2**63 - 1 - step), step * 10**15)
    journal.send()
    assert read().steps.tolist() == [-(2**63), -1, 0, 2**63 - 1]
    many = read("many")
    assert sorted(many.steps.tolist()) == sorted((-1) ** step * (2**63 - 1 - step) for step in range(100))
    assert sorted(many.times.tolist()) == [step * 10**15 for step in range(100)]


def test_an_unknown_name_gives_an_empty_series_in_its_place(run, pen, backend):
    pen(run).point("a", 1.0).point("b", 2.0).send()
    found = backend.read_series(SeriesQuery(run.key, ("b", "unknown", "system/unknown", "a")))
    assert [(s.name, s.values.tolist(), s.count) for s in found] == [
        ("b", [2.0], 1),
        ("unknown", [], 0),
        ("system/unknown", [], 0),
        ("a", [1.0], 1),
    ]


def test_a_run_without_points_has_no_series(run, backend):
    assert backend.read_series(SeriesQuery(run.key)) == []


def test_without_names_all_come_by_name(run, pen, backend):
    pen(run).row({"b": 1.0, "a": 2.0, "B": 3.0, "ä": 4.0}).send()
    assert [s.name for s in backend.read_series(SeriesQuery(run.key))] == ["B", "a", "b", "ä"]


def test_what_is_read_can_be_written_to(run, pen, read):
    journal = pen(run)
    for size in (1, 31, 32, 300):
        journal.points("loss", [1.0] * size).send()
        for series in (read(), read(max_points=8), read(since=1)):
            assert all(array.flags.writeable for array in (series.steps, series.times, series.values))


# -- the cursor of a live reader -----------------------------------------------------------------


def test_a_reader_that_has_everything_gets_nothing(run, pen, read):
    pen(run).points("loss", [1.0, 2.0]).send()
    for since in (2, 3, 1000):
        series = read(since=since)
        assert (series.values.tolist(), series.count) == ([], 2)


def test_a_live_reader_gets_each_point_once_in_the_order_of_arrival_while_chunks_merge(run, pen, read, scale):
    first, second = pen(run), pen(run)
    sent: list[float] = []
    got: list[float] = []
    since = 0
    for round_number in range(scale(6000, 300)):
        journal = first if round_number % 3 else second
        size = (1, 1, 7, 40, 1, 90)[round_number % 6]
        values = [float(len(sent) + n) for n in range(size)]
        journal.points("loss", values, first_step=len(sent)).send()
        sent += values
        if round_number % 4 == 0:
            series = read(since=since)
            got += series.values.tolist()
            since = series.count
    series = read(since=since)
    got += series.values.tolist()
    assert got == sent
    assert series.count == len(sent)


@given(sizes=st.lists(st.integers(1, 700), min_size=1, max_size=8), part=st.floats(0, 1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
def test_from_any_point_on_exactly_the_rest_is_read(make_run, pen, backend, sizes, part):
    run = make_run()
    journal, total = pen(run), 0
    for size in sizes:
        journal.points("loss", [float(total + n) for n in range(size)], total).send()
        total += size
    since = int(part * total)
    (series,) = backend.read_series(SeriesQuery(run.key, ("loss",), since={"loss": since}))
    assert series.values.tolist() == [float(n) for n in range(since, total)]
    assert series.count == total


def test_a_reader_beside_a_writer_always_sees_a_whole_beginning(run, pen, read):
    total, wrong = 3000, []
    done = threading.Event()

    def watch() -> None:
        last = 0
        while not done.is_set():
            series = read()
            if series.values.tolist() != [float(n) for n in range(series.count)] or series.count < last:
                wrong.append(series.count)
            last = series.count

    reader = threading.Thread(target=watch)
    reader.start()
    try:
        journal = pen(run)
        for start in range(0, total, 20):
            journal.points("loss", [float(n) for n in range(start, start + 20)], start).send()
    finally:
        done.set()
        reader.join()
    assert wrong == []
    assert read().count == total


# -- thinning ------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_points", [4, 5, 7, 8, 100, 999, 1000, 5000])
@pytest.mark.parametrize("total", [1, 3, 4, 5, 100, 999, 5000])
def test_never_more_points_than_asked_for_and_the_four_that_matter_are_there(make_run, pen, backend, max_points, total):
    run = make_run()
    chance = np.random.default_rng(total)
    values = chance.normal(size=total)
    if total > 50:
        values[::7] = NAN
    pen(run).points("loss", values.tolist()).send()
    (series,) = backend.read_series(SeriesQuery(run.key, ("loss",), max_points=max_points))
    assert len(series.steps) <= max_points
    assert series.count == total
    assert series.steps[0] == 0
    assert series.steps[-1] == total - 1
    assert np.nanmin(series.values) == np.nanmin(values)
    assert np.nanmax(series.values) == np.nanmax(values)
    if total <= max_points // 4 * 4:
        assert len(series.steps) == total
    for step, value in zip(series.steps, series.values, strict=True):
        assert bits(value) == bits(values[step])


@pytest.mark.parametrize("max_points", [-1, 0, 1, 3])
def test_fewer_points_than_a_drawing_needs_are_refused(run, pen, backend, client, max_points):
    pen(run).point("loss", 1.0).send()
    with pytest.raises(InvalidInput, match=f"max_points is {max_points}; give at least 4"):
        backend.read_series(SeriesQuery(run.key, ("loss",), max_points=max_points))
    with pytest.raises(InvalidInput, match=f"max_points is {max_points}; give at least 4"):
        client.get_run(run.key.run_id).get_metrics("loss", max_points=max_points)


@pytest.mark.parametrize(("other", "given"), [("since", {"since": {"loss": 1}}), ("most", {"most": 10})])
def test_what_is_thinned_out_is_the_whole_metric_or_it_is_refused(run, pen, backend, other, given):
    pen(run).points("loss", [1.0, 2.0, 3.0]).send()
    for names in (None, ("loss",)):
        with pytest.raises(InvalidInput, match=f"give it without {other}, or {other} alone"):
            backend.read_series(SeriesQuery(run.key, names, max_points=4, **given))


@pytest.mark.parametrize("given", [{"names": ("lo\udcffss",)}, {"names": ("a\0",)}, {"since": {"lo\udcffss": 1}}])
def test_a_name_that_is_no_text_is_refused_and_no_failure(run, backend, given):
    with pytest.raises(InvalidInput, match=r"metric's name|surrogate"):
        backend.read_series(SeriesQuery(run.key, **given))


@pytest.mark.parametrize("total", [3000, 20_000])
def test_late_and_early_steps_are_the_first_and_the_last_of_a_drawing_too(run, pen, read, total):
    steps = list(range(total))
    steps[total // 4], steps[total // 2] = -7, 10**6
    journal = pen(run)
    for index, step in enumerate(steps):
        journal.point("loss", float(index % 7), step)
        if index % 1000 == 999:
            journal.send()
    journal.send()
    series = read(max_points=8)
    assert (series.steps[0], series.steps[-1]) == (-7, 10**6)
    assert len(series.steps) <= 8


@pytest.mark.parametrize("special", [INF, -INF, 1e300, -1e300])
def test_a_single_outlier_is_drawn(run, pen, read, special):
    values = [0.0] * 20_000
    values[12_345] = special
    journal = pen(run)
    journal.points("loss", values).send()
    assert special in read(max_points=40).values.tolist()


def test_a_series_of_nan_alone_can_be_drawn(run, pen, read):
    pen(run).points("loss", [NAN] * 6000).send()
    series = read(max_points=16)
    assert 0 < len(series.steps) <= 16
    assert (series.steps[0], series.steps[-1]) == (0, 5999)


def test_200_000_points_are_stored_read_followed_and_drawn(run, pen, read, summary):
    total = 200_000
    values = np.random.default_rng(1).normal(size=total)
    journal = pen(run)
    for start in range(0, total, 10_000):
        journal.points("loss", values[start : start + 10_000].tolist(), start).send()
    journal.end().send()
    series = read()
    assert series.values.tobytes() == values.tobytes()
    assert (series.steps == np.arange(total)).all()
    assert read(since=total - 3).values.tolist() == values[-3:].tolist()
    drawn = read(max_points=1000)
    assert len(drawn.steps) <= 1000
    assert len(drawn.steps) > 500
    assert {values.min(), values.max(), values[0], values[-1]} <= set(drawn.values.tolist())
    known = summary()
    assert (known.count, known.last, known.min, known.max) == (total, values[-1], values.min(), values.max())


def test_a_thousand_metrics_at_once_are_each_their_own(run, pen, backend):
    metrics = {f"m{number}": float(number) for number in range(1000)}
    pen(run).row(metrics, 1).row(metrics, 2).send()
    found = backend.read_series(SeriesQuery(run.key))
    assert {s.name: s.values.tolist() for s in found} == {name: [value] * 2 for name, value in metrics.items()}


@pytest.mark.parametrize("most", [1, 3, 7, 100])
def test_a_long_series_comes_in_stretches_in_the_order_in_which_it_arrived(backend, run, pen, most):
    for start in range(0, 21, 7):
        writer = pen(run)
        for number in range(start, start + 7):
            writer.point("loss", float(number), 20 - number)
        writer.send()
    got: list[float] = []
    while True:
        (part,) = backend.read_series(SeriesQuery(run.key, ("loss",), since={"loss": len(got)}, most=most))
        assert part.count == 21
        assert len(part.values) <= most
        assert sorted(part.steps.tolist()) == part.steps.tolist()
        if not len(part.values):
            break
        got += sorted(part.values.tolist())
    assert got == [float(number) for number in range(21)]
    with pytest.raises(InvalidInput, match="most is 0; give at least 1"):
        backend.read_series(SeriesQuery(run.key, ("loss",), most=0))
