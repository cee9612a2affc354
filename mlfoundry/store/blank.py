"""A new store's file: with all its tables and in WAL mode from its first moment, or not there at all.

The tables are made in memory, which takes a fraction of what making them in a file takes, and what SQLite would write
then goes to the disk in one piece, which gets its name last. So whoever is killed leaves no half-made store, of several
who make one at once the first wins, and no power cut takes the tables back. `database` makes its file so where it can.
"""

from __future__ import annotations

import glob
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import apsw

# The bytes of a database's head that say how it is written and read; see "file format version numbers" in
# https://www.sqlite.org/fileformat.html. What was made in memory says 1, a rollback journal; 2 is a write-ahead log.
_VERSIONS = slice(18, 20)
_WAL = b"\x02\x02"


def make(path: Path, fill: Callable[[apsw.Connection], None]) -> bool:
    """Make the file of a store unless there is one; return whether there is one now.

    Args:
        path: The file.
        fill: Makes the tables.

    Returns:
        False where this cannot be done, as on a file system without hard links; then nothing is changed.
    """
    image = _image(fill)
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


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to the disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _image(fill: Callable[[apsw.Connection], None]) -> bytes:
    """Return the bytes of a database with these tables."""
    import apsw

    connection = apsw.Connection(":memory:")
    try:
        fill(connection)
        image = bytearray(connection.serialize("main"))
    finally:
        connection.close()
    image[_VERSIONS] = _WAL
    return bytes(image)


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
