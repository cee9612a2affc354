"""Journals and points: what is logged, and what is read of it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Request
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from ...wire import frames, records, requests
from ..context import Caller, Has, Run, answer, room
from ..policy import Needs, needs
from .runs import RUN

router = room("data", "/api/v1")
JournalId = Annotated[int, Path(ge=0, lt=1 << 63)]
_BATCH: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {frames.BATCH_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    }
}


class SeriesQueryBody(BaseModel):
    """A question for points."""

    model_config = ConfigDict(extra="forbid", strict=True)
    names: list[str] | None = None
    system: bool | None = False
    max_points: int | None = None
    since: dict[str, int] = {}


@router.get(RUN + "/journals/{journal_id}", summary="Up to which slot a journal is held")
@needs(Needs.READ)
def acked(has: Has, caller: Caller, run: Run, journal_id: JournalId) -> Response:
    """See `Backend.acked`."""
    return answer({"acked": has.tracking.acked(caller.user, run, journal_id)})


@router.post(RUN + "/journals/{journal_id}", summary="Store a batch of slots exactly once", openapi_extra=_BATCH)
@needs(Needs.WRITE)
async def ingest(request: Request, has: Has, caller: Caller, run: Run, journal_id: JournalId) -> Response:
    """See `Backend.ingest`."""
    data = await request.body()

    def store() -> Response:
        batch = frames.read_batch(run, journal_id, data)
        told = has.tracking.ingest(caller.user, batch)
        request.app.state.metrics.note_ingested(len(batch.data))
        return answer(records.acknowledgement_json(told))

    return await run_in_threadpool(store)


@router.post(
    RUN + "/series",
    summary="Points of a run",
    response_class=Response,
    responses={200: {"content": {frames.POINTS_TYPE: {"schema": {"type": "string", "format": "binary"}}}}},
)
@needs(Needs.READ)
def read_series(has: Has, caller: Caller, run: Run, body: SeriesQueryBody) -> Response:
    """See `Backend.read_series`."""
    found = has.tracking.read_series(caller.user, requests.read_series_query(run, body.model_dump()))
    return Response(frames.points_frame(found), media_type=frames.POINTS_TYPE)
