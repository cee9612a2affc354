"""The files of runs: their bytes first, then the row that names them.

Bytes that are held and not named belong to nobody; see `sweeping` for what becomes of them.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO

from ..errors import ArtifactNotFound, InvalidInput
from ..names import legal_path
from ..records import ArtifactRecord, Permission, RunKey
from ..store import artifact_rows, lives
from ..store.artifacts import ArtifactStore
from ..store.database import Database
from ..values import in_calendar, utc
from . import rights
from .attempts import done_again


class RunFiles:
    """The verbs that are about files; `user` is always the caller.

    Args:
        database: Where rows are kept.
        files: Where bytes are kept.
        settles: As of `TrackingService`.
        now_us: The clock: microseconds since 1970.
    """

    def __init__(self, database: Database, files: ArtifactStore, *, settles: bool, now_us: Callable[[], int]) -> None:
        self._database = database
        self._files = files
        self._settles = settles
        self._now_us = now_us

    def put(
        self, user: str, run: RunKey, path: str, source: BinaryIO, *, created_at_us: int | None = None
    ) -> ArtifactRecord:
        """See `Backend.put_artifact`."""
        path = legal_path(path)
        with self._database.read() as tx:  # before the bytes are taken
            rights.require_open(tx, user, run)
            artifact_rows.require_room(tx, run, path)
        if source.seekable():
            source.seek(0)  # wherever it stands, as over HTTP, where it is read twice
        sha256, size = self._files.put(run.project_id, source)
        return self._name(user, run, path, sha256, size, created_at_us)

    @done_again
    def _name(
        self, user: str, run: RunKey, path: str, sha256: str, size: int, created_at_us: int | None
    ) -> ArtifactRecord:
        """Make bytes that are held a file of a run."""
        at_us = self._now_us() if created_at_us is None else _possible(created_at_us)
        record = ArtifactRecord(path, size, sha256, utc(at_us))
        with self._database.write(settle=self._settles) as tx:
            rights.require_open(tx, user, run)
            if not lives.lock(tx, run):  # so that files of one run take turns on every engine
                rights.require_open(tx, user, run)
            artifact_rows.require_room(tx, run, path)
            # A sweep may have taken the bytes a moment ago; from here on it waits.
            if not self._files.is_whole(run.project_id, sha256, size):
                raise _not_held(path, sha256, size)
            artifact_rows.record(tx, run, record, at_us)
        return record

    def held(self, user: str, run: RunKey, sha256: str, size: int) -> int:
        """Return how many bytes of a file are held for a run's project, so that sending goes on from there."""
        with self._database.read() as tx:
            rights.require_open(tx, user, rights.run_key(run))
        return self._files.held(run.project_id, sha256, size)

    def add_part(self, user: str, run: RunKey, sha256: str, size: int, offset: int, part: bytes) -> int:
        """Add a part of a file's bytes; return how many are held then. See `ArtifactStore.add`."""
        with self._database.read() as tx:
            rights.require_open(tx, user, rights.run_key(run))
        return self._files.add(run.project_id, sha256, size, offset, part)

    def name(
        self, user: str, run: RunKey, path: str, sha256: str, size: int, *, created_at_us: int | None = None
    ) -> ArtifactRecord:
        """Make bytes that are held a file of a run, replacing one at the same path; see `Backend.put_artifact`.

        Raises:
            InvalidInput: They are not held whole.
        """
        path = legal_path(path)
        with self._database.read() as tx:  # before anything is told about the bytes
            rights.require_open(tx, user, rights.run_key(run))
        if not size:
            sha256, _ = self._files.put(run.project_id, io.BytesIO())
        elif not self._files.is_whole(run.project_id, sha256, size):
            raise _not_held(path, sha256, size)
        return self._name(user, run, path, sha256, size, created_at_us)

    def list_of(self, user: str, run: RunKey) -> list[ArtifactRecord]:
        """See `Backend.list_artifacts`."""
        with self._database.read() as tx:
            rights.require_run(tx, user, rights.run_key(run), Permission.READ)
            return artifact_rows.all_of(tx, run)

    def get(self, user: str, run: RunKey, path: str) -> ArtifactRecord:
        """Return a file of a run. Raises ArtifactNotFound."""
        with self._database.read() as tx:
            rights.require_run(tx, user, rights.run_key(run), Permission.READ)
            record = artifact_rows.find(tx, run, legal_path(path))
        if record is None:
            raise ArtifactNotFound(f"run {run.run_id} has no artifact {path!r}; list_artifacts() shows those it has")
        return record

    def open(self, user: str, run: RunKey, path: str) -> BinaryIO:
        """See `Backend.open_artifact`."""
        return self.open_bytes(run, self.get(user, run, path))

    def open_bytes(self, run: RunKey, artifact: ArtifactRecord, start: int = 0) -> BinaryIO:
        """Open the bytes of a file that the caller was given just now, from the byte `start` on."""
        return self._files.open(run.project_id, artifact.sha256, start)


def _possible(at_us: int) -> int:
    if not in_calendar(at_us):
        raise InvalidInput(f"created_at_us is {at_us}, which lies outside of the years 1 to 9999")
    return at_us


def _not_held(path: str, sha256: str, size: int) -> InvalidInput:
    return InvalidInput(f"no {size:,} bytes of the hash {sha256} are held for {path!r}; send them first")
