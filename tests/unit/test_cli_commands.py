"""The commands on projects, runs, collaborators and artifacts: what they print, change and refuse."""

from __future__ import annotations

import json
import math

import pytest
from click.testing import CliRunner

import mlfoundry
from mlfoundry.cli import main


@pytest.fixture
def client(home):
    return mlfoundry.get_client(home, user="ann")


@pytest.fixture
def cli(home):
    def call(*args, code=0, **more):
        result = CliRunner().invoke(main, ["--user", "ann", *args], **more)
        assert result.exit_code == code, result.output
        return result

    return call


@pytest.fixture
def as_json(cli):
    def call(*args, **more):
        result = cli(*args, "--json", **more)
        assert result.stderr == ""
        return json.loads(result.stdout, parse_constant=pytest.fail)

    return call


def _run(client, name="svm", project="iris", **more):
    return client.create_run(project, name, log_system_metrics=False, capture=False, **more)


@pytest.fixture
def iris(client):
    """Three runs with rising accuracy."""
    for i in range(3):
        with _run(client, f"svm-{'abc'[i]}", tags={"team": "red" if i else "blue"}) as run:
            run.log_params({"C": 10.0**i, "kernel": "rbf", "big": 2**70})
            for step in range(4):
                run.log_metrics({"acc": i / 10 + step, "loss": [math.nan, -math.inf, -0.0, 1.5][step]}, step=step)
            run.log_text(f"hello {i}", "notes/a.txt")
            run.log_text("top", "b.txt")
    return client


# -- projects ------------------------------------------------------------------------------------


def test_projects_are_listed_with_their_counts(iris, cli, as_json):
    assert "ann/iris" in cli("projects").stdout
    (project,) = as_json("projects")["projects"]
    assert (project["owner"], project["name"], project["runs"], project["permission"]) == ("ann", "iris", 3, "ADMIN")
    assert project["last_run_at"].endswith("Z")


def test_without_projects_the_way_to_the_first_is_told(cli, as_json):
    assert "client.create_run" in cli("projects").stdout
    assert as_json("projects") == {"projects": []}


# -- runs ----------------------------------------------------------------------------------------


def test_runs_are_listed_newest_first(iris, cli, as_json):
    lines = cli("runs", "iris").stdout.splitlines()
    assert lines[0] == "3 runs of iris"
    assert [line.split()[2] for line in lines[3:]] == ["svm-c", "svm-b", "svm-a"]
    found = as_json("runs", "ann/iris")
    assert [run["name"] for run in found["runs"]] == ["svm-c", "svm-b", "svm-a"]
    assert found["more"] is False
    assert found["runs"][0]["metrics"]["acc"]["last"] == 3.2


def test_a_filter_an_order_and_a_limit_choose_runs(iris, cli, as_json):
    found = as_json("runs", "iris", "--filter", "params.C >= 10", "--order", "metrics.acc asc", "--limit", "1")
    assert [run["name"] for run in found["runs"]] == ["svm-b"]
    assert found["more"] is True
    assert "The first run of iris that matches" in cli("runs", "iris", "--filter", "C >= 10", "--limit", "1").stdout
    assert len(as_json("runs", "iris", "--limit", "0")["runs"]) == 3
    assert len(as_json("runs", "iris", "--order", "-acc", "--limit", "3")["runs"]) == 3


def test_a_project_without_matching_runs_says_so(iris, cli, as_json):
    assert cli("runs", "iris", "--filter", "acc > 99").stdout == "No runs of iris that match\n"
    assert as_json("runs", "iris", "--filter", "acc > 99") == {"runs": [], "more": False}


def test_a_filter_that_cannot_be_read_points_to_the_place(iris, cli):
    result = cli("runs", "iris", "--filter", "metrics.acc <", code=1)
    assert "\n  metrics.acc <\n" in result.stderr
    assert "^" in result.stderr


def test_columns_are_named_in_the_words_of_the_filter(iris, cli, as_json):
    columns = "run_name, status, min(metrics.acc), loss, params.C, team, duration, tags.none"
    header, _, first = cli("runs", "iris", "--columns", columns).stdout.splitlines()[1:4]
    assert header.split("  ")[0] == "run_name"
    assert "min(metrics.acc)" in header
    assert "svm-c" in first
    run = as_json("runs", "iris", "--columns", "run_name,loss,C,team,min(loss),started_at")["runs"][0]
    assert run["fqn"] == "ann/iris/svm-c"
    started_at = run["values"].pop("started_at")
    assert started_at.endswith("Z")
    assert run["values"] == {
        "run_name": "svm-c", "metrics.loss": 1.5, "params.C": 100.0, "tags.team": "red",
        "min(metrics.loss)": "-Infinity",
    }  # fmt: skip


def test_a_column_that_is_unknown_or_several_things_is_refused(iris, cli, client):
    assert "'nothing'" in cli("runs", "iris", "--columns", "run_name, nothing", code=1).stderr
    with _run(client) as run:
        run.log_params({"acc": 1})
    assert "metrics.acc or params.acc" in cli("runs", "iris", "--columns", "acc", code=1).stderr


def test_deleted_runs_are_listed_with_the_ids_that_restore_takes(iris, cli, as_json):
    gone = iris.get_run("iris/svm-a")
    gone.delete()
    assert "svm-a" not in cli("runs", "iris").stdout
    assert gone.run_id in cli("runs", "iris", "--view", "deleted").stdout
    assert as_json("runs", "iris", "--view", "deleted")["runs"][0]["deleted_at"] is not None
    assert len(as_json("runs", "iris", "--view", "all")["runs"]) == 3


# -- show and compare ----------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["id", "iris/svm-a", "ann/iris/svm-a"])
def test_a_run_is_shown_by_its_id_or_its_name(iris, cli, way):
    name = iris.get_run("iris/svm-a").run_id if way == "id" else way
    shown = cli("show", name).stdout
    for text in ("ann/iris/svm-a", "kernel", "rbf", str(2**70), "acc", "blue", "notes/a.txt", "✓ finished"):
        assert text in shown


def test_a_run_as_json_has_all_of_it(iris, as_json):
    run = as_json("show", "iris/svm-b")["run"]
    assert run["params"] == {"C": 10.0, "kernel": "rbf", "big": 2**70}
    assert run["param_types"] == {"C": "float", "kernel": "str", "big": "int"}
    assert run["metrics"]["loss"] | {"last_at": ""} == {
        "last": 1.5, "last_step": 3, "last_at": "", "min": "-Infinity", "max": 1.5, "count": 4,
    }  # fmt: skip
    assert run["tags"] == {"team": "red"}
    assert [each["path"] for each in run["artifacts"]] == ["b.txt", "notes/a.txt"]
    assert isinstance(run["facts"], dict)


def test_the_error_of_a_failed_run_is_shown_on_its_lines(client, cli, as_json):
    with pytest.raises(RuntimeError), _run(client, "bad"):
        raise RuntimeError("first\nsecond")
    assert "error    RuntimeError: first\n           second\n" in cli("show", "iris/bad").stdout
    assert as_json("show", "iris/bad")["run"]["error"] == "RuntimeError: first\nsecond"


def test_runs_are_compared_side_by_side(iris, cli, as_json):
    shown = cli("compare", "iris/svm-a", "iris/svm-b").stdout
    assert "param C" in shown
    assert "kernel" not in shown
    found = as_json("compare", "iris/svm-a", "iris/svm-b")
    assert found["differing"] == ["C"]
    assert found["params"]["C"] == [1.0, 10.0]
    assert found["metrics"]["acc"] == [3.0, 3.1]
    assert [run["fqn"] for run in found["runs"]] == ["ann/iris/svm-a", "ann/iris/svm-b"]


def test_comparing_needs_two_runs_that_are_there(iris, cli):
    assert "at least two" in cli("compare", "iris/svm-a", code=2).stderr
    cli("compare", "iris/svm-a", "iris/none", code=3)


# -- delete and restore --------------------------------------------------------------------------


def test_deleting_runs_asks_and_tells_how_to_bring_them_back(iris, cli):
    run_id = iris.get_run("iris/svm-a").run_id
    refused = cli("delete", "iris/svm-a", input="n\n", code=1)
    assert "nothing was deleted" in refused.stderr
    assert iris.get_run(run_id).record.deleted_at is None
    done = cli("delete", "iris/svm-a", input="y\n")
    assert f"mlfoundry restore {run_id}" in done.stdout
    assert iris.get_run(run_id).record.deleted_at is not None
    assert "is back" in cli("restore", run_id).stdout
    assert iris.get_run("iris/svm-a").run_id == run_id


def test_without_an_answer_nothing_is_deleted(iris, cli):
    assert "--yes" in cli("delete", "iris/svm-a", input="", code=1).stderr
    assert iris.get_run("iris/svm-a")


def test_one_run_that_is_missing_keeps_all_from_being_deleted(iris, cli):
    cli("delete", "iris/svm-a", "iris/none", "--yes", code=3)
    assert iris.get_run("iris/svm-a")


def test_deleting_with_json_needs_yes(iris, cli, as_json):
    cli("delete", "iris/svm-a", "--json", code=2)
    assert as_json("delete", "iris/svm-a", "iris/svm-a", "--yes")["deleted"][0]["fqn"] == "ann/iris/svm-a"
    assert len(as_json("runs", "iris")["runs"]) == 2


def test_a_project_is_deleted_for_good_and_says_so_first(iris, cli, as_json):
    asked = cli("delete", "--project", "iris", input="n\n", code=1)
    assert "with its 3 runs" in asked.stdout
    assert "for good" in asked.stdout
    assert as_json("delete", "--project", "iris", "--yes") == {
        "deleted_project": {"owner": "ann", "name": "iris", "runs": 3}
    }
    cli("runs", "iris", code=3)


@pytest.mark.parametrize("args", [["delete"], ["delete", "iris/a", "--project", "iris"]])
def test_delete_takes_runs_or_a_project(cli, args):
    cli(*args, code=2)


def test_a_run_is_restored_by_its_name_when_that_is_clear(iris, cli, as_json, client):
    iris.get_run("iris/svm-a").delete()
    assert as_json("restore", "iris/svm-a")["run"]["fqn"] == "ann/iris/svm-a"
    assert "was not deleted" in cli("restore", "ann/iris/svm-a").stdout
    assert "--view deleted" in cli("restore", "iris/none", code=3).stderr
    first = iris.get_run("iris/svm-a")
    first.delete()
    _run(client, "svm-a").delete()
    assert first.run_id in cli("restore", "iris/svm-a", code=1).stderr


def test_a_restored_run_whose_name_is_taken_gets_a_suffix(iris, cli, client):
    first = iris.get_run("iris/svm-a")
    first.delete()
    _run(client, "svm-a").end()
    assert "ann/iris/svm-a-2 is back" in cli("restore", first.run_id).stdout


# -- collaborators -------------------------------------------------------------------------------


def test_collaborators_are_added_changed_and_removed(iris, cli, as_json):
    assert "bob has WRITE on iris" in cli("collaborators", "add", "iris", "bob", "--permission", "write").stdout
    people = as_json("collaborators", "list", "iris")["collaborators"]
    assert [(each["user"], each["permission"], each["is_owner"]) for each in people] == [
        ("ann", "ADMIN", True), ("bob", "WRITE", False),
    ]  # fmt: skip
    assert as_json("collaborators", "set", "iris", "bob", "--permission", "READ")["permission"] == "READ"
    assert "bob" in cli("collaborators", "list", "iris").stdout
    assert as_json("collaborators", "remove", "iris", "bob") == {"project": "iris", "user": "bob", "permission": None}
    assert "bob" not in cli("collaborators", "list", "iris").stdout


def test_a_new_collaborator_reads_unless_more_is_given(iris, as_json):
    assert as_json("collaborators", "add", "iris", "bob")["permission"] == "READ"


def test_wrong_changes_of_collaborators_are_refused(iris, cli):
    cli("collaborators", "add", "iris", "bob")
    cli("collaborators", "add", "iris", "bob", code=1)
    cli("collaborators", "add", "iris", "eve", "--permission", "ROOT", code=2)
    cli("collaborators", "set", "iris", "bob", code=2)
    cli("collaborators", "set", "iris", "carl", "--permission", "READ", code=3)
    cli("collaborators", "remove", "iris", "ann", code=1)
    cli("collaborators", "list", "none", code=3)
    cli("collaborators", "add", "ann/iris", "carl", "--user", "bob", code=4)


# -- artifacts -----------------------------------------------------------------------------------


def test_artifacts_are_listed_and_downloaded(iris, cli, as_json, tmp_path):
    assert "notes/a.txt" in cli("artifacts", "list", "iris/svm-a").stdout
    assert [each["path"] for each in as_json("artifacts", "list", "iris/svm-a")["artifacts"]] == [
        "b.txt",
        "notes/a.txt",
    ]
    told = cli("artifacts", "download", "iris/svm-b", "--to", str(tmp_path / "all")).stdout
    assert "2 files" in told
    assert (tmp_path / "all/notes/a.txt").read_text() == "hello 1"
    found = as_json("artifacts", "download", "iris/svm-b", "notes/", "--to", str(tmp_path / "one"))
    assert [each["path"] for each in found["artifacts"]] == ["notes/a.txt"]
    assert not (tmp_path / "one/b.txt").exists()


def test_artifacts_that_are_not_there_exit_with_3(iris, cli, client, tmp_path):
    assert "'none'" in cli("artifacts", "download", "iris/svm-a", "none", "--to", str(tmp_path), code=3).stderr
    _run(client, "empty").end()
    assert "No artifacts" in cli("artifacts", "list", "iris/empty").stdout
    cli("artifacts", "download", "iris/empty", "--to", str(tmp_path), code=3)


def test_a_download_into_a_file_is_wrong_usage_and_into_a_blocked_folder_an_error(iris, cli, tmp_path):
    (tmp_path / "file").write_text("")
    cli("artifacts", "download", "iris/svm-a", "--to", str(tmp_path / "file"), code=2)
    told = cli("artifacts", "download", "iris/svm-a", "--to", str(tmp_path / "file/below"), code=1).stderr
    assert "Not a directory" in told
