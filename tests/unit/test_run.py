"""A run that is logged to: what each call keeps and refuses, how it ends, and what it tells about itself."""

import argparse
import inspect
import io
import json
import math
import os
import pickle
import re
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

import mlfoundry
from mlfoundry import RunStatus, settings
from mlfoundry.client import Client
from mlfoundry.errors import (
    ArtifactNotFound,
    BackendUnavailable,
    InvalidInput,
    InvalidName,
    InvalidValue,
    JournalUnreadable,
    MlfoundryError,
    NotAuthenticated,
    ParamChanged,
    PermissionDenied,
    RunDeleted,
    RunEnded,
    RunNotFound,
    RunReadOnly,
)
from mlfoundry.runs.run import Run
from mlfoundry.shipping import shipper, tries
from mlfoundry.shipping.shipment import Shipment
from mlfoundry.tracking.embedded import EmbeddedBackend


class Store(EmbeddedBackend):
    """The real store, which a test can take away: every verb that ships then fails with `error`."""

    error = None

    def _reached(self):
        if self.error is not None:
            raise self.error

    def create_run(self, new):
        self._reached()
        return super().create_run(new)

    def ingest(self, batch):
        self._reached()
        return super().ingest(batch)

    def get_run(self, run_id):
        self._reached()
        return super().get_run(run_id)

    def put_artifact(self, run, path, source):
        self._reached()
        return super().put_artifact(run, path, source)


@pytest.fixture
def client(tmp_path):
    resolved = settings.resolve(tracking_uri=tmp_path / "store", user="ann", system_metrics=False, capture=False)
    client = Client(resolved, Store(tmp_path / "store", "ann"))
    yield client
    client.backend.error = None
    client.backend.close()


@pytest.fixture
def run(client):
    run = client.create_run("iris", "svm")
    yield run
    client.backend.error = None
    run.end()


def away(client, error=None):
    client.backend.error = error or BackendUnavailable("the store is away", retry_after_s=0.01)


def values(run, name):
    return run.get_metrics(name)[name].values.tolist()


def journal_state(run):
    return run._journal.tail, run._journal.accepted


# -- who it is -----------------------------------------------------------------------------------


def test_a_run_knows_who_it_is_and_where_it_belongs(run):
    assert re.fullmatch("[0-9a-f]{32}", run.run_id)
    assert (run.run_name, run.project_name, run.owner, run.fqn) == ("svm", "iris", "ann", "ann/iris/svm")
    assert run.status is RunStatus.RUNNING
    assert run.started_at.utcoffset() == timedelta(0)
    assert (run.ended_at, run.error, run.description) == (None, "", "")
    assert "● running  ann/iris/svm" in repr(run)
    assert run.run_id in run._repr_html_()


@pytest.mark.parametrize(
    ("method", "signature"),
    [
        ("log_metrics", ["metrics", "step", "timestamp"]),
        ("log_params", ["params"]),
        ("set_tags", ["tags"]),
        ("set_description", ["text"]),
        ("log_artifact", ["local_path", "artifact_path"]),
        ("log_text", ["text", "path"]),
        ("log_figure", ["figure", "path"]),
        ("flush", ["timeout_s"]),
        ("end", ["status"]),
        ("get_metrics", ["names", "max_points"]),
        ("get_system_metrics", ["names", "max_points"]),
        ("download_artifact", ["path", "dest", "on_bytes"]),
    ],
)
def test_the_arguments_of_a_call_are_its_contract(method, signature, run):
    assert list(inspect.signature(getattr(run, method)).parameters) == signature
    with pytest.raises(TypeError):
        getattr(run, method)(surprise=1)


# -- metrics -------------------------------------------------------------------------------------


def test_metrics_come_back_with_steps_times_and_values(run):
    at = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    run.log_metrics({"loss": 0.5, "acc": 1}, 3, at)
    run.log_metrics({"loss": math.nan}, step=1, timestamp=0.5)
    run.log_metrics({"loss": -0.0})
    loss = run.get_metrics("loss")["loss"]
    assert loss.steps.tolist() == [1, 3, 4]
    assert loss.times.tolist()[:2] == [500_000, round(at.timestamp() * 1e6)]
    assert math.isnan(loss.values[0])
    assert math.copysign(1, loss.values[2]) == -1
    assert (loss.steps.dtype, loss.times.dtype, loss.values.dtype) == (np.int64, np.int64, np.float64)


def test_any_mapping_of_metrics_is_taken_and_nothing_else(run):
    class Lazy(dict):
        pass

    run.log_metrics(Lazy(a=1.0))
    run.log_metrics({})
    assert values(run, "a") == [1.0]
    for wrong in ([("a", 1.0)], "a", None, 1.0):
        with pytest.raises(InvalidValue, match=r"^log_metrics takes a mapping of key to number, not "):
            run.log_metrics(wrong)


@pytest.mark.parametrize(
    ("metrics", "how", "message"),
    [
        ({"good": 1.0, "loss": "x"}, {}, "metric 'loss' got 'x' (str)"),
        ({"good": 1.0, "": 1.0}, {}, "metric key '' (str) shows nothing"),
        ({"good": 1.0}, {"step": 1.5}, "step got 1.5 (float); a step is a whole number"),
        ({"good": 1.0}, {"timestamp": "now"}, "timestamp got 'now' (str)"),
        ({"system/x": 1.0}, {}, "begins with 'system/', which is kept for system metrics"),
    ],
)
def test_a_wrong_call_says_what_is_wrong_and_records_nothing_of_itself(run, metrics, how, message):
    before = journal_state(run)
    with pytest.raises(InvalidInput) as caught:
        run.log_metrics(metrics, **how)
    assert message in str(caught.value)
    assert journal_state(run) == before
    assert run.get_metrics() == {}


def test_named_metrics_come_in_the_order_asked_for_and_missing_ones_have_no_points(run):
    run.log_metrics({"a": 1.0, "b": 2.0, "c": 3.0})
    table = run.get_metrics("c", "missing", "a")
    assert list(table) == ["c", "missing", "a"]
    assert len(table["missing"].steps) == len(table["missing"].values) == 0
    assert list(run.get_metrics()) == ["a", "b", "c"]
    with pytest.raises(InvalidName, match="metric key must be a string, not"):
        run.get_metrics(["a"])


def test_few_points_of_many_keep_the_first_last_least_and_greatest(run):
    logged = [math.sin(i / 50) for i in range(3000)]
    logged[1234], logged[2345] = 99.0, -99.0
    for value in logged:
        run.log_metrics({"a": value})
    series = run.get_metrics("a", max_points=40)["a"]
    assert len(series.values) <= 40
    assert series.count == 3000
    assert {logged[0], logged[-1], 99.0, -99.0} <= set(series.values.tolist())
    assert series.steps.tolist() == sorted(series.steps.tolist())
    assert len(run.get_metrics("a", max_points=5000)["a"].values) == 3000


@pytest.mark.parametrize("wrong", [3, 0, -1])
def test_fewer_than_four_points_cannot_be_asked_for(run, wrong):
    with pytest.raises(InvalidInput, match=f"max_points is {wrong}; give at least 4, or None for all points"):
        run.get_metrics(max_points=wrong)


def test_metrics_become_a_frame(run):
    run.log_metrics({"a": 1.0, "b": 2.0})
    frame = run.get_metrics().to_pandas()
    assert frame[["metric", "step", "value"]].to_numpy().tolist() == [["a", 0, 1.0], ["b", 0, 2.0]]


def test_system_metrics_are_apart_from_those_that_were_logged(run):
    run._journal.log_system({"system/cpu": 0.5})
    run.log_metrics({"mine": 1.0})
    assert list(run.get_metrics()) == ["mine"]
    assert list(run.get_system_metrics()) == ["system/cpu"]


# -- params, tags, description -------------------------------------------------------------------


def test_params_come_back_typed_as_they_were_logged(run):
    params = {"lr": 0.1, "n": 3, "on": True, "kernel": "rbf", "none": None, "layers": [1, 2], "size": "10"}
    run.log_params(params)
    back = run.get_params()
    assert back == params
    assert {name: type(value) for name, value in back.items()} == {name: type(value) for name, value in params.items()}


def test_nested_params_and_namespaces_are_joined_with_dots(run):
    run.log_params(argparse.Namespace(lr=0.1, opt={"name": "adam", "betas": {"0": 0.9}}))
    assert run.get_params() == {"lr": 0.1, "opt.name": "adam", "opt.betas.0": 0.9}


def test_the_same_param_again_is_fine_and_another_value_is_an_error(run):
    run.log_params({"lr": 0.1, "nan": math.nan})
    before = journal_state(run)
    run.log_params({"lr": 0.1, "nan": math.nan})
    assert journal_state(run) == before
    with pytest.raises(ParamChanged, match=r"^param 'lr' is 0\.1 already and cannot become 0\.2") as caught:
        run.log_params({"new": 1, "lr": 0.2})
    assert caught.value.name == "lr"
    assert journal_state(run) == before
    run.log_params({"lr": 0.1, "new": 2})
    assert run.get_params() == {"lr": 0.1, "nan": pytest.approx(math.nan, nan_ok=True), "new": 2}


@pytest.mark.parametrize("params", [{"a": 1, "b\0": 1}, {"a": 1, "b": "\0"}, {"a.b": 1, "a": {"b": 2}}, [1], None])
def test_params_that_cannot_be_kept_record_nothing_of_their_call(run, params):
    before = journal_state(run)
    with pytest.raises(InvalidInput):
        run.log_params(params)
    assert journal_state(run) == before
    run.log_params({"a": "later"})
    assert run.get_params() == {"a": "later"}


def test_params_that_are_too_long_together_can_be_logged_in_several_calls(run):
    params = {f"p{i}": "x" * 60_000 for i in range(40)}
    with pytest.raises(InvalidValue, match="params of one call take"):
        run.log_params(params)
    run.log_params({"p0": "short"})
    assert run.get_params() == {"p0": "short"}


def test_tags_replace_those_before_and_none_removes_one(run):
    run.set_tags({"a": 1, "b": "x", "c": {"d": True}})
    run.set_tags({"a": "2", "b": None, "never": None})
    assert run.get_tags() == {"a": "2", "c.d": "True"}
    run.end()
    run.set_tags({"a": None, "late": "yes"})
    assert run.get_tags() == {"c.d": "True", "late": "yes"}


def test_the_description_can_be_set_during_the_run_and_after_it(run):
    run.set_description("first")
    assert run.refresh().description == "first"
    run.end()
    run.set_description("second")
    assert run.description == "second"
    for wrong in (None, 5, "\0"):
        with pytest.raises(InvalidValue, match=r"^description "):
            run.set_description(wrong)


# -- the end -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "status", [RunStatus.FINISHED, RunStatus.FAILED, RunStatus.KILLED, "FAILED", "killed", "Finished"]
)
def test_a_run_ends_with_a_status_or_its_name(client, status):
    run = client.create_run("iris")
    run.end(status)
    expected = RunStatus(str(status).upper())
    assert run.status is expected
    stored = client.get_run(run.run_id)
    assert stored.status is expected
    assert stored.ended_at >= stored.started_at


@pytest.mark.parametrize("wrong", ["done", "RUNNING", RunStatus.SCHEDULED, None, "", 3])
def test_another_status_is_refused_and_the_run_goes_on(run, wrong):
    with pytest.raises(InvalidInput, match=r"a run cannot end as .*; give one of FINISHED, FAILED, KILLED"):
        run.end(wrong)
    run.log_metrics({"a": 1.0})
    assert run.status is RunStatus.RUNNING


@pytest.mark.parametrize("late", ["FAILED", "KILLED"])
def test_an_end_that_comes_too_late_is_said(run, caplog, late):
    run.end()
    run.end()
    run.end("FINISHED")
    assert caplog.text == ""
    run.end(late)
    assert f"ann/iris/svm has ended as FINISHED already, and stays so; {late} comes too late" in caplog.text
    assert run.refresh().status is RunStatus.FINISHED


def test_an_exception_after_the_end_in_a_with_block_is_said(run, caplog):
    with pytest.raises(ZeroDivisionError), run:
        raise run.end() or ZeroDivisionError
    assert "FAILED comes too late" in caplog.text


def test_a_plain_end_after_another_is_no_matter(run, caplog):
    run.end("KILLED")
    run.end()
    assert caplog.text == ""


def test_ending_twice_keeps_the_first_end(run):
    run.end("FAILED")
    ended_at = run.ended_at
    run.end()
    assert (run.status, run.ended_at) == (RunStatus.FAILED, ended_at)


@pytest.mark.parametrize(
    ("verb", "log"),
    [
        ("log_metrics", lambda run: run.log_metrics({"a": 1.0})),
        ("log_metrics", lambda run: run.log_metrics({"a": 1.0, "b": 1.0}, step=1)),
        ("log_params", lambda run: run.log_params({"a": 1})),
        ("log_text", lambda run: run.log_text("x", "x.txt")),
        ("log_artifact", lambda run: run.log_artifact(__file__)),
        ("with block", lambda run: run.__enter__()),
    ],
)
def test_logging_after_the_end_is_an_error_that_says_what_to_do(run, verb, log):
    log_metrics = run.log_metrics  # also through a method that was taken before
    run.end()
    with pytest.raises(RunEnded) as caught:
        log(run)
    assert str(caught.value) == (
        f"ann/iris/svm has ended (FINISHED); it takes no {verb} any more. Start a new run with client.create_run, or "
        "log before end()."
    )
    with pytest.raises(RunEnded):
        log_metrics({"a": 1.0})


def test_after_the_end_everything_can_still_be_read(run):
    run.log_metrics({"a": 1.0})
    run.log_params({"p": 1})
    run.end()
    assert (values(run, "a"), run.get_params(), run.flush()) == ([1.0], {"p": 1}, True)
    assert run.health.state == "ok"


class Stop(Exception):
    """An error of the user's code."""


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (None, RunStatus.FINISHED, ""),
        (Stop("no data"), RunStatus.FAILED, "Stop: no data"),
        (KeyboardInterrupt(), RunStatus.KILLED, "KeyboardInterrupt"),
        (SystemExit(0), RunStatus.FINISHED, ""),
        (SystemExit(None), RunStatus.FINISHED, ""),
        (SystemExit(3), RunStatus.FAILED, "SystemExit: 3"),
        (GeneratorExit(), RunStatus.FINISHED, ""),
    ],
    ids=repr,
)
def test_a_with_block_ends_the_run_as_it_ended_itself_and_hides_no_error(client, error, status, told):
    def block():
        with client.create_run("iris") as run:
            seen.append(run)
            run.log_metrics({"a": 1.0})
            if error is not None:
                raise error

    seen = []
    if error is None:
        block()
    else:
        with pytest.raises(type(error)) as caught:
            block()
        assert caught.value is error
    stored = client.get_run(seen[0].run_id)
    assert (stored.status, stored.error) == (status, told)
    assert values(stored, "a") == [1.0]


def test_a_run_that_ended_in_its_block_stays_as_it_ended(client):
    with client.create_run("iris") as run:
        run.end("KILLED")
    assert run.status is RunStatus.KILLED


def test_an_open_run_can_be_entered_late_and_an_ended_one_not_again(run):
    with run as same:
        assert same is run
    with pytest.raises(RunEnded, match="it takes no with block any more"), run:
        pass


def test_deleting_an_open_run_ends_it_and_restoring_brings_it_back(client, run):
    run.log_metrics({"a": 1.0})
    run.delete()
    assert run.status is RunStatus.KILLED
    assert list(client.list_runs("iris")) == []
    with pytest.raises(RunNotFound):
        client.get_run("iris/svm")
    with client.create_run("iris", "svm") as other:
        assert other.run_name == "svm"  # the name is free again
    run.restore()
    assert run.run_name == "svm-2"
    assert values(client.get_run(run.run_id), "a") == [1.0]


# -- handles that only read ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "verb", ["log_metrics", "log_params", "log_text", "log_figure", "log_artifact", "end", "flush", "health"]
)
def test_a_handle_that_reads_cannot_log_and_names_the_one_that_can(client, run, verb):
    stored = client.get_run(run.run_id)
    with pytest.raises(RunReadOnly) as caught:
        getattr(stored, verb)
    assert str(caught.value) == (
        f"this handle of ann/iris/svm reads; it cannot {verb}. To log to the run from here as well use "
        f"client.join_run('{run.run_id}')."
    )
    assert not hasattr(stored, verb)
    assert run.status is RunStatus.RUNNING


def test_a_name_that_no_handle_has_is_an_attribute_error(client, run):
    with pytest.raises(AttributeError, match="StoredRun has no attribute 'get_metric'; did you mean get_metrics"):
        client.get_run(run.run_id).get_metric  # noqa: B018


@pytest.mark.parametrize(
    ("name", "has"),
    [
        ("params", r"get_params\(\)"),
        ("metrics", r"get_metrics\(\)"),
        ("artifacts", r"list_artifacts\(\)"),
        ("id", "run_id"),
    ],
)
def test_what_others_call_it_leads_to_what_reads_it(client, run, name, has):
    for handle in (run, client.get_run(run.run_id)):
        with pytest.raises(AttributeError, match=rf"has no attribute '{name}'; it has {has}"):
            getattr(handle, name)


def test_a_handle_that_reads_may_edit_tags_and_description(client, run):
    stored = client.get_run(run.run_id)
    stored.set_tags({"a": "b"})
    stored.set_description("better")
    assert client.get_run(run.run_id).get_tags() == {"a": "b"}
    assert run.refresh().description == "better"


def test_the_status_of_a_stored_run_is_that_of_now(client, run):
    stored = client.get_run(run.run_id)
    assert stored.status is RunStatus.RUNNING
    run.end("FAILED")
    assert stored.status is RunStatus.FAILED


@pytest.mark.parametrize("begins", [0, 1])
def test_a_run_is_stored_at_its_end_also_where_no_thread_begins_any_more(client, begins, monkeypatch):
    """As at the end of a program from Python 3.12 on, where that ends before the threads have begun."""
    start = threading.Thread.start

    def begin(thread):
        nonlocal begins
        if not begins:
            raise RuntimeError("can't create new thread at interpreter shutdown")
        begins -= 1
        start(thread)

    shipper.stop()
    monkeypatch.setattr(threading.Thread, "start", begin)
    run = client.create_run("iris", "late", log_system_metrics=False, capture=False)
    run.log_metrics({"a": 1.0})
    run._uploads._keep("late.txt", io.BytesIO(b"text"))
    run.end()
    monkeypatch.undo()
    stored = client.get_run(run.run_id)
    assert stored.record.status is RunStatus.FINISHED
    assert values(stored, "a") == [1.0]
    assert [each.path for each in stored.list_artifacts()] == ["late.txt"]
    shipper.stop()


# -- the same run from elsewhere -----------------------------------------------------------------


def test_joining_merges_and_does_not_end(client, run):
    run.log_params({"lr": 0.1})
    run.log_metrics({"a": 1.0}, step=0)
    run.flush()
    joined = client.join_run(run.run_id)
    joined.log_metrics({"a": 2.0}, step=1)
    joined.log_params({"lr": 0.1, "rank": 1})
    with pytest.raises(ParamChanged):
        joined.log_params({"lr": 0.2})
    joined.end("FAILED")
    assert client.get_run(run.run_id).status is RunStatus.RUNNING
    with pytest.raises(RunEnded, match=r"^this handle of ann/iris/svm has ended; .* Use client\.join_run for another"):
        joined.log_metrics({"a": 3.0})
    run.log_metrics({"a": 4.0}, step=2)
    assert values(run, "a") == [1.0, 2.0, 4.0]
    assert run.get_params() == {"lr": 0.1, "rank": 1}


@pytest.mark.parametrize("is_member", [False, True])
def test_a_thread_that_is_inside_of_a_log_call_when_the_run_ends_is_refused_or_stored(
    client, run, is_member, monkeypatch
):
    handle = client.join_run(run.run_id) if is_member else run
    late, told = handle._log, []  # as another thread has just looked it up
    look = Shipment._look_for_files

    def last_moment(self, *args):
        if self.last and self.journal is handle._journal and not told:
            try:
                late({"a": 1.0}, None)
                told.append("accepted")
            except RunEnded:
                told.append("refused")
        return look(self, *args)

    monkeypatch.setattr(Shipment, "_look_for_files", last_moment)
    handle.end()
    run.end()
    assert told == ["refused"]
    assert client.get_run(run.run_id).get_metrics() == {}


def test_a_param_that_another_handle_logged_with_another_value_is_warned_of_and_stays(client, run, caplog):
    with client.join_run(run.run_id) as joined:
        run.log_params({"lr": 0.1, "same": 1})
        run.flush()
        joined.log_params({"lr": 0.2, "same": 1})
        joined.flush()
    (message,) = [each for each in caplog.messages if "another value" in each]
    assert message.startswith("Logged to iris/svm by another process with another value before, which stays")
    assert message.endswith(": lr. Log yours under another name, or as a tag.")
    assert run.get_params() == {"lr": 0.1, "same": 1}


def test_a_run_can_be_joined_by_its_full_name(client, run):
    with client.join_run("ann/iris/svm") as joined:
        assert joined.run_id == run.run_id
    assert client.get_run(run.run_id).status is RunStatus.RUNNING


def test_a_pickled_run_is_a_handle_that_joins_it(client, run):
    copy = pickle.loads(pickle.dumps(run))
    try:
        assert isinstance(copy, Run)
        assert (copy.run_id, copy.client.user) == (run.run_id, "ann")
        copy.log_metrics({"a": 1.0})
        copy.end("KILLED")
        assert client.get_run(run.run_id).status is RunStatus.RUNNING
        assert values(run, "a") == [1.0]
    finally:
        copy.end()
        copy.client.backend.close()


def test_the_runs_that_are_open_are_known_oldest_first(client):
    first, second = client.create_run("iris"), client.create_run("iris")
    assert mlfoundry.open_runs() == [first, second]
    first.end()
    assert mlfoundry.open_runs() == [second]
    second.end()
    assert mlfoundry.open_runs() == []


def test_threads_may_log_at_once(run):
    def log(number):
        for i in range(300):
            run.log_metrics({f"t{number}": float(i), "all": 1.0})

    threads = [threading.Thread(target=log, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(values(run, f"t{n}") == [float(i) for i in range(300)] for n in range(4))
    assert run.get_metrics("all")["all"].steps.tolist() == list(range(1200))


# -- health, flush, and a store that is away -----------------------------------------------------


def test_health_tells_what_was_accepted_and_what_is_still_on_its_way(client, run):
    assert run.flush()
    assert (run.health.state, run.health.accepted, run.health.pending_bytes) == ("ok", 0, 0)
    away(client)
    run.log_metrics({"a": 1.0, "b": 2.0})
    assert not run.flush(timeout_s=0.1)
    health = run.health
    assert (health.state, health.accepted, health.lost, health.in_memory_bytes) == ("offline", 2, 0, 0)
    assert health.pending_bytes > 0
    assert health.not_durable_bytes == 0  # flush made it durable all the same
    assert "The store is away." in health.message
    client.backend.error = None
    assert run.flush()
    assert (run.health.state, run.health.message, run.health.pending_bytes) == ("ok", "", 0)
    assert run.health.tracker_cpu_s > 0


def test_health_tells_when_the_store_refuses(client, run, monkeypatch):
    monkeypatch.setattr(tries, "REFUSED_S", 0.01)
    away(client, PermissionDenied("ask bob for WRITE"))
    run.log_metrics({"a": 1.0})
    assert not run.flush(timeout_s=0.1)
    health = run.health
    assert health.state == "refused"
    assert "The store does not take it: ask bob for WRITE." in health.message


@pytest.mark.parametrize(
    "ask",
    [
        lambda run, text: run.end(text),
        lambda run, text: run.client.get_run(text),
        lambda run, text: run.client.get_run("/".join("abcd") + text),
        lambda run, text: run.client.add_collaborator("p", "bob", text),
        lambda run, text: run.client.get_run(run.run_id).download_artifact(text[:900]),
    ],
    ids=["end", "get_run", "get_run of many parts", "a permission", "an artifact"],
)
def test_what_is_given_and_endless_makes_no_endless_message(run, ask):
    with pytest.raises(MlfoundryError) as caught:
        ask(run, "x" * 70_000)
    assert len(str(caught.value)) < 400


def test_health_tells_when_records_were_lost(run):
    run._journal.lost, run._journal.trouble = 3, "No space left on device: /x/journals"
    assert run.health.state == "losing"
    assert run.health.message == "3 records were lost. No space left on device: /x/journals."
    run._journal.lost, run._journal.trouble = 1, None
    assert (run.health.state, run.health.lost) == ("lost", 1), "what is logged now is kept"
    assert run.health.message == "1 record was lost."
    assert "1 record was lost" in repr(run.health)
    run._journal.lost = 0


def test_health_says_each_thing_in_a_sentence_and_leaves_names_and_paths_alone(client, run):
    away(client, BackendUnavailable("the disk of the store /x is full. Make room there."))
    run._journal.trouble = "ann/iris/svm: no room"
    run.log_text("a", "a.txt")
    assert not run.flush(timeout_s=0.1)
    assert run.health.message == (
        "ann/iris/svm: no room. The disk of the store /x is full. Make room there. 1 logged file waits to be stored."
    )
    run._journal.trouble = None
    client.backend.error = None
    assert run.flush()


def test_health_tells_when_a_thread_of_the_tracker_is_gone(run):
    threads = shipper.current()._threads
    gone = threading.Thread(target=lambda: None)
    gone.start()
    gone.join()
    threads.append(gone)
    try:
        assert run.health.state == "offline"
        assert run.health.message.startswith("A thread that stores what is logged has ended. What is logged is kept")
        assert "`mlfoundry sync`" in run.health.message
    finally:
        threads.remove(gone)
    assert run.health.state in ("ok", "behind")


def test_reading_what_is_not_stored_says_so_and_does_not_tell_less_than_was_logged(client, run):
    run.client.settings = settings.resolve(tracking_uri=client.settings.tracking_uri, user="ann", end_timeout_s=0.1)
    run.log_metrics({"a": 1.0})
    away(client)
    run.log_metrics({"a": 2.0})
    with pytest.raises(
        BackendUnavailable, match="what was logged to 'svm' is not stored yet, so it cannot be read: the"
    ):
        run.get_metrics()
    client.backend.error = None
    assert values(run, "a") == [1.0, 2.0]


def test_an_end_without_the_store_is_bounded_and_says_what_is_still_on_its_way(client, tmp_path, caplog):
    client.settings = settings.resolve(tracking_uri=tmp_path / "store", user="ann", end_timeout_s=2.0)
    run = client.create_run("iris", "late", log_system_metrics=False, capture=False)
    run.flush()
    away(client)
    run.log_metrics({"a": 1.0})
    run.end("FAILED")
    assert run.status is RunStatus.FAILED
    assert "ann/iris/late has ended; " in caplog.text
    assert "are not stored yet (the store is away). They are kept in" in caplog.text
    client.backend.error = None
    assert run._shipment.done.wait(10)
    stored = client.get_run(run.run_id)
    assert (stored.status, values(stored, "a")) == (RunStatus.FAILED, [1.0])


@pytest.mark.parametrize(
    ("refusal", "remedy"),
    [
        (RunDeleted("it was deleted"), "brings the run back and stores them: mlfoundry restore "),
        (NotAuthenticated("the API key was revoked"), "log in again as the same user (mlfoundry login "),
        (PermissionDenied("'ann' has READ"), "once the right is given back; then run: mlfoundry sync"),
        (RunNotFound("there is no run"), "what belongs to a deleted project can be stored no more"),
        (JournalUnreadable("a record of kind 9"), "upgrade MLFoundry where the store is"),
    ],
)
def test_an_end_that_the_store_refuses_promises_nothing_and_says_what_helps(client, caplog, refusal, remedy):
    run = client.create_run("iris", "late")
    run.flush()
    away(client, refusal)
    run.log_metrics({"a": 1.0})
    run.end()
    assert "as soon as" not in caplog.text
    assert f"are not stored ({run._shipment.trouble}). They are kept in {run._journal.folder}. " in caplog.text
    assert remedy in caplog.text
    assert str(refusal) in caplog.text


def test_a_name_that_is_taken_is_said_and_the_one_that_it_got_returned(client, run, caplog):
    client.create_run("iris", "best").end()
    assert run.rename("mine") == "mine"
    assert caplog.text == ""
    assert run.rename("best") == "best-2" == run.run_name
    assert "The name 'best' is taken in ann/iris; the run is best-2 now." in caplog.text


def test_a_run_that_is_not_stored_yet_is_stored_before_it_is_renamed(client):
    away(client)
    run = client.create_run("iris", "offline")
    client.backend.error = None
    assert run.rename("online") == "online"
    run.end()
    assert client.get_run("iris/online").run_id == run.run_id


def test_a_deleted_run_looks_deleted_everywhere(client, run):
    run.delete()
    for each in (run, client.get_run(run.run_id)):
        assert repr(each).startswith("■ killed, deleted  ann/iris/svm\n")
        assert "restore() brings it back" in repr(each)
        assert ", deleted" in each._repr_html_()
    runs = client.search_runs("iris", view="all")
    assert "■ killed, deleted" in repr(runs)
    assert ", deleted" in runs._repr_html_()
    run.restore()
    assert "deleted" not in repr(run) + run._repr_html_()


# -- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("refusal", "state"),
    [
        (PermissionDenied("'ann' has READ; this needs WRITE"), "refused"),
        (NotAuthenticated("the API key was revoked"), "refused"),
        (RunNotFound("there is no run that 'ann' may see"), "refused"),
        (RunDeleted("it was deleted"), "refused"),
        (BackendUnavailable("no route"), "offline"),
    ],
)
def test_files_that_the_store_does_not_take_are_kept_and_said_and_stored_when_it_does(
    client, run, tree, refusal, state, caplog
):
    run.flush()
    away(client, refusal)
    assert run.log_text("text", "note.txt").size_bytes == 4
    health = run.health  # at once, before the shipper has met the refusal
    assert (health.state, health.lost, health.pending_bytes >= 4) == (state, 0, True)
    said = str(refusal)
    assert f"{said[0].upper()}{said[1:]}. 1 logged file waits to be stored." in health.message
    run.log_artifact(tree, "data")
    assert run.flush(5.0 if state == "refused" else 0.2) is False
    assert "3 logged files wait to be stored." in run.health.message
    assert caplog.text.count("is kept beside the journal until it can be stored") == 1, "a loop is not told each time"
    client.backend.error = None
    assert run.flush() is True
    assert (run.health.state, run.health.pending_bytes) == ("ok", 0)
    assert [each.path for each in run.list_artifacts()] == ["data/a.txt", "data/sub/b.bin", "note.txt"]


def test_files_logged_to_a_run_that_somebody_deleted_are_there_when_it_is_restored(client, caplog):
    run = client.create_run("iris", "svm")
    run.flush()
    client.get_run(run.run_id).delete()
    run.log_text("text", "note.txt")
    run.end()
    assert "mlfoundry restore" in caplog.text
    client.get_run(run.run_id).restore()
    assert run._shipment.done.wait(0) or shipper.shipper().wait(run._shipment.done.is_set, 10)
    assert [each.path for each in client.get_run(run.run_id).list_artifacts()] == ["note.txt"]


@pytest.fixture
def tree(tmp_path):
    """A folder with files in it and below it."""
    folder = tmp_path / "tree"
    (folder / "sub" / "empty").mkdir(parents=True)
    (folder / "a.txt").write_text("A")
    (folder / "sub" / "b.bin").write_bytes(bytes(range(256)))
    return folder


def test_a_file_keeps_its_name_and_a_folder_the_names_below_it(run, tree):
    assert [a.path for a in run.log_artifact(tree / "a.txt")] == ["a.txt"]
    assert [a.path for a in run.log_artifact(str(tree), "data/v1")] == ["data/v1/a.txt", "data/v1/sub/b.bin"]
    listed = run.list_artifacts()
    assert [a.path for a in listed] == ["a.txt", "data/v1/a.txt", "data/v1/sub/b.bin"]
    assert [a.size_bytes for a in listed] == [1, 1, 256]
    assert listed[0].sha256 == listed[1].sha256 == "559aead08264d5795d3909718cdd05abd49572e84fe55590eef31a88a08fdffd"


def test_a_file_logged_again_is_replaced(run):
    run.log_text("old", "note.txt")
    record = run.log_text("new größe", "note.txt")
    assert record.size_bytes == len("new größe".encode())
    assert len(run.list_artifacts()) == 1


@pytest.mark.parametrize("path", ["", "a.txt", "sub", "sub/b.bin"])
def test_files_and_folders_are_downloaded_with_their_bytes(run, tree, tmp_path, path):
    run.log_artifact(tree)
    where = run.download_artifact(path, tmp_path / "out" / "deep")
    assert where == tmp_path / "out" / "deep" / path
    expected = [tree / path] if (tree / path).is_file() else [p for p in (tree / path).rglob("*") if p.is_file()]
    got = {
        p.relative_to(tmp_path / "out" / "deep"): p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()
    }
    assert got == {p.relative_to(tree): p.read_bytes() for p in expected}


def test_a_download_goes_to_the_current_folder_when_no_other_is_given(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run.log_text("x", "note.txt")
    assert run.download_artifact("note.txt").read_text() == "x"
    assert (tmp_path / "note.txt").exists()


@pytest.mark.parametrize("path", ["note.txt", ""])
def test_without_a_folder_a_download_replaces_nothing_of_ones_own(run, tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "note.txt").write_text("mine")
    run.log_text("theirs", "note.txt")
    run.log_text("x", "other.txt")
    with pytest.raises(InvalidInput, match=r"note.txt is there already and holds something else; nothing was written"):
        run.download_artifact(path)
    assert (tmp_path / "note.txt").read_text() == "mine"
    assert (tmp_path / "other.txt").exists() is (path == ""), "what can be fetched of a folder is there"
    (tmp_path / "note.txt").write_text("theirs")
    run.download_artifact(path)  # the same is no conflict


def test_a_download_replaces_a_file_and_leaves_nothing_else_behind(run, tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    run.log_text("theirs", "note.txt")
    before = set(tmp_path.iterdir())
    run.download_artifact("note.txt", tmp_path)
    assert (tmp_path / "note.txt").read_text() == "theirs"
    assert set(tmp_path.iterdir()) == before


def test_names_as_long_as_a_disk_takes_and_names_like_part_files_come_back(run, tmp_path):
    names = ["n" * 255, ".x.part", "x", ".mlf-x"]
    for name in names:
        run.log_text(name, name)
    run.download_artifact("", tmp_path / "out")
    assert {path.name: path.read_text() for path in (tmp_path / "out").iterdir()} == {name: name for name in names}


@pytest.mark.parametrize("path", ["missing", "a", "a.txt/x", "sub/", "../a.txt", "/etc"])
def test_what_the_run_does_not_have_cannot_be_downloaded(run, tree, path):
    run.log_artifact(tree)
    with pytest.raises((ArtifactNotFound, InvalidName)) as caught:
        run.download_artifact(path)
    assert "list_artifacts() shows those it has" in str(caught.value) or "plain relative path" in str(caught.value)


@pytest.mark.parametrize("nothing", ["", None, 5, b""])
def test_a_path_that_is_none_logs_no_folder_by_chance(run, nothing):
    with pytest.raises(InvalidInput, match="a file or a folder to log is given as its path, not "):
        run.log_artifact(nothing)
    assert run.list_artifacts() == []


@pytest.mark.parametrize("most", ["5", 4.5, 3, True])
def test_a_number_of_points_that_is_none_is_refused(run, most):
    with pytest.raises(InvalidInput, match="give at least 4, or None for all points"):
        run.get_metrics(max_points=most)


def test_the_card_of_a_run_with_long_and_many_values_stays_short(client, run):
    run.log_params({"prompt": "word " * 10_000, "huge": 10**4000} | {f"p{n}": n for n in range(1000)})
    run.set_tags({"note": "x" * 60_000})
    run.set_description("y" * 60_000)
    run.flush()
    for text in (repr(client.get_run(run.run_id)), client.get_run(run.run_id)._repr_html_()):
        assert len(text) < 6_000
        assert "and 902 more" in text
    assert len(run.get_params()["prompt"]) == 50_000


def test_a_run_without_files_says_so(run, tmp_path):
    assert run.list_artifacts() == []
    with pytest.raises(ArtifactNotFound, match="ann/iris/svm has no artifact ''"):
        run.download_artifact(dest=tmp_path)


def test_a_download_follows_no_link_out_of_its_folder(run, tmp_path):
    outside, dest = tmp_path / "outside", tmp_path / "dest"
    outside.mkdir()
    dest.mkdir()
    (outside / "mine.txt").write_text("mine")
    (dest / "link").symlink_to(outside)
    (dest / "note.txt").symlink_to(outside / "mine.txt")
    run.log_text("x", "link/deep/note.txt")
    run.log_text("x", "note.txt")
    for path in ("link", "note.txt"):
        with pytest.raises(InvalidInput, match=r"nothing (was|is read or) written there"):
            run.download_artifact(path, dest)
    assert [p.name for p in outside.iterdir()] == ["mine.txt"]
    assert (outside / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("in_the_way", ["a/b", "a"])
def test_a_thing_in_the_way_of_a_download_is_named_and_kept(run, tmp_path, in_the_way):
    run.log_text("x", "a/b")
    place = tmp_path / in_the_way
    if in_the_way == "a":
        place.write_text("a file where a folder goes")
    else:
        place.mkdir(parents=True)
    with pytest.raises(InvalidInput, match=r"nothing (was|is read or) written there"):
        run.download_artifact("a", tmp_path)
    assert place.exists()


@pytest.mark.parametrize("path", ["x" * 300, "/".join(["x" * 200] * 30), "\0"], ids=["a name", "a path", "NUL"])
def test_a_path_that_no_disk_takes_is_refused_as_a_file_to_log(run, path):
    with pytest.raises(InvalidInput, match=r"cannot be looked at \(File name too long\)|there is no file or folder"):
        run.log_artifact(path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "there is no file or folder '.*thing' to log"),
        (lambda path: path.mkdir(), "the folder .*thing holds no files"),
        (lambda path: (path / "only" / "folders").mkdir(parents=True), "the folder .*thing holds no files"),
        (lambda path: path.symlink_to("nowhere"), "there is no file or folder"),
        (os.mkfifo, "there is no file or folder"),
        (
            lambda path: (path.mkdir(), (path / "a").write_text(""), (path / "link").symlink_to("/etc/passwd")),
            "holds what is no regular file .*link",
        ),
        (lambda path: (path.mkdir(), os.mkfifo(path / "pipe")), "holds what is no regular file .*pipe"),
        (
            lambda path: (path.mkdir(), (path / "\u00e9").write_text("1"), (path / "e\u0301").write_text("2")),
            "one Unicode normal form",
        ),
        (lambda path: (path.mkdir(), (path / "a").write_text(""), (path / "b\nc").write_text("")), r"\(U\+000A\)"),
        (lambda path: (path.mkdir(), (path / os.fsdecode(b"\xff")).write_text("")), r"\(U\+DCFF\)"),
    ],
    ids=[
        "missing",
        "empty",
        "only folders",
        "broken link",
        "pipe",
        "link inside",
        "pipe inside",
        "twins",
        "line break",
        "bytes",
    ],
)
def test_what_cannot_be_logged_is_refused_before_anything_is_stored(run, tmp_path, make, message):
    make(tmp_path / "thing")
    with pytest.raises(InvalidInput, match=message):
        run.log_artifact(tmp_path / "thing")
    assert run.list_artifacts() == []


@pytest.mark.parametrize("path", ["../x", "/x", "a//b", "", "C:/x", "a\\b", "x" * 1001, "b\0", None, "plots/"])
def test_a_hostile_path_of_an_artifact_is_refused(run, tree, path):
    with pytest.raises(InvalidName):
        run.log_text("x", path)
    if path:
        with pytest.raises(InvalidName):
            run.log_artifact(tree, path)
    assert run.list_artifacts() == []


@pytest.mark.parametrize("text", [b"bytes", 5, None, "\ud800"], ids=ascii)
def test_only_text_is_logged_as_text(run, text):
    with pytest.raises(InvalidValue, match=r"^log_text got "):
        run.log_text(text, "x.txt")


def test_figures_are_logged_in_the_format_of_their_path(run):
    from plotly import graph_objects

    figure = graph_objects.Figure(graph_objects.Scatter(y=[1, 2]))
    assert run.log_figure(figure, "loss").path == "loss.json"
    assert json.loads(run.download_artifact("loss.json", run.client.backend.root / "out").read_text())
    with pytest.raises(InvalidValue, match="give a matplotlib or plotly figure"):
        run.log_figure("no figure", "x.png")
    for path in ("plots/", None, "../x"):
        with pytest.raises(InvalidName):
            run.log_figure(figure, path)


def test_a_file_logged_while_the_store_is_away_is_stored_later(client, run, caplog):
    away(client)
    record = run.log_text("kept", "note.txt")
    assert (record.path, record.size_bytes) == ("note.txt", 4)
    assert "note.txt is kept beside the journal until it can be stored" in caplog.text
    client.backend.error = None
    run.end()
    assert run.download_artifact("note.txt", client.backend.root / "out").read_text() == "kept"


# -- the price of a call -------------------------------------------------------------------------


def test_a_thousand_log_calls_ask_nothing_of_the_system(run):
    called, ours = set(), str(Path(mlfoundry.__file__).parent)

    def profile(frame, event, what):
        if event == "c_call" and frame.f_code.co_filename.startswith(ours):
            called.add((getattr(what, "__module__", None), what.__qualname__))

    row = {f"k{i}": 0.5 for i in range(20)}
    for _ in range(10):
        run.log_metrics({"loss": 0.5})
        run.log_metrics(row, step=3)
    sys.setprofile(profile)
    try:
        for _ in range(1000):
            run.log_metrics({"loss": 0.5})
            run.log_metrics(row, step=3)
    finally:
        sys.setprofile(None)
    assert {module for module, _ in called} <= {None, "builtins", "time", "zlib", "_struct"}, called
    assert {name for module, name in called if module == "time"} <= {"time_ns"}
    assert not {name for module, name in called if module == "builtins"} & {"open", "print", "__import__"}
