"""What the command line says to a slip: of a project, a run, a metric, a command, or the place of the store."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

import mlfoundry
from mlfoundry import results
from mlfoundry.cli import main


@pytest.fixture(autouse=True)
def _nothing_said_yet(monkeypatch):
    monkeypatch.setattr(results, "_hinted", set())


@pytest.fixture
def client(home):
    """One run with a name of each kind."""
    client = mlfoundry.get_client(home, user="ann")
    with client.create_run(
        "iris", "svm-model", log_system_metrics=False, capture=False, tags={"stage": "final"}
    ) as run:
        run.log_params({"model": "svm"})
        run.log_metrics({"loss": 0.5, "val/accuracy": 0.9})
    return client


@pytest.fixture
def cli(home):
    def call(*args, code=0):
        result = CliRunner().invoke(main, ["--user", "ann", *args])
        assert result.exit_code == code, result.output
        return result

    return call


# -- filters, orders and columns -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "text", "unknown", "meant"),
    [
        ("--filter", "metrics.lss < 1", "metric 'lss'", "metrics.loss"),
        ("--filter", "params.modle = 'svm'", "param 'modle'", "params.model"),
        ("--filter", "tags.Stage = 'final' or not metrics.loss < 1", "tag 'Stage'", "tags.stage"),
        ("--filter", "metrics.accuracy > 0.5", "metric 'accuracy'", "metrics.val/accuracy"),
        ("--filter", "metrics.model = 1", "metric 'model'", "params.model"),
        ("--filter", "params.modl is null", "param 'modl'", "params.model"),
        ("--order", "metrics.lss", "metric 'lss'", "metrics.loss"),
        ("--columns", "run_name, metrics.lss", "metric 'lss'", "metrics.loss"),
    ],
)
def test_an_unknown_name_is_a_warning_that_names_what_was_perhaps_meant(client, cli, option, text, unknown, meant):
    result = cli("runs", "iris", option, text)
    assert result.stderr == f"Warning: no run of ann/iris has a {unknown}; did you mean {meant}?\n"


def test_with_json_the_warning_is_on_stderr_and_the_data_as_ever(client, cli):
    result = cli("runs", "iris", "--filter", "metrics.lss < 1", "--json")
    assert json.loads(result.stdout) == {"runs": [], "more": False}
    assert "metrics.loss" in json.loads(result.stderr)["warnings"][0]


@pytest.mark.parametrize("text", ["metrics.loss < 1", "tags.note is null", "status = 'FAILED'", "run_name = 'lss'"])
def test_names_that_are_known_and_absence_that_is_asked_for_are_no_slip(client, cli, text):
    assert cli("runs", "iris", "--filter", text).stderr == ""


def test_in_a_project_where_nothing_is_logged_yet_no_name_is_a_slip(client, cli):
    client.create_run("new", "r", log_system_metrics=False, capture=False).end()
    assert cli("runs", "new", "--filter", "metrics.loss < 1").stderr == ""


def test_a_script_that_polls_is_told_once_and_can_ask_what_was_said(client, caplog):
    for _ in range(3):
        found = client.search_runs("iris", "metrics.lss < 1", "params.model")
        assert len(found) == 0
        assert found.hints == ("no run of ann/iris has a metric 'lss'; did you mean metrics.loss?",)
    assert caplog.messages == list(found.hints)
    assert "did you mean metrics.loss?" in repr(found), "it was not said for this list"

    assert client.search_runs("iris", "metrics.loss < 1").hints == ()


def test_what_was_warned_of_is_not_said_again_below(client, caplog):
    found = client.search_runs("iris", "metrics.lss < 1")
    assert len(caplog.messages) == 1
    assert "did you mean" not in repr(found)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("status = 'DONE'", "RUNNING, SCHEDULED, FINISHED, FAILED, KILLED; did you mean FINISHED?"),
        ("attributes.status in ('FINISHED', 'bad')", "no run has the status 'bad': there are RUNNING, SCHEDULED,"),
        ("not status != 'error'", "did you mean FAILED?"),
        ("loss < nan", "no number is less or greater than nan"),
        ("loss > 0 or metrics.loss >= NaN", "loss = nan finds those whose last value is NaN"),
    ],
)  # fmt: skip
def test_a_value_that_no_run_can_have_is_told(client, cli, text, told):
    result = cli("runs", "iris", "--filter", text)
    assert result.stderr.count("Warning: ") == 1
    assert told in result.stderr


@pytest.mark.parametrize(
    "text", ["status = 'finished'", "status like 'FIN%'", "loss = nan", "loss != nan", "status is null"]
)
def test_a_value_that_a_run_can_have_is_no_slip(client, cli, text):
    assert cli("runs", "iris", "--filter", text).stderr == ""


def test_a_param_that_is_called_status_may_be_anything(client, cli):
    with client.create_run("jobs", "r", log_system_metrics=False, capture=False) as run:
        run.log_params({"status": "DONE"})
    assert cli("runs", "jobs", "--filter", "params.status = 'DONE'").stderr == ""


def test_hints_come_with_the_first_page_alone(client):
    for _ in range(3):
        client.create_run("iris", "r", log_system_metrics=False, capture=False).end()
    found = client.search_runs("iris", "metrics.lss is null", page_size=1)
    assert len(found) == 4
    assert len(found.hints) == 1


def test_system_metrics_and_names_of_several_words_are_suggested_as_a_filter_writes_them(client, cli):
    with client.create_run("iris", "more", log_system_metrics=False, capture=False) as run:
        run.log_params({"learning rate": 0.1})
        run._journal.log_system({"system/cpu/percent": 12.5})
    told = cli("runs", "iris", "--filter", "params.`learning rat` > 0 and metrics.system/cpu/percnt > 1").stderr
    assert "did you mean params.`learning rate`?" in told
    assert "system metric 'system/cpu/percnt'; did you mean metrics.system/cpu/percent?" in told


@pytest.mark.parametrize("option", ["--filter", "--columns"])
def test_a_bare_name_that_nobody_knows_is_an_error_with_what_was_perhaps_meant(client, cli, option):
    text = "los < 1" if option == "--filter" else "los"
    told = cli("runs", "iris", option, text, code=1).stderr
    assert "'los'" in told
    assert "id you mean metrics.loss?" in told
    assert "\n  ^^^\n" in told


def test_a_bare_name_like_no_other_tells_how_to_write_one_that_is_to_come(client, cli):
    assert "write metrics.zzz when it is to come" in cli("runs", "iris", "--filter", "zzz < 1", code=1).stderr


# -- projects, runs, metrics, commands -----------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "meant"),
    [
        (("runs", "irsi"), "ann/iris"),
        (("runs", "bob/iris"), "ann/iris"),
        (("export", "Iris", "--to", "out"), "ann/iris"),
        (("show", "irsi/svm-model"), "ann/iris"),
        (("show", "iris/svm-modle"), "iris/svm-model"),
        (("show", "iris/SVM-model"), "iris/svm-model"),
        (("compare", "iris/svm-model", "iris/smv-model"), "iris/svm-model"),
        (("delete", "ann/iris/svm-mod", "--yes"), "ann/iris/svm-model"),
        (("artifacts", "list", "iris/svm"), None),
        (("show", "iris/svm-model", "--metric", "lss"), "loss"),
        (("show", "iris/zzz"), None),
        (("collaborators", "list", "zzz"), None),
    ],
)
def test_a_name_that_is_not_there_names_those_that_come_near(client, cli, args, meant):
    told = cli(*args, code=3).stderr
    assert told.count("Did you mean") == (0 if meant is None else 1)
    if meant:
        assert told.endswith(f" Did you mean {meant}?\n")


def test_of_several_runs_the_one_that_is_not_there_is_meant(client, cli):
    client.create_run("wine", "tree", log_system_metrics=False, capture=False).end()
    assert cli("compare", "iris/svm-model", "wien/tree", code=3).stderr.endswith(" Did you mean ann/wine?\n")


def test_a_bare_run_name_finds_the_project_that_has_it(client, cli):
    assert "Did you mean ann/iris/svm-model?" in cli("show", "svm-model", code=1).stderr


@pytest.mark.parametrize("name", ["iris", "ann/iris"])
def test_a_project_that_is_given_as_a_run_is_said_to_be_one(client, cli, name):
    code = 1 if name == "iris" else 3
    told = " ".join(cli("show", name, code=code).stderr.split())
    assert f"It is a project: list_runs('{name}'), or mlfoundry runs {name}, shows its runs." in told
    assert f"mlfoundry delete --project {name}" in cli("delete", name, "--yes", code=1).stderr
    assert client.get_project("iris").run_count


def test_a_run_that_was_deleted_is_said_to_be_by_its_name(client, cli):
    run = client.get_run("iris/svm-model")
    run.delete()
    told = " ".join(cli("show", "iris/svm-model", code=3).stderr.split())
    assert f"A run of that name was deleted; get_run('{run.run_id}').restore(), or mlfoundry restore" in told
    client.create_run("iris", "svm-model", log_system_metrics=False, capture=False).end()
    client.get_run("iris/svm-model").delete()
    told = " ".join(cli("show", "iris/svm-model", code=3).stderr.split())
    assert "2 runs of that name were deleted; search_runs(…, view='deleted') or mlfoundry runs iris --view" in told


def test_a_run_that_comes_back_under_another_name_is_said_to(client, cli):
    first = client.get_run("iris/svm-model")
    first.delete()
    client.create_run("iris", "svm-model", log_system_metrics=False, capture=False).end()
    told = cli("restore", first.run_id)
    assert "The name 'svm-model' is taken in ann/iris; the run is svm-model-2 now." in told.stderr
    assert told.stdout == "ann/iris/svm-model-2 is back.\n"


@pytest.mark.parametrize(
    ("where", "meant", "pointed_at"),
    [("state = 'FAILED'", "status", "state"), ("stauts = 'FAILED'", "status", "stauts"), ("id = '1'", "run_id", "id")],
)
def test_a_bare_name_near_to_an_attribute_names_it_first(client, cli, where, meant, pointed_at):
    told = cli("runs", "iris", "--filter", where, code=1).stderr
    assert f"did you mean {meant}" in told
    assert f"\n  {'^' * len(pointed_at)}\n" in told
    assert "did you mean started_at" in cli("runs", "iris", "--order", "started", code=1).stderr


def test_restore_suggests_deleted_runs_and_no_others(client, cli):
    assert "Did you mean" not in cli("restore", "iris/svm-modle", code=3).stderr
    client.get_run("iris/svm-model").delete()
    assert "Did you mean iris/svm-model?" in cli("restore", "iris/svm-modle", code=3).stderr


def test_nobody_is_told_of_projects_that_are_not_theirs(client):
    result = CliRunner().invoke(main, ["--user", "eve", "runs", "ann/iriss"])
    assert result.exit_code == 3
    assert "Did you mean" not in result.stderr


@pytest.mark.parametrize(
    ("args", "meant"),
    [(["compre"], "compare"), (["artifacts", "lst"], "list"), (["runs", "p", "--limt", "1"], "--limit")],
)
def test_a_command_or_option_that_is_not_there_names_those_that_come_near(cli, args, meant):
    told = cli(*args, code=2).stderr
    assert f"Did you mean '{meant}'?" in told or f"Did you mean {meant}?" in told


def test_what_a_handle_that_reads_cannot_do_is_said_also_to_a_slip(client):
    with pytest.raises(AttributeError, match="reads; it cannot log_metrics"):
        client.get_run("iris/svm-model").log_metric  # noqa: B018
    with pytest.raises(AttributeError, match="did you mean get_metrics"):
        client.get_run("iris/svm-model").get_metric  # noqa: B018


def test_a_collaborator_is_added_with_the_permission_in_either_place(client, cli):
    cli("collaborators", "add", "iris", "bob", "WRITE")
    cli("collaborators", "add", "iris", "cat", "--permission", "admin")
    cli("collaborators", "add", "iris", "dan")
    cli("collaborators", "set", "iris", "dan", "write")
    held = {each.user: each.permission.name for each in client.list_collaborators("iris")}
    assert held == {"ann": "ADMIN", "bob": "WRITE", "cat": "ADMIN", "dan": "WRITE"}
    assert (
        "Give one permission"
        in cli("collaborators", "set", "iris", "bob", "READ", "--permission", "ADMIN", code=2).stderr
    )
    assert "Missing the permission" in cli("collaborators", "set", "iris", "bob", code=2).stderr
    assert "'OWNER' is not one of" in cli("collaborators", "add", "iris", "eve", "OWNER", code=2).stderr


def test_who_adds_somebody_twice_is_told_the_command_that_changes_the_permission(client, cli):
    cli("collaborators", "add", "iris", "bob")
    assert "mlfoundry collaborators set" in cli("collaborators", "add", "iris", "bob", code=1).stderr
    assert "mlfoundry collaborators add" in cli("collaborators", "set", "iris", "eve", "READ", code=3).stderr


# -- the place of the store ----------------------------------------------------------------------

READING = [
    ["projects"],
    ["runs", "iris"],
    ["show", "iris/svm-model"],
    ["compare", "iris/a", "iris/b"],
    ["export", "iris", "--to", "out"],
    ["artifacts", "list", "iris/a"],
    ["collaborators", "list", "iris"],
    ["delete", "iris/a", "--yes"],
    ["restore", "iris/a"],
    ["sync"],
]


@pytest.mark.parametrize("args", READING, ids=lambda args: args[0])
def test_a_place_without_a_store_is_said_and_nothing_is_made_there(client, cli, tmp_path, monkeypatch, args):
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "typo/store"
    told = cli(*args, "--uri", str(place), code=1).stderr
    assert f"there is no store at {place}" in told
    monkeypatch.setenv("MLFOUNDRY_TRACKING_URI", str(place))
    error = json.loads(cli(*args, "--json", code=1).stderr)["error"]
    assert error["type"] == "NoStore"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_store_is_none(cli, tmp_path):
    (tmp_path / "thesis.txt").write_text("years")
    assert "there is no store at" in cli("runs", "iris", "--uri", str(tmp_path), code=1).stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_logging_from_python_still_makes_a_store(cli, tmp_path):
    place = tmp_path / "new"
    client = mlfoundry.get_client(place, user="ann")
    client.create_run("iris", "r", log_system_metrics=False, capture=False).end()
    assert "1 run of iris" in cli("runs", "iris", "--uri", str(place)).stdout


def test_who_has_not_begun_is_told_how_to_and_nothing_is_made(cli, home, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFOUNDRY_HOME", str(tmp_path / "home"))
    assert "client.create_run('my-project')" in cli("projects").stdout
    assert json.loads(cli("projects", "--json").stdout) == {"projects": []}
    assert "Nothing was left" in cli("sync").stdout
    assert "there is no store at" in cli("runs", "iris", code=1).stderr
    assert list(tmp_path.iterdir()) == []


def test_journals_that_wait_for_their_store_are_one(client, home, cli, tmp_path):
    """A process that died before its store could be made has left journals alone; the next look stores them."""
    code = (
        "import os, sys, mlfoundry\n"
        "run = mlfoundry.get_client(sys.argv[1], user='ann').create_run('p', 'r', log_system_metrics=False)\n"
        "run.log_metrics({'loss': 1.0}); os.kill(os.getpid(), 9)"
    )
    place = tmp_path / "store"
    (place / "mlfoundry.db").mkdir(parents=True)  # so the store cannot be had
    subprocess.run([sys.executable, "-c", code, str(place)], timeout=30, capture_output=True)
    (place / "mlfoundry.db").rmdir()
    assert "KILLED" in cli("runs", "p", "--uri", str(place), "--json").stdout
