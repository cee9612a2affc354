"""Servers to attack: on SQLite and on PostgreSQL, with users whose keys are in every state."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from mlfoundry.store.postgres import PostgresDatabase
from tests.server.scene import People
from tests.servers import Servers, TeamServer, on_sqlite


@pytest.fixture
def server(servers: Servers, tmp_path: Path) -> Iterator[TeamServer]:
    """A server on SQLite."""
    made = on_sqlite(servers, tmp_path / "server")
    yield made
    made.close()


@pytest.fixture
def people(server: TeamServer) -> People:
    """The users of `server`."""
    return People(server)


@pytest.fixture
def schema(postgres_uri: str) -> str:
    """The URI of an empty schema of a PostgreSQL."""
    return new_schema(postgres_uri)


def new_schema(postgres_uri: str) -> str:
    """Make an empty schema; return its URI."""
    name = f"test_{secrets.token_hex(8)}"
    with psycopg.connect(postgres_uri, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    return f"{postgres_uri}?options=-csearch_path%3D{name}"


@pytest.fixture
def worker(servers: Servers, schema: str, tmp_path: Path) -> Iterator[Callable[[], TeamServer]]:
    """``worker()`` is one more server on the same PostgreSQL and the same folder."""
    made: list[TeamServer] = []

    def begin() -> TeamServer:
        made.append(TeamServer(servers, PostgresDatabase(schema, pool_size=8), tmp_path / "server"))
        return made[-1]

    yield begin
    for each in made:
        each.close()
