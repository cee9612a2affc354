"""Batches that arrive twice, late, overlapping or with their answer lost: each record is stored exactly once."""

from __future__ import annotations

import itertools
import random

import left_journals
import pytest

from mlfoundry.errors import BackendUnavailable, JournalGap
from mlfoundry.journal import reader
from mlfoundry.journal.reader import LeftJournal
from mlfoundry.records import Batch, RunStatus


@pytest.fixture
def run(client):
    made = client.create_run("p", "x", log_system_metrics=False, capture=False)
    yield made
    made.end()


@pytest.fixture
def left(run, tmp_path):
    """A journal of the run that nobody ships."""
    folder = left_journals.leave_journal(tmp_path / "elsewhere", 200)
    folder = folder.rename(folder.with_name(f"{run.run_id}.{folder.name.partition('.')[2]}"))
    return LeftJournal(folder, *reader.parse_folder(folder.name), -1)


def cuts(left):
    """Return the slots between which batches may be cut: where records begin."""
    data, _ = left.read(0)
    return [stop // left_journals.SLOT for _, stop, _, _ in left_journals.records_of(data)]


def batch(run, left, start, stop):
    data, _ = left.read(start)
    data = data[: (stop - start) * left_journals.SLOT]
    return Batch(run.record.key, left.journal_id, start, stop, data, left.names, False)


def check_all_once(client, run, left):
    data, _ = left.read(0)
    points, params, names = left_journals.told_by(left_journals.records_of(data))
    metrics = client.get_run(run.run_id).get_metrics()
    found = {
        key: sorted(zip(each.steps.tolist(), each.values.view("u8").tolist(), strict=True))
        for key, each in metrics.items()
    }
    expected = {}
    for number, column, step, bits in points:
        expected.setdefault(names[number][column], []).append((step, bits))
    assert found == {key: sorted(each) for key, each in expected.items()}
    assert set(client.get_run(run.run_id).get_params()) == set(params)


def test_batches_sent_again_shuffled_and_cut_elsewhere_store_each_record_once(client, run, left, scale):
    places = cuts(left)
    acked, backend = 0, client.backend
    sent = []
    for _ in range(scale(4_000, 400)):
        if acked < left.tail and random.random() < 0.4:
            stop = random.choice([place for place in places if place > acked][:20])
            sent.append(batch(run, left, acked, stop))
            acked = backend.ingest(sent[-1]).acked
            assert acked == stop
            continue
        start, stop = sorted(random.sample([0, *places], 2))
        again = random.choice(sent) if sent and random.random() < 0.5 else batch(run, left, start, stop)
        if again.stop <= acked:
            assert backend.ingest(again).acked == acked
        elif again.start != acked:
            with pytest.raises(JournalGap) as gap:
                backend.ingest(again)
            assert gap.value.expected == acked
    if acked < left.tail:
        backend.ingest(batch(run, left, acked, left.tail))
    check_all_once(client, run, left)


def test_an_answer_that_is_lost_after_the_commit_neither_loses_nor_doubles_anything(client, monkeypatch):
    real, turn = client.backend.ingest, itertools.count()

    def unreliable(sent):
        way = next(turn) % 4
        if way == 1:
            raise BackendUnavailable("the request was lost", retry_after_s=0.0)
        answer = real(sent)
        if way == 3:
            raise BackendUnavailable("the answer was lost", retry_after_s=0.0)
        return answer

    monkeypatch.setattr(client.backend, "ingest", unreliable)
    with client.create_run("p", "x", log_system_metrics=False, capture=False) as run:
        for number in range(3_000):
            run.log_metrics({"a": float(number)})
            if number % 100 == 0:
                run.flush()
    stored = client.get_run(run.run_id)
    assert stored.status is RunStatus.FINISHED
    assert stored.get_metrics()["a"].values.tolist() == [float(number) for number in range(3_000)]
    assert next(turn) > 20


def test_the_journal_of_a_living_process_is_left_to_it(start, look, store):
    program = start("worlds.py", store, "plain")
    program.line()
    program.line()
    (folder,) = (store / "journals").iterdir()
    assert not reader.is_dead(folder)
    assert reader.adopt(folder) is None
    seen = look(store)
    assert seen.left == 0
    assert seen.run().status is RunStatus.RUNNING
    program.say("log 1000 10")
    program.line()
    program.say("end")
    program.line()
    assert program.exit_code() == 0
    assert program.messages() == ""
    assert look(store).values("a") == [float(number) for number in range(2_000)]
    assert look(store).run().status is RunStatus.FINISHED
