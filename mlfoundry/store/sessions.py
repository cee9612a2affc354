"""Sessions of browsers on a server, by digest."""

from __future__ import annotations

from .database import Transaction

MOST = 100  # of one key


def add(tx: Transaction, digest: bytes, key_digest: bytes, *, expires_at: int, now_us: int) -> None:
    """Note a session that a key began; forget those that are over, and the oldest of a key that has too many."""
    tx.run("DELETE FROM session WHERE expires_at <= ?", (now_us,))
    others = tx.rows("SELECT digest FROM session WHERE key_digest = ? ORDER BY created_at DESC", (key_digest,))
    for (oldest,) in others[MOST - 1 :]:
        remove(tx, bytes(oldest))
    tx.run(
        "INSERT INTO session (digest, key_digest, created_at, expires_at) VALUES (?, ?, ?, ?)",
        (digest, key_digest, now_us, expires_at),
    )


def find_key(tx: Transaction, digest: bytes, *, now_us: int) -> bytes | None:
    """Return the digest of the key that began a session, None when there is no such session any more."""
    row = tx.row("SELECT key_digest FROM session WHERE digest = ? AND expires_at > ?", (digest, now_us))
    return None if row is None else bytes(row[0])


def remove(tx: Transaction, digest: bytes) -> None:
    """Forget a session."""
    tx.run("DELETE FROM session WHERE digest = ?", (digest,))
