"""The picture in a notebook's file while a cell runs: when it is renewed, and what it costs at most."""

import itertools

import pytest

import mlfoundry
from mlfoundry_jupyter.panels import RunPanel
from mlfoundry_jupyter.panels import run as run_panels
from mlfoundry_jupyter.panels.renewal import RAREST_S, SHARE, Renewal
from tests.unit import panel_wire

wire = panel_wire.wire
client = panel_wire.client
run = panel_wire.run


def drawn_at(renewal, seconds, cell, *, cpu_s=0.0):
    """Look once a second, as the feed does; return when it was due."""
    times = []
    for now_s in seconds:
        if renewal.is_due(float(now_s), cell):
            renewal.drawn(float(now_s), cpu_s)
            times.append(now_s)
    return times


def test_a_picture_is_renewed_soon_then_ever_more_rarely_but_at_least_once_a_minute():
    times = drawn_at(Renewal(), range(100, 700), "cell")
    assert [at - 100 for at in times[:4]] == [3, 9, 27, 81]
    assert {after - before for before, after in itertools.pairwise(times[3:])} == {RAREST_S}


def test_between_cells_nothing_is_renewed_and_the_next_cell_begins_anew():
    renewal = Renewal()
    assert drawn_at(renewal, range(10), "cell") == [3, 9]
    assert renewal.is_due_at_end(10.0)
    renewal.drawn(10.0, 0.0)
    assert drawn_at(renewal, range(11, 600), None) == []
    assert drawn_at(renewal, range(600, 605), "another") == [603]


def test_what_is_dear_to_draw_is_drawn_rarely():
    times = drawn_at(Renewal(), range(3600), "cell", cpu_s=0.5)
    assert len(times) * 0.5 <= 3600 * SHARE + 0.5
    assert len(times) > 20


def test_the_end_of_a_cell_soon_after_another_is_drawn_at_once_or_where_that_is_dear_a_little_later():
    renewal = Renewal()
    renewal.drawn(0.0, 0.04)
    assert renewal.is_due_at_end(1.0)
    renewal.drawn(1.0, 0.1)
    assert not renewal.is_due_at_end(2.0)
    assert drawn_at(renewal, range(3, 60), None) == [21]


@pytest.fixture
def left(monkeypatch):
    """What was displayed in place of pictures, as text; a cell is executed meanwhile."""
    left = []
    monkeypatch.setattr("IPython.display.update_display", lambda bundle, **_: left.append(bundle["text/plain"]))
    monkeypatch.setattr(run_panels, "executed_cell", lambda: "cell")
    return left


def shown(run):
    panel = RunPanel(run)
    panel._display_ids = ["here"]
    return panel


def test_a_long_cell_tells_in_the_file_how_far_its_run_has_come(wire, run, left):
    panel = shown(run)
    for now_s in range(9):
        panel.pulse(float(now_s))
    run.log_metrics({"loss": 0.125}, step=7)
    run.flush()
    panel.pulse(9.0)
    assert len(left) == 2
    assert "0.125" not in left[0]
    assert "0.125" in left[1]
    assert all(text.startswith("● running") for text in left)


def test_a_page_that_does_not_look_saves_the_picture_all_the_same_and_a_page_that_is_gone_does_not(wire, run, left):
    panel = shown(run)
    wire.hear(panel, kind="visible", page="p", **{"is": False, "stands": True})
    wire.forget()
    for now_s in range(4):
        panel.pulse(float(now_s))
    assert len(left) == 1
    assert [data["state"] for _, _, data, _ in wire.sent] == [{"_picture": 1}]  # that there is a newer one
    wire.hear(panel, kind="visible", page="p", **{"is": False, "stands": False})
    for now_s in range(4, 600):
        panel.pulse(float(now_s))
    assert len(left) == 1


def test_the_only_page_that_holds_a_picture_is_given_the_newest_to_save_and_none_of_several(wire, run, left):
    panel = shown(run)
    wire.hear(panel, kind="visible", page="p", **{"is": True, "stands": True})
    panel.renew_picture()
    answer, _ = wire.ask(panel, "picture")
    assert f"mlfoundry-mount-{panel.model_id} mlfoundry-picture-1" in answer["value"]["text/html"]
    assert answer["value"]["text/plain"].startswith("● running")
    wire.hear(panel, kind="visible", page="q", **{"is": False, "stands": True})
    answer, _ = wire.ask(panel, "picture")
    assert (answer["ok"], answer["value"]) == (True, None)


def test_a_panel_that_no_output_holds_draws_nothing(wire, run, left):
    panel = RunPanel(run)
    for now_s in range(4):
        panel.pulse(float(now_s))
    assert left == []


def test_a_picture_is_kept_when_the_store_cannot_be_read_for_a_newer_one(wire, client, run, left, monkeypatch):
    panel = shown(client.get_run(run.run_id))
    panel.pulse(0.0)
    wire.hear(panel, kind="visible", page="p", **{"is": False, "stands": True})
    panel.pulse(3.0)

    def fails(*_):
        raise mlfoundry.errors.BackendUnavailable("the store cannot be reached")

    with monkeypatch.context() as broken:
        broken.setattr(client.backend, "read_series", fails)
        with pytest.raises(mlfoundry.errors.BackendUnavailable):
            panel.pulse(9.0)
    panel.pulse(27.0)
    assert len(left) == 2
    assert all(text.startswith("● running") for text in left)


def test_each_end_of_a_cell_is_told_also_of_a_run_that_goes_on(wire, run, left, monkeypatch):
    monkeypatch.setattr(run_panels, "executed_cell", lambda: None)
    panel = shown(run)
    panel.settle()
    run.log_metrics({"loss": 0.0625}, step=1)
    run.flush()
    panel.settle()
    assert len(left) == 2
    assert "0.0625" in left[1]
