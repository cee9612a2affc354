"""Journals and points: what is logged, and what is read of it."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from ...wire import frames, records, requests
from .. import answers
from ..context import Caller, Has, Run, answer, room
from ..description import errors
from ..fields import JournalId, MaxPoints, Most, SeriesNames, Since
from ..policy import Needs, needs
from .runs import RUN

POINTS_LIMIT = 2_000_000  # of one answer: 48 MB, which several hold at once
router = room("data", "/api/v1")
_BATCH: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {frames.BATCH_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    }
}


class SeriesQueryBody(BaseModel):
    """A question for points."""

    model_config = ConfigDict(extra="forbid", strict=True)
    names: SeriesNames | None = None
    system: bool | None = False
    max_points: MaxPoints | None = None
    since: dict[str, Since] = {}
    most: Most | None = None


@router.get(RUN + "/journals/{journal_id}", summary="Up to which slot a journal is held", response_model=answers.Acked)
@needs(Needs.READ)
def acked(has: Has, caller: Caller, run: Run, journal_id: JournalId) -> Response:
    """See `Backend.acked`."""
    return answer({"acked": has.tracking.acked(caller.user, run, journal_id)})


@router.post(
    RUN + "/journals/{journal_id}",
    summary="Store a batch of slots exactly once",
    openapi_extra=_BATCH,
    response_model=answers.Acknowledgement,
    responses=errors(409, 410, 422),
)
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
    responses={200: answers.binary(frames.POINTS_TYPE, "A frame of points.")},
)
@needs(Needs.READ)
def read_series(has: Has, caller: Caller, run: Run, body: SeriesQueryBody) -> Response:
    """See `Backend.read_series`."""
    query = requests.read_series_query(run, body.model_dump())
    found = has.tracking.read_series(caller.user, query, limit=POINTS_LIMIT)
    return Response(frames.points_frame(found), media_type=frames.POINTS_TYPE)
