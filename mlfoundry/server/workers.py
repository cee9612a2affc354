"""The processes of a server: one that answers, or several on one socket, and how they begin and stop.

A stop (SIGTERM, Ctrl-C) takes no new connection, answers the requests that are there, for a bounded time, and
ends. What is not answered by then is broken off; its transaction is whole or was never there, and its client sends
it again. Workers that lose the process that began them stop in the same way.
"""

from __future__ import annotations

import functools
import logging
import multiprocessing
import os
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from .. import loopback
from ..errors import InvalidSetting
from ..store import places
from . import logs
from .addresses import Proxies
from .listening import uvicorn_config
from .metrics import FOLDER_VARIABLE

if TYPE_CHECKING:
    from fastapi import FastAPI
    from uvicorn import Config

KEEP_ALIVE_S = 75  # longer than a proxy in front keeps its connections, so that the proxy closes first
LAST_WAIT_S = 2.0  # for threads whose request was broken off

_log = logging.getLogger("mlfoundry.server")


@dataclass(frozen=True, slots=True)
class Serving:
    """What a server serves, and how.

    Attributes:
        database: Its place, see `places.open_database`.
        artifacts: Their place, see `places.open_artifacts`.
        hosts: The names that it goes by.
        workers: How many processes answer.
        proxies: Addresses and networks of proxies whose word is taken for where a request comes from.
        pool_size: How many connections to PostgreSQL each worker may hold.
        stop_s: For how long a stop waits for open requests.
        log_level: ``debug``, ``info``, ``warning`` or ``error``.
        base_path: The path that a proxy has it below, such as ``/mlfoundry``; empty for none.
    """

    database: str = field(repr=False)
    artifacts: str
    hosts: tuple[str, ...]
    workers: int = 1
    proxies: tuple[str, ...] = ()
    pool_size: int = 10
    stop_s: int = 30
    log_level: str = "info"
    base_path: str = ""


def make_app(serving: Serving) -> FastAPI:
    """Return the application of one worker."""
    from .app import create_app

    logs.begin(serving.log_level)
    if multiprocessing.parent_process() is not None:
        threading.Thread(target=_stop_with_parent, name="mlfoundry-parent", daemon=True).start()
    database = places.open_database(serving.database, pool_size=serving.pool_size)
    artifacts = places.open_artifacts(serving.artifacts)
    app = create_app(database, artifacts, hosts=list(serving.hosts), base_path=serving.base_path)
    until_stopped = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with until_stopped(app):
            yield
        _end_soon()

    app.router.lifespan_context = lifespan
    return app


def _end_soon() -> None:
    """End the process even where a thread still waits for a database that does not answer: it would wait for that."""
    timer = threading.Timer(LAST_WAIT_S, os._exit, (0,))
    timer.daemon = True
    timer.start()


def _stop_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    _log.error("the server's first process is gone; this worker stops")
    os.kill(os.getpid(), signal.SIGTERM)


def serve(serving: Serving, listener: socket.socket) -> None:
    """Answer requests until a signal says to stop; return when all is stopped.

    Args:
        serving: What and how.
        listener: From `listening.listen`.
    """
    from uvicorn import Server

    config = uvicorn_config(
        functools.partial(make_app, serving),
        factory=True,
        workers=serving.workers,
        log_config=None,
        proxy_headers=bool(serving.proxies),
        forwarded_allow_ips=Proxies(serving.proxies).for_uvicorn(),
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=serving.stop_s,
    )
    logs.begin(serving.log_level)
    if serving.workers > 1:
        _serve_by_several(config, listener)
        return
    server = Server(config)

    def stop(*_: object) -> None:  # before uvicorn listens to signals itself, and once more after its stop
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    server.run(sockets=[listener])


def _serve_by_several(config: Config, listener: socket.socket) -> None:
    from uvicorn.supervisors import Multiprocess

    class Workers(Multiprocess):
        def terminate_all(self) -> None:
            for each in self.sockets:
                each.close()  # else connections would wait for nobody until the last worker is done
            super().terminate_all()

    folder = tempfile.mkdtemp(prefix="mlfoundry-metrics-")
    os.environ[FOLDER_VARIABLE] = folder  # the workers inherit it
    try:
        Workers(config, sockets=[listener]).run()
    finally:
        del os.environ[FOLDER_VARIABLE]
        shutil.rmtree(folder, ignore_errors=True)


def known_hosts(host: str, given: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names that a server goes by: those that are given, and on loopback this machine's own.

    Raises:
        InvalidSetting: Others can reach it, and it is not said under which name.
    """
    if loopback.is_loopback(host):
        return tuple(dict.fromkeys((*given, *loopback.NAMES, host)))
    if not given:
        raise InvalidSetting(
            f"others can reach the server at {host}: give the names that they use, like --hosts runs.example.org, "
            "or --hosts '*' for any"
        )
    return given
