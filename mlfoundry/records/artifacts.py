"""A file of a run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .shown import Shown


@dataclass(frozen=True, slots=True, repr=False)
class ArtifactRecord(Shown):
    """A file of a run.

    Attributes:
        path: Relative, with ``/``.
        size_bytes: Its size.
        sha256: 64 hex digits.
        created_at: When it was logged.
    """

    path: str
    size_bytes: int
    sha256: str
    created_at: datetime
