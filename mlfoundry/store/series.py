"""What is known of each series without its points: enough for every table of runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..records import RunKey
from .database import Transaction
from .keys import key_id

_BLOCK = 1000


def counts(tx: Transaction, run: RunKey, *, system: bool | None = False, known: Iterable[str] = ()) -> dict[str, int]:
    """Return how many points each metric of a run has, by name: of one kind, or of both, logged ones first.

    Args:
        tx: The transaction.
        run: The run.
        system: Which kind; None for both.
        known: Names that the asker knows: nearly always all of them, and then none has to be looked up.
    """
    kinds = (system,) if system is not None else (False, True)
    ids = {key_id(name): name for name in known}
    found: dict[str, int] = {}
    for is_system in kinds:
        of_known = _of_known(tx, run, is_system, ids) if ids else None
        found.update(_named(tx, run, is_system) if of_known is None else of_known)
    return found


def _of_known(tx: Transaction, run: RunKey, is_system: bool, ids: Mapping[int, str]) -> list[tuple[str, int]] | None:
    """Return name and number of points of each metric of one kind; None when one of them is not known."""
    rows = tx.rows(
        "SELECT key_id, n FROM series WHERE project_id = ? AND run_id = ? AND system = ?",
        (run.project_id, bytes.fromhex(run.run_id), int(is_system)),
    )
    return sorted((ids[key], n) for key, n in rows) if all(key in ids for key, _ in rows) else None


def _named(tx: Transaction, run: RunKey, is_system: bool) -> list[tuple[str, int]]:
    return tx.rows(
        "SELECT key.name, s.n FROM series s "
        "JOIN key ON key.project_id = s.project_id AND key.kind = ? AND key.key_id = s.key_id "
        "WHERE s.project_id = ? AND s.run_id = ? AND s.system = ? ORDER BY key.name",
        ("system" if is_system else "metric", run.project_id, bytes.fromhex(run.run_id), int(is_system)),
    )


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
