"""Files kept beside a journal: whole or not at all, in their order, and a bad one out of the way of the others."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import stat
import time

import pytest

from mlfoundry.errors import InvalidInput
from mlfoundry.journal import Journal
from mlfoundry.journal import spool as spooling
from mlfoundry.journal.reader import adopt
from mlfoundry.journal.spool import Spool

NAME = "0123456789abcdef" * 2 + "." + "0" * 16


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "journals" / NAME
    place.mkdir(parents=True)
    return place


@pytest.fixture
def spool(folder):
    return Spool(folder)


@pytest.fixture
def entry(folder):
    """Make an entry by hand: its JSON as bytes, and its data, None for none."""

    def make(told: bytes, data: bytes | None = b"x", stem: str = "0"):
        (folder / "spool").mkdir(exist_ok=True)
        (folder / "spool" / f"{stem}.json").write_bytes(told)
        if data is not None:
            (folder / "spool" / f"{stem}.data").write_bytes(data)
        return folder / "spool" / f"{stem}.json"

    return make


def kept(folder):
    """Return what was put aside, by name."""
    aside = folder.parent / "parked" / f"{NAME}.files"
    return {path.name: path for path in aside.iterdir()} if aside.exists() else {}


def test_files_come_back_whole_and_oldest_first_and_are_forgotten_when_they_are_stored(spool, folder):
    for number in range(5):
        spool.put(f"{9 - number}.txt", io.BytesIO(b"x" * number))
    waiting = list(spool.waiting())
    assert [(path, file.read_bytes()) for path, file in waiting] == [(f"{9 - n}.txt", b"x" * n) for n in range(5)]
    for _, file in waiting:
        spool.done(file)
    assert list(spool.waiting()) == []
    assert list((folder / "spool").iterdir()) == []


def test_files_belong_to_the_account_alone(spool, folder):
    before = os.umask(0)
    try:
        spool.put("a", io.BytesIO(b"x"))
    finally:
        os.umask(before)
    modes = {path.name.rpartition(".")[2]: stat.S_IMODE(path.stat().st_mode) for path in (folder / "spool").iterdir()}
    assert modes == {"data": 0o600, "json": 0o600}


@pytest.mark.parametrize("failing", ["_settle", "json"])
def test_a_file_that_finds_no_room_leaves_nothing(spool, folder, monkeypatch, failing):
    def full(*_):
        raise OSError(28, "No space left on device")

    if failing == "_settle":
        monkeypatch.setattr(spooling, "_settle", full)
    else:
        monkeypatch.setattr(spooling.json, "dumps", full)
    with pytest.raises(OSError, match="No space left"):
        spool.put("a", io.BytesIO(b"x"))
    assert list((folder / "spool").iterdir()) == []


def test_bytes_whose_log_call_never_returned_do_not_wait_and_are_no_fault(spool, folder, entry, caplog):
    entry(b"").rename(folder / "spool" / "0.part")
    assert list(spool.waiting()) == []
    assert spool.rescue()
    assert caplog.text == ""


def note(path):
    return spooling._note(path, hashlib.sha256(b"z").hexdigest(), 1)


BAD = {
    "data missing": (note("ok.txt"), None, "0.data is missing"),
    "no JSON": (b'{"path":', b"z", "0.json is no JSON"),
    "too deep": (b"[" * 100_000, b"z", "0.json is no JSON"),
    "no UTF-8": (b'{"path":"\xff"}', b"z", "0.json is no JSON"),
    "no object": (b"[1]", b"z", "0.json holds no JSON object"),
    "no check": (b'{"path":"ok.txt"}', b"z", "0.json is not as it was written"),
    "another path than was written": (note("f0.txt").replace(b"f0.txt", b"f0.pxt"), b"z", "0.json is not as it was"),
    "no path": (note(None), b"z", "artifact path must be a string, not None"),
    "a path that is no text": (note(5), b"z", "artifact path must be a string, not 5 (int)"),
    "a path that leads elsewhere": (
        note("../../evil"),
        b"z",
        "artifact path '../../evil' is not a plain relative",
    ),
    "an absolute path": (note("/etc/passwd"), b"z", "artifact path '/etc/passwd' is not a plain relative"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_entry_is_put_aside_and_named_once_and_the_others_wait(spool, folder, entry, caplog, kind):
    told, data, reason = BAD[kind]
    spool.put("before.txt", io.BytesIO(b"1"))
    entry(told, data)
    spool.put("after.txt", io.BytesIO(b"2"))
    with caplog.at_level(logging.WARNING, "mlfoundry"):
        for _ in range(3):
            assert [path for path, _ in spool.waiting()] == ["before.txt", "after.txt"]
    (message,) = caplog.messages
    assert reason in message
    aside = folder.parent / "parked" / f"{NAME}.files"
    assert message.startswith(f"A logged file cannot be stored and is kept in {aside / '0'}: ")
    assert kept(folder)["0.json"].read_bytes() == told
    if data is not None:
        assert kept(folder)["0.data"].read_bytes() == data
    assert stat.S_IMODE(aside.stat().st_mode) == 0o700


@pytest.mark.parametrize("part", ["json", "data"])
@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_an_entry_that_is_no_regular_file_is_neither_followed_nor_waited_for(
    spool, folder, entry, tmp_path, part, kind
):
    strange = entry(b'{"path":"ok.txt"}').with_suffix(f".{part}")
    strange.rename(tmp_path / "elsewhere")
    if kind == "link":
        strange.symlink_to(tmp_path / "elsewhere")
    elif kind == "pipe":
        os.mkfifo(strange)
    else:
        strange.mkdir()
    assert list(spool.waiting()) == []
    assert sorted(kept(folder)) == ["0.data", "0.json"]
    assert (tmp_path / "elsewhere").exists()


def test_a_file_that_the_store_refuses_can_be_put_aside_while_the_others_go_on(spool, folder, caplog):
    for name in ("a", "b", "c"):
        spool.put(name, io.BytesIO(name.encode()))
    gone = []
    for path, file in spool.waiting():
        if path == "b":
            assert spool.set_aside(file, "the store refuses it")
        else:
            gone.append(path)
            spool.done(file)
    assert gone == ["a", "c"]
    assert list(spool.waiting()) == []
    assert "the store refuses it" in caplog.text
    (told,) = [path for name, path in kept(folder).items() if name.endswith(".json")]
    assert json.loads(told.read_bytes())["path"] == "b"
    assert told.with_suffix(".data").read_bytes() == b"b"


def test_a_file_that_another_thread_stores_meanwhile_is_no_bad_one(spool, folder, monkeypatch, caplog):
    spool.put("a", io.BytesIO(b"x"))
    spool.put("b", io.BytesIO(b"y"))
    real = spooling._read_note

    def stored_meanwhile(told):
        note = real(told)
        if note[0] == "a":
            Spool.done(told.with_suffix(".data"))
        return note

    monkeypatch.setattr(spooling, "_read_note", stored_meanwhile)
    assert [path for path, _ in spool.waiting()] == ["b"]
    assert not (folder.parent / "parked").exists()
    assert caplog.text == ""


def test_a_bad_entry_that_cannot_be_put_aside_stays_and_is_not_lost_with_the_journal(spool, folder, entry, caplog):
    entry(b"[1]")
    (folder.parent / "parked").write_text("in the way")
    assert list(spool.waiting()) == []
    assert "can neither be stored (0.json holds no JSON object) nor put aside (" in caplog.text
    assert not spool.rescue()
    assert sorted(path.name for path in (folder / "spool").iterdir()) == ["0.data", "0.json"]
    (folder.parent / "parked").unlink()
    assert spool.rescue()
    assert sorted(kept(folder)) == ["0.data", "0.json"]


def test_what_was_not_stored_is_put_aside_before_its_journal_is_deleted(spool, folder):
    spool.put("a", io.BytesIO(b"precious"))
    assert spool.rescue()
    assert b"precious" in [path.read_bytes() for path in kept(folder).values()]
    assert list((folder / "spool").iterdir()) == []


def test_a_machine_that_cannot_read_just_now_makes_no_entry_a_bad_one(spool, folder, monkeypatch):
    spool.put("a", io.BytesIO(b"x"))

    def exhausted(file):
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(spooling, "_require_readable", exhausted)
        with pytest.raises(OSError, match="Too many open files"):
            list(spool.waiting())
    assert [path for path, _ in spool.waiting()] == ["a"]


def test_a_path_is_checked_before_it_is_given_away(entry, spool):
    with pytest.raises(InvalidInput):
        spooling._read_note(entry(note("a//b")))


@pytest.mark.parametrize("is_left", [False, True], ids=["its process", "a recovery"])
def test_a_journal_that_is_deleted_keeps_the_files_that_were_not_stored(tmp_path, is_left, caplog):
    journal = Journal(tmp_path, {"run_id": NAME[:32], "project_name": "p", "role": "owner", "user": "ann"})
    journal.log({"a": 1.0}, None)
    place = journal.folder
    Spool(place).put("a.txt", io.BytesIO(b"precious"))
    if is_left:
        journal.close(settled=False)
        adopt(place).close(settled=True)
    else:
        journal.close(settled=True)
    assert not place.exists()
    (data,) = (tmp_path / "parked" / f"{place.name}.files").glob("*.data")
    assert data.read_bytes() == b"precious"
    assert "its journal ended before it could be stored" in caplog.text


def test_a_file_that_a_disk_has_changed_is_not_taken_for_what_was_logged(spool, folder):
    spool.put("a", io.BytesIO(b"abc"))
    ((_, file),) = spool.waiting()
    spool.require_unchanged(file)
    for damaged in (b"abd", b"ab", b"abcd", b""):
        file.write_bytes(damaged)
        with pytest.raises(InvalidInput, match="is not as it was written"):
            spool.require_unchanged(file)


def test_of_two_files_for_one_path_the_later_is_stored_last_also_when_the_clock_goes_back(spool, monkeypatch):
    now = time.time_ns()
    for number, text in enumerate((b"first", b"second", b"third")):
        monkeypatch.setattr(time, "time_ns", lambda number=number: now - number * 3600 * 10**9)
        spool.put("a", io.BytesIO(text))
    assert [file.read_bytes() for _, file in spool.waiting()] == [b"first", b"second", b"third"]
