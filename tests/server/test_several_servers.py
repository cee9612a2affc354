"""Several servers as they are run, on one PostgreSQL and one object store: what goes in through any is there once."""

from __future__ import annotations

import io
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlfoundry.records import RunKey, SeriesQuery
from mlfoundry.store import points
from mlfoundry.store.postgres import PostgresDatabase
from mlfoundry.tracking.accounts import AccountService
from mlfoundry.tracking.http import HttpBackend
from tests.buckets import Buckets
from tests.server.processes import ServerProcess
from tests.server.scene import batch, new_run

CLIENTS, RUNS, LIMIT_S = 8, 4, 60.0


@pytest.fixture
def key(schema: str) -> str:
    """A key of `ann` in the database of the servers."""
    database = PostgresDatabase(schema, pool_size=1)
    made = AccountService(database).create_first_admin("ann")
    database.close()
    return made


@pytest.fixture
def begin(schema: str, tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """``begin("--workers", "2")`` is one more server on that database."""
    made: list[ServerProcess] = []

    def start(*words: str, **more: str) -> ServerProcess:
        folder = tmp_path / f"server-{len(made)}"
        folder.mkdir()
        made.append(ServerProcess(schema, *words, folder=folder, **more))
        return made[-1].ready()

    yield start
    for each in made:
        each.close()


@pytest.mark.parametrize("workers", [(1, 1), (2,)])
def test_of_eight_clients_every_point_is_stored_once_whichever_server_takes_it(
    begin: Callable[..., ServerProcess], key: str, schema: str, tmp_path: Path, scale, workers: tuple[int, ...]
) -> None:
    artifacts = str(tmp_path / "artifacts")
    addresses = [begin("--artifacts", artifacts, "--workers", str(count)).address for count in workers]
    first = HttpBackend(addresses[0], key, user="ann")
    runs = [first.create_run(new_run("iris")).key for _ in range(RUNS)]
    count, start = scale(40, 10), threading.Barrier(2 * CLIENTS)

    def write(number: int, place: int) -> int:
        """Send a client's batches; its twin sends the same through another connection, to another server if any."""
        backend = HttpBackend(addresses[place % len(addresses)], key, user="ann")
        sizes, at = random.Random(number), 0
        start.wait(LIMIT_S)
        for _ in range(count):
            size = sizes.randrange(1, 60)
            told = backend.ingest(batch(runs[number % RUNS], 1000 + number, size, first=at))
            at += size
            assert told.acked >= at
        backend.close()
        return at

    with ThreadPoolExecutor(2 * CLIENTS) as threads:
        sent = [[threads.submit(write, number, place) for place in (0, 1)] for number in range(CLIENTS)]
        written = [{each.result() for each in twins} for twins in sent]
    for place, run in enumerate(runs):
        wanted = Counter(step for number in range(place, CLIENTS, RUNS) for step in range(max(written[number])))
        (series,) = first.read_series(SeriesQuery(run, ("loss",)))
        assert Counter(series.steps.tolist()) == wanted
        assert series.values.tolist() == series.steps.tolist()
        assert first.get_run(run.run_id).metrics["loss"].count == wanted.total()
    assert _wrong(schema, runs) == []
    first.close()


def _wrong(schema: str, runs: list[RunKey]) -> list[str]:
    """Return what does not agree in the store itself."""
    database = PostgresDatabase(schema, pool_size=1)
    with database.read() as tx:
        found = [text for run in runs for text in points.verify(tx, run)]
    database.close()
    return found


def test_a_file_that_one_server_put_into_an_object_store_comes_from_the_other_also_after_a_restart(
    begin: Callable[..., ServerProcess], key: str
) -> None:
    buckets = Buckets()
    place = f"s3://{buckets.make()}/team"
    content = random.Random(1).randbytes(9_000_000)
    try:
        one, other = (begin("--artifacts", place, **buckets.settings()) for _ in range(2))
        writer, reader = (HttpBackend(each.address, key, user="ann") for each in (one, other))
        run = writer.create_run(new_run("iris")).key
        record = writer.put_artifact(run, "weights/model.bin", io.BytesIO(content))
        writer.put_artifact(run, "empty.txt", io.BytesIO())
        assert (record.size_bytes, [each.path for each in reader.list_artifacts(run)]) == (
            len(content),
            ["empty.txt", "weights/model.bin"],
        )
        with reader.open_artifact(run, "weights/model.bin") as stream:
            assert stream.read() == content
        assert one.stop() == other.stop() == 0
        again = HttpBackend(begin("--artifacts", place, **buckets.settings()).address, key, user="ann")
        with again.open_artifact(run, "weights/model.bin") as stream:
            assert stream.read() == content
        with again.open_artifact(run, "empty.txt") as stream:
            assert stream.read() == b""
        for each in (writer, reader, again):
            each.close()
    finally:
        buckets.stop()
