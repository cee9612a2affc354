"""The names that a project has seen: of metrics, system metrics, params and tags."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b

from ..records import RunKey
from .database import Transaction

KINDS = ("metric", "system", "param", "tag")


@lru_cache(maxsize=10_000)
def key_id(name: str) -> int:
    """Return the id of a name: 63 bits of its hash, the same in every process and project."""
    return int.from_bytes(blake2b(name.encode(errors="surrogatepass"), digest_size=8).digest(), "little") >> 1


def note(tx: Transaction, run: RunKey, kind: str, names: Iterable[str]) -> None:
    """Remember names of one kind; in one order, so that two who do so at once do not wait for each other."""
    tx.run_many(
        "INSERT INTO key (project_id, kind, key_id, name) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (project_id, kind, key_id) DO NOTHING",
        sorted((run.project_id, kind, key_id(name), name) for name in names),
    )


def names(tx: Transaction, project_id: int, kind: str) -> list[str]:
    """Return all names of one kind, sorted."""
    rows = tx.rows("SELECT name FROM key WHERE project_id = ? AND kind = ? ORDER BY name", (project_id, kind))
    return [name for (name,) in rows]


def kinds_of(tx: Transaction, project_id: int, name: str) -> set[str]:
    """Return as what a project has seen a name."""
    found = set()
    for kind in KINDS:
        where = (project_id, kind, key_id(name))
        if tx.row("SELECT 1 FROM key WHERE project_id = ? AND kind = ? AND key_id = ?", where):
            found.add(kind)
    return found
