"""What happens at once on one PostgreSQL, from two servers: somebody is always in charge, and nothing is half-done."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from mlfoundry import slots
from mlfoundry.errors import (
    InvalidInput,
    LastAdmin,
    MlfoundryError,
    PermissionDenied,
    ProjectNotFound,
    RunDeleted,
    RunNotFound,
    StoreBusy,
)
from mlfoundry.records import Batch, Permission, RunKey
from mlfoundry.store.artifacts import ArtifactFolder
from mlfoundry.store.postgres import PostgresDatabase
from mlfoundry.tracking import attempts
from mlfoundry.tracking.accounts import AccountService
from mlfoundry.tracking.attempts import ATTEMPTS, done_again
from mlfoundry.tracking.service import TrackingService
from tests.server.scene import batch, new_run, rows_of

LIMIT_S = 60.0
OWNER, ANN, BOB = "owner", "ann", "bob"


@pytest.fixture
def databases(schema: str) -> Iterator[list[PostgresDatabase]]:
    """The connections of two servers to one PostgreSQL."""
    made = [PostgresDatabase(schema, pool_size=16) for _ in range(2)]
    yield made
    for each in made:
        each.close()


@pytest.fixture
def workers(databases: list[PostgresDatabase], tmp_path: Path) -> list[TrackingService]:
    """The rules of two servers on one PostgreSQL."""
    return [TrackingService(each, ArtifactFolder(tmp_path / "artifacts")) for each in databases]


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Do things at once; return what each gave, or which of our errors it raised. Any other error is a failure."""
    results: list[Any] = [None] * len(calls)
    start = threading.Barrier(len(calls))

    def do(place: int, call: Callable[[], Any]) -> None:
        start.wait(LIMIT_S)
        try:
            results[place] = call()
        except Exception as error:  # looked at below
            results[place] = error

    threads = [threading.Thread(target=do, args=each) for each in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
        assert not thread.is_alive()
    strange = [each for each in results if isinstance(each, Exception) and not isinstance(each, MlfoundryError)]
    assert strange == []
    assert not any(isinstance(each, StoreBusy) for each in results), results
    return results


def failures(results: list[Any]) -> list[type[Exception]]:
    return [type(each) for each in results if isinstance(each, Exception)]


def make_project(tracking: TrackingService, **levels: Permission) -> RunKey:
    """Make a project of `owner` with a run, and give people levels on it."""
    run = tracking.create_run(OWNER, new_run(f"p-{uuid.uuid4().hex[:12]}")).key
    for user, level in levels.items():
        tracking.set_permission(OWNER, run.project_id, user, level, new=True)
    return run


def people(tracking: TrackingService, project_id: int) -> dict[str, Permission]:
    """Return who has which level; both tables that say so agree."""
    found = {each.user: each.permission for each in tracking.list_collaborators(OWNER, project_id)}
    with tracking.database.read() as tx:
        rows = tx.rows("SELECT user_id, permission FROM member_of WHERE project_id = ?", (project_id,))
    assert {user: Permission(level) for user, level in rows} == found
    return found


# -- rights --------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["demote", "remove", "both"])
def test_of_two_admins_who_turn_on_each_other_one_is_left(workers: list[TrackingService], scale: Any, how: str) -> None:
    one, other = workers

    def against(tracking: TrackingService, user: str, victim: str, *, removes: bool) -> Callable[[], None]:
        if removes:
            return lambda: tracking.remove_collaborator(user, project_id, victim)
        return lambda: tracking.set_permission(user, project_id, victim, Permission.READ, new=False)

    for _ in range(scale(300, 12)):
        project_id = make_project(one, ann=Permission.ADMIN, bob=Permission.ADMIN).project_id
        results = together(
            against(one, ANN, BOB, removes=how != "demote"), against(other, BOB, ANN, removes=how == "remove")
        )
        (refusal,) = failures(results)
        assert refusal in (PermissionDenied, ProjectNotFound)
        levels = people(one, project_id)
        assert levels.pop(OWNER) is Permission.ADMIN
        assert list(levels.values()).count(Permission.ADMIN) == 1


def test_an_owner_stays_whatever_many_admins_do_at_once(workers: list[TrackingService], scale: Any) -> None:
    one, other = workers
    for _ in range(scale(100, 5)):
        project_id = make_project(one, ann=Permission.ADMIN, bob=Permission.ADMIN).project_id
        results = together(
            lambda: one.remove_collaborator(ANN, project_id, OWNER),
            lambda: other.set_permission(BOB, project_id, OWNER, Permission.WRITE, new=False),
            lambda: other.set_permission(ANN, project_id, OWNER, Permission.READ, new=None),
            lambda: one.remove_collaborator(OWNER, project_id, OWNER),
        )
        assert failures(results) == [LastAdmin] * 4
        assert people(one, project_id)[OWNER] is Permission.ADMIN


def test_somebody_who_is_added_twice_at_once_is_added_once(workers: list[TrackingService], scale: Any) -> None:
    one, other = workers
    for _ in range(scale(100, 5)):
        project_id = make_project(one).project_id
        results = together(
            lambda: one.set_permission(OWNER, project_id, ANN, Permission.READ, new=True),
            lambda: other.set_permission(OWNER, project_id, ANN, Permission.WRITE, new=True),
        )
        assert failures(results) == [InvalidInput]
        due = Permission.WRITE if results[1] is None else Permission.READ
        assert people(one, project_id)[ANN] is due


def test_a_server_always_has_an_admin_who_can_act(databases: list[PostgresDatabase], scale: Any) -> None:
    one, other = (AccountService(each) for each in databases)
    for user in (ANN, BOB):
        one.create_first_admin(user)
    for _ in range(scale(200, 10)):
        accounts = {user: one.authenticate(one.create_first_admin(f"{user}-{uuid.uuid4().hex}")) for user in (ANN, BOB)}
        with databases[0].write() as tx:
            tx.run(
                "UPDATE account SET is_admin = CASE WHEN user_id IN (?, ?) THEN 1 ELSE 0 END",
                tuple(each.user for each in accounts.values()),
            )
        results = together(
            lambda: one.change_user(accounts[ANN], accounts[BOB].user, is_admin=False),
            lambda: other.change_user(accounts[BOB], accounts[ANN].user, is_disabled=True),
            lambda: other.change_user(accounts[ANN], accounts[ANN].user, is_disabled=True),
        )
        assert len(failures(results)) >= 1
        with databases[0].read() as tx:
            assert tx.row("SELECT COUNT(*) FROM account WHERE is_admin = 1 AND disabled_at IS NULL") == (1,)


class Writer:
    """Somebody who adds batch after batch to a run until that is refused."""

    def __init__(self, tracking: TrackingService, user: str, run: RunKey) -> None:
        self.journal_id = uuid.uuid4().int >> 65
        self.acked = 0
        self.refusal: Exception | None = None
        self._tracking, self._user, self._run = tracking, user, run
        self.has_begun = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self._thread.start()
        assert self.has_begun.wait(LIMIT_S)

    def _write(self) -> None:
        try:
            while True:
                told = self._tracking.ingest(self._user, batch(self._run, self.journal_id, first=self.acked))
                self.acked = told.acked
                self.has_begun.set()
        except MlfoundryError as error:
            self.refusal = error
            self.has_begun.set()

    def refused(self) -> Exception | None:
        """Wait until it is refused; return how."""
        self._thread.join(LIMIT_S)
        assert not self._thread.is_alive()
        return self.refusal


def held(tracking: TrackingService, run: RunKey, writer: Writer) -> int:
    return tracking.acked(OWNER, run, writer.journal_id)


@pytest.mark.parametrize("how", ["removed", "demoted"])
def test_nothing_is_written_once_the_withdrawal_of_a_right_is_answered(
    workers: list[TrackingService], scale: Any, how: str
) -> None:
    one, other = workers
    for _ in range(scale(300, 12)):
        run = make_project(one, ann=Permission.WRITE)
        writers = [Writer(each, ANN, run) for each in (one, other, other)]
        if how == "removed":
            one.remove_collaborator(OWNER, run.project_id, ANN)
        else:
            one.set_permission(OWNER, run.project_id, ANN, Permission.READ, new=False)
        at_once = [held(one, run, writer) for writer in writers]
        refusals = {type(writer.refused()) for writer in writers}
        assert refusals == {RunNotFound if how == "removed" else PermissionDenied}
        assert [held(one, run, writer) for writer in writers] == at_once == [writer.acked for writer in writers]


def test_nothing_is_written_to_a_run_once_its_deletion_is_answered(workers: list[TrackingService], scale: Any) -> None:
    one, other = workers
    for _ in range(scale(300, 12)):
        run = make_project(one, ann=Permission.WRITE)
        writers = [Writer(each, ANN, run) for each in (one, other)]
        one.delete_run(OWNER, run)
        at_once = [held(one, run, writer) for writer in writers]
        assert {type(writer.refused()) for writer in writers} == {RunDeleted}
        assert [held(one, run, writer) for writer in writers] == at_once == [writer.acked for writer in writers]


def test_a_batch_that_waits_for_the_deletion_of_its_run_is_not_stored(
    workers: list[TrackingService], schema: str
) -> None:
    run = make_project(workers[0], ann=Permission.WRITE)
    told: list[Any] = []
    with psycopg.connect(schema) as deletes:
        where = (run.project_id, bytes.fromhex(run.run_id))
        deletes.execute("UPDATE run SET deleted_at = 1 WHERE project_id = %s AND run_id = %s", where)
        thread = threading.Thread(target=lambda: told.extend(together(lambda: workers[0].ingest(ANN, batch(run, 7)))))
        thread.start()
        _wait_for_lock(schema)
        deletes.commit()
    thread.join(LIMIT_S)
    assert failures(told) == [RunDeleted]
    assert workers[0].acked(OWNER, run, 7) == 0


# -- strangers -----------------------------------------------------------------------------------


def test_who_has_no_right_is_told_so_at_once_and_makes_nobody_wait(workers: list[TrackingService], schema: str) -> None:
    tracking = workers[0]
    run = make_project(tracking, ann=Permission.WRITE)
    project_id = run.project_id
    verbs = {
        "delete": lambda user: tracking.delete_project(user, project_id),
        "set": lambda user: tracking.set_permission(user, project_id, BOB, Permission.ADMIN, new=None),
        "remove": lambda user: tracking.remove_collaborator(user, project_id, ANN),
        "leave": lambda user: tracking.remove_collaborator(user, project_id, user),
    }
    with psycopg.connect(schema) as busy:  # somebody whose change of rights takes its time
        busy.execute("SELECT pg_advisory_xact_lock(%s)", (project_id,))
        busy.execute("UPDATE project SET changes = changes + 1 WHERE project_id = %s", (project_id,))
        began = time.monotonic()
        told = together(*(partial(verb, "stranger") for verb in verbs.values()))
        told += together(*(partial(verbs[name], ANN) for name in ("delete", "set")))
        assert time.monotonic() - began < 5
    assert failures(told) == [ProjectNotFound] * 4 + [PermissionDenied] * 2


def test_a_right_that_is_lost_while_one_waits_for_ones_turn_is_none(
    workers: list[TrackingService], schema: str
) -> None:
    run = make_project(workers[0], ann=Permission.ADMIN)
    told: list[Any] = []
    with psycopg.connect(schema) as demotes:
        demotes.execute("SELECT pg_advisory_xact_lock(%s)", (run.project_id,))
        demotes.execute("UPDATE member SET permission = 1 WHERE user_id = %s", (ANN,))
        call = partial(workers[0].set_permission, ANN, run.project_id, BOB, Permission.ADMIN, new=None)
        thread = threading.Thread(target=lambda: told.extend(together(call)))
        thread.start()
        _wait_for_lock(schema, "pg_advisory_xact_lock")
        demotes.commit()
    thread.join(LIMIT_S)
    assert failures(told) == [PermissionDenied]


# -- deletion ------------------------------------------------------------------------------------


def test_of_a_project_that_is_deleted_while_all_use_it_nothing_is_left(
    workers: list[TrackingService], scale: Any
) -> None:
    one, other = workers
    for _ in range(scale(200, 10)):
        run = make_project(one, ann=Permission.WRITE, bob=Permission.ADMIN)
        name = one.get_run(OWNER, run.run_id).project_name
        writers = [Writer(each, ANN, run) for each in (one, other)]
        results = together(
            lambda: one.delete_project(BOB, run.project_id),
            lambda: other.create_run(ANN, new_run(name, owner=OWNER)),
            lambda: other.set_permission(OWNER, run.project_id, "carl", Permission.READ, new=True),
            lambda: one.update_run(ANN, run, _renamed()),
        )
        assert results[0] is None
        assert {type(writer.refused()) for writer in writers} == {RunNotFound}
        assert set(failures(results)) <= {ProjectNotFound, RunNotFound}
        assert rows_of(one, run.project_id) == {}


def _renamed() -> Any:
    from mlfoundry.records import RunChanges

    return RunChanges(run_name="another", description="changed", tags={"a": "b"})


def test_a_project_that_is_deleted_and_used_at_once_is_made_again_whole(
    workers: list[TrackingService], scale: Any
) -> None:
    one, other = workers
    for _ in range(scale(300, 15)):
        run = make_project(one)
        name = one.get_run(OWNER, run.run_id).project_name
        made = together(
            lambda: one.delete_project(OWNER, run.project_id),
            lambda: other.create_run(OWNER, new_run(name)),
            lambda: one.create_run(OWNER, new_run(name)),
        )
        assert failures(made) == []
        left = {each.key.project_id for each in made[1:]} - {run.project_id}
        for project_id in left:
            assert people(one, project_id) == {OWNER: Permission.ADMIN}
        assert len(left) <= 1
        assert rows_of(one, run.project_id) == {}


# -- names ---------------------------------------------------------------------------------------


def test_64_creations_of_one_name_in_one_new_project_get_64_names_without_a_gap(
    workers: list[TrackingService], scale: Any
) -> None:
    for _ in range(scale(50, 2)):
        project = f"p-{uuid.uuid4().hex[:12]}"
        made = together(*(partial(workers[n % 2].create_run, OWNER, new_run(project, "run")) for n in range(64)))
        assert failures(made) == []
        assert {each.run_name for each in made} == {"run", *(f"run-{number}" for number in range(2, 65))}
        assert len({each.key.project_id for each in made}) == 1
        assert workers[0].get_project(OWNER, None, project).run_count == 64


def test_one_run_that_is_made_many_times_at_once_is_one_run(workers: list[TrackingService], scale: Any) -> None:
    for _ in range(scale(100, 5)):
        new = new_run(f"p-{uuid.uuid4().hex[:12]}", "run")
        made = together(*(partial(workers[n % 2].create_run, OWNER, new) for n in range(8)))
        assert {(each.key, each.run_name) for each in made} == {(made[0].key, "run")}


def test_a_project_counts_its_runs_whatever_is_made_deleted_and_restored_at_once(
    workers: list[TrackingService], scale: Any
) -> None:
    one, other = workers
    for _ in range(scale(200, 10)):
        run = make_project(one)
        name = one.get_run(OWNER, run.run_id).project_name
        gone = other.create_run(OWNER, new_run(name)).key
        one.delete_run(OWNER, gone)
        twice = new_run(name)
        results = together(
            partial(one.create_run, OWNER, new_run(name)),
            partial(other.create_run, OWNER, new_run(name)),
            partial(one.create_run, OWNER, twice),
            partial(other.create_run, OWNER, twice),
            partial(one.delete_run, OWNER, run),
            partial(other.restore_run, OWNER, gone),
        )
        assert failures(results) == []
        assert other.get_project(OWNER, None, name).run_count == 4
        with one.database.read() as tx:
            kept = tx.row("SELECT runs, changes - runs_at FROM project WHERE project_id = ?", (run.project_id,))
        assert kept == (5, 0)


# -- transactions that give way ------------------------------------------------------------------


def documents(run: RunKey, journal_id: int, names: list[str]) -> Batch:
    """Return a batch that holds a param for each name, each in a document of its own."""
    data = b""
    for name in names:
        start = slots.seed(journal_id) + len(data) // slots.SLOT
        data += slots.document({"kind": "params", "values": {name: ["int", "1"]}}, 1_700_000_000_000_000, start)
    return Batch(run, journal_id, 0, len(data) // slots.SLOT, data, {}, False)


def test_runs_that_bring_the_same_names_in_another_order_do_not_fail(
    workers: list[TrackingService], scale: Any
) -> None:
    for _ in range(scale(60, 3)):
        run = make_project(workers[0])
        name = workers[0].get_run(OWNER, run.run_id).project_name
        others = [run, *(workers[0].create_run(OWNER, new_run(name)).key for _ in range(5))]
        names = [f"param-{number}" for number in range(40)]
        results = together(
            *(
                partial(workers[n % 2].ingest, OWNER, documents(key, 1 + n, names[:: 1 if n % 2 else -1]))
                for n, key in enumerate(others)
            )
        )
        assert failures(results) == []
        for key in others:
            assert sorted(workers[0].get_run(OWNER, key.run_id).params) == sorted(names)


def test_a_batch_that_must_give_way_in_a_deadlock_is_stored_all_the_same(
    workers: list[TrackingService], schema: str
) -> None:
    run = make_project(workers[0], ann=Permission.WRITE)
    told: list[Any] = []
    where = (run.project_id, bytes.fromhex(run.run_id))
    with psycopg.connect(schema) as rival:
        rival.execute("SET deadlock_timeout = '30s'")  # so that it is the batch that must give way
        rival.execute("UPDATE run SET last_seen_at = 0 WHERE project_id = %s AND run_id = %s", where)
        thread = threading.Thread(target=lambda: told.append(workers[0].ingest(ANN, batch(run, 7))))
        thread.start()
        _wait_for_lock(schema)  # the batch holds the project's rights and waits for the run
        rival.execute("SELECT pg_advisory_xact_lock(%s)", where[:1])
        rival.commit()
    thread.join(LIMIT_S)
    assert [each.acked for each in told] == [3]


def _wait_for_lock(uri: str, statement: str = "last_seen_at") -> None:
    deadline = time.monotonic() + LIMIT_S
    with psycopg.connect(uri, autocommit=True) as look:
        while not look.execute(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s", (f"%{statement}%",)
        ).fetchone():
            assert time.monotonic() < deadline


def test_what_gave_way_is_done_again_a_few_times_and_nothing_else_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "PAUSE_S", 0.0)
    calls: list[int] = []

    def verb(error: Exception, times: int) -> int:
        calls.append(1)
        if len(calls) <= times:
            raise error
        return len(calls)

    assert done_again(verb)(StoreBusy("deadlock", gave_way=True), ATTEMPTS - 1) == ATTEMPTS
    for error, due in [(StoreBusy("deadlock", gave_way=True), ATTEMPTS), (StoreBusy("all are in use"), 1)]:
        calls.clear()
        with pytest.raises(StoreBusy):
            done_again(verb)(error, 100)
        assert len(calls) == due


def test_servers_that_begin_at_once_on_an_empty_database_make_its_tables_once(schema: str, scale: Any) -> None:
    for _ in range(scale(20, 2)):
        with psycopg.connect(schema, autocommit=True) as connection:
            (name,) = connection.execute("SELECT current_schema()").fetchone() or ("",)
            connection.execute(f"DROP SCHEMA {name} CASCADE")
            connection.execute(f"CREATE SCHEMA {name}")
        made = [PostgresDatabase(schema, pool_size=1) for _ in range(6)]
        told = together(*(each.describe for each in made))
        for each in made:
            each.close()
        assert failures(told) == []
        assert len({each["schema version"] for each in told}) == 1
