"""Opening what lies below a folder, without following a link out of it however quickly somebody puts one there.

Each step is opened from the one before and refuses links, so that what was checked is what is used.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InvalidInput

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def opened_parent(folder: Path, path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
    """Open the folder that a file below another is in; give its descriptor and the file's name.

    Args:
        folder: The folder, which may be reached by links.
        path: Relative, with ``/`` between its parts; see `names.legal_path`.
        make: Whether folders that are missing are made.

    Raises:
        InvalidInput: A link or something that is no folder lies in the way.
        OSError: It cannot be opened.
    """
    *parents, name = path.split("/")
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for count, parent in enumerate(parents, 1):
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(parent, dir_fd=at)
            try:
                below = os.open(parent, _FOLDER, dir_fd=at)
            except (NotADirectoryError, OSError) as error:
                if isinstance(error, FileNotFoundError):
                    raise
                place = folder.joinpath(*parents[:count])
                raise InvalidInput(f"{place} is a link or no folder; nothing is read or written there") from error
            os.close(at)
            at = below
        yield at, name
    finally:
        os.close(at)


def open_file(folder: Path, path: str) -> int:
    """Open a regular file below a folder for reading; return its descriptor.

    Raises:
        InvalidInput: It, or a folder on the way, is a link or of another kind.
        OSError: It cannot be read.
    """
    with opened_parent(folder, path) as (parent, name):
        try:  # without waiting for the other end, were it a pipe
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
        except OSError as error:
            if isinstance(error, (FileNotFoundError, PermissionError)):
                raise
            raise InvalidInput(f"{folder / path} is a link or no regular file (links are not followed)") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InvalidInput(f"{folder / path} is no regular file")
    return descriptor
