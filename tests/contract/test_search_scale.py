"""Searches among many runs: few matches and many, sorted by what some runs lack, page after page; all runs once."""

from __future__ import annotations

import random

import pytest

from mlfoundry.records import RunQuery
from mlfoundry.store import conditions

RUNS = 36
TEXTS = ("auto", "a" * 63, "a" * 64, "a" * 65)


@pytest.fixture
def project(make_run, pen):
    """A project whose runs have a metric, a number, a text or none of them, many of each value."""
    chosen = random.Random(1)
    for number in range(RUNS):
        run = make_run(f"run-{number:03}")
        journal = pen(run)
        if number % 3:
            journal.point("loss", chosen.choice([0.1, 0.2, 0.3, float("nan")]))
        if number % 2:
            journal.params(lr=("float", str(chosen.choice([0.1, 0.2]))))
        elif number % 4:
            journal.params(lr=("str", TEXTS[number // 4 % len(TEXTS)]))
        journal.end().send()
    return run.key.project_id


def listed(backend, project_id, filter_text, order, *, limit, offset=0):
    """All names, page after page."""
    names, cursor = [], None
    while True:
        page = backend.search_runs(
            RunQuery(project_id, filter_text, order, limit=limit, cursor=cursor, offset=0 if cursor else offset)
        )
        names += [run.run_name for run in page.runs]
        cursor = page.next_cursor
        if cursor is None:
            return names


ORDERS = [
    ("metrics.loss ASC",), ("metrics.loss DESC",), ("min(metrics.loss) ASC",), ("params.lr ASC",), ("params.lr DESC",),
    ("metrics.loss ASC", "params.lr DESC"), ("params.lr ASC", "metrics.loss DESC"), ("status", "metrics.loss"),
]  # fmt: skip


def test_pages_of_any_size_from_any_place_give_the_same_list(backend, project):
    for order in ORDERS:
        whole = listed(backend, project, "", order, limit=RUNS)
        assert sorted(whole) == [f"run-{number:03}" for number in range(RUNS)], order
        assert listed(backend, project, "", order, limit=7) == whole, order
        for offset in (1, 17, 27, RUNS - 1, RUNS + 5):
            assert listed(backend, project, "", order, limit=20, offset=offset) == whole[offset:], (order, offset)


FILTERS = [
    "metrics.loss < 0.15", "metrics.loss = 0.2", "metrics.loss != 0.2", "params.lr = 0.1", "params.lr > 0.1",
    "params.lr != 'auto'", "params.lr = 'auto'", f"params.lr = '{'a' * 63}'", f"params.lr = '{'a' * 64}'",
    f"params.lr IN ('auto', '{'a' * 65}')", "params.lr = 'nobody'", "metrics.loss < 0.15 and params.lr = 0.1",
    "metrics.loss < 0.15 or params.lr = 'auto'", "not (metrics.loss < 0.15)", "not (params.lr = 'auto')",
]  # fmt: skip


def test_a_filter_finds_the_same_whether_few_match_or_many(backend, project, monkeypatch):
    for filter_text in FILTERS:
        found = {}
        for few in (conditions.FEW, 3, -1):  # a server of these tests runs in this process
            with monkeypatch.context() as patched:
                patched.setattr(conditions, "FEW", few)
                found[few] = listed(backend, project, filter_text, ("metrics.loss ASC",), limit=9)
        assert len(set(map(tuple, found.values()))) == 1, (filter_text, found)


def test_texts_are_told_apart_beyond_what_their_index_holds(backend, project):
    found = {
        length: listed(backend, project, f"params.lr = '{'a' * length}'", ("run_name",), limit=RUNS)
        for length in (62, 63, 64, 65, 66)
    }
    assert found[62] == found[66] == []
    assert all(found[length] for length in (63, 64, 65))
    assert len({name for names in found.values() for name in names}) == sum(map(len, found.values()))
