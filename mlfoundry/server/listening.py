"""How any of our servers listens: its socket, and what uvicorn is told. `workers` serves a team, `own` one person."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

from ..errors import InvalidSetting

if TYPE_CHECKING:
    from uvicorn import Config

BACKLOG = 2048


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: A name or an address of this machine.
        port: A port; 0 for any that is free.

    Raises:
        InvalidSetting: The address is none of this machine, or is in use.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        reason = str(error.strerror) if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise InvalidSetting(
            f"the server cannot listen at {host} port {port} ({reason}). Give another --port, or another address of "
            "this machine."
        ) from error
    # asyncio has connections send at once what they are given, but not those of sockets that were made elsewhere.
    # Without it an answer in two parts waits 40 ms for a delayed acknowledgement (Nagle's algorithm).
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def uvicorn_config(app: Any, **more: Any) -> Config:
    """Return how uvicorn serves an application: bounded, silent about itself, believing nobody's headers.

    Args:
        app: The application, or what makes it.
        **more: What else uvicorn is told, or otherwise; ``proxy_headers`` is off.
    """
    from uvicorn import Config

    from .connections import BoundedHttp

    told = {"proxy_headers": False, "access_log": False, "server_header": False, "http": BoundedHttp, "ws": "none"}
    return Config(app, backlog=BACKLOG, **{**told, **more})
