"""How far a transfer is: shown where a person waits, after a second, and never in the way."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import threading

import pytest

import mlfoundry
from mlfoundry.runs import progress
from mlfoundry.runs.progress import Meter, Watched, shown


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def said(clock):
    lines = []
    meter = Meter("Storing model.bin", 4096, lines.append, now_s=clock)
    return meter, lines


def test_nothing_is_said_in_the_first_second(said, clock):
    meter, lines = said
    meter.add(1024)
    clock.now += 0.9
    meter.add(3072)
    meter.end(is_done=True)
    assert lines == []


def test_then_it_says_how_far_it_is_four_times_a_second_and_at_the_end_what_it_took(said, clock):
    meter, lines = said
    for _ in range(8):
        clock.now += 0.2
        meter.add(512)
    meter.end(is_done=True)
    assert lines[0] == "Storing model.bin: 2.5 KiB of 4.0 KiB (62%, 2.5 KiB/s)"
    assert lines[-1] == "Storing model.bin: 4.0 KiB in 1.6 s"
    assert len(lines) == 3


def test_what_breaks_off_says_so(said, clock):
    meter, lines = said
    clock.now += 2
    meter.add(1024)
    meter.end(is_done=False)
    assert lines[-1] == "Storing model.bin: broken off after 1.0 KiB"


def test_a_file_that_is_read_twice_begins_anew(said, clock):
    meter, lines = said
    file = Watched(io.BytesIO(bytes(4096)), meter)
    clock.now += 10
    file.read(4096)
    file.seek(0)
    clock.now += 2
    file.read(2048)
    assert "4.0 KiB of 4.0 KiB (100%" in lines[0]
    assert "2.0 KiB of 4.0 KiB (50%" in lines[1]


def test_a_terminal_that_is_gone_breaks_no_transfer(clock):
    def gone(line):
        raise OSError("gone")

    meter = Meter("x", 1, gone, now_s=clock)
    clock.now += 2
    meter.add(1)
    meter.end(is_done=True)


def test_nothing_is_shown_in_scripts_whose_output_goes_to_a_file_and_by_other_threads(capsys, monkeypatch):
    monkeypatch.setattr(progress, "QUIET_S", 0.0)
    with shown("x", 10) as meter:
        meter.add(10)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)

    def elsewhere():
        with shown("x", 10) as meter:
            meter.add(10)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert capsys.readouterr() == ("", "")


PROGRAM = """
import sys
from mlfoundry.runs import progress
import mlfoundry
progress.QUIET_S = progress.EVERY_S = 0.0
client = mlfoundry.get_client(sys.argv[1], user="ann")
with client.create_run("iris") as run:
    run.log_artifact(sys.argv[2])
client.get_run(run.run_id).download_artifact(dest=sys.argv[1] + "/copy")
"""


def test_a_person_at_a_terminal_sees_files_being_stored_and_fetched(tmp_path):
    (tmp_path / "model.bin").write_bytes(bytes(5 << 20))
    ours, theirs = pty.openpty()
    settings = {"MLFOUNDRY_SYSTEM_METRICS": "0", "MLFOUNDRY_CAPTURE": "0"}
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "store"), str(tmp_path / "model.bin")],
        stderr=theirs,
        env=os.environ | settings,
    )
    os.close(theirs)
    told = b""
    try:
        while block := os.read(ours, 4096):
            told += block
    except OSError:  # the program has ended
        pass
    os.close(ours)
    assert program.wait(60) == 0
    text = told.decode()
    assert "\r\x1b[2KStoring model.bin: 1.0 MiB of 5.0 MiB (20%" in text
    assert "Storing model.bin: 5.0 MiB in " in text
    assert "Fetching model.bin: 5.0 MiB in " in text
    assert text.endswith("\r\n")


def test_a_name_cannot_steer_the_terminal(clock):
    stream = io.StringIO()
    progress._on_terminal(stream)("Storing a\x1b]0;evil\x07\nb")
    assert stream.getvalue() == "\r\x1b[2KStoring a?]0;evil??b"


def test_in_a_notebook_one_line_is_renewed(monkeypatch):
    shown_lines = []

    class Handle:
        def update(self, bundle, raw):
            shown_lines.append(("update", bundle["text/plain"]))

    class Display:
        @staticmethod
        def display(bundle, *, raw, display_id):
            shown_lines.append(("display", bundle["text/plain"]))
            return Handle()

    show = progress._in_notebook(Display)
    show("one")
    show("two")
    assert shown_lines == [("display", "one"), ("update", "two")]


def test_who_asks_for_the_bytes_of_a_download_is_told_them_all(tmp_path):
    client = mlfoundry.get_client(tmp_path / "store", user="ann")
    with client.create_run("iris") as run:
        run.log_text("x" * 3_000_000, "a.txt")
        run.log_text("y", "b.txt")
    told = []
    client.get_run(run.run_id).download_artifact(dest=tmp_path / "copy", on_bytes=told.append)
    assert sum(told) == 3_000_001
    assert len(told) >= 4
