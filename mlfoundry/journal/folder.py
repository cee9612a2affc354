"""The folder of a journal: how it comes into being, and what becomes of one that cannot be stored or was never shown.

It is made under a hidden name and shown only when its lock is held, so that nobody ever sees a living
journal without its owner. What cannot be stored as things are goes to ``parked`` beside the journals, where
no recovery looks and a person can.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ..folders import make_private

PARKED = "parked"
_CLEARED = ".cleared"


def make_folder(root: Path, name: str) -> tuple[Path, int]:
    """Make a journal's folder and return it with the descriptor that holds its lock.

    Raises:
        OSError: The folder cannot be made; nothing is left behind.
    """
    make_private(root)
    hidden = root / f".{name}"
    hidden.mkdir(mode=0o700)
    fd = -1
    try:
        fd = os.open(hidden / "lock", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        hidden.rename(root / name)
    except BaseException:  # an interrupt leaves no lock and no folder behind either
        if fd >= 0:
            os.close(fd)
        shutil.rmtree(hidden, ignore_errors=True)
        raise
    return root / name, fd


def parse_folder(name: str) -> tuple[str, int] | None:
    """Return (run id, journal id) of a journal folder's name, None for another kind of name."""
    run_id, _, journal_id = name.partition(".")
    try:
        int(run_id, 16)
        return (run_id, int(journal_id, 16)) if len(run_id) == 32 and len(journal_id) == 16 else None
    except ValueError:
        return None


def is_unfinished(folder: Path) -> bool:
    """Return whether a folder is named as one that was never shown, or whose clearing was interrupted."""
    return folder.name.startswith(".") and parse_folder(folder.name[1:].removesuffix(_CLEARED)) is not None


def clear_unfinished(hidden: Path) -> None:
    """Remove a folder that was never shown, so that nothing was ever logged there; leave it when that cannot be.

    Its maker may only have stopped for long, and go on between any two steps here. So its lock is taken first,
    without which no maker shows a folder. Then the folder gets another name: a maker that waits for
    the lock just now finds nothing to show. And only an empty folder goes, never what one holds.
    """
    try:
        fd = os.open(hidden / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:  # shown or gone meanwhile
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        going = hidden if hidden.name.endswith(_CLEARED) else hidden.with_name(hidden.name + _CLEARED)
        hidden.rename(going)
        (going / "lock").unlink()
        going.rmdir()
    except OSError:  # its maker lives after all, or it holds what nobody knows
        pass
    finally:
        os.close(fd)


def put_aside(path: Path, root: Path, name: str) -> Path:
    """Move a file or folder to ``parked`` in the folder of journals `root`, under `name` or one like it.

    Raises:
        OSError: It cannot be moved, and is where it was.
    """
    aside = root / PARKED
    make_private(aside)
    for number in itertools.count(1):
        place = aside / (name if number == 1 else f"{name}.{number}")
        if not os.path.lexists(place):
            with suppress(FileExistsError):
                return path.rename(place)
    raise AssertionError("there is always another name")


def parked_in(root: Path, run_id: str | None = None) -> Iterator[tuple[str, Path]]:
    """Yield (run id, folder) of the journals that were put aside in the folder of journals `root`.

    Args:
        root: The folder of journals.
        run_id: Only those of this run; all when None.
    """
    try:
        folders = sorted((root / PARKED).iterdir())
    except OSError:
        return
    for folder in folders:
        parsed = parse_folder(folder.name)
        if parsed is not None and run_id in (None, parsed[0]):
            yield parsed[0], folder


def take_back(parked: Path) -> bool:
    """Move a journal that was put aside to where recovery looks; return whether it is there now."""
    place = parked.parent.parent / parked.name
    if os.path.lexists(place):
        return False
    with suppress(OSError):  # it cannot be moved, or another process was first
        parked.rename(place)
        return True
    return False
