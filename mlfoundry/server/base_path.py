"""The path below which a proxy has the server: told to every request, so that routes are found and links lead back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from ..errors import InvalidSetting

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


def require_free(base_path: str, paths: Iterable[str]) -> None:
    """Refuse a base that begins as a route does: with the base taken off by a proxy, or not, it could be either.

    Args:
        base_path: The base; empty for none.
        paths: The paths of all routes.

    Raises:
        InvalidSetting: The first part of the base is one of ours.
    """
    taken = {path.split("/")[1] for path in paths} - {""}
    if base_path and base_path.split("/")[1] in taken:
        raise InvalidSetting(
            f"the base path is {base_path!r}, and the server's own addresses begin with it; give another, like "
            f"/mlfoundry, that begins with none of {', '.join(sorted(taken))}"
        )
