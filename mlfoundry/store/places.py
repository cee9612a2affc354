"""Places that somebody names on a command line or in the environment: which database, and where bytes of files lie.

A place is text: ``postgresql://…`` or a file for the database, a folder or ``s3://…`` for the bytes. It is read
here alone.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

from ..errors import BackendUnavailable, InvalidSetting, MissingExtra
from ..folders import make_private
from .artifacts import ArtifactFolder, ArtifactStore
from .database import Database

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_POSTGRES = ("postgresql", "postgres")
_DATABASES = "postgresql://user@host/database, or the path of a file"


def is_postgres(place: str) -> bool:
    """Return whether a place is a PostgreSQL and no file."""
    scheme = _SCHEME.match(place)
    return scheme is not None and scheme[1].lower() in _POSTGRES


def has_password(place: str) -> bool:
    """Return whether a place tells a password to whoever reads it."""
    return is_postgres(place) and bool(_postgres_parts(place).get("password"))


def shown(place: str) -> str:
    """Return a place as it may be printed and logged: without user and password."""
    if not is_postgres(place):
        return place
    parts = _postgres_parts(place)
    host = parts.get("host") or parts.get("hostaddr") or "the local socket"
    port = f":{parts['port']}" if parts.get("port") else ""
    return f"{parts.get('dbname') or 'the default database'} at {host}{port}"


def open_database(place: str, *, pool_size: int | None = None, partitions: int = 0) -> Database:
    """Return the database at a place; nothing is connected to before it is used.

    Args:
        place: ``postgresql://user@host/database``, or the path of a SQLite file, whose folder is made (0700).
        pool_size: How many connections to PostgreSQL it may hold at once; 10 when not given.
        partitions: Into how many partitions by project PostgreSQL's large tables are made; 0 for none.

    Raises:
        InvalidSetting: It is no such place.
        BackendUnavailable: The file's folder cannot be made.
    """
    if is_postgres(place):
        from . import postgres

        _postgres_parts(place)
        given = {} if pool_size is None else {"pool_size": pool_size}
        # The rules know one kind of database; both have the verbs that they use.
        return cast(Database, postgres.PostgresDatabase(place, partitions=partitions, **given))
    path = _path(place, "database", _DATABASES)
    if path.is_dir():
        raise InvalidSetting(f"database is {str(path)!r}, which is a folder; give the file, like {path}/mlfoundry.db")
    _make(path.parent)
    return Database(path)


def open_made(place: str) -> Database:
    """Return the database at a place that a server has made; nothing is made here.

    Raises:
        InvalidSetting: There is none.
        BackendUnavailable: It cannot be asked.
    """
    database = None
    if is_postgres(place) or _path(place, "database", _DATABASES).is_file():
        database = open_database(place, pool_size=1)
    if database is None or not database.is_made():
        raise InvalidSetting(
            f"no server has kept anything in {shown(place)} so far. Is the place right? `mlfoundry server --database "
            "…` makes it when it starts."
        )
    return database


def open_artifacts(place: str) -> ArtifactStore:
    """Return where the bytes of files lie.

    Args:
        place: A folder, which is made (0700); or ``s3://bucket/prefix`` in an object store, see `artifact_bucket`.

    Raises:
        InvalidSetting: It is no such place.
        MissingExtra: An object store needs the extra ``s3``.
        BackendUnavailable: The folder cannot be made.
    """
    if place.startswith("s3://"):
        from .artifact_bucket import open_bucket

        return open_bucket(place)
    path = _path(place, "artifacts", "a folder or s3://bucket/prefix")
    if path.exists() and not path.is_dir():
        raise InvalidSetting(f"artifacts is {str(path)!r}, which is no folder")
    _make(path)
    return ArtifactFolder(path)


def artifacts_beside(place: str) -> str | None:
    """Return the folder for the bytes when none is named: beside a SQLite file; None for other databases."""
    return None if is_postgres(place) else str(_path(place, "database", _DATABASES).parent / "artifacts")


def _path(place: str, name: str, allowed: str) -> Path:
    text = place.removeprefix("file://").strip()
    if not text or "\0" in text or _SCHEME.match(text):
        # Only the scheme is repeated: the rest may hold a password.
        scheme = _SCHEME.match(text)
        raise InvalidSetting(f"{name} is {f'{scheme[1]}://…' if scheme else place!r}; give {allowed}")
    return Path(text).expanduser().absolute()


def _make(folder: Path) -> None:
    try:
        make_private(folder)
    except OSError as error:
        raise BackendUnavailable(f"the folder {folder} cannot be made ({error.strerror or error})") from error


def _postgres_parts(place: str) -> dict[str, str]:
    """Return what a connection string says.

    Raises:
        InvalidSetting: It cannot be read; its text is not repeated, because it may hold a password.
        MissingExtra: The driver is not installed.
    """
    try:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict
    except ImportError as error:
        raise MissingExtra("psycopg", "a database on PostgreSQL", "server") from error
    try:
        return {name: str(value) for name, value in conninfo_to_dict(place).items() if value is not None}
    except psycopg.Error as error:
        raise InvalidSetting("database begins with postgresql:// and cannot be read as an address of one") from error
