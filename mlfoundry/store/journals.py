"""How far each journal is held: what makes every record stored exactly once."""

from __future__ import annotations

from ..errors import JournalGap
from ..records import Batch, RunKey
from .database import Transaction


def acked(tx: Transaction, run: RunKey, journal_id: int) -> int:
    """Return up to which slot a journal of a run is held, 0 for one never seen."""
    row = tx.row(
        "SELECT acked FROM journal WHERE project_id = ? AND journal_id = ? AND run_id = ?",
        (run.project_id, journal_id, bytes.fromhex(run.run_id)),
    )
    return 0 if row is None else int(row[0])


def advance(tx: Transaction, batch: Batch) -> bool:
    """Move a journal from the batch's start to its stop, in the transaction that stores the batch.

    Returns:
        False when all of the batch is held already.

    Raises:
        JournalGap: The journal does not stand at the batch's start.
    """
    run = batch.run
    if batch.start == 0:
        tx.run(
            "INSERT INTO journal (project_id, journal_id, run_id, acked) VALUES (?, ?, ?, 0) "
            "ON CONFLICT (project_id, journal_id) DO NOTHING",
            (run.project_id, batch.journal_id, bytes.fromhex(run.run_id)),
        )
    moved = tx.run(
        "UPDATE journal SET acked = ? WHERE project_id = ? AND journal_id = ? AND run_id = ? AND acked = ?",
        (batch.stop, run.project_id, batch.journal_id, bytes.fromhex(run.run_id), batch.start),
    )
    if moved:
        return True
    held = acked(tx, run, batch.journal_id)
    if held >= batch.stop:
        return False
    raise JournalGap(expected=held, got=batch.start)


def forget(tx: Transaction, run: RunKey, journal_id: int) -> None:
    """Forget a journal of a run: what still comes of it finds nothing to go on from."""
    tx.run(
        "DELETE FROM journal WHERE project_id = ? AND journal_id = ? AND run_id = ?",
        (run.project_id, journal_id, bytes.fromhex(run.run_id)),
    )
