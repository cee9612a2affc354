"""Scripts, styles and plotly.js, each below an address that changes with its content, so that browsers keep them.

A page has one script (see `linking`). Everything comes from installed packages; nothing from elsewhere. Only files
that are known by name are given.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import re
from importlib import resources

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ... import panels
from ..context import room
from ..policy import Needs, needs
from .linking import linked

router = room("dashboard")
FOREVER = "public, max-age=31536000, immutable"
_TYPES = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}
PAGES = ("account", "compare", "people", "projects", "run", "runs")
_PLOTLY = "plotly.min.js"


@functools.cache
def _files() -> dict[str, bytes]:
    """Return every file but plotly.js, by ``folder/name``."""
    found = {f"panels/{name}.js": panels.source(name).encode() for name in panels.module_names()}
    found[f"panels/{panels.STYLE}"] = panels.source(panels.STYLE).encode()
    for file in resources.files(__package__).joinpath("browser").iterdir():
        if file.name.rpartition(".")[2] in _TYPES:
            found[f"dashboard/{file.name}"] = file.read_bytes()
    texts = {path: content.decode() for path, content in found.items() if path.endswith(".js")}
    return found | {f"pages/{page}.js": linked(f"dashboard/{page}.js", texts).encode() for page in PAGES}


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
def plotly_styles() -> list[str]:
    """Return the ids of styles that plotly.js would add for maps; where an element has the id, it adds none.

    No page shows maps, whose tiles lie elsewhere, and the policy of our pages forbids such styles.
    """
    return sorted({found.decode() for found in re.findall(rb'getElementById\("([0-9a-f]{64})"\)', _plotly())})


def _plotly() -> bytes:
    return resources.files("plotly").joinpath("package_data", _PLOTLY).read_bytes()


@functools.cache
def _compressed(name: str) -> bytes:
    if name == f"plotly/{_PLOTLY}":
        return gzip.compress(_plotly(), 6, mtime=0)
    return gzip.compress(_files()[name], 9, mtime=0)


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
