"""What ``mlfoundry doctor`` finds out. Each examination looks at one thing, changes nothing and never raises."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from .. import __version__
from ..settings import SETTINGS, Settings, settings_file
from . import output
from .diagnosis import Diagnosis
from .gpus import gpus
from .journal_examination import examine_journals
from .session import Session
from .store_examination import check_database, examine_database, examine_folder

FIRST_SOUND_SQLITE = (3, 51, 3)
_PACKAGES = ("apsw", "numpy", "psutil", "nvidia-ml-py", "click", "pandas", "pyarrow", "ipywidgets", "plotly")


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
        examine_folder(found, settings)
        if settings.is_server:
            _server(found, settings)
        else:
            examine_database(found, database)
        examine_journals(found, session, settings, database)
        found.gpus = gpus()
        if check and found.store["journal_mode"] is not None:
            check_database(found, database, bar)
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
