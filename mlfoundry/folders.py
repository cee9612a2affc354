"""Folders that belong to one account alone, whatever the umask, and whose names are on the disk when that matters."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path


def make_private(folder: Path) -> None:
    """Make a folder and its missing parents, each 0700; leave those that exist as they are.

    Raises:
        OSError: One of them cannot be made.
    """
    for missing in [place for place in (folder, *folder.parents) if not place.exists()][::-1]:
        with contextlib.suppress(FileExistsError):
            missing.mkdir(mode=0o700)


def make_one_of(folders: Iterable[Path]) -> Path | None:
    """Make the first of these folders that can be made, or is there, and takes files; None when none does."""
    for folder in folders:
        with contextlib.suppress(OSError):
            make_private(folder)
            if os.access(folder, os.W_OK | os.X_OK):
                return folder
    return None


def may_be_made(folder: Path) -> bool:
    """Return whether a folder is there and takes files, or could be made, as far as can be told without trying."""
    for place in (folder, *folder.parents):
        if os.path.lexists(place):
            return place.is_dir() and os.access(place, os.W_OK | os.X_OK)
    return False


def is_own(folder: Path) -> bool:
    """Return whether a folder is there and nobody but this account can change what lies in it.

    A link, another account's folder or one that others may write is not one's own: in a temporary folder
    anybody could have put it there beforehand.
    """
    try:
        status = folder.lstat()
    except OSError:  # what cannot be looked at is not known to be our own
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to the disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
