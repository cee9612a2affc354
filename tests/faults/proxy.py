"""A network that fails on purpose: a proxy on loopback between clients and one server.

It knows where a request and its answer begin and end, so that each fault hits the moment that it is about. What
happens to a request is decided by `Proxy.choose`, which a test sets; without it everything passes.
"""

from __future__ import annotations

import contextlib
import email.utils
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable

PASS = "passes"
DROPPED = "arrives, and its answer is dropped"
RESET = "is cut by a reset half-way and never arrives"
CUT = "arrives cut off in the middle"
CUT_ANSWER = "arrives, and its answer is cut by a reset half-way"
DELAYED = "takes its time"
TWICE = "arrives twice"
GHOST = "arrives only after its sender has given up"
LIMITED = "is answered with 429 and Retry-After"
LIMITED_UNTIL = "is answered with 429 and a Retry-After that is a date"
BROKEN = "is answered with 500 and a page"
CAPTIVE = "is answered by somebody else, with 200 and a page"
CAPTIVE_JSON = "is answered by somebody else, with 200 and JSON"
MOVED = "is answered with a redirect"
HOLE = "goes into a black hole"
HALF_OPEN = "arrives, and the connection goes silent"
TRICKLE = "is answered a byte at a time"

# Those after which a client goes on at once; the others cost it a time-out.
QUICK = (DROPPED, RESET, CUT, CUT_ANSWER, DELAYED, TWICE, GHOST, BROKEN, CAPTIVE, CAPTIVE_JSON, MOVED)
BLOCK = 65536
RETRY_AFTER_S = 1


class Proxy:
    """A proxy in front of ``127.0.0.1:upstream``.

    Attributes:
        address: What clients are given.
        choose: Given method and path, says what happens to a request: one of the texts above.
        seen: What happened so far, by method and fault.
        times: When each request came, by a clock that never jumps.
    """

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self.choose: Callable[[str, str], str] = lambda method, path: PASS
        self.seen: Counter[tuple[str, str]] = Counter()
        self.times: list[float] = []
        self.delay_s = 0.05
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port = self._listening.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._healed = threading.Event()
        self._threads: list[threading.Thread] = []
        self._begin(self._accept)

    def _begin(self, body: Callable[..., None], *words: object) -> None:
        thread = threading.Thread(target=body, args=words, name="tests-proxy", daemon=True)
        with self._lock:
            self._threads = [each for each in self._threads if each.is_alive()]
            self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self._begin(self._serve, client)

    def fail(self, fault: str) -> None:
        """From now on this happens to every request."""
        self._healed.clear()
        self.times.clear()
        self.choose = lambda method, path: fault

    def heal(self) -> None:
        """From now on everything passes; what hangs is let go."""
        self.choose = lambda method, path: PASS
        self._healed.set()

    def cut_all(self) -> None:
        """Reset every connection that is open."""
        with self._lock:
            for each in list(self._open):
                _reset(each)

    def close(self) -> None:
        """End it, and all connections with it."""
        self._healed.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut_all()
        for thread in self._threads:
            thread.join(10)

    # -- one connection --------------------------------------------------------------------------

    def _serve(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._open.add(client)
        server = _Upstream(self._upstream)
        rest = b""
        try:
            while True:
                head, body, rest = _message(client, rest)
                method, path = head.split(b" ", 2)[:2]
                fault = self.choose(method.decode(), path.decode())
                with self._lock:
                    self.seen[method.decode(), fault] += 1
                    self.times.append(time.monotonic())
                if not self._answer(client, server, head, body, fault):
                    return
        except (OSError, EOFError):
            _reset(client)
        finally:
            with self._lock:
                self._open.discard(client)
            server.close()
            client.close()

    def _answer(self, client: socket.socket, server: _Upstream, head: bytes, body: bytes, fault: str) -> bool:
        """Let a request meet its fate; return whether the connection goes on."""
        if fault in _PAGES:
            client.sendall(_PAGES[fault]())
            return True
        if fault in (RESET, CUT):
            if fault == CUT:
                server.send(head + body[: len(body) // 2])
                server.close()
            _reset(client)
            return False
        if fault == HOLE:
            self._healed.wait()
            _reset(client)
            return False
        if fault == GHOST:
            _reset(client)
            self._healed.wait(random.uniform(0.0, 4 * self.delay_s))
            server.ask(head + body)
            return False
        if fault == DELAYED:
            self._healed.wait(random.uniform(0.0, 2 * self.delay_s))
        answer = server.ask(head + body)
        if fault == TWICE:
            answer = server.ask(head + body)
        if fault == HALF_OPEN:
            self._healed.wait()
        if fault in (DROPPED, HALF_OPEN):
            client.close()
            return False
        if fault == CUT_ANSWER:
            client.sendall(answer[: len(answer) // 2])
            _reset(client)
            return False
        if fault == TRICKLE:
            for at in range(len(answer)):
                client.sendall(answer[at : at + 1])
                if self._healed.wait(0.2):
                    return False
        client.sendall(answer)
        return True


class _Upstream:
    """A kept-alive connection to the server, made when it is needed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def send(self, data: bytes) -> socket.socket:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=60)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(data)
        return self._socket

    def ask(self, request: bytes) -> bytes:
        is_kept = self._socket is not None
        try:
            head, body, _ = _message(self.send(request), b"")
        except (OSError, EOFError):
            self.close()
            if not is_kept:
                raise
            head, body, _ = _message(self.send(request), b"")  # the server had closed it meanwhile
        if b"connection: close" in head.lower():
            self.close()
        return head + body

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _message(source: socket.socket, data: bytes) -> tuple[bytes, bytes, bytes]:
    """Return (head, body, rest) of the next message."""
    while b"\r\n\r\n" not in data:
        data += _more(source)
    head, _, rest = data.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
    if b"chunked" in fields.get(b"transfer-encoding", b""):
        while not rest.endswith(b"0\r\n\r\n"):
            rest += _more(source)
        return head + b"\r\n\r\n", rest, b""
    length = int(fields.get(b"content-length", b"0"))
    while len(rest) < length:
        rest += _more(source)
    return head + b"\r\n\r\n", rest[:length], rest[length:]


def _more(source: socket.socket) -> bytes:
    block = source.recv(BLOCK)
    if not block:
        raise EOFError
    return block


def _reset(connection: socket.socket) -> None:
    """Close a connection with a reset, also while another thread reads from it."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)
        connection.close()


def _page(status: str, body: bytes, *fields: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


_HTML = "Content-Type: text/html"
_PAGES: dict[str, Callable[[], bytes]] = {
    LIMITED: lambda: _page("429 Too Many Requests", b"slow down", f"Retry-After: {RETRY_AFTER_S}"),
    LIMITED_UNTIL: lambda: _page(
        "429 Too Many Requests",
        b"slow down",
        f"Retry-After: {email.utils.formatdate(time.time() + RETRY_AFTER_S + 1, usegmt=True)}",
    ),
    BROKEN: lambda: _page("500 Internal Server Error", b"<h1>Oops</h1>", _HTML),
    CAPTIVE: lambda: _page("200 OK", b"<h1>Accept our terms</h1>", _HTML),
    CAPTIVE_JSON: lambda: _page("200 OK", b'{"portal": true}', "Content-Type: application/json"),
    MOVED: lambda: _page("302 Found", b"", "Location: http://127.0.0.1:1/elsewhere"),
}
