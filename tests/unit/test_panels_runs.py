"""The panels of runs, collaborators and projects, without a browser: what they send and what they answer."""

import warnings
from pathlib import Path

import pytest
import traitlets

import mlfoundry
from mlfoundry.panels import runs_table
from mlfoundry_jupyter.panels import CollaboratorsPanel, ProjectsPanel, RunsPanel
from mlfoundry_jupyter.panels import listing as listings
from tests.unit import panel_wire
from tests.unit.test_panels_frames import read, table

wire = panel_wire.wire


@pytest.fixture
def client(tmp_path):
    return mlfoundry.get_client(tmp_path, user="ann")


def make(client, name, *, project="demo", end=True, **metrics):
    run = client.create_run(project, name, log_system_metrics=False, capture=False)
    run.log_params({"lr": 0.1})
    run.log_metrics(metrics or {"loss": 0.5}, step=0)
    if end:
        run.end()
    else:
        run.flush()
    return run


@pytest.fixture
def runs(client):
    return [make(client, name, loss=loss) for name, loss in (("a", 0.3), ("b", 0.1), ("c", 0.2))]


def names(wire, panel):
    return [[row["name"] for row in table(buffers[0])] for content, buffers in wire.messages(panel, "frame")]


def test_all_runs_are_sent_newest_first_without_being_asked(wire, client, runs):
    panel = RunsPanel("demo", client)
    panel.pulse(0.0)
    assert names(wire, panel) == [["c", "b", "a"]]
    header, _ = wire.frames(panel)[0]
    assert (header["total"], header["offset"], header["whole"], header["paged"]) == (3, 0, True, False)
    assert header["project"]["owner"] == "ann"


def test_the_first_screen_comes_before_the_rest(wire, client, runs, monkeypatch):
    monkeypatch.setattr(listings, "FIRST", 1)
    panel = RunsPanel("demo", client)
    panel.pulse(0.0)
    assert names(wire, panel) == [["c"], ["b", "a"]]
    assert [header["offset"] for header, _ in wire.frames(panel)] == [0, 1]


def test_of_more_runs_than_a_page_holds_the_rest_is_fetched_by_place(wire, client, runs, monkeypatch):
    monkeypatch.setattr(runs_table, "WHOLE_MOST", 2)
    panel = RunsPanel("demo", client)
    panel.pulse(0.0)
    header, _ = wire.frames(panel)[0]
    assert (header["paged"], header["total"]) == (True, 3)
    assert sum(map(len, names(wire, panel))) == 2
    _, [(header, _)] = wire.ask(panel, "page", order_by="metrics.loss", offset=1)
    assert header["offset"] == 1
    rows = table(wire.messages(panel, "answer")[-1][1][0])
    assert [row["name"] for row in rows] == ["c", "a"]


@pytest.mark.parametrize(("away_s", "told"), [(20.0, [["d"]]), (600.0, [["d", "c", "b", "a"]])])
def test_who_looks_again_gets_what_has_changed_and_after_long_everything(wire, client, runs, away_s, told):
    panel = RunsPanel("demo", client)
    panel.pulse(0.0)
    wire.hear(panel, kind="visible", page="p", **{"is": False})
    wire.forget()
    make(client, "d", loss=0.4)
    panel.pulse(10.0)
    assert wire.sent == []
    panel._unseen_since_s -= away_s
    wire.hear(panel, kind="visible", page="p", **{"is": True})
    assert names(wire, panel) == told


def test_nothing_is_sent_while_nothing_changes(wire, client, runs):
    panel = RunsPanel("demo", client)
    panel.pulse(0.0)
    wire.forget()
    panel.pulse(10.0)
    assert wire.sent == []


def test_a_new_run_and_what_a_running_one_logs_are_sent_alone(wire, client, runs):
    panel = RunsPanel("demo", client)
    panel.pulse(0.0)
    with client.create_run("demo", "live", log_system_metrics=False, capture=False) as run:
        wire.forget()
        panel.pulse(10.0)
        assert names(wire, panel) == [["live"]]
        run.log_metrics({"loss": 0.25})
        run.flush()
        wire.forget()
        panel.pulse(20.0)
        assert names(wire, panel) == [["live"]]
        wire.forget()
        panel.pulse(30.0)
        assert wire.sent == []
    panel.pulse(40.0)
    last = table(wire.messages(panel, "frame")[-1][1][0])
    assert [(row["name"], row["status"]) for row in last] == [("live", "FINISHED")]


def test_a_running_run_whose_last_value_is_nan_is_sent_once(wire, client, runs):
    live = make(client, "live", end=False, loss=float("nan"))
    panel = RunsPanel("demo", client)
    panel.pulse(0.0)
    assert names(wire, panel) == [["live", "c", "b", "a"]]
    wire.forget()
    panel.pulse(10.0)
    assert wire.sent == []
    live.end()


def test_runs_that_somebody_else_deleted_are_missed(wire, client, runs):
    panel = RunsPanel("demo", client)
    panel.pulse(0.0)
    runs[1].delete()
    wire.forget()
    panel.pulse(10.0)
    assert names(wire, panel) == [["c", "a"]]
    assert wire.frames(panel)[0][0]["whole"]


def test_a_filter_is_answered_with_the_runs_that_match(wire, client, runs):
    panel = RunsPanel("demo", client)
    answer, _ = wire.ask(panel, "search", filter="metrics.loss < 0.25")
    assert set(answer["value"]) == {runs[1].run_id, runs[2].run_id}


def test_a_filter_that_is_not_understood_is_answered_with_the_place(wire, client, runs):
    answer, _ = wire.ask(RunsPanel("demo", client), "search", filter="metrics.loss < < 1")
    assert answer["ok"] is False
    assert answer["details"] == {"position": 15, "length": 1}
    assert "^" not in answer["error"]


def test_series_come_as_a_frame_a_run(wire, client, runs):
    panel = RunsPanel("demo", client)
    _, found = wire.ask(panel, "series", runs=[runs[0].run_id, runs[1].run_id], names=None, max_points=100)
    assert [header["run"] for header, _ in found] == [runs[0].run_id, runs[1].run_id]
    assert [columns["values"].tolist() for _, columns in found] == [[0.3], [0.1]]


def test_details_are_whole_snapshots(wire, client, runs):
    answer, _ = wire.ask(RunsPanel("demo", client), "runs_detail", runs=[runs[0].run_id])
    assert answer["value"][0]["fqn"] == "ann/demo/a"
    assert answer["value"][0]["may_admin"] is True


def test_tags_and_descriptions_are_edited_and_shown(wire, client, runs):
    panel = RunsPanel("demo", client)
    panel.pulse(0.0)
    wire.forget()
    assert wire.ask(panel, "set_tags", run=runs[0].run_id, tags={"stage": "best"})[0]["ok"]
    assert wire.ask(panel, "set_description", run=runs[0].run_id, text="the <b>best</b>")[0]["ok"]
    row = table(wire.messages(panel, "frame")[-1][1][0])[0]
    assert (row["name"], row["tags.stage"], row["description"]) == ("a", "best", "the <b>best</b>")


def test_deleted_runs_go_from_table_and_selection_and_can_be_restored(wire, client, runs):
    panel = RunsPanel("demo", client, selected=[runs[0].run_id, runs[1].run_id])
    panel.pulse(0.0)
    wire.forget()
    answer, _ = wire.ask(panel, "delete", runs=[runs[0].run_id])
    assert answer["value"] == [runs[0].run_id]
    header, _ = wire.frames(panel)[-1]
    assert (header["gone"], header["total"]) == ([runs[0].run_id], 2)
    assert panel.selected == [runs[1].run_id]
    assert wire.ask(panel, "restore", runs=[runs[0].run_id])[0]["ok"]
    assert {run.run_name for run in client.list_runs("demo")} == {"a", "b", "c"}
    wire.forget()
    panel.pulse(10.0)
    assert wire.frames(panel) == []  # the table knows already


def test_of_runs_of_which_one_cannot_be_deleted_the_others_are_gone_and_it_is_said(wire, client, runs):
    panel = RunsPanel("demo", client)
    answer, _ = wire.ask(panel, "delete", runs=[runs[0].run_id, "f" * 32])
    assert answer["ok"] is False
    assert "f" * 32 in answer["error"]
    assert wire.frames(panel)[-1][0]["gone"] == [runs[0].run_id]


def test_the_selection_is_a_trait_and_gives_runs(wire, client, runs):
    panel = RunsPanel("demo", client)
    seen = []
    panel.observe(lambda change: seen.append(change.new), "selected")
    state = {"selected": [runs[1].run_id]}
    panel._handle_msg({"content": {"data": {"method": "update", "state": state}}, "buffers": []})
    assert seen == [[runs[1].run_id]]
    assert [run.run_name for run in panel.selected_runs] == ["b"]


def test_a_selection_of_something_else_than_ids_is_refused(wire, client, runs):
    panel = RunsPanel("demo", client)
    with pytest.raises(traitlets.TraitError, match=r"selected takes run ids, .*\(run.run_id\), not 'nope'"):
        panel.selected = [runs[0].run_id, "nope"]
    assert panel.selected == []


def test_an_order_that_is_none_is_refused_with_the_place(wire, client, runs):
    panel = RunsPanel("demo", client, order_by="loss")
    with pytest.raises(traitlets.TraitError, match="loss downwards"):
        panel.order_by = "loss downwards"
    assert panel.order_by == "loss"


def test_an_order_by_a_name_that_no_run_has_is_warned_about(wire, client, runs):
    panel = RunsPanel("demo", client)
    for order in ("lossy desc", "metrics.lossy"):
        with pytest.warns(UserWarning, match=r"order_by: [^.]*lossy[\s\S]*loss"):
            panel.order_by = order
    panel.order_by = "metrics.loss desc"
    panel.order_by = ""


def test_a_warning_of_an_order_points_at_the_line_that_asked_for_it(wire, client, runs):
    panel = RunsPanel("demo", client)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        panel.order_by = "lossy desc"  # 1
        panel.set_trait("order_by", "metrics.lossy")  # 2
        with panel.hold_trait_notifications():  # 3
            panel.order_by = "lossy asc"
        RunsPanel("demo", client, order_by="lossy")  # 4
    assert {Path(each.filename) for each in warned} == {Path(__file__)}
    lines = Path(__file__).read_text().splitlines()
    assert [lines[each.lineno - 1].rpartition("# ")[2] for each in warned] == ["1", "2", "3", "4"]


def test_the_picture_shows_what_the_filter_and_the_order_say(wire, client, runs):
    panel = RunsPanel("demo", client, filter="metrics.loss < 0.25", order_by="metrics.loss asc")
    text = panel._repr_mimebundle_()["text/plain"].splitlines()
    assert text[0] == "ann/demo: 2 runs where metrics.loss < 0.25"
    assert [line.split()[2] for line in text[3:]] == ["b", "c"]


def test_a_filter_that_is_being_written_does_not_spoil_the_picture(wire, client, runs):
    assert (
        RunsPanel("demo", client, filter="metrics.loss <")
        ._repr_mimebundle_()["text/plain"]
        .startswith("ann/demo: 3 runs")
    )


def test_a_project_without_runs_says_how_to_make_one(wire, client, runs):
    for run in runs:
        run.delete()
    panel = RunsPanel("demo", client)
    panel.pulse(0.0)
    assert wire.frames(panel)[0][0]["total"] == 0
    assert "client.create_run('demo')" in panel._repr_mimebundle_()["text/plain"]


def test_a_project_that_is_not_there_is_an_error_at_once(wire, client):
    with pytest.raises(mlfoundry.errors.ProjectNotFound, match="none"):
        RunsPanel("none", client)


# -- collaborators -------------------------------------------------------------------------------


def people(wire, panel):
    return {each["user"]: each["permission"] for each in wire.messages(panel, "people")[-1][0]["people"]}


def test_collaborators_are_sent_added_changed_and_removed(wire, client, runs):
    panel = CollaboratorsPanel("demo", client)
    panel.pulse(0.0)
    assert people(wire, panel) == {"ann": "ADMIN"}
    wire.ask(panel, "add", user="bob", permission="READ")
    assert people(wire, panel) == {"ann": "ADMIN", "bob": "READ"}
    wire.ask(panel, "change", user="bob", permission="WRITE")
    assert people(wire, panel) == {"ann": "ADMIN", "bob": "WRITE"}
    answer, _ = wire.ask(panel, "remove", user="bob")
    assert people(wire, panel) == {"ann": "ADMIN"}
    assert [each["user"] for each in answer["value"]["people"]] == ["ann"]
    assert answer["value"]["me"] == "ann"


@pytest.mark.parametrize(
    ("verb", "args", "told"),
    [
        ("add", {"user": "ann", "permission": "READ"}, "ann"),
        ("change", {"user": "carl", "permission": "READ"}, "carl"),
        ("remove", {"user": "ann"}, "ann"),
        ("add", {"user": "bob", "permission": "GOD"}, "READ, WRITE, ADMIN"),
    ],
)
def test_a_change_that_cannot_be_made_is_answered_with_the_reason(wire, client, runs, verb, args, told):
    answer, _ = wire.ask(CollaboratorsPanel("demo", client), verb, **args)
    assert answer["ok"] is False
    assert told in answer["error"]


def test_who_is_no_admin_sees_the_list_and_is_refused_a_change(wire, client, runs, tmp_path):
    client.add_collaborator("demo", "bob", "WRITE")
    panel = CollaboratorsPanel("ann/demo", mlfoundry.get_client(tmp_path, user="bob"))
    panel.pulse(0.0)
    told = wire.messages(panel, "people")[-1][0]
    assert (told["project"]["permission"], told["me"]) == ("WRITE", "bob")
    assert "ADMIN" in wire.ask(panel, "add", user="carl", permission="READ")[0]["error"]


def test_a_change_that_somebody_else_made_is_seen(wire, client, runs):
    panel = CollaboratorsPanel("demo", client)
    panel.pulse(0.0)
    client.add_collaborator("demo", "bob", "READ")
    panel.pulse(60.0)
    assert people(wire, panel) == {"ann": "ADMIN", "bob": "READ"}
    wire.forget()
    panel.pulse(120.0)
    assert wire.sent == []


def test_the_picture_of_collaborators_names_them(wire, client, runs):
    bundle = CollaboratorsPanel("demo", client)._repr_mimebundle_()
    assert bundle["text/plain"].splitlines()[0] == "ann/demo"
    assert "ADMIN" in bundle["text/plain"]
    assert "ADMIN" in bundle["text/html"]


# -- projects ------------------------------------------------------------------------------------


def test_projects_are_sent_with_their_counts_and_one_is_opened(wire, client, runs):
    make(client, "x", project="other")
    panel = ProjectsPanel(client)
    panel.pulse(0.0)
    told = wire.messages(panel, "projects")[-1][0]["projects"]
    assert {each["name"]: each["run_count"] for each in told} == {"demo": 3, "other": 1}
    assert [each["name"] for each in wire.ask(panel, "list")[0]["value"]] == [each["name"] for each in told]
    assert wire.ask(panel, "open", owner="ann", name="other")[0]["value"]["name"] == "other"
    assert panel.opened == "ann/other"
    assert "no project" in wire.ask(panel, "open", owner="ann", name="none")[0]["error"].lower()


def test_the_picture_of_projects_is_their_list(wire, client, runs):
    assert "ann/demo" in ProjectsPanel(client)._repr_mimebundle_()["text/plain"]


def test_frames_of_runs_read_back(wire, client, runs):
    panel = RunsPanel("demo", client)
    panel.pulse(0.0)
    header, columns = read(wire.messages(panel, "frame")[0][1][0])
    assert len(columns["run_id"]) == 3
    assert "metrics.loss" in header["names"]
