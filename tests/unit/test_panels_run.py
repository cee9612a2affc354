"""The panel of a run, without a browser: what it sends, answers and displays, and when it stops."""

import asyncio
import itertools
import json
import os
import threading
import time

import ipywidgets
import pytest

import mlfoundry
from mlfoundry_jupyter.panels import RunPanel
from mlfoundry_jupyter.panels import feed as feeds
from mlfoundry_jupyter.panels.asset import asset, compressed
from mlfoundry_jupyter.panels.feed import feed
from mlfoundry_jupyter.panels.panel import Panel
from tests.servers import on_sqlite
from tests.unit import panel_wire
from tests.unit.panel_wire import wait_for
from tests.unit.test_panels_frames import read

wire = panel_wire.wire
client = panel_wire.client
run = panel_wire.run


def kinds(wire, panel):
    return [content["kind"] for content, _ in wire.messages(panel)]


def test_a_panel_sends_the_run_and_its_points_without_being_asked(wire, run):
    panel = RunPanel(run)
    panel.pulse(0.0)
    assert kinds(wire, panel) == ["run", "health", "frame"]
    assert wire.frames(panel)[0][1]["values"].tolist() == [0.5]


def test_every_message_says_when_it_was_sent(wire, run):
    panel = RunPanel(run)
    panel.pulse(0.0)
    assert all(abs(content["at"] - time.time()) < 60 for content, _ in wire.messages(panel))


def test_a_panel_takes_a_run_by_its_id_or_its_full_name(wire, client, run):
    assert RunPanel(run.run_id, client).run.run_id == run.run_id
    assert RunPanel("ann/demo/svm", client).run.run_id == run.run_id


def test_a_run_that_does_not_exist_is_an_error_before_anything_is_shown(wire, client):
    with pytest.raises(mlfoundry.errors.NotFound, match="ann/demo"):
        RunPanel("ann/demo/none", client)
    assert wire.sent == []


def test_what_a_page_asks_is_answered(wire, run):
    panel = RunPanel(run)
    answer, _ = wire.ask(panel, "set_tags", tags={"stage": "tuned"})
    assert (answer["ok"], answer["page"]) == (True, "p")
    assert run.get_tags() == {"stage": "tuned"}
    assert wire.messages(panel, "run")[-1][0]["run"]["tags"] == {"stage": "tuned"}


def test_an_error_is_an_answer_too(wire, run):
    answer, _ = wire.ask(RunPanel(run), "set_tags", tags={"": "x"})
    assert answer["ok"] is False
    assert "tag" in answer["error"]


def test_a_question_that_the_panel_does_not_know_is_answered_with_those_it_knows(wire, run):
    answer, _ = wire.ask(RunPanel(run), "delete_everything")
    assert answer["error"] == (
        "this panel does not know 'delete_everything'; it knows whole, set_tags, set_description"
    )


def test_arguments_that_do_not_fit_are_an_answer_and_no_exception(wire, run):
    answer, _ = wire.ask(RunPanel(run), "set_description", wrong=1)
    assert answer["ok"] is False
    assert "wrong" in answer["error"]


def test_messages_that_are_no_messages_are_ignored(wire, run):
    panel = RunPanel(run)
    for content in (
        {},
        {"kind": None},
        {"kind": "ask"},
        {"kind": "ask", "verb": ["x"], "args": 3},
        {"kind": "visible"},
    ):
        wire.hear(panel, **content)
    assert [answer["ok"] for answer, _ in wire.messages(panel, "answer")] == [False, False]


def test_a_page_that_was_loaded_again_gets_all(wire, run):
    panel = RunPanel(run)
    panel.pulse(0.0)
    wire.forget()
    wire.hear(panel, kind="ready", page="p")
    assert kinds(wire, panel) == ["run", "health", "frame"]
    assert wire.frames(panel)[0][0]["whole"]


def test_nothing_is_sent_while_nobody_looks_and_what_is_new_when_somebody_looks_again(wire, run):
    panel = RunPanel(run)
    panel.pulse(0.0)
    wire.hear(panel, kind="visible", page="p", **{"is": False})
    wire.forget()
    run.log_metrics({"loss": 0.25}, step=1)
    run.flush()
    panel.pulse(5.0)
    assert wire.sent == []
    now_s = time.monotonic()
    panel._following._whole_at_s = now_s + 60
    wire.hear(panel, kind="visible", page="p", **{"is": True})
    header, columns = wire.frames(panel)[-1]
    assert (header["whole"], columns["since"].tolist(), columns["values"].tolist()) == (False, [1], [0.25])


def test_the_end_of_a_cell_tells_what_has_changed_at_once(wire, run):
    panel = RunPanel(run)
    panel._display_ids = ["here"]
    panel.pulse(time.monotonic())
    wire.forget()
    run.set_tags({"stage": "tuned"})
    run.flush()
    panel.settle()
    assert wire.messages(panel, "run")[-1][0]["run"]["tags"] == {"stage": "tuned"}


def test_one_page_that_looks_is_enough(wire, run):
    panel = RunPanel(run)
    for page, is_seen in (("p", True), ("q", False)):
        wire.hear(panel, kind="visible", page=page, **{"is": is_seen})
    assert panel.is_seen


def test_the_end_of_a_run_is_told_and_ends_the_feeding(wire, run):
    panel = RunPanel(run)
    panel.pulse(0.0)
    assert panel in feed()._panels
    run.end("FAILED")
    panel.pulse(0.5)
    assert kinds(wire, panel)[-1] == "ended"
    assert panel not in feed()._panels
    wire.forget()
    wire.hear(panel, kind="ready", page="p")
    assert kinds(wire, panel)[-1] == "ended"


def test_the_last_picture_is_left_by_a_cell_as_well_for_what_a_thread_displays_may_be_lost(wire, run, monkeypatch):
    left = []
    monkeypatch.setattr("IPython.display.update_display", lambda bundle, **_: left.append(bundle["text/plain"]))
    panel = RunPanel(run)
    panel._display_ids = ["here"]
    run.end()
    panel.pulse(0.0)
    assert [text.partition(" ")[0] for text in left] == ["✓"]
    assert panel not in feed()._panels
    feed()._cell_has_ended(None)
    assert [text.partition(" ")[0] for text in left] == ["✓", "✓"]
    feed()._cell_has_ended(None)
    assert len(left) == 2


def test_the_end_of_a_cell_does_not_wait_for_a_server_that_does_not_answer(wire, servers, home, monkeypatch):
    left, asked, goes_on = [], threading.Event(), threading.Event()
    monkeypatch.setattr(feeds, "SETTLE_S", 0.2)
    monkeypatch.setattr("IPython.display.update_display", lambda bundle, **_: left.append(bundle["text/plain"]))
    server = on_sqlite(servers, home / "server")
    with mlfoundry.get_client(server.address, api_key=server.key("ann")) as client:
        run = client.create_run("demo", "svm", log_system_metrics=False, capture=False)
        run.flush()
        panel = RunPanel(run.run_id, client)
        panel._display_ids = ["here"]
        inner = servers._apps[server.name]

        async def hangs(scope, receive, send):
            asked.set()
            while not goes_on.is_set():
                await asyncio.sleep(0.01)
            await inner(scope, receive, send)

        servers._apps[server.name] = hangs
        took_s = []
        for _ in range(3):
            began = time.monotonic()
            feed()._cell_has_ended(None)
            took_s.append(time.monotonic() - began)
        assert asked.is_set()
        assert took_s[0] >= 0.2
        assert max(took_s[1:]) < 0.2  # nothing is expected of it any more
        assert left == []
        goes_on.set()
        wait_for(lambda: left)
        wait_for(lambda: feed()._awaited.settled.is_set() and not feed()._cell_ends)
        servers._apps[server.name] = inner
        run.end()
        monkeypatch.setattr(feeds, "SETTLE_S", 20.0)
        feed()._cell_has_ended(None)
        signs = [text.partition(" ")[0] for text in left]
        assert [sign for sign, _ in itertools.groupby(signs)] == ["●", "✓"]  # a slow picture is drawn once more
    server.close()


def is_open(panel):
    return panel.comm is not None and panel in ipywidgets.widgets.widget._instances.values()


def test_a_panel_whose_output_is_replaced_rests_when_no_page_shows_it_and_wakes_when_it_is_shown_again(wire, run):
    panel = RunPanel(run)
    name = panel.model_id
    wire.hear(panel, kind="visible", page="p", **{"is": True, "stands": True})
    panel.replaced()
    assert is_open(panel)  # a copy of the output still stands in a page
    wire.hear(panel, kind="visible", page="p", **{"is": False, "stands": False})
    assert not is_open(panel)
    assert panel not in feed()._panels
    wire.forget()
    panel.show()
    assert is_open(panel)
    assert panel in feed()._panels
    assert [(owner, kind) for owner, kind, _, _ in wire.sent][:1] == [(name, "comm_open")]
    wire.hear(panel, kind="ready", page="p")
    assert kinds(wire, panel) == ["run", "health", "frame"]


def test_a_page_that_took_the_place_of_another_says_for_it_that_it_is_gone(wire, run):
    panel = RunPanel(run)
    wire.hear(panel, kind="visible", page="p", **{"is": True, "stands": True})
    panel.replaced()
    wire.hear(panel, kind="visible", page="q", before="p", **{"is": True, "stands": True})
    assert is_open(panel)
    wire.hear(panel, kind="visible", page="q", before="p", **{"is": False, "stands": False})
    assert not is_open(panel)


def test_a_panel_in_a_layout_never_rests_and_one_that_is_put_into_one_wakes(wire, run):
    within, alone = RunPanel(run), RunPanel(run)
    wire.hear(within, kind="visible", page="p", **{"is": False, "stands": False, "within": True})
    within.replaced()
    assert is_open(within)
    alone.replaced()  # no page has ever shown it
    assert not is_open(alone)
    ipywidgets.VBox([alone])
    assert is_open(alone)
    alone.close()
    assert not is_open(alone)


def test_an_execution_tells_the_panels_of_the_one_before_and_no_others(wire, run, monkeypatch):
    place = ["cell", "first"]
    monkeypatch.setattr("mlfoundry_jupyter.panels.outputs._place", lambda: tuple(place))
    twice, once, again = RunPanel(run), RunPanel(run), RunPanel(run)
    for panel in (twice, once, again):
        panel.show()
    place[:] = ["other", "second"]
    twice.show()
    place[:] = ["cell", "third"]
    again.show()
    assert [is_open(panel) for panel in (twice, once, again)] == [True, False, True]


def test_a_panel_that_leaves_something_to_be_written_cannot_be_made(wire):
    class Half(Panel):
        def subject(self):
            return "half"

    with pytest.raises(TypeError, match="abstract method"):
        Half()
    assert wire.sent == []


def test_the_output_holds_the_picture_and_no_widget(wire, run):
    panel = RunPanel(run)
    bundle = panel._repr_mimebundle_()
    assert sorted(bundle) == ["text/html", "text/plain"]
    assert f'class="mlfoundry-mount mlfoundry-mount-{panel.model_id} mlfoundry-picture-0"' in bundle["text/html"]
    assert "svm" in bundle["text/html"]
    assert bundle["text/plain"].startswith("● running  ann/demo/svm")


def test_the_output_is_a_widget_where_that_is_wished(wire, run, monkeypatch):
    monkeypatch.setenv("MLFOUNDRY_PANEL_VIEW", "widget")
    panel = RunPanel(run)
    view = panel._repr_mimebundle_()["application/vnd.jupyter.widget-view+json"]
    assert view["model_id"] == panel.model_id


def test_a_closed_panel_is_still_a_picture_and_hears_nothing(wire, run):
    panel = RunPanel(run)
    panel.close()
    panel.close()
    panel.pulse(0.0)
    assert "svm" in panel._repr_mimebundle_()["text/html"]
    assert panel not in feed()._panels


def test_the_state_that_a_notebook_could_save_is_small(wire, run):
    panel = RunPanel(run)
    panel.pulse(0.0)
    wait_for(lambda: asset().is_sent)
    states = [data["state"] for _, kind, data, _ in wire.sent if kind == "comm_open"]
    assert len(json.dumps(states)) < 50_000


def test_the_asset_is_sent_once_for_all_panels_and_again_when_a_page_asks(wire, run):
    first, second = RunPanel(run), RunPanel(run)
    assert first._asset_id == second._asset_id == asset().model_id
    wait_for(lambda: asset().is_sent)
    sent = [data["content"] for owner, _, data, _ in wire.sent if owner == asset().model_id and "content" in data]
    assert sent == [{"kind": "asset"}]
    asset()._handle_msg({"content": {"data": {"method": "custom", "content": {"ask": "asset"}}}, "buffers": []})
    assert len([1 for owner, _, data, _ in wire.sent if owner == asset().model_id and "content" in data]) == 2


def test_the_asset_holds_every_module_the_style_and_plotly():
    import gzip

    _, columns = read(gzip.decompress(compressed()))
    assert {"run_view.js", "runs_view.js", "style.css", "plotly"} <= set(columns)
    assert b"plotly.js" in columns["plotly"].tobytes()[:100]
    assert len(compressed()) < 2_000_000


def test_state_is_observed_like_that_of_any_widget(wire, run):
    panel = RunPanel(run, paused=True)
    seen = []
    panel.observe(lambda change: seen.append(change.new), "smoothing")
    panel._handle_msg({"content": {"data": {"method": "update", "state": {"smoothing": 0.6}}}, "buffers": []})
    assert seen == [0.6]
    assert panel.paused


def test_questions_of_several_threads_are_answered_one_after_another(wire, run):
    panel = RunPanel(run)

    def ask(number):
        wire.hear(panel, kind="ask", page="p", id=number, verb="set_tags", args={"tags": {f"t{number}": "x"}})

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answers = wire.messages(panel, "answer")
    assert sorted(answer["id"] for answer, _ in answers) == list(range(8))
    assert all(answer["ok"] for answer, _ in answers)
    assert set(run.get_tags()) == {f"t{number}" for number in range(8)}


def test_the_feed_brings_what_is_new_by_itself_and_its_thread_ends_with_the_last_panel(wire, run, monkeypatch):
    monkeypatch.setattr("mlfoundry_jupyter.panels.feed.FIRST_S", 0.01)
    monkeypatch.setattr("mlfoundry_jupyter.panels.feed.INTERVAL_S", 0.05)
    panel = RunPanel(run)
    wait_for(lambda: wire.frames(panel))
    run.log_metrics({"loss": 0.125}, step=1)
    run.flush()
    wait_for(lambda: any(0.125 in columns["values"] for _, columns in wire.frames(panel)))
    panel.close()
    wait_for(lambda: not [each for each in threading.enumerate() if each.name == "mlfoundry-panels"])


def test_whatever_goes_wrong_in_the_feed_reaches_nobody(wire, run, monkeypatch, caplog):
    monkeypatch.setattr("mlfoundry_jupyter.panels.feed.FIRST_S", 0.01)
    monkeypatch.setattr("mlfoundry_jupyter.panels.feed.INTERVAL_S", 0.02)
    before = feed().failures
    broken, sound = RunPanel(run), RunPanel(run)
    monkeypatch.setattr(broken, "pulse", lambda now_s: 1 / 0)
    wait_for(lambda: feed().failures > before and wire.frames(sound))
    assert [record for record in caplog.records if record.levelname != "DEBUG"] == []


def test_a_panel_costs_nothing_once_its_run_has_ended(wire, client):
    with client.create_run("demo", "short", capture=False) as run:
        run.log_metrics({"loss": 0.5})
    panel = RunPanel(run)
    panel.pulse(0.0)
    assert feed()._panels == []
    assert kinds(wire, panel)[-1] == "ended"


def test_a_store_that_cannot_be_read_is_said_in_the_output_and_not_raised(wire, client, run, monkeypatch):
    panel = RunPanel(client.get_run(run.run_id))

    def fails(*_):
        raise mlfoundry.errors.BackendUnavailable("the store cannot be reached <now>")

    monkeypatch.setattr(client.backend, "get_run", fails)
    bundle = panel._repr_mimebundle_()
    assert bundle["text/plain"] == "the store cannot be reached <now>"
    assert "&lt;now&gt;" in bundle["text/html"]


def test_a_widget_that_the_collector_ends_in_the_feeds_own_thread_blocks_nobody(wire, run, monkeypatch):
    first = RunPanel(run)
    first.close()
    wait_for(lambda: feed()._thread is None)
    begun = threading.Thread._bootstrap_inner

    def collects_first(thread):
        first.close()  # as a widget's __del__ does
        begun(thread)

    monkeypatch.setattr(threading.Thread, "_bootstrap_inner", collects_first)
    adding = threading.Thread(target=RunPanel, args=(run,), daemon=True)
    adding.start()
    adding.join(10)
    assert not adding.is_alive()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_neither_feeds_nor_closes_the_panels_of_its_parent(wire, run):
    panel = RunPanel(run)
    wire.forget()
    with feed()._changed:  # as if the feed were at work in the moment of the fork
        child = os.fork()
        if not child:
            panel.close()
            feed().remove(panel)
            os._exit(0 if not wire.sent and feed()._panels == [] else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert panel in feed()._panels
