"""Bytes by hash, in a folder and in an object store: whole or not at all, in parts by anybody, a project at a time."""

from __future__ import annotations

import hashlib
import io
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlfoundry.errors import BackendUnavailable, InvalidInput, InvalidSetting, MissingExtra, WrongHash
from mlfoundry.store import artifact_bucket, artifact_folder
from mlfoundry.store.artifacts import ArtifactFolder
from mlfoundry.store.parts import LEAST_PART_BYTES, PART_LIFE_S
from mlfoundry.store.places import open_artifacts

PART = LEAST_PART_BYTES
PROJECT = 7


@pytest.fixture(scope="module")
def buckets():
    from tests.buckets import Buckets

    running = Buckets()
    yield running
    running.stop()


@pytest.fixture
def bucket(buckets, monkeypatch):
    """The name of an empty bucket."""
    for name, value in buckets.settings().items():
        monkeypatch.setenv(name, value)
    return buckets.make()


@pytest.fixture(params=["folder", "bucket"])
def place(request, tmp_path):
    """Where files lie, as text: `open_artifacts` takes it."""
    if request.param == "folder":
        return str(tmp_path / "artifacts")
    return f"s3://{request.getfixturevalue('bucket')}/some/prefix"


@pytest.fixture
def store(place):
    return open_artifacts(place)


def sha256_of(data):
    return hashlib.sha256(data).hexdigest()


def read(store, sha256, start=0):
    with store.open(PROJECT, sha256, start) as file:
        return file.read()


def everything(store):
    """Return the names of all that lies there, below each project."""
    if isinstance(store, ArtifactFolder):
        root = store._root
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    return sorted(meta["path"] for meta in store._list(""))


@pytest.mark.parametrize("size", [0, 1, PART, (8 << 20) - 1, (8 << 20) + 1, 20 << 20])
def test_bytes_come_back_under_their_hash(store, size):
    data = os.urandom(size)
    assert store.put(PROJECT, io.BytesIO(data)) == (sha256_of(data), size)
    assert store.is_whole(PROJECT, sha256_of(data), size)
    assert read(store, sha256_of(data)) == data
    assert read(store, sha256_of(data), size // 2) == data[size // 2 :]
    assert read(store, sha256_of(data), size) == b""
    assert everything(store) == [f"{PROJECT}/{sha256_of(data)[:2]}/{sha256_of(data)}"]


def test_a_source_that_cannot_be_read_twice_is_stored_as_well(store):
    class Pipe(io.BytesIO):
        def seekable(self):
            return False

        def seek(self, *_):
            raise OSError("a pipe")

    assert store.put(PROJECT, Pipe(b"from a pipe")) == (sha256_of(b"from a pipe"), 11)
    assert read(store, sha256_of(b"from a pipe")) == b"from a pipe"


def test_a_source_that_breaks_leaves_nothing(store):
    class Broken(io.BytesIO):
        def read(self, size=-1):
            if self.tell():
                raise ValueError("the source broke")
            return super().read(1 << 20)

    with pytest.raises(ValueError, match="the source broke"):
        store.put(PROJECT, Broken(bytes(3 << 20)))
    assert everything(store) == []


def test_a_file_that_grows_while_it_is_stored_is_no_object_under_a_wrong_name(bucket, buckets):
    class Growing(io.BytesIO):
        def seek(self, at, whence=0):
            super().seek(0, io.SEEK_END)
            self.write(b"more")
            return super().seek(at, whence)

    store = open_artifacts(f"s3://{bucket}")
    with pytest.raises(WrongHash, match="the bytes have the hash"):
        store.put(PROJECT, Growing(bytes(20 << 20)))
    assert everything(store) == []
    assert buckets.unfinished(bucket) == 0


# -- parts ---------------------------------------------------------------------------------------


def send(store, data, *, parts=PART, stop=None):
    """Send parts as a client does, until `stop` bytes are held."""
    sha256, size = sha256_of(data), len(data)
    held = store.held(PROJECT, sha256, size)
    while held < (size if stop is None else stop):
        held = store.add(PROJECT, sha256, size, held, data[held : held + parts])
    return held


def test_an_upload_goes_on_where_it_stopped_in_another_process(place):
    data = os.urandom(3 * PART + 100)
    assert send(open_artifacts(place), data, stop=2 * PART) == 2 * PART
    later = open_artifacts(place)
    assert later.held(PROJECT, sha256_of(data), len(data)) == 2 * PART
    assert not later.is_whole(PROJECT, sha256_of(data), len(data))
    with pytest.raises(BackendUnavailable):
        later.open(PROJECT, sha256_of(data))
    assert send(later, data) == len(data)
    assert read(later, sha256_of(data)) == data
    assert everything(later) == [f"{PROJECT}/{sha256_of(data)[:2]}/{sha256_of(data)}"]


def test_a_part_that_does_not_follow_adds_nothing_and_says_where_to_go_on(store):
    data = os.urandom(4 * PART)
    sha256, size = sha256_of(data), len(data)
    assert store.add(PROJECT, sha256, size, 2 * PART, data[2 * PART : 3 * PART]) == 0
    assert store.add(PROJECT, sha256, size, 0, data[:PART]) == PART
    assert store.add(PROJECT, sha256, size, 3 * PART, data[3 * PART :]) == PART
    assert store.add(PROJECT, sha256, size, 0, data[:PART]) == PART
    assert send(store, data) == size
    assert read(store, sha256) == data


def test_bytes_of_another_hash_are_refused_and_nothing_of_them_is_kept(store):
    data, wrong = os.urandom(2 * PART), os.urandom(2 * PART)
    sha256, size = sha256_of(data), len(data)
    store.add(PROJECT, sha256, size, 0, wrong[:PART])
    with pytest.raises(WrongHash, match="nothing of them was kept, send them again"):
        store.add(PROJECT, sha256, size, PART, wrong[PART:])
    assert everything(store) == []
    assert store.held(PROJECT, sha256, size) == 0
    assert send(store, data) == size


@pytest.mark.parametrize(
    ("sha256", "size", "offset", "part", "says"),
    [
        ("ab", 10, 0, b"x" * 10, "sha256 is 'ab'"),
        ("../../etc/passwd", 10, 0, b"x" * 10, "sha256 is '../../etc/passwd'"),
        ("A" * 64, 10, 0, b"x" * 10, "it has 64 hex digits"),
        ("a" * 64, 10, 5, b"x" * 10, "a part of 10 bytes at 5 goes beyond the size, 10"),
        ("a" * 64, 1 << 41, 0, b"", "is not taken; at most"),
        ("a" * 64, 1 << 20, 0, b"x" * 10, "a part has 10 bytes; all but the last have at least 65,536"),
        ("a" * 64, 1 << 20, -1, b"x" * PART, "at -1 goes beyond"),
    ],
)
def test_parts_that_cannot_be_are_refused_with_their_reason(store, sha256, size, offset, part, says):
    with pytest.raises(InvalidInput, match=says):
        store.add(PROJECT, sha256, size, offset, part)
    assert everything(store) == []


def test_bytes_that_all_came_before_the_server_died_are_finished_by_the_last_part(store, monkeypatch):
    data = os.urandom(3 * PART)
    sha256, size = sha256_of(data), len(data)

    def dies(*_):
        raise BackendUnavailable("the server dies here")

    with monkeypatch.context() as broken:
        broken.setattr(type(store), "_finish", dies)
        with pytest.raises(BackendUnavailable):
            send(store, data)
    assert store.held(PROJECT, sha256, size) < size
    assert send(store, data) == size
    assert read(store, sha256) == data


def test_two_who_send_the_same_bytes_at_once_are_both_served(place):
    data = os.urandom(5 * PART + 1)
    together = threading.Barrier(4)

    def one(parts):
        together.wait()
        return send(open_artifacts(place), data, parts=parts)

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(one, [PART, PART, 2 * PART, 3 * PART])) == [len(data)] * 4
    store = open_artifacts(place)
    assert read(store, sha256_of(data)) == data
    assert everything(store) == [f"{PROJECT}/{sha256_of(data)[:2]}/{sha256_of(data)}"]


def test_an_upload_that_nobody_goes_on_with_is_forgotten(store, monkeypatch):
    data, other = os.urandom(2 * PART), os.urandom(2 * PART)
    send(store, data, stop=PART)
    send(store, other, stop=PART)
    assert len(everything(store)) == 2

    def later(held):
        at = time.time() + PART_LIFE_S + 60

        class Clock:
            @staticmethod
            def now(zone):
                from datetime import datetime

                return datetime.fromtimestamp(at, zone)

        held.setattr(artifact_folder.time, "time", lambda: at)
        held.setattr(artifact_bucket, "datetime", Clock)

    store.held(PROJECT, "b" * 64, 100)
    assert len(everything(store)) == 2
    with monkeypatch.context() as held:
        later(held)
        store.held(PROJECT, "b" * 64, 100)
    assert everything(store) == []


def test_a_project_is_deleted_with_its_parts_and_no_other(store):
    data = os.urandom(2 * PART)
    store.put(PROJECT, io.BytesIO(b"whole"))
    send(store, data, stop=PART)
    kept = store.put(70, io.BytesIO(b"of another project whose id begins alike"))
    store.drop_project(PROJECT)
    assert everything(store) == [f"70/{kept[0][:2]}/{kept[0]}"]
    store.drop_project(PROJECT)


# -- places --------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["", "gs://bucket", "a\0b", "https://host/bucket"])
def test_a_place_that_is_none_is_refused(place):
    with pytest.raises(InvalidSetting, match=r"give a folder or s3://bucket/prefix"):
        open_artifacts(place)


@pytest.mark.parametrize(
    "place", ["s3://", "s3://a", "s3:///prefix", "s3://bucket/a/../b", "s3://bucket//a", "s3://b?x"]
)
def test_a_bucket_that_is_none_is_refused(place):
    with pytest.raises(InvalidSetting, match=r"is no place for artifacts; give s3://bucket"):
        open_artifacts(place)


def test_a_folder_of_the_home_is_one_as_well(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    open_artifacts("~/files").put(PROJECT, io.BytesIO(b"x"))
    assert (tmp_path / "files" / str(PROJECT)).is_dir()


def test_without_the_package_for_object_stores_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "obstore.store", None)
    with pytest.raises(MissingExtra, match=r"pip install mlfoundry\[s3\]"):
        open_artifacts("s3://bucket")


def test_a_bucket_that_is_not_there_is_an_error_without_the_address_of_the_store(bucket, caplog):
    store = open_artifacts("s3://no-such-bucket-here/prefix")
    with pytest.raises(BackendUnavailable) as caught:
        store.put(PROJECT, io.BytesIO(b"x"))
    assert str(caught.value) == (
        "the object store of the artifacts cannot be used now (it has no such bucket or object)"
    )
    assert "object store s3://no-such-bucket-here/prefix: Object at location" in caplog.text


def test_an_object_store_that_is_gone_is_an_error_soon(bucket, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    began = time.monotonic()
    with pytest.raises(BackendUnavailable, match="cannot be used now"):
        open_artifacts(f"s3://{bucket}").held(PROJECT, "a" * 64, 10)
    assert time.monotonic() - began < 25


def test_secrets_of_the_object_store_are_in_no_message(bucket, monkeypatch, caplog):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-4711")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    store = open_artifacts(f"s3://{bucket}")
    with pytest.raises(BackendUnavailable) as caught:
        store.is_whole(PROJECT, "a" * 64, 10)
    assert "canary-4711" not in f"{caught.value!r} {caught.value.__cause__!r} {caplog.text} {store!r} {store._store!r}"


def test_names_of_parts_lead_to_no_other_place(tmp_path):
    store = ArtifactFolder(tmp_path / "artifacts")
    for sha256 in ("..", "../" * 21 + "a", "a" * 63 + "/", "a" * 63 + "\n", "\u0661" * 64):
        with pytest.raises(InvalidInput, match="64 hex digits"):
            store.add(PROJECT, sha256, 1, 0, b"x")
        with pytest.raises(InvalidInput, match="64 hex digits"):
            store.held(PROJECT, sha256, 1)
    assert list(Path(tmp_path).iterdir()) == []


def test_what_was_written_before_a_time_is_told_and_can_be_removed(store):
    assert store.projects() == []
    first, second = (store.put(PROJECT, io.BytesIO(data))[0] for data in (b"one", b"second"))
    store.put(PROJECT + 1, io.BytesIO(b"one"))
    store.add(PROJECT, sha256_of(b"x" * 2 * PART), 2 * PART, 0, b"x" * PART)  # an upload that is under way
    assert store.projects() == [PROJECT, PROJECT + 1]
    assert store.written_before(PROJECT, time.time() - 60) == {}
    assert store.written_before(PROJECT, time.time() + 60) == {first: 3, second: 6}
    store.remove(PROJECT, first)
    store.remove(PROJECT, first)
    assert not store.is_whole(PROJECT, first, 3)
    assert store.is_whole(PROJECT, second, 6)
    assert store.is_whole(PROJECT + 1, first, 3)
    assert store.held(PROJECT, sha256_of(b"x" * 2 * PART), 2 * PART) == PART
    store.remove(PROJECT + 1, first)
    assert store.projects() == [PROJECT]


def test_what_cannot_be_removed_with_its_project_is_said(tmp_path, monkeypatch):
    store = ArtifactFolder(tmp_path)
    store.drop_project(PROJECT)  # there is none, which is fine
    store.put(PROJECT, io.BytesIO(b"one"))

    def refuse(*_words, **_named):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(artifact_folder.shutil, "rmtree", refuse)
    with pytest.raises(BackendUnavailable, match="server sweep removes them another time"):
        store.drop_project(PROJECT)
