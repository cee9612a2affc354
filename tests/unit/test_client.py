"""The client: making and finding runs, projects and collaborators, and beginning without a store."""

import inspect
import pkgutil
import re

import pytest

import mlfoundry
from mlfoundry import Permission, RunStatus, settings
from mlfoundry.client import Client
from mlfoundry.errors import (
    BackendUnavailable,
    CollaboratorNotFound,
    InvalidFilter,
    InvalidInput,
    InvalidName,
    InvalidSetting,
    InvalidValue,
    LastAdmin,
    NotFound,
    PermissionDenied,
    ProjectNotFound,
    RunNotFound,
    StoreBusy,
)
from mlfoundry.records import LOST
from mlfoundry.runs.own_runs import open_runs
from mlfoundry.runs.run import Run
from mlfoundry.runs.stored_run import StoredRun
from mlfoundry.tracking.embedded import EmbeddedBackend


class Store(EmbeddedBackend):
    """The real store; counts searches, and can be taken away."""

    error = None
    searches = 0

    def create_run(self, new):
        if self.error is not None:
            raise self.error
        return super().create_run(new)

    def search_runs(self, query):
        self.searches += 1
        return super().search_runs(query)


@pytest.fixture
def connect(tmp_path):
    """Make clients of one store under several names."""
    made = []

    def client(user="ann", **how):
        resolved = settings.resolve(
            tracking_uri=tmp_path / "store", user=user, system_metrics=False, capture=False, **how
        )
        made.append(Client(resolved, Store(tmp_path / "store", user)))
        return made[-1]

    yield client
    for each in made:
        each.backend.close()


@pytest.fixture
def client(connect):
    return connect()


@pytest.fixture
def ended(client):
    """Make runs that have ended."""

    def make(name=None, project="iris", status="FINISHED", params=None, **metrics):
        run = client.create_run(project, name)
        run.log_params(params or {})
        run.log_metrics(metrics)
        run.end(status)
        return run

    return make


def journals(client):
    return [path for root in client.settings.journal_roots() if root.exists() for path in root.iterdir()]


# -- the contract --------------------------------------------------------------------------------


def test_the_positional_order_of_create_run_is_the_one_that_users_know():
    parameters = inspect.signature(Client.create_run).parameters
    positional = [name for name, each in parameters.items() if each.kind is each.POSITIONAL_OR_KEYWORD]
    assert positional == ["self", "project_name", "run_name", "tags", "owner", "log_system_metrics"]


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (mlfoundry.get_client, ()),
        (Client.create_run, ("iris",)),
        (Client.get_run, ("iris/x",)),
        (Client.search_runs, ("iris",)),
        (Client.list_runs, ("iris",)),
        (Client.add_collaborator, ("iris", "bob")),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_unknown_argument_is_an_error(client, function, arguments):
    owner = () if function is mlfoundry.get_client else (client,)
    with pytest.raises(TypeError, match="unexpected keyword argument 'surprise'"):
        function(*owner, *arguments, surprise=1)


def test_the_contract_of_the_first_page(client):
    run = client.create_run(project_name="iris-demo", run_name="svm-model")
    run.log_params({"C": 1.0, "kernel": "rbf"})
    run.log_metrics({"accuracy": 0.97, "loss": 0.08}, step=1)
    run.end()
    stored = client.get_run("ann/iris-demo/svm-model")
    assert stored.run_id == run.run_id
    assert stored.get_params() == {"C": 1.0, "kernel": "rbf"}
    assert stored.record.metrics["accuracy"].last == 0.97
    assert stored.status is RunStatus.FINISHED


def test_a_client_is_made_for_a_folder_and_a_name(tmp_path):
    client = mlfoundry.get_client(tmp_path / "store", user="ann")
    assert client.user == "ann"
    assert repr(client) == f"Client(user='ann', tracking_uri='{tmp_path / 'store'}')"
    assert not (tmp_path / "store").exists()  # nothing is made before it is needed
    with pytest.raises(InvalidSetting, match="argument user"):
        mlfoundry.get_client(tmp_path, user="a/b")


# -- making runs ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [None, ""])
def test_a_run_without_a_name_gets_two_words(client, name):
    with client.create_run("iris", name) as run:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)+", run.run_name)


def test_a_taken_name_gets_the_next_number(ended):
    assert [ended("x").run_name for _ in range(3)] == ["x", "x-2", "x-3"]


def test_tags_and_description_are_there_from_the_beginning(client):
    with client.create_run("iris", "r", {"stage": "dev", "nested": {"n": 1}, "none": None}, description="a try") as run:
        stored = client.get_run(run.run_id)
        assert stored.get_tags() == {"stage": "dev", "nested.n": "1"}
        assert stored.description == "a try"


def test_names_are_kept_in_normal_form(client):
    with client.create_run("cafe\u0301", "re\u0301") as run:
        assert run.fqn == "ann/caf\u00e9/r\u00e9"
        assert client.get_run("cafe\u0301/re\u0301").run_id == run.run_id


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ({"project_name": "a/b/c"}, InvalidName, "project name 'a/b/c'"),
        ({"project_name": ""}, InvalidName, "project name '' (str) shows nothing"),
        ({"project_name": None}, InvalidName, "project name must be a string"),
        ({"run_name": "a\nb"}, InvalidName, "run name"),
        ({"run_name": 5}, InvalidName, "run name must be a string, not 5 (int)"),
        ({"owner": "bob"}, ProjectNotFound, "there is no project bob/iris that 'ann' may see. Is the owner right?"),
        ({"owner": ""}, InvalidName, "owner '' (str) shows nothing"),
        ({"tags": {"a": "\0"}}, InvalidValue, "tag 'a' holds a NUL character"),
        ({"tags": ["a"]}, InvalidValue, "tags must be a mapping"),
        ({"description": 5}, InvalidValue, "description must be text, not 5 (int)"),
        (
            {"system_metrics_interval_s": 0},
            InvalidSetting,
            "system_metrics_interval_s is 0 (int); give seconds from 0.1 to",
        ),
    ],
    ids=str,
)
def test_a_run_that_cannot_be_made_leaves_nothing_behind(client, how, error, message):
    with pytest.raises(error) as caught:
        client.create_run(**{"project_name": "iris", **how})
    assert message in str(caught.value)
    assert mlfoundry.open_runs() == []
    assert journals(client) == []
    assert client.list_projects() == []


def test_an_error_that_nobody_thought_of_leaves_nothing_behind_either(client):
    client.backend.error = ZeroDivisionError("a bug")
    with pytest.raises(ZeroDivisionError):
        client.create_run("iris")
    assert (mlfoundry.open_runs(), journals(client)) == ([], [])


def test_the_project_of_somebody_else_must_exist_and_give_write(client, connect, ended):
    bob = connect("bob")
    ended("x")
    with pytest.raises(ProjectNotFound):
        bob.create_run("iris", owner="ann")
    client.add_collaborator("iris", "bob", "READ")
    with pytest.raises(PermissionDenied, match=r"'bob' has READ on ann/iris; this needs WRITE\. Ask 'ann'"):
        bob.create_run("iris", owner="ann")
    client.set_permission("iris", "bob", Permission.WRITE)
    with bob.create_run("iris", "y", owner="ann") as run:
        assert run.fqn == "ann/iris/y"
        assert client.get_run(run.run_id).record.created_by == "bob"
    assert [p.name for p in bob.list_projects()] == ["iris"]


# -- a store that is away ------------------------------------------------------------------------


@pytest.mark.parametrize("error", [BackendUnavailable("no route", retry_after_s=0.01), StoreBusy("locked")])
def test_a_run_begins_without_the_store_and_is_stored_under_its_final_name(client, ended, error):
    ended("x")
    client.backend.error = error
    run = client.create_run("iris", "x", {"t": "1"})
    assert (run.run_name, run.status, len(journals(client))) == ("x", RunStatus.RUNNING, 1)
    run.log_metrics({"a": 1.0})
    run.log_params({"p": 2})
    assert not run.flush(timeout_s=0.05)
    assert run.health.state == "offline"
    client.backend.error = None
    assert run.flush()
    assert run.run_name == "x-2"
    assert (run.owner, run.record.created_by) == ("ann", "ann")
    run.log_metrics({"a": 2.0})
    run.end()
    stored = client.get_run("iris/x-2")
    assert (stored.run_id, stored.get_params(), stored.get_tags()) == (run.run_id, {"p": 2}, {"t": "1"})
    assert stored.get_metrics("a")["a"].values.tolist() == [1.0, 2.0]
    assert journals(client) == []


def test_a_run_of_which_the_store_never_heard_waits_for_the_next_process(connect, caplog):
    client = connect(end_timeout_s=0.1)
    client.backend.error = BackendUnavailable("no route", retry_after_s=3600.0)
    run = client.create_run("iris", "x")
    run.log_metrics({"a": 1.0})
    run.end("FAILED")
    assert "ann/iris/x has ended; " in caplog.text
    assert "are not stored yet (no route)" in caplog.text
    mlfoundry.shipping.shipper.stop()  # as when this process ends
    later = connect()
    stored = later.get_run("iris/x")
    assert (stored.status, stored.get_metrics("a")["a"].values.tolist()) == (RunStatus.FAILED, [1.0])
    assert journals(later) == []


def test_syncing_says_how_many_journals_are_still_on_their_way(client):
    assert client.sync() == 0


# -- finding runs --------------------------------------------------------------------------------


def test_a_run_is_found_by_id_and_by_every_form_of_its_name(client, ended):
    run = ended("x")
    for given in (run.run_id, run.run_id.upper(), "ann/iris/x", "iris/x", " iris/x\n", run, client.get_run(run.run_id)):
        found = client.get_run(given)
        assert found.run_id == run.run_id
        assert type(found) is StoredRun


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("x", InvalidName, "'x' is neither a run id (32 hex digits) nor project/run or owner/project/run"),
        ("g" * 32, InvalidName, "is neither a run id"),
        ("a/b/c/d", InvalidName, "'a/b/c/d' has 4 parts; give owner/project/run"),
        ("iris//", InvalidName, "run name '' (str) shows nothing"),
        ("", InvalidName, "a run is given as its id or as owner/project/run, not '' (str)"),
        (None, InvalidName, "a run is given as its id or as owner/project/run, not None (NoneType)"),
        (5, InvalidName, "not 5 (int)"),
        ("0" * 32, RunNotFound, "there is no run 00000000000000000000000000000000 that 'ann' may see"),
        ("iris/missing", RunNotFound, "there is no run 'missing' in ann/iris"),
        ("missing/x", ProjectNotFound, "there is no project ann/missing that 'ann' may see"),
        ("bob/iris/x", ProjectNotFound, "there is no project bob/iris that 'ann' may see. Is the owner right?"),
    ],
    ids=str,
)
def test_a_run_that_is_not_found_is_told_as_it_was_given(client, ended, given, error, message):
    ended("x")
    with pytest.raises(error) as caught:
        client.get_run(given)
    assert message in str(caught.value)


def test_a_run_of_a_project_that_is_not_shared_does_not_exist(connect, ended):
    run = ended("x")
    bob = connect("bob")
    for given in (run.run_id, "ann/iris/x"):
        with pytest.raises((RunNotFound, ProjectNotFound)):
            bob.get_run(given)


@pytest.mark.parametrize("given", ["0" * 32, "iris/x", None])
def test_a_run_that_does_not_exist_cannot_be_joined(client, given):
    with pytest.raises((RunNotFound, ProjectNotFound, InvalidName)):
        client.join_run(given)
    assert mlfoundry.open_runs() == []


# -- lists of runs -------------------------------------------------------------------------------


def test_runs_are_listed_newest_first(client, ended):
    for name in "abc":
        ended(name)
    assert [run.run_name for run in client.list_runs("iris")] == ["c", "b", "a"]
    assert [run.run_name for run in client.list_runs("ann/iris")] == ["c", "b", "a"]


def test_runs_are_searched_sorted_and_fetched_as_they_are_looked_at(client, ended):
    for i in range(7):
        ended(f"r{i}", params={"lr": i / 10}, loss=float((i * 3) % 7))
    client.backend.searches = 0
    runs = client.search_runs("iris", "metrics.loss < 6 and params.lr > 0", "metrics.loss ASC", page_size=2)
    assert client.backend.searches == 1
    assert runs[0].run_name == "r5"
    assert client.backend.searches == 1
    assert [run.run_name for run in runs[:3]] == ["r5", "r3", "r1"]
    assert client.backend.searches == 2
    assert [run.run_name for run in runs] == ["r5", "r3", "r1", "r6", "r4"]
    assert client.backend.searches == 3
    assert len(client.search_runs("iris", order_by=["params.lr DESC", "metrics.loss"])) == 7
    assert len(runs.to_pandas()) == 5


def test_only_the_values_asked_for_are_fetched(client, ended):
    ended("x", params={"lr": 0.1, "lrx": 2}, loss=1.0, acc=2.0)
    record = client.search_runs("iris", params="lr", metrics=["loss"], tags=())[0].record
    assert (dict(record.params), list(record.metrics), dict(record.tags)) == ({"lr": 0.1}, ["loss"], {})
    assert len(client.search_runs("iris")[0].record.params) == 2


def test_deleted_runs_are_seen_only_when_asked_for(client, ended):
    ended("kept")
    ended("gone").delete()
    assert [run.run_name for run in client.list_runs("iris")] == ["kept"]
    assert [run.run_name for run in client.search_runs("iris", view="deleted")] == ["gone"]
    assert len(client.search_runs("iris", view="all")) == 2
    client.search_runs("iris", view="deleted")[0].restore()
    assert len(client.list_runs("iris")) == 2


def test_a_filter_that_cannot_be_read_is_an_error_at_once(client, ended):
    ended("x")
    client.backend.searches = 0
    with pytest.raises(InvalidFilter) as caught:
        client.search_runs("iris", "metrics.loss is 3")
    assert "^" in str(caught.value)
    assert client.backend.searches == 0
    for how in ({"order_by": "loss"}, {"filter": 5}, {"order_by": "metrics.loss SIDEWAYS"}):
        with pytest.raises(InvalidFilter):
            client.search_runs("iris", **how)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"page_size": 0}, "page_size is 0 (int); a page has 1 to 10,000 runs"),
        ({"page_size": 10_001}, "page_size is 10001 (int); a page has 1 to 10,000 runs"),
        ({"page_size": None}, "page_size is None (NoneType); a page has 1 to 10,000 runs"),
        ({"page_size": 2.0}, "page_size is 2.0 (float); a page has 1 to 10,000 runs"),
        ({"order_by": 5}, "order_by is 5 (int); give a name as text, or a list of them"),
        ({"params": ["lr", 5]}, "params is ['lr', 5] (list); give a name as text"),
        ({"view": "every"}, "view is 'every' (str); give one of active, deleted, all"),
    ],
)
def test_a_wrong_way_to_search_is_an_error_at_once(client, ended, how, message):
    ended("x")
    with pytest.raises(InvalidInput, match=re.escape(message)):
        client.search_runs("iris", **how)


def test_who_only_looks_makes_no_store(tmp_path):
    typo = mlfoundry.get_client(tmp_path / "typo" / "store", user="ann")
    assert typo.list_projects() == []
    for look in (lambda: typo.list_runs("iris"), lambda: typo.get_run("iris/svm"), lambda: typo.get_project("iris")):
        with pytest.raises(ProjectNotFound, match=r"no project ann/iris .* nothing was ever kept in .*typo/store\. Is"):
            look()
    with pytest.raises(RunNotFound):
        typo.get_run("0" * 32)
    with pytest.raises(InvalidName):
        typo.get_project("a\0b")
    assert list(tmp_path.iterdir()) == []
    with typo.create_run("iris", "svm", capture=False, log_system_metrics=False):
        pass
    assert len(typo.list_runs("iris")) == 1


def test_no_filter_is_none_as_well_as_empty(client, ended):
    ended("x")
    assert len(client.search_runs("iris", None)) == 1


@pytest.mark.parametrize("which", ["log_system_metrics", "capture"])
def test_a_switch_of_a_run_that_is_neither_on_nor_off_makes_no_run(client, which):
    with pytest.raises(InvalidInput, match=f"{which} is 'maybe'; give 1 or 0"):
        client.create_run("iris", "svm", **{which: "maybe"})
    assert client.list_projects() == []


def test_the_caption_tells_what_was_asked(client, ended):
    ended("x", loss=1.0)
    assert repr(client.list_runs("iris")).startswith("1 run of ann/iris\n")
    assert repr(client.search_runs("iris", "metrics.loss > 5")) == "No runs of ann/iris where metrics.loss > 5"
    with pytest.raises(ProjectNotFound):
        client.list_runs("missing")


def test_runs_are_compared_as_handles_ids_and_names(client, ended):
    a = ended("a", params={"lr": 0.1, "same": 1}, loss=0.5)
    ended("b", params={"lr": 0.2, "same": 1}, acc=0.9)
    comparison = client.compare_runs([a, a.run_id, "iris/b"])
    assert [run.run_name for run in comparison.runs] == ["a", "a", "b"]
    assert comparison.differing == ["lr"]
    assert comparison.metrics == {"acc": [None, None, 0.9], "loss": [0.5, 0.5, None]}
    with pytest.raises(InvalidInput, match="compare_runs needs at least one run"):
        client.compare_runs([])
    with pytest.raises(InvalidInput, match=r"takes a list of runs, of their ids or of owner/project/run, not None"):
        client.compare_runs(None)
    assert [run.run_name for run in client.compare_runs(a).runs] == ["a"]


# -- projects ------------------------------------------------------------------------------------


def test_projects_tell_their_counts_the_one_with_the_newest_run_first(client, ended):
    assert client.list_projects() == []
    assert "client.create_run('my-project')" in repr(client.list_projects())
    ended("a", project="one")
    ended("b", project="two")
    with client.create_run("one") as run:
        projects = client.list_projects()
        assert [(p.name, p.run_count, p.running_count) for p in projects] == [("one", 2, 1), ("two", 1, 0)]
        assert projects[0].last_run_at == run.started_at
    project = client.get_project("one")
    assert project == client.get_project("ann/one") == client.get_project("one", owner="ann")
    assert (project.owner, project.permission, project.collaborator_count) == ("ann", Permission.ADMIN, 1)


@pytest.mark.parametrize("name", ["missing", "bob/one", "", "a/b/c", None])
def test_a_project_that_is_not_found_is_told(client, name):
    with pytest.raises((ProjectNotFound, InvalidName)):
        client.get_project(name)


def test_a_deleted_project_is_gone_with_its_runs_and_its_name_is_free(client, ended):
    run = ended("x")
    client.delete_project("iris")
    assert client.list_projects() == []
    with pytest.raises(RunNotFound):
        client.get_run(run.run_id)
    assert ended("x").run_name == "x"
    with pytest.raises(ProjectNotFound):
        client.delete_project("missing")


# -- collaborators -------------------------------------------------------------------------------


def test_collaborators_are_added_changed_and_removed(client, ended):
    ended("x")
    client.add_collaborator("iris", "bob")
    client.add_collaborator("ann/iris", "eve", "write")
    client.set_permission("iris", "eve", Permission.ADMIN, owner="ann")
    people = client.list_collaborators("iris")
    assert [(p.user, p.permission, p.is_owner) for p in people] == [
        ("ann", Permission.ADMIN, True),
        ("eve", Permission.ADMIN, False),
        ("bob", Permission.READ, False),
    ]
    client.remove_collaborator("iris", "bob")
    assert [p.user for p in client.list_collaborators("iris")] == ["ann", "eve"]


def test_collaborators_may_leave_by_themselves(client, connect, ended):
    ended("x")
    client.add_collaborator("iris", "bob", "READ")
    bob = connect("bob")
    with pytest.raises(PermissionDenied, match="this needs ADMIN"):
        bob.remove_collaborator("iris", "eve", owner="ann")
    bob.remove_collaborator("iris", "bob", owner="ann")
    with pytest.raises(ProjectNotFound):
        bob.get_project("iris", owner="ann")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            lambda c: c.add_collaborator("iris", "bob", "boss"),
            InvalidInput,
            "permission is 'boss' (str); give one of READ, WRITE",
        ),
        (
            lambda c: c.add_collaborator("iris", "bob", 7),
            InvalidInput,
            "permission is 7 (int); give one of READ, WRITE, ADMIN",
        ),
        (lambda c: c.add_collaborator("iris", "bob", None), InvalidInput, "permission is None (NoneType); give one of"),
        (lambda c: c.add_collaborator("iris", "a/b"), InvalidName, "user name 'a/b'"),
        (
            lambda c: c.add_collaborator("iris", "eve"),
            InvalidInput,
            "'eve' is a collaborator of ann/iris already, with WRITE",
        ),
        (
            lambda c: c.set_permission("iris", "bob", "READ"),
            CollaboratorNotFound,
            "To add them: add_collaborator",
        ),
        (lambda c: c.remove_collaborator("iris", "bob"), CollaboratorNotFound, "'bob' is no collaborator of ann/iris"),
        (lambda c: c.set_permission("iris", "ann", "READ"), LastAdmin, "'ann' owns ann/iris and always has ADMIN"),
        (lambda c: c.remove_collaborator("iris", "ann"), LastAdmin, "that cannot be taken away"),
        (lambda c: c.add_collaborator("missing", "bob"), ProjectNotFound, "there is no project ann/missing"),
    ],
)
def test_a_wrong_change_of_collaborators_changes_nothing(client, ended, change, error, message):
    ended("x")
    client.add_collaborator("iris", "eve", "WRITE")
    with pytest.raises(error) as caught:
        change(client)
    assert message in str(caught.value)
    assert [(p.user, p.permission.name) for p in client.list_collaborators("iris")] == [
        ("ann", "ADMIN"),
        ("eve", "WRITE"),
    ]


# -- the client itself ---------------------------------------------------------------------------


def test_a_project_of_another_owner_is_named_in_one_word_too(client, connect):
    client.create_run("iris").end()
    client.add_collaborator("iris", "eve", "WRITE")
    with connect("eve") as eve, eve.create_run("ann/iris", "hers") as run:
        assert run.fqn == "ann/iris/hers"


def test_a_closed_client_can_be_used_again_and_leaves_its_runs_open(client):
    run = client.create_run("iris")
    with client:
        run.log_metrics({"a": 1.0})
    run.log_metrics({"a": 2.0})
    run.end()
    assert list(client.get_run(run.run_id).get_metrics()["a"].values) == [1.0, 2.0]


# -- what a run records by itself ----------------------------------------------------------------


def test_system_metrics_are_sampled_from_the_beginning_to_the_end_unless_told_otherwise(client):
    with client.create_run("iris", log_system_metrics=True) as run:
        assert isinstance(run, Run)
    assert run.get_system_metrics()
    assert run._observation.cpu_s > 0
    with client.create_run("iris", log_system_metrics=False) as run:
        assert run.health.state in ("ok", "behind")
    assert run.get_system_metrics() == {}


def test_the_surroundings_are_captured_when_wanted(client):
    with client.create_run("iris", capture=True) as run:
        run.log_metrics({"a": 1.0})
    assert any("python" in name for name in run.get_facts())
    with client.create_run("iris", capture=False) as run:
        pass
    assert not any("python" in name for name in run.get_facts())


def test_an_interrupt_after_a_run_was_made_leaves_no_run_that_runs_for_ever(client, monkeypatch):
    make = client.backend.create_run

    def interrupted(new):
        make(new)
        raise KeyboardInterrupt

    monkeypatch.setattr(client.backend, "create_run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        client.create_run("iris", "svm", log_system_metrics=False, capture=False)
    monkeypatch.undo()
    client.sync(10)
    assert client.get_run("iris/svm").status is RunStatus.KILLED


@pytest.fixture
def interrupt(monkeypatch):
    """Interrupt the next call of one of our functions, before or after it has done its work."""

    def arm(name, *, is_before):
        do, is_over = pkgutil.resolve_name(f"mlfoundry.{name}"), []

        def interrupted(*args, **named):
            done = None if is_before and not is_over else do(*args, **named)
            if not is_over:
                is_over.append(True)
                raise KeyboardInterrupt
            return done

        monkeypatch.setattr(f"mlfoundry.{name}", interrupted)

    return arm


@pytest.mark.parametrize("moment", ["journal.Journal.open", "journal.Journal.write", "shipping.shipper.Shipper.add"])
@pytest.mark.parametrize("is_before", [True, False])
def test_an_interrupt_while_a_run_begins_leaves_no_run_that_runs_for_ever(client, interrupt, moment, is_before):
    interrupt(moment, is_before=is_before)
    with pytest.raises(KeyboardInterrupt):
        client.create_run("iris", "svm", log_system_metrics=False, capture=False)
    assert open_runs() == []
    client.sync(10)
    runs = [] if moment == "journal.Journal.open" else client.list_runs("iris")
    assert [run.status for run in runs] == [RunStatus.KILLED] * len(runs)
    assert [project.run_count for project in client.list_projects()] == [1] * len(runs)


@pytest.mark.parametrize("moment", ["journal.Journal.open", "shipping.shipper.Shipper.add"])
@pytest.mark.parametrize("is_before", [True, False])
def test_an_interrupt_while_a_run_is_joined_leaves_no_handle_that_keeps_it_alive(client, interrupt, moment, is_before):
    with client.create_run("iris", "svm", log_system_metrics=False, capture=False) as run:
        interrupt(moment, is_before=is_before)
        with pytest.raises(KeyboardInterrupt):
            client.join_run(run.run_id)
        assert open_runs() == [run]
    client.sync(10)
    assert client.get_run(run.run_id).status is RunStatus.FINISHED


def test_a_run_that_was_given_up_is_asked_for_again_and_can_be_joined(client):
    with client.create_run("iris", "svm", log_system_metrics=False, capture=False) as run:
        run.flush()
        with client.backend.database.write() as tx:
            given_up = "UPDATE run SET status = 'KILLED', error = ?, ended_at = last_seen_at, lost_at = last_seen_at"
            tx.run(given_up, (f"{LOST}nothing was heard of it",))
        stored = client.get_run("iris/svm")
        assert (stored.status, stored.record.is_lost) == (RunStatus.KILLED, True)
        with client.join_run("iris/svm") as joined:
            joined.log_metrics({"a": 1.0})
        assert stored.status is RunStatus.RUNNING


# -- what was perhaps meant ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ask", "meant"),
    [
        (lambda client: client.get_run("iris/svn-model"), "iris/svm-model"),
        (lambda client: client.get_run("irsi/svm-model"), "ann/iris"),
        (lambda client: client.get_run("svm-model"), "ann/iris/svm-model"),
        (lambda client: client.join_run("ann/iris/svm-modle"), "ann/iris/svm-model"),
        (lambda client: client.get_project("irsi"), "ann/iris"),
        (lambda client: client.get_project("bob/iris"), "ann/iris"),
        (lambda client: client.list_runs("Iris"), "ann/iris"),
        (lambda client: client.list_collaborators("irsi"), "ann/iris"),
        (lambda client: client.get_run("iris/zzz"), None),
        (lambda client: client.get_project("zzz"), None),
        (lambda client: client.get_run("0" * 32), None),
    ],
)
def test_a_name_that_is_not_there_is_an_error_with_what_was_perhaps_meant(client, ended, ask, meant):
    ended("svm-model")
    with pytest.raises((NotFound, InvalidName)) as caught:
        ask(client)
    assert str(caught.value).endswith(f" Did you mean {meant}?") is (meant is not None)
    assert str(caught.value).count("Did you mean") == (meant is not None)


def test_a_project_that_one_may_not_see_is_never_meant(client, connect, ended):
    ended("svm-model")
    with pytest.raises(ProjectNotFound) as caught:
        connect(user="eve").get_run("ann/iriss/svm-model")
    assert "Did you mean" not in str(caught.value)


def test_of_a_metric_that_a_run_does_not_have_a_warning_tells_once_what_was_perhaps_meant(client, ended, caplog):
    run = client.get_run(ended("svm", **{"loss": 0.5, "val/accuracy": 0.9}).run_id)
    for _ in range(3):
        assert len(run.get_metrics("los", "loss")["los"].values) == 0
    assert caplog.messages == ["ann/iris/svm has no points of a metric 'los'. Did you mean loss?"]
    run.get_metrics("accuracy")
    assert caplog.messages[-1].endswith("Did you mean val/accuracy?")
    told = len(caplog.messages)
    run.get_metrics("nothing like it")
    assert len(caplog.messages) == told


def test_one_run_alone_is_shown_with_all_its_params(client, ended):
    run = ended("svm", params={"C": 1.0, "kernel": "rbf"})
    told = repr(client.compare_runs([run]))
    assert told.startswith("1 run, metrics by last value\n")
    assert "param kernel" in told


def test_a_client_of_a_server_that_has_not_told_the_name_says_none():
    client = mlfoundry.get_client("http://127.0.0.1:9", api_key="mlf_x")
    assert repr(client) == "Client(tracking_uri='http://127.0.0.1:9')"


def test_whose_a_run_is_that_began_without_its_server_is_not_guessed(caplog):
    client = mlfoundry.get_client("http://127.0.0.1:9", api_key="mlf_x", end_timeout_s=0.0, user="login-name")
    run = client.create_run("iris", "x", log_system_metrics=False, capture=False)
    assert (run.owner, run.fqn) == ("?", "iris/x")
    run.end()
    assert " iris/x has ended" in caplog.text
