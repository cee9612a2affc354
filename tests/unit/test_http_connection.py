"""The way to a server: proxies that the environment names, and answers that nobody should read whole."""

from __future__ import annotations

import gzip
import json
import threading
import tracemalloc
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mlfoundry.errors import BackendUnavailable, InvalidInput
from mlfoundry.records import RunKey
from mlfoundry.tracking.http import HttpBackend
from mlfoundry.wire import frames


@pytest.fixture
def proxy() -> Iterator[ThreadingHTTPServer]:
    """A proxy that answers by itself, and notes in `asked` what it was asked for."""

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            server.asked.append(self.path)  # type: ignore[attr-defined]
            body = b'{"user": "ann"}'
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.daemon_threads = True
    server.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join(30)
    server.server_close()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, proxy: ThreadingHTTPServer) -> pytest.MonkeyPatch:
    """An environment that names the proxy and nothing else of the kind."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.server_port}")
    return monkeypatch


def test_a_proxy_that_the_environment_names_is_asked_for_every_request(environment, proxy):
    backend = HttpBackend("http://runs.example.invalid", "mlf_key")
    assert [backend.ask("GET", "/whoami")["user"] for _ in range(2)] == ["ann", "ann"]
    assert proxy.asked == ["http://runs.example.invalid/api/v1/whoami"] * 2
    backend.close()


def test_a_server_that_the_environment_excepts_is_reached_past_the_proxy(environment, proxy):
    environment.setenv("no_proxy", "example.invalid")
    backend = HttpBackend("http://runs.example.invalid", "mlf_key")
    with pytest.raises(BackendUnavailable, match=r"http://runs\.example\.invalid cannot be reached now"):
        backend.ask("GET", "/whoami")
    assert proxy.asked == []
    backend.close()


# -- answers that nobody should read whole -------------------------------------------------------


@pytest.fixture
def answering() -> Iterator[Callable[..., HttpBackend]]:
    """``answering(head, blocks)`` is a backend whose server answers everything with these."""
    servers: list[ThreadingHTTPServer] = []

    def answering(blocks: Callable[[], Iterable[bytes]], **head: str) -> HttpBackend:
        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(int(head.get("status", 200)))
                for name in head.keys() - {"status"}:
                    self.send_header(name.replace("_", "-"), head[name])
                self.end_headers()
                with suppress(OSError):
                    for block in blocks():
                        self.wfile.write(block)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        servers.append(server)
        threads.append(thread)
        return HttpBackend(f"http://127.0.0.1:{server.server_port}", "mlf_key")

    threads: list[threading.Thread] = []
    yield answering
    for server, thread in zip(servers, threads, strict=True):
        server.shutdown()
        thread.join(30)
        server.server_close()


def packed(count: int, text: bytes = b'{"user": "ann"}', *, times: int = 1) -> bytes:
    """Return a text with blanks before it, packed by gzip."""
    packed = b" " * count + text
    for _ in range(times):
        packed = gzip.compress(packed)
    return packed


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_an_answer_without_end_is_given_up_at_a_limit_whatever_it_was_packed_to(answering, monkeypatch, encoding):
    monkeypatch.setattr("mlfoundry.tracking.connection.ANSWER_LIMIT_BYTES", 1 << 20)
    sent: list[int] = []

    def blocks() -> Iterator[bytes]:
        packer = zlib.compressobj(wbits=31)
        while True:
            sent.append(1 << 16)
            plain = b" " * (1 << 16)
            yield plain if encoding == "identity" else packer.compress(plain) + packer.flush(zlib.Z_SYNC_FLUSH)

    backend = answering(blocks, Content_Encoding=encoding)
    with pytest.raises(BackendUnavailable, match=r"is longer than 1,048,576 bytes; is it the address of an MLFoundry"):
        backend.ask("GET", "/whoami")
    assert encoding == "gzip" or sum(sent) < 1 << 26


def test_a_few_bytes_that_unpack_to_much_take_no_more_memory_than_the_limit(answering, monkeypatch):
    monkeypatch.setattr("mlfoundry.tracking.connection.ANSWER_LIMIT_BYTES", 1 << 20)
    body = packed(1 << 28)
    backend = answering(lambda: [body], Content_Encoding="gzip")
    tracemalloc.start()
    try:
        with pytest.raises(BackendUnavailable, match="is longer than"):
            backend.ask("GET", "/whoami")
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_what_a_proxy_packed_is_read(answering):
    body = packed(1 << 20)
    backend = answering(lambda: [body], Content_Encoding="gzip")
    assert backend.ask("GET", "/whoami") == {"user": "ann"}


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "deflate", "\x1b[2J"])
def test_an_answer_that_is_packed_as_nobody_asked_for_is_refused(answering, encoding):
    backend = answering(lambda: [packed(1 << 10, times=2)], Content_Encoding=encoding)
    with pytest.raises(BackendUnavailable, match="which was not asked for") as caught:
        backend.ask("GET", "/whoami")
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("body", [packed(1 << 20)[:-9], b"no gzip at all"], ids=["broken off", "none"])
def test_a_packed_answer_that_breaks_off_or_is_none_is_no_answer(answering, body):
    backend = answering(lambda: [body], Content_Encoding="gzip")
    with pytest.raises(BackendUnavailable, match="cannot be reached now"):
        backend.ask("GET", "/whoami")


def test_points_that_claim_to_be_more_than_any_server_sends_are_not_unpacked():
    data = frames.frame({"series": [["a", 1 << 40, 1 << 40]]}, bytes(1 << 20))
    with pytest.raises(InvalidInput, match=r"cannot have 26,388,279,066,624 bytes; at most 268,435,456 are read"):
        frames.read_points(data)


@pytest.mark.parametrize("wrong", [None, 5, ["a"], {}], ids=repr)
def test_a_file_whose_path_is_no_text_is_an_answer_that_is_not_understood(answering, wrong):
    told = {"artifacts": [{"path": wrong, "size_bytes": 1, "sha256": "ab" * 32, "created_at": 0}]}
    backend = answering(lambda: [json.dumps(told).encode()])
    with pytest.raises(BackendUnavailable, match="is not understood"):
        backend.list_artifacts(RunKey(1, "ab" * 16))
