"""What is taken away is taken away at once, on every worker: two server processes on one PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from mlfoundry.records import Account, Permission, RunKey
from mlfoundry.store.artifacts import ArtifactFolder
from mlfoundry.store.postgres import PostgresDatabase
from mlfoundry.tracking.accounts import AccountService
from mlfoundry.tracking.service import TrackingService
from tests.postgres import free_port
from tests.server.conftest import new_schema
from tests.server.scene import batch_bytes, new_run

SERVES = Path(__file__).parents[1] / "faults" / "serves.py"
LIMIT_S = 60.0


@dataclass
class Workers:
    """Two server processes, and their store around them."""

    addresses: list[str]
    tracking: TrackingService
    accounts: AccountService
    root: Account

    def member(self, level: Permission | None = Permission.ADMIN) -> tuple[str, int, str, RunKey]:
        """Make a user with a level on a new project; return name, id of the key, key, and a run of the project."""
        user = f"user-{uuid.uuid4().hex[:8]}"
        self.accounts.create_user(self.root, user)
        key, record = self.accounts.create_key(self.root, user)
        run = self.tracking.create_run("root", new_run(f"p-{uuid.uuid4().hex[:8]}")).key
        if level is not None:
            self.tracking.set_permission("root", run.project_id, user, level, new=True)
        return user, record.key_id, key, run


@pytest.fixture(scope="module")
def workers(postgres_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    """Two server processes on one PostgreSQL; each test makes users and projects of its own there."""
    schema, tmp_path = new_schema(postgres_uri), tmp_path_factory.mktemp("workers")
    database = PostgresDatabase(schema, pool_size=4)
    accounts = AccountService(database)
    root = accounts.authenticate(accounts.create_first_admin("root"))
    tracking = TrackingService(database, ArtifactFolder(tmp_path / "artifacts"))
    ports = [free_port() for _ in range(2)]
    started = [
        subprocess.Popen([sys.executable, SERVES, schema, tmp_path, str(port)], stdout=subprocess.PIPE)
        for port in ports
    ]
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == b"listening\n"
        yield Workers([f"http://127.0.0.1:{port}" for port in ports], tracking, accounts, root)
    finally:
        for process in started:
            process.kill()
            process.wait(LIMIT_S)
            assert process.stdout is not None
            process.stdout.close()
        database.close()


def statuses(workers: Workers, key: str, run: RunKey) -> dict[str, set[int]]:
    """Ask both workers, on kept-alive connections; return what each kind of request is answered with."""
    found: dict[str, set[int]] = {}
    path = f"/api/v1/projects/{run.project_id}/runs/{run.run_id}"
    for address in workers.addresses:
        session = sessions.get((address, key))
        if session is None:
            session = sessions[address, key] = requests.Session()
            session.mount("http://", FromHome(f"127.0.{len(sessions) // 250}.{len(sessions) % 250 + 2}"))
        session.headers["Authorization"] = f"Bearer {key}"
        journal = f"{path}/journals/{uuid.uuid4().int >> 65}"
        asked = {
            "reads": session.get(f"{address}{path}/facts", timeout=LIMIT_S),
            "writes": session.post(
                address + journal, data=batch_bytes(run, int(journal.rpartition("/")[2])), timeout=LIMIT_S
            ),
            "manages": session.put(
                f"{address}/api/v1/projects/{run.project_id}/collaborators",
                json={"user": "root", "permission": "ADMIN"},
                timeout=LIMIT_S,
            ),
            "is known": session.get(f"{address}/api/v1/whoami", timeout=LIMIT_S),
        }
        for name, answer in asked.items():
            found.setdefault(name, set()).add(answer.status_code)
    return found


class FromHome(HTTPAdapter):
    """Connects from one address of this machine: a server that was sent many wrong keys from one refuses that one."""

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *given: Any, **options: Any) -> None:
        super().init_poolmanager(*given, source_address=(self._address, 0), **options)


sessions: dict[tuple[str, str], requests.Session] = {}
ALL = {"reads": {200}, "writes": {200}, "manages": {200}, "is known": {200}}
REFUSED = {name: {401} for name in ALL}


@pytest.fixture(autouse=True)
def _close_sessions() -> Iterator[None]:
    yield
    for session in sessions.values():
        session.close()
    sessions.clear()


Taken = Callable[[Workers, str, int, RunKey], object]
WAYS: dict[str, tuple[Taken, dict[str, set[int]]]] = {
    "a member is removed": (
        lambda w, user, key_id, run: w.tracking.remove_collaborator("root", run.project_id, user),
        {"reads": {404}, "writes": {404}, "manages": {404}, "is known": {200}},
    ),
    "a member may only read": (
        lambda w, user, key_id, run: w.tracking.set_permission(
            "root", run.project_id, user, Permission.READ, new=False
        ),
        {"reads": {200}, "writes": {403}, "manages": {403}, "is known": {200}},
    ),
    "a member may only write": (
        lambda w, user, key_id, run: w.tracking.set_permission(
            "root", run.project_id, user, Permission.WRITE, new=False
        ),
        {"reads": {200}, "writes": {200}, "manages": {403}, "is known": {200}},
    ),
    "a key is revoked": (lambda w, user, key_id, run: w.accounts.revoke_key(w.root, user, key_id), REFUSED),
    "a key is rotated": (lambda w, user, key_id, run: w.accounts.rotate_key(w.root, user, key_id), REFUSED),
    "a user is disabled": (
        lambda w, user, key_id, run: w.accounts.change_user(w.root, user, is_disabled=True),
        REFUSED,
    ),
    "a run is deleted": (
        lambda w, user, key_id, run: w.tracking.delete_run("root", run),
        {"reads": {200}, "writes": {410}, "manages": {200}, "is known": {200}},
    ),
    "a project is deleted": (
        lambda w, user, key_id, run: w.tracking.delete_project("root", run.project_id),
        {"reads": {404}, "writes": {404}, "manages": {404}, "is known": {200}},
    ),
}


def test_what_is_taken_away_is_refused_by_the_very_next_request_to_each_worker(workers: Workers, scale) -> None:
    for _ in range(scale(20, 1)):
        for way, (take, due) in WAYS.items():
            user, key_id, key, run = workers.member()
            assert statuses(workers, key, run) == ALL, way
            take(workers, user, key_id, run)
            assert statuses(workers, key, run) == due, way


def test_a_right_or_a_user_that_comes_back_is_let_in_by_each_worker_at_once(workers: Workers) -> None:
    user, _, key, run = workers.member(None)
    assert statuses(workers, key, run)["reads"] == {404}
    workers.tracking.set_permission("root", run.project_id, user, Permission.ADMIN, new=True)
    assert statuses(workers, key, run) == ALL
    workers.accounts.change_user(workers.root, user, is_disabled=True)
    assert statuses(workers, key, run) == REFUSED
    workers.accounts.change_user(workers.root, user, is_disabled=False)
    assert statuses(workers, key, run) == ALL


def test_a_key_that_expires_is_refused_by_each_worker_whatever_it_answered_before(workers: Workers) -> None:
    user, _, _, run = workers.member()
    key, record = workers.accounts.create_key(workers.root, user, expires_in_s=3600.0)
    assert statuses(workers, key, run) == ALL
    with workers.tracking.database.write() as tx:
        now_us = time.time_ns() // 1000
        assert tx.run("UPDATE api_key SET expires_at = ? WHERE key_id = ?", (now_us, record.key_id)) == 1
    assert statuses(workers, key, run) == REFUSED
