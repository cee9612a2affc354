"""`mlfoundry doctor`: a good store, a new one, and every kind of trouble with its remedy."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
import tempfile
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

import mlfoundry
from mlfoundry import settings, slots
from mlfoundry.cli import main, store_examination
from mlfoundry.errors import BackendUnavailable
from mlfoundry.journal import Journal
from mlfoundry.journal.reader import adopt
from mlfoundry.records import NewRun
from mlfoundry.settings import SETTINGS
from mlfoundry.shipping import recovery


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
    monkeypatch.setattr(store_examination.os, "access", lambda path, mode: False)
    assert "cannot be written" in told(code=1)["problems"][0]["problem"]


def test_a_journal_of_a_dead_process_is_a_problem_with_the_command_that_mends_it(client, home, cli, told):
    code = (
        "import os, signal, mlfoundry\nrun = mlfoundry.get_client(user='ann').create_run('demo', 'dead', "
        "log_system_metrics=False, capture=False)\nrun.log_metrics({'x': 1})\nprint(os.getpid(), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    _run(client, "dead").end()
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    found = told(code=1)
    (journal,) = found["journals"]
    assert journal["run"] == "ann/demo/dead-2", "the name that it got, and not the one that was wished for"
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
    monkeypatch.setattr(store_examination.shutil, "disk_usage", lambda path: usage)
    assert "1000 B are free" in told(code=1)["problems"][0]["problem"]


def test_a_network_file_system_is_worth_knowing(home, told, monkeypatch):
    monkeypatch.setattr("mlfoundry.file_systems.file_system", lambda path: "nfs4")
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


# -- what is not stored --------------------------------------------------------------------------


def _leave(home, run=None, *, user="ann", parked=False, record=None):
    """Leave a journal of a dead process, of a run in the store or of one that was never made; return its folder."""
    key = None if run is None else run.record.key
    new = NewRun(
        run_id="0123456789abcdef" * 2 if key is None else key.run_id,
        project_name="demo",
        run_name="dead" if run is None else run.run_name,
        owner=None,
        tags={},
        description="",
        started_at_us=1_700_000_000_000_000,
    )
    origin = recovery.origin(new, user=user, uri=str(home), role="member", pid=1)
    journal = Journal(home / "journals", origin | {"project_id": None if key is None else key.project_id})
    journal.log({"x": 1.0}, None)
    if record is not None:
        journal._put(journal.tail, slots.record(*record, journal._seed + journal.tail), 1)
    folder = journal.folder
    journal.close(settled=False)
    return adopt(folder).park() if parked else folder


WAITS = NewRun("0123456789abcdef" * 2, "demo", "waits", None, {}, "", 1_700_000_000_000_000)


def test_what_waits_for_another_store_is_told_with_how_to_store_it(client, cli, told, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    other = settings.resolve(tracking_uri=str(tmp_path / "read only"))
    origin = recovery.origin(WAITS, user="ann", uri=other.tracking_uri, role="owner", pid=1)
    journal = Journal(other.journal_roots()[1], origin)
    journal.log({"x": 1.0}, None)
    journal.sync()
    assert told()["notes"] == [], "its process lives"
    journal.close(settled=False)
    _run(client).end()
    (note,) = told()["notes"]
    assert note.startswith(f"1 journal of another store of yours, {tmp_path}/read only, waits in {tmp_path}/mlfoundry-")
    assert note.endswith(f"When it can: mlfoundry --uri '{tmp_path}/read only' sync")
    assert "1 journal of another store" in cli("doctor").output
    assert "1 journal stored" in CliRunner().invoke(main, ["--uri", other.tracking_uri, "--user", "ann", "sync"]).output
    assert told()["notes"] == []


@pytest.fixture
def ended(client):
    """A run of the store that has ended."""
    run = _run(client)
    run.end()
    return client.get_run(run.run_id)


def _problem(told):
    (problem,) = told(code=1)["problems"]
    assert "delete the" not in problem["remedy"].lower(), "what may be the only copy"
    return problem["problem"], problem["remedy"]


def test_a_journal_put_aside_for_a_deleted_run_is_a_problem_until_the_run_is_back_and_it_is_stored(
    ended, home, told, cli
):
    ended.delete()
    folder = _leave(home, ended, parked=True)
    problem, remedy = _problem(told)
    assert f"put aside in {folder.parent}: the run was deleted (ann/demo/r)" in problem
    assert remedy == "Restore the run (mlfoundry restore RUN), then run: mlfoundry sync"
    assert [each["reason"] for each in told(code=1)["journals"]] == ["the run was deleted"]
    assert "All is well" not in cli("doctor", code=1).stdout
    ended.client.backend.restore_run(ended.record.key)
    problem, remedy = _problem(told)
    assert "nothing is in the way of storing it any more" in problem
    assert remedy == "Store them: mlfoundry sync"
    cli("sync")
    assert told()["problems"] == []
    assert ended.get_metrics()["x"].values.tolist() == [1.0]


def test_a_journal_put_aside_for_a_deleted_project_is_the_only_copy_and_told_so(ended, client, home, told):
    folder = _leave(home, ended, parked=True)
    client.delete_project("demo")
    problem, remedy = _problem(told)
    assert "the run is not in this store: its project was deleted, or the store was replaced" in problem
    assert "it is the only copy" in remedy
    folder.rename(home / folder.name)  # elsewhere
    assert told()["problems"] == []


def test_a_journal_of_one_whose_right_was_withdrawn_says_so(ended, home, told):
    _leave(home, ended, user="bob", parked=True)
    problem, remedy = _problem(told)
    assert "whoever logged has no right to log to the run" in problem
    assert "mlfoundry collaborators" in remedy


def test_a_journal_of_a_newer_version_says_to_upgrade(ended, home, told):
    _leave(home, ended, parked=True, record=(slots.HIGH | 9, 0, 0, 0, b"new"))
    problem, remedy = _problem(told)
    assert "records that only a newer version can read" in problem
    assert remedy.startswith("Upgrade MLFoundry, then run: mlfoundry sync")


def test_a_journal_whose_head_is_damaged_says_that_nobody_knows_where_it_belongs(ended, home, told):
    folder = _leave(home, parked=True)
    (file,) = folder.glob("*.seg")
    data = bytearray(file.read_bytes())
    for place in [at for at in range(0, len(data), 32) if b'"origin"' in data[at : at + 32]]:
        data[place] ^= 1
    file.write_bytes(data)
    problem, remedy = _problem(told)
    assert "where the records belong cannot be read" in problem
    assert "it is the only copy" in remedy


@pytest.mark.parametrize("has_store", [True, False])
def test_a_journal_of_a_run_that_was_never_made_can_be_stored(client, home, told, cli, has_store):
    if has_store:
        _run(client, "other").end()
    _leave(home)
    problem, remedy = _problem(told)
    assert "processes that are gone are not stored yet: ann/demo/dead" in problem
    assert remedy == "Store them: mlfoundry sync"
    cli("sync")
    assert told()["problems"] == []


def test_a_journal_that_cannot_be_read_is_a_problem_with_its_reason(ended, home, told):
    folder = _leave(home, ended)
    (folder / "lock").unlink()
    (folder / "lock").symlink_to("lock")
    problem, remedy = _problem(told)
    assert "it cannot be read (Too many levels of symbolic links" in problem
    assert remedy.startswith("Mend that; the data is kept")


def test_a_journal_beside_a_store_that_cannot_be_read_says_that_of_the_store(ended, client, home, told):
    _leave(home, ended)
    client.backend.close()
    (home / "mlfoundry.db").write_bytes(b"no database" * 1000)
    problems = [each["problem"] for each in told(code=1)["problems"]]
    assert any("the store cannot be read now (ann/demo/r)" in problem for problem in problems)


def test_a_journal_that_a_living_process_cannot_store_for_long_is_a_problem(client, told, monkeypatch):
    def away(batch):
        raise BackendUnavailable("the store is away")

    with _run(client) as run:
        run.flush()
        with monkeypatch.context() as patch:
            patch.setattr(client.backend, "ingest", away)
            run.log_metrics({"x": 1.0})
            assert told()["problems"] == []
            with client.backend.database.write() as tx:
                tx.run("UPDATE run SET last_seen_at = last_seen_at - ?", (61 * 1_000_000,))
            problem, remedy = _problem(told)
        assert "living processes cannot be stored: the process is stopped or cannot reach the store" in problem
        assert "run.health" in remedy
        assert run.flush()
        assert told()["problems"] == []


def test_a_living_journal_of_a_run_that_was_never_made_is_a_problem_when_it_is_old(client, home, told):
    _run(client, "other").end()
    origin = {"run_id": "0123456789abcdef" * 2, "project_name": "demo", "run_name": "x", "user": "ann"}
    journal = Journal(home / "journals", origin)
    journal.log({"x": 1.0}, None)
    assert told()["problems"] == []
    os.utime(journal.folder / "lock", (0, 0))
    assert "cannot reach the store" in _problem(told)[0]
    journal.close(settled=True)


def test_files_that_were_put_aside_are_a_problem(ended, home, told):
    aside = home / "journals" / "parked" / "x.files"
    aside.mkdir(parents=True)
    problem, remedy = _problem(told)
    assert problem == f"Files that cannot be stored are kept in {aside}"
    assert "Log again what is wanted" in remedy


def test_a_folder_of_journals_that_is_none_is_a_problem(home, told):
    (home / "journals").write_text("")
    found = told(code=1)
    assert found["store"]["writable"] is False
    assert [each["problem"] for each in found["problems"]] == [
        f"The store's folder {home} cannot be used: {home}/journals is no folder.",
        f"The folder of journals {home}/journals cannot be looked into: it is no folder.",
    ]


# -- places that cannot be used ------------------------------------------------------------------


def _file(place):
    place.write_text("")


@pytest.mark.parametrize(
    ("name", "make", "told_as"),
    [
        ("store", _file, "is no folder"),
        ("store", lambda place: place.symlink_to("nowhere"), "is no folder"),
        ("store/mlfoundry.db", lambda place: place.mkdir(parents=True), "is no file"),
        ("store/artifacts", lambda place: (place.parent.mkdir(), _file(place)), "is no folder"),
    ],
    ids=["a file", "a link to nowhere", "a folder in place of the database", "a file in place of the artifacts"],
)
def test_a_place_that_something_else_takes_is_not_called_writable(told, cli, tmp_path, name, make, told_as):
    make(tmp_path / name)
    found = told("--uri", str(tmp_path / "store"), code=1)
    assert found["store"]["writable"] is False
    assert found["problems"][0]["problem"].endswith(f"{tmp_path / name} {told_as}.")
    text = cli("--uri", str(tmp_path / "store"), "doctor", code=1).stdout
    assert "All is well" not in text


def test_a_folder_on_a_read_only_disk_is_not_called_writable_even_to_root(client, home, told, monkeypatch):
    _run(client).end()
    real = os.open

    def read_only(path, flags, *rest, **more):
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EROFS, "Read-only file system")
        return real(path, flags, *rest, **more)

    monkeypatch.setattr(store_examination.os, "open", read_only)
    found = told(code=1)
    assert found["store"]["writable"] is False
    assert found["problems"][0]["problem"].endswith(f"{home} cannot be written.")


def test_a_file_system_without_nameless_files_is_asked_for_the_right_alone(client, told, monkeypatch):
    _run(client).end()
    real = os.open

    def without(path, flags, *rest, **more):
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return real(path, flags, *rest, **more)

    monkeypatch.setattr(store_examination.os, "open", without)
    assert told()["store"]["writable"] is True


def test_a_database_that_this_account_cannot_write_is_not_called_writable(client, home, told, monkeypatch):
    _run(client).end()
    monkeypatch.setattr(store_examination.os, "access", lambda path, mode: not str(path).endswith(".db"))
    found = told(code=1)
    assert found["store"]["writable"] is False
    assert found["problems"][0]["problem"].endswith(f"{home}/mlfoundry.db cannot be written.")


def test_a_file_system_without_a_size_is_not_said_to_be_full(told, monkeypatch):
    monkeypatch.setattr(store_examination.shutil, "disk_usage", lambda place: SimpleNamespace(total=0, used=0, free=0))
    found = told()
    assert (found["store"]["disk_free_bytes"], found["store"]["disk_total_bytes"]) == (None, None)
    assert not [each for each in found["problems"] if "are free" in each["problem"]]
