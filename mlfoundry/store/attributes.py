"""What is told of a run in words: params, which do not change, tags and facts."""

from __future__ import annotations

from collections.abc import Mapping

from ..records import RunKey
from ..values import param_number
from . import keys
from .database import Transaction


def set_params(tx: Transaction, run: RunKey, params: Mapping[str, tuple[str, str]]) -> list[str]:
    """Store params given as (type, text); return the names that hold another value already and keep it."""
    blob = bytes.fromhex(run.run_id)
    kept = []
    for name, (type_, text) in params.items():
        made = tx.row(
            "INSERT INTO attr (project_id, run_id, kind, name, type, text, num) VALUES (?, ?, 'param', ?, ?, ?, ?) "
            "ON CONFLICT (project_id, run_id, kind, name) DO NOTHING RETURNING name",
            (run.project_id, blob, name, type_, text, param_number(type_, text)),
        )
        if made is None:
            row = tx.row(
                "SELECT text FROM attr WHERE project_id = ? AND run_id = ? AND kind = 'param' AND name = ?",
                (run.project_id, blob, name),
            )
            if row is not None and row[0] != text:
                kept.append(name)
    keys.note(tx, run, "param", params)
    return kept


def set_tags(tx: Transaction, run: RunKey, tags: Mapping[str, str | None], kind: str = "tag") -> None:
    """Store tags (or facts) in place of those before; None as text removes one."""
    blob = bytes.fromhex(run.run_id)
    gone = [(run.project_id, blob, kind, name) for name, text in tags.items() if text is None]
    tx.run_many("DELETE FROM attr WHERE project_id = ? AND run_id = ? AND kind = ? AND name = ?", gone)
    rows = [
        (run.project_id, blob, kind, name, "fact" if kind == "fact" else "str", text, param_number("str", text))
        for name, text in tags.items()
        if text is not None
    ]
    tx.run_many(
        "INSERT INTO attr (project_id, run_id, kind, name, type, text, num) VALUES (?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (project_id, run_id, kind, name) DO UPDATE SET text = excluded.text, num = excluded.num",
        rows,
    )
    if kind == "tag":
        keys.note(tx, run, "tag", tags)


def count_fact(tx: Transaction, run: RunKey, name: str, more: int) -> None:
    """Add to a fact that counts."""
    blob = bytes.fromhex(run.run_id)
    where = (run.project_id, blob, name)
    row = tx.row("SELECT text FROM attr WHERE project_id = ? AND run_id = ? AND kind = 'fact' AND name = ?", where)
    set_tags(tx, run, {name: str(more + (int(row[0]) if row is not None else 0))}, kind="fact")


def facts(tx: Transaction, run: RunKey) -> dict[str, str]:
    """Return the facts of a run by name."""
    rows = tx.rows(
        "SELECT name, text FROM attr WHERE project_id = ? AND run_id = ? AND kind = 'fact' ORDER BY name",
        (run.project_id, bytes.fromhex(run.run_id)),
    )
    return {name: text for name, text in rows}  # noqa: C416  rows are tuples of any width to mypy
