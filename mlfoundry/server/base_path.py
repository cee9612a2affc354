"""The path below which a proxy has the server: told to every request, so that routes are found and links lead back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class BasePath:
    """An application below a path, whether the proxy takes the path off what it passes on or not.

    Args:
        app: The application.
        path: The path, without a slash at its end.
    """

    def __init__(self, app: Any, path: str) -> None:
        self._app = app
        self._path = path

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] == "http":
            path = scope["path"]
            if path == self._path:
                path += "/"
            elif not path.startswith(f"{self._path}/"):
                path = self._path + path
            scope = {**scope, "root_path": self._path, "path": path}
        await self._app(scope, receive, send)


def path_below(scope: Message) -> str:
    """Return the path of a request as the routes have it, without the base."""
    return str(scope["path"]).removeprefix(scope.get("root_path", ""))
