"""Damaged journals through recovery: what is intact is stored, the damage is said and counted."""

from __future__ import annotations

import io
import json
import logging
import os
import struct

import left_journals
import pytest

from mlfoundry import slots
from mlfoundry.journal import Journal
from mlfoundry.journal.folder import parse_folder
from mlfoundry.journal.reader import LeftJournal
from mlfoundry.journal.segment import Segment
from mlfoundry.journal.spool import Spool
from mlfoundry.records import RunStatus
from mlfoundry.store import points


def recover(look, store, caplog):
    with caplog.at_level(logging.WARNING, "mlfoundry"):
        seen = look(store)
    assert seen.left == 0
    seen.check()
    return seen


def test_a_damaged_journal_is_stored_but_for_the_damage_which_is_said_and_counted(look, store, caplog):
    folder = left_journals.leave_journal(store / "journals", 300)
    (file,) = folder.glob("*.seg")
    data, preamble = bytearray(file.read_bytes()), Segment.parse_name(file.name)[2] * left_journals.SLOT
    records = list(left_journals.records_of(bytes(data), preamble))
    first, stop, _, _ = records[100]
    data[first + 5] ^= 0x10
    file.write_bytes(data)
    seen = recover(look, store, caplog)
    slots_lost = (stop - first) // left_journals.SLOT
    assert f"damaged from slot {(first - preamble) // left_journals.SLOT} on ({slots_lost} of its" in caplog.text
    run = seen.run()
    assert run.get_facts()["tracker.damaged_records"] == str(slots_lost)
    assert run.status is RunStatus.KILLED
    points, params, names = left_journals.told_by([r for r in records if r[0] != first])
    metrics = run.get_metrics()
    expected = sorted((names[number][column], step, bits) for number, column, step, bits in points)
    found = sorted(
        (key, int(step), struct.unpack("<Q", value.tobytes())[0])
        for key in metrics
        for step, value in zip(metrics[key].steps, metrics[key].values, strict=True)
    )
    assert found == expected
    assert run.get_params() == {name: int(text) for name, (_, text) in params.items()}


def test_points_whose_key_is_unknown_for_damage_are_counted_and_not_invented(look, store, caplog):
    folder = left_journals.leave_journal(store / "journals", 300)
    (file,) = folder.glob("*.seg")
    data, preamble = bytearray(file.read_bytes()), Segment.parse_name(file.name)[2] * left_journals.SLOT
    records = list(left_journals.records_of(bytes(data), preamble))
    definitions = [r for r in records if b'"kind":"keys"' in r[3] and b'["key1"]' in r[3]]
    assert len(definitions) == 2
    for first, *_ in definitions:
        data[first + 40] ^= 1
    file.write_bytes(data)
    points, _, names = left_journals.told_by(records)
    nameless = sum(names[number][column] == "key1" for number, column, _, _ in points)
    seen = recover(look, store, caplog)
    slots_lost = sum((stop - first) // left_journals.SLOT for first, stop, _, _ in definitions)
    assert "key1" not in seen.run().get_metrics()
    assert seen.run().get_facts()["tracker.damaged_records"] == str(slots_lost + nameless)


@pytest.mark.parametrize("place", [0, 2])
def test_a_missing_segment_is_said_and_counted(look, store, caplog, small_segments, place):
    small_segments(32, 48, 64)
    folder = left_journals.leave_journal(store / "journals", 300)
    files = sorted(folder.glob("*.seg"))
    base, following = (Segment.parse_name(file.name)[0] for file in files[place : place + 2])
    expected = left_journals.told_by(left_journals.intact_records(files, without=[files[place]]))[0]
    files[place].unlink()
    seen = recover(look, store, caplog)
    assert sum(len(points.values) for points in seen.run().get_metrics().values()) == len(expected)
    assert f"damaged from slot {base} on" in caplog.text
    assert seen.run().get_facts()["tracker.damaged_records"] == str(following - base)


@pytest.mark.parametrize("length", [0, 10, 40, 200, 500, 2000])
def test_a_cut_journal_is_recovered_without_an_error(look, store, caplog, length):
    folder = left_journals.leave_journal(store / "journals", 30)
    (file,) = folder.glob("*.seg")
    preamble = Segment.parse_name(file.name)[2] * left_journals.SLOT
    data = file.read_bytes()[: length + preamble]
    points = left_journals.told_by(
        r for r in left_journals.records_of(file.read_bytes(), preamble) if r[1] <= len(data)
    )[0]
    file.write_bytes(data)
    seen = recover(look, store, caplog)
    if length > 100:  # something is left
        assert sum(len(each.values) for each in seen.run().get_metrics().values()) == len(points)
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("copies", [1, 2])
def test_a_journal_whose_origin_is_damaged_is_stored_or_kept_and_never_deleted(look, store, caplog, copies):
    folder = left_journals.leave_journal(store / "journals", 30)
    (file,) = folder.glob("*.seg")
    data, preamble = bytearray(file.read_bytes()), Segment.parse_name(file.name)[2] * left_journals.SLOT
    points = left_journals.told_by(left_journals.records_of(bytes(data), preamble))[0]
    for first, *_ in list(left_journals.records_of(bytes(data[:preamble])))[:copies]:
        data[first + 50] ^= 1
    file.write_bytes(data)
    seen = recover(look, store, caplog)
    if copies == 1:
        assert sum(len(each.values) for each in seen.run().get_metrics().values()) == len(points)
    else:
        assert [path for path in (store / "journals").rglob("*.seg") if path.read_bytes() == bytes(data)]
        assert folder.name in caplog.text


def test_a_member_whose_origin_is_damaged_does_not_end_the_run_of_a_living_owner(client, start, store):
    run = client.create_run("p", "x", log_system_metrics=False, capture=False)
    run.flush()
    folder = store / "journals" / f"{run.run_id}.{7:016x}"
    folder.mkdir(mode=0o700)
    (folder / "lock").touch(mode=0o600)
    recovery_elsewhere = start("recovers.py", store)
    assert recovery_elsewhere.rest().startswith("begins\ndone")
    assert client.get_run(run.run_id).status is RunStatus.RUNNING
    run.end()
    assert client.get_run(run.run_id).status is RunStatus.FINISHED


def test_what_a_killed_recovery_left_of_a_stored_journal_disappears(look, store):
    folder = left_journals.leave_journal(store / "journals", 30)
    (folder / "lock").unlink()  # deleting the folder began with it
    hidden = store / "journals" / f".{left_journals.RUN_ID}.{9:016x}"
    hidden.mkdir(mode=0o700)
    os.utime(hidden, (0, 0))  # its process died long ago
    look(store)
    assert [path.name for path in (store / "journals").iterdir() if path.name != "parked"] == []


def test_the_check_of_a_series_tells_of_a_chunk_that_is_gone(client, store):
    """The check that the other fault tests lean on is itself able to fail."""
    with client.create_run("p", "x", log_system_metrics=False, capture=False) as run:
        run.log_metrics({"a": 1.0})
    key = client.get_run(run.run_id).record.key
    with client.backend.database.write() as tx:
        assert points.verify(tx, key) == []
        tx.run("DELETE FROM chunk WHERE project_id = ?", (key.project_id,))
        assert points.verify(tx, key) != []


# -- one strange thing beside good ones ----------------------------------------------------------


def add_record(folder, kind, payload):
    """Write one more record of a dead process at the end of its journal."""
    left = LeftJournal(folder, *parse_folder(folder.name), -1)
    (file,) = folder.glob("*.seg")
    base, _, preamble = Segment.parse_name(file.name)
    data = bytearray(file.read_bytes())
    place = (preamble + left.tail - base) * left_journals.SLOT
    start = slots.seed(left.journal_id) + left.tail
    record = slots.record(kind, 0, 0, left_journals.origin()["started_at_us"], payload, start)
    data[place : place + len(record)] = record
    file.write_bytes(data)


def count_points(folder):
    return len(left_journals.told_by(left_journals.intact_records(sorted(folder.glob("*.seg"))))[0])


def count_stored(seen):
    return sum(len(each.values) for each in seen.run().get_metrics().values())


def test_a_bad_file_beside_a_journal_holds_up_neither_the_journal_nor_the_other_files(look, store, caplog):
    folder = left_journals.leave_journal(store / "journals", 300)
    points = count_points(folder)
    spool = Spool(folder)
    spool.put("plots/before.txt", io.BytesIO(b"before"))
    for name, told in (("1", '{"path":"../../evil"}'), ("2", "[1]"), ("3", '{"path":5}'), ("4", '{"path":"gone.txt"}')):
        (folder / "spool" / f"{name}.json").write_text(told)
        if name != "4":
            (folder / "spool" / f"{name}.data").write_text("precious")
    spool.put("after.txt", io.BytesIO(b"after"))
    spool.put("plots", io.BytesIO(b"a file where a folder is"))
    spool.put("last.txt", io.BytesIO(b"last"))
    seen = recover(look, store, caplog)
    assert count_stored(seen) == points
    assert seen.run().status is RunStatus.KILLED
    assert [each.path for each in seen.run().list_artifacts()] == ["after.txt", "last.txt", "plots/before.txt"]
    assert caplog.text.count("A logged file cannot be stored and is kept in") == 5
    assert not folder.exists()
    aside = store / "journals" / "parked" / f"{folder.name}.files"
    contents = sorted(path.read_text() for path in aside.glob("*.data"))
    assert contents == ["a file where a folder is", "precious", "precious", "precious"]
    assert len(list(aside.glob("*.json"))) == 5


@pytest.mark.parametrize(
    "content",
    [
        {"kind": "end", "status": "EXPLODED"},
        {"kind": "created", "project_id": "nonsense"},
        {"kind": "created", "project_id": 1 << 70},
        {"kind": "tomorrow", "data": [1, 2, 3]},
        {"kind": "params", "values": [1]},
    ],
    ids=["end", "text as project", "project too large", "unknown kind", "params"],
)
def test_a_document_that_cannot_be_applied_costs_itself_alone_and_the_run_gets_its_end(look, store, caplog, content):
    folder = left_journals.leave_journal(store / "journals", 100)
    points = count_points(folder)
    add_record(folder, slots.DOCUMENT, json.dumps(content).encode())
    seen = recover(look, store, caplog)
    assert count_stored(seen) == points
    assert seen.run().status is RunStatus.KILLED
    facts = seen.run().get_facts()
    assert facts["tracker.refused_records"] == "1"
    assert json.loads(facts["tracker.refused"])["content"] == content
    assert not folder.exists()


def test_a_record_of_a_newer_format_keeps_its_journal_for_the_newer_version(look, store, caplog):
    folder = left_journals.leave_journal(store / "journals", 100)
    add_record(folder, slots.HIGH | 9, b"whatever it is")
    seen = recover(look, store, caplog)
    assert "Upgrade MLFoundry" in caplog.text
    assert (store / "journals" / "parked" / folder.name).is_dir()
    assert "tracker.refused_records" not in seen.run().get_facts()


@pytest.mark.parametrize("strange", ["folder", "pipe", "link to nowhere"])
def test_what_only_has_the_name_of_a_segment_holds_up_nothing(look, store, caplog, strange):
    folder = left_journals.leave_journal(store / "journals", 100)
    points = count_points(folder)
    place = folder / f"{5:016x}-{9:08x}-3.seg"
    if strange == "folder":
        place.mkdir()
    elif strange == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to("nowhere")
    seen = recover(look, store, caplog)
    assert count_stored(seen) == points
    assert not folder.exists()


@pytest.mark.parametrize(
    "more",
    [{"started_at_us": "noon"}, {"user": 5}, {"owner": ["x"]}, {"tags": [1]}, {"project_id": "x"}, {"uri": None}],
)
def test_an_origin_of_nonsense_is_none_and_its_journal_is_kept(look, store, caplog, more):
    journal = Journal(store / "journals", left_journals.origin(**more))
    journal.log({"a": 1.0}, None)
    folder = journal.folder
    journal.close(settled=False)
    recover(look, store, caplog)
    assert "It is not known where the journal belongs" in caplog.text
    assert "Traceback" not in caplog.text
    assert list((store / "journals" / "parked" / folder.name).glob("*.seg"))


def test_journals_after_one_that_cannot_be_put_aside_are_stored(look, store, caplog):
    journal = Journal(store / "journals", left_journals.origin(run_id="0" * 32, owner=["x"]))
    journal.log({"a": 1.0}, None)
    journal.close(settled=False)
    left_journals.leave_journal(store / "journals", 30)
    (store / "journals" / "parked").write_text("in the way")
    with caplog.at_level(logging.WARNING, "mlfoundry"):
        seen = look(store)
    assert seen.run().status is RunStatus.KILLED
    assert journal.folder.exists()


def test_an_origin_that_names_no_user_is_that_of_whoever_recovers_it(look, store, caplog):
    journal = Journal(store / "journals", left_journals.origin(user=None))
    journal.log({"a": 1.0}, None)
    journal.close(settled=False)
    recover(look, store, caplog)
    assert look(store).values("a") == [1.0]
