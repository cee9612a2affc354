"""What ``mlfoundry doctor`` finds out. Each examination looks at one thing, changes nothing and never raises."""

from __future__ import annotations

import errno
import os
import platform
import shlex
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__, displays
from ..errors import MlfoundryError
from ..settings import SETTINGS, Settings, settings_file
from . import output
from .gpus import gpus
from .hindrances import Hindrance, hindrance, hindrance_on_server
from .journals import PendingJournal, other_things, pending, unreadable
from .session import Session

if TYPE_CHECKING:
    from ..records import RunKey
    from ..store.database import Database, Transaction

LOW_DISK_BYTES = 256 * 1024 * 1024
FIRST_SOUND_SQLITE = (3, 51, 3)
_PACKAGES = ("apsw", "numpy", "psutil", "nvidia-ml-py", "click", "pandas", "pyarrow", "ipywidgets", "plotly")


@dataclass
class Diagnosis:
    """What was found; see `doctor` for the shape of each part."""

    versions: dict[str, Any] = field(default_factory=dict)
    store: dict[str, Any] = field(default_factory=dict)
    server: dict[str, Any] | None = None
    gpus: dict[str, Any] = field(default_factory=dict)
    journals: list[PendingJournal] = field(default_factory=list)
    hindrances: dict[Path, str] = field(default_factory=dict)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    settings_file: str = ""
    checked: int | None = None
    problems: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def problem(self, problem: str, remedy: str) -> None:
        """Note something that is wrong, and what to do about it."""
        self.problems.append({"problem": problem, "remedy": remedy})

    def document(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        told = {name: value for name, value in asdict(self).items() if name != "hindrances"}
        journals = [{**each.document(), "reason": self.hindrances.get(each.folder)} for each in self.journals]
        return {**told, "journals": journals}


def diagnose(session: Session, *, check: bool, bar: output.Progress) -> Diagnosis:
    """Look at everything.

    Args:
        session: Which store.
        check: Whether to read all of the store as well.
        bar: Moves on while it is read.

    Raises:
        InvalidSetting: A setting cannot be used, so that it is unknown where the store is.
    """
    from ..store.database import Database
    from ..tracking.embedded import DATABASE_NAME

    found, settings = Diagnosis(), session.settings
    _versions(found)
    _settings(found, session, settings)
    database = Database(settings.folder / DATABASE_NAME)
    try:
        _folder(found, settings)
        if settings.is_server:
            _server(found, settings)
        else:
            _database(found, database)
        _journals(found, session, settings, database)
        found.gpus = gpus()
        if check and found.store["journal_mode"] is not None:
            _check(found, database, bar)
    finally:
        database.close()
    return found


def _versions(found: Diagnosis) -> None:
    import apsw

    version = apsw.sqlite_lib_version()
    found.versions = {
        "mlfoundry": __version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "sqlite": version,
        "packages": dict(_installed()),
    }
    if tuple(int(part) for part in version.split(".")[:3]) < FIRST_SOUND_SQLITE:
        found.problem(
            f"SQLite {version} can damage a store that several processes use (the WAL-reset bug).",
            "Upgrade apsw: pip install --upgrade apsw",
        )


def _installed() -> Iterator[tuple[str, str]]:
    for name in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            yield name, metadata.version(name)


def _server(found: Diagnosis, settings: Settings) -> None:
    from . import connection

    looked = connection.look(settings)
    found.server = looked.document()
    if looked.problem is not None:
        found.problem(*looked.problem)
    if looked.note:
        found.notes.append(looked.note)


# -- settings ------------------------------------------------------------------------------------


def _settings(found: Diagnosis, session: Session, settings: Settings) -> None:
    path = settings_file()
    found.settings_file = str(path)
    options = {"tracking_uri": ("--uri", session.uri), "user": ("--user", session.user)}
    in_file = _in_file(path)
    for name, (variable, _, _) in SETTINGS.items():
        value = getattr(settings, name)
        if name == "api_key":
            value = "set" if value else None
        option, given = options.get(name, ("", None))
        if given:
            source = option
        elif os.environ.get(variable):
            source = variable
        else:
            source = "settings file" if name in in_file else "default"
        if name == "tracking_uri" and source == "default":
            source = "home" if not settings.is_server else "host" if settings.host else "login"
        if name == "api_key" and source == "default" and value:
            source = "login"
        found.settings[name] = {"value": str(value) if isinstance(value, Path) else value, "source": source}


def _in_file(path: Path) -> set[str]:
    import tomllib

    with suppress(OSError, ValueError, RecursionError):
        return set(tomllib.loads(path.read_text(encoding="utf-8")))
    return set()


# -- the store -----------------------------------------------------------------------------------


def _folder(found: Diagnosis, settings: Settings) -> None:
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


def _database(found: Diagnosis, database: Database) -> None:
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


def _check(found: Diagnosis, database: Database, bar: output.Progress) -> None:
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


# -- what else -----------------------------------------------------------------------------------


def _journals(found: Diagnosis, session: Session, settings: Settings, database: Database) -> None:
    roots = settings.journal_roots()
    for place, reason in unreadable(roots):
        found.problem(
            f"The folder of journals {place} cannot be looked into: {reason}.",
            "Mend that, so that what lies there can be stored: mlfoundry sync",
        )
    found.journals = pending(roots)
    for (standing, why), journals in _by_hindrance(found, session, database).items():
        _journal_problem(found, standing, why, journals)
    if things := other_things(roots):
        found.problem(
            f"Files that cannot be stored are kept in {', '.join(map(str, things[:5]))}{', …' if things[5:] else ''}",
            "Look at what it is: beside each file a .json says which artifact it was to be. Log again what is wanted, "
            "then move the rest to where you keep backups.",
        )
    elsewhere = [journal for journal in found.journals if roots[0] not in journal.folder.parents]
    if elsewhere:
        found.notes.append(
            f"{output.counted(len(elsewhere), 'journal')} {'lies' if len(elsewhere) == 1 else 'lie'} in {roots[1]}, "
            "because the store's folder could not be written then."
        )
    strangers = [journal for journal in pending(settings.journal_roots_of_others()) if not journal.living]
    for uri in sorted({str(journal.origin.get("uri", "?")) for journal in strangers}):
        theirs = [journal for journal in strangers if str(journal.origin.get("uri", "?")) == uri]
        found.notes.append(
            f"{output.counted(len(theirs), 'journal')} of another store of yours, {uri}, "
            f"{'waits' if len(theirs) == 1 else 'wait'} in {theirs[0].folder.parent}, because that store could not be "
            f"written then. When it can: mlfoundry --uri {shlex.quote(uri)} sync"
        )


def _by_hindrance(
    found: Diagnosis, session: Session, database: Database
) -> dict[tuple[str, Hindrance | None], list[PendingJournal]]:
    """Return the journals that are not stored and should be, by how they stand and what hinders them."""
    groups: dict[tuple[str, Hindrance | None], list[PendingJournal]] = {}
    for journal, why in _looked_at(found, session, database):
        if why is not None:
            found.hindrances[journal.folder] = why.reason
        standing = "parked" if journal.parked else "living" if journal.living else "left"
        if standing != "living" or why is not None:
            groups.setdefault((standing, why), []).append(journal)
    return groups


def _looked_at(
    found: Diagnosis, session: Session, database: Database
) -> Iterator[tuple[PendingJournal, Hindrance | None]]:
    if session.settings.is_server:
        if found.journals and session.settings.api_key:  # without a key that is what is said
            backend = session.client.backend
            yield from ((journal, hindrance_on_server(journal, backend)) for journal in found.journals)
        return
    has_store = database.path.exists()
    with ExitStack() as stack:
        tx = None
        if found.store["journal_mode"] is not None:
            with suppress(MlfoundryError):
                tx = stack.enter_context(database.read())
        yield from ((journal, hindrance(journal, tx, has_store=has_store)) for journal in found.journals)


def _journal_problem(found: Diagnosis, standing: str, why: Hindrance | None, journals: list[PendingJournal]) -> None:
    size = displays.size(sum(journal.size_bytes for journal in journals))
    what = f"{output.counted(len(journals), 'journal')} ({size} on the disk)"
    runs = ", ".join(sorted({journal.run for journal in journals})[:5])
    if standing == "parked":
        reason = why.reason if why else "nothing is in the way of storing it any more"
        remedy = why.whole_remedy() if why else "Store them: mlfoundry sync"
        found.problem(f"{what} put aside in {journals[0].folder.parent}: {reason} ({runs})", remedy)
    elif why is None:
        found.problem(f"{what} of processes that are gone are not stored yet: {runs}", "Store them: mlfoundry sync")
    else:
        whose = "living processes" if standing == "living" else "processes that are gone"
        found.problem(f"{what} of {whose} cannot be stored: {why.reason} ({runs})", why.whole_remedy())
