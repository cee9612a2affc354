"""The store's database in one SQLite file: its transactions, and who has which connection.

Statements are written for PostgreSQL as well: ``?`` for parameters, no sequences, no FOR UPDATE, ``ON CONFLICT`` and
``RETURNING``. How a connection is opened, and what its errors mean, is the business of `sqlite_connections`.

One write connection a process, several for reading; none is ever carried over a fork. A write
transaction begins with BEGIN IMMEDIATE, so that it waits for its turn at the start and cannot fail
with "locked" later.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import forks
from ..errors import BackendUnavailable
from .sqlite_connections import open_reader, open_writer, translated

if TYPE_CHECKING:
    import apsw

READERS_KEPT = 4

Row = tuple[Any, ...]


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
        with forks.held_up(), self._write_lock, translated(self.path):
            if self._writer is not None and _identity(self.path) != self._opened:
                # Commits would go into a file that has no name any more.
                self._abandon()
                raise BackendUnavailable(f"the store {self.path} was moved, deleted or replaced while it was in use")
            if self._writer is None:
                self._writer = open_writer(self.path)
                self._full_sync = False
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
        with forks.held_up(), translated(self.path):
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

    def _open_reader(self) -> apsw.Connection:
        while (connection := open_reader(self.path)) is None:
            with self.write():  # makes the file, and brings its tables up to date
                pass
        return connection

    # -- what it is ------------------------------------------------------------------------------

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


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another that takes its name, None when there is no file."""
    try:
        status = path.stat()
    except OSError:  # what cannot be looked at is as good as gone, and is opened anew
        return None
    return status.st_dev, status.st_ino


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
