"""The places where Ann's runs may be kept while the documentation is executed: a folder, or a real server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mlfoundry import results
from tests.servers import on_postgres, on_sqlite

PLACES = ("folder", "server on SQLite", "server on PostgreSQL")


def ann_in(place: str, request: pytest.FixtureRequest) -> Iterator[None]:
    """Let everything in this test be Ann's, in one of the places; the environment alone tells which."""
    monkeypatch = request.getfixturevalue("monkeypatch")
    monkeypatch.setenv("MLFOUNDRY_USER", "ann")
    monkeypatch.setattr(results, "_hinted", set())  # what was said in another place is said again here
    if place == "folder":
        yield
        return
    servers, folder = request.getfixturevalue("servers"), request.getfixturevalue("tmp_path_factory").mktemp("server")
    if place.endswith("SQLite"):
        server = on_sqlite(servers, folder)
    else:
        server = on_postgres(servers, folder, request.getfixturevalue("postgres_uri"))
    server.key("bob")
    monkeypatch.setenv("MLFOUNDRY_HOST", server.address)
    monkeypatch.setenv("MLFOUNDRY_API_KEY", server.key("ann"))
    yield
    server.close()
