"""Connections to a store in one SQLite file: how one is opened, what it agrees on, and what its errors mean.

The engine comes with apsw, which brings a SQLite without the WAL-reset bug of 3.7.0 to 3.51.2. `database` has the
transactions on these connections.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import BackendUnavailable, StoreBusy
from ..file_systems import NETWORK_FILE_SYSTEMS, file_system
from ..folders import sync_folder
from . import blank, schema

if TYPE_CHECKING:
    import apsw

BUSY_S = 30.0
WAL_LIMIT_BYTES = 64 * 1024 * 1024
# The bytes of a file's head that say how it is written and read; see "File format version numbers" in
# https://www.sqlite.org/fileformat.html. What was made in memory says 1, a rollback journal.
_VERSIONS, _WITH_LOG = slice(18, 20), b"\x02\x02"

Answer = TypeVar("Answer")
_random = random.Random()  # one's own: the program's random numbers stay as they would be without us


def open_writer(path: Path) -> apsw.Connection:
    """Open the one connection that writes; make the file, and bring its tables up to date."""
    import apsw

    mode = "DELETE" if file_system(path.parent) in NETWORK_FILE_SYSTEMS else "WAL"
    if not path.exists() and not (mode == "WAL" and blank.make(path, _blank())):
        _make(path)
    with suppress(OSError):  # gone meanwhile: opening it says so
        if path.stat().st_nlink > 1:
            blank.clear(path)
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    _agree(connection)
    schema.refuse_newer(_patiently(lambda: _version(connection)))  # before anything of it is touched
    connection.execute("PRAGMA synchronous = NORMAL")
    _patiently(lambda: connection.execute(f"PRAGMA journal_mode = {mode}"))
    connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
    migrate(connection)
    return connection


def _make(path: Path) -> None:
    """Make an empty file: SQLite would do so with the umask; its -wal and -shm take over the file's mode."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    sync_folder(path.parent)  # else a power cut could take the file with all that was settled in it


def open_reader(path: Path) -> apsw.Connection | None:
    """Open a connection that reads, also where nothing can be written beside the file.

    Returns:
        None where a writer has to come first: to make the file, or to bring its tables up to date.
    """
    import apsw

    if not path.exists():
        return None
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        _agree(connection)
        version = _patiently(lambda: _version(connection))
    except (apsw.CantOpenError, apsw.ReadOnlyError):
        # A folder that cannot be written: WAL needs no -shm when nobody can write. What stands in a
        # write-ahead log, though, would be left out without a word.
        log = Path(f"{path}-wal")
        if log.exists() and log.stat().st_size:
            raise BackendUnavailable(
                f"the store {path} cannot be read without writing beside it, because its last changes are "
                f"in {log.name}. Make its folder writable once, or copy it to one that is."
            ) from None
        uri = f"file:{str(path).replace('?', '%3f').replace('#', '%23')}?immutable=1"
        connection = apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        _agree(connection)
        version = _version(connection)
    schema.refuse_newer(version)
    if version < schema.newest_version():
        connection.close()
        return None
    connection.execute("PRAGMA query_only = 1")
    return connection


def _blank() -> bytes:
    """Return what the file of a new store holds: all tables, and that it has a write-ahead log.

    To make tables in memory takes a fraction of what it takes in a file.
    """
    import apsw

    connection = apsw.Connection(":memory:")
    try:
        _agree(connection)
        migrate(connection)
        image = bytearray(connection.serialize("main"))
    finally:
        connection.close()
    image[_VERSIONS] = _WITH_LOG
    return bytes(image)


def migrate(connection: apsw.Connection, upto: int | None = None) -> None:
    """Bring the tables to the newest version; do nothing, in well under a millisecond, when they are.

    Raises:
        StoreTooNew: The store is newer than this code.
    """
    newest = schema.newest_version() if upto is None else upto
    version = _version(connection)
    schema.refuse_newer(version, newest)
    if version == newest:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection)  # another process may have been first
        for number, sql in schema.migrations():
            if version < number <= newest:
                connection.execute(_for_sqlite(sql))
        connection.execute(f"PRAGMA user_version = {max(version, newest)}")
        connection.execute("COMMIT")
    except BaseException:  # as above
        connection.execute("ROLLBACK")
        raise


def _version(connection: apsw.Connection) -> int:
    return int(connection.pragma("user_version"))


def _for_sqlite(sql: str) -> str:
    """Keep tables that are read by ranges of their key in its order, and the sign of a zero in columns of floats.

    A column of real affinity keeps whole numbers as integers, and there is no integer -0.
    """
    return re.sub(r"\);\s*-- clustered", ") WITHOUT ROWID;", sql).replace("DOUBLE PRECISION", "")


def _agree(connection: apsw.Connection) -> None:
    """Make text compare as PostgreSQL compares it, and wait for other processes with patience."""
    connection.set_busy_handler(_patience())
    connection.execute("PRAGMA case_sensitive_like = ON")
    connection.create_scalar_function("lower", _lower, 1, deterministic=True)


def _lower(*texts: Any) -> Any:
    return texts[0].lower() if isinstance(texts[0], str) else texts[0]


def _patiently(ask: Callable[[], Answer]) -> Answer:
    """Ask again while the store is busy: for what SQLite answers "busy" to without asking its handler."""
    import apsw

    wait = _patience()
    for attempt in itertools.count():
        try:
            return ask()
        except apsw.BusyError:
            if not wait(attempt):
                raise
    raise AssertionError("there is always another attempt")


def _patience() -> Callable[[int], bool]:
    """Return a busy handler that asks often and at random, which is fairer than SQLite's own steps."""
    began = 0.0

    def wait(attempt: int) -> bool:
        nonlocal began
        if attempt == 0:
            began = time.monotonic()
        if time.monotonic() - began > BUSY_S:
            return False
        time.sleep(_random.uniform(0.0005, 0.002 if attempt < 20 else 0.02))
        return True

    return wait


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours."""
    import apsw

    try:
        yield
    except (apsw.BusyError, apsw.LockedError) as error:
        raise StoreBusy(
            f"other processes kept the store {path} locked for {BUSY_S:.0f} s. Try again; "
            "`mlfoundry doctor` shows who uses it."
        ) from error
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise BackendUnavailable(
            f"the store {path} is damaged ({error}). Move it away and run `mlfoundry sync`, or restore a backup."
        ) from error
    except apsw.FullError as error:
        raise BackendUnavailable(f"the disk of the store {path} is full. Make room there.") from error
    except apsw.NoMemError as error:
        raise BackendUnavailable(f"there is not enough memory to use the store {path} now") from error
    except apsw.Error as error:  # whatever else SQLite says; what was logged waits and is tried again
        raise BackendUnavailable(f"the store {path} cannot be used now ({error})") from error
    except OSError as error:
        raise BackendUnavailable(f"the store {path} cannot be used now ({error.strerror or error})") from error
