"""Runs: made once, what is logged of them beside points, how they end, how they are deleted and come back."""

from __future__ import annotations

import argparse
import math
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from mlfoundry.errors import (
    InvalidInput,
    InvalidName,
    InvalidValue,
    ParamChanged,
    RunNotFound,
)
from mlfoundry.records import Permission, RunChanges, RunQuery, RunStatus

START_US = 1_700_000_000_000_000
START = datetime.fromtimestamp(START_US // 1_000_000, UTC)


@pytest.fixture
def run(make_run):
    return make_run()


# -- making --------------------------------------------------------------------------------------


def test_a_run_is_made_as_it_was_wished(backend, wish):
    run = backend.create_run(wish("svm", tags={"stage": "dev"}, description="first try"))
    assert run == backend.get_run(run.key.run_id) == backend.get_run_by_name("ann", "iris", "svm")
    assert (run.run_name, run.status, run.created_by) == ("svm", RunStatus.RUNNING, "ann")
    assert (dict(run.tags), run.description, run.error) == ({"stage": "dev"}, "first try", "")
    assert (run.started_at, run.ended_at, run.deleted_at) == (START, None, None)


def test_the_same_run_made_twice_is_the_first(backend, wish):
    new = wish("svm", tags={"a": "1"})
    first = backend.create_run(new)
    again = backend.create_run(wish("other", run_id=new.run_id, tags={"b": "2"}, description="again"))
    assert again == first
    assert backend.get_project(None, "iris").run_count == 1
    assert backend.create_run(wish("svm")).run_name == "svm-2", "no name was used up"


def test_threads_that_make_one_run_at_once_make_one(backend, wish):
    new = wish("svm")
    with ThreadPoolExecutor(8) as threads:
        names = set(threads.map(lambda _: backend.create_run(new).run_name, range(16)))
    assert names == {"svm"}


def test_the_id_of_a_run_of_another_project_is_refused_and_makes_nothing(backend, make_run, wish):
    run = make_run()
    with pytest.raises(InvalidInput, match="taken by a run of another project"):
        backend.create_run(wish("svm", project="fresh", run_id=run.key.run_id))
    assert [project.name for project in backend.list_projects()] == ["iris"]


def test_a_run_in_somebody_elses_project_is_its_makers(backends, make_run, wish):
    project_id = make_run().key.project_id
    backends("ann").set_permission(project_id, "bob", Permission.WRITE, new=True)
    run = backends("bob").create_run(wish("bobs", owner="ann"))
    assert (run.owner, run.created_by, run.key.project_id) == ("ann", "bob", project_id)
    assert backends("bob").get_project("ann", "iris").run_count == 2


@pytest.mark.parametrize("tags", [{"": "x"}, {"a\nb": "x"}, {"a" * 251: "x"}, {"a": "x\0"}, {"a": "\ud800"}])
def test_a_run_with_a_tag_that_is_not_legal_is_not_made(backend, wish, tags):
    with pytest.raises(InvalidInput):
        backend.create_run(wish("svm", tags=tags))
    assert backend.list_projects() == []


# -- params, tags, facts, description ------------------------------------------------------------


def test_the_first_value_of_a_param_stays_and_the_others_are_counted(run, pen, backend):
    pen(run).params(lr=("float", "0.1"), depth=("int", "3")).send()
    pen(run).params(lr=("float", "0.2"), depth=("int", "3"), name=("str", "svm")).send()
    assert backend.get_run(run.key.run_id).params == {"lr": 0.1, "depth": 3, "name": "svm"}
    assert backend.get_facts(run.key)["tracker.params_kept"] == "1"


def test_params_of_every_type_come_back_as_they_went_in(client):
    values = {
        "none": None,
        "true": True,
        "false": False,
        "zero": 0,
        "int": -42,
        "huge": 2**100,
        "float": 0.1,
        "tiny": 5e-324,
        "minus zero": -0.0,
        "inf": -math.inf,
        "empty": "",
        "text": "rbf",
        "number as text": "007",
        "bool as text": "True",
        "hostile": "<script>'\";--\n\t\\",
        "unicode": "größe 損失 🎉",
        "list": [1, "two", None, [3.5, True]],
        "long": "x" * 65_536,
    }
    with client.create_run("iris") as run:
        run.log_params(values)
    stored = client.get_run(run.run_id).get_params()
    assert stored == values
    assert {name: type(value) for name, value in stored.items()} == {name: type(v) for name, v in values.items()}
    assert math.copysign(1.0, stored["minus zero"]) == -1.0


def test_a_param_that_is_not_a_number_comes_back_as_one_that_is_not(client):
    with client.create_run("iris") as run:
        run.log_params({"nan": math.nan, "tuple": (1, 2), "function": len})
    stored = client.get_run(run.run_id).get_params()
    assert math.isnan(stored["nan"])
    assert stored["tuple"] == [1, 2]
    assert stored["function"] == "<built-in function len>"


def test_numpy_scalars_as_params_come_back_as_pythons(client):
    import numpy as np

    with client.create_run("iris") as run:
        run.log_params(
            {"i": np.int64(7), "u": np.uint8(255), "f": np.float64(0.1), "b": np.bool_(True), "s": np.str_("x")}
        )
    stored = client.get_run(run.run_id).get_params()
    assert stored == {"i": 7, "u": 255, "f": 0.1, "b": True, "s": "x"}
    assert [type(stored[name]) for name in "iufbs"] == [int, int, float, bool, str]


def test_nested_params_and_namespaces_are_joined_with_dots(client):
    with client.create_run("iris") as run:
        run.log_params({"opt": {"lr": 0.1, "sched": {"gamma": 2}}, "empty": {}})
        run.log_params(argparse.Namespace(seed=1, model=argparse.Namespace(depth=3)))
    assert client.get_run(run.run_id).get_params() == {
        "opt.lr": 0.1, "opt.sched.gamma": 2, "empty": {}, "seed": 1, "model.depth": 3,
    }  # fmt: skip


def test_a_changed_param_is_an_error_and_nothing_of_its_call_is_kept(client):
    with client.create_run("iris") as run:
        run.log_params({"lr": 0.1})
        run.log_params({"lr": 0.1})
        with pytest.raises(ParamChanged, match=r"param 'lr' is '?0\.1'? already and cannot become '?0\.2'?:"):
            run.log_params({"new": 1, "lr": 0.2})
        with pytest.raises((InvalidName, InvalidValue)):
            run.log_params({"other": 1, "bad\nname": 2})
    assert client.get_run(run.run_id).get_params() == {"lr": 0.1}


def test_tags_are_replaced_and_removed_in_the_order_of_the_calls(run, pen, backend):
    journal = pen(run).tags(a="1", b="2", c="3").tags(a="9", b=None)
    journal.tags(b="again").tags(c=None).tags(missing=None).send()
    assert backend.get_run(run.key.run_id).tags == {"a": "9", "b": "again"}


def test_tags_and_description_are_edited_from_outside_as_well(run, backend):
    changed = backend.update_run(run.key, RunChanges(tags={"a": "1", "b": None}, description="new"))
    assert (dict(changed.tags), changed.description) == ({"a": "1"}, "new")
    assert backend.update_run(run.key, RunChanges()) == changed
    assert backend.update_run(run.key, RunChanges(tags={"a": None})).tags == {}
    assert backend.update_run(run.key, RunChanges(description="")).description == ""


@pytest.mark.parametrize("changes", [{"tags": {"": "x"}}, {"tags": {"a": "x\0"}}, {"description": "\ud800"}])
def test_an_edit_that_cannot_be_kept_changes_nothing(run, backend, changes):
    with pytest.raises(InvalidInput):
        backend.update_run(run.key, RunChanges(**{"tags": {"good": "1"}, "description": "new"} | changes))
    assert backend.get_run(run.key.run_id) == run


def test_the_last_description_counts(run, pen, backend):
    journal = pen(run).document({"kind": "description", "text": "one"}).document({"kind": "description", "text": "two"})
    journal.send()
    assert backend.get_run(run.key.run_id).description == "two"


def test_facts_are_kept_apart_from_tags(run, pen, backend):
    pen(run).document({"kind": "facts", "values": {"git.commit": "abc", "python": "3.11"}}).tags(python="x").send()
    pen(run).document({"kind": "facts", "values": {"git.commit": "def"}}).send()
    assert backend.get_facts(run.key) == {"git.commit": "def", "python": "3.11"}
    assert backend.get_run(run.key.run_id).tags == {"python": "x"}
    assert backend.list_keys(run.key.project_id, "tag") == ["python"]


# -- the end -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED"])
def test_a_run_ends_with_its_status_error_and_the_time_it_took(run, pen, backend, status):
    pen(run).end(status, error="ValueError: bad", elapsed_us=7_500_000, at_us=START_US + 99_000_000).send()
    ended = backend.get_run(run.key.run_id)
    assert (ended.status.value, ended.error) == (status, "ValueError: bad")
    assert ended.ended_at == START + timedelta(seconds=7.5), "the steady clock counts more than the wall clock"


def test_the_first_end_counts(run, pen, backend):
    pen(run).end("FAILED", error="first", elapsed_us=1_000_000).end("FINISHED", elapsed_us=2_000_000).send()
    first = backend.get_run(run.key.run_id)
    pen(run).end("KILLED", error="second", elapsed_us=3_000_000).send()
    ended = backend.get_run(run.key.run_id)
    assert (ended.status, ended.error, ended.ended_at) == (RunStatus.FAILED, "first", START + timedelta(seconds=1))
    assert first.ended_at == ended.ended_at


def test_without_a_steady_clock_the_time_of_the_record_counts(run, pen, backend):
    pen(run).end("KILLED", at_us=START_US + 3_000_000).send()
    assert backend.get_run(run.key.run_id).ended_at == START + timedelta(seconds=3)


@pytest.mark.parametrize("more", [{}, {"elapsed_us": 0}])
def test_no_run_ends_before_it_began_whatever_the_wall_clock_says(run, pen, backend, more):
    pen(run).end("FINISHED", at_us=START_US - 3_600_000_000, **more).send()
    assert backend.get_run(run.key.run_id).ended_at == START


def test_an_ended_run_can_still_be_edited(run, pen, backend):
    pen(run).end().send()
    assert backend.update_run(run.key, RunChanges(tags={"best": "yes"})).tags == {"best": "yes"}
    assert backend.get_run(run.key.run_id).status is RunStatus.FINISHED


def test_an_ended_run_does_not_count_as_running(run, pen, backend):
    pen(run).end("KILLED").send()
    assert backend.get_project(None, "iris").running_count == 0


@pytest.mark.parametrize("text", ["plain", "\ud800", "a\0b", "x" * 100_000, "", "größe\n<b>", "\udcff" * 5000])
def test_a_run_that_fails_is_stored_whatever_its_exception_says(client, text):
    with pytest.raises(ValueError, match=r"(?s)."), client.create_run("iris") as run:  # noqa: PT012  the run ends with it
        run.log_metrics({"loss": 1.0})
        raise ValueError(text or ".")
    stored = client.get_run(run.run_id)
    assert stored.status is RunStatus.FAILED
    assert stored.error.startswith("ValueError")
    assert stored.get_metrics("loss")["loss"].values.tolist() == [1.0]


# -- deleting ------------------------------------------------------------------------------------


def test_a_deleted_run_is_hidden_found_by_its_id_and_comes_back_whole(run, pen, backend):
    pen(run).points("loss", [1.0, 2.0]).params(lr=("float", "0.1")).tags(a="b").end().send()
    before = backend.get_run(run.key.run_id)
    backend.delete_run(run.key)
    assert backend.search_runs(RunQuery(run.key.project_id)).runs == ()
    assert [r.key for r in backend.search_runs(RunQuery(run.key.project_id, view="deleted")).runs] == [run.key]
    with pytest.raises(RunNotFound, match="no run 'run' in ann/iris"):
        backend.get_run_by_name(None, "iris", "run")
    assert backend.get_run(run.key.run_id).deleted_at is not None
    assert backend.restore_run(run.key) == before


def test_deleting_twice_keeps_the_time_of_the_first(run, backend):
    backend.delete_run(run.key)
    first = backend.get_run(run.key.run_id).deleted_at
    backend.delete_run(run.key)
    assert backend.get_run(run.key.run_id).deleted_at == first


def test_a_client_hides_and_restores_runs(client):
    with client.create_run("iris", "svm") as run:
        run.log_metrics({"loss": 1.0})
    stored = client.get_run(run.run_id)
    stored.delete()
    assert len(client.list_runs("iris")) == 0
    stored.restore()
    assert [each.run_name for each in client.list_runs("iris")] == ["svm"]


# -- looking for one -----------------------------------------------------------------------------


def test_a_run_is_found_by_its_id_and_by_its_names(client, as_user):
    with client.create_run("iris", "svm") as run:
        pass
    for name in (run.run_id, run.run_id.upper(), "ann/iris/svm", "iris/svm", run.fqn):
        assert client.get_run(name).run_id == run.run_id
    for name in (run.run_id, "ann/iris/svm"):
        with pytest.raises(LookupError):
            as_user("bob").get_run(name)


def test_the_error_for_a_run_that_is_not_there_says_what_was_looked_for(client):
    with client.create_run("iris", "svm"):
        pass
    with pytest.raises(RunNotFound, match="no run 'smv' in ann/iris"):
        client.get_run("ann/iris/smv")
    with pytest.raises(RunNotFound, match=f"no run {'a' * 32} that 'ann' may see"):
        client.get_run("a" * 32)
