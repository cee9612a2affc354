"""The way to a server: what the environment says of proxies counts, as it does for other programs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mlfoundry.errors import BackendUnavailable
from mlfoundry.tracking.http import HttpBackend


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
