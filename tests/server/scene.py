"""A project with everybody who may meet it, and something of each kind in it: what attacks are aimed at."""

from __future__ import annotations

import hashlib
import time
import uuid
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import requests

from mlfoundry import slots
from mlfoundry.records import Account, Batch, NewRun, Permission, RunKey
from mlfoundry.tracking.accounts import AccountService
from mlfoundry.tracking.service import TrackingService
from mlfoundry.wire import frames
from tests.servers import TeamServer

START_US = 1_700_000_000_000_000
CONTENT = b"the weights of a model"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
METRIC = 1

MEMBERS = {"reader": Permission.READ, "writer": Permission.WRITE, "admin": Permission.ADMIN}
# Were their keys taken, they would be ADMINs of the project.
KEYLESS = ("revoked", "expired", "disabled")
SERVER_ADMIN = "root"
USERS = ("owner", "stranger", "removed", "spare", "newcomer", *MEMBERS, *KEYLESS)
CALLERS = ("nobody", "stranger", "removed", *MEMBERS, "owner", *KEYLESS, SERVER_ADMIN)


def points(count: int, *, journal_id: int, first: int = 0) -> bytes:
    """Return slots of one metric: point `n` has the step and the value `n`."""
    data = bytearray()
    for n in range(first, first + count):
        body = slots.POINT.pack(METRIC, n, START_US + n, float(n))
        data += zlib.crc32(body, (slots.seed(journal_id) + n) & 0xFFFF_FFFF).to_bytes(4, "little") + body
    return bytes(data)


def batch(run: RunKey, journal_id: int, count: int = 3, *, first: int = 0, settle: bool = False) -> Batch:
    """Return a batch of points of the metric ``loss``."""
    data = points(count, journal_id=journal_id, first=first)
    return Batch(run, journal_id, first, first + count, data, {METRIC: ("loss",)}, settle)


def batch_bytes(run: RunKey, journal_id: int, count: int = 3, *, first: int = 0) -> bytes:
    """Return the same as it goes over HTTP."""
    made = batch(run, journal_id, count, first=first)
    return frames.batch_frame(made, made.names)


def new_run(project: str, name: str = "run", *, owner: str | None = None, run_id: str | None = None) -> NewRun:
    """Return a run to be made."""
    return NewRun(
        run_id=run_id or uuid.uuid4().hex,
        project_name=project,
        run_name=name,
        owner=owner,
        tags={},
        description="",
        started_at_us=START_US,
    )


class People:
    """The users of a server and their keys, each in the state that the name says."""

    def __init__(self, server: TeamServer) -> None:
        self.accounts = AccountService(server.database)
        self.keys = {SERVER_ADMIN: self.accounts.create_first_admin(SERVER_ADMIN)}
        self.root: Account = self.accounts.authenticate(self.keys[SERVER_ADMIN])
        long_ago = AccountService(server.database, now_us=lambda: time.time_ns() // 1000 - 10_000_000)
        for user in USERS:
            self.accounts.create_user(self.root, user)
            if user == "expired":
                self.keys[user], _ = long_ago.create_key(self.root, user, expires_in_s=1)
            else:
                self.keys[user], record = self.accounts.create_key(self.root, user)
            if user == "revoked":
                self.accounts.revoke_key(self.root, user, record.key_id)
        self.accounts.change_user(self.root, "disabled", is_disabled=True)

    def headers(self, caller: str) -> dict[str, str]:
        """Return what a caller shows of themselves."""
        return {} if caller == "nobody" else {"Authorization": f"Bearer {self.keys[caller]}"}

    def spare_key(self, user: str) -> int:
        """Return the id of a new key of a user, to do something to."""
        return self.accounts.create_key(self.root, user)[1].key_id


@dataclass
class Scene:
    """A project of `owner`, with members of each level, a run of `writer`, its journal and a file."""

    tracking: TrackingService
    name: str
    project_id: int
    run: RunKey
    journal_id: int

    @classmethod
    def make(cls, tracking: TrackingService, name: str | None = None) -> Scene:
        """Make a project with a new name."""
        name = name or f"project-{uuid.uuid4().hex[:8]}"
        first = tracking.create_run("owner", new_run(name, "first"))
        project_id = first.key.project_id
        levels = {**MEMBERS, **dict.fromkeys(KEYLESS, Permission.ADMIN), "removed": Permission.ADMIN}
        for user, level in levels.items():
            tracking.set_permission("owner", project_id, user, level, new=True)
        tracking.remove_collaborator("owner", project_id, "removed")
        run = tracking.create_run("writer", new_run(name, "second", owner="owner")).key
        journal_id = uuid.uuid4().int >> 65
        tracking.ingest("writer", batch(run, journal_id))
        tracking.files.add_part("writer", run, SHA256, len(CONTENT), 0, CONTENT)
        tracking.files.name("writer", run, "model.bin", SHA256, len(CONTENT))
        return cls(tracking, name, project_id, run, journal_id)

    @cached_property
    def gone(self) -> Scene:
        """Ids and names of the same kinds that nothing has."""
        run = RunKey(uuid.uuid4().int >> 65, uuid.uuid4().hex)
        return Scene(self.tracking, "project-that-never-was", run.project_id, run, uuid.uuid4().int >> 65)

    def rows(self) -> dict[str, list[Any]]:
        """Return every row of the project, by table."""
        return rows_of(self.tracking, self.project_id)


TABLES = ("project", "project_name", "member", "member_of", "run", "run_home", "attr", "key", "series", "chunk")
TABLES += ("journal", "artifact")


def rows_of(tracking: TrackingService, project_id: int) -> dict[str, list[Any]]:
    """Return every row of a project, by table; tables without any are left out."""
    with tracking.database.read() as tx:
        found = {table: tx.rows(f"SELECT * FROM {table} WHERE project_id = ?", (project_id,)) for table in TABLES}
    return {table: sorted(rows, key=repr) for table, rows in found.items() if rows}


def ask(
    server: TeamServer, method: str, path: str, key: str | None = None, *, session: Any = requests, **given: Any
) -> requests.Response:
    """Send a request; no redirect is followed."""
    headers = given.pop("headers", {}) | ({} if key is None else {"Authorization": f"Bearer {key}"})
    address = server.address + path
    answer: requests.Response = session.request(
        method, address, headers=headers, allow_redirects=False, timeout=60, **given
    )
    return answer
