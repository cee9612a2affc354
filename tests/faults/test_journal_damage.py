"""Damaged journals: exactly the records that are intact come back, and the damage is said with its place."""

from __future__ import annotations

import itertools
import json
import os
import random
import struct
from pathlib import Path

import left_journals
import pytest

from mlfoundry.journal import reader
from mlfoundry.journal.reader import LeftJournal
from mlfoundry.journal.segment import Segment


def read_all(left: LeftJournal):
    """Return what a journal that was read gives: (points, params, names), from what a shipper would ship."""
    from mlfoundry import slots

    points, params, place = [], {}, 0
    while place < left.tail:
        data, stop = left.read(place)
        assert stop > place, "the shipper would read this place for ever"
        decoded = slots.decode(data, journal_id=left.journal_id, first=place)
        for rows in decoded.rows:
            steps = rows.steps if rows.steps.ndim == 2 else rows.steps[:, None].repeat(rows.values.shape[1], axis=1)
            for row, column in itertools.product(range(len(rows.values)), range(rows.values.shape[1])):
                (bits,) = struct.unpack("<Q", rows.values[row, column].tobytes())
                points.append((rows.number, column, int(steps[row, column]), bits))
        for document in decoded.documents:
            if document.content["kind"] == "params":
                params.update(document.content["values"])
        place = stop
    return points, params, left.names


def opened(folder: Path) -> LeftJournal:
    run_id, journal_id = reader.parse_folder(folder.name)
    return LeftJournal(folder, run_id, journal_id, -1)


@pytest.fixture
def small(tmp_path, scale):
    """A journal in one file: (folder, file, its bytes up to the last record, bytes of its preamble)."""
    folder = left_journals.leave_journal(tmp_path / "journals", scale(1000, 20))
    (file,) = folder.glob("*.seg")
    data, preamble = file.read_bytes(), Segment.parse_name(file.name)[2] * left_journals.SLOT
    end = max(stop for _, stop, _, _ in left_journals.records_of(data, preamble))
    return folder, file, data[:end], preamble


def check_what_comes_back(folder, file, intact, damaged, preamble):
    """Put `damaged` in place of `intact` and compare what comes back with the records whose bytes are unchanged."""
    file.write_bytes(damaged)
    left = opened(folder)
    unchanged = left_journals.unchanged_in(damaged, left_journals.records_of(intact, preamble))
    points, params, names = left_journals.told_by(unchanged)
    found_points, found_params, found_names = read_all(left)
    assert sorted(found_points) == sorted(points)
    assert found_params == params
    assert found_names == names
    heads = [
        json.loads(body[left_journals.SLOT :].rstrip(b"\0"))
        for _, _, _, body in left_journals.records_of(intact[:preamble])
    ]
    assert left.origin == (
        heads[0] if left_journals.unchanged_in(damaged, left_journals.records_of(intact[:preamble])) else {}
    )
    return left, unchanged


def test_a_journal_cut_at_any_byte_gives_the_records_before_the_cut(small):
    folder, file, intact, preamble = small
    for length in range(len(intact)):
        check_what_comes_back(folder, file, intact, intact[:length], preamble)


def test_a_flipped_bit_costs_its_own_record_alone_and_its_place_is_told(small, scale):
    folder, file, intact, preamble = small
    for _ in range(scale(10_000, 2_000)):
        bit = random.randrange(8 * len(intact))
        damaged = bytearray(intact)
        damaged[bit // 8] ^= 1 << bit % 8
        left, unchanged = check_what_comes_back(folder, file, intact, bytes(damaged), preamble)
        kept = {r[0] for r in unchanged}
        expected = {
            slot
            for first, stop, _, _ in left_journals.records_of(intact, preamble)
            if first not in kept
            for slot in range((first - preamble) // left_journals.SLOT, (stop - preamble) // left_journals.SLOT)
        }
        told = {slot for first, count in left.damage for slot in range(first, first + count)}
        assert told == expected


def test_a_stretch_of_zeros_or_of_noise_costs_the_records_that_it_touches(small, scale):
    folder, file, intact, preamble = small
    for turn in range(scale(2_000, 200)):
        first = random.randrange(len(intact))
        stop = min(len(intact), first + random.choice((1, 31, 32, 100, 1000, 4096)))
        noise = bytes(stop - first) if turn % 2 else os.urandom(stop - first)
        damaged = intact[:first] + noise + intact[stop:]
        left, unchanged = check_what_comes_back(folder, file, intact, damaged, preamble)
        lost = [r for r in left_journals.records_of(intact, preamble) if r[0] not in {u[0] for u in unchanged}]
        if lost and lost[-1][1] < len(intact):  # not all of it lies behind the last record
            assert left.damage
            assert left.damage[0][0] <= (lost[0][0] - preamble) // left_journals.SLOT


def test_noise_after_the_last_record_invents_nothing(small, scale):
    folder, file, intact, preamble = small
    for _ in range(scale(1_000, 100)):
        check_what_comes_back(folder, file, intact, intact + os.urandom(random.randrange(1, 3_000)), preamble)


def test_slots_moved_to_another_place_are_not_read_there(small):
    folder, file, intact, preamble = small
    body = intact[preamble:]
    for shift in (left_journals.SLOT, 2 * left_journals.SLOT, 8 * left_journals.SLOT):
        file.write_bytes(intact[:preamble] + body[shift:])
        left = opened(folder)
        assert read_all(left)[:2] == ([], {})


def test_a_journal_of_another_run_is_not_read_under_this_one(tmp_path, small):
    _, _, intact, _ = small
    other = left_journals.leave_journal(tmp_path / "other", 20)
    (there,) = other.glob("*.seg")
    there.write_bytes(intact)
    left = opened(other)
    assert read_all(left)[:2] == ([], {})
    assert left.origin == {}


# -- several segments ------------------------------------------------------------------------------


@pytest.fixture
def segmented(tmp_path, small_segments):
    """A journal in many small files: (folder, its files in order)."""
    small_segments(32, 48, 64)
    folder = left_journals.leave_journal(tmp_path / "journals", 300)
    files = sorted(folder.glob("*.seg"))
    assert len(files) > 6
    return folder, files


def check_segments(folder, expected):
    left = opened(folder)
    points, params, names = left_journals.told_by(expected)
    found_points, found_params, found_names = read_all(left)
    assert sorted(found_points) == sorted(points)
    assert found_params == params
    assert found_names == names
    return left


def test_a_journal_of_many_segments_is_read_whole(segmented):
    folder, files = segmented
    assert check_segments(folder, left_journals.intact_records(files)).damage == []


@pytest.mark.parametrize("place", [0, 1, 3, -1])
def test_a_missing_segment_costs_its_own_records_alone(segmented, place):
    folder, files = segmented
    expected = left_journals.intact_records(files, without=[files[place]])
    base, _, _ = Segment.parse_name(files[place].name)
    files[place].unlink()
    left = check_segments(folder, expected)
    if place == 1:
        following = Segment.parse_name(files[2].name)[0]
        assert left.damage == [(base, following - base)]


def test_two_segments_in_each_others_place_cost_their_own_records_alone(segmented):
    folder, files = segmented
    expected = left_journals.intact_records(files, without=files[2:4])
    one, other = files[2].read_bytes(), files[3].read_bytes()
    files[2].write_bytes(other)
    files[3].write_bytes(one)
    left = check_segments(folder, expected)
    assert left.damage


def test_an_empty_or_cut_segment_costs_its_own_records_alone(segmented):
    folder, files = segmented
    expected = left_journals.intact_records(files, without=[files[2]])
    files[2].write_bytes(b"")
    base, following = (Segment.parse_name(file.name)[0] for file in files[2:4])
    left = check_segments(folder, expected)
    assert left.damage == [(base, following - base)]


@pytest.mark.parametrize(
    "name", ["x.seg", "notes.txt", "-1-0-0.seg", "0-0.seg", "ü-0-0.seg", "core", ".seg", "0x10-00000000-3.seg.bak"]
)
def test_files_of_other_names_do_not_disturb(segmented, name):
    folder, files = segmented
    expected = left_journals.intact_records(files)
    (folder / name).write_bytes(os.urandom(1000))
    (folder / f"{name}.folder").mkdir()
    assert check_segments(folder, expected).damage == []


@pytest.mark.parametrize(
    "name",
    [
        "deadbeefdeadbeef-00000000-3.seg",
        "ffffffffffffffffff-00000000-3.seg",
        "0000000000000010-00000063-3.seg",
        "0000000000000000-00000063-3.seg",
        "0000000000000000-00000063-ffffffff.seg",
    ],
)
def test_a_strange_file_that_is_named_like_a_segment_costs_nothing(segmented, name):
    folder, files = segmented
    expected = left_journals.intact_records(files)
    (folder / name).write_bytes(os.urandom(1000))
    left = opened(folder)
    assert left.tail < 10_000, "a file's name alone makes the journal endless"
    check_segments(folder, expected)


def test_a_folder_without_any_segment_is_read_as_empty(tmp_path):
    folder = tmp_path / f"{left_journals.RUN_ID}.{7:016x}"
    folder.mkdir()
    left = opened(folder)
    assert (left.tail, left.names, left.damage, left.origin, left.last_at_us) == (0, {}, [], {}, None)
