"""Connections and transactions: all that is particular to an engine.

The engine here is SQLite, through apsw, which brings a SQLite without the WAL-reset bug of 3.7.0 to
3.51.2. Statements are written for PostgreSQL as well: ``?`` for parameters, no sequences, no FOR
UPDATE, ``ON CONFLICT`` and ``RETURNING``.

One write connection a process, several for reading; none is ever carried over a fork. A write
transaction begins with BEGIN IMMEDIATE, so that it waits for its turn at the start and cannot fail
with "locked" later.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .. import forks
from ..errors import BackendUnavailable, StoreBusy
from ..file_systems import NETWORK_FILE_SYSTEMS, file_system
from . import blank, schema

if TYPE_CHECKING:
    import apsw

BUSY_S = 30.0
READERS_KEPT = 4
WAL_LIMIT_BYTES = 64 * 1024 * 1024
# The bytes of a file's head that say how it is written and read; see "File format version numbers" in
# https://www.sqlite.org/fileformat.html. What was made in memory says 1, a rollback journal.
_VERSIONS, _WITH_LOG = slice(18, 20), b"\x02\x02"

Row = tuple[Any, ...]
Answer = TypeVar("Answer")
_random = random.Random()  # one's own: the program's random numbers stay as they would be without us


class Transaction:
    """Statements on one connection, all of them or none."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """Return all rows of a statement."""
        return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, values: Sequence[Any] = ()) -> Row | None:
        """Return the first row of a statement, None when it has none."""
        return self._connection.execute(sql, values).fetchone()

    def hold_rights(self, project_id: int, *, alone: bool = False) -> None:
        """Keep the rights on a project as they are until the end of this transaction, if it writes.

        Args:
            project_id: The project.
            alone: Wait for all who hold them, and let nobody else: before rights are changed.
        """  # here all that write take turns

    def found_with_rights(self, sql: str, values: Sequence[Any] = ()) -> int | None:
        """Return the id of the project that a statement finds, with its rights held; None when it finds none.

        The statement selects one column, the id. What it says of rights may be older than the hold: look anew.
        """
        row = self.row(sql, values)
        return None if row is None else int(row[0])

    def run(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run a statement; return how many rows it changed."""
        self._connection.execute(sql, values)
        return self._connection.changes()

    def run_many(self, sql: str, values: Iterable[Sequence[Any]]) -> None:
        """Run a statement once for each sequence of values."""
        self._connection.executemany(sql, values)


class Database:
    """A store's database in one SQLite file, made (0600) and migrated when it is opened first.

    Threads may use it at once: writes take turns, reads see the last commit and wait for nobody.
    After a fork the child opens its own connections.

    Args:
        path: The file; its folder must exist.

    Raises:
        BackendUnavailable: From any use, when the file cannot be opened, read or written now.
        StoreBusy: Another process kept it locked for 30 s.
        StoreTooNew: From the first use, when a newer version wrote it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._forget()
        _databases.add(self)

    def _forget(self) -> None:
        self._write_lock = threading.Lock()
        self._writer: apsw.Connection | None = None
        self._readers: list[apsw.Connection] = []
        self._full_sync = False
        self._opened: tuple[int, int] | None = None
        self._read_from: tuple[int, int] | None = None

    # -- transactions ----------------------------------------------------------------------------

    @contextmanager
    def write(self, *, settle: bool = False, holding: int | None = None) -> Iterator[Transaction]:  # noqa: ARG002  all that write take turns
        """Begin a transaction that writes; commit it at the end of the block, or roll back.

        Args:
            settle: Return only when this commit, and all before it, would survive a power cut.
            holding: The project whose rights are held from the beginning, see `Transaction.hold_rights`.
        """
        with forks.held_up(), self._write_lock, _translated(self.path):
            if self._writer is not None and _identity(self.path) != self._opened:
                # Commits would go into a file that has no name any more.
                self._abandon()
                raise BackendUnavailable(f"the store {self.path} was moved, deleted or replaced while it was in use")
            if self._writer is None:
                self._writer = self._open_writer()
                self._opened = _identity(self.path)
            connection = self._writer
            if settle is not self._full_sync:
                connection.execute(f"PRAGMA synchronous = {'FULL' if settle else 'NORMAL'}")
                self._full_sync = settle
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield Transaction(connection)
                connection.execute("COMMIT")
            except BaseException:  # an interrupt undoes it as well
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """Begin a transaction that reads one consistent state."""
        with forks.held_up(), _translated(self.path):
            identity = _identity(self.path)
            if identity != self._read_from:  # another file has taken the name, or none
                self._close_readers()
                self._read_from = identity
            kept = self._readers
            try:
                connection = kept.pop()
            except IndexError:
                connection = self._open_reader()
            try:
                connection.execute("BEGIN")
                yield Transaction(connection)
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                if kept is self._readers and len(kept) < READERS_KEPT:
                    kept.append(connection)
                else:
                    connection.close()

    @contextmanager
    def look(self) -> Iterator[Transaction]:
        """Read without one state for all statements: each sees the last commit before it. For a single look-up."""
        with self.read() as tx:
            yield tx

    def close(self) -> None:
        """Close all connections; a later use opens them again."""
        with self._write_lock:
            self._abandon()

    def _abandon(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._close_readers()

    def _close_readers(self) -> None:
        """Close those that nobody uses; those in use are closed when they come back and find another list."""
        kept, self._readers = self._readers, []
        with suppress(IndexError):  # other threads take from the list as well
            while True:
                kept.pop().close()

    # -- connections -----------------------------------------------------------------------------

    def _open_writer(self) -> apsw.Connection:
        """Open the one connection that writes; make the file, and bring its tables up to date."""
        import apsw

        mode = "DELETE" if file_system(self.path.parent) in NETWORK_FILE_SYSTEMS else "WAL"
        if not self.path.exists() and not (mode == "WAL" and blank.make(self.path, _blank())):
            self._make()
        with suppress(OSError):  # gone meanwhile: opening it says so
            if self.path.stat().st_nlink > 1:
                blank.clear(self.path)
        connection = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READWRITE)
        _agree(connection)
        schema.refuse_newer(_patiently(lambda: _version(connection)))  # before anything of it is touched
        connection.execute("PRAGMA synchronous = NORMAL")
        _patiently(lambda: connection.execute(f"PRAGMA journal_mode = {mode}"))
        connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
        self._full_sync = False
        migrate(connection)
        return connection

    def _make(self) -> None:
        """Make an empty file: SQLite would do so with the umask; its -wal and -shm take over the file's mode."""
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        blank.sync_folder(self.path.parent)  # else a power cut could take the file with all that was settled in it

    def _open_reader(self) -> apsw.Connection:
        """Open a connection that reads, also where nothing can be written beside the file."""
        import apsw

        if not self.path.exists():
            with self.write():
                pass
        try:
            connection = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READWRITE)
            _agree(connection)
            version = _patiently(lambda: _version(connection))
        except (apsw.CantOpenError, apsw.ReadOnlyError):
            # A folder that cannot be written: WAL needs no -shm when nobody can write. What stands in a
            # write-ahead log, though, would be left out without a word.
            log = Path(f"{self.path}-wal")
            if log.exists() and log.stat().st_size:
                raise BackendUnavailable(
                    f"the store {self.path} cannot be read without writing beside it, because its last changes are "
                    f"in {log.name}. Make its folder writable once, or copy it to one that is."
                ) from None
            uri = f"file:{str(self.path).replace('?', '%3f').replace('#', '%23')}?immutable=1"
            connection = apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
            _agree(connection)
            version = _version(connection)
        schema.refuse_newer(version)
        if version < schema.newest_version():
            connection.close()
            with self.write():
                pass
            return self._open_reader()
        connection.execute("PRAGMA query_only = 1")
        return connection

    def is_made(self) -> bool:
        """Return whether there are tables already; a later use makes them."""
        try:
            return self.path.stat().st_size > 0
        except FileNotFoundError:
            return False

    def describe(self) -> dict[str, str]:
        """Return the engine, its version, the journal mode and the schema's version."""
        import apsw

        with self.read() as tx:
            mode, version = tx.row("PRAGMA journal_mode"), tx.row("PRAGMA user_version")
        assert mode is not None
        assert version is not None
        return {
            "engine": f"SQLite {apsw.sqlite_lib_version()}",
            "journal mode": str(mode[0]),
            "schema version": str(version[0]),
        }

    def check(self) -> list[str]:
        """Return what SQLite finds wrong with the file; empty when nothing is."""
        with self.read() as tx:
            found = [str(row[0]) for row in tx.rows("PRAGMA quick_check")]
        return [] if found == ["ok"] else found

    def size_bytes(self) -> int:
        """Return the size of the file and of its write-ahead log."""
        total = 0
        for suffix in ("", "-wal"):
            with suppress(FileNotFoundError):
                total += Path(f"{self.path}{suffix}").stat().st_size
        return total


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


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another that takes its name, None when there is no file."""
    try:
        status = path.stat()
    except OSError:  # what cannot be looked at is as good as gone, and is opened anew
        return None
    return status.st_dev, status.st_ino


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
def _translated(path: Path) -> Iterator[None]:
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


_databases: weakref.WeakSet[Database] = weakref.WeakSet()


def _leave_to_parent() -> None:
    """In a forked child: forget the parent's connections without closing them.

    Closing would run SQLite's checkpoint on files that the parent uses. The objects get one
    reference that nobody gives back, so that not even the end of the interpreter closes them.
    """
    for database in list(_databases):
        inherited = [database._writer, *database._readers]
        database._forget()
        if any(inherited):
            import ctypes

            for connection in inherited:
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


os.register_at_fork(after_in_child=_leave_to_parent)
