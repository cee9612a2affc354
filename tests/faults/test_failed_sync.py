"""A disk that fails to keep what it was told to: no claim of durability rests on that file, and nothing is lost."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mlfoundry.journal import Journal, reader
from mlfoundry.journal.reader import LeftJournal
from mlfoundry.records import RunStatus
from mlfoundry.store import points


@pytest.fixture
def journal(tmp_path):
    made = Journal(tmp_path / "journals", {"run_id": "0" * 32, "role": "owner"})
    made.open()
    yield made
    made.close(settled=True)


@pytest.fixture
def failing(monkeypatch):
    """Let the syncs whose numbers (from 1) are in `failing.at` fail with EIO; others go to `synced`."""

    class Failing:
        at: set[int] = set()  # noqa: RUF012
        count = 0
        synced: list[str] = []  # noqa: RUF012

        def __call__(self, fd):
            self.count += 1
            name = str(Path(f"/proc/self/fd/{fd}").readlink())
            if self.count in self.at:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            self.synced.append(name)

    failing = Failing()
    monkeypatch.setattr(os, "fdatasync", failing)
    return failing


def values_in(journal):
    from mlfoundry import slots

    run_id, journal_id = reader.parse_folder(journal.folder.name)
    left = LeftJournal(journal.folder, run_id, journal_id, -1)
    at, parts = left.first, []
    while at < left.tail:
        data, stop = left.read(at)
        parts += slots.decode(data, journal_id=journal_id, first=at).rows
        at = stop
    columns, nameless = points.columns(parts, left.names)
    assert (nameless, left.damage) == (0, [])
    return columns["a"][2].tolist()


def log(journal, count):
    for _ in range(count):
        journal.log({"a": float(journal.accepted)}, None)


def test_a_failed_sync_claims_nothing_and_a_new_file_takes_over(journal, failing, caplog):
    log(journal, 100)
    (first,) = journal.folder.glob("*.seg")
    failing.at = {1}
    assert journal.sync() == 0
    assert journal.durable == 0
    assert f"The disk did not keep {first}" in caplog.text
    (second,) = journal.folder.glob("*.seg")
    assert second != first
    log(journal, 100)
    assert journal.sync() == journal.tail == journal.durable
    assert str(first) not in failing.synced
    assert str(second) in failing.synced
    assert values_in(journal) == [float(n) for n in range(200)]


def test_a_sync_that_fails_after_one_that_did_not_keeps_what_is_durable(journal, failing):
    log(journal, 100)
    durable = journal.sync()
    assert durable == journal.tail
    log(journal, 100)
    (first,) = journal.folder.glob("*.seg")
    failing.at = {2}
    assert journal.sync() == durable
    log(journal, 100)
    assert journal.sync() == journal.tail
    assert failing.synced.count(str(first)) == 1
    assert values_in(journal) == [float(n) for n in range(300)]


@pytest.mark.parametrize("failed", [{1}, {2}, {3}, {1, 2, 3}, set(range(1, 12))])
def test_a_sync_of_several_files_that_fails_at_any_of_them_loses_nothing(journal, failing, small_segments, failed):
    small_segments(64)
    log(journal, 20_000)
    failing.at = failed
    for _ in range(30):
        before = journal.durable
        reached = journal.sync()
        assert reached == journal.durable >= before
        log(journal, 10)
    assert journal.sync() == journal.tail
    assert journal.trouble is None
    assert values_in(journal) == [float(n) for n in range(20_300)]


def test_a_disk_that_never_keeps_anything_never_makes_anything_durable(journal, failing):
    log(journal, 100)
    failing.at = set(range(1, 1000))
    for _ in range(10):
        assert journal.sync() == 0
        log(journal, 10)
    assert values_in(journal) == [float(n) for n in range(200)]
    assert len(list(journal.folder.glob("*.seg"))) <= 2


def test_a_failed_sync_of_the_folder_is_tried_again_and_then_forgotten(journal, monkeypatch):
    real, fails = os.fsync, [True]

    def fsync(fd):
        if fails and Path(f"/proc/self/fd/{fd}").is_dir():
            fails.pop()
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    log(journal, 10)
    assert journal.sync() == 0
    assert journal.sync() == journal.tail
    assert journal.trouble is None


def test_a_run_survives_failing_syncs_with_all_its_points(client, failing, store):
    failing.at = {1, 3, 4}
    with client.create_run("p", "x", log_system_metrics=False, capture=False) as run:
        while failing.count < 8:
            run.log_metrics({"a": float(run.health.accepted)})
            if run.health.accepted % 100 == 0:
                run.flush()
        accepted = run.health.accepted
    stored = client.get_run(run.run_id)
    assert stored.status is RunStatus.FINISHED
    assert stored.get_metrics()["a"].values.tolist() == [float(n) for n in range(accepted)]


# -- the system's own calls fail -------------------------------------------------------------------

LOGS = """
import sys, mlfoundry
client = mlfoundry.get_client(sys.argv[1], user="ann", end_timeout_s=5)
run = client.create_run("p", "x")
for number in range(60_000):
    run.log_metrics({"a": float(number)})
    if number % 20_000 == 0:
        run.flush(1)
lost = run.health.lost
run.end()
print("lost", lost, flush=True)
"""
STRACE = shutil.which("strace")
CALLS = [
    "fdatasync:EIO:1",
    "fallocate:ENOSPC:1",
    "fallocate:ENOSPC:2",
    "fallocate:EDQUOT:1+2",
    "fsync:EIO:1",
    "fsync:EIO:2",
]
CALLS += ["mkdir:EROFS:1+8", "rename:EIO:1", "flock:ENOLCK:1+8", "pwrite64:ENOSPC:3+2", "pwrite64:EIO:9"]


@pytest.mark.skipif(STRACE is None, reason="makes system calls fail with strace, which is not installed")
@pytest.mark.parametrize("call", CALLS)
def test_a_system_call_that_fails_neither_stops_the_program_nor_loses_a_point(call, start, look, store, tmp_path):
    name, error, when = call.split(":")
    with look(store).client.create_run("p", "before", log_system_metrics=False, capture=False):
        pass
    words = [
        "-f",
        "-qq",
        "-o",
        tmp_path / "trace",
        "-e",
        f"trace={name}",
        "-e",
        f"inject={name}:error={error}:when={when}",
    ]
    probe = subprocess.run([STRACE, "-qq", "-e", "trace=none", "true"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("strace may not trace here")
    done = subprocess.run(
        [STRACE, *map(str, words), sys.executable, "-c", LOGS, str(store)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "MLFOUNDRY_CAPTURE": "0", "MLFOUNDRY_SYSTEM_METRICS": "0", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "lost 0\n", done.stderr
    assert "INJECTED" in (tmp_path / "trace").read_text(), "the call never came"
    seen = look(store)
    assert seen.left == 0
    assert seen.values("a") == [float(number) for number in range(60_000)]
    seen.check()
