"""Projects: identified by owner and name, made on first use, counted, deleted whole."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import pytest

from mlfoundry.errors import InvalidInput, NotFound, ProjectNotFound, RunNotFound
from mlfoundry.records import Permission, RunChanges, RunKey, RunQuery

SECOND = 1_000_000


def test_the_first_run_makes_the_project_under_the_caller(backend, wish):
    run = backend.create_run(wish("svm"))
    project = backend.get_project(None, "iris")
    assert (project.owner, project.name, project.permission) == ("ann", "iris", Permission.ADMIN)
    assert run.key.project_id == project.project_id
    assert (run.owner, run.project_name, run.created_by, run.status.value) == ("ann", "iris", "ann", "RUNNING")


def test_the_second_run_uses_the_project_that_is_there(make_run, backend):
    assert make_run().key.project_id == make_run().key.project_id
    assert len(backend.list_projects()) == 1


def test_naming_oneself_as_owner_is_the_same_as_naming_nobody(make_run):
    assert make_run(owner="ann").key.project_id == make_run().key.project_id


def test_two_users_have_each_a_project_of_one_name(backends, wish):
    ann, bob = (backends(user).create_run(wish("svm")) for user in ("ann", "bob"))
    assert ann.key.project_id != bob.key.project_id
    assert [project.owner for project in backends("bob").list_projects()] == ["bob"]


@pytest.mark.parametrize("owner", ["Ann", "anne", "bob", "ann "])
def test_a_typo_in_the_owner_is_an_error_that_says_so_and_makes_nothing(make_run, backends, wish, owner):
    make_run()
    carl = backends("carl")
    with pytest.raises((ProjectNotFound, InvalidInput)) as caught:
        carl.create_run(wish("svm", owner=owner))
    assert owner.strip() in str(caught.value)
    for user in ("ann", "bob", "carl", owner.strip()):
        assert sum(project.run_count for project in backends(user).list_projects()) == (user == "ann")


def test_the_error_for_a_wrong_owner_says_what_was_looked_for_and_asks_about_the_owner(backends, wish):
    with pytest.raises(ProjectNotFound, match=r"no project bob/iris that 'carl' may see.*Is the owner right\?"):
        backends("carl").create_run(wish("svm", owner="bob"))


def test_a_project_that_is_not_there_is_an_error_that_names_it(backend):
    with pytest.raises(ProjectNotFound, match="no project ann/irsi"):
        backend.get_project(None, "irsi")


def test_threads_that_make_one_project_at_once_make_one(backend, wish):
    with ThreadPoolExecutor(8) as threads:
        made = set(threads.map(lambda number: backend.create_run(wish(f"r{number}")).key.project_id, range(24)))
    assert len(made) == 1
    assert backend.get_project(None, "iris").run_count == 24


def test_projects_come_by_their_newest_run_newest_first(make_run, backend, wish):
    for at, project in ((3, "old"), (9, "new"), (5, "middle")):
        make_run(project=project, started_at_us=at * SECOND)
    assert [project.name for project in backend.list_projects()] == ["new", "middle", "old"]
    make_run(project="old", started_at_us=20 * SECOND)
    assert [project.name for project in backend.list_projects()] == ["old", "new", "middle"]


def test_a_project_counts_its_runs_those_that_run_and_its_people(make_run, pen, backend):
    runs = [make_run() for _ in range(5)]
    pen(runs[0]).end().send()
    backend.delete_run(runs[1].key)
    project_id = runs[0].key.project_id
    backend.set_permission(project_id, "bob", Permission.READ, new=True)
    (project,) = backend.list_projects()
    assert (project.run_count, project.running_count, project.collaborator_count) == (4, 3, 2)
    assert project == backend.get_project("ann", "iris")
    assert project.last_run_at == max(run.started_at for run in runs)


def test_a_project_counts_as_many_runs_as_there_are_whatever_becomes_of_them(make_run, backend, wish):
    first, second = make_run(name="svm"), make_run(name="svm")

    def count():
        (project,) = backend.list_projects()
        assert project.run_count == len(backend.search_runs(RunQuery(project.project_id)).runs)
        return project.run_count

    assert count() == 2
    backend.create_run(wish("svm", run_id=first.key.run_id))  # is there already
    assert count() == 2
    for _ in range(2):
        backend.delete_run(first.key)
        assert count() == 1
    backend.create_run(wish("svm", run_id=first.key.run_id))  # is there, deleted
    backend.update_run(second.key, RunChanges(run_name="tree"))
    assert count() == 1
    for _ in range(2):
        backend.restore_run(first.key)
        assert count() == 2
    make_run(name="svm")
    assert count() == 3


def test_the_newest_run_of_a_project_is_one_that_is_not_deleted(make_run, backend):
    older, newer = (make_run(started_at_us=at * SECOND) for at in (3, 9))
    backend.delete_run(newer.key)
    (project,) = backend.list_projects()
    assert project.last_run_at == older.started_at


def test_a_project_without_runs_has_no_newest_run(make_run, backend):
    backend.delete_run(make_run().key)
    (project,) = backend.list_projects()
    assert (project.run_count, project.running_count, project.last_run_at) == (0, 0, None)


def test_each_member_sees_the_project_with_the_permission_of_its_own(make_run, backend, backends):
    project_id = make_run().key.project_id
    for user, level in (("rob", Permission.READ), ("wes", Permission.WRITE), ("ada", Permission.ADMIN)):
        backend.set_permission(project_id, user, level, new=True)
        assert [(p.project_id, p.permission) for p in backends(user).list_projects()] == [(project_id, level)]
        assert backends(user).get_project("ann", "iris").permission is level


def test_names_of_metrics_params_and_tags_are_listed_by_kind(make_run, pen, backend):
    run = make_run(tags={"stage": "dev"})
    pen(run).row({"loss": 1.0, "acc": 0.5}).point("system/cpu", 3.0).params(lr=("float", "0.1")).tags(team="x").send()
    project_id = run.key.project_id
    assert backend.list_keys(project_id, "metric") == ["acc", "loss"]
    assert backend.list_keys(project_id, "system") == ["system/cpu"]
    assert backend.list_keys(project_id, "param") == ["lr"]
    assert backend.list_keys(project_id, "tag") == ["stage", "team"]


def test_a_kind_of_names_that_does_not_exist_is_an_error(make_run, backend):
    with pytest.raises(InvalidInput, match="nonsense"):
        backend.list_keys(make_run().key.project_id, "nonsense")


def test_deleting_a_project_removes_all_of_it_and_nothing_of_any_other(make_run, pen, backend, backends):
    gone, kept = make_run(project="gone"), make_run(project="kept")
    for run in (gone, kept):
        pen(run).points("loss", [1.0, 2.0]).params(lr=("float", "0.1")).tags(a="b").end().send()
        backend.put_artifact(run.key, "model.bin", io.BytesIO(b"the same bytes"))
        backend.set_permission(run.key.project_id, "bob", Permission.WRITE, new=True)
    before = backend.get_run(kept.key.run_id)

    backend.delete_project(gone.key.project_id)

    assert [project.name for project in backend.list_projects()] == ["kept"]
    assert [project.name for project in backends("bob").list_projects()] == ["kept"]
    for look in (
        lambda: backend.get_run(gone.key.run_id),
        lambda: backend.get_run_by_name(None, "gone", "run"),
        lambda: backend.search_runs(RunQuery(gone.key.project_id)),
        lambda: backend.list_keys(gone.key.project_id, "metric"),
        lambda: backend.open_artifact(gone.key, "model.bin"),
        lambda: backend.get_facts(gone.key),
        lambda: pen(gone).point("loss", 1.0).send(),
        lambda: backend.delete_project(gone.key.project_id),
    ):
        with pytest.raises(NotFound):
            look()
    assert backend.get_run(kept.key.run_id) == before
    with backend.open_artifact(kept.key, "model.bin") as file:
        assert file.read() == b"the same bytes"


def test_a_deleted_project_is_made_anew_and_empty_under_its_name(make_run, pen, backend, backends):
    first = make_run()
    pen(first).point("loss", 1.0).send()
    backend.set_permission(first.key.project_id, "bob", Permission.ADMIN, new=True)
    backend.delete_project(first.key.project_id)
    second = make_run()
    assert second.key.project_id != first.key.project_id
    assert backend.list_keys(second.key.project_id, "metric") == []
    assert [person.user for person in backend.list_collaborators(second.key.project_id)] == ["ann"]
    assert backends("bob").list_projects() == []


def test_the_id_of_a_run_of_a_deleted_project_is_free(make_run, backend):
    run = make_run()
    backend.delete_project(run.key.project_id)
    assert make_run(project="other", run_id=run.key.run_id).key.run_id == run.key.run_id


@pytest.mark.parametrize("run_id", ["", "zz", "0" * 31, "0" * 33, "0" * 31 + "g", "0" * 31 + "é"])
def test_an_id_that_is_none_is_no_run_and_makes_none(make_run, backend, wish, run_id):
    project_id = make_run().key.project_id
    with pytest.raises((RunNotFound, InvalidInput)):
        backend.get_run(run_id)
    with pytest.raises((RunNotFound, InvalidInput)):
        backend.get_facts(RunKey(project_id, run_id))
    with pytest.raises(InvalidInput):
        backend.create_run(wish("svm", project="fresh", run_id=run_id))
    assert len(backend.list_projects()) == 1


@pytest.mark.parametrize("project_id", [0, -1, 2**63 - 1, 2**63, 2**80])
def test_a_number_that_is_no_project_is_not_found(make_run, backend, project_id):
    run = make_run()
    with pytest.raises(ProjectNotFound):
        backend.list_keys(project_id, "metric")
    with pytest.raises(RunNotFound):
        backend.get_facts(RunKey(project_id, run.key.run_id))


def test_a_client_says_the_projects_of_its_user(client, as_user):
    with client.create_run("iris"):
        pass
    assert [project.name for project in client.list_projects()] == ["iris"]
    assert client.get_project("ann/iris") == client.get_project("iris") == client.get_project("iris", owner="ann")
    assert list(as_user("bob").list_projects()) == []
    client.delete_project("iris")
    assert list(client.list_projects()) == []
