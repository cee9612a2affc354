"""What is known of each series without its points: enough for every table of runs."""

from __future__ import annotations

from collections.abc import Sequence

from ..records import RunKey
from .database import Transaction
from .keys import key_id

_BLOCK = 1000


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


def count(tx: Transaction, run: RunKey, names: Sequence[str]) -> dict[str, int]:
    """Return how many points each of some metrics of a run has, by name; those it does not have are left out."""
    ids = {key_id(name): name for name in names}
    found: dict[str, int] = {}
    for start in range(0, len(ids), _BLOCK):
        some = list(ids)[start : start + _BLOCK]
        marks = ", ".join("?" for _ in some)
        rows = tx.rows(
            f"SELECT key_id, n FROM series WHERE project_id = ? AND run_id = ? AND key_id IN ({marks})",
            (run.project_id, bytes.fromhex(run.run_id), *some),
        )
        found.update((ids[key], n) for key, n in rows)
    return found
