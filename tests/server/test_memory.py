"""No answer takes any amount of memory: points beyond a limit are refused, thinned, or asked for in stretches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlfoundry.errors import TooLarge
from mlfoundry.panels import limits
from mlfoundry.records import RunKey, SeriesQuery
from mlfoundry.server.dashboard import feeds
from mlfoundry.server.dashboard.following import Following
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


def test_a_page_of_a_run_shows_so_many_series_and_points_and_no_more(
    server: TeamServer, run: RunKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules: TrackingService = server.app.state.services.tracking
    monkeypatch.setattr(limits, "SERIES_MOST", 3)
    monkeypatch.setattr(limits, "POINTS_MOST", 60)
    asked: list[Any] = []
    read = rules.read_series

    def note(user: str, query: SeriesQuery, **more: Any) -> Any:
        found = read(user, query, **more)
        asked.append((query.names, sum(len(each.values) for each in found)))
        return found

    monkeypatch.setattr(rules, "read_series", note)
    page = Following(rules, "ann", run)
    page.news("", [])
    assert [names for names, _ in asked] == [("a", "b", "c"), ()]
    assert sum(count for _, count in asked) <= 60
    assert b'"left_out":2' in page.whole_points()
    known = [(name, POINTS) for name in "abc"]
    asked.clear()
    assert page._new_points(known) == b""
    assert asked == []  # nothing came, so that nothing is read
    given = batch(run, 1, 20, first=POINTS)
    rules.ingest("ann", type(given)(**{**_fields(given), "names": {1: ("a",)}}))
    assert page._new_points(known)
    assert asked == [(("a",), 20)]
    asked.clear()
    assert page._new_points([(name, 0) for name in "abc"]) is None  # an overview is shorter
    assert page._new_points([("a", POINTS), ("b", POINTS)]) is None  # one is new
    assert asked == []


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
