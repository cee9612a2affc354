"""Where the bytes of files lie: the one shape of every place for them, and which kind of place a text means.

A name given by a user never becomes part of a path or key here: bytes lie below their project under the hash of what
they hold, and two runs of a project that log the same bytes share them. Which files a run has is in `artifact_rows`.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Protocol

from ..errors import InvalidInput, shown
from .artifact_folder import ArtifactFolder

__all__ = ["ArtifactFolder", "ArtifactStore", "open_artifacts"]


class ArtifactStore(Protocol):
    """Bytes by hash, a project at a time. All verbs may be called from several threads, processes and machines.

    Every verb may raise `BackendUnavailable`: the disk is full, the object store cannot be reached.
    """

    def put(self, project_id: int, source: BinaryIO) -> tuple[str, int]:
        """Store what `source` gives; return its SHA-256 in hex and its size. Nobody ever sees a part of it."""

    def open(self, project_id: int, sha256: str, start: int = 0) -> BinaryIO:
        """Open stored bytes for reading, from the byte `start` on."""

    def is_whole(self, project_id: int, sha256: str, size: int) -> bool:
        """Return whether bytes of this hash and size are stored."""

    def held(self, project_id: int, sha256: str, size: int) -> int:
        """Return up to which byte an unfinished upload is held; `size` when the bytes are stored."""

    def add(self, project_id: int, sha256: str, size: int, offset: int, part: bytes) -> int:
        """Add a part of an upload; return how many bytes are held then, `size` when all are stored.

        A part that does not begin where the held bytes end adds nothing.

        Raises:
            InvalidInput: The whole has another hash than was said; nothing of it is kept.
        """

    def drop_project(self, project_id: int) -> None:
        """Delete all bytes of a project."""


def open_artifacts(place: str) -> ArtifactStore:
    """Return the place for files that a text means; nothing is read or written yet.

    Args:
        place: A folder of this machine, made when it is first used, or ``s3://bucket/prefix`` (see
            `artifact_bucket`).

    Raises:
        InvalidInput: It is neither.
        MissingExtra: An object store needs ``pip install 'mlfoundry[s3]'``.
    """
    if place.startswith("s3://"):
        from .artifact_bucket import open_bucket

        return open_bucket(place)
    if not place or "://" in place or "\0" in place:
        raise InvalidInput(f"artifacts cannot be kept in {shown(place)}; give a folder or s3://bucket/prefix")
    return ArtifactFolder(Path(place).expanduser())
