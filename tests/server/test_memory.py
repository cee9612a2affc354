"""No answer takes any amount of memory: points beyond a limit are refused, thinned, or asked for in stretches."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from mlfoundry.errors import TooLarge
from mlfoundry.panels import limits
from mlfoundry.records import RunKey, SeriesQuery
from mlfoundry.server.dashboard import feeds
from mlfoundry.server.dashboard.following import Following, Known
from mlfoundry.server.routes import data
from mlfoundry.tracking import http
from mlfoundry.tracking.http import HttpBackend
from mlfoundry.tracking.service import TrackingService
from tests.server.scene import ask, batch, new_run
from tests.servers import TeamServer

POINTS = 250


@pytest.fixture
def run(server: TeamServer) -> RunKey:
    """A run of ann's with 250 points of each of four metrics, the newest steps first, and one point of a fifth."""
    server.key("ann")
    rules: TrackingService = server.app.state.services.tracking
    made = rules.create_run("ann", new_run("p")).key
    for number, name in enumerate("abcde"):
        given = batch(made, number + 1, POINTS if name != "e" else 1)
        rules.ingest("ann", type(given)(**{**_fields(given), "names": {1: (name,)}}))
    return made


def _fields(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__slots__}


@pytest.fixture
def backend(server: TeamServer, run: RunKey, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(data, "POINTS_LIMIT", 100)
    monkeypatch.setattr(http, "POINTS_AT_ONCE", 40)
    made = HttpBackend(server.address, server.key("ann"))
    yield made
    made.close()


def test_too_many_points_are_refused_with_how_to_ask_for_them(server: TeamServer, backend: Any, run: RunKey) -> None:
    place = f"/api/v1/projects/{run.project_id}/runs/{run.run_id}/series"
    for asked in (
        {},
        {"names": ["a"]},
        {"max_points": 99},
        {"names": ["a"] * 5, "max_points": 30},
        {"since": {"a": 9}},
    ):
        answer = ask(server, "POST", place, server.key("ann"), json=asked)
        assert answer.status_code == 413
        error = answer.json()["error"]
        assert error["code"] == "TooLarge"
        assert (
            "one answer holds at most 100. Ask for fewer metrics, for max_points of each, or for most"
            in error["message"]
        )
    for asked in (
        {"max_points": 20},
        {"names": ["a"], "most": 100},
        {"names": ["a"], "since": {"a": 150}},
        {"most": 24},
    ):
        assert ask(server, "POST", place, server.key("ann"), json=asked).status_code == 200


def test_a_client_gets_all_of_it_all_the_same(backend: Any, run: RunKey) -> None:
    for names in (None, ("a", "e", "unknown")):
        found = backend.read_series(SeriesQuery(run, names))
        assert [each.name for each in found] == list(names or "abcde")
        for each in found:
            count = {"e": 1, "unknown": 0}.get(each.name, POINTS)
            assert each.count == count
            assert each.steps.tolist() == list(range(count))
            assert np.array_equal(each.values, each.steps)
    (rest,) = backend.read_series(SeriesQuery(run, ("a",), since={"a": 100}))
    assert rest.steps.tolist() == list(range(100, POINTS))


def test_a_client_gets_overviews_of_many_metrics_in_pieces(backend: Any, run: RunKey) -> None:
    found = backend.read_series(SeriesQuery(run, max_points=40))
    assert [each.name for each in found] == list("abcde")
    assert all(0 < len(each.steps) <= 40 for each in found)
    assert all(each.steps[0] == 0 for each in found)
    with pytest.raises(TooLarge):
        backend.read_series(SeriesQuery(run, ("a",), max_points=200))


@pytest.fixture
def asked(server: TeamServer, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The names that are read while three series and sixty points are the most of a page, with how many points came."""
    rules: TrackingService = server.app.state.services.tracking
    monkeypatch.setattr(limits, "SERIES_MOST", 3)
    monkeypatch.setattr(limits, "POINTS_MOST", 60)
    seen: list[Any] = []
    read = rules.read_series

    def note(user: str, query: SeriesQuery, **more: Any) -> Any:
        found = read(user, query, **more)
        seen.append((query.names, sum(len(each.values) for each in found)))
        return found

    monkeypatch.setattr(rules, "read_series", note)
    return seen


def headers(parts: Iterable[bytes]) -> list[dict[str, Any]]:
    """Return what frames say before their columns."""
    return [json.loads(part[4 : 4 + struct.unpack_from("<I", part)[0]]) for part in parts]


def grow(rules: TrackingService, run: RunKey, name: str, count: int, *, journal_id: int = 1, first: int = 0) -> None:
    """Log points to one metric."""
    given = batch(run, journal_id, count, first=first)
    rules.ingest("ann", type(given)(**{**_fields(given), "names": {1: (name,)}}))


def test_a_page_of_a_run_shows_so_many_series_and_points_and_says_how_many_there_are(
    server: TeamServer, run: RunKey, asked: list[Any]
) -> None:
    rules: TrackingService = server.app.state.services.tracking
    state, points = headers(Following(rules, "ann", run).news())
    assert [names for names, _ in asked] == [("a", "b", "c")]
    assert sum(count for _, count in asked) <= 60
    assert sorted(state["run"]["metrics"]) == list("abcde")  # all, for the table of them
    assert [each["name"] for each in points["series"]] == list("abc")
    assert points["total"] == {"logged": 5, "system": 0}
    known = Known(state["mark"], points["order"], [(POINTS, 3)])
    asked.clear()
    assert Following(rules, "ann", run).news(known) == []
    assert asked == []  # nothing came, so that nothing is read
    grow(rules, run, "a", 20, first=POINTS)
    assert headers(Following(rules, "ann", run).news(known))[0]["whole"] is False
    assert asked == [(("a",), 20)]
    asked.clear()
    (all_anew,) = headers(Following(rules, "ann", run).news(Known(state["mark"], points["order"], [(0, 3)])))
    assert all_anew["whole"]  # an overview is shorter
    (all_anew,) = headers(Following(rules, "ann", run).news(Known(state["mark"], points["order"], [(POINTS + 99, 3)])))
    assert all_anew["whole"]  # it holds what is not there


def test_a_page_of_a_run_is_told_the_points_of_a_new_series_and_not_again_those_of_others(
    server: TeamServer, run: RunKey, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rules: TrackingService = server.app.state.services.tracking
    monkeypatch.setattr(limits, "SERIES_MOST", 10)
    state, points = headers(Following(rules, "ann", run).news())
    grow(rules, run, "aa", 20, journal_id=9)
    asked.clear()
    counts = [(each["count"], 1) for each in points["series"]]
    (question,) = headers(Following(rules, "ann", run).news(Known(state["mark"], points["order"], counts)))
    assert question["kind"] == "names"
    assert asked == []
    names = [each["name"] for each in points["series"]]
    (joined,) = headers(Following(rules, "ann", run).news(Known(state["mark"], points["order"], counts, names)))
    assert joined["adds"]
    assert [(each["name"], each["n"] > 0) for each in joined["series"]] == [
        ("a", False), ("aa", True), ("b", False), ("c", False), ("d", False), ("e", False)
    ]  # fmt: skip
    assert [names for names, _ in asked] == [("aa",)]
    after = Known(state["mark"], joined["order"], [(each["count"], 1) for each in joined["series"]])
    assert Following(rules, "ann", run).news(after) == []


def test_what_a_page_asks_of_a_run_is_as_long_as_what_is_new(server: TeamServer, run: RunKey) -> None:
    place = f"/dashboard/projects/{run.project_id}/runs/{run.run_id}/news"
    for counts, words in (
        ([[1, 2, 3]], "is no [count, how often]"),
        ([[-1, 1]], "is no [count, how often]"),
        ([[1, 0]], "is no [count, how often]"),
        ([[1, 10_001]], "1 to 10,000 times"),
        ([[1, 9_000], [2, 9_000]], "a page holds at most 10,000"),
        ([[1, 2]], "1 names and 2 counts"),
    ):
        told = ask(server, "POST", place, server.key("ann"), json={"order": "x", "counts": counts, "names": ["a"]})
        assert told.status_code == 400
        assert words in told.json()["error"]["message"]


def test_curves_of_many_runs_are_coarser_and_too_many_are_refused(
    server: TeamServer, run: RunKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "POINTS_MOST", 200)
    monkeypatch.setattr(feeds, "CURVES_MOST", 15)
    place = f"/dashboard/projects/{run.project_id}/series"
    fine = ask(server, "POST", place, server.key("ann"), json={"runs": [run.run_id] * 3})
    assert fine.status_code == 200
    assert len(fine.content) < 3 * 5 * 16 * 24 + 4000  # 13 points of each, with their heads
    much = ask(server, "POST", place, server.key("ann"), json={"runs": [run.run_id] * 4})
    assert much.status_code == 400
    assert "these 4 runs have 20 curves; at most 15 are shown at once" in much.json()["error"]["message"]
    named = ask(server, "POST", place, server.key("ann"), json={"runs": [run.run_id], "names": ["a"] * 16})
    assert named.status_code == 400
