"""Under which names the server answers: a request for any other name is refused before anything looks at it.

Else a page of a stranger could have its own name lead to this machine, and a browser would talk to it as to that page.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any

from .envelope import refuse

ANY = "*"


def name_of(header: str) -> str:
    """Return the name in a Host header, in small letters and without its port."""
    text = header.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    name, colon, port = text.rpartition(":")
    return name if colon and port.isdigit() and ":" not in name else text  # several colons: an address of IPv6


class KnownHosts:
    """Refuses requests that are addressed to a name that is not known.

    Args:
        app: The application.
        names: The names; ``*.example.org`` stands for all below it, ``*`` for any.
    """

    def __init__(self, app: Any, *, names: Iterable[str]) -> None:
        self._app = app
        known = {name_of(name) for name in names}
        self._any = ANY in known
        self._names = {name for name in known if not name.startswith("*.")}
        self._endings = tuple(name[1:] for name in known if name.startswith("*."))

    def is_known(self, header: str) -> bool:
        """Return whether a Host header names this server."""
        name = name_of(header)
        return self._any or name in self._names or name.endswith(self._endings)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Serve a request that is addressed to a known name."""
        hosts = [value.decode("latin-1") for name, value in scope.get("headers", ()) if name == b"host"]
        if scope["type"] != "http" or (len(hosts) == 1 and self.is_known(hosts[0])):
            await self._app(scope, receive, send)
            return
        message = "this server does not go by the name that the request gives it; its --hosts option lists its names"
        await refuse(scope, send, 421, "UnknownHost", message)
