"""What a page shows of the files of runs. Users wrote them: a browser that opens one runs nothing of it.

Images, text and tables are told as what they are, by their ending, never by what they say of themselves. HTML and SVG
come with a policy that has the browser treat them as a stranger's and run no script.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import BinaryIO

from starlette.responses import Response

from ...errors import InvalidInput
from ..context import Caller, Has, Run, room
from ..policy import Needs, needs
from .feeds import RUN

router = room("dashboard", "/dashboard")
TEXT_MOST = 256 * 1024
WHOLE_MOST = 16 * 1024 * 1024

IMAGES = {
    ".apng": "image/apng", ".avif": "image/avif", ".bmp": "image/bmp", ".gif": "image/gif", ".ico": "image/x-icon",
    ".jpeg": "image/jpeg", ".jpg": "image/jpeg", ".png": "image/png", ".webp": "image/webp",
}  # fmt: skip
DOCUMENTS = {".html": "text/html; charset=utf-8", ".htm": "text/html; charset=utf-8", ".svg": "image/svg+xml"}
# Opened alone or in a frame, such a document is of no origin, runs no script and reaches nothing.
_SANDBOX = "; ".join(
    (
        "sandbox",
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        "img-src data:",
        "font-src data:",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'self'",
    )
)


@router.get(RUN + "/preview", include_in_schema=False)
@needs(Needs.READ)
def preview(has: Has, caller: Caller, run: Run, path: str) -> Response:
    """Give what a page shows of a file: an image or a document whole, of anything else the beginning as text."""
    suffix = PurePosixPath(path).suffix.lower()
    headers = {
        "Content-Security-Policy": _SANDBOX,
        "Content-Disposition": "inline",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-store",
    }
    with has.tracking.open_artifact(caller.user, run, path) as file:
        if suffix in IMAGES or suffix in DOCUMENTS or suffix == ".json":
            kind = {**IMAGES, **DOCUMENTS}.get(suffix, "text/plain; charset=utf-8")
            return Response(_whole(file, path), media_type=kind, headers=headers)
        beginning = file.read(TEXT_MOST + 1)
    headers["X-Cut"] = str(int(len(beginning) > TEXT_MOST))
    return Response(beginning[:TEXT_MOST], media_type="text/plain; charset=utf-8", headers=headers)


def _whole(file: BinaryIO, path: str) -> bytes:
    content = file.read(WHOLE_MOST + 1)
    if len(content) > WHOLE_MOST:
        raise InvalidInput(f"{path!r} is larger than the {WHOLE_MOST:,} bytes that are shown here; download it")
    return content
