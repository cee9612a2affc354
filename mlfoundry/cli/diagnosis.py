"""What ``mlfoundry doctor`` finds out. Each examination looks at one thing, changes nothing and never raises."""

from __future__ import annotations

import os
import platform
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__, displays
from ..errors import MlfoundryError
from ..settings import SETTINGS, Settings, settings_file
from . import output
from .journals import PendingJournal, pending
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
    gpus: dict[str, Any] = field(default_factory=dict)
    journals: list[PendingJournal] = field(default_factory=list)
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
        return {**asdict(self), "journals": [journal.document() for journal in self.journals]}


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
        _database(found, database)
        _journals(found, settings)
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
            source = "home"
        found.settings[name] = {"value": str(value) if isinstance(value, Path) else value, "source": source}


def _in_file(path: Path) -> set[str]:
    import tomllib

    with suppress(OSError, tomllib.TOMLDecodeError):
        return set(tomllib.loads(path.read_text(encoding="utf-8")))
    return set()


# -- the store -----------------------------------------------------------------------------------


def _folder(found: Diagnosis, settings: Settings) -> None:
    from ..store.database import NETWORK_FILE_SYSTEMS, file_system

    folder = settings.folder
    nearest = _nearest(folder)
    kind = file_system(nearest)
    writable = nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
    found.store = {
        "uri": settings.tracking_uri,
        "folder": str(folder),
        "exists": folder.is_dir(),
        "writable": writable,
        "file_system": kind,
        "is_network": kind in NETWORK_FILE_SYSTEMS,
        "disk_free_bytes": None,
        "disk_total_bytes": None,
        "database_bytes": None,
        "artifacts_bytes": None,
        "journal_mode": None,
        "schema_version": None,
    }
    if not writable:
        what = "is no folder" if nearest.exists() and not nearest.is_dir() else "cannot be written"
        found.problem(
            f"The store's folder {folder} cannot be used: {nearest} {what}.",
            "Change who may write it, or set MLFOUNDRY_HOME to a folder that can be written.",
        )
    if kind in NETWORK_FILE_SYSTEMS:
        found.notes.append(
            f"The store lies on a network file system ({kind}): it works without WAL, so that writers and readers wait "
            "for each other. A local disk is faster."
        )
    _mode(found, folder)
    _disk(found, nearest)


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
    from ..records import RunKey
    from ..store import points

    remedy = "Restore a backup of the store, or export what can be read: mlfoundry export PROJECT --to FOLDER"
    try:
        for wrong in database.check():
            found.problem(f"SQLite finds the file damaged: {wrong}", remedy)
        with database.read() as tx:
            # All runs of all users: a check of the bytes goes by no permission.
            keys = [
                RunKey(project_id, run_id.hex()) for project_id, run_id in tx.rows("SELECT project_id, run_id FROM run")
            ]
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


def _journals(found: Diagnosis, settings: Settings) -> None:
    roots = settings.journal_roots()
    found.journals = pending(roots)
    left = [journal for journal in found.journals if journal.living is not True and not journal.parked]
    if left:
        size = displays.size(sum(journal.size_bytes for journal in left))
        runs = ", ".join(sorted({journal.run for journal in left})[:5])
        count = f"{len(left)} journal{'s' if len(left) != 1 else ''}"
        found.problem(
            f"{count} ({size}) of processes that are gone are not stored yet: {runs}",
            "Store them: mlfoundry sync",
        )
    if parked := [journal for journal in found.journals if journal.parked]:
        found.notes.append(
            f"{len(parked)} journals are put aside in {parked[0].folder.parent}: their runs or projects were deleted. "
            "Delete the folder, or restore the runs and move the journals one folder up to store them."
        )
    elsewhere = [journal for journal in found.journals if roots[0] not in journal.folder.parents]
    if elsewhere:
        found.notes.append(
            f"{len(elsewhere)} journals lie in {roots[1]}, because the store's folder could not be written when they "
            "were made."
        )


def gpus() -> dict[str, Any]:
    """Return the NVIDIA GPUs that NVML names, or why there are none."""
    from ..system_metrics.gpu import load_nvml

    none: dict[str, Any] = {"driver": None, "devices": []}
    try:
        nvml = load_nvml()
    except ImportError:
        return {
            **none,
            "message": "nvidia-ml-py is not installed; GPUs are not recorded. Run: pip install nvidia-ml-py",
        }
    if nvml is None:
        return {**none, "message": "none: no NVIDIA driver is installed"}
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        return {**none, "message": f"none: the NVIDIA driver does not answer ({error})"}
    try:
        devices = [_gpu(nvml, index) for index in range(nvml.nvmlDeviceGetCount())]
        message = "" if devices else "none: the NVIDIA driver shows no GPU"
        return {"driver": _text(nvml.nvmlSystemGetDriverVersion()), "devices": devices, "message": message}
    except nvml.NVMLError as error:
        return {**none, "message": f"cannot be listed: the NVIDIA driver says {error}"}
    finally:
        with suppress(nvml.NVMLError):
            nvml.nvmlShutdown()


def _gpu(nvml: Any, index: int) -> dict[str, Any]:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = None
    with suppress(nvml.NVMLError):
        memory = int(nvml.nvmlDeviceGetMemoryInfo(handle).total)
    return {"index": index, "name": _text(nvml.nvmlDeviceGetName(handle)), "memory_bytes": memory}


def _text(name: str | bytes) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else name  # bytes in old versions of NVML
