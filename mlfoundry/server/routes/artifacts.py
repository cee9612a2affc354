"""Files of runs: their bytes come in parts under their hash, and go out as attachments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, BinaryIO

from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from ...wire import records
from ..context import Caller, Has, Run, answer, room
from ..policy import Needs, needs
from .runs import RUN

router = room("artifacts", "/api/v1")
Sha256 = Annotated[str, Query()]
Size = Annotated[int, Query(ge=0, lt=1 << 53)]
_BYTES: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class Named(BaseModel):
    """A path in a run, and the bytes that lie there."""

    model_config = ConfigDict(extra="forbid", strict=True)
    path: str
    sha256: str
    size_bytes: int


@router.get(RUN + "/blobs/{sha256}", summary="How much of a file's bytes is held already")
@needs(Needs.WRITE)
def blob_offset(has: Has, caller: Caller, run: Run, sha256: str, size: Size) -> Response:
    """See `TrackingService.blob_offset`."""
    return answer({"offset": has.tracking.blob_offset(caller.user, run, sha256, size)})


@router.put(RUN + "/blobs/{sha256}", summary="Add a part of a file's bytes", openapi_extra=_BYTES)
@needs(Needs.WRITE)
async def add_part(
    request: Request,
    has: Has,
    caller: Caller,
    run: Run,
    sha256: str,
    size: Size,
    offset: Annotated[int, Query(ge=0, lt=1 << 53)],
) -> Response:
    """See `TrackingService.add_blob_part`."""
    part = await request.body()
    held = await run_in_threadpool(has.tracking.add_blob_part, caller.user, run, sha256, size, offset, part)
    return answer({"offset": held})


@router.put(RUN + "/artifacts", summary="Name bytes that are held as a file of the run")
@needs(Needs.WRITE)
def name_artifact(has: Has, caller: Caller, run: Run, body: Named) -> Response:
    """See `TrackingService.name_artifact`."""
    named = has.tracking.name_artifact(caller.user, run, body.path, body.sha256, body.size_bytes)
    return answer(records.artifact_json(named))


@router.get(RUN + "/artifacts", summary="The files of a run, by path")
@needs(Needs.READ)
def list_artifacts(has: Has, caller: Caller, run: Run) -> Response:
    """See `Backend.list_artifacts`."""
    found = has.tracking.list_artifacts(caller.user, run)
    return answer({"artifacts": [records.artifact_json(artifact) for artifact in found]})


@router.get(
    RUN + "/artifacts/content",
    summary="The bytes of a file",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}},
)
@needs(Needs.READ)
def open_artifact(has: Has, caller: Caller, run: Run, path: str) -> Response:
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
