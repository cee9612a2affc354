"""Requests that are meant to hurt are refused within their limits, in the one shape, and nobody else notices."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
import requests
import uvicorn

from mlfoundry.folders import make_private
from mlfoundry.server.addresses import Proxies
from mlfoundry.server.app import create_app
from mlfoundry.server.attempts import ADDRESSES, FailedAttempts
from mlfoundry.server.connections import BoundedHttp
from mlfoundry.server.limits import Bodies, RequestLimits, Turns
from mlfoundry.server.listening import uvicorn_config
from mlfoundry.store.artifacts import ArtifactFolder
from mlfoundry.store.database import Database
from mlfoundry.tracking.accounts import AccountService, new_key
from mlfoundry.wire import frames
from tests.postgres import free_port
from tests.server.scene import People, Scene, ask
from tests.servers import TeamServer

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MEBIBYTE = 1 << 20
RUN = "/api/v1/projects/{project_id}/runs/{run_id}"


@pytest.fixture
def scene(server: TeamServer, people: People) -> Scene:
    return Scene.make(server.app.state.services.tracking)


def problem(answer: requests.Response) -> dict[str, Any]:
    """Return the error of an answer, which has the one shape."""
    told = answer.json()
    assert set(told) == {"error"}, told
    assert {"code", "message", "request_id"} <= set(told["error"]), told
    assert told["error"]["request_id"] == answer.headers["X-Request-Id"]
    assert len(answer.content) < 30_000
    error: dict[str, Any] = told["error"]
    return error


# -- what cannot be ------------------------------------------------------------------------------

JSON = {"Content-Type": "application/json"}
BATCH = {"Content-Type": frames.BATCH_TYPE}
SEARCH = "/api/v1/projects/{project_id}/runs/search"
SERIES = RUN + "/series"
JOURNAL = RUN + "/journals/{journal_id}"
RUNS = "/api/v1/runs"
PEOPLE = "/api/v1/projects/{project_id}/collaborators"


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _deep(depth: int) -> bytes:
    return b'{"filter":' + b"[" * depth + b"]" * depth + b"}"


NONSENSE: list[tuple[str, str, dict[str, str], bytes | None, int, str]] = [
    ("GET", "/api/v1/projects/one/keys?kind=metric", {}, None, 400, "path.project_id"),
    ("GET", f"/api/v1/projects/{'9' * 30}/keys?kind=metric", {}, None, 404, "no project"),
    ("GET", f"/api/v1/projects/{'9' * 5000}/keys?kind=metric", {}, None, 400, "path.project_id"),
    ("GET", "/api/v1/projects/-1/keys?kind=metric", {}, None, 404, "no project"),
    ("GET", "/api/v1/projects/{project_id}/keys", {}, None, 400, "query.kind"),
    ("GET", "/api/v1/projects/{project_id}/keys?kind=colour", {}, None, 400, "give one of"),
    ("GET", "/api/v1/projects/{project_id}/keys?kind=metric&kind=tag", {}, None, 400, "given twice"),
    ("GET", "/api/v1/projects/{project_id}/keys?kind=metric&knid=1", {}, None, 400, "'knid' is not known here"),
    ("GET", "/api/v1/projects/named?name=a%00b", {}, None, 400, "cannot be seen"),
    ("GET", "/api/v1/runs/nothex", {}, None, 404, "32 hex digits"),
    ("GET", "/api/v1/runs/%2e%2e%2fkeys", {}, None, 404, "there is nothing at"),
    ("GET", "/api/v1/nothing", {}, None, 404, "openapi.json describes what there is"),
    ("PURGE", "/api/v1/projects", {}, None, 405, "'PURGE' is not taken here; GET is"),
    ("GET", RUN + "/artifacts/content?path=../../etc/passwd", {}, None, 400, "plain relative path"),
    ("GET", RUN + "/journals/18446744073709551616", {}, None, 400, "path.journal_id"),
    ("GET", RUN + "/blobs/" + "g" * 64 + "?size=1", {}, None, 400, "64 hex digits"),
    ("GET", RUN + "/blobs/" + "a" * 64 + "?size=99999999999999", {}, None, 400, "at most"),
    ("POST", SEARCH, JSON, b"", 400, "body"),
    ("POST", SEARCH, JSON, b"{", 400, "body"),
    ("POST", SEARCH, JSON, b"\xff\xfe{}", 400, "the body is no JSON"),
    ("POST", SEARCH, JSON, b"[]", 400, "body"),
    ("POST", SEARCH, JSON, b"null", 400, "body"),
    ("POST", SEARCH, JSON, _deep(100_000), 400, "no JSON that can be read"),
    ("POST", SEARCH, JSON, _json({"limit": 10**9}), 400, "a page has 1 to 10,000 runs"),
    ("POST", SEARCH, JSON, _json({"limit": -1}), 400, "a page has 1 to 10,000 runs"),
    ("POST", SEARCH, JSON, b'{"limit": 1' + b"0" * 5000 + b"}", 400, "body"),
    ("POST", SEARCH, JSON, _json({"limit": "many"}), 400, "body.limit"),
    ("POST", SEARCH, JSON, _json({"limit": 1.5}), 400, "body.limit"),
    ("POST", SEARCH, JSON, _json({"limit": True}), 400, "body.limit"),
    ("POST", SEARCH, JSON, _json({"lmit": 1}), 400, "body.lmit"),
    ("POST", SEARCH, JSON, b'{"\\ud800": 1}', 400, "body"),
    ("POST", SEARCH, JSON, b'{"filter": "\\ud800"}', 400, "U+D800, which is no text"),
    ("POST", SEARCH, JSON, b'{"filter": "\\u0000"}', 400, "U+0000, which is no text"),
    ("POST", SEARCH, JSON, b'{"filter": "params.a = \'\\u0000\'"}', 400, ""),
    ("POST", SEARCH, JSON, _json({"filter": "a" * 20_000}), 400, "at most 10,000 are allowed"),
    ("POST", SEARCH, JSON, _json({"filter": "(" * 5_000}), 400, "nested too deep"),
    ("POST", SEARCH, JSON, _json({"filter": " and ".join(["metrics.a>1"] * 300)}), 400, "comparison 201"),
    ("POST", SEARCH, JSON, _json({"order_by": ["metrics.a"] * 10_000}), 400, "at most 200 are allowed"),
    ("POST", SEARCH, JSON, _json({"metrics": ["a"] * 10_000}), 400, "give at most 1,000"),
    ("POST", SEARCH, JSON, _json({"view": "x" * 100_000}), 400, ""),
    ("POST", SEARCH, JSON, _json({"cursor": "x" * 100_000}), 400, ""),
    ("POST", SEARCH, {"Content-Type": "text/plain"}, b"{}", 415, "'text/plain'; send application/json"),
    ("POST", SEARCH, {"Content-Type": "application/x-www-form-urlencoded"}, b"a=b", 415, "send application/json"),
    ("POST", SEARCH, {"Content-Type": "multipart/form-data; boundary=x"}, b"--x--", 415, "send application/json"),
    ("POST", SEARCH, {"Content-Type": "application/json\xe9"}, b"{}", 415, "send application/json"),
    ("POST", SERIES, JSON, _json({"max_points": 0}), 400, "give at least 4"),
    ("POST", SERIES, JSON, _json({"max_points": 10**30}), 400, "whole number of 64 bits"),
    ("POST", SERIES, JSON, _json({"since": {"a": -5}}), 400, "since is -5"),
    ("POST", SERIES, JSON, _json({"since": {"a": 2**70}}), 400, "whole number of 64 bits"),
    ("POST", SERIES, JSON, _json({"names": ["a"] * 20_000}), 400, "give at most 10,000"),
    ("POST", RUNS, JSON, _json({"run_id": "x"}), 400, "body."),
    ("PUT", PEOPLE, JSON, _json({"user": "spare", "permission": "GOD"}), 400, "give one of"),
    ("PUT", PEOPLE, JSON, _json({"user": "nobody-known", "permission": "READ"}), 404, "has no user"),
    ("POST", JOURNAL, {"Content-Type": "application/json"}, b"{}", 415, "send application/vnd.mlfoundry.batch"),
    ("POST", JOURNAL, BATCH, b"", 400, "no batch"),
    ("POST", JOURNAL, BATCH, b"\xff" * 100, 400, "the header of a frame"),
    ("POST", JOURNAL, BATCH, struct.pack("<I", 2) + b"{}" + zstd.compress(b""), 400, "no batch"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status", "says"),
    NONSENSE,
    ids=[f"{number}-{method}-{says[:30]}" for number, (method, _, _, _, _, says) in enumerate(NONSENSE)],
)
def test_what_cannot_be_is_refused_with_a_reason(
    server: TeamServer,
    people: People,
    scene: Scene,
    method: str,
    path: str,
    headers: dict[str, str],
    body: bytes | None,
    status: int,
    says: str,
) -> None:
    path = path.replace("{project_id}", str(scene.project_id)).replace("{run_id}", scene.run.run_id)
    path = path.replace("{journal_id}", str(scene.journal_id))
    before = scene.rows()
    began = time.monotonic()
    answer = ask(server, method, path, people.keys["owner"], headers=headers, data=body)
    assert answer.status_code == status, answer.text[:500]
    assert says in problem(answer)["message"]
    assert time.monotonic() - began < 5
    assert scene.rows() == before


# -- what is too much ----------------------------------------------------------------------------


def _batch(header: dict[str, Any], body: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<I", len(text)) + text + body


def _bomb(size: int) -> bytes:
    """Return zstd of so many zeros, without being told its size anywhere."""
    packer = zstd.ZstdCompressor(level=19)
    block = bytes(16 * MEBIBYTE)
    return b"".join(packer.compress(block) for _ in range(size // len(block))) + packer.flush()


def test_a_small_batch_that_unpacks_to_gigabytes_takes_no_memory(
    server: TeamServer, people: People, scene: Scene
) -> None:
    bomb = _bomb(1 << 30)
    assert len(bomb) < MEBIBYTE
    place = JOURNAL.format(project_id=scene.project_id, run_id=scene.run.run_id, journal_id=7)
    process = psutil.Process()
    before = process.memory_info().rss
    for slots_ in (3, 1000, frames.SLOTS_LIMIT_BYTES // 32, 1 << 40):
        header = {"start": 0, "stop": slots_, "names": {}, "settle": False}
        answer = ask(server, "POST", place, people.keys["owner"], data=_batch(header, bomb))
        assert answer.status_code == 400
        assert "the body of a frame is not one frame" in answer.text or "it holds at most" in answer.text
    assert process.memory_info().rss - before < 160 * MEBIBYTE


def test_a_batch_whose_frame_asks_for_a_huge_window_is_refused(
    server: TeamServer, people: People, scene: Scene
) -> None:
    options = {zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.content_size_flag: 0}
    packer = zstd.ZstdCompressor(options=options)
    body = packer.compress(bytes(96)) + packer.flush()
    header = {"start": 0, "stop": 3, "names": {}, "settle": False}
    place = JOURNAL.format(project_id=scene.project_id, run_id=scene.run.run_id, journal_id=7)
    answer = ask(server, "POST", place, people.keys["owner"], data=_batch(header, body))
    assert answer.status_code == 400
    assert "is no zstd" in problem(answer)["message"]


@pytest.mark.parametrize("path", [SEARCH, JOURNAL, RUN + "/blobs/" + "a" * 64 + "?size=1&offset=0"])
def test_a_body_that_is_too_large_is_refused_before_it_comes_and_while_it_does(
    server: TeamServer, people: People, scene: Scene, path: str
) -> None:
    path = path.format(project_id=scene.project_id, run_id=scene.run.run_id, journal_id=7)
    address = urlsplit(server.address)
    head = f"POST {address.path}{path} HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer "
    head += people.keys["owner"] + "\r\n"
    if "blobs" in path:
        head = head.replace("POST", "PUT", 1)
    if "search" in path:
        head += "Content-Type: application/json\r\n"
    with _connected(server.address) as peer:  # it says how large it is
        peer.sendall(f"{head}Content-Length: 10000000000\r\n\r\n".encode())
        assert b"413 " in peer.recv(4096).partition(b"\r\n")[0]
    with _connected(server.address) as peer:  # it does not
        peer.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        chunk = b"%x\r\n%s\r\n" % (MEBIBYTE, b"x" * MEBIBYTE)
        sent = 0
        with contextlib.suppress(OSError):
            while sent < 64:
                peer.sendall(chunk)
                sent += 1
        assert sent < 64


@contextlib.contextmanager
def _connected(address: str) -> Iterator[socket.socket]:
    place = urlsplit(address)
    with socket.create_connection((place.hostname or "", place.port or 0), timeout=20) as peer:
        yield peer


@pytest.mark.parametrize(
    ("method", "path", "size"),
    [("POST", "/login", 5000), ("POST", "/login", 10 * MEBIBYTE), ("GET", "/static/x/journals/y", 2 * MEBIBYTE)],
)
def test_who_has_no_key_sends_little_wherever_that_is_possible(
    server: TeamServer, method: str, path: str, size: int
) -> None:
    address = urlsplit(server.address)
    head = f"{method} {address.path}{path} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {size}\r\n\r\n"
    with _connected(server.address) as peer:
        peer.sendall(head.encode())
        assert b"413 " in peer.recv(4096).partition(b"\r\n")[0]


def test_who_shows_no_key_cannot_send_a_body_at_all(server: TeamServer, scene: Scene) -> None:
    path = JOURNAL.format(project_id=scene.project_id, run_id=scene.run.run_id, journal_id=7)
    address = urlsplit(server.address)
    head = f"POST {address.path}{path} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: 10000000\r\n\r\n"
    with _connected(server.address) as peer:
        peer.sendall(head.encode())  # and nothing of the body
        assert b"401 " in peer.recv(4096).partition(b"\r\n")[0]


# -- what is too slow ----------------------------------------------------------------------------


class Slow(BoundedHttp):
    """The protocol with limits that a test can wait for."""

    head_s = 0.5
    per_address = 40


@pytest.fixture
def bounded(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The address of a server with short limits, and a key."""
    make_private(tmp_path / "bounded")
    database = Database(tmp_path / "bounded" / "mlfoundry.db")
    app = create_app(database, ArtifactFolder(tmp_path / "bounded" / "artifacts"))
    limits = next(each for each in app.user_middleware if each.cls is RequestLimits)
    limits.kwargs["pause_s"] = 0.5
    port = free_port()
    config = uvicorn.Config(app, host="127.0.0.1", port=port, http=Slow, log_level="critical", lifespan="off")
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, name="tests-bounded")
    thread.start()
    while not running.started:
        threading.Event().wait(0.01)
    yield f"http://127.0.0.1:{port}", AccountService(database).create_first_admin("ann")
    running.should_exit = True
    thread.join(10)
    database.close()


def _ended_within(peer: socket.socket, limit_s: float) -> float:
    """Wait until the other side ends a connection; return after how long."""
    began = time.monotonic()
    peer.settimeout(limit_s)
    with contextlib.suppress(ConnectionResetError):
        while peer.recv(4096):
            pass
    return time.monotonic() - began


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nX: "])
def test_a_head_that_never_ends_ends_the_connection(bounded: tuple[str, str], begun: bytes) -> None:
    with _connected(bounded[0]) as peer:
        peer.sendall(begun)
        assert 0.2 < _ended_within(peer, 10) < 8


def test_a_head_that_drips_in_ends_the_connection_as_well(bounded: tuple[str, str]) -> None:
    with _connected(bounded[0]) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nX: ")
        ended, began = threading.Event(), time.monotonic()

        def drip() -> None:
            with contextlib.suppress(OSError):
                while not ended.wait(0.05):
                    peer.sendall(b"a")

        dripping = threading.Thread(target=drip)
        dripping.start()
        _ended_within(peer, 10)
        ended.set()
        dripping.join()
        assert time.monotonic() - began < 8


def test_the_second_head_of_a_connection_has_its_deadline_too(bounded: tuple[str, str]) -> None:
    with _connected(bounded[0]) as peer:
        peer.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" in peer.recv(4096)
        peer.sendall(b"GET /healthz HTTP/1.1\r\nHo")
        _ended_within(peer, 10)


def test_a_head_that_has_no_end_is_refused_long_before_it_takes_memory(bounded: tuple[str, str]) -> None:
    with _connected(bounded[0]) as peer:
        sent = 0
        with contextlib.suppress(OSError):
            peer.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: ")
            while sent < 16 * MEBIBYTE:
                sent += peer.send(b"a" * 65536)
        assert sent < 16 * MEBIBYTE


def test_a_head_that_is_too_large_is_told_so(bounded: tuple[str, str]) -> None:
    with _connected(bounded[0]) as peer:
        peer.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"a" * (Slow.head_bytes - 30))
        peer.sendall(b"a" * 100)
        answer = peer.recv(4096)
        assert b"400 " in answer.partition(b"\r\n")[0]
        assert b"this is no HTTP/1.1: its head has more than 65,536 bytes" in answer


@pytest.mark.parametrize("loose", [b"1;x=", b"0\r\nX: "], ids=["an extension of a chunk", "a trailer"])
def test_what_is_no_part_of_a_body_has_an_end_as_well(bounded: tuple[str, str], loose: bytes) -> None:
    address, key = bounded
    head = f"POST /api/v1/users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
    head += "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    with _connected(address) as peer:
        sent = 0
        with contextlib.suppress(OSError):
            peer.sendall(head.encode() + loose)
            while sent < 16 * MEBIBYTE:
                sent += peer.send(b"a" * 65536)
        assert sent < 16 * MEBIBYTE


def test_what_follows_a_body_is_no_header(bounded: tuple[str, str]) -> None:
    head = "GET /api/v1/whoami HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    trailer = f"0\r\nAuthorization: Bearer {bounded[1]}\r\n\r\n"
    with _connected(bounded[0]) as peer:
        peer.sendall((head + trailer).encode())
        assert b"401 " in peer.recv(4096).partition(b"\r\n")[0]


ASKED = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


def test_requests_that_come_before_their_turn_are_answered_in_turn(bounded: tuple[str, str]) -> None:
    with _connected(bounded[0]) as peer:
        peer.sendall(ASKED * Slow.ahead)
        answers = b""
        while answers.count(b"HTTP/1.1 200") < Slow.ahead:
            piece = peer.recv(65536)
            assert piece
            answers += piece


def test_who_sends_requests_and_reads_no_answer_is_hung_up_on(bounded: tuple[str, str]) -> None:
    with _connected(bounded[0]) as peer:
        peer.sendall(ASKED * 5000)
        assert _ended_within(peer, 10) < 8


@pytest.mark.parametrize("upgrade", ["websocket", "h2c"])
def test_another_protocol_is_not_offered_and_the_connection_goes_on_or_ends(
    bounded: tuple[str, str], upgrade: str
) -> None:
    asked = f"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\n\r\n"
    with _connected(bounded[0]) as peer:
        peer.sendall(asked.encode())
        assert b"HTTP/1.1 200" in peer.recv(4096)
        with contextlib.suppress(ConnectionError):
            peer.sendall(ASKED)
            assert peer.recv(4096).partition(b"\r\n")[0] in (b"HTTP/1.1 200 OK", b"")


def test_a_connection_that_is_in_use_is_not_ended(bounded: tuple[str, str]) -> None:
    with requests.Session() as session:
        for _ in range(3):
            assert session.get(f"{bounded[0]}/healthz", timeout=10).ok
            threading.Event().wait(0.4)


def test_a_body_that_stops_arriving_is_answered_and_given_up(bounded: tuple[str, str]) -> None:
    address, key = bounded
    head = f"POST /api/v1/users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
    head += "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    with _connected(address) as peer:
        peer.sendall(head.encode())
        answer = peer.recv(4096)
        assert b"408 " in answer.partition(b"\r\n")[0]
        assert b"TooSlow" in answer or b"TooSlow" in peer.recv(4096)


def test_a_body_that_drips_in_is_given_up_although_it_always_goes_on(bounded: tuple[str, str]) -> None:
    address, key = bounded
    head = f"POST /api/v1/users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
    head += "Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
    with _connected(address) as peer:
        peer.sendall(head.encode())
        began = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() - began < 10:
                peer.sendall(b" ")
                peer.settimeout(0.1)
                with contextlib.suppress(TimeoutError):
                    if peer.recv(4096):
                        break
        assert time.monotonic() - began < 8


class Few(BoundedHttp):
    """The protocol with a limit of connections that a test can reach."""

    per_address = 40


@contextlib.contextmanager
def _few(folder: Path, **more: Any) -> Iterator[str]:
    """The address of a server that takes few connections of one address."""
    make_private(folder)
    database = Database(folder / "mlfoundry.db")
    app = create_app(database, ArtifactFolder(folder / "artifacts"))
    port = free_port()
    running = uvicorn.Server(
        uvicorn_config(app, host="127.0.0.1", port=port, http=Few, log_level="critical", lifespan="off", **more)
    )
    thread = threading.Thread(target=running.run, name="tests-few")
    thread.start()
    while not running.started:
        threading.Event().wait(0.01)
    yield f"http://127.0.0.1:{port}"
    running.should_exit = True
    thread.join(10)
    database.close()


def test_one_address_has_only_so_many_connections_and_gets_others_when_it_ends_some(tmp_path: Path) -> None:
    with _few(tmp_path / "few") as address:
        with contextlib.ExitStack() as held:
            peers = [held.enter_context(_connected(address)) for _ in range(Few.per_address + 20)]
            assert [_ended_within(peer, 5) < 4 for peer in peers[Few.per_address :]] == [True] * 20
            for peer in peers[: Few.per_address]:
                peer.setblocking(False)
                with pytest.raises(BlockingIOError):  # they are open, and nothing was said
                    peer.recv(1)
        deadline = time.monotonic() + 10
        while True:
            with contextlib.suppress(requests.ConnectionError):
                assert requests.get(f"{address}/healthz", timeout=10).ok
                break
            assert time.monotonic() < deadline


def test_what_is_no_http_is_refused_in_the_one_shape(bounded: tuple[str, str]) -> None:
    with _connected(bounded[0]) as peer:
        peer.sendall(b"\x16\x03\x01 <script>\r\n\r\n")
        answer = b""
        while block := peer.recv(4096):
            answer += block
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["error"]["request_id"] == lines["X-Request-Id"]
    assert lines["X-Content-Type-Options"] == "nosniff"
    assert lines["Content-Length"] == str(len(body))


@pytest.mark.parametrize("network", ["127.0.0.1", "127.0.0.0/8"])
def test_a_proxy_may_have_any_number_also_when_it_is_named_by_its_network(tmp_path: Path, network: str) -> None:
    given = Proxies([network]).for_uvicorn()
    with (
        _few(tmp_path / "few", proxy_headers=True, forwarded_allow_ips=given) as address,
        contextlib.ExitStack() as held,
    ):
        peers = [held.enter_context(_connected(address)) for _ in range(Few.per_address + 20)]
        for peer in peers:
            peer.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert all(peer.recv(4096).startswith(b"HTTP/1.1 200 ") for peer in peers)


# -- keys that are none --------------------------------------------------------------------------


def test_many_wrong_keys_are_told_to_wait_and_a_right_one_is_taken_all_the_same(
    server: TeamServer, people: People
) -> None:
    server.app.state.attempts = FailedAttempts(limit=5)
    answers = [ask(server, "GET", "/api/v1/whoami", new_key()) for _ in range(8)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 3
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    error = problem(answers[-1])
    assert error["code"] == "TooManyAttempts"
    assert "More than 5 keys that are not taken came from this address within 60 s" in error["message"]
    assert "A key that is taken is answered all the same" in error["message"]
    assert ask(server, "GET", "/api/v1/whoami", people.keys["owner"]).ok
    assert ask(server, "GET", "/api/v1/whoami", new_key()).status_code == 429
    assert ask(server, "GET", "/api/v1/whoami").status_code == 401  # who shows no key has guessed nothing


def test_attempts_are_forgotten_after_their_window_and_never_take_much_memory() -> None:
    class Request:
        def __init__(self, host: str) -> None:
            self.client = type("Client", (), {"host": host})

    now = [0.0]
    attempts = FailedAttempts(limit=2, now_s=lambda: now[0])
    assert [attempts._failed("a") for _ in range(4)] == [0, 0, 60, 60]
    assert attempts._failed("b") == 0
    now[0] = 61.0
    assert [attempts._failed("a") for _ in range(3)] == [0, 0, 60]
    for number in range(2 * ADDRESSES):
        attempts._failed(str(number))
    assert len(attempts._counts) == ADDRESSES


# -- one caller and the others -------------------------------------------------------------------


def test_what_one_caller_has_under_way_is_bounded_for_that_caller_alone() -> None:
    bodies = Bodies(100)
    assert bodies.take("ann", 60)
    assert not bodies.take("ann", 60)
    assert bodies.take("bob", 60)
    bodies.give_back("ann", 120)
    assert bodies.take("ann", 100)
    bodies.give_back("ann", 100)
    bodies.give_back("bob", 60)
    assert not bodies._held


def test_one_callers_requests_take_turns_and_the_others_do_not_wait_for_them() -> None:
    import asyncio

    async def play() -> None:
        turns = Turns(2, wait_s=0.2)
        release = asyncio.Event()
        inside: list[str] = []

        async def request(caller: str) -> None:
            async with turns.of(caller):
                inside.append(caller)
                await release.wait()

        tasks = [asyncio.create_task(request("ann")) for _ in range(4)]
        tasks.append(asyncio.create_task(request("bob")))
        await asyncio.wait(tasks, timeout=0.1)
        assert sorted(inside) == ["ann", "ann", "bob"]
        await asyncio.wait(tasks[:4], timeout=5, return_when=asyncio.FIRST_EXCEPTION)
        release.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        refused = [each for each in answers if each is not None]
        assert len(refused) == 2
        assert "2 requests of ann are being answered" in str(refused[0])
        assert refused[0].retry_after_s  # type: ignore[union-attr]
        assert not turns._gates

    with ThreadPoolExecutor(1) as thread:  # this one may have the event loop of the tests that drive a browser
        thread.submit(asyncio.run, play()).result()


def test_whoever_shows_keys_that_are_none_takes_turns_before_they_are_looked_up(
    server: TeamServer, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.app.state.turns = Turns(2)
    go_on, looking = threading.Event(), threading.Semaphore(0)
    accounts = server.app.state.services.accounts
    took = accounts.authenticate

    def slowly(key: str) -> Any:
        looking.release()
        assert go_on.wait(20)
        return took(key)

    monkeypatch.setattr(accounts, "authenticate", slowly)
    with ThreadPoolExecutor(7) as pool:
        wrong = [pool.submit(ask, server, "GET", "/api/v1/whoami", new_key()) for _ in range(6)]
        assert looking.acquire(timeout=10)
        assert looking.acquire(timeout=10)
        assert not looking.acquire(timeout=0.3)  # the other four wait, and hold no thread
        honest = requests.Session()
        honest.mount("http://", From("127.0.0.2"))
        right = pool.submit(ask, server, "GET", "/api/v1/whoami", people.keys["owner"], session=honest)
        assert looking.acquire(timeout=10)  # somebody else's does not wait for them
        go_on.set()
        assert [each.result().status_code for each in wrong] == [401] * 6
        assert right.result().ok


class From(requests.adapters.HTTPAdapter):
    """Connections that come from an address of this machine's own."""

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *words: Any, **given: Any) -> None:
        super().init_poolmanager(*words, source_address=(self._address, 0), **given)


@pytest.mark.parametrize("way", ["/login", SEARCH])
def test_a_body_that_comes_slowly_holds_no_turn(server: TeamServer, people: People, scene: Scene, way: str) -> None:
    server.app.state.turns = Turns(1, wait_s=1)
    address = urlsplit(server.address)
    head = f"POST {address.path}{way.format(project_id=scene.project_id)} HTTP/1.1\r\nHost: {address.netloc}\r\n"
    head += f"Authorization: Bearer {people.keys['owner']}\r\nContent-Type: application/json\r\n"
    head += f"Origin: http://{address.netloc}\r\nContent-Length: 100\r\n\r\n"
    with _connected(server.address) as slow:
        slow.sendall(head.encode() + b'{"filter":')
        threading.Event().wait(0.3)  # as long as it takes to be read as far as it came
        for path, key in (("/healthz", None), ("/api/v1/whoami", people.keys["owner"])):
            assert ask(server, "GET", path, key).status_code == 200


def _honest(address: str, key: str, project: int, count: int) -> list[float]:
    """Return how long each of an honest client's requests took."""
    took = []
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {key}"
        for _ in range(count):
            began = time.monotonic()
            answer = session.post(f"{address}/api/v1/projects/{project}/runs/search", json={"limit": 10}, timeout=30)
            assert answer.status_code == 200, answer.text
            took.append(time.monotonic() - began)
    return sorted(took)


def _told(took: list[float]) -> str:
    middle, late = (1000 * took[int(len(took) * share)] for share in (0.5, 0.95))
    return f"median {middle:.1f} ms, p95 {late:.1f} ms"


def test_an_honest_client_does_not_notice_all_of_it_at_once(tmp_path: Path, scale: Callable[..., int]) -> None:
    make_private(tmp_path / "team")
    database = Database(tmp_path / "team" / "runs.db")
    accounts = AccountService(database)
    honest_key = accounts.create_first_admin("root")
    root = accounts.authenticate(honest_key)
    accounts.create_user(root, "mallory")
    evil_key, _ = accounts.create_key(root, "mallory")
    from mlfoundry.tracking.service import TrackingService
    from tests.server.scene import new_run

    tracking = TrackingService(database, ArtifactFolder(tmp_path / "team" / "artifacts"))
    mine, evil = tracking.create_run("root", new_run("honest")), tracking.create_run("mallory", new_run("evil"))
    database.close()
    header = {"start": 0, "stop": frames.SLOTS_LIMIT_BYTES // 32, "names": {}, "settle": False}
    (tmp_path / "bomb").write_bytes(_batch(header, _bomb(1 << 30)))
    command = [sys.executable, "-c", "from mlfoundry.cli import main; main()", "server", "--json"]
    command += ["--database", str(tmp_path / "team" / "runs.db"), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    attack = None
    try:
        assert server.stdout is not None
        told = ""
        while not told.strip().endswith("}"):
            line = server.stdout.readline()
            assert line, told
            told += line
        address = json.loads(told)["address"]
        project = mine.key.project_id
        _honest(address, honest_key, project, 20)
        quiet = _honest(address, honest_key, project, scale(400, 60))
        process = psutil.Process(server.pid)
        before = process.memory_info().rss
        words = [address, evil_key, str(evil.key.project_id), evil.key.run_id, str(tmp_path / "bomb")]
        attack = subprocess.Popen(
            ["nice", "-n", "10", sys.executable, str(Path(__file__).with_name("attack.py")), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert attack.stdout is not None
        assert attack.stdout.readline() == "begun\n"
        under_attack = _honest(address, honest_key, project, scale(400, 60))
        counts, _ = attack.communicate("stop", timeout=60)
        grown = (process.memory_info().rss - before) / MEBIBYTE
    finally:
        if attack is not None and attack.poll() is None:
            attack.kill()
            attack.wait(10)
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=60)
    refused = json.loads(counts)
    print(f"quiet {_told(quiet)}, under attack {_told(under_attack)}; {grown:.0f} MiB more; {refused}")
    assert not {status for each in refused.values() for status in each if status in ("200", "500")}, refused
    # How many keys were tried meanwhile is the machine's business; the others may wait behind slow bodies of theirs.
    assert refused["wrong_keys"], refused
    assert set(refused["wrong_keys"]) <= {"401", "429"}, refused
    # Attackers, server and client share two cores: it is the order of magnitude that counts.
    middle = len(quiet) // 2
    assert under_attack[middle] < 20 * quiet[middle] + 0.3
    assert under_attack[-1] < 5
    assert grown < 300
