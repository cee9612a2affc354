"""The numbered migrations that lead from an empty store to today's tables; the same files for every engine."""

from __future__ import annotations

from pathlib import Path

from ..errors import StoreTooNew


def migrations() -> list[tuple[int, str]]:
    """Return (version, SQL) of each migration, oldest first."""
    return [(number, file.read_text(encoding="utf-8")) for number, file in _migration_files()]


def newest_version() -> int:
    """Return the version that the newest migration leads to."""
    return _migration_files()[-1][0]


def refuse_newer(version: int, newest: int | None = None) -> None:
    """Refuse a store that is newer than this code.

    Raises:
        StoreTooNew: Names both versions.
    """
    newest = newest_version() if newest is None else newest
    if version > newest:
        raise StoreTooNew(
            f"the store has schema version {version}, and this MLFoundry knows versions up to {newest}. "
            "Upgrade MLFoundry where you run this; the store was not touched."
        )


def _migration_files() -> list[tuple[int, Path]]:
    files = (Path(__file__).parent / "migrations").glob("*.sql")
    return sorted((int(file.name.partition("_")[0]), file) for file in files)
