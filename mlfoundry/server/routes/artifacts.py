"""Files of runs: their bytes come in parts under their hash, and go out as attachments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from fastapi import Request
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from ...wire import records
from .. import answers
from ..context import Caller, Has, Run, answer, room
from ..description import errors
from ..fields import BodyPath, BodySha256, BodySize, Offset, PathSha256, QueryPath, Size
from ..policy import Needs, needs
from .runs import RUN

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
    """See `TrackingService.blob_offset`."""
    return answer({"offset": has.tracking.blob_offset(caller.user, run, sha256, size)})


@router.put(
    RUN + "/blobs/{sha256}",
    summary="Add a part of a file's bytes",
    openapi_extra=_BYTES,
    response_model=answers.Held,
    responses=errors(410),
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
    """See `TrackingService.add_blob_part`."""
    part = await request.body()
    held = await run_in_threadpool(has.tracking.add_blob_part, caller.user, run, sha256, size, offset, part)
    return answer({"offset": held})


@router.put(
    RUN + "/artifacts",
    summary="Name bytes that are held as a file of the run",
    response_model=answers.Artifact,
    responses=errors(410),
)
@needs(Needs.WRITE)
def name_artifact(has: Has, caller: Caller, run: Run, body: Named) -> Response:
    """See `TrackingService.name_artifact`."""
    named = has.tracking.name_artifact(caller.user, run, body.path, body.sha256, body.size_bytes)
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
    responses={200: answers.binary("application/octet-stream", "The bytes.")},
)
@needs(Needs.READ)
def open_artifact(has: Has, caller: Caller, run: Run, path: QueryPath) -> Response:
    """See `Backend.open_artifact`; never shown by a browser, because users wrote it."""
    file = has.tracking.open_artifact(caller.user, run, path)
    headers = {
        "Content-Disposition": "attachment",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
    }
    return StreamingResponse(_blocks(file), media_type="application/octet-stream", headers=headers)


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while block := file.read(1 << 20):
            yield block
