"""Series in chunks: whatever is appended in whatever pieces is read as it was, and the pieces stay few."""

from __future__ import annotations

import uuid

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlfoundry.records import RunKey
from mlfoundry.store import chunks, points, series
from mlfoundry.store.database import Database
from mlfoundry.store.keys import key_id

MOST_PIECES = points.MERGE_PIECES + 16


@pytest.fixture
def database(tmp_path):
    database = Database(tmp_path / "store.db")
    yield database
    database.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One database for the examples of one property; each takes a run of its own."""
    database = Database(tmp_path_factory.mktemp("series") / "store.db")
    yield database
    database.close()


def new_run() -> RunKey:
    return RunKey(1, uuid.uuid4().hex)


def some(count, first=0):
    """Return points whose value tells their place."""
    steps = np.arange(first, first + count)
    return steps, steps * 1000, steps.astype(np.float64)


def pieces(tx, run, name="loss"):
    """Return (seq, n) of each chunk of a series, in order."""
    return tx.rows(
        "SELECT seq, n FROM chunk WHERE project_id = ? AND run_id = ? AND key_id = ? ORDER BY seq",
        (run.project_id, bytes.fromhex(run.run_id), key_id(name)),
    )


def counted(tx, run, name="loss"):
    """Return (n, pieces, sealed) of a series."""
    return tx.row(
        "SELECT n, pieces, sealed FROM series WHERE project_id = ? AND run_id = ? AND key_id = ?",
        (run.project_id, bytes.fromhex(run.run_id), key_id(name)),
    )


def check(tx, run, total, name="loss"):
    """Check all that must hold of a series of `some` points after any number of appends."""
    assert points.verify(tx, run) == []
    found = points.read(tx, run, name, max_points=None, since=0)
    assert found.count == total
    assert found.values.tolist() == [float(n) for n in range(total)]
    lie = pieces(tx, run, name)
    n, open_pieces, sealed = counted(tx, run, name)
    assert n == total
    assert [seq for seq, _ in lie] == [sum(size for _, size in lie[:i]) for i in range(len(lie))]
    assert sum(1 for seq, _ in lie if seq >= sealed) == open_pieces <= MOST_PIECES
    assert all(1 <= size <= chunks.SEALED for _, size in lie)
    assert all(size >= points.SEAL_FROM for seq, size in lie if seq < sealed)


@given(
    sizes=st.lists(
        st.one_of(st.integers(1, 5), st.integers(1, 200), st.sampled_from([1023, 1024, 4095, 4096, 4097, 9000])),
        min_size=1,
        max_size=40,
    ),
    repeat=st.integers(1, 3),
    finish=st.booleans(),
)
@settings(max_examples=40)
def test_any_appends_keep_every_point_in_its_place_in_few_pieces(shared, sizes, repeat, finish):
    run, total = new_run(), 0
    for size in sizes * repeat:
        with shared.write() as tx:
            points.write(tx, run, {"loss": some(size, total)})
        total += size
    if finish:
        with shared.write() as tx:
            points.compact(tx, run)
    with shared.read() as tx:
        check(tx, run, total)
        if finish:
            assert counted(tx, run)[1] <= 1


@pytest.mark.parametrize("size", [1, 2, 31, 32, 100, 4096, 4097, 10_000])
def test_appends_of_one_size_stay_in_few_pieces_all_along(database, size, scale):
    run, total = new_run(), 0
    for _ in range(scale(2000, 150)):
        with database.write() as tx:
            points.write(tx, run, {"loss": some(size, total)})
            total += size
            assert counted(tx, run)[1] <= MOST_PIECES
    with database.read() as tx:
        check(tx, run, total)


def test_sealed_chunks_are_full_and_are_never_written_again(database):
    run, total = new_run(), 0
    seen: dict[int, bytes] = {}
    for _ in range(60):
        with database.write() as tx:
            points.write(tx, run, {"loss": some(500, total)})
            total += 500
            sealed = counted(tx, run)[2]
            for seq, data in tx.rows(
                "SELECT seq, data FROM chunk WHERE project_id = 1 AND run_id = ? AND seq < ?",
                (bytes.fromhex(run.run_id), sealed),
            ):
                assert seen.setdefault(seq, data) == data
    with database.read() as tx:
        sizes = [size for seq, size in pieces(tx, run) if seq < counted(tx, run)[2]]
    assert len(sizes) >= 6
    assert sum(sizes) / len(sizes) >= chunks.SEALED * 0.75
    assert max(sizes) == chunks.SEALED


def test_one_large_append_is_cut_into_full_chunks(database):
    run = new_run()
    with database.write() as tx:
        points.write(tx, run, {"loss": some(10 * chunks.SEALED + 1)})
        assert [size for _, size in pieces(tx, run)] == [chunks.SEALED] * 10 + [1]
        check(tx, run, 10 * chunks.SEALED + 1)


def test_the_end_leaves_one_open_piece_and_appends_after_it_go_on(database):
    run, total = new_run(), 0
    for _ in range(20):
        with database.write() as tx:
            points.write(tx, run, {"loss": some(30, total)})
        total += 30
    with database.write() as tx:
        assert counted(tx, run)[1] == 20
        points.compact(tx, run)
        assert [size for _, size in pieces(tx, run)] == [600]
        check(tx, run, total)
    for _ in range(300):
        with database.write() as tx:
            points.write(tx, run, {"loss": some(30, total)})
        total += 30
    with database.write() as tx:
        check(tx, run, total)
        points.compact(tx, run)
        check(tx, run, total)


def test_the_end_merges_only_what_is_in_several_pieces(database):
    run = new_run()
    with database.write() as tx:
        points.write(tx, run, {"loss": some(10)})
        before = tx.rows("SELECT data FROM chunk WHERE project_id = 1")
        points.compact(tx, run)
        assert tx.rows("SELECT data FROM chunk WHERE project_id = 1") == before
        check(tx, run, 10)


def test_keys_that_are_logged_together_do_not_all_merge_in_one_transaction(database):
    run, merged = new_run(), set()
    names = [f"m{number}" for number in range(40)]
    for step in range(MOST_PIECES + 5):
        with database.write() as tx:
            before = {name: len(pieces(tx, run, name)) for name in names}
            points.write(tx, run, dict.fromkeys(names, some(1, step)))
            merged.add(sum(len(pieces(tx, run, name)) < before[name] for name in names))
    assert sum(merged) > 0
    assert max(merged) < len(names)


@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_series_that_are_merged_together_lie_as_if_each_were_merged_alone(shared, data):
    together, alone = new_run(), new_run()
    names = [f"m{number}" for number in range(data.draw(st.integers(2, 6)))] + ["system/m"]
    counts = dict.fromkeys(names, 0)
    for _ in range(data.draw(st.integers(1, 4))):
        size = data.draw(st.sampled_from([1, 70, chunks.SEALED - 1, chunks.SEALED, 2 * chunks.SEALED + 1100]))
        sizes = {name: max(0, size + data.draw(st.sampled_from([0, 0, 0, 5, -size]))) for name in names}
        for _ in range(MOST_PIECES if size == 1 else 1):
            new = {name: some(sizes[name], counts[name]) for name in names}
            counts = {name: counts[name] + sizes[name] for name in names}
            with shared.write() as tx:
                points.write(tx, together, new)
                for name in names:
                    points.write(tx, alone, {name: new[name]})
    with shared.write() as tx:
        if data.draw(st.booleans()):
            points.compact(tx, together)
            points.compact(tx, alone)
        for name in filter(counts.get, names):
            check(tx, together, counts[name], name)
            assert counted(tx, together, name) == counted(tx, alone, name)
            assert pieces(tx, together, name) == pieces(tx, alone, name)


def test_a_merge_beside_a_younger_series_leaves_what_is_sealed(database):
    run, count = new_run(), 2 * chunks.SEALED + points.SEAL_FROM
    with database.write() as tx:
        points.write(tx, run, {"old": some(count)})
        sealed = pieces(tx, run, "old")
        points.write(tx, run, {"old": some(5, count), "young": some(5)})
        points.write(tx, run, {"old": some(5, count + 5), "young": some(5, 5)})
        points.compact(tx, run)
        assert pieces(tx, run, "old") == [*sealed, (count, 10)]
        assert pieces(tx, run, "young") == [(0, 10)]


def test_many_series_are_merged_by_as_many_statements_as_few(database, statements):
    took = []
    for count in (2, 40):
        run = new_run()
        names = [f"m{number}" for number in range(count)]
        with database.write() as tx:
            for start in range(2):
                points.write(tx, run, dict.fromkeys(names, some(chunks.SEALED // 2, start * chunks.SEALED // 2)))
            for start in range(3):
                points.write(tx, run, dict.fromkeys(names, some(5, chunks.SEALED + 5 * start)))
            points.compact(tx, run)
        took.append(len(statements))
        statements.clear()
    assert took[0] == took[1]


def test_two_runs_and_two_names_do_not_touch_each_other(database):
    one, other = new_run(), new_run()
    for start in range(0, 300, 3):
        with database.write() as tx:
            points.write(tx, one, {"loss": some(3, start), "acc": some(3, start)})
            points.write(tx, other, {"loss": some(3, start), "system/loss": some(3, start)})
    with database.read() as tx:
        for run, name in ((one, "loss"), (one, "acc"), (other, "loss"), (other, "system/loss")):
            check(tx, run, 300, name)
        assert list(series.counts(tx, other)) == ["loss"]
        assert list(series.counts(tx, other, system=True)) == ["system/loss"]


def test_no_points_write_nothing(database):
    run = new_run()
    with database.write() as tx:
        points.write(tx, run, {"loss": some(0)})
        points.write(tx, run, {})
        assert tx.rows("SELECT * FROM series") == tx.rows("SELECT * FROM chunk") == tx.rows("SELECT * FROM key") == []


def test_more_names_than_one_statement_takes_are_all_written(database):
    run, names = new_run(), [f"m{number}" for number in range(450)]
    for start in (0, 2):
        with database.write() as tx:
            points.write(tx, run, dict.fromkeys(names, some(2, start)))
    with database.read() as tx:
        assert series.counts(tx, run) == dict.fromkeys(names, 4)
        check(tx, run, 4, "m449")


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM chunk WHERE seq > 50",
        "UPDATE chunk SET seq = seq + 1 WHERE seq > 50",
        "UPDATE series SET n = n + 1",
        "UPDATE chunk SET n = n - 1 WHERE seq = 0",
    ],
)
def test_verify_says_what_does_not_agree(database, damage):
    run = new_run()
    for start in range(0, 100, 10):
        with database.write() as tx:
            points.write(tx, run, {"loss": some(10, start)})
    with database.write() as tx:
        assert points.verify(tx, run) == []
        tx.run(damage)
        (said, *_) = points.verify(tx, run)
        assert run.run_id in said


def test_smooth_and_noisy_training_curves_take_few_bytes_a_point_when_the_run_has_ended(database, scale):
    total = scale(1_000_000, 100_000)
    chance = np.random.default_rng(1)
    steps = np.arange(total)
    times = 1_700_000_000_000_000 + np.cumsum(chance.integers(900, 1100, total))
    run = new_run()
    for start in range(0, total, 731):
        part = slice(start, min(total, start + 731))
        values = chance.normal(size=part.stop - start)
        with database.write() as tx:
            points.write(tx, run, {"noise": (steps[part], times[part], values)})
    with database.write() as tx:
        points.compact(tx, run)
        assert points.verify(tx, run) == []
        ((size,),) = tx.rows("SELECT SUM(LENGTH(data) + COALESCE(LENGTH(overview), 0)) FROM chunk")
    assert size / total <= 10


def test_a_reader_of_a_question_without_points_decodes_nothing(database, monkeypatch):
    run = new_run()
    with database.write() as tx:
        points.write(tx, run, {"loss": some(10_000)})
    with database.read() as tx:
        for name in ("decode", "decode_all", "decode_into"):
            monkeypatch.setattr(chunks, name, None, raising=False)
        assert points.read(tx, run, "loss", max_points=None, since=10_000).count == 10_000
        assert points.read(tx, run, "unknown", max_points=None, since=0).count == 0


def test_an_overview_is_drawn_without_decoding_sealed_chunks(database, monkeypatch):
    run = new_run()
    with database.write() as tx:
        points.write(tx, run, {"loss": some(25 * chunks.SEALED)})
    with database.read() as tx:
        monkeypatch.setattr(chunks.zstd, "decompress", None)
        drawn = points.read(tx, run, "loss", max_points=100, since=0)
    assert len(drawn.steps) <= 100
    assert (drawn.steps[0], drawn.steps[-1]) == (0, 25 * chunks.SEALED - 1)


def test_a_drawing_of_any_length_is_made_of_stretches_that_fit_memory(database, monkeypatch):
    monkeypatch.setattr(points, "_STRETCH", 3 * chunks.SEALED)
    run, total = new_run(), 40 * chunks.SEALED + 77
    steps, times, values = some(total)
    values = np.random.default_rng(4).normal(size=total)
    steps[5], steps[total // 2] = total + 7, -7  # the last and the first are not at the ends
    values[::9] = np.nan
    with database.write() as tx:
        points.write(tx, run, {"loss": (steps, times, values)})
    sizes = []
    decode_all = chunks.decode_all

    def note(data):
        decoded = decode_all(data)
        sizes.append(len(decoded[0]))
        return decoded

    monkeypatch.setattr(chunks, "decode_all", note)
    wanted = total // 10
    with database.read() as tx:
        drawn = points.read(tx, run, "loss", max_points=wanted)
        whole = points.read(tx, run, "loss", max_points=total + 3)
    assert max(sizes) <= 4 * chunks.SEALED
    assert sum(sizes) >= 2 * total
    assert wanted // 2 < len(drawn.steps) <= wanted
    assert drawn.count == total
    assert (drawn.steps[0], drawn.steps[-1]) == (-7, total + 7)
    assert (np.nanmin(drawn.values), np.nanmax(drawn.values)) == (np.nanmin(values), np.nanmax(values))
    assert sorted(whole.steps.tolist()) == sorted(steps.tolist())


@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_new_points_of_many_metrics_are_those_of_each_whatever_was_merged_meanwhile(shared, data):
    run = new_run()
    names = [f"m{number}" for number in range(data.draw(st.integers(1, 5)))]
    counts = dict.fromkeys(names, 0)
    had = {}
    for _ in range(data.draw(st.integers(1, 12))):
        with shared.write() as tx:
            for _ in range(data.draw(st.sampled_from([1, 3, MOST_PIECES]))):  # many small ones are merged
                for name in names:
                    size = data.draw(st.sampled_from([0, 1, 1, 1, 300]))
                    points.write(tx, run, {name: some(size, counts[name])})
                    counts[name] += size
        with shared.read() as tx:
            counted_now = series.counts(tx, run, known=had)
            assert list(counted_now.items()) == list(series.counts(tx, run).items())
            found = points.read_new(tx, run, counted_now, had)
            alone = [points.read(tx, run, each.name, max_points=None, since=had.get(each.name, 0)) for each in found]
        assert [each.name for each in found] == [name for name in names if counts[name]]
        for new, expected in zip(found, alone, strict=True):
            assert new.count == expected.count == counts[new.name]
            assert new.values.tolist() == expected.values.tolist()
            assert len(new.values) == counts[new.name] - had.get(new.name, 0)
            if data.draw(st.booleans()):
                had[new.name] = new.count
