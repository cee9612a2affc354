"""Batches of journals: each record is stored exactly once, and one that cannot be applied is set aside alone."""

from __future__ import annotations

import contextlib
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlfoundry import slots
from mlfoundry.errors import (
    InvalidInput,
    JournalGap,
    JournalReplaced,
    JournalUnreadable,
    MlfoundryError,
    PermissionDenied,
    RunDeleted,
    RunNotFound,
)
from mlfoundry.records import Acknowledgement, Batch, Permission, RunKey, RunQuery, SeriesQuery


def values(backend, run, name="loss"):
    (series,) = backend.read_series(SeriesQuery(run.key, (name,)))
    return series.values.tolist()


@pytest.fixture
def run(make_run):
    return make_run()


def test_what_is_sent_is_held_up_to_its_last_slot(run, pen, backend):
    journal = pen(run).points("loss", [3.0, 2.0, 1.0])
    assert backend.acked(run.key, journal.journal_id) == 0
    assert journal.send().acked == 3
    assert backend.acked(run.key, journal.journal_id) == 3
    assert values(backend, run) == [3.0, 2.0, 1.0]


def test_the_same_batch_twice_is_stored_once(run, pen, backend):
    journal = pen(run).points("loss", [3.0, 2.0]).tags(a="b").params(lr=("float", "0.1"))
    journal.send()
    seen = backend.get_run(run.key.run_id)
    assert backend.ingest(journal.batch(0, journal.tail)).acked == journal.tail
    again = backend.get_run(run.key.run_id)
    assert (again.metrics, again.tags, again.params) == (seen.metrics, seen.tags, seen.params)
    assert values(backend, run) == [3.0, 2.0]


def test_a_batch_that_lies_within_what_is_held_changes_nothing(run, pen, backend):
    journal = pen(run).points("loss", [float(n) for n in range(10)])
    journal.send()
    for start, stop in ((0, 1), (0, 9), (3, 7), (9, 10), (5, 5), (10, 10)):
        assert backend.ingest(journal.batch(start, stop)).acked == 10
    assert values(backend, run) == [float(n) for n in range(10)]


def test_a_batch_that_begins_behind_what_is_held_says_where_to_begin(run, pen, backend):
    journal = pen(run).points("loss", [float(n) for n in range(10)])
    backend.ingest(journal.batch(0, 4))
    with pytest.raises(JournalGap, match="up to slot 4, the batch begins at 6") as gap:
        backend.ingest(journal.batch(6, 10))
    assert gap.value.expected == 4
    assert values(backend, run) == [0.0, 1.0, 2.0, 3.0]
    assert backend.ingest(journal.batch(gap.value.expected, 10)).acked == 10
    assert values(backend, run) == [float(n) for n in range(10)]


def test_a_batch_that_overlaps_what_is_held_is_not_stored_twice(run, pen, backend):
    journal = pen(run).points("loss", [float(n) for n in range(10)])
    backend.ingest(journal.batch(0, 6))
    with pytest.raises(JournalGap) as gap:
        backend.ingest(journal.batch(3, 10))
    assert gap.value.expected == 6
    backend.ingest(journal.batch(6, 10))
    assert values(backend, run) == [float(n) for n in range(10)]


def test_a_journal_that_was_never_seen_begins_at_its_first_slot(run, pen, backend):
    journal = pen(run).points("loss", [1.0, 2.0])
    with pytest.raises(JournalGap) as gap:
        backend.ingest(journal.batch(1, 2))
    assert gap.value.expected == 0


@given(cuts=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=25))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_stretches_are_sent_in_whatever_order_each_record_is_stored_once(make_run, pen, backend, cuts):
    run = make_run()
    journal = pen(run).points("loss", [float(n) for n in range(30)])
    held = 0
    for start, stop in [(min(cut), max(cut)) for cut in cuts]:
        batch = journal.batch(start, stop)
        if start == held or stop <= held:
            held = max(held, stop)
            assert backend.ingest(batch).acked == held
        else:
            with pytest.raises(JournalGap) as gap:
                backend.ingest(batch)
            assert gap.value.expected == held
    assert backend.acked(run.key, journal.journal_id) == held
    assert values(backend, run) == [float(n) for n in range(held)]


def test_two_journals_of_one_run_are_merged(run, pen, backend):
    first, second = pen(run), pen(run)
    for step in range(0, 40, 2):
        first.point("loss", float(step), step).send()
        second.point("loss", float(step + 1), step + 1).point("acc", 0.5, step).send()
    assert values(backend, run) == [float(step) for step in range(40)]
    assert len(values(backend, run, "acc")) == 20
    assert backend.get_run(run.key.run_id).metrics["loss"].count == 40


def test_batches_that_race_are_each_stored_once(run, pen, backend):
    journals = [pen(run).points("loss", [float(n)] * 20) for n in range(4)]
    batches = [journal.batch(start, start + 5) for start in (0, 5, 10, 15) for journal in journals] * 3

    def send(batch: Batch) -> None:
        with contextlib.suppress(JournalGap):
            backend.ingest(batch)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(send, batches))
    for journal in journals:
        backend.ingest(journal.batch(held, 20)) if (held := backend.acked(run.key, journal.journal_id)) < 20 else None
    assert sorted(values(backend, run)) == sorted(float(n) for n in range(4) for _ in range(20))


def test_a_journal_belongs_to_one_run(make_run, pen, backend):
    first, second = make_run(), make_run()
    journal = pen(first).points("loss", [1.0, 2.0, 3.0])
    backend.ingest(journal.batch(0, 2))
    for start, stop in ((0, 2), (2, 3), (0, 3)):
        data = bytes(journal.data[start * slots.SLOT : stop * slots.SLOT])
        with pytest.raises(MlfoundryError):
            backend.ingest(Batch(second.key, journal.journal_id, start, stop, data, journal.names))
    assert values(backend, second) == []
    assert backend.acked(second.key, journal.journal_id) == 0
    assert backend.acked(first.key, journal.journal_id) == 2


def _pushing(pen, run, backend, content="c"):
    """Return a pen whose journal takes the place of the push before."""
    before = backend.get_facts(run.key).get("tracker.carrying")
    return pen(run).document({"kind": "carrying", "before": before, "content": content})


def test_what_is_still_on_its_way_of_a_push_is_not_taken_once_another_has_begun(run, pen, backend):
    first, never_arrived = _pushing(pen, run, backend), _pushing(pen, run, backend)
    first.send()
    first.points("loss", [1.0, 2.0]).send()
    late = first.points("loss", [3.0]).batch(first.sent, first.tail)
    second = _pushing(pen, run, backend)
    second.send()
    second.points("loss", [3.0]).send()
    with pytest.raises(JournalGap, match="up to slot 0"):
        backend.ingest(late)
    for beginning in (first.batch(0, first.tail), never_arrived.batch(0, never_arrived.tail)):
        with pytest.raises(JournalReplaced, match="another push of it has begun meanwhile; push again when"):
            backend.ingest(beginning)
    assert backend.acked(run.key, first.journal_id) == 0
    assert sorted(values(backend, run)) == [1.0, 2.0, 3.0]
    assert backend.ingest(second.batch(0, 3)).acked == second.tail, "its own beginning may come twice"


def test_of_pushes_that_begin_at_once_one_does(run, pen, backend):
    _pushing(pen, run, backend).send()
    pens = [_pushing(pen, run, backend, f"content {number}").points("loss", [float(number)]) for number in range(6)]

    def begin(journal) -> bool:
        try:
            return journal.send().acked == journal.tail
        except JournalReplaced:
            return False

    with ThreadPoolExecutor(6) as threads:
        begun = list(threads.map(begin, pens))
    assert begun.count(True) == 1
    number = begun.index(True)
    assert values(backend, run) == [float(number)]
    assert backend.get_facts(run.key)["tracker.carrying"] == f"{pens[number].journal_id:016x} content {number}"


@pytest.mark.parametrize(
    "content",
    [
        {"kind": "carrying", "before": 7, "content": "c"},
        {"kind": "carrying", "before": None, "content": "c" * 1000},
        {"kind": "carrying", "before": None},
        {"kind": "carried", "values": {"tracker.carrying": "0000000000000007 c"}},
        {"kind": "facts", "values": {"tracker.carrying": "0000000000000007 c"}},
    ],
)
def test_which_push_carries_a_run_is_said_by_the_beginning_of_a_push_alone(run, pen, backend, content):
    living = pen(run).points("loss", [1.0])
    living.send()
    pen(run).document(content).send()
    assert "tracker.carrying" not in backend.get_facts(run.key)
    assert backend.get_facts(run.key)["tracker.refused_records"] == "1"
    assert backend.acked(run.key, living.journal_id) == 1


def test_a_batch_for_a_run_that_is_not_there_is_refused(run, pen, backend):
    journal = pen(run).point("loss", 1.0)
    nowhere = Batch(RunKey(run.key.project_id, "e" * 32), journal.journal_id, 0, 1, bytes(journal.data), journal.names)
    with pytest.raises(RunNotFound, match=r"no run e{32} that 'ann' may see"):
        backend.ingest(nowhere)


def test_a_batch_for_a_deleted_run_is_refused_until_the_run_is_restored(run, pen, backend):
    journal = pen(run).point("loss", 1.0)
    backend.delete_run(run.key)
    with pytest.raises(RunDeleted, match=r"was deleted; what is logged to it is not stored\. Restore the run"):
        journal.send()
    backend.restore_run(run.key)
    assert backend.ingest(journal.batch(0, 1)).acked == 1
    assert values(backend, run) == [1.0]


def test_a_batch_of_a_removed_member_is_refused_and_taken_again_once_it_is_back(run, pen, backends, backend):
    backend.set_permission(run.key.project_id, "bob", Permission.WRITE, new=True)
    journal = pen(run, backends("bob")).point("loss", 1.0)
    journal.send()
    backend.remove_collaborator(run.key.project_id, "bob")
    journal.point("loss", 2.0, 1)
    with pytest.raises(RunNotFound):
        journal.send()
    backend.set_permission(run.key.project_id, "bob", Permission.READ, new=True)
    with pytest.raises(PermissionDenied, match="has READ on ann/iris; this needs WRITE"):
        journal.backend.ingest(journal.batch(1, 2))
    backend.set_permission(run.key.project_id, "bob", Permission.WRITE, new=False)
    assert journal.backend.ingest(journal.batch(1, 2)).acked == 2
    assert values(backend, run) == [1.0, 2.0]


def test_damaged_slots_are_left_out_counted_and_acknowledged(run, pen, backend):
    journal = pen(run).points("loss", [float(n) for n in range(10)])
    journal.data[3 * 32 + 20] ^= 1
    journal.data[7 * 32] ^= 0x80
    assert journal.send().acked == 10
    assert values(backend, run) == [0.0, 1.0, 2.0, 4.0, 5.0, 6.0, 8.0, 9.0]
    assert backend.get_facts(run.key)["tracker.damaged_records"] == "2"


def test_a_slot_in_the_wrong_place_is_damage(run, pen, backend):
    journal = pen(run).points("loss", [1.0, 2.0, 3.0])
    journal.data[32:64], journal.data[64:96] = journal.data[64:96], journal.data[32:64]
    journal.send()
    assert values(backend, run) == [1.0]


def test_points_whose_name_nobody_knows_are_counted_as_damaged(run, pen, backend):
    journal = pen(run).points("loss", [1.0, 2.0]).point("acc", 0.5)
    journal.names.pop(1)
    journal.send()
    assert values(backend, run, "acc") == [0.5]
    assert backend.get_facts(run.key)["tracker.damaged_records"] == "2"
    assert backend.list_keys(run.key.project_id, "metric") == ["acc"]


def test_names_that_the_batch_itself_defines_count(run, pen, backend):
    journal = pen(run)
    journal.document({"kind": "keys", "names": {"1": ["loss"]}}).point("loss", 1.0)
    journal.names.clear()
    journal.send()
    assert values(backend, run) == [1.0]


def test_rows_and_rows_with_steps_give_a_column_each(run, pen, backend):
    import struct

    journal = pen(run).row({"loss": 1.0, "acc": 0.1}, 3).row({"loss": 2.0, "acc": 0.2}, 4)
    journal.raw(slots.ROW_WITH_STEPS, struct.pack("<2q2d", 9, -2, 3.0, 0.3), number=1)
    journal.send()
    loss, acc = backend.read_series(SeriesQuery(run.key, ("loss", "acc")))
    assert (loss.steps.tolist(), loss.values.tolist()) == ([3, 4, 9], [1.0, 2.0, 3.0])
    assert (acc.steps.tolist(), acc.values.tolist()) == ([-2, 3, 4], [0.3, 0.1, 0.2])


REFUSED = {
    "an unknown kind": (slots.DOCUMENT, b'{"kind":"from the future"}'),
    "facts that only the store counts": (slots.DOCUMENT, b'{"kind":"facts","values":{"tracker.lost_records":"x"}}'),
    "a project that is no id": (slots.DOCUMENT, b'{"kind":"created","project_id":"5"}'),
    "params without values": (slots.DOCUMENT, b'{"kind":"params"}'),
    "params without types": (slots.DOCUMENT, b'{"kind":"params","values":{"a":5}}'),
    "a param of an unknown type": (slots.DOCUMENT, b'{"kind":"params","values":{"a":["date","xyz"]}}'),
    "a param with a NUL": (slots.DOCUMENT, b'{"kind":"params","values":{"a":["str","x\\u0000"]}}'),
    "a param with half a surrogate": (slots.DOCUMENT, b'{"kind":"params","values":{"a":["str","\\ud800"]}}'),
    "a param without a legal name": (slots.DOCUMENT, b'{"kind":"params","values":{"a\\nb":["str","x"]}}'),
    "a tag that is no text": (slots.DOCUMENT, b'{"kind":"tags","values":{"a":{"b":1}}}'),
    "a tag without a legal name": (slots.DOCUMENT, b'{"kind":"tags","values":{"":"x"}}'),
    "facts that are no mapping": (slots.DOCUMENT, b'{"kind":"facts","values":["a"]}'),
    "a description that is no text": (slots.DOCUMENT, b'{"kind":"description","text":5}'),
    "a number of lost records that is none": (slots.DOCUMENT, b'{"kind":"lost","count":"many"}'),
    "a count of the store's own that is none": (
        slots.DOCUMENT,
        b'{"kind":"carried","values":{"tracker.lost_records":"many"}}',
    ),
    "a fact that is not the store's own, carried": (slots.DOCUMENT, b'{"kind":"carried","values":{"git":"abc"}}'),
    "keys without numbers": (slots.DOCUMENT, b'{"kind":"keys","names":{"x":["loss"]}}'),
    "keys that are no lists": (slots.DOCUMENT, b'{"kind":"keys","names":{"1":5}}'),
    "an unknown end": (slots.DOCUMENT, b'{"kind":"end","status":"EXPLODED"}'),
    "an end that is none": (slots.DOCUMENT, b'{"kind":"end","status":"RUNNING"}'),
    "an end after too long a time": (
        slots.DOCUMENT,
        b'{"kind":"end","status":"FINISHED","elapsed_us":1180591620717411303424}',
    ),
    "an end before the beginning": (slots.DOCUMENT, b'{"kind":"end","status":"FINISHED","elapsed_us":-1}'),
    "an end after no number": (slots.DOCUMENT, b'{"kind":"end","status":"FINISHED","elapsed_us":"5"}'),
}


NO_DOCUMENTS = {
    "no kind": (slots.DOCUMENT, b"{}"),
    "no object": (slots.DOCUMENT, b"[1]"),
    "a number": (slots.DOCUMENT, b"5"),
    "a kind that is no text": (slots.DOCUMENT, b'{"kind":["params"]}'),
    "no JSON": (slots.DOCUMENT, b"{nope"),
    "no UTF-8": (slots.DOCUMENT, b'{"kind":"\xff"}'),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_document_that_cannot_be_applied_is_set_aside_counted_and_kept_and_its_neighbours_stored(
    run, pen, backend, kind
):
    journal = pen(run).point("loss", 1.0).tags(a="b").raw(*REFUSED[kind]).params(c=("int", "1")).point("loss", 2.0, 1)
    assert journal.send().acked == journal.tail
    stored, facts = backend.get_run(run.key.run_id), backend.get_facts(run.key)
    assert (stored.tags, stored.params, stored.description, stored.status.value) == (
        {"a": "b"},
        {"c": 1},
        "",
        "RUNNING",
    )
    assert values(backend, run) == [1.0, 2.0]
    assert facts.keys() == {"tracker.refused_records", "tracker.refused"}
    assert facts["tracker.refused_records"] == "1"
    kept = json.loads(facts["tracker.refused"])
    assert kept["content"] == json.loads(REFUSED[kind][1])
    assert kept["content"]["kind"] in kept["reason"]
    assert len(kept["reason"]) > 20


def test_documents_that_are_set_aside_in_several_batches_are_counted_together_and_each_is_kept(run, pen, backend):
    for number in range(3):
        pen(run).document({"kind": "tomorrow", "number": number}).document({"kind": "tags", "values": number}).send()
    facts = backend.get_facts(run.key)
    assert facts["tracker.refused_records"] == "6"
    kept = [json.loads(line)["content"] for line in facts["tracker.refused"].split("\n")]
    assert [each["number"] for each in kept if each["kind"] == "tomorrow"] == [0, 1, 2]
    assert [each["values"] for each in kept if each["kind"] == "tags"] == [0, 1, 2]


def test_a_batch_with_a_refused_document_is_counted_once_however_often_it_comes(run, pen, backend):
    journal = pen(run).document({"kind": "tomorrow"})
    journal.send()
    backend.ingest(journal.batch(0, journal.tail))
    assert backend.get_facts(run.key)["tracker.refused_records"] == "1"


def test_what_is_set_aside_is_counted_when_there_is_no_more_room_to_keep_it(run, pen, backend):
    for _ in range(3):
        pen(run).document({"kind": "tomorrow", "text": "x" * 400_000}).send()
    facts = backend.get_facts(run.key)
    assert facts["tracker.refused_records"] == "3"
    assert len(facts["tracker.refused"]) < 1 << 20
    assert facts["tracker.refused"].count("\n") == 1


HUGE = "9" * 5_000
DEEP = "[" * 3_000 + "]" * 3_000


@pytest.mark.parametrize(
    ("type_", "text"),
    [("int", "xyz"), ("int", HUGE), ("float", "xyz"), ("bool", "perhaps"), ("json", "{"), ("json", DEEP),
     ("json", f"[{HUGE}]"), ("none", "nothing")],
    ids=["no int", "a long int", "no float", "no bool", "no JSON", "deep JSON", "a long int in JSON", "no None"],
)  # fmt: skip
def test_a_param_that_no_process_can_read_is_stored_and_comes_back_as_its_text(run, pen, backend, type_, text):
    pen(run).params(strange=(type_, text), good=("int", "1")).end().send()
    record = backend.get_run(run.key.run_id)
    assert record.params == {"strange": text, "good": 1}
    page = backend.search_runs(RunQuery(run.key.project_id, "params.good = 1"))
    assert [each.params for each in page.runs] == [record.params]
    assert backend.get_facts(run.key) == {}


@pytest.mark.parametrize("kind", NO_DOCUMENTS)
def test_a_document_that_is_none_is_damage_and_its_neighbours_are_stored(run, pen, backend, kind):
    journal = pen(run).point("loss", 1.0).raw(*NO_DOCUMENTS[kind]).point("loss", 2.0, 1)
    journal.send()
    assert values(backend, run) == [1.0, 2.0]
    assert int(backend.get_facts(run.key)["tracker.damaged_records"]) == journal.tail - 2


def test_a_record_of_a_newer_format_refuses_the_batch_so_that_its_journal_is_kept(run, pen, backend):
    journal = pen(run).point("loss", 1.0).tags(a="b").raw(slots.HIGH | 9, b"whatever it is").point("loss", 2.0, 1)
    with pytest.raises(JournalUnreadable, match=r"record of kind 'record 9'.*Upgrade MLFoundry.*the journal is kept"):
        journal.send()
    assert backend.acked(run.key, journal.journal_id) == 0
    assert values(backend, run) == []
    assert backend.get_run(run.key.run_id).tags == {}
    assert backend.list_keys(run.key.project_id, "metric") == []


@pytest.mark.parametrize("length", [0, 1, 4, 12, 15, 23])
@pytest.mark.parametrize("kind", [slots.ROW, slots.ROW_WITH_STEPS])
def test_a_row_of_an_odd_length_is_damage_and_its_neighbours_are_stored(run, pen, backend, kind, length):
    journal = pen(run).point("loss", 1.0).raw(kind, b"x" * length, number=1).point("loss", 2.0, 1)
    try:
        journal.send()
    except JournalUnreadable:
        assert values(backend, run) == []
    else:
        assert values(backend, run) == [1.0, 2.0]


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 251, "\u202egnp", "a\0b"])
def test_points_of_a_metric_whose_name_is_not_legal_are_counted_and_the_others_stored(run, pen, backend, name):
    pen(run).point("loss", 1.0).point(name, 2.0).points(name, [3.0, 4.0]).send()
    assert backend.list_keys(run.key.project_id, "metric") == ["loss"]
    assert values(backend, run) == [1.0]
    assert backend.get_facts(run.key)["tracker.refused_records"] == "3"


@pytest.mark.parametrize("at_us", [-(2**63), 2**63 - 1, 253_402_300_800_000_000, -62_135_596_800_000_001])
def test_points_of_a_time_that_no_calendar_has_are_counted_and_the_others_stored(run, pen, backend, at_us):
    journal = pen(run).point("loss", 1.0).point("loss", 2.0, 1, at_us).point("loss", 3.0, 2).point("acc", 0.5, 0, at_us)
    journal.send()
    assert values(backend, run) == [1.0, 3.0]
    assert backend.get_facts(run.key) == {"tracker.refused_records": "2"}
    assert backend.list_keys(run.key.project_id, "metric") == ["loss"]


@pytest.mark.parametrize(
    ("start", "stop", "size"),
    [(0, 10, 0), (0, 2, 3), (0, 3, 2), (3, 0, 0), (2, 1, 0), (-1, 0, 1), (-2, -1, 1), (0, 0, 1)],
)
def test_a_batch_whose_data_is_not_as_long_as_it_says_is_refused(run, pen, backend, start, stop, size):
    journal = pen(run).points("loss", [1.0, 2.0, 3.0])
    data = bytes(journal.data[: size * 32])
    with pytest.raises((InvalidInput, JournalUnreadable)):
        backend.ingest(Batch(run.key, journal.journal_id, start, stop, data, journal.names))
    assert backend.acked(run.key, journal.journal_id) == 0
    journal.send()
    with pytest.raises((InvalidInput, JournalUnreadable)):
        backend.ingest(Batch(run.key, journal.journal_id, 3, 1, b"", journal.names))
    assert backend.acked(run.key, journal.journal_id) == 3, "what is acknowledged stays so"


@pytest.mark.parametrize("journal_id", [-1, 2**63, 2**64])
def test_a_number_that_is_no_journal_is_refused(run, backend, journal_id):
    with pytest.raises((InvalidInput, JournalUnreadable)):
        backend.ingest(Batch(run.key, journal_id, 0, 0, b"", {}))


def test_an_empty_batch_is_a_sign_of_life(run, pen, backend):
    journal = pen(run).point("loss", 1.0)
    journal.send()
    before = backend.get_run(run.key.run_id).last_seen_at
    assert backend.ingest(journal.batch(1, 1)).acked == 1
    assert backend.get_run(run.key.run_id).last_seen_at > before
    assert values(backend, run) == [1.0]


def test_only_an_answer_to_settle_says_that_it_is_settled(run, pen):
    journal = pen(run).point("loss", 1.0)
    assert journal.send() == Acknowledgement(acked=1, settled=0)
    assert journal.point("loss", 2.0, 1).send(settle=True) == Acknowledgement(acked=2, settled=2)
    assert journal.send(settle=True) == Acknowledgement(acked=2, settled=2)


def test_data_that_comes_after_the_end_is_stored_all_the_same(run, pen, backend):
    pen(run).point("loss", 1.0).end().send()
    pen(run).point("loss", 2.0, 1).send()
    assert values(backend, run) == [1.0, 2.0]
    assert backend.get_run(run.key.run_id).status.value == "FINISHED"


def test_what_another_store_counted_is_carried_over_once_and_counted_on(run, pen, backend):
    carried = {"tracker.lost_records": "5", "tracker.refused": "why"}
    for _ in range(2):
        pen(run).document({"kind": "carried", "values": carried}).send()
    pen(run).document({"kind": "lost", "count": 2}).send()
    facts = backend.get_facts(run.key)
    assert (facts["tracker.lost_records"], facts["tracker.refused"]) == ("7", "why")


def test_records_that_were_lost_are_counted_together(run, pen, backend):
    for count in (3, 4):
        pen(run).document({"kind": "lost", "count": count}).send()
    assert backend.get_facts(run.key)["tracker.lost_records"] == "7"


@pytest.mark.parametrize("seed", range(3))
def test_a_batch_of_any_bytes_is_an_error_of_ours_or_stored(run, pen, backend, seed):
    import random

    chance = random.Random(seed)
    for _ in range(60):
        journal = pen(run).points("loss", [1.0] * 4).row({"a": 1.0, "b": 2.0}).tags(a="b")
        for _ in range(chance.randrange(1, 30)):
            journal.data[chance.randrange(len(journal.data))] = chance.randrange(256)
        assert journal.send().acked == journal.tail
    for kind in (slots.DOCUMENT, slots.ROW, slots.ROW_WITH_STEPS, slots.HIGH | 7):
        for _ in range(20):
            with contextlib.suppress(JournalUnreadable):
                pen(run).raw(kind, chance.randbytes(chance.randrange(80)), number=chance.randrange(3)).send()
    backend.get_run(run.key.run_id)
