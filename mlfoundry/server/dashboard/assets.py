"""Scripts, styles and plotly.js, each below an address that changes with its content, so that browsers keep them.

Everything comes from installed packages; nothing from elsewhere. Only files that are known by name are given.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
from importlib import resources

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ... import panels
from ..context import room
from ..policy import Needs, needs

router = room("dashboard")
FOREVER = "public, max-age=31536000, immutable"
_TYPES = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}
_PLOTLY = "plotly.min.js"


@functools.cache
def _files() -> dict[str, bytes]:
    """Return every file but plotly.js, by ``folder/name``."""
    found = {f"panels/{name}.js": panels.source(name).encode() for name in panels.module_names()}
    found[f"panels/{panels.STYLE}"] = panels.source(panels.STYLE).encode()
    for file in resources.files(__package__).joinpath("browser").iterdir():
        if file.name.rpartition(".")[2] in _TYPES:
            found[f"dashboard/{file.name}"] = file.read_bytes()
    return found


@functools.cache
def version() -> str:
    """Return what stands in the addresses of all files but plotly.js: a hash of them."""
    digest = hashlib.sha256()
    for name, content in sorted(_files().items()):
        digest.update(name.encode() + b"\0" + content + b"\0")
    return digest.hexdigest()[:12]


@functools.cache
def plotly_version() -> str:
    """Return what stands in the address of plotly.js."""
    from importlib import metadata

    return hashlib.sha256(metadata.version("plotly").encode()).hexdigest()[:12]


@functools.cache
def _compressed(name: str) -> bytes:
    if name == f"plotly/{_PLOTLY}":
        content = resources.files("plotly").joinpath("package_data", _PLOTLY).read_bytes()
        return gzip.compress(content, 6, mtime=0)
    return gzip.compress(_files()[name], 9, mtime=0)


def modules() -> list[str]:
    """Return the names of the panels' modules, as they stand in addresses."""
    return sorted(name for name in _files() if name.startswith("panels/") and name.endswith(".js"))


@router.get("/static/{version}/{folder}/{name}", include_in_schema=False)
@needs(Needs.NOTHING)
def static_file(request: Request, version: str, folder: str, name: str) -> Response:  # noqa: ARG001  names the content
    """Give a file; its address changes whenever it does."""
    path = f"{folder}/{name}"
    is_plotly = path == f"plotly/{_PLOTLY}"
    if not is_plotly and path not in _files():
        raise HTTPException(404, f"there is no file {path[:100]}")
    content, headers = _compressed(path), {"Cache-Control": FOREVER, "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
    else:
        content = gzip.decompress(content)
    return Response(content, media_type=_TYPES[name.rpartition(".")[2]], headers=headers)


@router.get("/favicon.ico", include_in_schema=False)
@needs(Needs.NOTHING)
def favicon() -> Response:
    """Give the sign in the browser's tab."""
    return Response(_files()["dashboard/icon.svg"], media_type="image/svg+xml", headers={"Cache-Control": FOREVER})
