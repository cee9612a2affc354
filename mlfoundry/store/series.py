"""What is known of each series without its points: enough for every table of runs."""

from __future__ import annotations

from ..records import RunKey
from .database import Transaction


def counts(tx: Transaction, run: RunKey, *, system: bool | None = False) -> dict[str, int]:
    """Return how many points each metric of a run has, by name: of one kind, or of both, logged ones first."""
    kinds = (system,) if system is not None else (False, True)
    found: dict[str, int] = {}
    for is_system in kinds:
        rows = tx.rows(
            "SELECT key.name, s.n FROM series s "
            "JOIN key ON key.project_id = s.project_id AND key.kind = ? AND key.key_id = s.key_id "
            "WHERE s.project_id = ? AND s.run_id = ? AND s.system = ? ORDER BY key.name",
            ("system" if is_system else "metric", run.project_id, bytes.fromhex(run.run_id), int(is_system)),
        )
        found.update(rows)
    return found
