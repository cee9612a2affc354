"""The slots: every byte of the format that the module's docstring draws, and what a reader makes of damage."""

import json
import struct
import sys
import threading
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlfoundry import slots

JOURNAL = 0x1122334455667788
START = crc32(bytes.fromhex("8877665544332211"))  # of the id, little-endian, eight bytes


def check(body, place=0, journal_start=START):
    """The check word of 28 bytes (and a payload) at a place of a journal, from the docstring alone."""
    return struct.pack("<I", crc32(body, (journal_start + place) % 2**32))


def point(number, step, at_us, value, place=0):
    body = struct.pack("<Iqqd", number, step, at_us, value)
    return check(body, place) + body


def header(kind, number, step, at_us, payload, place=0):
    head = struct.pack("<IIIqq", 2**31 + kind, len(payload), number, step, at_us)
    padding = b"\0" * (-len(payload) % 32)
    return check(head + payload, place) + head + payload + padding


def row(number, step, at_us, *values, place=0):
    return header(1, number, step, at_us, struct.pack(f"<{len(values)}d", *values), place)


def row_with_steps(number, at_us, steps, values, place=0):
    return header(2, number, 0, at_us, struct.pack(f"<{len(steps)}q{len(values)}d", *steps, *values), place)


def document(content, at_us, place=0):
    return header(3, 0, 0, at_us, json.dumps(content, separators=(",", ":")).encode(), place)


def decode(data, first=0, journal_id=JOURNAL):
    return slots.decode(data, journal_id=journal_id, first=first)


def points_of(decoded):
    """All points as (number or set, column, step, time, value), in no order."""
    found = []
    for rows in decoded.rows:
        for i, values in enumerate(rows.values):
            for column, value in enumerate(values):
                step = rows.steps[i] if rows.steps.ndim == 1 else rows.steps[i][column]
                found.append((rows.number, column, int(step), int(rows.times[i]), float(value)))
    return found


# -- the bytes -----------------------------------------------------------------------------------


def test_a_point_made_by_hand_is_read_as_it_was_meant():
    body = bytes.fromhex("05000000fdffffffffffffff40420f0000000000000000000000e0bf")
    decoded = decode(struct.pack("<I", crc32(body, START)) + body)
    assert points_of(decoded) == [(5, 0, -3, 1_000_000, -0.5)]
    assert (decoded.end, decoded.damage, decoded.last_at_us) == (1, [], 1_000_000)


def test_a_record_has_the_bytes_that_the_docstring_draws():
    payload = b"\1\2\3\4\5"
    made = slots.record(slots.ROW, 7, -2, 9, payload, slots.seed(JOURNAL) + 3)
    body = bytes.fromhex("010000800500000007000000feffffffffffffff0900000000000000") + payload
    assert made == check(body, 3) + body + bytes(27)
    assert len(made) == 32 * slots.slots_of(5) == 64


def test_a_document_is_compact_json_in_a_record_of_kind_three():
    content = {"kind": "params", "values": {"größe": ["int", "3"]}}
    assert slots.document(content, 12, slots.seed(JOURNAL) + 1) == document(content, 12, place=1)


@pytest.mark.parametrize(("length", "taken"), [(0, 1), (1, 2), (32, 2), (33, 3), (64, 3), (160, 6)])
def test_a_payload_takes_whole_slots_after_its_header(length, taken):
    assert slots.slots_of(length) == taken
    assert len(slots.record(slots.DOCUMENT, 0, 0, 0, b"x" * length, 0)) == 32 * taken


def test_the_start_value_of_a_check_wraps_at_32_bits():
    place = 2**32 - (START % 2**32) + 5  # so that the sum is 5
    assert slots.record(slots.DOCUMENT, 0, 0, 0, b"{}", START + place)[:4] == check(
        struct.pack("<IIIqq", 2**31 + 3, 2, 0, 0, 0) + b"{}", 5, journal_start=0
    )
    assert points_of(decode(point(1, 2, 3, 4.0, place=place), first=place)) == [(1, 0, 2, 3, 4.0)]


@given(st.binary(min_size=0, max_size=32 * 40), st.integers(0, 2**63 - 1), st.integers(0, 2**40))
def test_the_vectorised_check_is_zlibs_for_any_bytes_at_any_place(data, journal_id, first):
    data = data[: len(data) // 32 * 32]
    words = np.frombuffer(data, "<u4").reshape(-1, 8)
    start = slots.seed(journal_id) + first
    expected = [crc32(data[i + 4 : i + 32], (start + i // 32) % 2**32) for i in range(0, len(data), 32)]
    assert slots._checks(words[:, 1:], start).tolist() == expected


# -- streams -------------------------------------------------------------------------------------


def test_points_of_a_key_come_together_in_the_order_in_which_they_were_logged():
    data = b"".join(point(n, s, s * 10, float(s), place=i) for i, (n, s) in enumerate([(2, 5), (1, 9), (2, 4), (1, 9)]))
    decoded = decode(data)
    assert [(r.number, r.order.tolist(), r.steps.tolist()) for r in decoded.rows] == [
        (1, [1, 3], [9, 9]),
        (2, [0, 2], [5, 4]),
    ]


def test_every_kind_in_one_stream_comes_back_with_the_slot_that_it_was_in():
    data = point(1, 0, 100, 0.5)
    data += row(3, 7, 101, 1.0, 2.0, 3.0, place=1)
    data += document({"kind": "tags", "values": {}}, 102, place=3)
    data += row_with_steps(3, 103, [-1, 2**63 - 1, 0], [4.0, 5.0, 6.0], place=len(data) // 32)
    end = len(data) // 32
    decoded = decode(data)
    assert sorted(points_of(decoded)) == sorted(
        [
            (1, 0, 0, 100, 0.5),
            (3, 0, 7, 101, 1.0),
            (3, 1, 7, 101, 2.0),
            (3, 2, 7, 101, 3.0),
            (3, 0, -1, 103, 4.0),
            (3, 1, 2**63 - 1, 103, 5.0),
            (3, 2, 0, 103, 6.0),
        ]
    )
    assert decoded.documents == [slots.Document({"kind": "tags", "values": {}}, 102)]
    assert {tuple(r.order.tolist()) for r in decoded.rows} == {(0,), (1,), (5,)}
    assert (decoded.end, decoded.last_at_us, decoded.damage) == (end, 103, [])


def test_special_floats_come_back_bit_for_bit():
    patterns = ["0000000000000080", "000000000000f07f", "000000000000f0ff", "010000000000f87f", "0100000000000000"]
    floats = [struct.unpack("<d", bytes.fromhex(p))[0] for p in patterns]
    data = b"".join(point(1, i, 0, value, place=i) for i, value in enumerate(floats))
    data += row(2, 0, 0, *floats, place=len(floats))
    single, together = decode(data).rows
    assert [single.values[i].tobytes().hex() for i in range(5)] == patterns
    assert [together.values[0, i].tobytes().hex() for i in range(5)] == patterns


def test_an_empty_stretch_holds_nothing_and_ends_where_it_begins():
    decoded = decode(b"", first=17)
    assert decoded == slots.Decoded(end=17)
    assert decoded.last_at_us is None


def test_bytes_after_the_last_whole_slot_are_left_alone():
    decoded = decode(point(1, 2, 3, 4.0) + b"half a slot")
    assert (decoded.end, decoded.damage) == (1, [])


records = st.one_of(
    st.tuples(
        st.just("point"), st.integers(1, 5), st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**53), st.floats()
    ),
    st.tuples(
        st.just("row"),
        st.integers(6, 8),
        st.integers(-(2**63), 2**63 - 1),
        st.integers(0, 2**53),
        st.lists(st.floats(), min_size=2, max_size=9),
    ),
    st.tuples(
        st.just("document"), st.just(0), st.just(0), st.integers(0, 2**53), st.dictionaries(st.text(), st.text())
    ),
)


@given(st.lists(records, max_size=20), st.integers(0, 2**33))
def test_any_stream_of_records_is_read_back_whole(stream, first):
    data, points, documents = b"", [], []
    for kind, number, step, at_us, content in stream:
        place = first + len(data) // 32
        if kind == "point":
            data += point(number, step, at_us, content, place)
            points.append((number, 0, step, at_us, content))
        elif kind == "row":
            data += row(number, step, at_us, *content, place=place)
            points += [(number, column, step, at_us, value) for column, value in enumerate(content)]
        else:
            data += slots.document({"kind": "x", **content}, at_us, START + place)
            documents.append(slots.Document({"kind": "x", **content}, at_us))
    decoded = decode(data, first)
    assert decoded.documents == documents
    assert sorted(map(repr, points_of(decoded))) == sorted(map(repr, points))
    assert (decoded.damage, decoded.end) == ([], first + len(data) // 32)


# -- damage --------------------------------------------------------------------------------------


def test_a_slot_moved_to_another_place_does_not_check():
    first, second = point(1, 0, 0, 1.0, place=0), point(1, 1, 0, 2.0, place=1)
    decoded = decode(second + first)
    assert (points_of(decoded), decoded.damage) == ([], [(0, 2)])


def test_a_slot_from_another_journal_does_not_check():
    data = point(1, 0, 0, 1.0) + document({"kind": "tags"}, 5, place=1)
    decoded = decode(data, journal_id=JOURNAL + 1)
    assert (decoded.rows, decoded.documents, decoded.damage) == ([], [], [(0, 3)])


@pytest.mark.parametrize("bit", range(0, 256, 7))
def test_any_flipped_bit_of_a_point_is_found_and_the_neighbours_are_kept(bit):
    data = bytearray(b"".join(point(1, i, i, float(i), place=i) for i in range(3)))
    data[32 + bit // 8] ^= 1 << bit % 8
    decoded = decode(bytes(data))
    assert [p[2] for p in points_of(decoded)] == [0, 2]
    assert (decoded.damage, decoded.end) == ([(1, 1)], 3)


def test_a_flipped_bit_in_the_payload_costs_that_record_alone():
    data = bytearray(point(1, 0, 0, 1.0) + row(2, 0, 1, *range(8), place=1) + point(1, 1, 2, 2.0, place=4))
    data[32 * 3 + 1] ^= 4
    decoded = decode(bytes(data))
    assert [p[2:] for p in points_of(decoded)] == [(0, 0, 1.0), (1, 2, 2.0)]
    assert decoded.damage == [(1, 3)]


def test_a_header_with_a_torn_payload_at_the_end_is_damage_and_not_a_record():
    data = point(1, 0, 0, 1.0) + row(2, 0, 1, *range(1, 9), place=1)[:-32]
    decoded = decode(data)
    assert (decoded.end, decoded.damage) == (1, [(1, 2)])


def test_damage_is_told_in_stretches_by_slot_number_of_the_journal():
    whole = [point(1, i, 0, 1.0, place=1000 + i) for i in range(8)]
    for i in (1, 2, 5):
        whole[i] = b"\xff" * 31 + b"\x7f"
    assert decode(b"".join(whole), first=1000).damage == [(1001, 2), (1005, 1)]


def test_zeros_at_the_end_are_room_and_no_damage():
    decoded = decode(point(1, 0, 7, 1.0) + bytes(32 * 10))
    assert (decoded.damage, decoded.end, decoded.last_at_us) == ([], 1, 7)


def test_a_stretch_of_zeros_alone_is_no_damage():
    decoded = decode(bytes(32 * 4), first=9)
    assert (decoded.damage, decoded.end) == ([], 9)


def test_zeros_in_the_middle_are_damage():
    decoded = decode(point(1, 0, 7, 1.0) + bytes(64) + point(1, 1, 8, 2.0, place=3) + bytes(96))
    assert (decoded.damage, decoded.end) == ([(1, 2)], 4)


def test_what_follows_the_last_record_is_damage_up_to_its_last_written_slot():
    decoded = decode(point(1, 0, 7, 1.0) + bytes(32) + b"x" * 32 + bytes(64))
    assert (decoded.damage, decoded.end) == ([(1, 2)], 1)


def test_a_record_of_an_unknown_kind_that_checks_is_a_document_that_names_it():
    decoded = decode(header(9, 4, 1, 55, b"from a newer version") + point(1, 0, 56, 1.0, place=2))
    assert decoded.documents == [slots.Document({"kind": "record 9"}, 55)]
    assert (decoded.damage, decoded.end) == ([], 3)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(header(3, 0, 0, 1, b"no json"), id="a document that is no JSON"),
        pytest.param(header(3, 0, 0, 1, b"[1]"), id="a document that is no object"),
        pytest.param(header(3, 0, 0, 1, b'{"kind":"\xff"}'), id="a document that is no UTF-8"),
        pytest.param(header(3, 0, 0, 1, b"[" * 100_000), id="a document that nests too deep"),
        pytest.param(header(1, 4, 0, 1, b"x" * 12), id="a row of one and a half values"),
        pytest.param(header(2, 4, 0, 1, b"x" * 24), id="a row with more steps than values"),
    ],
)
def test_a_record_that_checks_but_makes_no_sense_is_damage_and_stops_nobody(data):
    decoded = decode(data + point(1, 5, 56, 1.0, place=len(data) // 32))
    assert (decoded.documents, [p[2] for p in points_of(decoded)]) == ([], [5])
    assert decoded.damage == [(0, len(data) // 32)]


@given(st.binary(max_size=32 * 12))
def test_no_bytes_at_all_make_the_reader_raise(data):
    decoded = decode(data)
    assert decoded.end <= len(data) // 32


@given(
    st.lists(
        st.tuples(
            st.integers(-(2**63), 2**63 - 1),
            st.integers(-(2**63), 2**63 - 1),
            st.floats(allow_nan=True, allow_infinity=True),
        )
    ),
    st.integers(1, 2**31 - 1),
    st.integers(0, 2**40),
)
def test_many_points_at_once_are_the_same_bytes_as_one_by_one(points, number, place):
    steps, times, values = (np.array([each[i] for each in points], kind) for i, kind in enumerate(("i8", "i8", "f8")))
    made = slots.points(number, steps, times, values, slots.seed(JOURNAL) + place)
    assert made == b"".join(point(number, *each, place=place + i) for i, each in enumerate(points))


def test_threads_that_are_the_first_to_read_do_not_disturb_each_other(monkeypatch):
    interval, errors, together = sys.getswitchinterval(), [], threading.Barrier(8)
    monkeypatch.setattr(threading, "excepthook", lambda told: errors.append(told.exc_value))
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(20):
            slots._tables.cache_clear()
            readers = [
                threading.Thread(target=lambda: (together.wait(), decode(point(1, 5, 56, 1.0)))) for _ in "12345678"
            ]
            for reader in readers:
                reader.start()
            for reader in readers:
                reader.join()
    finally:
        sys.setswitchinterval(interval)
    assert errors == []


# -- cuts ----------------------------------------------------------------------------------------

NOTE = b'{"kind": "tags", "values": {"note": "' + b"x" * 50 + b'"}}'


@pytest.mark.parametrize("most", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
def test_a_stretch_is_cut_between_records_and_never_within_one(most):
    made = [point(1, 0, 0, 0.5), row(2, 0, 0, 1.0, 2.0, place=1), header(3, 0, 0, 0, NOTE, place=3)]
    made += [b"\xff" * 32, point(1, 1, 0, 0.5, place=8), row_with_steps(2, 0, [1], [2.0], place=9)]
    data = b"".join(made)
    sizes = [len(each) // 32 for each in made]
    assert sizes == [1, 2, 4, 1, 1, 2]
    edges = [sum(sizes[:n]) for n in range(1, len(sizes) + 1)]
    got = slots.whole_records(data, journal_id=JOURNAL, first=0, most=most)
    assert got == max(edge for edge in edges if edge <= most)


def test_of_a_record_that_is_larger_than_the_most_all_is_given():
    data = header(3, 0, 0, 0, NOTE) + point(1, 1, 0, 0.5, place=4)
    assert slots.whole_records(data, journal_id=JOURNAL, first=0, most=1) == 4
    assert slots.whole_records(data, journal_id=JOURNAL, first=0, most=5) == 5
    assert slots.whole_records(b"", journal_id=JOURNAL, first=0, most=5) == 0
