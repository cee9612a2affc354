"""Folders that belong to one account alone, whatever the umask."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path


def make_private(folder: Path) -> None:
    """Make a folder and its missing parents, each 0700; leave those that exist as they are.

    Raises:
        OSError: One of them cannot be made.
    """
    for missing in [place for place in (folder, *folder.parents) if not place.exists()][::-1]:
        with contextlib.suppress(FileExistsError):
            missing.mkdir(mode=0o700)


def is_own(folder: Path) -> bool:
    """Return whether nobody but this account can change what lies in a folder; make it when it is missing.

    A link, another account's folder or one that others may write is not one's own: in a temporary folder
    anybody could have put it there beforehand.
    """
    try:
        make_private(folder)
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022


def is_writable(folder: Path) -> bool:
    """Return whether files can be made in a folder; make it when it is missing."""
    try:
        make_private(folder)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)
