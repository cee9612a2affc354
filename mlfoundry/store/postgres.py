"""The store's database on PostgreSQL: a pool of connections, and the few words that differ from SQLite.

A transaction that writes runs READ COMMITTED; what must take turns does so by the rows that it updates first
(see `runs.free_name`, `lives.seen`, `journals.advance`). One that reads sees one state. Behind a pooler that
gives each transaction another connection nothing is kept in a session: no prepared statements, no settings.
"""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..errors import BackendUnavailable, InvalidInput, StoreBusy
from . import schema
from .database import Row
from .postgres_connections import Connections

if TYPE_CHECKING:
    import psycopg

POOL_LIMIT = 10
WAIT_S = 10.0
LOCK_S = 30
READ_S = 30  # of one statement; a client waits no longer for its answer either
WRITE_S = 120
IDLE_S = 120  # between two statements of a transaction: whoever is stuck there must not keep others waiting
_PATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
PARAMETERS = 10_000  # of one statement; the protocol counts them in 16 bits
CACHED_BELOW = 4096
_ROW = re.compile(r"\bVALUES (\([?, ]+\))")
_MIGRATING = 0x6D6C666F756E6472  # the advisory lock of migrations: "mlfoundr" in ASCII


class PostgresTransaction:
    """Statements on one connection, all of them or none; see `database.Transaction`."""

    def __init__(
        self, connection: psycopg.Connection[Row], *, writes: bool = False, holding: int | None = None
    ) -> None:
        self._cursor = connection.cursor()  # one for all: what a statement gives is read before the next
        self._writes = writes
        self._held = set() if holding is None else {holding}

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """Return all rows of a statement."""
        return self._execute(sql, values).fetchall()

    def row(self, sql: str, values: Sequence[Any] = ()) -> Row | None:
        """Return the first row of a statement, None when it has none."""
        return self._execute(sql, values).fetchone()

    def hold_rights(self, project_id: int, *, alone: bool = False) -> None:
        """See `database.Transaction`.

        Not by a lock on the row of the member: those who share one let nobody wait in line, so that a member who
        writes all the time could keep off the one who removes them. This lock is fair.
        """
        if self._writes and (alone or project_id not in self._held):
            self.row(f"SELECT pg_advisory_xact_lock{'' if alone else '_shared'}(?)", (project_id,))
            self._held.add(project_id)

    def found_with_rights(self, sql: str, values: Sequence[Any] = ()) -> int | None:
        """See `database.Transaction`."""
        if self._writes:
            sql = f"SELECT id, pg_advisory_xact_lock_shared(id) FROM ({sql}) AS found(id)"
        row = self.row(sql, values)
        if row is None:
            return None
        self._held.add(row[0])
        return int(row[0])

    def run(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run a statement; return how many rows it changed."""
        return self._execute(sql, values).rowcount

    def run_many(self, sql: str, values: Iterable[Sequence[Any]]) -> None:
        """Run a statement once for each sequence of values; rows are inserted many at a time."""
        found = _ROW.search(sql)
        if found is None:
            for each in values:
                self._execute(sql, each)
            return
        rows = list(values)
        block = max(1, PARAMETERS // found[1].count("?"))
        for start in range(0, len(rows), block):
            some = rows[start : start + block]
            many = f"{sql[: found.start(1)]}{', '.join([found[1]] * len(some))}{sql[found.end(1) :]}"
            self._execute(many, [value for row in some for value in row])

    def _execute(self, sql: str, values: Sequence[Any]) -> psycopg.Cursor[Row]:
        # Bytes would travel as twice as many hex digits if the answer were text.
        return self._cursor.execute(_for_postgres(sql), values, binary=True)


class _Looks:
    """Statements that read, each by itself and in one round trip; see `PostgresTransaction`."""

    def __init__(self, ask: Callable[[str, Sequence[Any]], psycopg.Cursor[Row]]) -> None:
        self._ask = ask

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        return self._ask(sql, values).fetchall()

    def row(self, sql: str, values: Sequence[Any] = ()) -> Row | None:
        return self._ask(sql, values).fetchone()


class PostgresDatabase:
    """A store's database on a PostgreSQL server, migrated when it is opened first. Threads may use it at once.

    Args:
        uri: ``postgresql://user:password@host/database``; also what libpq takes besides.
        partitions: Into how many hash partitions by project the large tables are made; 0 for none. Counts when
            the tables are made, never later.

    Raises:
        BackendUnavailable: From any use, when the server cannot be reached or does not answer.
        StoreBusy: From any use, when a transaction had to give way to another; trying again helps.
        StoreTooNew: From the first use, when a newer version wrote it.
    """

    def __init__(self, uri: str, *, partitions: int = 0, pool_size: int = POOL_LIMIT) -> None:
        self._uri = uri
        self._partitions = partitions
        self._pool_size = pool_size
        self._opening = threading.Lock()
        self._connecting = threading.BoundedSemaphore(pool_size)
        self._pool: Connections | None = None

    @contextmanager
    def write(self, *, settle: bool = False, holding: int | None = None) -> Iterator[PostgresTransaction]:
        """Begin a transaction that writes; commit it at the end of the block, or roll back.

        Args:
            settle: Return only when this commit, and all before it, would survive a power cut.
            holding: The project whose rights are held from the beginning, see `Transaction.hold_rights`.
        """
        # Faster by the wait for the disk; what a power cut takes, the client still has.
        begin = f"BEGIN; {_settings(WRITE_S)}; SET LOCAL lock_timeout = '{LOCK_S}s'"
        if not settle:
            begin = f"{begin}; SET LOCAL synchronous_commit = off"
        if holding is not None:
            begin = f"{begin}; SELECT pg_advisory_xact_lock_shared({holding:d})"
        with self._begun(begin) as connection:
            yield PostgresTransaction(connection, writes=True, holding=holding)

    @contextmanager
    def read(self) -> Iterator[PostgresTransaction]:
        """Begin a transaction that reads one consistent state."""
        with self._begun(f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {_settings(READ_S)}") as connection:
            yield PostgresTransaction(connection)

    @contextmanager
    def look(self) -> Iterator[_Looks]:
        """Read without one state for all statements: each sees the last commit before it. For a single look-up.

        It costs the one round trip of its statement, where `read` costs two more.
        """
        with _translated():
            yield _Looks(self._looked)

    def close(self) -> None:
        """Close all connections; a later use opens them again."""
        with self._opening:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def is_made(self) -> bool:
        """See `database.Database`."""
        import psycopg

        with _translated(), psycopg.connect(**self._reached_by(), prepare_threshold=None) as connection:
            return _version(connection) > 0

    def describe(self) -> dict[str, str]:
        """Return the engine, its version and the schema's version."""
        with self.read() as tx:
            version = tx.row("SHOW server_version")
            schema_version = tx.row("SELECT version FROM schema_version")
        assert version is not None
        assert schema_version is not None
        return {"engine": f"PostgreSQL {version[0]}", "schema version": str(schema_version[0])}

    @contextmanager
    def _begun(self, begin: str) -> Iterator[psycopg.Connection[Row]]:
        """Begin a transaction in one round trip; commit it at the end of the block, or roll back."""
        import psycopg

        with _translated():
            pool = self._opened()
            connection, _ = self._first_that_answers(pool, lambda connection: connection.execute(begin))
            try:
                yield connection
                connection.commit()
            except BaseException:  # an interrupt undoes it as well
                with suppress(psycopg.Error):  # what went wrong before counts
                    connection.rollback()
                raise
            finally:
                pool.putconn(connection)

    def _looked(self, sql: str, values: Sequence[Any]) -> psycopg.Cursor[Row]:
        pool, text = self._opened(), _for_postgres(sql)
        connection, answer = self._first_that_answers(pool, lambda each: each.execute(text, values, binary=True))
        pool.putconn(connection)  # the answer is whole, and here
        return answer

    def _first_that_answers(
        self, pool: Connections, ask: Callable[[psycopg.Connection[Row]], psycopg.Cursor[Row]]
    ) -> tuple[psycopg.Connection[Row], psycopg.Cursor[Row]]:
        """Return a connection that answered what it was asked first, and its answer.

        After a restart of PostgreSQL the pool is full of dead connections. Each is found out by its first
        statement, before anything was done with it; to ask it beforehand would cost every transaction a round trip.
        """
        import psycopg

        for attempt in itertools.count():
            connection: psycopg.Connection[Row] = pool.getconn()
            try:
                answer = ask(connection)
            except BaseException as error:  # an interrupt gives the connection back as well
                pool.putconn(connection)
                if isinstance(error, psycopg.OperationalError) and connection.closed and attempt < self._pool_size:
                    continue
                raise
            return connection, answer
        raise AssertionError("there is always another attempt")

    def _opened(self) -> Connections:
        if (pool := self._pool) is not None:
            return pool
        # All who come first try at once: were the server away, each would wait for the failures of all before it.
        if not self._connecting.acquire(timeout=WAIT_S):
            raise StoreBusy(f"the store's PostgreSQL could not be reached for {WAIT_S:g} s. Try again.")
        try:
            made = self._open()
        finally:
            self._connecting.release()
        with self._opening:
            if self._pool is None:
                self._pool = made  # that of another is as good, and has connections
            return self._pool

    def _open(self) -> Connections:
        import psycopg

        with psycopg.connect(**self._reached_by(), prepare_threshold=None) as connection:
            _migrate(connection, self._partitions)

        def connect() -> psycopg.Connection[Row]:
            return psycopg.connect(
                **self._reached_by(), autocommit=True, prepare_threshold=None, cursor_factory=psycopg.RawCursor
            )

        return Connections(connect, limit=self._pool_size, wait_s=WAIT_S)

    def _reached_by(self) -> dict[str, Any]:
        """Return how to connect: as the URI says, and otherwise so that a machine that is gone is found out."""
        from psycopg.conninfo import conninfo_to_dict

        return {**_PATIENCE, **conninfo_to_dict(self._uri)}


def _settings(statement_s: int) -> str:
    """Return what is set for one transaction: its limits; and nothing is compiled, which costs more than it saves."""
    return (
        f"SET LOCAL statement_timeout = '{statement_s}s'; SET LOCAL idle_in_transaction_session_timeout = '{IDLE_S}s'; "
        "SET LOCAL jit = off"
    )


def _migrate(connection: psycopg.Connection[Row], partitions: int, upto: int | None = None) -> None:
    """Bring the tables to the newest version; several servers may begin at once."""
    newest = schema.newest_version() if upto is None else upto
    version = _version(connection)
    schema.refuse_newer(version, newest)
    if version == newest:
        return
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATING,))
    version = _version(connection)  # another server may have been first
    if version == 0:
        connection.execute(_PRELUDE)
    for number, sql in schema.migrations():
        if version < number <= newest:
            connection.execute(_tables_for_postgres(sql, partitions))
    connection.execute("UPDATE schema_version SET version = %s", (newest,))


_PRELUDE = """
CREATE TABLE schema_version (version INTEGER NOT NULL);
INSERT INTO schema_version VALUES (0);
CREATE FUNCTION mlf_lower(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT
  AS $$ SELECT lower($1 COLLATE "und-x-icu") COLLATE "C" $$;
"""


def _version(connection: psycopg.Connection[Row]) -> int:
    # Not to_regclass: what it once did not find it does not find again, also when another server made it meanwhile.
    asked = "SELECT 1 FROM pg_catalog.pg_class WHERE relname = 'schema_version' AND pg_table_is_visible(oid)"
    if connection.execute(asked).fetchone() is None:
        return 0
    row = connection.execute("SELECT version FROM schema_version").fetchone()
    assert row is not None
    return int(row[0])


def _tables_for_postgres(sql: str, partitions: int) -> str:
    """Make text compare byte by byte as in SQLite; make large tables in partitions when that is wanted."""
    sql = sql.replace(" TEXT", ' TEXT COLLATE "C"')
    if not partitions:
        return sql
    parts: list[str] = []

    def partitioned(found: re.Match[str]) -> str:
        name = found.group(1)
        parts.extend(
            f"CREATE TABLE {name}_{i} PARTITION OF {name} FOR VALUES WITH (MODULUS {partitions}, REMAINDER {i});"
            for i in range(partitions)
        )
        return f"{found.group(0)[:-1]} PARTITION BY HASH (project_id);"

    pattern = r"CREATE TABLE (run|attr|series|chunk|journal|artifact|key) \([^;]*\n\);"
    return re.sub(pattern, partitioned, re.sub(r"--[^\n]*", "", sql)) + "\n".join(parts)


def _for_postgres(sql: str) -> str:
    return _numbered_once(sql) if len(sql) < CACHED_BELOW else _numbered(sql)


def _numbered(sql: str) -> str:
    """Number the parameters, so that the driver need not look for them: there may be thousands."""
    first, *others = sql.split("?")
    numbered = first + "".join(f"${number}{part}" for number, part in enumerate(others, start=1))
    return re.sub(r"\bLOWER\(", "mlf_lower(", numbered)


_numbered_once = lru_cache(maxsize=1000)(_numbered)


@contextmanager
def _translated() -> Iterator[None]:
    import psycopg
    from psycopg import errors

    try:
        yield
    except (errors.DeadlockDetected, errors.SerializationFailure) as error:
        raise StoreBusy(f"the store is busy ({_told(error)}). Try again.", gave_way=True) from error
    except errors.QueryCanceled as error:
        raise BackendUnavailable(
            f"the store's PostgreSQL took too long for this and was stopped ({_told(error)}). Ask for less at once, or "
            "try again when it has less to do."
        ) from error
    except errors.IdleInTransactionSessionTimeout as error:
        raise StoreBusy(f"this took too long and was undone so that others can go on ({_told(error)})") from error
    except errors.LockNotAvailable as error:
        raise StoreBusy(f"the store is busy ({_told(error)}). Try again.") from error
    except (errors.DataError, errors.ProgramLimitExceeded) as error:
        raise InvalidInput(f"the store cannot keep this ({_told(error)})") from error
    except errors.InsufficientPrivilege as error:
        raise BackendUnavailable(
            f"the store's PostgreSQL does not allow this ({_told(error)}). Its user needs CREATE on the schema; the "
            "owner of the database has it."
        ) from error
    except (errors.DiskFull, errors.ReadOnlySqlTransaction, psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise BackendUnavailable(f"the store's PostgreSQL cannot be used now ({_told(error)})") from error


def _told(error: Exception) -> str:
    """Return the first line of an error, without what a connection string may hold."""
    with suppress(IndexError):
        return re.sub(r"password=\S+|://[^@\s]*@", "…", str(error).strip().splitlines()[0])
    return type(error).__name__
