"""A new store's file: whole from its first moment, or not there at all.

It goes to the disk in one piece and gets its name last. So whoever is killed leaves no half-made store, of several who
make one at once the first wins, and no power cut takes its tables back. `sqlite_connections` says what the file holds.
"""

from __future__ import annotations

import glob
import os
import secrets
from contextlib import suppress
from pathlib import Path

from ..folders import sync_folder


def make(path: Path, image: bytes) -> bool:
    """Make the file of a store unless there is one; return whether there is one now.

    Args:
        path: The file.
        image: What a new store's file holds.

    Returns:
        False where this cannot be done, as on a file system without hard links; then nothing is changed. Nor beside
        the log of a store that somebody took away: SQLite plays it back into a file that holds something.
    """
    if Path(f"{path}-wal").exists():
        return path.exists()
    unnamed = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    try:
        _write(unnamed, image)
        with suppress(FileExistsError):  # another process was first
            os.link(unnamed, path)
        sync_folder(path.parent)
    except OSError:
        return False
    finally:
        with suppress(OSError):
            unnamed.unlink()
    clear(path)
    return True


def clear(path: Path) -> None:
    """Remove what killed makers have left beside the file of a store: that is there, so who still makes one is late."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.new"):
        with suppress(OSError):
            left.unlink()


def _write(path: Path, data: bytes) -> None:
    """Write a new file (0600) and force it to the disk."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    finally:
        os.close(fd)
