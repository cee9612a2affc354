"""The store on a PostgreSQL in other surroundings: hash partitions, pgbouncer before it, a replica behind it."""

from __future__ import annotations

import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks import team
from benchmarks.http_ingest import large, small, take
from benchmarks.registry import Figures, Line, Workplace, measure

VISIBLE_S = 60.0


def _both(place: team.Team, work: Workplace) -> Figures:
    loads = {"large": take(place, large(work, 8)), "small": take(place, small(work, 8))}
    return {
        name: figure
        for size, taken in loads.items()
        for name, figure in (
            (size, taken.points_per_s),
            (f"{size}_server_us", taken.server_us),
            (f"{size}_postgres_us", taken.postgres_us),
        )
    }


def direct(work: Workplace) -> Figures:
    """The same server before a PostgreSQL with neither."""
    with team.on_postgres(work.folder) as place:
        return _both(place, work)


def _lines(what: str) -> tuple[Line, ...]:
    return (
        Line(f"http ingest, {what}: 8 clients, 10,000 a batch", "points/s", "large"),
        Line("  … CPU of the server", "µs/point", "large_server_us"),
        Line("  … CPU of PostgreSQL", "µs/point", "large_postgres_us"),
        Line("  … 500 a batch", "points/s", "small"),
        Line("  … 500 a batch: CPU of the server", "µs/point", "small_server_us"),
        Line("  … 500 a batch: CPU of PostgreSQL", "µs/point", "small_postgres_us"),
    )


@measure("partitions", *_lines("16 hash partitions"), limit=direct, repeats=3, warm_up=False, in_quick=False)
def partitions(work: Workplace) -> Figures:
    """The ingest of ``http-ingest`` with ``--partitions 16``: the large tables in hash partitions by project."""
    with team.on_postgres(work.folder, partitions=16) as place:
        return _both(place, work)


@measure("pgbouncer", *_lines("through pgbouncer"), limit=direct, repeats=3, warm_up=False, in_quick=False)
def pgbouncer(work: Workplace) -> Figures:
    """The same through a pgbouncer in transaction mode. Its CPU is counted with the server's."""
    with team.on_postgres(work.folder, is_pooled=True) as place:
        return _both(place, work)


@contextmanager
def replicated() -> Iterator[tuple[str, str]]:
    """Run a PostgreSQL and a streaming replica of it; give their URIs."""
    from tests import postgres as installed

    with team.postgres() as (uri, home):
        (home / "data" / "pg_hba.conf").open("a").write("host replication all 127.0.0.1/32 trust\n")
        installed.control("reload", home)
        place = installed.new_home()
        source = ["-d", uri, "-D", str(place / "data"), "-R", "-X", "stream", "--checkpoint=fast"]
        subprocess.run(
            [installed.program("pg_basebackup"), *source],
            check=True,
            capture_output=True,
            **installed.as_owner(place),
        )
        replica = installed.serve(place, max_connections=200)  # no fewer than what it follows
        try:
            yield uri, replica
        finally:
            installed.remove(place)


def _until_visible_ms(uri: str, replica: str, count: int, *, settle: bool) -> list[float]:
    import psycopg

    from mlfoundry.store.postgres import PostgresDatabase

    database, samples = PostgresDatabase(uri), []
    with psycopg.connect(replica, autocommit=True) as reader:
        for _ in range(count):
            row: tuple[Any, ...] = (secrets.token_hex(8), 1, 1)
            with database.write(settle=settle) as tx:
                tx.run("INSERT INTO member_of (user_id, project_id, permission) VALUES (?, ?, ?)", row)
            began = time.perf_counter()
            while not _has(reader, row[0]):
                if time.perf_counter() - began > VISIBLE_S:
                    raise RuntimeError("the replica does not follow")
            samples.append(1e3 * (time.perf_counter() - began))
    database.close()
    return sorted(samples)


def _has(reader: Any, user: str) -> bool:
    import psycopg

    try:
        return reader.execute("SELECT 1 FROM member_of WHERE user_id = %s", (user,)).fetchone() is not None
    except psycopg.errors.UndefinedTable:  # not even the tables are there yet
        return False


@measure(
    "replica",
    Line("a commit that waits for the disk is seen at a replica after", "ms", "settled"),
    Line("  … p99", "ms", "settled_p99"),
    Line("a commit that does not wait for the disk", "ms", "plain"),
    Line("  … p99", "ms", "plain_p99"),
    repeats=3,
    warm_up=False,
    in_quick=False,
)
def replica(work: Workplace) -> Figures:
    """The time from the return of a commit of the store to the first read at a streaming replica that sees it."""
    count = work.count(200, 40)
    with replicated() as (uri, copy):
        settled = _until_visible_ms(uri, copy, count, settle=True)
        plain = _until_visible_ms(uri, copy, count, settle=False)
    at = count * 99 // 100
    return {
        "settled": settled[count // 2],
        "settled_p99": settled[at],
        "plain": plain[count // 2],
        "plain_p99": plain[at],
    }
