"""Several frames in one answer: each after its length (uint32, then four bytes of nothing)."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

from starlette.responses import Response

from ...panels import frames

BUNDLE_TYPE = "application/vnd.mlfoundry.frames"


def bundle(parts: Iterable[bytes]) -> Response:
    """Return frames as an answer; each begins at a multiple of 8, as typed arrays want it."""
    body = b"".join(struct.pack("<II", len(part), 0) + part for part in parts)
    return Response(body, media_type=BUNDLE_TYPE)


def message(kind: str, **told: Any) -> bytes:
    """Return a message without columns as a frame."""
    return frames.frame({"kind": kind, **told}, ())
