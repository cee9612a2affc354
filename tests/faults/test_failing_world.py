"""A failing world: the program that logs goes on, is told the truth, and has its data stored once all is well."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import threading

import pytest

from mlfoundry.errors import BackendUnavailable
from mlfoundry.records import RunStatus
from mlfoundry.shipping import shipment
from mlfoundry.shipping import shipper as shippers

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="mounts file systems and changes accounts: needs root")


def answer(program, *words):
    if words:
        program.say(" ".join(map(str, words)))
    return json.loads(program.line())


def check_no_delay(told):
    """Assert that no call waited for the world: one that is put off by the scheduler is not meant."""
    assert told["slow"] <= 20
    assert told["slowest_s"] < 1.0


def check_stored(look, store, count, *, lost=0, status=RunStatus.FINISHED, project="p"):
    seen = look(store)
    assert seen.left == 0
    run = seen.run(project=project)
    assert run.status is status
    values = run.get_metrics("a")["a"].values.tolist()
    assert len(values) == count - lost
    if not lost:
        assert values == [float(number) for number in range(count)]
    assert values == sorted(set(values))
    seen.check()
    return seen


def mounted(*words):
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mount {' '.join(words)}: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path):
    """Mount a file system of so many MiB; it is gone after the test."""
    folders = []

    def mount(size_mib):
        folders.append(tmp_path / f"disk{len(folders)}")
        folders[-1].mkdir()
        mounted("-t", "tmpfs", "-o", f"size={size_mib}m,mode=700", "tmpfs", str(folders[-1]))
        return folders[-1]

    yield mount
    for folder in folders:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


@pytest.fixture
def small_disk(disk):
    """A file system of 24 MiB."""
    return disk(24)


def fill(folder):
    """Fill a disk to the last byte; return the file that does it."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return filler


# -- disks -----------------------------------------------------------------------------------------


@needs_root
def test_a_full_disk_neither_stops_nor_delays_a_program_and_all_is_stored_when_there_is_room(start, look, small_disk):
    store = small_disk / "store"
    program = start("worlds.py", store, "plain")
    answer(program)
    assert answer(program)["flushed"] is True
    filler = fill(small_disk)
    full = answer(program, "log", 100_000, 1)
    check_no_delay(full)
    assert full["lost"] == 0
    assert full["in_memory"] > 0
    assert full["flushed"] is False
    assert full["state"] in ("offline", "behind")
    assert "No space left" in full["message"]
    filler.unlink()
    healed = answer(program, "log", 1000, 20)
    assert (healed["flushed"], healed["lost"], healed["count"]) == (True, 0, 102_000)
    healed = answer(program, "heal", 10)
    assert (healed["in_memory"], healed["message"], healed["state"]) == (0, "", "ok")
    program.say("end")
    assert json.loads(program.line())["ended_s"] < 5
    assert program.exit_code() == 0
    assert "cannot grow (No space left on device)" in program.messages()
    assert "can grow again; 0 records were lost" in program.messages()
    check_stored(look, store, 102_000)


@needs_root
@pytest.mark.parametrize("size_mib", [6, 64], ids=["small for ever", "large again"])
def test_what_finds_no_room_at_all_is_counted_exactly(start, look, disk, size_mib):
    small_disk = disk(size_mib)
    store = small_disk / "store"
    program = start("worlds.py", store, "plain")
    answer(program)
    answer(program)
    filler = fill(small_disk)
    full = answer(program, "log", 800_000, 0.1)
    check_no_delay(full)
    assert full["lost"] > 0
    assert full["state"] == "losing"
    assert full["accepted"] + full["lost"] == full["count"]
    filler.unlink()
    assert answer(program, "end")["lost"] == full["lost"], "there was room again for the end of the run"
    program.exit_code()
    seen = check_stored(look, store, full["count"], lost=full["lost"])
    assert seen.run().get_facts()["tracker.lost_records"] == str(full["lost"])


@needs_root
def test_a_disk_that_fills_and_empties_many_times_loses_nothing(start, look, small_disk, scale):
    store = small_disk / "store"
    program = start("worlds.py", store, "plain")
    answer(program)
    answer(program)
    count = 1000
    for _ in range(scale(20, 4)):
        filler = fill(small_disk)
        calls = random.randrange(1, 20_000)
        answer(program, "log", calls, 0)
        filler.unlink()
        told = answer(program, "log", 500, 15)
        count += calls + 500
        assert (told["flushed"], told["lost"]) == (True, 0)
        check_no_delay(told)
    program.say("end")
    program.line()
    program.exit_code()
    check_stored(look, store, count)


@needs_root
def test_a_process_killed_on_a_full_disk_loses_only_what_it_said_is_in_memory(start, look, small_disk):
    store = small_disk / "store"
    program = start("worlds.py", store, "plain")
    answer(program)
    answer(program)
    filler = fill(small_disk)
    full = answer(program, "log", 50_000, 0)
    program.kill()
    filler.unlink()
    seen = look(store)
    values = seen.values("a")
    assert values == [float(number) for number in range(len(values))]
    assert full["count"] - full["in_memory"] // 32 <= len(values) <= full["count"]
    assert seen.run().status is RunStatus.KILLED
    seen.check()


@needs_root
def test_a_read_only_store_lets_the_program_log_and_all_is_stored_when_it_can_be_written(start, look, disk):
    folder = disk(32)
    store = folder / "store"
    before = look(store)
    with before.client.create_run("p", "before", log_system_metrics=False, capture=False) as run:
        run.log_metrics({"a": 1.0})
    before.client.backend.close()
    shippers.shipper().stop()
    mounted("-o", "remount,ro", str(folder))
    program = start("worlds.py", store, "plain")
    assert answer(program)["create_s"] < 5
    told = answer(program)
    assert (told["lost"], told["flushed"], told["state"]) == (0, False, "offline")
    assert told["message"]
    check_no_delay(told)
    program.say("end")
    assert json.loads(program.line())["ended_s"] < 10
    assert program.exit_code() == 0
    mounted("-o", "remount,rw", str(folder))
    finished = start("recovers.py", store)
    assert finished.rest().endswith("done 0\n"), finished.messages()
    check_stored(look, store, 1000)


@needs_root
@pytest.mark.parametrize("home", ["no folder at all", "read-only"])
def test_a_program_without_a_home_that_can_be_written_logs_to_a_temporary_folder(start, tmp_path, disk, home):
    place = "/dev/null/home"
    if home == "read-only":
        folder = disk(1)
        mounted("-o", "remount,ro", str(folder))
        place = str(folder)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    temporary.chmod(0o1777)
    text = (
        "import mlfoundry\n"
        "client = mlfoundry.get_client(end_timeout_s=1)\n"
        "run = client.create_run('p', 'x')\n"
        "for n in range(1000): run.log_metrics({'a': float(n)})\n"
        "while not (stored := run.flush(0.5)) and run.health.state == 'behind': pass\n"
        "print(stored, run.health.lost, run.health.in_memory_bytes, run.health.state)\n"
        "run.end()\n"
    )
    program = start("-c", text, environment={"HOME": place, "TMPDIR": str(temporary)})
    assert program.line() == "False 0 0 offline", program.messages()
    assert program.exit_code() == 0
    assert "MLFOUNDRY_HOME" in program.messages()
    assert list(temporary.rglob("*.seg"))
    for path in temporary.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


@needs_root
def test_a_temporary_folder_of_another_account_is_not_used(start, tmp_path):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    temporary.chmod(0o1777)
    trap = temporary / f"mlfoundry-{os.getuid()}"
    trap.mkdir()
    trap.chmod(0o777)
    os.chown(trap, 12345, 12345)
    text = (
        "import mlfoundry\n"
        "run = mlfoundry.get_client(end_timeout_s=1).create_run('p', 'x')\n"
        "run.log_metrics({'a': 1.0})\n"
        "print(run.health.in_memory_bytes > 0)\n"
    )
    program = start("-c", text, environment={"HOME": "/dev/null/home", "TMPDIR": str(temporary)})
    assert program.line() == "True"
    assert list(trap.rglob("*")) == []


# -- the store -------------------------------------------------------------------------------------


def test_a_store_locked_for_long_delays_the_start_alone_and_gets_all_in_the_end(start, look, client, store):
    with client.create_run("p", "before", log_system_metrics=False, capture=False):
        pass
    with client.backend.database.write():
        program = start("worlds.py", store, "plain", 1.0)
        assert answer(program)["create_s"] < 5
        told = answer(program)
        check_no_delay(told)
        assert (told["lost"], told["flushed"]) == (0, False)
        assert told["state"] in ("offline", "behind")
        told = answer(program, "log", 10_000, 1.5)
        check_no_delay(told)
        assert told["state"] == "offline"
        assert "locked" in told["message"]
    told = answer(program, "log", 1000, 20)
    assert (told["flushed"], told["state"], told["message"]) == (True, "ok", "")
    program.say("end")
    program.line()
    assert program.exit_code() == 0
    check_stored(look, store, 12_000)


def test_a_store_locked_at_the_end_leaves_the_journal_which_the_next_client_stores(start, look, client, store):
    program = start("worlds.py", store, "plain", 1.0)
    answer(program)
    answer(program)
    with client.backend.database.write():
        answer(program, "log", 500, 0)
        program.say("end")
        assert json.loads(program.line())["ended_s"] < 8
        assert program.exit_code() == 0
    assert "are not stored yet" in program.messages()
    check_stored(look, store, 1500)


def test_a_store_that_is_deleted_meanwhile_is_never_said_to_hold_what_it_does_not(start, look, store):
    program = start("worlds.py", store, "plain")
    answer(program)
    assert answer(program)["flushed"] is True
    for path in store.glob("mlfoundry.db*"):
        path.unlink()
    told = answer(program, "log", 1000, 3)
    check_no_delay(told)
    assert told["lost"] == 0
    program.say("end")
    program.line()
    assert program.exit_code() == 0
    seen = look(store)
    stored = {run.run_name: len(run.get_metrics("a")["a"].values) for run in runs_of(seen)}
    kept = list((store / "journals").rglob("*.seg"))
    assert stored.get("x") == 2000 or kept, "neither the store nor a journal holds what was accepted"
    if stored.get("x") != 2000:
        assert told["flushed"] is False
        assert told["message"]
        assert program.messages()


def runs_of(seen):
    return [run for project in seen.client.list_projects() for run in seen.client.list_runs(project.name)]


def test_a_store_that_is_damaged_meanwhile_does_not_disturb_the_program(start, look, store):
    program = start("worlds.py", store, "plain")
    answer(program)
    assert answer(program)["flushed"] is True
    for path in store.glob("mlfoundry.db*"):
        if not path.name.endswith("-shm"):
            with path.open("r+b") as file:
                file.write(os.urandom(max(8192, path.stat().st_size)))
    told = answer(program, "log", 1000, 3)
    check_no_delay(told)
    assert (told["lost"], told["count"]) == (0, 2000)
    program.say("end")
    assert json.loads(program.line())["ended_s"] < 10
    assert program.exit_code() == 0
    with contextlib.suppress(BackendUnavailable):  # its words, and no other error
        for run in runs_of(look(store)):
            run.get_metrics()
    if told["flushed"] is False:
        assert told["message"]


# -- journals --------------------------------------------------------------------------------------


def test_a_journal_folder_deleted_under_a_running_process_does_no_harm_with_a_healthy_store(start, look, store):
    program = start("worlds.py", store, "plain")
    answer(program)
    answer(program)
    (folder,) = (store / "journals").iterdir()
    shutil.rmtree(folder)
    told = answer(program, "log", 700_000, 20)
    assert (told["flushed"], told["lost"], told["count"]) == (True, 0, 701_000)
    check_no_delay(told)
    program.say("end")
    program.line()
    assert program.exit_code() == 0
    check_stored(look, store, 701_000)
    assert [path for path in (store / "journals").iterdir() if path.name != "parked"] == []


def test_all_folders_of_journals_deleted_and_the_process_killed_loses_what_was_there_alone(start, look, store):
    program = start("worlds.py", store, "plain")
    answer(program)
    answer(program)
    shutil.rmtree(store / "journals")
    told = answer(program, "log", 60_000, 20)
    assert (told["flushed"], told["lost"]) == (True, 0)
    program.kill()
    seen = look(store)
    values = seen.values("a")
    assert values == [float(number) for number in range(61_000)]
    assert seen.run().status in (RunStatus.KILLED, RunStatus.RUNNING)


def test_what_is_logged_while_the_last_batch_is_on_its_way_is_stored(client, monkeypatch):
    run = client.create_run("p", "x", log_system_metrics=False, capture=False)
    run.log_metrics({"a": 1.0})
    run.flush()
    between, go_on = threading.Event(), threading.Event()
    real = shipment.Shipment._look_for_files

    def look_for_files(shipment):
        between.set()
        assert go_on.wait(20)
        real(shipment)

    monkeypatch.setattr(shipment.Shipment, "_look_for_files", look_for_files)
    assert between.wait(20)
    run.log_metrics({"late": 2.0})
    ending = threading.Thread(target=run.end)
    ending.start()
    shipper = shippers.shipper()
    shipper.wait(lambda: run._shipment.last, 10)
    go_on.set()
    ending.join()
    stored = client.get_run(run.run_id)
    assert stored.status is RunStatus.FINISHED
    assert {key: points.values.tolist() for key, points in stored.get_metrics().items()} == {"a": [1.0], "late": [2.0]}


# -- clocks and modes ------------------------------------------------------------------------------


def test_a_clock_that_jumps_keeps_the_order_and_no_duration_is_negative(start, look, store):
    program = start("worlds.py", store, "clock")
    answer(program)
    assert answer(program)["count"] == 2000
    assert program.exit_code() == 0, program.messages()
    seen = check_stored(look, store, 2000)
    run = seen.run()
    assert 0 <= (run.ended_at - run.started_at).total_seconds() < 60
    assert run.get_metrics("a")["a"].steps.tolist() == list(range(2000))


def test_a_killed_run_whose_clock_jumped_back_ends_no_earlier_than_it_began(start, look, store):
    program = start("worlds.py", store, "clock_back")
    assert program.exit_code() == -signal.SIGKILL, program.messages()
    run = check_stored(look, store, 10, status=RunStatus.KILLED).run()
    assert run.ended_at >= run.started_at


def test_everything_that_is_made_is_private_whatever_the_umask(start, tmp_path):
    parent = tmp_path / "made"
    parent.mkdir()
    (tmp_path / "file").write_text("an artifact")
    text = (
        "import os, sys, mlfoundry\n"
        "os.umask(0)\n"
        "run = mlfoundry.get_client(sys.argv[1] + '/store', user='ann').create_run('p', 'x')\n"
        "for n in range(100_000): run.log_metrics({'a': float(n)})\n"
        "run.log_text('text', 'folder/a.txt')\n"
        "run.log_artifact(sys.argv[2])\n"
        "run.flush()\n"
        "if os.fork() == 0:\n"
        "    run.log_metrics({'child': 1.0}); run.flush(); os.kill(os.getpid(), 9)\n"
        "os.wait()\n"
        "run._uploads._keep('waits.txt', __import__('io').BytesIO(b'waits'))\n"
        "print('made', flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    program = start("-c", text, parent, tmp_path / "file")
    assert program.line() == "made", program.messages()
    program.exit_code()
    found = {path.relative_to(parent): stat.S_IMODE(path.stat().st_mode) for path in parent.rglob("*")}
    assert len(found) > 10
    open_to_others = {str(path): oct(mode) for path, mode in found.items() if mode & 0o077}
    assert open_to_others == {}
