"""Chunks: what goes in comes out bit for bit, and a few points stand for many in a drawing."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlfoundry.store import chunks

SIZES = [0, 1, 2, 31, 32, 33, 255, 256, 257, 4095, 4096]
INT64 = np.iinfo(np.int64)


def points(steps, times, values):
    return np.array(steps, np.int64), np.array(times, np.int64), np.array(values, np.float64)


def same(one, other):
    return all(a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))


def shapes(count):
    """Return stretches of `count` points of the kinds that training makes, and of those that it should not."""
    chance = np.random.default_rng(count)
    up = np.arange(count)
    yield "noise", points(up, up * 1_000_000 + chance.integers(0, 999, count), chance.normal(size=count))
    yield "all the same", points(up * 0 + 7, up * 0 - 7, up * 0.0 + 0.1)
    yield (
        "any bits",
        tuple(np.frombuffer(chance.bytes(8 * count), dtype).copy() for dtype in (np.int64, np.int64, np.float64)),
    )
    yield (
        "limits",
        points(
            np.resize([INT64.min, INT64.max, 0, -1], count),
            np.resize([INT64.max, INT64.min], count),
            np.resize([math.inf, -math.inf, -0.0, math.nan], count),
        ),
    )
    yield "backwards", points(up[::-1] * 3, up[::-1] * 1_000_001, -up)
    yield "one jump", points(np.where(up == count // 2, 2**62, up), up, up)
    yield "NaN alone", points(up, up, np.full(count, math.nan))


@pytest.mark.parametrize("count", SIZES)
def test_what_is_encoded_comes_back_bit_for_bit(count):
    for name, given_points in shapes(count):
        data = chunks.encode(given_points)
        assert isinstance(data, bytes)
        assert same(chunks.decode(data), given_points), name


COLUMN = st.integers(0, 200).flatmap(
    lambda count: st.tuples(
        arrays.arrays(np.int64, count),
        arrays.arrays(np.int64, count, elements=st.integers(INT64.min, INT64.max) | st.integers(0, 300)),
        arrays.arrays(np.float64, count, elements=st.floats(allow_nan=True, width=64)),
    )
)


@given(given_points=COLUMN)
def test_any_points_at_all_come_back_bit_for_bit(given_points):
    assert same(chunks.decode(chunks.encode(given_points)), given_points)


def test_every_payload_of_a_nan_comes_back():
    words = np.array([0x7FF8000000000000, 0xFFF0DEADBEEF0001, 0x7FF0000000000001] * 20, np.uint64)
    given_points = (np.arange(60), np.arange(60), words.view(np.float64))
    assert same(chunks.decode(chunks.encode(given_points)), given_points)


def test_a_slice_of_a_larger_array_is_encoded_as_what_it_holds():
    whole = points(range(0, 8000, 2), range(4000), np.linspace(0, 1, 4000))
    part = tuple(column[100:3100:3] for column in whole)
    assert same(chunks.decode(chunks.encode(part)), tuple(np.ascontiguousarray(column) for column in part))


@pytest.mark.parametrize(("name", "limit"), [("noise", 10.0), ("all the same", 0.2), ("NaN alone", 0.2)])
def test_a_full_chunk_takes_few_bytes_a_point(name, limit):
    data = chunks.encode(dict(shapes(chunks.SEALED))[name])
    assert len(data) / chunks.SEALED <= limit


def test_several_stretches_are_one():
    parts = [points([1], [2], [3.0]), points([], [], []), points([4, 5], [6, 7], [8.0, 9.0])]
    assert same(chunks.join(parts), points([1, 4, 5], [2, 6, 7], [3.0, 8.0, 9.0]))
    assert same(chunks.join([]), points([], [], []))
    assert same(chunks.join(parts[:1]), parts[0])


@given(
    steps=st.lists(st.integers(-3, 3), max_size=30),
    times=st.lists(st.integers(-3, 3), min_size=30, max_size=30),
)
def test_points_are_sorted_by_step_then_time_then_arrival(steps, times):
    count = len(steps)
    times = times[:count]
    got = chunks.in_order(points(steps, times, range(count)))
    wanted = sorted(zip(steps, times, range(count), strict=True), key=lambda point: point[:2])
    assert [tuple(map(int, point)) for point in zip(*got, strict=True)] == wanted


@pytest.mark.parametrize("count", [0, 1, 4, 5, 16, 17, 255, 4096])
@pytest.mark.parametrize("buckets", [1, 2, 4, 100])
def test_a_thinned_stretch_keeps_first_last_least_and_greatest_of_each_bucket(count, buckets):
    for name, given_points in shapes(count):
        if name in ("any bits", "backwards"):
            continue
        steps, times, values = thinned = chunks.thin(given_points, buckets)
        assert len(steps) <= 4 * buckets
        assert len(steps) == len(times) == len(values)
        if count <= 4 * buckets:
            assert same(thinned, given_points), name
            continue
        edges = np.linspace(0, count, buckets + 1).astype(int)
        for start, stop in pairwise(edges):
            bucket = given_points[2][start:stop]
            numbers = bucket[~np.isnan(bucket)]
            wanted = {bucket[0].tobytes(), bucket[-1].tobytes()}
            assert wanted <= {value.tobytes() for value in values}, name
            if len(numbers):
                assert {numbers.min(), numbers.max()} <= set(values.tolist()), name


def test_thinning_changes_no_order_and_invents_no_point():
    given_points = dict(shapes(4096))["noise"]
    thinned = chunks.thin(given_points, 50)
    assert (np.diff(thinned[0]) > 0).all()
    original = set(zip(*(column.tolist() for column in given_points), strict=True))
    assert set(zip(*(column.tolist() for column in thinned), strict=True)) <= original


@pytest.mark.parametrize("value", [math.inf, -math.inf, 5.0])
def test_among_nan_the_one_number_is_kept(value):
    values = np.full(1000, math.nan)
    values[777] = value
    thinned = chunks.thin(points(range(1000), range(1000), values), 1)
    assert value in thinned[2].tolist()


def test_a_small_chunk_has_no_overview_and_a_large_one_a_short_one():
    for count in (0, 1, chunks.OVERVIEW_FROM - 1):
        assert chunks.overview(dict(shapes(count))["noise"]) is None
    for count in (chunks.OVERVIEW_FROM, chunks.SEALED):
        for name, given_points in shapes(count):
            data = chunks.overview(given_points)
            assert data is not None
            steps, _, values = chunks.read_overview(data)
            assert len(steps) <= 4 * chunks.OVERVIEW_STRETCHES
            numbers = given_points[2][~np.isnan(given_points[2])]
            if len(numbers):
                assert {numbers.min(), numbers.max()} <= set(values.tolist()), name
            assert steps.min() == given_points[0].min(), name
            assert steps.max() == given_points[0].max(), name


def test_extremes_leave_nan_out_and_are_none_without_a_number():
    rows = np.array([[math.nan, 3.0, -1.0, math.nan], [math.inf, 1.0, -math.inf, 1.0], [math.nan] * 4])
    assert chunks.extremes(rows) == ([-1.0, -math.inf, None], [3.0, math.inf, None])
