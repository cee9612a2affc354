"""Whatever stands in an address, a form or a body, the pages and what feeds them never fail: they refuse it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from tests.server.scene import People, Scene, ask
from tests.servers import TeamServer

JUNK = (
    "", "\x00", "\udcff", "a" * 5000, "../../etc/passwd", "💥", "'\"<script>", "-1", "1e400", "NaN", "null", "9" * 30,
    "attributes.", "metrics.`", "-metrics.loss", "\u202e", "a\nb", "tags.x = '", "params.a IN (", "((((",
)  # fmt: skip
PROJECT = "/dashboard/projects/{project}"
RUN = PROJECT + "/runs/{run}"
API = "/api/v1/projects/{project}/runs/{run}"
ADDRESSES = (
    "/p/@/@", "/p/owner/@", "/p/owner/{name}?filter=@", "/p/owner/{name}?sort=@",
    "/p/owner/{name}/compare?runs=@,{run}",
    "/p/owner/@/people", "/r/@", "/login?next=@&token=@", "/static/@/@/@", PROJECT + "/runs?filter=@&order_by=@",
    PROJECT + "/runs?offset=@&count=@", PROJECT + "/search?filter=@", RUN + "/preview?path=@",
    "/dashboard/projects/@/runs", "/api/v1/projects/named?name=@&owner=@", "/api/v1/runs?project=@&run=@",
    "/api/v1/keys?user=@", "/@",
)  # fmt: skip
BODIES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("POST", PROJECT + "/series", {"runs": ["@"]}),
    ("POST", PROJECT + "/series", {"runs": ["{run}"], "names": ["@"]}),
    ("POST", PROJECT + "/series", {"runs": ["{run}"], "max_points": 0}),
    ("POST", PROJECT + "/series", {"runs": ["{run}"], "max_points": -5}),
    ("POST", PROJECT + "/details", {"runs": ["@"]}),
    ("POST", PROJECT + "/changes", {"running": ["@"] * 600, "seen": "@"}),
    ("POST", RUN + "/news", {"seen": "@", "order": "@", "names": ["@"], "counts": [[1, 1]]}),
    ("POST", RUN + "/news", {"order": "@", "names": ["loss", "@"], "counts": [[0, 2]]}),
    ("POST", RUN + "/news", {"order": "@", "names": ["loss"], "counts": [[2**63 - 1, 1]]}),
    ("POST", RUN + "/news", {"order": "@", "counts": [[-5, 2**70]]}),
    ("POST", API + "/series", {"names": ["@"], "since": {"@": 2**62}, "most": 2**62}),
    ("POST", API + "/series", {"names": ["loss"], "since": {"loss": 1}, "most": 2**63 - 1}),
    ("POST", API + "/series", {"names": ["loss"], "since": {"loss": 2**63 - 1}, "most": 2**63 - 1}),
    ("POST", API + "/series", {"names": ["loss"], "max_points": 2**63 - 1}),
    ("POST", "/api/v1/keys", {"label": "@"}),
    ("POST", "/api/v1/users", {"user": "@"}),
    ("PATCH", API, {"tags": {"@": "@"}, "description": "@"}),
)


def _filled(value: Any, junk: str, known: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {_filled(name, junk, known): _filled(inner, junk, known) for name, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, junk, known) for inner in value]
    if not isinstance(value, str):
        return value
    for name, text in known.items():
        value = value.replace(f"{{{name}}}", text)
    return value.replace("@", junk)


def _requests(known: dict[str, str]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for junk in JUNK:
        for address in ADDRESSES:
            path = _filled(address, quote(junk.encode("utf-8", "surrogateescape"), safe=""), known)
            for accept in ("text/html", "application/json"):
                yield "GET", path, {"headers": {"Accept": accept}}
        for method, address, body in BODIES:
            if junk.isprintable() or "@" in str(body):
                yield method, _filled(address, "", known), {"json": _filled(body, junk, known)}


def test_what_makes_no_sense_is_refused_and_nothing_fails(server: TeamServer, people: People, scale: Any) -> None:
    scene = Scene.make(server.app.state.services.tracking)
    known = {"project": str(scene.project_id), "run": scene.run.run_id, "name": scene.name}
    every = list(_requests(known))
    chosen = random.Random(7).sample(every, min(len(every), scale(10_000, 350)))
    certain = [each for each in every if "most" in each[2].get("json", {})][:3]
    certain += [each for each in every if each[1].endswith("/changes")]
    for method, path, given in (*certain, *chosen):
        answer = ask(server, method, path, people.keys["owner"], **given)
        assert answer.status_code < 500, (method, path[:200], str(given)[:300], answer.text[:500])
