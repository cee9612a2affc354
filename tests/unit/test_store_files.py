"""The files of a database: whose they are, what is wrong with them, and on which file system they lie."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import pytest

from mlfoundry import file_systems
from mlfoundry.errors import BackendUnavailable
from mlfoundry.records import NewRun
from mlfoundry.store import sqlite_connections
from mlfoundry.store.database import Database
from mlfoundry.store.schema import newest_version
from mlfoundry.tracking.embedded import EmbeddedBackend

COUNT = "SELECT COUNT(*) FROM member_of"
ADD = "INSERT INTO member_of (user_id, project_id, permission) VALUES (?, ?, 1)"


@pytest.fixture
def database(tmp_path):
    database = Database(tmp_path / "store.db")
    yield database
    database.close()


def count(database):
    with database.read() as tx:
        return tx.row(COUNT)[0]


def add(database, number):
    with database.write() as tx:
        tx.run(ADD, ("ann", number))


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_all_files_of_the_database_are_its_owners_alone_whatever_the_umask(database, umask):
    before = os.umask(umask)
    try:
        add(database, 1)
        count(database)
        modes = {path.name: oct(path.stat().st_mode & 0o777) for path in database.path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(("store.db", "store.db-wal", "store.db-shm"), "0o600")


def test_the_folders_and_files_of_an_embedded_store_are_its_owners_alone(tmp_path):
    import io

    before = os.umask(0)
    try:
        backend = EmbeddedBackend(tmp_path / "deep" / "store", "ann")
        run = backend.create_run(NewRun(uuid.uuid4().hex, "iris", "run", None, {}, "", 0))
        backend.put_artifact(run.key, "a/b.txt", io.BytesIO(b"x"))
        backend.close()
    finally:
        os.umask(before)
    for path in (tmp_path / "deep" / "store", *(tmp_path / "deep" / "store").rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path


def test_reading_makes_the_file_when_there_is_none(database):
    assert count(database) == 0
    assert database.path.exists()


def test_a_name_with_every_odd_character_is_a_file_of_that_name(tmp_path):
    database = Database(tmp_path / "a b?c#d%25'e.db")
    add(database, 1)
    assert count(database) == 1
    database.close()
    assert database.path.exists()


def test_a_missing_folder_is_an_error_of_ours(tmp_path):
    with pytest.raises(BackendUnavailable, match=r"the store .*store\.db cannot be used now"):
        count(Database(tmp_path / "nowhere" / "store.db"))


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\0" + b"\xff" * 4080])
def test_a_file_that_is_no_database_is_an_error_that_says_what_to_do(tmp_path, content):
    path = tmp_path / "store.db"
    path.write_bytes(content)
    for use in (count, lambda database: add(database, 1)):
        with pytest.raises(BackendUnavailable, match=r"is damaged .*Move it away"):
            use(Database(path))
    assert path.read_bytes() == content


def test_a_store_that_is_deleted_while_it_is_in_use_is_not_written_into_the_void(database):
    add(database, 1)
    for path in list(database.path.parent.iterdir()):
        path.unlink()
    with pytest.raises(BackendUnavailable, match="was moved, deleted or replaced while it was in use"):
        add(database, 2)
    add(database, 3)
    assert count(database) == 1


def test_the_log_of_a_store_that_was_taken_away_is_not_played_back_into_a_new_one(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from mlfoundry.store.database import Database\n"
        "database = Database(Path(sys.argv[1]))\n"
        "with database.write() as tx: tx.run(sys.argv[2], ('ann', 1))\n"
        "os._exit(0)\n"
    )
    path = tmp_path / "store.db"
    subprocess.run([sys.executable, "-c", code, path, ADD], check=True, timeout=60)
    assert Path(f"{path}-wal").stat().st_size > 0
    path.unlink()
    database = Database(path)
    add(database, 2)
    assert (count(database), list(database.check())) == (1, [])
    database.close()


def test_a_reader_of_a_store_that_was_replaced_is_not_kept(database, tmp_path):
    add(database, 1)
    other = Database(tmp_path / "other" / "store.db")
    other.path.parent.mkdir()
    add(other, 1)
    add(other, 2)
    other.close()
    with database.read() as tx:
        assert tx.row(COUNT) == (1,)
        for path in database.path.parent.glob("store.db*"):
            path.unlink()
        other.path.rename(database.path)
        assert count(database) == 2
    assert [count(database) for _ in range(3)] == [2, 2, 2]
    database.close()


def test_a_folder_that_cannot_be_written_can_be_read(database):
    add(database, 1)
    database.close()
    code = (
        "import apsw, os, sys; from pathlib import Path; from mlfoundry.store.database import Database\n"
        "os.setuid(65534) if os.getuid() == 0 else None\n"  # root may write anywhere
        "with Database(Path(sys.argv[1])).read() as tx:\n"
        f"    print(tx.row({COUNT!r})[0])\n"
    )
    with tempfile.TemporaryDirectory() as name:  # not below tmp_path, where nobody else may look
        copy = Path(name) / "store.db"
        shutil.copy(database.path, copy)
        copy.chmod(0o444)
        copy.parent.chmod(0o555)
        try:
            done = subprocess.run([sys.executable, "-c", code, str(copy)], capture_output=True, text=True, check=False)
        finally:
            copy.parent.chmod(0o755)
        assert [path.name for path in copy.parent.iterdir()] == ["store.db"]
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_the_database_describes_itself(database):
    add(database, 1)
    told = database.describe()
    assert told["engine"].startswith("SQLite 3.")
    assert told["journal mode"] == "wal"
    assert told["schema version"] == str(newest_version())
    assert database.size_bytes() > 0
    assert database.check() == []


MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:25 / /home rw,relatime shared:2 - nfs4 server:/home rw
31 30 8:2 / /home/ann/scratch rw,relatime - xfs /dev/sdb rw
32 22 0:26 / /mnt/my\\040share rw,relatime - cifs //server/share rw
33 22 0:27 / /mnt/remote rw,nosuid shared:3 master:4 - fuse.sshfs ann@server:/ rw
34 22 0:28 / /home2 rw - tmpfs tmpfs rw
"""


@pytest.fixture
def mounts(monkeypatch):
    """``/proc/self/mountinfo`` holds `MOUNTS`."""
    kept = Path.read_text

    def read_text(self, *words, **named):
        return MOUNTS if str(self) == "/proc/self/mountinfo" else kept(self, *words, **named)

    monkeypatch.setattr(Path, "read_text", read_text)
    monkeypatch.setattr(Path, "resolve", lambda self, strict=False: self)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/store", "ext4"),
        ("/home", "nfs4"),
        ("/home/ann/store", "nfs4"),
        ("/home/ann/scratch", "xfs"),
        ("/home/ann/scratch/store", "xfs"),
        ("/home/ann/scratchy", "nfs4"),
        ("/home2/store", "tmpfs"),
        ("/mnt/my share/store", "cifs"),
        ("/mnt/remote/store", "fuse.sshfs"),
    ],
)
def test_the_file_system_of_a_folder_is_that_of_the_nearest_mount(mounts, path, kind):
    assert file_systems.file_system(Path(path)) == kind


def test_a_machine_without_a_list_of_mounts_says_nothing(monkeypatch):
    def missing(self, *words, **named):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert file_systems.file_system(Path("/")) == ""


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "9p", "fuse.sshfs", "lustre"])
def test_on_a_network_file_system_there_is_no_write_ahead_log(database, monkeypatch, kind):
    monkeypatch.setattr(sqlite_connections, "file_system", lambda path: kind)
    add(database, 1)
    assert database.describe()["journal mode"] == "delete"
    assert count(database) == 1
    assert not Path(f"{database.path}-wal").exists()
    database.close()
    add(database, 2)
    assert count(database) == 2
