"""The order of runs, and pages: each run once, none missing, whatever happens in between."""

from __future__ import annotations

import math

import pytest

from mlfoundry.errors import InvalidFilter, InvalidInput, ProjectNotFound
from mlfoundry.records import RunQuery

FIRST_DAY_US = 1_767_225_600_000_000  # 2026-01-01
NAN, INF = math.nan, math.inf
ALL = ["svm-1", "svm-2", "cnn", "tree", "bare"]


@pytest.mark.parametrize(
    ("order", "wanted"),
    [
        (("metrics.loss", "name"), ["tree", "svm-1", "svm-2", "bare", "cnn"]),
        (("metrics.loss desc", "name"), ["svm-2", "svm-1", "tree", "bare", "cnn"]),
        (("-loss", "-name"), ["svm-2", "svm-1", "tree", "cnn", "bare"]),
        (("max(acc) desc", "name"), ["tree", "svm-1", "svm-2", "bare", "cnn"]),
        (("min(metrics.loss) asc, name desc",), ["tree", "svm-2", "svm-1", "cnn", "bare"]),
        (("params.C",), ["svm-1", "cnn", "svm-2", "tree", "bare"]),
        (("params.C desc",), ["svm-2", "cnn", "svm-1", "tree", "bare"]),
        (("params.model",), ["tree", "svm-2", "cnn", "svm-1", "bare"]),
        (("tags.version desc", "started_at"), ["cnn", "svm-2", "svm-1", "tree", "bare"]),
        (("tags.stage", "-started_at"), ["tree", "svm-2", "cnn", "svm-1", "bare"]),
        (("started_at desc",), ["bare", "tree", "cnn", "svm-2", "svm-1"]),
        (("ended_at",), ["svm-1", "svm-2", "tree", "cnn", "bare"]),
        (("ended_at desc",), ["tree", "cnn", "svm-2", "svm-1", "bare"]),
        (("status", "run_name"), ["svm-2", "svm-1", "tree", "cnn", "bare"]),
        (("duration",), ["tree", "svm-2", "svm-1", "cnn", "bare"]),
        (("metrics.unknown", "name"), ["bare", "cnn", "svm-1", "svm-2", "tree"]),
    ],
)
def test_runs_come_in_the_order_asked_for_and_absent_values_last(found, order, wanted):
    got = found("", *order)
    if order[0].startswith("ended_at"):  # the third ran for a day, until the fourth began and ended
        assert got[-1] == "bare"
        assert sorted(got[:4]) == sorted(wanted[:4])
    else:
        assert got == wanted


def test_without_an_order_the_newest_run_comes_first(found, backend):
    page = backend.search_runs(RunQuery(backend.get_project(None, "iris").project_id))
    assert [run.run_name for run in page.runs] == ALL[::-1]


# -- pages ---------------------------------------------------------------------------------------

ORDERS = [
    (),
    ("metrics.loss",),
    ("metrics.loss desc",),
    ("params.C",),
    ("params.C desc", "metrics.loss"),
    ("status desc", "tags.group", "-metrics.loss"),
    ("ended_at", "params.C desc"),
    ("created_by",),
    ("min(metrics.loss) desc", "max(metrics.loss)"),
    ("duration desc", "run_name"),
    ("run_id desc",),
]
VALUES = [0.5, NAN, None, -0.0, 0.0, INF, -INF, 1 / 3, 0.1 + 0.2, None]
PARAMS = [("int", "3"), ("float", "3.0"), None, ("str", "many"), ("str", "3"), ("none", "None"), ("int", "10")]


def sixty(make_run, pen, start=0, count=60):
    runs = []
    for number in range(start, start + count):
        tags = {"group": f"g{number % 4}"} if number % 5 else {}
        run = make_run(f"run {number}", tags=tags, started_at_us=FIRST_DAY_US + number // 3)
        journal = pen(run)
        if (value := VALUES[number % len(VALUES)]) is not None:
            journal.point("loss", value)
        if (param := PARAMS[number % len(PARAMS)]) is not None:
            journal.params(C=param)
        if number % 3:
            journal.end("FINISHED" if number % 2 else "FAILED", elapsed_us=number // 10)
        journal.send()
        runs.append(run)
    return runs


def pages(backend, project_id, order, size, between=lambda: None):
    cursor, seen = None, []
    while True:
        page = backend.search_runs(RunQuery(project_id, order_by=order, limit=size, cursor=cursor))
        assert len(page.runs) <= size
        seen += [run.run_name for run in page.runs]
        cursor = page.next_cursor
        if cursor is None:
            return seen
        assert len(page.runs) == size
        between()


def test_pages_of_any_size_give_each_run_once_in_the_order_of_one_big_page(make_run, pen, backend):
    project_id = sixty(make_run, pen)[0].key.project_id
    for order in ORDERS:
        whole = pages(backend, project_id, order, 10_000)
        assert sorted(whole) == sorted(f"run {number}" for number in range(60))
        for size in (1, 2, 7, 30, 60):
            assert pages(backend, project_id, order, size) == whole, (order, size)


def test_an_offset_leaves_out_as_many_runs_of_the_order(make_run, pen, backend):
    project_id = sixty(make_run, pen)[0].key.project_id
    for order in ORDERS[:3]:
        whole = pages(backend, project_id, order, 10_000)
        for offset in (0, 1, 30, 59, 60, 1000):
            page = backend.search_runs(RunQuery(project_id, order_by=order, limit=5, offset=offset))
            assert [run.run_name for run in page.runs] == whole[offset : offset + 5], (order, offset)
    for wrong in (-1, 1 << 53):
        with pytest.raises(InvalidInput, match="it is a number of runs"):
            backend.search_runs(RunQuery(project_id, offset=wrong))


@pytest.mark.parametrize("order", ORDERS, ids=" ".join)
def test_runs_that_come_in_between_neither_repeat_nor_hide_those_that_were_there(make_run, pen, backend, order):
    project_id = sixty(make_run, pen)[0].key.project_id
    whole = pages(backend, project_id, order, 10_000)
    numbers = iter(range(60, 200))
    seen = pages(backend, project_id, order, 7, between=lambda: sixty(make_run, pen, start=next(numbers), count=1))
    assert len(set(seen)) == len(seen)
    assert [name for name in seen if name in set(whole)] == whole


def test_a_run_that_is_deleted_in_between_moves_nothing(make_run, pen, backend):
    runs = sixty(make_run, pen, count=20)
    whole = pages(backend, runs[0].key.project_id, ("run_name",), 100)
    by_name = {run.run_name: run for run in runs}
    gone = iter(whole)
    seen = pages(
        backend, runs[0].key.project_id, ("run_name",), 2, between=lambda: backend.delete_run(by_name[next(gone)].key)
    )
    assert seen == whole


def test_a_page_beyond_the_last_run_is_not_promised(make_run, pen, backend):
    project_id = sixty(make_run, pen, count=6)[0].key.project_id
    assert backend.search_runs(RunQuery(project_id, limit=6)).next_cursor is None
    assert backend.search_runs(RunQuery(project_id, limit=5)).next_cursor is not None
    assert backend.search_runs(RunQuery(project_id, "loss = 12345", limit=1)).next_cursor is None


@pytest.mark.parametrize("limit", [-1, 0, 10_001])
def test_a_page_of_an_impossible_size_is_refused(make_run, backend, limit):
    with pytest.raises(InvalidInput, match=f"limit is {limit}; a page has 1 to 10,000 runs"):
        backend.search_runs(RunQuery(make_run().key.project_id, limit=limit))


def test_a_client_goes_through_all_pages_by_itself(make_run, pen, client):
    sixty(make_run, pen)
    runs = client.search_runs("iris", order_by="metrics.loss", page_size=7)
    assert len(runs) == 60
    assert len({run.run_id for run in runs}) == 60
    assert [run.run_name for run in runs[:3]] == [runs[n].run_name for n in range(3)]
    assert client.search_runs("ann/iris", "loss = 0.5")[0].record.metrics["loss"].last == 0.5


def test_a_client_says_at_once_what_is_wrong_with_a_filter(make_run, client):
    make_run()
    for text, order in (("loss <", ()), ("accurracy < 1", ()), ("", "metrics."), ("", "accurracy")):
        with pytest.raises(InvalidFilter):
            client.search_runs("iris", text, order)
    with pytest.raises(ProjectNotFound):
        client.search_runs("irsi")
