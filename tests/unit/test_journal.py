"""The journal: what a log call records, how it spreads over files, what is read back, and what is given up when."""

import errno
import os
import platform
import shutil
import signal
import struct
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlfoundry import slots
from mlfoundry.errors import InvalidName, InvalidValue, RunEnded
from mlfoundry.journal import Journal, chain, writer
from mlfoundry.journal.reader import adopt, parse_folder
from mlfoundry.journal.segment import Segment

RUN = "0123456789abcdef" * 2
ORIGIN = {"run_id": RUN, "project_name": "p", "role": "owner", "user": "ann"}


@pytest.fixture
def make(tmp_path):
    """Make journals, and delete what is left of them."""
    made = []

    def journal(root=tmp_path / "journals"):
        made.append(Journal(root, dict(ORIGIN)))
        return made[-1]

    yield journal
    for each in made:
        each.close(settled=True)


@pytest.fixture
def journal(make):
    return make()


@pytest.fixture
def small_segments(monkeypatch):
    """Files of 32 slots, so that a few records fill several."""
    monkeypatch.setattr(chain, "SEGMENT_SLOTS", (32,))


@pytest.fixture
def disk(monkeypatch):
    """A disk that can be full: then no file of slots can be made."""

    class Disk:
        full = False

    class SegmentOnDisk(Segment):
        def __init__(self, path, **how):
            if Disk.full and path is not None:
                raise OSError(errno.ENOSPC, "No space left on device")
            super().__init__(path, **how)

    monkeypatch.setattr(chain, "Segment", SegmentOnDisk)
    monkeypatch.setattr(chain, "RETRY_S", 0.0)
    return Disk


def everything(journal, start=0):
    """All slots from `start` on, taken in as many reads as it needs."""
    data = b""
    while True:
        piece, start = journal.read(start)
        if not piece:
            return data
        data += piece


def decoded(journal):
    found = slots.decode(everything(journal), journal_id=journal.journal_id, first=0)
    assert found.damage == []
    return found


def points(found, names):
    """Key to (step, time, value) of its points in the order of logging."""
    by_key = {}
    for rows in found.rows:
        for column, name in enumerate(names[rows.number]):
            for i, slot in enumerate(rows.order):
                step = rows.steps[i] if rows.steps.ndim == 1 else rows.steps[i][column]
                point = (int(slot), int(step), int(rows.times[i]), float(rows.values[i][column]))
                by_key.setdefault(name, []).append(point)
    return {name: [point[1:] for point in sorted(each)] for name, each in by_key.items()}


def logged(journal):
    return points(decoded(journal), journal.names)


def steps_of(journal):
    return {name: [step for step, _, _ in each] for name, each in logged(journal).items()}


def state(journal):
    """All that a refused call must leave as it was."""
    keys = {
        name: (key.number, key.next if key.holder is None else key.holder.next) for name, key in journal._keys.items()
    }
    return journal.tail, journal.accepted, journal.lost, dict(journal.names), keys


# -- what a log call records ---------------------------------------------------------------------


def test_one_key_is_a_point_of_one_slot(journal):
    journal.log({"loss": 0.5}, 7, 1_000)
    before = journal.tail
    journal.log({"loss": -0.0}, 8, 2_000)
    assert journal.tail == before + 1
    assert logged(journal) == {"loss": [(7, 1_000, 0.5), (8, 2_000, -0.0)]}
    assert struct.pack("<d", logged(journal)["loss"][1][2]) == struct.pack("<d", -0.0)
    assert journal.accepted == 2


def test_several_keys_are_one_row_with_one_step(journal):
    metrics = {f"k{i}": float(i) for i in range(20)}
    journal.log(metrics, None, 5)
    before = journal.tail
    journal.log(metrics, None, 6)
    assert journal.tail == before + 6  # a header and 160 bytes
    assert logged(journal) == {f"k{i}": [(0, 5, float(i)), (1, 6, float(i))] for i in range(20)}
    assert journal.accepted == 40


def test_keys_at_different_steps_share_a_row_that_tells_each_ones_step(journal):
    journal.log({"a": 1.0}, 41)
    journal.log({"a": 2.0, "b": 3.0}, None)
    assert steps_of(journal) == {"a": [41, 42], "b": [0]}
    assert any(rows.steps.ndim == 2 for rows in decoded(journal).rows)


def test_keys_in_another_order_are_the_same_keys(journal):
    journal.log({"a": 1.0, "b": 2.0}, None, 0)
    journal.log({"b": 3.0, "a": 4.0}, None, 0)
    assert logged(journal) == {"a": [(0, 0, 1.0), (1, 0, 4.0)], "b": [(0, 0, 2.0), (1, 0, 3.0)]}


def test_more_than_a_thousand_key_sets_are_kept_point_by_point(journal, monkeypatch):
    monkeypatch.setattr(writer, "SET_LIMIT", 3)
    for i in range(8):
        journal.log({"always": float(i), f"k{i}": 1.0}, None, i)
    journal.log({"always": 8.0, "k0": 2.0}, None, 8)
    journal.log({"always": 9.0, "k7": 2.0}, 100, 9)
    found = logged(journal)
    assert [step for step, _, _ in found["always"]] == [*range(9), 100]
    assert found["k0"] == [(0, 0, 1.0), (1, 8, 2.0)]
    assert found["k7"] == [(0, 7, 1.0), (100, 9, 2.0)]
    assert journal.accepted == 20
    assert sum(len(names) > 1 for names in journal.names.values()) == 3


def test_the_limit_of_key_sets_is_a_thousand(journal):
    assert writer.SET_LIMIT == 1_000


def test_without_a_time_it_is_now(journal, monkeypatch):
    monkeypatch.setattr(writer, "time_ns", lambda: 1_700_000_000_123_456_789)
    journal.log({"a": 1.0}, None)
    journal.log({"a": 1.0, "b": 1.0}, None)
    assert {at for each in logged(journal).values() for _, at, _ in each} == {1_700_000_000_123_456}


def test_an_empty_mapping_records_nothing(journal):
    journal.log({}, None)
    assert (journal.tail, journal.accepted, journal.names) == (0, 0, {})


def test_values_are_converted_wherever_they_stand(journal):
    values = {"i": 1, "b": True, "n": np.float32(0.5), "z": np.array([2]), "f": 0.25}
    for name, value in values.items():
        journal.log({name: value}, np.int64(3), 0)
    journal.log(values, np.int64(4), 0)
    assert logged(journal) == {
        name: [(3, 0, kept), (4, 0, kept)] for name, kept in zip("ibnzf", (1.0, 1.0, 0.5, 2.0, 0.25), strict=True)
    }


def test_names_of_one_normal_form_are_one_key(journal):
    journal.log({"\u00e9": 1.0}, None, 0)
    journal.log({"e\u0301": 2.0}, None, 0)
    journal.log({"e\u0301": 3.0, "x": 0.0}, None, 0)
    assert logged(journal)["\u00e9"] == [(0, 0, 1.0), (1, 0, 2.0), (2, 0, 3.0)]


def test_what_a_number_means_stands_twice_before_its_first_use(journal):
    journal.log({"a": 1.0, "b": 2.0}, None)
    meanings = [d.content["names"] for d in decoded(journal).documents if d.content["kind"] == "keys"]
    assert meanings == [{"1": ["a"]}] * 2 + [{"2": ["b"]}] * 2 + [{"3": ["a", "b"]}] * 2


def test_system_metrics_have_their_own_names_and_steps(journal):
    journal.log_system({"system/cpu": 0.5, "system/memory": 1.0})
    journal.log_system({"system/cpu": 0.6})
    assert steps_of(journal) == {"system/cpu": [0, 1], "system/memory": [0]}


@pytest.mark.parametrize("others", [{}, {"mine": 1.0}])
def test_nobody_else_logs_to_a_system_metric_also_when_it_is_known(journal, others):
    journal.log_system({"system/cpu": 0.5})
    before = state(journal)
    with pytest.raises(InvalidName, match="'system/', which is kept for system metrics"):
        journal.log({"system/cpu": 0.6, **others}, None)
    assert state(journal) == before


def test_threads_that_log_at_once_lose_and_repeat_nothing(journal, small_segments):
    def log(name):
        for i in range(200):
            journal.log({name: float(i)}, None)
            journal.log({name: float(i), "shared": 0.0}, None)

    threads = [threading.Thread(target=log, args=(f"t{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = logged(journal)
    assert [value for _, _, value in found["t0"]] == [float(i) for i in range(200) for _ in range(2)]
    assert all([step for step, _, _ in found[f"t{i}"]] == list(range(400)) for i in range(4))
    assert [step for step, _, _ in found["shared"]] == list(range(800))
    assert journal.accepted == 4 * 600


# -- steps ---------------------------------------------------------------------------------------


def test_each_key_counts_up_by_itself_from_zero(journal):
    journal.log({"a": 1.0}, None)
    journal.log({"a": 1.0, "b": 1.0}, None)
    journal.log({"b": 1.0}, None)
    journal.log({"b": 1.0, "c": 1.0}, None)
    assert steps_of(journal) == {"a": [0, 1], "b": [0, 1, 2], "c": [0]}


def test_an_explicit_step_moves_the_count_on_and_a_late_one_does_not_move_it_back(journal):
    for step in (None, 10, None, 3, None, 11, 11, None, -5, None):
        journal.log({"a": 1.0}, step)
    assert steps_of(journal) == {"a": [0, 10, 11, 3, 12, 11, 11, 13, -5, 14]}


def test_a_negative_step_first_leaves_the_count_at_zero(journal):
    journal.log({"a": 1.0}, -(2**63))
    journal.log({"a": 1.0}, None)
    assert steps_of(journal) == {"a": [-(2**63), 0]}


def test_the_greatest_step_is_kept_and_then_one_must_be_given(journal):
    journal.log({"a": 1.0}, 2**63 - 1)
    journal.log({"a": 1.0, "b": 1.0}, 2**63 - 1)
    for metrics in ({"a": 1.0}, {"a": 1.0, "b": 1.0}, {"b": 1.0, "a": 1.0}):
        journal.log(dict.fromkeys(metrics, 0.0), 5)
        before = state(journal)
        with pytest.raises(
            InvalidValue, match=r"^metric '[ab]' has reached the greatest step there is, 2\*\*63 - 1; give"
        ):
            journal.log(metrics, None)
        assert state(journal) == before
    journal.log({"a": 1.0}, 7)
    assert steps_of(journal)["a"][-1] == 7


KEYS = ("a", "b", "c", "d")
calls = st.lists(
    st.tuples(
        st.lists(st.sampled_from(KEYS), min_size=1, max_size=4, unique=True),
        st.none() | st.integers(-3, 12) | st.sampled_from([2**62, -(2**63)]),
    ),
    max_size=40,
)


@given(calls)
def test_steps_of_any_interleaving_are_those_of_a_plain_count(sequence):
    journal = Journal(None, dict(ORIGIN))
    expected, following = {}, dict.fromkeys(KEYS, 0)
    try:
        for number, (names, step) in enumerate(sequence):
            journal.log({name: float(number) for name in names}, step, number)
            for name in names:
                own = following[name] if step is None else step
                following[name] = max(following[name], own + 1)
                expected.setdefault(name, []).append((own, number, float(number)))
        assert logged(journal) == expected
        assert journal.accepted == sum(len(each) for each in expected.values())
    finally:
        journal.close(settled=True)


# -- wrong use -----------------------------------------------------------------------------------

WRONG = [
    ({"loss": "x"}, None, InvalidValue),
    ({"loss": 1.0, "new": None}, None, InvalidValue),
    ({"new": "x"}, None, InvalidValue),
    ({"loss": 1.0}, 1.5, InvalidValue),
    ({"loss": 1.0}, 2**63, InvalidValue),
    ({"loss": 1.0, "other": 1.0}, 2**63, InvalidValue),
    ({"other": 1.0, "loss": 1.0}, -(2**63) - 1, InvalidValue),
    ({"new": 1.0}, 2**63, InvalidValue),
    ({"new": 1.0, "newer": 1.0}, 10**5000, InvalidValue),
    ({"loss": 1.0}, 10**5000, InvalidValue),
    ({"": 1.0}, None, InvalidName),
    ({"loss": 1.0, "new": 1.0, "b\0d": 1.0}, None, InvalidName),
    ({"new": 1.0, 5: 1.0}, None, InvalidName),
    ({"system/cpu": 1.0}, None, InvalidName),
    ({"new": 1.0, "system/cpu": 1.0}, None, InvalidName),
    ({"\u00e9": 1.0, "e\u0301": 1.0}, None, InvalidValue),
    ({"loss": 1.0, "new": 1.0, "x" * 251: 1.0}, None, InvalidName),
]


@pytest.mark.parametrize(
    ("metrics", "step", "error"), WRONG, ids=lambda value: "step" if isinstance(value, int) else ascii(value)[:30]
)
@pytest.mark.parametrize("in_a_set", [False, True], ids=["alone", "in a set"])
def test_wrong_use_raises_before_anything_of_the_call_is_recorded(journal, metrics, step, error, in_a_set):
    journal.log({"loss": 1.0}, 5)
    if in_a_set:
        journal.log({"loss": 1.0, "other": 1.0}, 5)
    before = state(journal)
    with pytest.raises(error):
        journal.log(metrics, step)
    assert state(journal) == before


def test_too_many_keys_are_refused_with_the_limit_and_a_way_out(journal, monkeypatch):
    assert writer.KEY_LIMIT == 100_000
    monkeypatch.setattr(writer, "KEY_LIMIT", 3)
    journal.log({"a": 1.0, "b": 1.0}, None)
    before = state(journal)
    with pytest.raises(
        InvalidValue, match=r"would be key number 4 of this run; at most 3 are kept\. Keep indices and ids"
    ):
        journal.log({"c": 1.0, "d": 1.0}, None)
    assert state(journal) == before
    journal.log({"c": 1.0}, None)
    with pytest.raises(InvalidValue, match="metric 'd' would be key number 4"):
        journal.log({"d": 1.0}, None)
    journal.log({"a": 1.0}, None)
    assert steps_of(journal) == {"a": [0, 1], "b": [0], "c": [0]}


def test_a_document_that_is_too_long_is_refused_and_one_at_the_limit_is_kept(journal):
    frame = slots.SLOT + len('{"kind":"params","values":""}')
    with pytest.raises(
        InvalidValue, match=r"^params of one call take 2,097,\d+ bytes, at most 2,097,152 are taken\. Make"
    ):
        journal.write({"kind": "params", "values": "x" * (2 * 1024 * 1024 - frame + 1)})
    assert journal.tail == 0
    journal.write({"kind": "params", "values": "x" * (2 * 1024 * 1024 - frame)})
    assert len(decoded(journal).documents[0].content["values"]) == 2 * 1024 * 1024 - frame


# -- files ---------------------------------------------------------------------------------------


def test_files_belong_to_the_account_alone_whatever_the_umask(make, tmp_path):
    umask = os.umask(0)
    try:
        journal = make(tmp_path / "deep" / "journals")
        journal.log({"a": 1.0}, None)
    finally:
        os.umask(umask)
    folder = journal.folder
    assert parse_folder(folder.name) == (RUN, journal.journal_id)
    assert [path.stat().st_mode & 0o777 for path in (folder, folder.parent, tmp_path / "deep")] == [0o700] * 3
    files = sorted(folder.iterdir())
    assert [path.suffix for path in files] == [".seg", ""]
    assert [path.stat().st_mode & 0o777 for path in files] == [0o600] * 2


def test_the_space_of_a_file_is_allocated_and_not_sparse(journal):
    journal.log({"a": 1.0}, None)
    (segment,) = journal.folder.glob("*.seg")
    assert segment.stat().st_blocks * 512 >= segment.stat().st_size >= chain.SEGMENT_SLOTS[0] * 32


def test_records_never_straddle_files_and_files_meet_without_a_gap(journal, small_segments):
    for i in range(100):
        journal.log({f"k{j}": float(i) for j in range(1 + i % 5)}, None, i)
    assert len(list(journal.folder.glob("*.seg"))) > 5
    start, stops = 0, []
    while True:
        data, stop = journal.read(start)
        if not data:
            break
        found = slots.decode(data, journal_id=journal.journal_id, first=start)
        assert (found.damage, found.end) == ([], stop)
        stops.append(stop)
        start = stop
    assert stops[-1] == journal.tail
    assert [value for _, _, value in logged(journal)["k0"]] == [float(i) for i in range(100)]


def test_a_record_longer_than_a_file_gets_a_longer_file(journal, small_segments):
    journal.write({"kind": "tags", "values": {"a": "x" * 10_000}})
    journal.log({"a": 1.0}, None)
    assert decoded(journal).documents[0].content["values"] == {"a": "x" * 10_000}
    assert logged(journal)["a"][0][2] == 1.0


def test_a_journal_without_a_record_has_nothing_to_read(journal):
    assert journal.read(0) == (b"", 0)
    assert (journal.in_memory, journal.sync()) == (0, 0)


def test_reading_in_pieces_gives_the_same_bytes_as_reading_from_the_beginning(journal, small_segments):
    for i in range(60):
        journal.log({"a": float(i), "b": 1.0}, None)
    whole = everything(journal)
    assert len(whole) == journal.tail * 32
    assert all(everything(journal, start) == whole[start * 32 :] for start in range(journal.tail + 1))
    assert journal.read(journal.tail) == (b"", journal.tail)


@pytest.mark.parametrize("which", range(4))
def test_each_file_can_be_read_alone(journal, small_segments, tmp_path, which):
    for i in range(40):
        journal.log({"a": float(i), "b": -float(i)}, None, i)
    segment = sorted(journal.folder.glob("*.seg"))[which]
    alone = tmp_path / "alone" / journal.folder.name
    alone.mkdir(parents=True)
    shutil.copy(segment, alone)
    (alone / "lock").touch()
    left = adopt(alone)
    assert left.origin == {"kind": "origin", **ORIGIN}
    data, _ = left.read(left.first)
    rows = points(slots.decode(data, journal_id=left.journal_id, first=left.first), left.names)
    assert rows
    assert all(value == -other for (_, _, value), (_, _, other) in zip(rows["a"], rows["b"], strict=True))
    left.close(settled=True)


def test_only_files_whose_records_are_all_settled_are_dropped(journal, small_segments):
    for i in range(60):
        journal.log({"a": float(i)}, None)
    bases = [segment.base for segment in journal._segments]
    assert len(bases) >= 3
    journal.acknowledge(bases[1] - 1)
    assert len(list(journal.folder.glob("*.seg"))) == len(bases)
    journal.acknowledge(bases[1])
    assert len(list(journal.folder.glob("*.seg"))) == len(bases) - 1
    assert journal.read(0) == (b"", 0)
    assert journal.read(bases[1])[0]
    journal.acknowledge(journal.tail)
    assert len(list(journal.folder.glob("*.seg"))) == 1  # the one that is written to stays
    journal.log({"a": 60.0}, None)
    data, _ = journal.read(bases[-1])
    assert points(slots.decode(data, journal_id=journal.journal_id, first=bases[-1]), journal.names)["a"][-1][2] == 60.0


def test_closing_what_is_settled_deletes_the_journal_and_twice_is_a_no_op(journal):
    journal.log({"a": 1.0}, None)
    folder = journal.folder
    journal.close(settled=True)
    journal.close(settled=True)
    assert not folder.exists()
    assert folder.parent.exists()
    assert (journal.closed, journal.read(0)) == (True, (b"", 0))


@pytest.mark.parametrize("finish", [True, False], ids=["finished", "closed"])
def test_a_journal_that_has_ended_takes_nothing_more_and_loses_nothing(journal, finish):
    journal.log({"a": 1.0}, None)
    if finish:
        journal.finish({"kind": "end", "status": "FINISHED"})
        assert decoded(journal).documents[-1].content == {"kind": "end", "status": "FINISHED"}
    else:
        journal.close(settled=True)
    before = journal.tail, journal.accepted, journal.lost
    for metrics in ({"a": 2.0}, {"a": 2.0, "b": 1.0}, {"c": 1.0}):
        with pytest.raises(RunEnded, match="the run has ended; nothing more can be logged to it"):
            journal.log(metrics, None)
    with pytest.raises(RunEnded):
        journal.write({"kind": "tags", "values": {}})
    assert (journal.tail, journal.accepted, journal.lost) == before


def test_opening_makes_the_first_file_before_the_first_record(make):
    journal, opened = make(), []
    journal.on_open = opened.append
    journal.open()
    assert (opened, journal.tail, len(list(journal.folder.glob("*.seg")))) == ([journal], 0, 1)
    journal.log({"a": 1.0}, None)
    assert opened == [journal]


def test_syncing_says_how_far_records_are_on_the_disk(journal):
    assert journal.sync() == 0
    journal.log({"a": 1.0}, None)
    assert journal.durable == 0
    assert journal.sync() == journal.tail == journal.durable


def test_a_failed_fsync_is_not_tried_again_on_the_same_file(journal, monkeypatch, caplog):
    journal.log({"a": 1.0}, None)
    journal.sync()
    settled = journal.durable
    journal.log({"a": 2.0}, None)
    first, real, failed = journal._segments[0], os.fdatasync, []

    def fdatasync(fd):
        if os.path.samestat(os.fstat(fd), os.fstat(first.fd)) and not failed:
            failed.append(fd)
            raise OSError(errno.EIO, "Input/output error")
        real(fd)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    assert journal.sync() == settled
    assert "The disk did not keep" in caplog.text
    journal.log({"a": 3.0}, None)
    assert journal.sync() == journal.tail
    assert [value for _, _, value in logged(journal)["a"]] == [1.0, 2.0, 3.0]
    assert [segment.base for segment in journal._segments] == [0, settled]


def test_what_is_settled_while_it_is_forced_to_the_disk_takes_its_time_and_nothing_else(
    journal, small_segments, monkeypatch
):
    for i in range(60):
        journal.log({"a": float(i)}, None)
    last, real, synced = journal._segments[-1], os.fdatasync, []

    def fdatasync(fd):
        if not synced:  # the store settles it all, and the files are closed
            journal.acknowledge(journal.tail)
        synced.append(os.path.samestat(os.fstat(fd), os.fstat(last.fd)))
        real(fd)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    assert journal.sync() == journal.tail == journal.durable
    assert len(synced) >= 3
    assert synced[-1]
    assert journal.trouble is None


# -- the dead and the living ---------------------------------------------------------------------


def test_a_journal_whose_owner_lives_is_left_to_it(journal):
    journal.log({"a": 1.0}, None)
    assert adopt(journal.folder) is None


def test_a_journal_that_was_given_up_is_adopted_once_with_all_it_holds(journal, small_segments):
    for i in range(50):
        journal.log({"a": float(i), "b": 0.0}, None, i)
    journal.write({"kind": "tags", "values": {"x": "y"}})
    written_at = decoded(journal).documents[-1].at_us
    folder, tail, whole, names = journal.folder, journal.tail, everything(journal), dict(journal.names)
    journal.close(settled=False)
    left = adopt(folder)
    assert adopt(folder) is None  # it has an owner again
    assert (left.run_id, left.journal_id, left.first, left.tail) == (RUN, journal.journal_id, 0, tail)
    assert (left.origin, left.names, left.damage, left.last_at_us) == (
        {"kind": "origin", **ORIGIN},
        names,
        [],
        written_at,
    )
    assert left.documents[-1].content == {"kind": "tags", "values": {"x": "y"}}
    assert everything(left) == whole
    assert left.sync() == left.durable == tail
    left.close(settled=False)
    assert folder.exists()
    again = adopt(folder)
    again.close(settled=True)
    again.close(settled=True)
    assert not folder.exists()


def test_what_recovery_adds_is_the_same_bytes_each_time_and_never_on_the_disk(journal):
    journal.log({"a": 1.0}, None, 5)
    folder, tail = journal.folder, journal.tail
    journal.close(settled=False)
    before = [path.read_bytes() for path in sorted(folder.iterdir())]
    reads = []
    for _ in range(2):
        left = adopt(folder)
        left.append({"kind": "end", "status": "KILLED"}, 6)
        assert left.tail > tail
        reads.append(everything(left))
        left.close(settled=False)
    assert reads[0] == reads[1]
    found = slots.decode(reads[0], journal_id=journal.journal_id, first=0)
    assert (found.documents[-1], found.damage) == (slots.Document({"kind": "end", "status": "KILLED"}, 6), [])
    assert [path.read_bytes() for path in sorted(folder.iterdir())] == before
    shutil.rmtree(folder)


def test_a_left_journal_drops_files_that_are_settled_but_for_the_last(journal, small_segments):
    for i in range(60):
        journal.log({"a": float(i)}, None)
    folder, bases = journal.folder, [segment.base for segment in journal._segments]
    journal.close(settled=False)
    left = adopt(folder)
    left.acknowledge(bases[1] - 1)
    assert len(list(folder.glob("*.seg"))) == len(bases)
    left.acknowledge(left.tail)
    assert len(list(folder.glob("*.seg"))) == 1
    left.close(settled=True)


def test_a_missing_file_in_the_middle_is_damage_and_reads_as_zeros(journal, small_segments):
    for i in range(80):
        journal.log({"a": float(i)}, None)
    folder, bases = journal.folder, [segment.base for segment in journal._segments]
    journal.close(settled=False)
    sorted(folder.glob("*.seg"))[1].unlink()
    left = adopt(folder)
    assert sum(count for _, count in left.damage) == bases[2] - bases[1]
    assert len(everything(left)) == left.tail * 32
    left.close(settled=True)


@pytest.mark.parametrize("name", ["x", f"{RUN}.12", f"{RUN[:-1]}.{'0' * 16}", f"{RUN}.{'g' * 16}", ".hidden", RUN])
def test_a_folder_of_another_name_is_no_journal(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "lock").touch()
    assert adopt(tmp_path / name) is None


def test_a_folder_without_a_lock_is_the_rest_of_a_deletion_and_goes(tmp_path):
    folder = tmp_path / f"{RUN}.{'0' * 16}"
    folder.mkdir()
    left = adopt(folder)
    assert (left.tail, left.origin) == (left.first, {})
    left.close(settled=True)
    assert not folder.exists()
    folder.write_text("a file")
    assert adopt(folder) is None


def test_a_time_to_come_that_a_user_gave_is_not_when_a_dead_process_wrote_last(journal):
    journal.log({"a": 1.0}, None, 2**52)
    folder = journal.folder
    journal.close(settled=False)
    left = adopt(folder)
    assert left.last_at_us < 2**52
    left.close(settled=True)


def test_a_lock_that_is_a_link_is_not_followed(tmp_path):
    folder = tmp_path / f"{RUN}.{'0' * 16}"
    folder.mkdir()
    (folder / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        adopt(folder)
    assert not (tmp_path / "elsewhere").exists()


def test_the_copy_in_a_child_is_a_new_journal_and_the_parents_files_stay(journal):
    opened = []
    journal.on_open = opened.append
    journal.log({"a": 1.0, "b": 2.0}, None)
    parents, parents_id, whole = journal.folder, journal.journal_id, everything(journal)
    journal.become_child()
    assert (journal.folder, journal.tail, journal.accepted, len(opened)) == (None, 0, 0, 1)
    assert journal.journal_id != parents_id
    journal.log({"a": 3.0, "b": 4.0}, None)
    assert journal.origin["role"] == "member"
    assert (journal.folder != parents, len(opened)) == (True, 2)
    assert steps_of(journal) == {"a": [1], "b": [1]}
    left = adopt(parents)  # the child's copy let go of the parent's lock
    assert everything(left) == whole
    left.close(settled=True)


# -- when no file can be had ---------------------------------------------------------------------


def test_without_a_folder_records_are_kept_in_memory_and_that_is_said(make, caplog):
    journal = make(root=None)
    journal.log({"a": 1.0}, None)
    assert logged(journal)["a"][0][2] == 1.0
    assert (journal.in_memory, journal.folder, journal.lost) == (journal.tail, None, 0)
    assert "no folder for journals can be written" in journal.trouble
    assert "kept in memory meanwhile and would not survive the end of this process" in caplog.text
    assert "None" not in caplog.text
    assert journal.sync() == 0


def test_a_journal_that_finds_no_room_at_its_beginning_begins_elsewhere(tmp_path, monkeypatch):
    full = tmp_path / "full"

    class SegmentOnDisks(Segment):
        def __init__(self, path, **how):
            if path is not None and full in path.parents:
                raise OSError(errno.ENOSPC, "No space left on device")
            super().__init__(path, **how)

    monkeypatch.setattr(chain, "Segment", SegmentOnDisks)
    journal = Journal(full, dict(ORIGIN), [full / "other", tmp_path / "third"])
    journal.log({"a": 1.0}, None)
    assert journal.folder.parent == tmp_path / "third"
    assert (journal.in_memory, journal.trouble, journal.lost) == (0, None, 0)
    assert [path for path in full.rglob("*") if not path.is_dir()] == []  # and no lock is left that looks alive
    journal.close(settled=True)


def test_where_there_is_neither_a_file_nor_memory_records_are_lost_and_nothing_is_raised(make, monkeypatch):
    class NoSegment(Segment):
        def __init__(self, *_, **__):
            raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(chain, "Segment", NoSegment)
    journal = make()
    for _ in range(3):
        journal.log({"a": 1.0}, None)
        journal.log({"a": 1.0, "b": 1.0}, None)
    journal.write({"kind": "params"})
    assert (journal.tail, journal.lost) == (0, 10)
    monkeypatch.undo()
    journal._retry_at = 0.0
    journal.log({"a": 2.0}, None)
    assert steps_of(journal) == {"a": [0]}


def test_records_go_to_memory_on_a_full_disk_and_to_a_file_when_there_is_room(journal, disk, small_segments, caplog):
    for i in range(20):
        journal.log({"a": float(i)}, None, i)
    disk.full = True
    for i in range(20, 100):
        journal.log({"a": float(i)}, None, i)
    assert journal.trouble.startswith("No space left on device: ")
    assert 0 < journal.in_memory < journal.tail
    assert journal.sync() < journal.tail
    assert caplog.text.count("cannot grow (No space left on device)") == 1
    disk.full = False
    assert journal.sync() == journal.tail
    assert (journal.in_memory, journal.trouble, journal.lost) == (0, None, 0)
    assert "can grow again; 0 records were lost." in caplog.text
    journal.log({"a": 100.0}, None, 100)
    expected = [(i, i, float(i)) for i in range(101)]
    assert logged(journal)["a"] == expected
    folder = journal.folder
    journal.close(settled=False)
    left = adopt(folder)
    found = slots.decode(everything(left), journal_id=left.journal_id, first=0)
    assert points(found, left.names)["a"] == expected
    left.close(settled=True)


def test_a_journal_that_begins_on_a_full_disk_gets_its_folder_later(make, disk):
    disk.full = True
    journal = make()
    journal.log({"a": 1.0}, None)
    assert journal.in_memory == journal.tail
    disk.full = False
    journal.sync()
    assert journal.in_memory == 0
    assert len(list(journal.folder.glob("*.seg"))) == 1
    assert logged(journal)["a"][0][2] == 1.0


def test_what_finds_no_room_at_all_is_counted_exactly_and_told_in_the_journal(
    journal, disk, monkeypatch, small_segments
):
    monkeypatch.setattr(chain, "MEMORY_SLOTS", 40)
    journal.log({"a": 0.0}, None)
    journal.log({"a": 0.0, "b": 0.0, "c": 0.0}, None)
    disk.full = True
    calls, rows = 200, 50
    for _ in range(calls):
        journal.log({"a": 1.0}, None)
    for _ in range(rows):
        journal.log({"a": 1.0, "b": 1.0, "c": 1.0}, None)
    lost = journal.lost
    assert lost > 0
    assert journal.accepted + lost == 4 + calls + 3 * rows
    journal.write({"kind": "tags", "values": {}})
    assert journal.lost == lost + 1
    disk.full = False
    journal.sync()
    journal.log({"a": 2.0}, None)
    found = decoded(journal)
    assert sum(len(each) for each in points(found, journal.names).values()) == journal.accepted
    assert [d.content for d in found.documents if d.content["kind"] == "lost"] == [{"kind": "lost", "count": lost + 1}]
    steps = steps_of(journal)["a"]
    assert steps == list(range(len(steps)))  # a step is only taken by what was recorded


def test_a_new_key_that_finds_no_room_costs_its_point_and_is_known_later(journal, disk, monkeypatch, small_segments):
    monkeypatch.setattr(chain, "MEMORY_SLOTS", 8)
    journal.log({"a": 0.0}, None)
    disk.full = True
    while not journal.lost:
        journal.log({"a": 1.0}, None)
    before = journal.lost
    journal.log({"new": 1.0}, None)
    assert journal.lost == before + 1
    disk.full = False
    journal.sync()
    journal.log({"new": 2.0}, 5)
    folder = journal.folder
    journal.close(settled=False)
    left = adopt(folder)
    found = slots.decode(everything(left), journal_id=left.journal_id, first=0)
    assert [point[::2] for point in points(found, left.names)["new"]] == [(5, 2.0)]
    left.close(settled=True)


# -- the price of a call -------------------------------------------------------------------------

# A seccomp filter that kills the process at any call into the kernel but for its exit and, on machines where
# that takes a call, the clock. (In assembler: load the number; 231 and 228 are allowed, all others kill.)
SEALED = """
import ctypes, os, struct, sys
from pathlib import Path
from mlfoundry.journal import Journal
journal = Journal(Path(sys.argv[1]), {"run_id": "0" * 32})
row = {f"k{i}": 0.5 for i in range(20)}
def log(count):
    for _ in range(count):
        journal.log({"loss": 0.5}, None)
        journal.log({"loss": 0.5}, 3)
        journal.log(row, None)
        journal.log({"k1": 0.5, "k2": 1}, None)
log(100)
jump, load, give = 0x15, 0x20, 0x06
steps = [(load, 0, 0, 0), (jump, 2, 0, 231), (jump, 1, 0, 228), (give, 0, 0, 0x80000000), (give, 0, 0, 0x7FFF0000)]
text = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *step) for step in steps))
program = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(text)))
libc = ctypes.CDLL(None)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):
    os._exit(3)
log(250)
if sys.argv[2] == "and one":
    os.getppid()
os._exit(7)
"""


@pytest.mark.skipif(sys.platform != "linux" or platform.machine() != "x86_64", reason="the filter is Linux's on x86-64")
def test_a_thousand_log_calls_make_no_system_call(tmp_path):
    def exit_code(extra):
        return subprocess.run([sys.executable, "-c", SEALED, tmp_path / extra, extra], capture_output=True).returncode

    if (code := exit_code("none")) == 3:
        pytest.skip("this machine allows no seccomp filter")
    assert code == 7
    assert exit_code("and one") == -signal.SIGSYS
