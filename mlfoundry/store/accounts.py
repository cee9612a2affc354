"""Users of a server, and their keys by digest."""

from __future__ import annotations

from ..records import Account, ApiKey
from ..values import utc
from .database import Row, Transaction

_KEY_COLUMNS = "key_id, user_id, label, created_at, expires_at, revoked_at, last_used_at"


def add(tx: Transaction, user: str, *, is_admin: bool, now_us: int) -> bool:
    """Add a user; return False when there is one of this name."""
    made = tx.row(
        "INSERT INTO account (user_id, is_admin, created_at, disabled_at) VALUES (?, ?, ?, NULL) "
        "ON CONFLICT (user_id) DO NOTHING RETURNING user_id",
        (user, int(is_admin), now_us),
    )
    return made is not None


def find(tx: Transaction, user: str) -> Account | None:
    """Return a user, None when there is none."""
    row = tx.row("SELECT user_id, is_admin, created_at, disabled_at FROM account WHERE user_id = ?", (user,))
    return None if row is None else _account(row)


def all_of(tx: Transaction) -> list[Account]:
    """Return all users by name."""
    rows = tx.rows("SELECT user_id, is_admin, created_at, disabled_at FROM account ORDER BY user_id")
    return [_account(row) for row in rows]


def change(tx: Transaction, user: str, *, is_admin: bool, is_disabled: bool, now_us: int) -> None:
    """Set what may change of a user; one who was disabled before has been so since then."""
    if is_disabled:
        tx.run("UPDATE account SET disabled_at = COALESCE(disabled_at, ?) WHERE user_id = ?", (now_us, user))
    else:
        tx.run("UPDATE account SET disabled_at = NULL WHERE user_id = ?", (user,))
    tx.run("UPDATE account SET is_admin = ? WHERE user_id = ?", (int(is_admin), user))


def count_admins(tx: Transaction) -> int:
    """Return how many admins of the server can act. Others who would change one wait for this transaction."""
    tx.run("UPDATE account SET is_admin = is_admin WHERE is_admin = 1")
    row = tx.row("SELECT COUNT(*) FROM account WHERE is_admin = 1 AND disabled_at IS NULL")
    assert row is not None
    return int(row[0])


def add_key(
    tx: Transaction, digest: bytes, key_id: int, user: str, *, label: str, expires_at: int | None, now_us: int
) -> None:
    """Note a key."""
    tx.run(
        "INSERT INTO api_key (digest, key_id, user_id, label, created_at, expires_at, revoked_at, last_used_at) "
        "VALUES (?, ?, ?, ?, ?, ?, NULL, NULL)",
        (digest, key_id, user, label, now_us, expires_at),
    )


def find_key(tx: Transaction, digest: bytes) -> ApiKey | None:
    """Return the key of a digest, None when there is none."""
    row = tx.row(f"SELECT {_KEY_COLUMNS} FROM api_key WHERE digest = ?", (digest,))
    return None if row is None else _key(row)


def whose_key(tx: Transaction, digest: bytes) -> tuple[ApiKey, Account] | None:
    """Return the key of a digest and its user, None when there is none: one statement, of one moment."""
    row = tx.row(
        "SELECT k.key_id, k.user_id, k.label, k.created_at, k.expires_at, k.revoked_at, k.last_used_at, "
        "a.user_id, a.is_admin, a.created_at, a.disabled_at "
        "FROM api_key k JOIN account a ON a.user_id = k.user_id WHERE k.digest = ?",
        (digest,),
    )
    return None if row is None else (_key(row[:7]), _account(row[7:]))


def keys_of(tx: Transaction, user: str) -> list[ApiKey]:
    """Return a user's keys, the oldest first."""
    rows = tx.rows(f"SELECT {_KEY_COLUMNS} FROM api_key WHERE user_id = ? ORDER BY created_at, key_id", (user,))
    return [_key(row) for row in rows]


def revoke_key(tx: Transaction, user: str, key_id: int, now_us: int) -> bool:
    """Revoke a user's key; return whether there was one. The first time counts."""
    changed = tx.run(
        "UPDATE api_key SET revoked_at = CASE WHEN revoked_at IS NULL THEN ? ELSE revoked_at END "
        "WHERE user_id = ? AND key_id = ?",
        (now_us, user, key_id),
    )
    return changed > 0


def note_use(tx: Transaction, digest: bytes, now_us: int) -> None:
    """Note that a key was used."""
    tx.run("UPDATE api_key SET last_used_at = ? WHERE digest = ?", (now_us, digest))


def _account(row: Row) -> Account:
    return Account(row[0], bool(row[1]), utc(row[2]), None if row[3] is None else utc(row[3]))


def _key(row: Row) -> ApiKey:
    created, *times = (None if at is None else utc(at) for at in row[3:])
    assert created is not None
    return ApiKey(row[0], row[1], row[2], created, *times)
