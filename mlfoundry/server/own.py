"""`mlfoundry ui`: one person's store, served to the browsers of this machine that have the token of the process.

While it runs, a file beside the store says where, so that `find_address` can lead others there. The file is locked
by the process and belongs to its account alone; it does not hold the token.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn

from .. import loopback
from ..errors import InvalidSetting
from ..tracking.embedded import EmbeddedBackend
from ..tracking.own_address import FILE_NAME
from .app import create_app
from .gates import OwnGate
from .listening import listen, uvicorn_config

HOST = "127.0.0.1"
FIRST_PORT = 8642
PORTS_TRIED = 50
LOCK_WAIT_S = 0.5


def bind(port: int | None) -> socket.socket:
    """Return a socket on loopback: of this port, or else of the first free one from 8642 on.

    Raises:
        InvalidSetting: The port is taken, or all of those are.
    """
    if port is not None:
        try:
            return listen(HOST, port)
        except InvalidSetting as error:
            reason = os.strerror(getattr(error.__cause__, "errno", None) or errno.EADDRINUSE)
            raise InvalidSetting(f"port {port} is taken ({reason}); give another --port, or none") from error
    for each in range(FIRST_PORT, FIRST_PORT + PORTS_TRIED):
        with suppress(InvalidSetting):
            return listen(HOST, each)
    raise InvalidSetting(f"all ports from {FIRST_PORT} to {FIRST_PORT + PORTS_TRIED - 1} are taken; give a --port")


def serve(backend: EmbeddedBackend, listener: socket.socket, *, on_started: Callable[[str, str], None]) -> None:
    """Serve a store until the process is told to end.

    Args:
        backend: The store, as its user sees it.
        listener: Where to listen, see `bind`.
        on_started: Called with the address and the token once requests are answered.
    """
    port = listener.getsockname()[1]
    address, token = f"http://{HOST}:{port}", secrets.token_urlsafe(32)
    gate = OwnGate(backend.user, token, port=port)
    app = create_app(backend.database, backend.artifacts, hosts=list(loopback.NAMES), gate=gate)
    app.state.place = str(backend.root)
    config = uvicorn_config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=3)
    server = _Server(config, lambda: on_started(address, token))
    with announced(backend.root, address):
        server.run(sockets=[listener])


class _Server(uvicorn.Server):
    """uvicorn that says when it has begun."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        if self.started:
            self._on_started()


@contextmanager
def announced(root: Path, address: str) -> Iterator[None]:
    """Say beside a store where it is served; another process that does so already keeps the word."""
    path = root / FILE_NAME
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if _takes_lock(descriptor):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps({"address": address}).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _takes_lock(descriptor: int) -> bool:
    """Take the lock of the file; whoever only looks for the address holds it for a moment, so try for a while."""
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(LOCK_WAIT_S / 20)
        else:
            return True
