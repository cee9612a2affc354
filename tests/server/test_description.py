"""The description of the interface is complete and true: whatever is asked, the answer is one that it names."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import pytest
import requests
import schemathesis
from fastapi.routing import APIRoute
from hypothesis import strategies as st
from schemathesis.core.parameters import ParameterLocation

from mlfoundry.folders import make_private
from mlfoundry.server.app import create_app
from mlfoundry.server.policy import routes_of
from mlfoundry.store.artifacts import ArtifactFolder
from mlfoundry.store.database import Database
from mlfoundry.store.postgres import PostgresDatabase
from mlfoundry.wire import frames
from tests.server.scene import SHA256, People, Scene
from tests.server.test_authorisation import RECIPES, _live_routes
from tests.servers import Servers, TeamServer

# The dashboard's own routes serve its pages alone, and are described nowhere.
OPERATIONS = [
    route
    for route in RECIPES
    if route[1] in ("/healthz", "/readyz", "/metrics")
    or (route[1].startswith("/api/") and route[1] != "/api/v1/openapi.json")
]
# Of what fits the description, the rules refuse some with a reason: invisible characters in names, unknown columns.
EXPECTED = ["2xx", "400", "403", "404", "409", "410", "422"]
REFUSED = ["400", "401", "403", "404", "405", "406", "409", "413", "415", "422", "428", "429", "5xx"]


@pytest.fixture(scope="module")
def sqlite_server(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TeamServer]:
    folder = tmp_path_factory.mktemp("described")
    make_private(folder)
    made = TeamServer(servers, Database(folder / "mlfoundry.db"), folder)
    yield made
    made.close()


@pytest.fixture(scope="module")
def postgres_server(
    servers: Servers, postgres_uri: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TeamServer]:
    name = f"test_{secrets.token_hex(8)}"
    with psycopg.connect(postgres_uri, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    database = PostgresDatabase(f"{postgres_uri}?options=-csearch_path%3D{name}", pool_size=4)
    made = TeamServer(servers, database, tmp_path_factory.mktemp("described"))
    yield made
    made.close()


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def described(request: pytest.FixtureRequest) -> tuple[TeamServer, People]:
    """A server with its users; all tests of this file share one for each engine."""
    server = request.getfixturevalue(f"{request.param}_server")
    return server, People(server)


@schemathesis.serializer(frames.BATCH_TYPE)
def _as_it_is(context: Any, value: Any) -> Any:
    """Send what is made up for a batch as bytes."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


@pytest.fixture
def description(server: TeamServer) -> Any:
    return requests.get(f"{server.address}/api/v1/openapi.json", timeout=10).json()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: " ".join(operation))
def test_whatever_is_asked_the_answer_is_one_that_the_description_names(
    described: tuple[TeamServer, People], operation: tuple[str, str], scale: Any
) -> None:
    server, people = described
    schema = schemathesis.openapi.from_dict(server.app.openapi())
    schema.config.update(base_url=server.address)
    schema.config.checks.positive_data_acceptance.expected_statuses = EXPECTED
    # What does not fit may be too large as well, which is found out before it is read.
    schema.config.checks.negative_data_rejection.expected_statuses = REFUSED
    method, path = operation
    asked = schema[path][method]
    tracking = server.app.state.services.tracking
    scene = [Scene.make(tracking)]
    session = requests.Session()

    @hypothesis.settings(
        max_examples=scale(500, 4),
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(
        case=st.one_of(asked.as_strategy(), asked.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)),
        aimed=st.integers(0, 3),
        caller=st.sampled_from(["owner", "root"]),
    )
    def ask(case: Any, aimed: int, caller: str) -> None:
        paths = case.meta.components.get(ParameterLocation.PATH)
        if aimed and (paths is None or paths.mode.is_positive):  # at what there is
            ids = {"project_id": scene[0].project_id, "run_id": scene[0].run.run_id, "sha256": SHA256}
            ids["journal_id"] = scene[0].journal_id
            case.path_parameters.update({name: ids[name] for name in case.path_parameters or {}})
        answer = case.call_and_validate(session=session, headers=people.headers(caller), timeout=30)
        assert answer.headers["x-request-id"]
        if method == "DELETE" and answer.status_code == 204:
            scene[0] = Scene.make(tracking)

    with session:
        ask()


def test_every_route_is_described_with_its_policy(server: TeamServer, description: Any) -> None:
    live = {
        (method, route.path)
        for route in routes_of(server.app)
        if isinstance(route, APIRoute) and route.include_in_schema
        for method in route.methods
    }
    assert {route for route in _live_routes(server) if route[1].startswith("/api/")} - live == {
        ("GET", "/api/v1/openapi.json")
    }
    told = {(method.upper(), path) for path, methods in description["paths"].items() for method in methods}
    assert told == live
    for (method, path), level in _live_routes(server).items():
        if (method, path) not in told:
            continue
        operation = description["paths"][path][method.lower()]
        is_open = level.value == "nothing"
        assert bool(operation.get("security")) != is_open, path
        assert ("401" in operation["responses"]) != is_open, path
        assert operation["summary"]
        assert "422" not in operation["responses"] or "journals" in path


def test_operations_have_names_of_their_own(description: Any) -> None:
    names = [operation["operationId"] for methods in description["paths"].values() for operation in methods.values()]
    assert len(set(names)) == len(names)
    assert "projects.list_keys" in names


def test_every_answer_has_a_shape_and_every_error_the_one_shape(description: Any) -> None:
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            for status, told in operation["responses"].items():
                content = told.get("content", {})
                assert content or status == "204", (method, path, status)
                if not status.startswith("2"):
                    assert content["application/json"]["schema"]["$ref"].endswith("/Error"), (method, path, status)
                elif "application/json" in content:
                    assert content["application/json"]["schema"].get("$ref"), (method, path, status)


def test_what_an_answer_holds_is_described_and_nothing_else_is_in_it(server: TeamServer, people: People) -> None:
    """Each recipe of the matrix of rights, answered well, against the shape that the description gives."""
    from tests.server.test_authorisation import _send

    schema = schemathesis.openapi.from_dict(server.app.openapi())
    schema.config.update(base_url=server.address)
    tracking = server.app.state.services.tracking
    for route in OPERATIONS:
        scene = Scene.make(tracking)
        answer = _send(
            server,
            route,
            "root" if "user" in route[1] or route[1] == "/metrics" else "owner",
            people,
            scene,
            RECIPES[route].make(scene, people),
        )
        assert answer.ok, (route, answer.text)
        schema[route[1]][route[0]].validate_response(answer)


def test_a_server_with_hosts_refuses_others(server: TeamServer, servers: Servers, tmp_path: Path) -> None:
    app = create_app(server.database, ArtifactFolder(tmp_path), hosts=["tracking.example"])
    name, address = servers.add(app)
    try:
        assert requests.get(f"{address}/healthz", timeout=10).status_code == 421
        assert requests.get(f"{address}/healthz", headers={"Host": "tracking.example"}, timeout=10).ok
    finally:
        servers.remove(name)
