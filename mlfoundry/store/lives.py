"""How a run lives: it is heard of, ends or is given up, is deleted and comes back.

What it is, and under which name, is the business of `runs`.
"""

from __future__ import annotations

from collections.abc import Collection

from ..records import RunKey, RunStatus
from . import runs
from .database import Transaction


def seen(tx: Transaction, run: RunKey, now_us: int) -> bool:
    """Note that the store heard of a run, which runs again if it was given up; others who add to it wait.

    Returns:
        False when there is no such run any more, or it was deleted.
    """
    where = (run.project_id, bytes.fromhex(run.run_id))
    changed = tx.run(
        "UPDATE run SET last_seen_at = ? "
        "WHERE project_id = ? AND run_id = ? AND lost_at IS NULL AND deleted_at IS NULL",
        (now_us, *where),
    )
    if not changed:
        changed = tx.run(
            "UPDATE run SET last_seen_at = ?, status = 'RUNNING', ended_at = NULL, error = '', lost_at = NULL "
            "WHERE project_id = ? AND run_id = ? AND lost_at IS NOT NULL AND deleted_at IS NULL",
            (now_us, *where),
        )
    return changed > 0


def last_seen_us(tx: Transaction, run: RunKey) -> int | None:
    """Return when the store last heard of a run, None when there is no such run."""
    row = tx.row(
        "SELECT last_seen_at FROM run WHERE project_id = ? AND run_id = ?", (run.project_id, bytes.fromhex(run.run_id))
    )
    return None if row is None else int(row[0])


def lock(tx: Transaction, run: RunKey) -> bool:
    """Let others who add to a run wait for this transaction; False when there is no such run, or it was deleted."""
    changed = tx.run(
        "UPDATE run SET last_seen_at = last_seen_at WHERE project_id = ? AND run_id = ? AND deleted_at IS NULL",
        (run.project_id, bytes.fromhex(run.run_id)),
    )
    return changed > 0


def has_unheard(tx: Transaction, project_id: int, since_us: int) -> bool:
    """Return whether a project has a running run of which the store has not heard since."""
    row = tx.row(
        "SELECT 1 FROM run WHERE project_id = ? AND status = 'RUNNING' AND last_seen_at < ? LIMIT 1",
        (project_id, since_us),
    )
    return row is not None


def unheard(tx: Transaction, project_id: int, since_us: int) -> list[str]:
    """Return the ids of the running runs of a project of which the store has not heard since."""
    rows = tx.rows(
        "SELECT run_id FROM run WHERE project_id = ? AND status = 'RUNNING' AND last_seen_at < ?",
        (project_id, since_us),
    )
    return [bytes(blob).hex() for (blob,) in rows]


def give_up(
    tx: Transaction,
    project_id: int,
    since_us: int,
    *,
    error: str,
    now_us: int,
    only: Collection[str] | None = None,
) -> None:
    """End, as KILLED at the time of their last records, the running runs of which the store has not heard since.

    Args:
        tx: The transaction.
        project_id: The project.
        since_us: Since when.
        error: What is said of them.
        now_us: The clock.
        only: Only these of them; all when None.
    """
    found = tx.rows(
        "SELECT run_id, started_at FROM run WHERE project_id = ? AND status = 'RUNNING' AND last_seen_at < ?",
        (project_id, since_us),
    )
    for blob, started_at in found:
        if only is not None and bytes(blob).hex() not in only:
            continue
        row = tx.row("SELECT MAX(last_at) FROM series WHERE project_id = ? AND run_id = ?", (project_id, blob))
        last_at = started_at if row is None or row[0] is None else max(started_at, row[0])
        tx.run(
            "UPDATE run SET status = ?, error = ?, ended_at = ?, lost_at = ? "
            "WHERE project_id = ? AND run_id = ? AND status = 'RUNNING' AND last_seen_at < ?",  # not heard of meanwhile
            (RunStatus.KILLED.value, error, last_at, now_us, project_id, blob, since_us),
        )


def end(tx: Transaction, run: RunKey, status: RunStatus, *, error: str, at_us: int, elapsed_us: int | None) -> bool:
    """End a run that runs; the first end counts. Return whether this was it.

    Args:
        tx: The transaction.
        run: The run.
        status: How it ended.
        error: Type and message of an exception, or empty.
        at_us: The wall clock at the end.
        elapsed_us: Microseconds since the start by a clock that never jumps; counts more than `at_us`.
    """
    ended = "started_at + ?" if elapsed_us is not None else "CASE WHEN started_at > ? THEN started_at ELSE ? END"
    values = (elapsed_us,) if elapsed_us is not None else (at_us, at_us)
    changed = tx.run(
        f"UPDATE run SET status = ?, error = ?, ended_at = {ended} "
        "WHERE project_id = ? AND run_id = ? AND status = 'RUNNING'",
        (status.value, error, *values, run.project_id, bytes.fromhex(run.run_id)),
    )
    if changed:
        from . import points  # numpy comes with it: a process that only makes runs does without

        points.compact(tx, run)
    return bool(changed)


def delete(tx: Transaction, run: RunKey, now_us: int) -> None:
    """Hide a run and free its name."""
    tx.run(
        "UPDATE run SET deleted_at = ? WHERE project_id = ? AND run_id = ? AND deleted_at IS NULL",
        (now_us, run.project_id, bytes.fromhex(run.run_id)),
    )


def restore(tx: Transaction, run: RunKey) -> None:
    """Bring a deleted run back, with a suffix when its name is taken meanwhile."""
    where = (run.project_id, bytes.fromhex(run.run_id))
    row = tx.row("SELECT name FROM run WHERE project_id = ? AND run_id = ? AND deleted_at IS NOT NULL", where)
    if row is not None:
        name = runs.free_name(tx, run.project_id, row[0])
        tx.run("UPDATE run SET deleted_at = NULL, name = ? WHERE project_id = ? AND run_id = ?", (name, *where))
