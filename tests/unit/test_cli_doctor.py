"""`mlfoundry doctor`: a good store, a new one, and every kind of trouble with its remedy."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

import mlfoundry
from mlfoundry.cli import diagnosis, main
from mlfoundry.settings import SETTINGS


@pytest.fixture
def client(home):
    return mlfoundry.get_client(home, user="ann")


@pytest.fixture
def cli(home):
    def call(*args, code=0):
        result = CliRunner().invoke(main, ["--user", "ann", *args])
        assert result.exit_code == code, result.output
        return result

    return call


@pytest.fixture
def told(cli):
    def call(*args, code=0):
        return json.loads(cli(*args, "doctor", "--json", code=code).stdout)

    return call


def _run(client, name="r"):
    return client.create_run("demo", name, log_system_metrics=False, capture=False)


def test_a_good_store_is_well(client, home, cli, told):
    _run(client).end()
    text = cli("doctor").stdout
    for said in ("All is well.", str(home), "SQLite" if False else "sqlite", "journal mode", "wal", "Journals", "GPUs"):
        assert said in text
    found = told()
    assert found["problems"] == []
    assert found["store"]["exists"]
    assert found["store"]["writable"]
    assert found["store"]["journal_mode"] in ("wal", "delete")
    assert found["store"]["database_bytes"] > 0
    assert found["store"]["disk_free_bytes"] > 0
    assert found["versions"]["mlfoundry"] == mlfoundry.__version__
    assert found["journals"] == []
    assert found["checked"] is None


def test_a_store_that_is_not_there_yet_is_not_made(home, cli, told, tmp_path):
    found = told("--uri", str(tmp_path / "new/store"))
    assert found["store"]["exists"] is False
    assert found["store"]["database_bytes"] is None
    assert "made with the first run" in cli("--uri", str(tmp_path / "new/store"), "doctor").stdout
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_used_is_a_problem(told, cli, tmp_path):
    (tmp_path / "file").write_text("")
    found = told("--uri", str(tmp_path / "file/store"), code=1)
    assert "cannot be used" in found["problems"][0]["problem"]
    assert "MLFOUNDRY_HOME" in found["problems"][0]["remedy"]
    assert "Problem: " in cli("--uri", str(tmp_path / "file/store"), "doctor", code=1).stdout


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write_is_a_problem(client, home, told):
    _run(client).end()
    home.chmod(0o500)
    try:
        assert "cannot be written" in told(code=1)["problems"][0]["problem"]
    finally:
        home.chmod(0o700)


def test_a_store_whose_account_cannot_write_is_a_problem(client, home, told, monkeypatch):
    _run(client).end()
    monkeypatch.setattr(diagnosis.os, "access", lambda path, mode: False)
    assert "cannot be written" in told(code=1)["problems"][0]["problem"]


def test_a_journal_of_a_dead_process_is_a_problem_with_the_command_that_mends_it(home, cli, told):
    code = (
        "import os, signal, mlfoundry\nrun = mlfoundry.get_client(user='ann').create_run('demo', 'dead', "
        "log_system_metrics=False, capture=False)\nrun.log_metrics({'x': 1})\nprint(os.getpid(), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    found = told(code=1)
    (journal,) = found["journals"]
    assert journal["run"] == "ann/demo/dead"
    assert journal["living"] is False
    assert journal["pid"] == int(process.stdout)
    assert journal["size_bytes"] > 0
    assert "mlfoundry sync" in found["problems"][0]["remedy"]
    assert "is gone" in cli("doctor", code=1).stdout
    assert len(list((home / "journals").iterdir())) == 1  # nothing was taken over
    cli("sync")
    assert told()["journals"] == []


def test_a_journal_of_a_living_process_is_none(client, told):
    with _run(client):
        (journal,) = told()["journals"]
    assert (journal["living"], journal["pid"], journal["run"]) == (True, os.getpid(), "ann/demo/r")


def test_a_check_reads_all_runs_and_finds_what_is_damaged(client, home, cli):
    for name in ("a", "b"):
        with _run(client, name) as run:
            for step in range(200):
                run.log_metrics({"x": step * 0.1})
    found = json.loads(cli("doctor", "--check", "--json").stdout)
    assert (found["checked"], found["problems"]) == (2, [])
    assert "2 runs were read" in cli("doctor", "--check").stdout
    run_id = client.get_run("demo/a").run_id
    with client.backend.database.write() as tx:
        tx.run("UPDATE chunk SET data = substr(data, 1, 40) WHERE run_id = ?", (bytes.fromhex(run_id),))
    found = json.loads(cli("doctor", "--check", "--json", code=1).stdout)
    assert run_id in found["problems"][0]["problem"]


def test_a_file_that_is_no_database_is_a_problem(home, told):
    (home / "mlfoundry.db").write_bytes(b"this is no database" * 1000)
    assert "cannot be opened" in told(code=1)["problems"][0]["problem"]


def test_a_store_of_a_newer_version_is_a_problem_that_names_both(client, home, told):
    _run(client).end()
    with client.backend.database.write() as tx:
        tx.rows("PRAGMA user_version = 999")
    client.backend.close()
    assert "999" in told(code=1)["problems"][0]["problem"]


def test_a_disk_that_is_nearly_full_is_a_problem(client, told, monkeypatch):
    usage = SimpleNamespace(free=1000, total=10**9)
    monkeypatch.setattr(diagnosis.shutil, "disk_usage", lambda path: usage)
    assert "1000 B are free" in told(code=1)["problems"][0]["problem"]


def test_a_network_file_system_is_worth_knowing(home, told, monkeypatch):
    monkeypatch.setattr("mlfoundry.store.database.file_system", lambda path: "nfs4")
    found = told()
    assert found["store"]["is_network"]
    assert "network file system (nfs4)" in found["notes"][0]


def test_every_setting_is_told_with_where_it_came_from(home, told, monkeypatch):
    monkeypatch.setenv("MLFOUNDRY_CAPTURE", "no")
    monkeypatch.setenv("MLFOUNDRY_API_KEY", "sesame")
    (home / "settings.toml").write_text("end_timeout_s = 3\n")
    settings = told()["settings"]
    assert set(settings) == set(SETTINGS)
    assert settings["capture"] == {"value": False, "source": "MLFOUNDRY_CAPTURE"}
    assert settings["end_timeout_s"] == {"value": 3.0, "source": "settings file"}
    assert settings["user"] == {"value": "ann", "source": "--user"}
    assert settings["api_key"] == {"value": "set", "source": "MLFOUNDRY_API_KEY"}
    assert settings["system_metrics"]["source"] == "default"


class _Nvml:
    """An NVML with one GPU, or with a driver that does not answer."""

    NVMLError = RuntimeError

    def __init__(self, *, answers=True):
        self._answers = answers

    def nvmlInit(self):
        if not self._answers:
            raise RuntimeError("Driver Not Loaded")

    def __getattr__(self, name):
        given = {
            "nvmlDeviceGetCount": 1,
            "nvmlDeviceGetHandleByIndex": "handle",
            "nvmlDeviceGetName": b"NVIDIA \x1b[31mX",
            "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=2**36),
            "nvmlSystemGetDriverVersion": "550.1",
            "nvmlShutdown": None,
        }
        return lambda *args: given[name]


def test_gpus_are_named(cli, told, monkeypatch):
    monkeypatch.setattr("mlfoundry.system_metrics.gpu.load_nvml", lambda: _Nvml())
    assert told()["gpus"]["devices"] == [{"index": 0, "name": "NVIDIA \x1b[31mX", "memory_bytes": 2**36}]
    text = cli("doctor").stdout
    assert "NVIDIA \\x1b[31mX, 64.0 GiB" in text
    assert "550.1" in text


def test_a_driver_that_does_not_answer_is_no_problem_and_is_said(told, monkeypatch):
    monkeypatch.setattr("mlfoundry.system_metrics.gpu.load_nvml", lambda: _Nvml(answers=False))
    assert "Driver Not Loaded" in told()["gpus"]["message"]


def test_an_old_sqlite_is_a_problem(told, monkeypatch):
    monkeypatch.setattr("apsw.sqlite_lib_version", lambda: "3.45.1")
    assert "pip install --upgrade apsw" in told(code=1)["problems"][0]["remedy"]


def test_the_folder_of_a_new_store_is_closed_to_other_accounts(tmp_path):
    before = os.umask(0o022)
    try:
        _run(mlfoundry.get_client(tmp_path / "store", user="ann")).end()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "store").stat().st_mode) == 0o700
