"""``mlfoundry push``: a project arrives whole, once, and however often it is broken off."""

from __future__ import annotations

import io
import json
import math
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import mlfoundry
from mlfoundry.cli import main
from mlfoundry.client import Client
from mlfoundry.documents import CARRYING
from mlfoundry.push import push
from mlfoundry.push.edits import PUSHED
from mlfoundry.records import LOST, Acknowledgement, Batch, NewRun, RunChanges, RunKey, RunQuery, SeriesQuery
from mlfoundry.store import attributes, lives
from mlfoundry.tracking.backend import Backend
from mlfoundry.tracking.embedded import EmbeddedBackend
from mlfoundry.tracking.http import HttpBackend
from mlfoundry.values import param_text
from tests.contract.conftest import START_US, Pen
from tests.server.processes import LIMIT_S, PROGRAM, environment
from tests.servers import TeamServer

NAN_WITH_A_PAYLOAD = 0x7FF8_0000_DEAD_BEEF


class _Broken(BaseException):
    """The pusher is gone at this moment."""


@pytest.fixture
def here(tmp_path: Path) -> Client:
    """Ann's folder."""
    return mlfoundry.get_client(tmp_path / "here", user="ann")


@pytest.fixture
def there(server: TeamServer) -> HttpBackend:
    """The server, as ann, who is `anna` there."""
    return HttpBackend(server.address, server.key("anna"))


@pytest.fixture
def cli(here: Client, server: TeamServer, monkeypatch) -> Callable[..., Result]:
    """``cli("iris")`` pushes from Ann's folder."""
    monkeypatch.setenv("MLFOUNDRY_HOST", server.address)
    monkeypatch.setenv("MLFOUNDRY_API_KEY", server.key("anna"))

    def call(*words: str, code: int = 0) -> Result:
        result = CliRunner().invoke(main, ["push", *words, "--uri", str(here.settings.folder), "--user", "ann"])
        assert result.exit_code == code, result.output
        return result

    return call


def _make(backend: Backend, name: str, number: int = 0, **given: Any) -> Pen:
    whole = {"owner": None, "tags": {}, "description": "", "started_at_us": START_US + number * 3_600_000_000}
    new = NewRun(secrets.token_hex(16), "iris", name, **(whole | given))
    return Pen(backend, backend.create_run(new).key, secrets.randbits(62))


def _fill(backend: Backend) -> dict[str, RunKey]:
    """Make a project with everything that a run may have; return its runs."""
    plain = _make(backend, "svm", 0, tags={"stage": "draft", "größe": "10 %"}, description="first\nline")
    plain.params(C=("float", "1.0"), big=("int", "9" * 50), n=("json", '[1, {"a": null}]'), odd=("float", "nan"))
    plain.points("loss", [1.0, 0.5, math.nan, math.inf, -0.0], first_step=-2)
    plain.points("loss", [0.25] * 3, first_step=-2)  # steps that were there before
    plain.row({"acc": 0.5, "val/loss": -math.inf}, step=2**63 - 1)
    plain.points("system/cpu/percent", [float(n) for n in range(400)])
    plain.document({"kind": "facts", "values": {"git.commit": "abc", "error.traceback": "x" * 200_000}})
    plain.document({"kind": "lost", "count": 3}).document({"kind": "nonsense", "text": "kept all the same"})
    plain.end("FAILED", error="ValueError: <b>no</b>", elapsed_us=90_000_001)
    plain.send()
    other = Pen(backend, plain.run, secrets.randbits(62))  # another process of the same run, which came late
    other.points("loss", [0.125] * 2, first_step=-1).points("acc", [0.75])
    other.send()
    for path, content in (("model.bin", b"weights"), ("notes/a.txt", "grün".encode()), ("empty", b"")):
        backend.put_artifact(plain.run, path, io.BytesIO(content))
    long = _make(backend, "long", 1)
    long.points("loss", [math.sin(n) for n in range(1000)]).end("FINISHED").send()
    replaced = _make(backend, "taken", 2)
    replaced.points("loss", [9.0]).end("KILLED").send()
    backend.put_artifact(replaced.run, "model.bin", io.BytesIO(b"weights"))
    backend.delete_run(replaced.run)
    successor = _make(backend, "taken", 3)
    successor.end("FINISHED").send()
    return {"svm": plain.run, "long": long.run, "deleted": replaced.run, "taken": successor.run}


def _whole(backend: Backend, owner: str, name: str = "iris") -> dict[str, Any]:
    """Return all that can be seen of a project's runs, in a form that compares bit by bit."""
    project = backend.get_project(owner, name)
    page = backend.search_runs(RunQuery(project.project_id, view="all"))
    return {run.key.run_id: _all_of(backend, run) for run in page.runs}


def _all_of(backend: Backend, run: Any) -> dict[str, Any]:
    series = [*backend.read_series(SeriesQuery(run.key)), *backend.read_series(SeriesQuery(run.key, system=True))]
    files = backend.list_artifacts(run.key)
    return {
        "name": run.run_name,
        "status": run.status,
        "times": (run.started_at, run.ended_at),
        "texts": (run.description, run.error),
        "is_deleted": run.deleted_at is not None,
        "params": {param: param_text(param, value) for param, value in run.params.items()},
        "tags": dict(run.tags),
        "facts": {name: text for name, text in backend.get_facts(run.key).items() if name not in (PUSHED, CARRYING)},
        "points": {
            each.name: (each.count, each.steps.tobytes(), each.times.tobytes(), each.values.tobytes())
            for each in series
        },
        "metrics": {name: repr(metric) for name, metric in run.metrics.items()},
        "files": [(file.path, file.size_bytes, file.sha256, file.created_at) for file in files],
        "contents": [_content(backend, run.key, file.path) for file in files],
    }


def _content(backend: Backend, run: RunKey, path: str) -> bytes:
    with backend.open_artifact(run, path) as file:
        return file.read()


def _push(here: Client, there: Backend, **given: Any) -> Any:
    assert isinstance(here.backend, EmbeddedBackend)
    return push(here.backend, here.get_project("iris"), there, **given)


def test_everything_of_a_project_arrives_as_it_was(here: Client, there: HttpBackend) -> None:
    _fill(here.backend)
    pushed = _push(here, there)
    assert (pushed.runs, pushed.present, pushed.files, pushed.left_out) == (4, 0, 4, [])
    assert pushed.points == 8 + 2 + 400 + 3 + 1000 + 1
    before, after = _whole(here.backend, "ann"), _whole(there, "anna")
    assert after == before
    assert {run.created_by for run in there.search_runs(_query(there)).runs} == {"anna"}
    facts = after[next(run_id for run_id, run in after.items() if run["name"] == "svm")]["facts"]
    assert facts["tracker.lost_records"] == "3"
    assert "kept all the same" in facts["tracker.refused"]
    assert PUSHED in there.get_facts(there.get_run_by_name(None, "iris", "svm").key)
    told = Client(here.settings, there).get_run("iris/svm").get_facts()
    assert PUSHED not in told, "it is of no use to people"
    assert "git.commit" in told


def _query(backend: Backend, name: str = "iris") -> RunQuery:
    return RunQuery(backend.get_project(None, name).project_id, view="all")


def test_pushed_again_it_sends_nothing(here: Client, there: HttpBackend, server: TeamServer) -> None:
    _fill(here.backend)
    _push(here, there)
    before = _rows(server)
    again = _push(here, there)
    assert (again.runs, again.present, again.points, again.files) == (0, 4, 0, 0)
    assert _rows(server) == before


def _rows(server: TeamServer) -> dict[str, list[Any]]:
    tables = ("run", "attr", "series", "chunk", "journal", "artifact")
    with server.database.read() as tx:
        return {table: sorted(tx.rows(f"SELECT * FROM {table}"), key=repr) for table in tables}


@pytest.mark.parametrize("is_answered", [True, False], ids=["after an answer", "before a request"])
def test_broken_off_at_any_request_it_is_whole_after_the_next(
    here: Client, there: HttpBackend, monkeypatch, scale, is_answered: bool
) -> None:
    _fill(here.backend)
    monkeypatch.setattr("mlfoundry.push.journal.BATCH_SLOTS", 300)  # so that a run is sent in several batches
    before = _whole(here.backend, "ann")
    send, asked = there._send, 0

    def breaking(method: str, path: str, **given: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked == at and not is_answered:
            raise _Broken
        try:
            return send(method, path, **given)
        finally:
            if asked == at and is_answered:  # whatever the answer was, nobody reads it
                raise _Broken

    monkeypatch.setattr(there, "_send", breaking)
    stride = 1 if scale(2, 1) == 2 else 8
    at, breaks = 1 + is_answered, 0
    while True:
        name, asked = f"iris-{at}", 0
        try:
            _push(here, there, name=name)
            break
        except _Broken:
            breaks += 1
        asked = -1_000_000
        _push(here, there, name=name)
        assert _whole(there, "anna", name) == before, at
        there.delete_project(there.get_project(None, name).project_id)
        at += stride
    assert breaks >= 30 // stride
    asked = -1_000_000
    assert _whole(there, "anna", name) == before


@pytest.mark.parametrize("number", [1, 3, 6])
def test_a_batch_that_is_still_on_its_way_when_one_pushes_again_counts_once(
    here: Client, there: HttpBackend, monkeypatch, number: int
) -> None:
    _fill(here.backend)
    monkeypatch.setattr("mlfoundry.push.journal.BATCH_SLOTS", 300)
    ingest, sent = there.ingest, []

    def breaking(batch: Batch) -> Acknowledgement:
        sent.append(batch)
        if len(sent) == number:
            raise _Broken
        return ingest(batch)

    def late(batch: Batch) -> Acknowledgement:
        while sent:
            ingest(sent.pop())
        return ingest(batch)

    monkeypatch.setattr(there, "ingest", breaking)
    with pytest.raises(_Broken):
        _push(here, there)
    del sent[:-1]
    monkeypatch.setattr(there, "ingest", late)
    assert _push(here, there).left_out == []
    assert _whole(there, "anna") == _whole(here.backend, "ann")


def test_broken_off_before_a_run_is_deleted_it_is_deleted_by_the_next(
    here: Client, there: HttpBackend, monkeypatch
) -> None:
    _fill(here.backend)
    delete = there.delete_run
    monkeypatch.setattr(there, "delete_run", lambda run: _raise(_Broken()))
    with pytest.raises(_Broken):
        _push(here, there)
    monkeypatch.setattr(there, "delete_run", delete)
    assert _push(here, there).renamed == {}
    assert _whole(there, "anna") == _whole(here.backend, "ann")


@pytest.mark.parametrize("number", [1, 2, 4, 6])
def test_a_run_that_the_server_gave_up_meanwhile_is_whole_after_the_next(
    here: Client, there: HttpBackend, server: TeamServer, monkeypatch, number: int
) -> None:
    _fill(here.backend)
    monkeypatch.setattr("mlfoundry.push.journal.BATCH_SLOTS", 300)
    ingest, asked = there.ingest, []

    def breaking(batch: Batch) -> Acknowledgement:
        asked.append(batch)
        return _raise(_Broken()) if len(asked) == number else ingest(batch)

    monkeypatch.setattr(there, "ingest", breaking)
    with pytest.raises(_Broken):
        _push(here, there)
    monkeypatch.setattr(there, "ingest", ingest)
    now_us = time.time_ns() // 1000
    with server.database.write() as tx:
        lives.give_up(tx, asked[-1].run.project_id, now_us + 1, error=f"{LOST}nothing was heard", now_us=now_us)
    assert _push(here, there).left_out == []
    assert _whole(there, "anna") == _whole(here.backend, "ann")


def _raise(error: BaseException) -> Any:
    raise error


def test_killed_at_any_moment_it_is_whole_after_the_next(
    here: Client, there: HttpBackend, server: TeamServer, scale, tmp_path: Path
) -> None:
    _fill(here.backend)
    run = _make(here.backend, "large", 5)
    for number in range(20):
        run.points(f"metric-{number}", [float(n) for n in range(3000)])
    run.end().send()
    here.close()
    before = _whole(here.backend, "ann")
    command = [sys.executable, "-c", PROGRAM, "push", "iris", "--uri", str(here.settings.folder), "--user", "ann"]
    keys = {"MLFOUNDRY_HOST": server.address, "MLFOUNDRY_API_KEY": server.key("anna")}
    for _ in range(scale(20, 1)):
        process = subprocess.Popen(command, env=environment(MLFOUNDRY_HOME=str(tmp_path / "home"), **keys),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)  # fmt: skip
        while process.poll() is None and not _rows(server)["chunk"]:
            pass
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=LIMIT_S)
        _push(here, there)
        assert _whole(there, "anna") == before
        there.delete_project(there.get_project(None, "iris").project_id)


def test_points_that_came_later_are_brought_by_the_next_push(here: Client, there: HttpBackend) -> None:
    made = _fill(here.backend)
    _push(here, there)
    late = Pen(here.backend, made["svm"], secrets.randbits(62))
    late.points("loss", [7.0, 8.0]).points("new", [1.0]).send()
    here.get_run(made["svm"].run_id).set_tags({"stage": "final"})
    again = _push(here, there)
    assert (again.runs, again.present, again.points) == (1, 3, 3)
    assert _whole(there, "anna") == _whole(here.backend, "ann")


def _edit(backend: Backend, run: RunKey, **changes: Any) -> None:
    backend.update_run(backend.get_run(run.run_id).key, RunChanges(**changes))


def _texts(backend: Backend, run: RunKey) -> tuple[str, str, dict[str, str]]:
    record = backend.get_run(run.run_id)
    return record.run_name, record.description, dict(record.tags)


def test_what_was_edited_here_goes_with_the_next_push_also_back_and_forth(here: Client, there: HttpBackend) -> None:
    run = _fill(here.backend)["svm"]
    _push(here, there)
    edited = ({"stage": "final", "größe": None, "new": "1"}, "second", "renamed")
    before = ({"stage": "draft", "größe": "10 %", "new": None}, "", "svm")
    for tags, description, name in (edited, before, edited, before):
        _edit(here.backend, run, tags=tags, description=description, run_name=name)
        pushed = _push(here, there)
        assert (pushed.runs, pushed.present, pushed.kept, pushed.left_out, pushed.renamed) == (1, 3, [], [], {})
        assert _whole(there, "anna") == _whole(here.backend, "ann")
    assert _push(here, there).present == 4


def test_what_was_edited_on_the_server_stays(here: Client, there: HttpBackend) -> None:
    run = _fill(here.backend)["svm"]
    _push(here, there)
    _edit(there, run, tags={"stage": "theirs", "größe": None, "added": "x"}, description="theirs", run_name="theirs")
    _edit(here.backend, run, tags={"mine": "1"})
    late = Pen(here.backend, run, secrets.randbits(62))
    late.points("loss", [7.0]).send()
    pushed = _push(here, there)
    assert (pushed.runs, pushed.points, pushed.kept) == (1, 1, [])
    assert _texts(there, run) == ("theirs", "theirs", {"stage": "theirs", "added": "x", "mine": "1"})


def test_what_was_edited_on_both_sides_stays_as_the_server_has_it_and_that_is_said_once(
    here: Client, there: HttpBackend, cli
) -> None:
    run = _fill(here.backend)["svm"]
    _push(here, there)
    _edit(there, run, tags={"stage": "theirs"}, description="theirs", run_name="theirs")
    _edit(here.backend, run, tags={"stage": "mine", "größe": "11 %"}, description="mine", run_name="mine")
    told = cli("iris").output
    what = "the tag 'stage', the description, the name ('mine' here)"
    assert f"  mine: {what} changed here and there since the last push; what is there stays" in told
    assert _texts(there, run) == ("theirs", "theirs", {"stage": "theirs", "größe": "11 %"})
    assert json.loads(cli("iris", "--json").stdout)["kept"] == []
    _edit(here.backend, run, tags={"stage": "again"})
    assert json.loads(cli("iris", "--json").stdout)["kept"] == [{"run": "mine", "what": ["the tag 'stage'"]}]


def test_the_same_edit_on_both_sides_is_none(here: Client, there: HttpBackend) -> None:
    run = _fill(here.backend)["svm"]
    _push(here, there)
    for backend in (there, here.backend):
        _edit(backend, run, tags={"stage": "final"}, description="agreed", run_name="agreed")
    assert (_push(here, there).kept, _whole(there, "anna")) == ([], _whole(here.backend, "ann"))


def test_a_run_renamed_here_gets_a_suffix_where_its_new_name_is_taken(here: Client, there: HttpBackend) -> None:
    made = _fill(here.backend)
    _push(here, there)
    _make(there, "best").end().send()
    _edit(here.backend, made["svm"], run_name="best")
    assert _push(here, there).renamed == {"best": "best-2"}
    _edit(here.backend, made["svm"], run_name="better")
    assert _push(here, there).renamed == {}
    assert there.get_run(made["svm"].run_id).run_name == "better"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_edits_of_a_push_that_is_broken_off_are_carried_by_the_next_and_theirs_stay(
    here: Client, there: HttpBackend, monkeypatch, number: int
) -> None:
    run = _fill(here.backend)["svm"]
    _push(here, there)
    monkeypatch.setattr("mlfoundry.push.journal.BATCH_SLOTS", 300)
    _edit(here.backend, run, tags={"stage": "mine", "größe": None}, description="mine")
    late = Pen(here.backend, run, secrets.randbits(62))
    late.points("loss", [float(n) for n in range(700)]).send()
    ingest, asked = there.ingest, []

    def breaking(batch: Batch) -> Acknowledgement:
        asked.append(batch)
        return _raise(_Broken()) if len(asked) == number else ingest(batch)

    monkeypatch.setattr(there, "ingest", breaking)
    with pytest.raises(_Broken):
        _push(here, there)
    monkeypatch.setattr(there, "ingest", ingest)
    _edit(there, run, description="theirs")
    pushed = _push(here, there)
    assert pushed.left_out == []
    assert _texts(there, run) == ("svm", "theirs", {"stage": "mine"})
    assert there.get_run(run.run_id).metrics["loss"].count == here.get_run(run.run_id).record.metrics["loss"].count


@pytest.mark.parametrize("text", ["", "null", "[]", '{"number": 1}', "{" * 5000])
def test_a_run_whose_last_push_cannot_be_told_gets_what_is_missing_and_keeps_the_rest(
    here: Client, there: HttpBackend, server: TeamServer, text: str
) -> None:
    run = _fill(here.backend)["svm"]
    _push(here, there)
    with server.database.write() as tx:
        attributes.set_tags(tx, there.get_run(run.run_id).key, {PUSHED: text}, kind="fact")
    _edit(there, run, tags={"stage": "theirs", "größe": None}, description="theirs")
    _edit(here.backend, run, tags={"new": "1"})
    pushed = _push(here, there)
    assert pushed.kept == [("svm", ("the tag 'stage'", "the description"))]
    assert _texts(there, run) == ("svm", "theirs", {"stage": "theirs", "größe": "10 %", "new": "1"})


def test_a_run_that_something_else_was_logged_to_there_is_left_alone(here: Client, there: HttpBackend) -> None:
    made = _fill(here.backend)
    _push(here, there)
    stranger = Pen(there, there.get_run(made["long"].run_id).key, 5)
    stranger.points("loss", [1.0]).send()
    here.get_run(made["long"].run_id).set_tags({"note": "changed here"})
    before = _whole(there, "anna")
    again = _push(here, there)
    ((name, reason),) = again.left_out
    assert name == "long"
    assert "it has 1,001 points of 'loss' there and 1,000 here" in reason
    assert _whole(there, "anna") == before


def test_what_is_deleted_there_stays_deleted(here: Client, there: HttpBackend) -> None:
    made = _fill(here.backend)
    _push(here, there)
    there.delete_run(there.get_run(made["long"].run_id).key)
    assert _push(here, there).left_out == [("long", "it was deleted there; restore it there to have it again")]
    assert there.get_run(made["long"].run_id).deleted_at is not None


def test_what_is_deleted_here_after_a_push_is_not_deleted_there(here: Client, there: HttpBackend) -> None:
    made = _fill(here.backend)
    _push(here, there)
    here.get_run(made["long"].run_id).delete()
    _push(here, there)
    assert there.get_run(made["long"].run_id).deleted_at is None


def test_names_that_are_taken_there_get_a_suffix_and_are_told(here: Client, there: HttpBackend, cli) -> None:
    _fill(here.backend)
    _make(there, "svm").end().send()
    told = json.loads(cli("iris", "--json").stdout)
    assert told["renamed"] == {"svm": "svm-2"}
    assert told["runs"] == 4
    assert "svm is svm-2 there" not in cli("iris").stdout
    names = {run.run_name for run in there.search_runs(_query(there)).runs}
    assert names == {"svm", "svm-2", "long", "taken"}


def test_running_runs_are_left_out_and_brought_when_they_have_ended(here: Client, there: HttpBackend, cli) -> None:
    _fill(here.backend)
    running = _make(here.backend, "running", 9)
    running.points("loss", [1.0]).send()
    told = cli("iris", code=1)
    assert "4 runs pushed, with 1,414 points and 4 files" in told.stdout
    assert "left out: running: it is still running; push again when it has ended" in told.stderr
    running.end().send()
    assert "1 run pushed, with 1 point and 0 files (32 B); 4 were there already" in cli("iris").stdout
    assert _whole(there, "anna") == _whole(here.backend, "ann")


def test_a_run_whose_journal_is_not_stored_yet_is_left_out(here: Client, there: HttpBackend, cli) -> None:
    with here.create_run("iris", "mine", log_system_metrics=False, capture=False) as mine:
        worker = here.join_run(mine.run_id)
        worker.log_metrics({"loss": 1.0})
    assert "left out: mine: a process still logs to it" in cli("iris", code=1).stderr
    worker.end()
    assert "1 run pushed, with 1 point" in cli("iris").stdout


def test_it_can_go_under_another_name_and_to_another_owner(here: Client, there: HttpBackend, server, cli) -> None:
    _fill(here.backend)
    bob = HttpBackend(server.address, server.key("bob"))
    shared = _make(bob, "his")
    shared.end().send()
    assert "no project bob/iris that 'anna' may see" in cli("iris", "--as", "bob/iris", code=3).stderr
    bob.set_permission(shared.run.project_id, "anna", mlfoundry.Permission.READ, new=True)
    assert "this needs WRITE" in cli("iris", "--as", "bob/iris", code=4).stderr
    bob.set_permission(shared.run.project_id, "anna", mlfoundry.Permission.WRITE, new=False)
    assert "ann/iris to bob/iris on" in cli("iris", "--as", "bob/iris").stdout
    assert len(_whole(bob, "bob")) == 5
    refused = cli("iris", "--as", "again", code=1)
    assert "is taken by a run of another project" in refused.stderr
    assert [project.name for project in there.list_projects()] == ["iris"]


def test_deleted_runs_can_be_left_out(here: Client, there: HttpBackend, cli) -> None:
    _fill(here.backend)
    cli("iris", "--no-deleted")
    names = [run.run_name for run in there.search_runs(_query(there)).runs]
    assert sorted(names) == ["long", "svm", "taken"]


def test_collaborators_do_not_go_along_and_that_is_said(here: Client, there: HttpBackend, cli) -> None:
    _fill(here.backend)
    here.add_collaborator("iris", "bob", "WRITE")
    assert "1 collaborator did not go along" in cli("iris").stdout
    assert len(there.list_collaborators(there.get_project(None, "iris").project_id)) == 1


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("nothing",), 3, "there is no project ann/nothing"),
        (("iris", "--to", "http://127.0.0.1:1"), 4, "there is no API key for http://127.0.0.1:1"),
        (("iris", "--as", "a/b/c"), 1, "give NAME or owner/NAME"),
    ],
)
def test_what_cannot_be_pushed_is_said(here: Client, cli, monkeypatch, words, code: int, told: str) -> None:
    _fill(here.backend)
    if "--to" in words:
        monkeypatch.delenv("MLFOUNDRY_API_KEY")
    assert told in " ".join(cli(*words, code=code).stderr.split())


def test_without_a_server_it_says_how_to_name_one(here: Client, monkeypatch) -> None:
    _fill(here.backend)
    result = CliRunner().invoke(main, ["push", "iris", "--uri", str(here.settings.folder), "--user", "ann"])
    assert result.exit_code == 1
    assert "no server is known; log in with mlfoundry login HOST, or name one with --to" in result.stderr


def test_a_file_whose_bytes_are_damaged_here_is_not_passed_on(here: Client, there: HttpBackend) -> None:
    made = _fill(here.backend)
    file = next(f for f in here.backend.list_artifacts(made["svm"]) if f.path == "notes/a.txt")
    path = here.settings.folder / "artifacts" / str(made["svm"].project_id) / file.sha256[:2] / file.sha256
    path.write_bytes(b"other")
    ((name, reason),) = _push(here, there).left_out
    assert name == "svm"
    assert "the bytes of its file 'notes/a.txt' are damaged here" in reason
