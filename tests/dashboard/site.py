"""A real server with the dashboard, at the root of an address of its own, and sessions for its users."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import uvicorn

from mlfoundry.folders import make_private
from mlfoundry.records import Batch, RunKey
from mlfoundry.server.app import create_app
from mlfoundry.server.gates import COOKIE, CSRF_HEADER, csrf_token
from mlfoundry.server.listening import uvicorn_config
from mlfoundry.store.artifacts import ArtifactFolder
from mlfoundry.store.database import Database
from mlfoundry.tracking.accounts import AccountService
from mlfoundry.tracking.service import TrackingService
from mlfoundry.tracking.sessions import SessionService
from tests.dashboard.digits import LIVE, OWNER, PROJECT, make_digits
from tests.postgres import free_port

HOSTS = ["127.0.0.1", "localhost"]


class Site:
    """A server, its rules, and the keys and sessions of its users.

    Attributes:
        address: Where it answers.
        tracking: Its rules, to log by.
        accounts: Its users and keys.
        runs: The runs of "digits" by the beginning of their names.
    """

    def __init__(self, folder: Path, address: str, *, base_path: str = "") -> None:
        self.address = address + base_path
        make_private(folder)
        self.database = Database(folder / "mlfoundry.db")
        artifacts = ArtifactFolder(folder / "artifacts")
        self.app = create_app(self.database, artifacts, hosts=HOSTS, base_path=base_path)
        self.tracking: TrackingService = self.app.state.services.tracking
        self.accounts: AccountService = self.app.state.services.accounts
        self.sessions: SessionService = SessionService(self.database, self.accounts)
        self.keys = {"root": self.accounts.create_first_admin("root")}
        self.root = self.accounts.authenticate(self.keys["root"])
        self._sessions: dict[str, str] = {}
        for user in (OWNER, "bob"):
            self.add_user(user)
        self.runs: dict[str, RunKey] = make_digits(self.tracking)

    @classmethod
    @contextmanager
    def running(cls, folder: Path, *, base_path: str = "") -> Iterator[Site]:
        """Run one in a thread; below a path of its host when one is given."""
        port = free_port()
        site = cls(folder / "store", f"http://127.0.0.1:{port}", base_path=base_path)
        # As with --proxies 127.0.0.1: a test may speak as a proxy does.
        proxies = {"proxy_headers": True, "forwarded_allow_ips": "127.0.0.1"}
        config = uvicorn_config(site.app, host="127.0.0.1", port=port, log_level="error", lifespan="off", **proxies)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, name="tests-dashboard", daemon=True)
        thread.start()
        moment = threading.Event()
        while not server.started:
            assert thread.is_alive()
            moment.wait(0.01)
        ended = threading.Event()
        keeper = threading.Thread(target=site._keep_live, args=(ended,), name="tests-live-runs", daemon=True)
        keeper.start()
        yield site
        ended.set()
        keeper.join(10)
        server.should_exit = True
        thread.join(10)
        site.database.close()

    def _keep_live(self, ended: threading.Event) -> None:
        """Let the live runs be heard of, as their processes would, or they were given up."""
        journals = {run: uuid.uuid4().int >> 65 for name, run in self.runs.items() if int(name[-2:]) in LIVE}
        while not ended.wait(10):
            for run, journal_id in journals.items():
                self.tracking.ingest(OWNER, Batch(run, journal_id, 0, 0, b"", {}))

    @property
    def project_id(self) -> int:
        """The id of "digits"."""
        return self.runs["cnn-53"].project_id

    @property
    def digits(self) -> str:
        """The path of "digits"."""
        return f"/p/{OWNER}/{PROJECT}"

    def add_user(self, user: str) -> str:
        """Make a user with a key; return the key."""
        self.accounts.create_user(self.root, user)
        self.keys[user], _ = self.accounts.create_key(self.root, user, label="first")
        return self.keys[user]

    def session(self, user: str) -> str:
        """Return a session of a user."""
        if user not in self._sessions:
            self._sessions[user] = self.sessions.begin(self.keys[user])
        return self._sessions[user]

    def cookie(self, user: str) -> Any:
        """Return the cookie that holds a user's session, as a browser takes it."""
        return {"name": COOKIE, "value": self.session(user), "url": self.address, "httpOnly": True, "sameSite": "Lax"}

    def ask(
        self, method: str, path: str, user: str | None = None, *, origin: str | None = "own", token: str = "own",
        session: str | None = None, **given: Any
    ) -> requests.Response:  # fmt: skip
        """Send a request as a browser would that has a user's session; no redirect is followed."""
        headers = dict(given.pop("headers", {}))
        session = self.session(user) if user is not None else session
        cookies = {} if session is None else {COOKIE: session}
        if session is not None and token:
            headers[CSRF_HEADER] = csrf_token(session) if token == "own" else token
        if origin:
            headers["Origin"] = self.address if origin == "own" else origin
        return requests.request(
            method, self.address + path, headers=headers, cookies=cookies, allow_redirects=False, timeout=60, **given
        )
