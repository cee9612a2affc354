"""The files of runs: which there are, and under which hash their bytes lie (see `artifacts`)."""

from __future__ import annotations

from ..errors import InvalidInput
from ..records import ArtifactRecord, RunKey
from ..values import utc
from .database import Transaction


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


def record(tx: Transaction, run: RunKey, artifact: ArtifactRecord, at_us: int) -> None:
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
            at_us,
        ),
    )


def all_of(tx: Transaction, run: RunKey) -> list[ArtifactRecord]:
    """Return the files of a run, by path."""
    rows = tx.rows(
        "SELECT path, size_bytes, sha256, created_at FROM artifact WHERE project_id = ? AND run_id = ? ORDER BY path",
        (run.project_id, bytes.fromhex(run.run_id)),
    )
    return [ArtifactRecord(path, size, sha256.hex(), utc(at)) for path, size, sha256, at in rows]


def hashes(tx: Transaction, project_id: int) -> set[str]:
    """Return the hashes of all files that runs of a project have, hidden runs too; none of a project that is gone."""
    rows = tx.rows("SELECT DISTINCT sha256 FROM artifact WHERE project_id = ?", (project_id,))
    return {sha256.hex() for (sha256,) in rows}


def find(tx: Transaction, run: RunKey, path: str) -> ArtifactRecord | None:
    """Return a file of a run, None when there is none at this path."""
    row = tx.row(
        "SELECT path, size_bytes, sha256, created_at FROM artifact WHERE project_id = ? AND run_id = ? AND path = ?",
        (run.project_id, bytes.fromhex(run.run_id), path),
    )
    return None if row is None else ArtifactRecord(row[0], row[1], row[2].hex(), utc(row[3]))
