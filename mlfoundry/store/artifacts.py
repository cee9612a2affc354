"""Where the bytes of files lie: the one shape of every place for them.

A name given by a user never becomes part of a path or key here: bytes lie below their project under the hash of what
they hold, and two runs of a project that log the same bytes share them. Which files a run has is in
`artifact_rows`; which place a text means, in `places`.
"""

from __future__ import annotations

from typing import BinaryIO, Protocol

from .artifact_folder import ArtifactFolder

__all__ = ["ArtifactFolder", "ArtifactStore"]


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
            WrongHash: The whole has another hash than was said; nothing of it is kept.
        """

    def drop_project(self, project_id: int) -> None:
        """Delete all bytes of a project."""

    def projects(self) -> list[int]:
        """Return the ids of all projects of which something lies here, also of those that are gone."""

    def written_before(self, project_id: int, at_s: float) -> dict[str, int]:
        """Return the hashes of stored bytes that were written last before a time, with their sizes.

        Uploads that nobody went on with are forgotten by the way.

        Args:
            project_id: The project.
            at_s: Seconds since 1970.
        """

    def remove(self, project_id: int, sha256: str) -> None:
        """Delete stored bytes; those that are gone already are fine."""
