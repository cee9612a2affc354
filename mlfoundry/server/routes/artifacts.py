"""Files of runs: their bytes come in parts under their hash, and go out as attachments."""

from __future__ import annotations

import re
from typing import Any, BinaryIO

from fastapi import Request
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from ...records import ArtifactRecord
from ...wire import records
from .. import answers
from ..context import Caller, Has, Run, answer, room
from ..description import errors
from ..fields import BodyPath, BodySha256, BodySize, Offset, PathSha256, QueryPath, Size
from ..policy import Needs, needs
from .runs import RUN

BLOCK_BYTES = 1 << 20
_RANGE = re.compile(r"bytes=([0-9]{1,18})-")
router = room("artifacts", "/api/v1")
_BYTES: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class Named(BaseModel):
    """A path in a run, and the bytes that lie there."""

    model_config = ConfigDict(extra="forbid", strict=True)
    path: BodyPath
    sha256: BodySha256
    size_bytes: BodySize


@router.get(
    RUN + "/blobs/{sha256}",
    summary="How much of a file's bytes is held already",
    response_model=answers.Held,
    responses=errors(410),
)
@needs(Needs.WRITE)
def blob_offset(has: Has, caller: Caller, run: Run, sha256: PathSha256, size: Size) -> Response:
    """See `RunFiles.held`."""
    return answer({"offset": has.tracking.files.held(caller.user, run, sha256, size)})


@router.put(
    RUN + "/blobs/{sha256}",
    summary="Add a part of a file's bytes",
    openapi_extra=_BYTES,
    response_model=answers.Held,
    responses=errors(409, 410),
)
@needs(Needs.WRITE)
async def add_part(
    request: Request,
    has: Has,
    caller: Caller,
    run: Run,
    sha256: PathSha256,
    size: Size,
    offset: Offset,
) -> Response:
    """See `RunFiles.add_part`."""
    part = await request.body()
    held = await run_in_threadpool(has.tracking.files.add_part, caller.user, run, sha256, size, offset, part)
    return answer({"offset": held})


@router.put(
    RUN + "/artifacts",
    summary="Name bytes that are held as a file of the run",
    response_model=answers.Artifact,
    responses=errors(410),
)
@needs(Needs.WRITE)
def name_artifact(has: Has, caller: Caller, run: Run, body: Named) -> Response:
    """See `RunFiles.name`."""
    named = has.tracking.files.name(caller.user, run, body.path, body.sha256, body.size_bytes)
    return answer(records.artifact_json(named))


@router.get(RUN + "/artifacts", summary="The files of a run, by path", response_model=answers.Artifacts)
@needs(Needs.READ)
def list_artifacts(has: Has, caller: Caller, run: Run) -> Response:
    """See `Backend.list_artifacts`."""
    found = has.tracking.list_artifacts(caller.user, run)
    return answer({"artifacts": [records.artifact_json(artifact) for artifact in found]})


@router.get(
    RUN + "/artifacts/content",
    summary="The bytes of a file",
    response_class=Response,
    responses={
        200: answers.binary("application/octet-stream", "The bytes."),
        206: answers.binary("application/octet-stream", "The bytes from where Range says, on to the end."),
        **errors(416),
    },
)
@needs(Needs.READ)
def open_artifact(request: Request, has: Has, caller: Caller, run: Run, path: QueryPath) -> Response:
    """See `Backend.open_artifact`; never shown by a browser, because users wrote it."""
    artifact = has.tracking.files.get(caller.user, run, path)
    start = _start(request, artifact)
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Disposition": "attachment",
        "Content-Length": str(artifact.size_bytes - start),
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "ETag": _etag(artifact),
        "X-Content-Type-Options": "nosniff",
    }
    if start:
        headers["Content-Range"] = f"bytes {start}-{artifact.size_bytes - 1}/{artifact.size_bytes}"
    file = has.tracking.files.open_bytes(run, artifact, start)
    status = 206 if start else 200
    return _FileBytes(file, status, headers)


class _FileBytes(StreamingResponse):
    """The bytes of a file, which is closed also when the client breaks off."""

    def __init__(self, file: BinaryIO, status: int, headers: dict[str, str]) -> None:
        blocks = iter(lambda: file.read(BLOCK_BYTES), b"")
        super().__init__(blocks, status, media_type="application/octet-stream", headers=headers)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()


def _etag(artifact: ArtifactRecord) -> str:
    return f'"{artifact.sha256}"'


def _start(request: Request, artifact: ArtifactRecord) -> int:
    """Return from which byte on a download is wanted; other ranges than to the end are answered with all of it."""
    found = _RANGE.fullmatch(request.headers.get("range", "").strip())
    if found is None or request.headers.get("if-range", _etag(artifact)) != _etag(artifact):
        return 0
    start = int(found[1])
    if start and start >= artifact.size_bytes:
        raise HTTPException(
            416,
            f"{artifact.path!r} has {artifact.size_bytes:,} bytes; a range cannot begin at {start:,}",
            {"Content-Range": f"bytes */{artifact.size_bytes}"},
        )
    return start
