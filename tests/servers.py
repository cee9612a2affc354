"""A real server in a thread of the tests: uvicorn on loopback, with an application for each test below a path."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import uvicorn

from mlfoundry.folders import make_private
from mlfoundry.server.app import create_app
from mlfoundry.server.attempts import FailedAttempts
from mlfoundry.server.listening import uvicorn_config
from mlfoundry.store.artifacts import ArtifactFolder
from mlfoundry.store.database import Database
from mlfoundry.store.postgres import PostgresDatabase
from mlfoundry.tracking.accounts import AccountService
from tests.pgbouncer import Pooler
from tests.postgres import free_port

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]


class Servers:
    """One uvicorn; each application answers below ``/<its name>``."""

    def __init__(self) -> None:
        self._apps: dict[str, App] = {}
        self._port = free_port()
        config = uvicorn_config(
            self._answer, host="127.0.0.1", port=self._port, log_level="error", lifespan="off", interface="asgi3"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="tests-server", daemon=True)
        self._thread.start()
        deadline = threading.Event()
        while not self._server.started:
            assert self._thread.is_alive()
            deadline.wait(0.01)

    def _serve(self) -> None:
        asyncio.run(self._server.serve())

    async def _answer(self, scope: Scope, receive: Any, send: Any) -> None:
        name, _, rest = scope["path"].lstrip("/").partition("/")
        raw = b"/" + scope["raw_path"].lstrip(b"/").partition(b"/")[2]
        await self._apps[name]({**scope, "path": f"/{rest}", "raw_path": raw}, receive, send)

    def add(self, app: App) -> tuple[str, str]:
        """Serve an application; return its name and its address."""
        name = secrets.token_hex(8)
        self._apps[name] = app
        return name, f"http://127.0.0.1:{self._port}/{name}"

    def remove(self, name: str) -> None:
        """Serve it no more."""
        self._apps.pop(name, None)

    def stop(self) -> None:
        """End the server."""
        self._server.should_exit = True
        self._thread.join(10)


class TeamServer:
    """An MLFoundry server for one test, with users and keys as they are asked for.

    Attributes:
        address: What ``get_client`` takes.
        app: The application.
        database: Where its rows are.
    """

    def __init__(self, servers: Servers, database: Database | PostgresDatabase, folder: Path) -> None:
        self._servers = servers
        self.database = database
        self.app = create_app(database, ArtifactFolder(folder / "artifacts"))
        self.app.state.attempts = FailedAttempts(limit=1_000_000)  # tests show more wrong keys than people do
        self.name, self.address = servers.add(self.app)
        self._accounts = AccountService(database)
        self._keys: dict[str, str] = {}

    def key(self, user: str) -> str:
        """Return a key of a user, who is made when there is none of this name."""
        if user not in self._keys:
            self._keys[user] = self._accounts.create_first_admin(user)
        return self._keys[user]

    def close(self) -> None:
        """End it."""
        self._servers.remove(self.name)
        self.database.close()


def on_sqlite(servers: Servers, folder: Path) -> TeamServer:
    """Return a server on a SQLite file in a folder."""
    make_private(folder)
    return TeamServer(servers, Database(folder / "mlfoundry.db"), folder)


def on_postgres(servers: Servers, folder: Path, uri: str, *, partitions: int = 0) -> TeamServer:
    """Return a server on a schema of its own in a PostgreSQL."""
    name = f"test_{secrets.token_hex(8)}"
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")  # type: ignore[call-overload]
    own = f"{uri}?options=-csearch_path%3D{name}"
    return TeamServer(servers, PostgresDatabase(own, pool_size=5, partitions=partitions), folder)


def on_pooler(servers: Servers, folder: Path, uri: str, pooler: Pooler) -> TeamServer:
    """Return a server on a database of its own in a PostgreSQL, which it reaches through a pooler.

    A pooler in transaction mode takes no search path, because nothing lasts in a session.
    """
    name = f"test_{secrets.token_hex(8)}"
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
    own = urlunsplit(urlsplit(pooler.uri)._replace(path=f"/{name}"))
    return TeamServer(servers, PostgresDatabase(own, pool_size=5), folder)
