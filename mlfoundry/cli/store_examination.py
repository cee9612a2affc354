"""What ``mlfoundry doctor`` finds out about the store: its folder, its disk, its database."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .. import displays
from ..errors import MlfoundryError
from ..settings import Settings
from . import output
from .diagnosis import Diagnosis

if TYPE_CHECKING:
    from ..records import RunKey
    from ..store.database import Database, Transaction


LOW_DISK_BYTES = 256 * 1024 * 1024


def examine_folder(found: Diagnosis, settings: Settings) -> None:
    """Look at the folder of the store and at its disk; it need not be there."""
    from ..file_systems import NETWORK_FILE_SYSTEMS, file_system

    folder = settings.folder
    nearest = _nearest(folder)
    kind = file_system(nearest)
    unusable = _unusable(folder)
    found.store = {
        "uri": settings.tracking_uri,
        "folder": str(folder),
        "exists": folder.is_dir(),
        "writable": not unusable,
        "file_system": kind,
        "is_network": kind in NETWORK_FILE_SYSTEMS,
        "disk_free_bytes": None,
        "disk_total_bytes": None,
        "database_bytes": None,
        "artifacts_bytes": None,
        "journal_mode": None,
        "schema_version": None,
    }
    if unusable:
        found.problem(
            f"The store's folder {folder} cannot be used: {unusable}.",
            "Change who may write it, or set MLFOUNDRY_HOME to a folder that can be written.",
        )
    if kind in NETWORK_FILE_SYSTEMS:
        found.notes.append(
            f"The store lies on a network file system ({kind}): it works without WAL, so that writers and readers wait "
            "for each other. A local disk is faster."
        )
    _mode(found, folder)
    _disk(found, nearest)


def _unusable(folder: Path) -> str:
    """Return what keeps runs from being stored in a folder; empty when nothing does."""
    from ..tracking.embedded import DATABASE_NAME

    for place in (folder, folder / "journals", folder / "artifacts"):
        nearest = _nearest(place)
        if not nearest.is_dir():
            return f"{nearest} is no folder"
        if not _takes_files(nearest):
            return f"{nearest} cannot be written"
    database = folder / DATABASE_NAME
    if os.path.lexists(database) and not database.is_file():
        return f"{database} is no file"
    if database.is_file() and not os.access(database, os.R_OK | os.W_OK):
        return f"{database} cannot be written"
    return ""


def _takes_files(folder: Path) -> bool:
    """Return whether files can be made in a folder; tried, where that is possible, with one that never has a name."""
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    try:
        os.close(os.open(folder, os.O_RDWR | os.O_CLOEXEC | os.O_TMPFILE, 0o600))
    except AttributeError:  # not Linux
        return True
    except OSError as error:
        return error.errno in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL)  # a file system that knows no such file
    return True


def _nearest(folder: Path) -> Path:
    """Return the folder itself, or the nearest of those above it that is there."""
    for each in (folder, *folder.parents):
        if os.path.lexists(each):
            return each
    return folder


def _mode(found: Diagnosis, folder: Path) -> None:
    with suppress(OSError):
        status = folder.stat()
        if status.st_uid != os.getuid():
            found.notes.append(
                f"The store's folder belongs to the account {status.st_uid}, not to yours ({os.getuid()})."
            )
        if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            mode = stat.filemode(status.st_mode)
            found.notes.append(
                f"Other accounts can look into the store's folder ({mode}). To close it: chmod 700 {folder}"
            )


def _disk(found: Diagnosis, nearest: Path) -> None:
    with suppress(OSError):
        usage = shutil.disk_usage(nearest)
        if not usage.total:
            return  # a file system without a size, such as /proc: nothing can be told of it
        found.store["disk_free_bytes"], found.store["disk_total_bytes"] = usage.free, usage.total
        if usage.free < LOW_DISK_BYTES:
            found.problem(
                f"Only {displays.size(usage.free)} are free on the disk of the store.",
                "Make room there; until then what is logged may be held back or lost.",
            )


def examine_database(found: Diagnosis, database: Database) -> None:
    """Open the database when there is one: opening another would make it."""
    if not database.path.exists():
        return
    found.store["database_bytes"] = database.size_bytes()
    found.store["artifacts_bytes"] = _size(database.path.parent / "artifacts")
    try:
        told = database.describe()
    except MlfoundryError as error:
        found.problem(
            f"The store cannot be opened: {error}",
            "Upgrade MLFoundry, or move the file away and restore a backup; what lies in journals is not lost.",
        )
        return
    found.store["journal_mode"], found.store["schema_version"] = told["journal mode"], int(told["schema version"])


def _size(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += Path(place, name).lstat().st_size
    return total


def check_database(found: Diagnosis, database: Database, bar: output.Progress) -> None:
    """Let SQLite check its file, then read every series of every run."""
    from ..store import points, runs

    remedy = "Restore a backup of the store, or export what can be read: mlfoundry export PROJECT --to FOLDER"
    try:
        for wrong in database.check():
            found.problem(f"SQLite finds the file damaged: {wrong}", remedy)
        with database.read() as tx:
            keys = runs.homes(tx)
        bar.length = len(keys)
        for key in keys:
            for wrong in _verified(database, key, points.verify):
                found.problem(f"Points are damaged: {wrong}", remedy)
            bar.update(1)
    except MlfoundryError as error:
        found.problem(f"The store cannot be read: {error}", remedy)
        return
    found.checked = len(keys)


def _verified(database: Database, key: RunKey, verify: Callable[[Transaction, RunKey], list[str]]) -> list[str]:
    try:
        with database.read() as tx:
            return verify(tx, key)
    except MlfoundryError:
        raise
    except Exception as error:  # noqa: BLE001  damaged bytes can make a decoder raise anything
        return [f"run {key.run_id}: a chunk cannot be read ({type(error).__name__}: {error})"]
