"""All that is kept of a run as it is kept, for carrying it to another store: see `push`."""

from __future__ import annotations

from dataclasses import dataclass

from ..records import RunKey
from . import points
from .chunks import Points
from .database import Transaction


@dataclass(frozen=True, slots=True)
class History:
    """What is kept of a run beside its record and its points.

    Attributes:
        params: Name to (type, text).
        tags: Name to text.
        facts: Name to text.
        counts: Metric, also of the machine, to its number of points.
    """

    params: dict[str, tuple[str, str]]
    tags: dict[str, str]
    facts: dict[str, str]
    counts: dict[str, int]


def read(tx: Transaction, run: RunKey) -> History:
    """Return what is kept of a run, each part in the order of its names."""
    where = (run.project_id, bytes.fromhex(run.run_id))
    found: dict[str, dict[str, tuple[str, str]]] = {"param": {}, "tag": {}, "fact": {}}
    rows = tx.rows("SELECT kind, name, type, text FROM attr WHERE project_id = ? AND run_id = ? ORDER BY name", where)
    for kind, name, type_, text in rows:
        found[kind][name] = (type_, text)
    counts = tx.rows(
        "SELECT key.name, s.n FROM series s "
        "JOIN key ON key.project_id = s.project_id AND key.key_id = s.key_id "
        "AND key.kind = CASE WHEN s.system = 1 THEN 'system' ELSE 'metric' END "
        "WHERE s.project_id = ? AND s.run_id = ? ORDER BY key.name",
        where,
    )
    return History(
        params=found["param"],
        tags={name: text for name, (_, text) in found["tag"].items()},
        facts={name: text for name, (_, text) in found["fact"].items()},
        counts={name: int(n) for name, n in counts},
    )


def arrived(tx: Transaction, run: RunKey, name: str, first: int, stop: int) -> Points:
    """Return points of a metric by their place in the order in which they came: those never change."""
    return points.arrived(tx, run, name, first, stop)


def size(tx: Transaction, project_id: int) -> tuple[int, int]:
    """Return how many points a project's runs have, deleted ones included, and how many bytes of files."""
    points_row = tx.row("SELECT COALESCE(SUM(n), 0) FROM series WHERE project_id = ?", (project_id,))
    files_row = tx.row("SELECT COALESCE(SUM(size_bytes), 0) FROM artifact WHERE project_id = ?", (project_id,))
    assert points_row is not None
    assert files_row is not None
    return int(points_row[0]), int(files_row[0])
