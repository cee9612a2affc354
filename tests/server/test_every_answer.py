"""Every answer has its id, safe headers, a line in the log and a count, whoever refuses the request and why."""

from __future__ import annotations

import json
import logging
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from mlfoundry.errors import BackendUnavailable
from mlfoundry.folders import make_private
from mlfoundry.server.app import create_app
from mlfoundry.server.attempts import FailedAttempts
from mlfoundry.server.dashboard.rendering import PAGE_POLICY
from mlfoundry.server.limits import RequestLimits
from mlfoundry.store.artifacts import ArtifactFolder
from mlfoundry.store.database import Database
from mlfoundry.tracking.accounts import new_key
from tests.server.scene import People, Scene
from tests.servers import Servers, TeamServer

SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
NO_PAGE = "default-src 'none'; frame-ancestors 'none'; sandbox"


class Known(TeamServer):
    """A server that goes by one name alone, and gives up on slow bodies at once."""

    def __init__(self, servers: Servers, folder: Path) -> None:
        make_private(folder)
        super().__init__(servers, Database(folder / "mlfoundry.db"), folder)
        servers.remove(self.name)
        self.app = create_app(self.database, ArtifactFolder(folder / "artifacts"), hosts=["127.0.0.1"])
        self.app.state.attempts = FailedAttempts(limit=1)
        next(each for each in self.app.user_middleware if each.cls is RequestLimits).kwargs["pause_s"] = 0.3
        self.name, self.address = servers.add(self.app)


@pytest.fixture
def known(servers: Servers, tmp_path: Path) -> Iterator[Known]:
    made = Known(servers, tmp_path / "known")
    yield made
    made.close()


def _ask(known: Known, request: str, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
    """Send a request as it is written; return status, headers and body of the answer."""
    place = urlsplit(known.address)
    with socket.create_connection((place.hostname or "", place.port or 0), timeout=20) as peer:
        peer.sendall(request.replace("\n", "\r\n").encode() + b"\r\n" + body)
        peer.settimeout(20)
        data = b""
        while block := peer.recv(65536):
            data += block
    head, _, rest = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    return int(first.split()[1]), {name.title(): value for name, _, value in (x.partition(": ") for x in lines)}, rest


REFUSALS = {
    "none": ("GET", "/healthz", 200, ""),
    "400": ("GET", "/api/v1/projects?x=1", 400, ""),
    "401 no key": ("GET", "/api/v1/projects", 401, "Authorization: none\n"),
    "401 wrong key": ("GET", "/api/v1/projects", 401, f"Authorization: Bearer {new_key()}\n"),
    "404 no such place": ("GET", "/nothing/at/all", 404, ""),
    "404 no such file": ("GET", "/static/x/panels/none.js", 404, ""),
    "404 no such run": ("GET", f"/api/v1/runs/{'a' * 32}", 404, ""),
    "405": ("PURGE", "/api/v1/projects", 405, ""),
    "408": ("POST", "/api/v1/runs", 408, "Content-Type: application/json\nContent-Length: 9\n"),
    "413": ("POST", "/api/v1/runs", 413, "Content-Type: application/json\nContent-Length: 99999999\n"),
    "415": ("POST", "/api/v1/runs", 415, "Content-Type: text/plain\nContent-Length: 0\n"),
    "421": ("GET", "/api/v1/projects", 421, "Host: evil.example.org\n"),
}  # fmt: skip


def _lines(caplog: pytest.LogCaptureFixture) -> list[Any]:
    return [each for each in caplog.records if each.getMessage() == "request"]


@pytest.mark.parametrize("kind", REFUSALS)
def test_whatever_is_refused_has_all_that_every_answer_has(
    known: Known, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    caplog.set_level(logging.INFO, "mlfoundry.server")
    method, path, status, more = REFUSALS[kind]
    place = urlsplit(known.address)
    head = f"{method} {place.path}{path} HTTP/1.1\nConnection: close\n{more}"
    if "Host:" not in head:
        head += f"Host: {place.netloc}\n"
    if "Authorization" not in head:
        head += f"Authorization: Bearer {known.key('ann')}\n"
    found, headers, body = _ask(known, head)
    assert found == status, body
    assert {name: headers.get(name.title()) for name in SAFE} == SAFE
    assert headers["Content-Security-Policy"] == NO_PAGE
    assert headers["Cache-Control"] == "no-store"
    assert re.fullmatch("[0-9a-f]{16}", headers["X-Request-Id"])
    if status == 200:  # asked every few seconds, and told only when something is wrong
        assert _lines(caplog) == []
        return
    told = json.loads(body)["error"]
    assert told["request_id"] == headers["X-Request-Id"]
    assert "(str)" not in told["message"]
    (line,) = _lines(caplog)
    assert (line.request_id, line.status) == (headers["X-Request-Id"], status)
    counted = known.app.state.metrics.text().decode()
    assert re.search(rf'mlfoundry_requests_total\{{.*status="{status}"\}} 1\.0', counted)
    assert "mlfoundry_requests_open 0.0" in counted


def test_the_second_wrong_key_in_a_row_is_a_429_with_all_of_it(known: Known) -> None:
    answers = [requests.get(f"{known.address}/api/v1/projects", auth=_Key(new_key()), timeout=20) for _ in range(2)]
    assert [each.status_code for each in answers] == [401, 429]
    assert {name: answers[1].headers.get(name) for name in SAFE} == SAFE
    assert answers[1].json()["error"]["request_id"] == answers[1].headers["X-Request-Id"]


class _Key(requests.auth.AuthBase):
    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: Any) -> Any:
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request


@pytest.mark.parametrize(("error", "status"), [(RuntimeError("boom"), 500), (BackendUnavailable("away"), 503)])
def test_what_fails_inside_has_all_of_it_and_tells_nothing_of_itself(
    known: Known,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    status: int,
) -> None:
    def fail(_: str) -> None:
        raise error

    key = known.key("ann")
    monkeypatch.setattr(known.app.state.services.tracking, "list_projects", fail)
    caplog.set_level(logging.INFO, "mlfoundry.server")
    for accept, policy in (("application/json", NO_PAGE), ("text/html", PAGE_POLICY)):
        caplog.clear()
        answer = requests.get(
            f"{known.address}/api/v1/projects", auth=_Key(key), headers={"Accept": accept}, timeout=20
        )
        assert answer.status_code == status
        assert {name: answer.headers.get(name) for name in SAFE} == SAFE
        assert answer.headers["Content-Security-Policy"] == policy
        assert "boom" not in answer.text
        (line,) = _lines(caplog)
        assert (line.request_id, line.status, line.user) == (answer.headers["X-Request-Id"], status, "ann")
        assert line.path == "/api/v1/projects"
        if status == 500:
            (failure,) = [each for each in caplog.records if each.getMessage() == "failed"]
            assert failure.request_id == answer.headers["X-Request-Id"]
            assert "boom" in str(failure.exc_info)


def test_a_range_behind_the_end_and_a_missing_file_say_so_themselves(server: TeamServer, people: People) -> None:
    scene = Scene.make(server.app.state.services.tracking)
    place = f"{server.address}/api/v1/projects/{scene.project_id}/runs/{scene.run.run_id}/artifacts/content"
    answer = requests.get(
        place, {"path": "model.bin"}, headers={**people.headers("owner"), "Range": "bytes=999-"}, timeout=20
    )
    assert answer.status_code == 416
    assert "a range cannot begin at 999" in answer.json()["error"]["message"]
    assert {name: answer.headers.get(name) for name in SAFE} == SAFE
    missing = requests.get(f"{server.address}/static/x/panels/none.js", timeout=20)
    assert missing.json()["error"]["message"] == "there is no file panels/none.js"
    nowhere = requests.get(f"{server.address}/zzz", timeout=20)
    assert nowhere.json()["error"]["message"].startswith("there is nothing at '/")
    assert "(str)" not in nowhere.text


def test_a_page_keeps_its_own_policy(known: Known) -> None:
    answer = requests.get(f"{known.address}/login", timeout=20)
    assert answer.headers["Content-Security-Policy"] == PAGE_POLICY
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
