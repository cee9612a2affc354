"""Who may use which route: the matrix of the live route table, derived from what each route declares."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from mlfoundry.server.app import create_app
from mlfoundry.server.context import room
from mlfoundry.server.policy import Needs, declared, needs, refuse_undeclared, routes_of
from mlfoundry.store.artifacts import ArtifactFolder
from tests.server.scene import CALLERS, CONTENT, KEYLESS, SHA256, START_US, People, Scene, ask, batch_bytes, new_run
from tests.servers import TeamServer

LEVELS = {Needs.READ: 1, Needs.WRITE: 2, Needs.ADMIN: 3}
HELD = {"reader": 1, "writer": 2, "admin": 3, "owner": 3}
RUN = "/api/v1/projects/{project_id}/runs/{run_id}"


@dataclass
class Request:
    """A request that a route takes when the caller may make it."""

    query: dict[str, Any] = field(default_factory=dict)
    json: Any = None
    data: bytes | None = None


@dataclass
class Recipe:
    """How a valid request of a route is made.

    Attributes:
        make: Makes it.
        destroys: The scene is of no more use when it was taken.
        named: The level that a refusal names, where it is another than the declared one.
    """

    make: Callable[[Scene, People], Request] = lambda scene, people: Request()
    destroys: bool = False
    named: str | None = None


def _asking(**query: Any) -> Recipe:
    return Recipe(lambda scene, people: Request(query=query))


def _telling(**body: Any) -> Recipe:
    return Recipe(lambda scene, people: Request(json=body))


def _run_body(scene: Scene) -> dict[str, Any]:
    made = new_run(scene.name, owner="owner")
    return {name: getattr(made, name) for name in made.__slots__} | {"tags": {}}


DASHBOARD_RUN = "/dashboard/projects/{project_id}/runs/{run_id}"
_part = {"size": len(CONTENT), "offset": 0}
RECIPES: dict[tuple[str, str], Recipe] = {
    ("GET", "/api/v1/openapi.json"): Recipe(),
    ("GET", "/healthz"): Recipe(),
    ("GET", "/readyz"): Recipe(),
    ("GET", "/metrics"): Recipe(),
    ("GET", "/api/v1/whoami"): Recipe(),
    ("GET", "/api/v1/projects"): Recipe(),
    ("GET", "/api/v1/projects/named"): Recipe(lambda s, p: Request({"owner": "owner", "name": s.name})),
    ("DELETE", "/api/v1/projects/{project_id}"): Recipe(destroys=True),
    ("GET", "/api/v1/projects/{project_id}/keys"): _asking(kind="metric"),
    ("GET", "/api/v1/projects/{project_id}/collaborators"): Recipe(),
    ("PUT", "/api/v1/projects/{project_id}/collaborators"): _telling(user="newcomer", permission="READ"),
    ("DELETE", "/api/v1/projects/{project_id}/collaborators"): Recipe(lambda s, p: Request({"user": "disabled"}), True),
    ("POST", "/api/v1/runs"): Recipe(lambda s, p: Request(json=_run_body(s))),
    ("GET", "/api/v1/runs"): Recipe(lambda s, p: Request({"owner": "owner", "project": s.name, "run": "second"})),
    ("GET", "/api/v1/runs/{run_id}"): Recipe(),
    ("POST", "/api/v1/projects/{project_id}/runs/search"): _telling(filter="metrics.loss > 0"),
    ("PATCH", RUN): _telling(description="changed", tags={"a": "b"}),
    ("DELETE", RUN): Recipe(destroys=True, named="ADMIN"),
    ("POST", RUN + "/restore"): Recipe(named="ADMIN"),
    ("GET", RUN + "/facts"): Recipe(),
    ("GET", RUN + "/journals/{journal_id}"): Recipe(),
    ("POST", RUN + "/journals/{journal_id}"): Recipe(lambda s, p: Request(data=batch_bytes(s.run, s.journal_id))),
    ("POST", RUN + "/series"): _telling(),
    ("GET", RUN + "/blobs/{sha256}"): _asking(size=len(CONTENT)),
    ("PUT", RUN + "/blobs/{sha256}"): Recipe(lambda s, p: Request(_part, data=CONTENT)),
    ("PUT", RUN + "/artifacts"): _telling(path="again.bin", sha256=SHA256, size_bytes=len(CONTENT)),
    ("GET", RUN + "/artifacts"): Recipe(),
    ("GET", RUN + "/artifacts/content"): _asking(path="model.bin"),
    ("GET", "/api/v1/users"): Recipe(),
    ("POST", "/api/v1/users"): Recipe(lambda s, p: Request(json={"user": f"user-{uuid.uuid4().hex}"})),
    ("PATCH", "/api/v1/users"): _telling(user="spare", is_admin=False),
    ("GET", "/api/v1/keys"): _asking(user="owner"),
    ("POST", "/api/v1/keys"): _telling(user="owner", label="laptop"),
    ("POST", "/api/v1/keys/rotate"): Recipe(
        lambda s, p: Request(json={"user": "owner", "key_id": p.spare_key("owner")})
    ),
    ("POST", "/api/v1/keys/revoke"): Recipe(
        lambda s, p: Request(json={"user": "owner", "key_id": p.spare_key("owner")})
    ),
    # The dashboard's pages, and what feeds them.
    ("GET", "/static/{version}/{folder}/{name}"): Recipe(),
    ("GET", "/favicon.ico"): Recipe(),
    ("GET", "/login"): Recipe(),
    ("POST", "/login"): Recipe(lambda s, p: Request(data=f"secret={p.keys['root']}".encode())),
    ("POST", "/logout"): Recipe(),
    ("GET", "/"): Recipe(),
    ("GET", "/account"): Recipe(),
    ("GET", "/p/{owner}/{name}"): Recipe(),
    ("GET", "/p/{owner}/{name}/compare"): Recipe(lambda s, p: Request({"runs": s.run.run_id})),
    ("GET", "/p/{owner}/{name}/people"): Recipe(),
    ("GET", "/r/{run_id}"): Recipe(),
    ("GET", "/dashboard/projects"): Recipe(),
    ("GET", "/dashboard/keys"): Recipe(),
    ("GET", "/dashboard/projects/{project_id}/runs"): _asking(whole=True),
    ("POST", "/dashboard/projects/{project_id}/changes"): _telling(),
    ("GET", "/dashboard/projects/{project_id}/search"): _asking(filter="metrics.loss > 0"),
    ("POST", "/dashboard/projects/{project_id}/series"): Recipe(lambda s, p: Request(json={"runs": [s.run.run_id]})),
    ("POST", "/dashboard/projects/{project_id}/details"): Recipe(lambda s, p: Request(json={"runs": [s.run.run_id]})),
    ("GET", "/dashboard/projects/{project_id}/people"): Recipe(),
    ("POST", DASHBOARD_RUN + "/news"): _telling(),
    ("GET", DASHBOARD_RUN + "/code"): Recipe(),
    ("GET", DASHBOARD_RUN + "/files"): Recipe(),
    ("GET", DASHBOARD_RUN + "/preview"): _asking(path="model.bin"),
}


def _live_routes(server: TeamServer) -> dict[tuple[str, str], Needs]:
    found: dict[tuple[str, str], Needs] = {}
    for route in routes_of(server.app):
        level = declared(route)
        assert level is not None
        for method in getattr(route, "methods", None) or {"GET"}:
            if method != "HEAD":
                found[method, route.path] = level  # type: ignore[attr-defined]
    return found


def _send(
    server: TeamServer, route: tuple[str, str], caller: str, people: People, scene: Scene, request: Request
) -> requests.Response:
    method, pattern = route
    ids = {"project_id": scene.project_id, "run_id": scene.run.run_id, "journal_id": scene.journal_id}
    panels = {"version": "any", "folder": "panels", "name": scene.name, "owner": "owner"}
    if pattern.startswith("/static/"):
        panels["name"] = "style.css"
    path = pattern.format(**ids, **panels, sha256=SHA256)
    # A browser says where a request comes from; whoever shows a key need not.
    headers = people.headers(caller) | {"Origin": "/".join(server.address.split("/")[:3])}
    return ask(server, method, path, headers=headers, params=request.query, json=request.json, data=request.data)


def _expected(level: Needs, caller: str) -> int:
    """Return the status that a route which declares a level owes a caller: 200 stands for all that is well."""
    if level is Needs.NOTHING:
        return 200
    if caller in ("nobody", *KEYLESS):
        return 401
    if level is Needs.KEY:
        return 200
    if level is Needs.SERVER_ADMIN:
        return 200 if caller == "root" else 403
    if level is Needs.SELF:
        return 200 if caller in ("root", "owner") else 403
    held = HELD.get(caller)
    return 404 if held is None else 200 if held >= LEVELS[level] else 403


def test_every_live_route_has_a_recipe_for_a_valid_request(server: TeamServer) -> None:
    assert set(_live_routes(server)) == set(RECIPES)


@pytest.mark.parametrize("caller", CALLERS)
def test_every_route_answers_a_caller_as_it_declares(server: TeamServer, people: People, caller: str) -> None:
    tracking = server.app.state.services.tracking
    scene, wrong = Scene.make(tracking), []
    for route, level in _live_routes(server).items():
        recipe, expected = RECIPES[route], _expected(level, caller)
        answer = _send(server, route, caller, people, scene, recipe.make(scene, people))
        status = 200 if answer.ok else answer.status_code
        if status != expected:
            wrong.append(f"{route}: {answer.status_code} for {caller}, {expected} is due: {answer.text[:200]}")
        if expected == 403 and level in LEVELS:
            told = answer.json()["error"]["message"]
            assert f"needs {recipe.named or level.name}" in told, (route, told)
        if answer.ok and recipe.destroys:
            scene = Scene.make(tracking)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("caller", [caller for caller in CALLERS if caller not in ("nobody", *KEYLESS)])
def test_a_list_holds_what_its_caller_may_see_and_nothing_else(server: TeamServer, people: People, caller: str) -> None:
    tracking = server.app.state.services.tracking
    scene = Scene.make(tracking)
    tracking.create_run("spare", new_run("of-nobody-else"))
    answer = ask(server, "GET", "/api/v1/projects", people.keys[caller])
    seen = {(told["owner"], told["name"], told["permission"]) for told in answer.json()["projects"]}
    level = {"reader": "READ", "writer": "WRITE", "admin": "ADMIN", "owner": "ADMIN"}.get(caller)
    assert seen == ({("owner", scene.name, level)} if level else set())
    keys = ask(server, "GET", "/api/v1/keys", people.keys[caller]).json()["keys"]
    assert {key["user"] for key in keys} == {caller}
    assert ask(server, "GET", "/api/v1/whoami", people.keys[caller]).json()["user"] == caller


@pytest.mark.parametrize("caller", CALLERS)
def test_a_refused_request_changes_nothing(server: TeamServer, people: People, caller: str) -> None:
    scene = Scene.make(server.app.state.services.tracking)
    before = scene.rows()
    for route, level in _live_routes(server).items():
        if _expected(level, caller) != 200:
            _send(server, route, caller, people, scene, RECIPES[route].make(scene, people))
    assert scene.rows() == before


@pytest.mark.parametrize("caller", CALLERS)
def test_a_run_of_another_project_is_not_reached_under_this_one(
    server: TeamServer, people: People, caller: str
) -> None:
    tracking = server.app.state.services.tracking
    here, there = Scene.make(tracking), Scene.make(tracking)
    mixed = Scene(tracking, here.name, here.project_id, there.run, there.journal_id)
    before_here, before_there = here.rows(), there.rows()
    for route, level in _live_routes(server).items():
        if not route[1].startswith((RUN, DASHBOARD_RUN)):
            continue
        answer = _send(server, route, caller, people, mixed, RECIPES[route].make(mixed, people))
        # Who lacks the level on this project is told so, whatever the run; that tells nothing of the other project.
        due = {403, 404} if _expected(level, caller) == 403 else {_expected(level, caller)} - {200} or {404}
        assert answer.status_code in due, (route, answer.status_code, answer.text)
    assert (here.rows(), there.rows()) == (before_here, before_there)


def test_journals_and_bytes_of_another_project_are_not_reached_by_their_ids(server: TeamServer, people: People) -> None:
    tracking = server.app.state.services.tracking
    here, there = Scene.make(tracking), Scene.make(tracking)
    bare = tracking.create_run("owner", new_run(here.name, "bare", owner="owner")).key
    secret = b"only there"
    held = tracking.put_artifact("owner", there.run, "secret.txt", __import__("io").BytesIO(secret))
    before = there.rows()
    run = f"/api/v1/projects/{here.project_id}/runs/{bare.run_id}"
    key = people.keys["owner"]

    journal = f"{run}/journals/{there.journal_id}"
    assert ask(server, "GET", journal, key).json() == {"acked": 0}
    assert ask(server, "POST", journal, key, data=batch_bytes(bare, there.journal_id)).json()["acked"] == 3
    blob = f"{run}/blobs/{held.sha256}"
    assert ask(server, "GET", blob, key, params={"size": len(secret)}).json() == {"offset": 0}
    claimed = {"path": "mine.txt", "sha256": held.sha256, "size_bytes": len(secret)}
    assert ask(server, "PUT", f"{run}/artifacts", key, json=claimed).status_code == 400
    assert ask(server, "GET", f"{run}/artifacts/content", key, params={"path": "secret.txt"}).status_code == 404
    assert there.rows() == before


def _without_ids(scene: Scene, answer: requests.Response) -> str:
    """Return a body without what is the caller's own: the id of the request and the ids that were asked for."""
    text = re.sub(r'"request_id":\s*"[^"]*"', "", answer.text)
    for own in (str(scene.project_id), scene.run.run_id, scene.name, str(scene.journal_id)):
        text = text.replace(own, "?")
    return text


@pytest.mark.parametrize("caller", ["stranger", "removed", "root"])
def test_what_one_may_not_see_answers_like_what_is_not_there(server: TeamServer, people: People, caller: str) -> None:
    scene = Scene.make(server.app.state.services.tracking)
    for route, level in _live_routes(server).items():
        if level not in LEVELS:
            continue
        hidden = _send(server, route, caller, people, scene, RECIPES[route].make(scene, people))
        gone = _send(server, route, caller, people, scene.gone, RECIPES[route].make(scene.gone, people))
        assert hidden.status_code == gone.status_code == 404, route
        assert _without_ids(scene, hidden) == _without_ids(scene.gone, gone), route
        told, missed = set(hidden.headers), set(gone.headers)
        assert told == missed, route


@pytest.mark.parametrize("caller", ["nobody", "stranger", "writer"])
def test_other_methods_on_a_route_are_refused_in_the_one_shape(server: TeamServer, people: People, caller: str) -> None:
    scene = Scene.make(server.app.state.services.tracking)
    before, live = scene.rows(), _live_routes(server)
    paths = {path for _, path in live}
    for pattern in sorted(paths):
        taken = {method for method, path in live if path == pattern}
        for method in {"GET", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} - taken:
            answer = _send(server, (method, pattern), caller, people, scene, Request())
            assert answer.status_code in (400, 401, 404, 405, 415), (method, pattern, answer.status_code)
            assert answer.json()["error"]["message"], (method, pattern)
    assert scene.rows() == before


def test_an_application_with_an_undeclared_route_does_not_start(server: TeamServer, tmp_path) -> None:
    app = create_app(server.database, ArtifactFolder(tmp_path))
    forgotten = room("forgotten")

    @forgotten.get("/api/v1/everything")
    def everything() -> dict[str, str]:
        return {}

    app.router.routes += forgotten.routes
    with pytest.raises(RuntimeError, match=r"do not declare .*: /api/v1/everything"):
        refuse_undeclared(app)
    needs(Needs.KEY)(everything)
    refuse_undeclared(app)


def test_what_holds_routes_must_declare_as_well(server: TeamServer, tmp_path) -> None:
    app = create_app(server.database, ArtifactFolder(tmp_path))
    app.mount("/more", create_app(server.database, ArtifactFolder(tmp_path)))
    with pytest.raises(RuntimeError, match="/more"):
        refuse_undeclared(app)


def test_members_are_refused_by_what_they_hold_even_where_the_body_is_no_good(
    server: TeamServer, people: People
) -> None:
    scene = Scene.make(server.app.state.services.tracking)
    for caller in ("nobody", *KEYLESS):
        for route, level in _live_routes(server).items():
            if level is Needs.NOTHING:
                continue
            answer = _send(server, route, caller, people, scene, Request(data=b"{" * 100))
            assert answer.status_code == 401, (route, caller, answer.text)
            assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_times_of_keys_and_runs_are_of_the_server(server: TeamServer, people: People) -> None:
    """The start of a run is the client's; that a key lives is the server's clock alone."""
    answer = ask(server, "GET", "/api/v1/whoami", people.keys["expired"])
    assert "has expired" in answer.json()["error"]["message"]
    assert START_US > 0
