"""Who may do what: every verb of the protocol for everybody from the owner to a stranger."""

from __future__ import annotations

import inspect
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from mlfoundry.errors import (
    CollaboratorNotFound,
    InvalidInput,
    InvalidName,
    LastAdmin,
    PermissionDenied,
    ProjectNotFound,
    RunNotFound,
)
from mlfoundry.records import Batch, NewRun, Permission, RunChanges, RunKey, RunQuery, SeriesQuery
from mlfoundry.tracking.backend import Backend

READ, WRITE, ADMIN = Permission.READ, Permission.WRITE, Permission.ADMIN
NO_ID, NO_RUN = 4_611_686_018_427_387_904, "0123456789abcdef" * 2


@dataclass(frozen=True)
class Place:
    """What a verb is tried on: a run of Ann's with a little of everything, or nothing at all."""

    project_id: int
    project_name: str
    run: RunKey
    run_name: str
    new_run_id: str


@dataclass(frozen=True)
class Verb:
    """A verb of the protocol, the level that it needs, and the error of those who may not see."""

    needs: Permission
    hidden: type[Exception]
    call: Callable[[Backend, Place], Any]


VERBS = {
    "create_run": Verb(
        WRITE,
        ProjectNotFound,
        lambda b, p: b.create_run(NewRun(p.new_run_id, p.project_name, "new", "ann", {}, "", 1)),
    ),
    "ingest": Verb(WRITE, RunNotFound, lambda b, p: b.ingest(Batch(p.run, 77, 0, 0, b"", {}))),
    "acked": Verb(READ, RunNotFound, lambda b, p: b.acked(p.run, 77)),
    "get_project": Verb(READ, ProjectNotFound, lambda b, p: b.get_project("ann", p.project_name)),
    "delete_project": Verb(ADMIN, ProjectNotFound, lambda b, p: b.delete_project(p.project_id)),
    "list_keys": Verb(READ, ProjectNotFound, lambda b, p: b.list_keys(p.project_id, "metric")),
    "get_run": Verb(READ, RunNotFound, lambda b, p: b.get_run(p.run.run_id)),
    "get_run_by_name": Verb(READ, ProjectNotFound, lambda b, p: b.get_run_by_name("ann", p.project_name, p.run_name)),
    "search_runs": Verb(READ, ProjectNotFound, lambda b, p: b.search_runs(RunQuery(p.project_id))),
    "update_run": Verb(WRITE, RunNotFound, lambda b, p: b.update_run(p.run, RunChanges(description="new"))),
    "delete_run": Verb(ADMIN, RunNotFound, lambda b, p: b.delete_run(p.run)),
    "restore_run": Verb(ADMIN, RunNotFound, lambda b, p: b.restore_run(p.run)),
    "get_facts": Verb(READ, RunNotFound, lambda b, p: b.get_facts(p.run)),
    "read_series": Verb(READ, RunNotFound, lambda b, p: b.read_series(SeriesQuery(p.run))),
    "list_collaborators": Verb(READ, ProjectNotFound, lambda b, p: b.list_collaborators(p.project_id)),
    "set_permission": Verb(
        ADMIN, ProjectNotFound, lambda b, p: b.set_permission(p.project_id, "newcomer", READ, new=None)
    ),
    "remove_collaborator": Verb(ADMIN, ProjectNotFound, lambda b, p: b.remove_collaborator(p.project_id, "bystander")),
    "put_artifact": Verb(WRITE, RunNotFound, lambda b, p: b.put_artifact(p.run, "new.txt", io.BytesIO(b"new"))),
    "list_artifacts": Verb(READ, RunNotFound, lambda b, p: b.list_artifacts(p.run)),
    "open_artifact": Verb(READ, RunNotFound, lambda b, p: b.open_artifact(p.run, "a.txt").close()),
}
FREE = {"list_projects", "on_behalf_of", "end_unheard", "close"}
ROLES = {"ann": ADMIN, "ada": ADMIN, "wes": WRITE, "rob": READ, "rex": None, "sam": None}
NAMED = {"ann": "owner", "ada": "ADMIN", "wes": "WRITE", "rob": "READ", "rex": "removed", "sam": "stranger"}


@pytest.fixture
def place(make_run, pen, backend) -> Place:
    """A run of Ann's; Ada, Wes and Rob have a level each, Rex had one."""
    run = make_run("svm")
    pen(run).points("loss", [1.0, 0.5]).params(lr=("float", "0.1")).send()
    backend.put_artifact(run.key, "a.txt", io.BytesIO(b"text"))
    project_id = run.key.project_id
    for user, level in (("ada", ADMIN), ("wes", WRITE), ("rob", READ), ("rex", ADMIN), ("bystander", READ)):
        backend.set_permission(project_id, user, level, new=True)
    backend.remove_collaborator(project_id, "rex")
    return Place(project_id, "iris", run.key, "svm", "f" * 32)


def everything(backend: Backend, place: Place) -> object:
    """Return all that can be seen of the place."""
    people = backend.list_collaborators(place.project_id)
    run = backend.get_run(place.run.run_id)
    return people, run, backend.get_project("ann", "iris"), backend.list_artifacts(place.run)


def test_every_verb_of_the_protocol_has_a_line_in_the_matrix():
    verbs = {name for name, _ in inspect.getmembers(Backend, inspect.isfunction) if not name.startswith("_")}
    assert verbs - FREE == set(VERBS)


@pytest.mark.parametrize("user", ROLES, ids=NAMED.get)
@pytest.mark.parametrize("name", VERBS)
def test_each_verb_does_its_work_or_says_exactly_why_not(place, backends, name, user):
    verb, held, ann = VERBS[name], ROLES[user], backends("ann")
    before = everything(ann, place)
    if held is None:
        with pytest.raises(verb.hidden) as hidden:
            verb.call(backends(user), place)
        assert type(hidden.value) is verb.hidden
    elif held < verb.needs:
        wanted = rf"^'{user}' has {held.name} on ann/iris; this needs {verb.needs.name}\. Ask 'ann'"
        with pytest.raises(PermissionDenied, match=wanted):
            verb.call(backends(user), place)
    else:
        verb.call(backends(user), place)
        return
    assert everything(ann, place) == before, "a refusal changes nothing"


@pytest.mark.parametrize("user", ["rex", "sam"], ids=["removed", "stranger"])
@pytest.mark.parametrize("name", VERBS)
def test_who_may_not_see_a_project_cannot_tell_it_from_a_missing_one(place, backends, name, user):
    missing = Place(NO_ID, "nowhere", RunKey(NO_ID, NO_RUN), "nothing", "e" * 32)
    told = []
    for each in (place, missing, Place(place.project_id, "iris", RunKey(place.project_id, NO_RUN), "none", "d" * 32)):
        with pytest.raises((ProjectNotFound, RunNotFound)) as caught:
            VERBS[name].call(backends(user), each)
        words = [str(each.project_id), each.project_name, each.run.run_id, each.run_name]
        text = re.sub("|".join(map(re.escape, words)), "…", str(caught.value))
        told.append((type(caught.value), text, caught.value.__cause__))
    assert told[0] == told[1] == told[2]


@pytest.mark.parametrize("name", [name for name, verb in VERBS.items() if verb.hidden is RunNotFound])
def test_a_run_cannot_be_reached_through_a_project_of_ones_own(place, make_run, backends, wish, name):
    own = backends("sam").create_run(wish("mine", project="sams"))
    run = RunKey(own.key.project_id, place.run.run_id)
    if name == "get_run":
        return
    with pytest.raises(RunNotFound):
        VERBS[name].call(backends("sam"), Place(own.key.project_id, "sams", run, "svm", "f" * 32))


@pytest.mark.parametrize(("user", "seen"), [("ann", 1), ("ada", 1), ("wes", 1), ("rob", 1), ("rex", 0), ("sam", 0)])
def test_a_list_of_projects_holds_those_that_one_may_read(place, backends, user, seen):
    assert len(backends(user).list_projects()) == seen


def test_a_removed_member_loses_access_at_once(place, backends):
    wes = backends("wes")
    assert wes.get_run(place.run.run_id).run_name == "svm"
    backends("ada").remove_collaborator(place.project_id, "wes")
    with pytest.raises(RunNotFound):
        wes.get_run(place.run.run_id)
    with pytest.raises(RunNotFound):
        wes.ingest(Batch(place.run, 77, 0, 0, b"", {}))


def test_a_changed_permission_counts_at_once(place, backends):
    rob = backends("rob")
    backends("ann").set_permission(place.project_id, "rob", WRITE, new=False)
    assert rob.update_run(place.run, RunChanges(description="by rob")).description == "by rob"
    backends("ann").set_permission(place.project_id, "rob", READ, new=False)
    with pytest.raises(PermissionDenied):
        rob.update_run(place.run, RunChanges(description="again"))


def test_with_write_one_deletes_and_restores_ones_own_runs_alone(place, backends, wish):
    wes = backends("wes")
    own = wes.create_run(wish("mine", owner="ann"))
    wes.delete_run(own.key)
    assert wes.restore_run(own.key).deleted_at is None
    with pytest.raises(PermissionDenied, match="needs ADMIN"):
        wes.delete_run(place.run)
    backends("ada").delete_run(own.key)


def test_with_read_one_no_longer_deletes_even_ones_own_runs(place, backends, wish):
    own = backends("wes").create_run(wish("mine", owner="ann"))
    backends("ann").set_permission(place.project_id, "wes", READ, new=False)
    with pytest.raises(PermissionDenied, match="has READ on ann/iris; this needs WRITE"):
        backends("wes").delete_run(own.key)


@pytest.mark.parametrize("user", ["ann", "ada"])
def test_the_owner_always_has_admin(place, backends, user):
    backend = backends(user)
    for level in (READ, WRITE):
        with pytest.raises(LastAdmin, match="'ann' owns ann/iris and always has ADMIN"):
            backend.set_permission(place.project_id, "ann", level, new=None)
    with pytest.raises(LastAdmin, match="'ann' owns ann/iris"):
        backend.remove_collaborator(place.project_id, "ann")
    backend.set_permission(place.project_id, "ann", ADMIN, new=None)
    assert backends("ann").get_project(None, "iris").permission is ADMIN


def test_everybody_may_leave(place, backends):
    for user in ("rob", "wes", "ada"):
        backends(user).remove_collaborator(place.project_id, user)
        assert backends(user).list_projects() == []
    assert [person.user for person in backends("ann").list_collaborators(place.project_id)] == ["ann", "bystander"]


def test_people_come_owner_first_then_by_level_and_name(place, backends):
    people = backends("rob").list_collaborators(place.project_id)
    assert [(person.user, person.permission, person.is_owner) for person in people] == [
        ("ann", ADMIN, True),
        ("ada", ADMIN, False),
        ("wes", WRITE, False),
        ("bystander", READ, False),
        ("rob", READ, False),
    ]


def test_adding_somebody_who_is_there_and_changing_somebody_who_is_not_are_errors(place, backends):
    ann = backends("ann")
    with pytest.raises(InvalidInput, match="'rob' is a collaborator of ann/iris already, with READ"):
        ann.set_permission(place.project_id, "rob", ADMIN, new=True)
    with pytest.raises(CollaboratorNotFound, match="'sam' is no collaborator of ann/iris"):
        ann.set_permission(place.project_id, "sam", ADMIN, new=False)
    with pytest.raises(CollaboratorNotFound, match="'sam' is no collaborator"):
        ann.remove_collaborator(place.project_id, "sam")
    assert backends("rob").get_project("ann", "iris").permission is READ
    assert backends("sam").list_projects() == []


def test_a_changed_permission_keeps_the_day_of_the_first(place, backends):
    def since() -> object:
        return {p.user: p.added_at for p in backends("ann").list_collaborators(place.project_id)}["rob"]

    before = since()
    backends("ann").set_permission(place.project_id, "rob", ADMIN, new=False)
    assert since() == before


@pytest.mark.parametrize("name", ["", "a/b", " x", "a\nb", "x" * 129])
def test_a_name_that_is_no_user_is_refused(place, backends, name):
    with pytest.raises(InvalidName, match="user name"):
        backends("ann").set_permission(place.project_id, name, READ, new=None)


def test_the_client_takes_levels_by_name_and_says_which_there_are(client, as_user):
    with client.create_run("iris"):
        pass
    client.add_collaborator("iris", "bob", "write")
    assert as_user("bob").get_project("ann/iris").permission is WRITE
    client.set_permission("iris", "bob", "READ")
    with pytest.raises(PermissionDenied, match="'bob' has READ on ann/iris; this needs WRITE"):
        as_user("bob").create_run("iris", owner="ann")
    with pytest.raises(InvalidInput, match="READ, WRITE, ADMIN"):
        client.set_permission("iris", "bob", "OWNER")
    client.remove_collaborator("iris", "bob")
    with pytest.raises(ProjectNotFound):
        as_user("bob").get_project("ann/iris")
