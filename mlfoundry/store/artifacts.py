"""Files of runs: their rows, and their bytes in a folder under the hash of what they hold.

A name given by a user never becomes a path here; bytes lie under ``<project id>/<2 hex>/<sha256>``, and
two runs of a project that log the same bytes share them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
from pathlib import Path
from typing import BinaryIO

from ..errors import BackendUnavailable, InvalidInput
from ..folders import make_private
from ..records import ArtifactRecord, RunKey
from ..values import utc
from .database import Transaction

BLOCK_BYTES = 1 << 20


class ArtifactFolder:
    """Bytes by hash in a folder; files are 0600, folders 0700."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, project_id: int, source: BinaryIO) -> tuple[str, int]:
        """Store what `source` gives; return its SHA-256 in hex and its size.

        It is written beside and renamed when it is whole and on the disk, so that nobody sees a part.

        Raises:
            BackendUnavailable: The disk is full or cannot be written.
        """
        folder = self._root / str(project_id)
        part = folder / f".part-{secrets.token_hex(8)}"
        digest = hashlib.sha256()
        size = 0
        try:
            make_private(folder)
            with open(part, "xb", opener=_private) as file:
                while block := source.read(BLOCK_BYTES):
                    digest.update(block)
                    file.write(block)
                    size += len(block)
                file.flush()
                os.fsync(file.fileno())
            path = self.path_of(project_id, digest.hexdigest())
            make_private(path.parent)
            part.replace(path)
        except OSError as error:
            raise BackendUnavailable(
                f"the file cannot be stored in {self._root} ({error.strerror or error}). Make room there, or check "
                "who may write it."
            ) from error
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        return digest.hexdigest(), size

    def open(self, project_id: int, sha256: str) -> BinaryIO:
        """Open stored bytes.

        Raises:
            BackendUnavailable: They are gone from the folder.
        """
        try:
            return self.path_of(project_id, sha256).open("rb")
        except OSError as error:
            raise BackendUnavailable(f"the bytes of this artifact cannot be read ({error})") from error

    def drop_project(self, project_id: int) -> None:
        """Delete all bytes of a project."""
        shutil.rmtree(self._root / str(project_id), ignore_errors=True)

    def path_of(self, project_id: int, sha256: str) -> Path:
        """Return where bytes lie, or would."""
        return self._root / str(project_id) / sha256[:2] / sha256


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def require_room(tx: Transaction, run: RunKey, path: str) -> None:
    """Make sure that a path is not a folder of a file that a run has, nor lies below such a file.

    On a disk the two could not lie side by side, so that the run's files could not be fetched together.

    Raises:
        InvalidInput: Names the file that is in the way.
    """
    parts = path.split("/")
    above = ["/".join(parts[:count]) for count in range(1, len(parts))]
    marks = ", ".join("?" for _ in above) or "NULL"
    row = tx.row(
        "SELECT path FROM artifact WHERE project_id = ? AND run_id = ? "
        f"AND (path IN ({marks}) OR (path > ? AND path < ?)) LIMIT 1",
        (run.project_id, bytes.fromhex(run.run_id), *above, f"{path}/", f"{path}0"),  # 0 comes after / in ASCII
    )
    if row is not None:
        held = str(row[0])
        both = path if held.startswith(f"{path}/") else held
        raise InvalidInput(
            f"the artifact {path!r} cannot lie beside {held!r}, because {both!r} would be a file and a folder at once. "
            "Choose another path for it."
        )


def record(tx: Transaction, run: RunKey, artifact: ArtifactRecord, now_us: int) -> None:
    """Note a file of a run in place of one at the same path."""
    tx.run(
        "INSERT INTO artifact (project_id, run_id, path, size_bytes, sha256, created_at) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (project_id, run_id, path) DO UPDATE SET size_bytes = excluded.size_bytes, "
        "sha256 = excluded.sha256, created_at = excluded.created_at",
        (
            run.project_id,
            bytes.fromhex(run.run_id),
            artifact.path,
            artifact.size_bytes,
            bytes.fromhex(artifact.sha256),
            now_us,
        ),
    )


def all_of(tx: Transaction, run: RunKey) -> list[ArtifactRecord]:
    """Return the files of a run, by path."""
    rows = tx.rows(
        "SELECT path, size_bytes, sha256, created_at FROM artifact WHERE project_id = ? AND run_id = ? ORDER BY path",
        (run.project_id, bytes.fromhex(run.run_id)),
    )
    return [ArtifactRecord(path, size, sha256.hex(), utc(at)) for path, size, sha256, at in rows]


def find(tx: Transaction, run: RunKey, path: str) -> ArtifactRecord | None:
    """Return a file of a run, None when there is none at this path."""
    row = tx.row(
        "SELECT path, size_bytes, sha256, created_at FROM artifact WHERE project_id = ? AND run_id = ? AND path = ?",
        (run.project_id, bytes.fromhex(run.run_id), path),
    )
    return None if row is None else ArtifactRecord(row[0], row[1], row[2].hex(), utc(row[3]))
