"""Files of runs: stored whole, replaced, shared by content, never anywhere else than with their run."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlfoundry.errors import (
    ArtifactNotFound,
    BackendUnavailable,
    InvalidInput,
    InvalidName,
    PermissionDenied,
    RunDeleted,
    RunNotFound,
)
from mlfoundry.records import Permission, RunKey
from mlfoundry.store import artifact_rows
from mlfoundry.values import utc


@pytest.fixture
def run(make_run):
    return make_run()


def content(backend, run, path):
    with backend.open_artifact(run.key, path) as file:
        return file.read()


@pytest.mark.parametrize("size", [0, 1, 4096, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3_000_000])
def test_a_file_comes_back_byte_for_byte(run, backend, size):
    data = os.urandom(size)
    record = backend.put_artifact(run.key, "model.bin", io.BytesIO(data))
    assert (record.path, record.size_bytes) == ("model.bin", size)
    assert record.sha256 == hashlib.sha256(data).hexdigest()
    assert backend.list_artifacts(run.key) == [record]
    assert content(backend, run, "model.bin") == data


def test_a_file_that_was_logged_elsewhere_keeps_its_time(run, backend):
    at_us = 1_700_000_000_123_456
    record = backend.put_artifact(run.key, "old.bin", io.BytesIO(b"old"), created_at_us=at_us)
    assert record.created_at == utc(at_us)
    assert backend.list_artifacts(run.key) == [record]
    for beyond in (1 << 62, -(1 << 62)):
        with pytest.raises(InvalidInput, match="outside of the years 1 to 9999"):
            backend.put_artifact(run.key, "new.bin", io.BytesIO(b"new"), created_at_us=beyond)
    assert backend.list_artifacts(run.key) == [record]


def test_a_file_at_the_same_path_takes_the_place_of_the_one_before(run, backend):
    backend.put_artifact(run.key, "a.txt", io.BytesIO(b"first"))
    second = backend.put_artifact(run.key, "a.txt", io.BytesIO(b"second"))
    assert backend.list_artifacts(run.key) == [second]
    assert content(backend, run, "a.txt") == b"second"


def test_the_same_bytes_may_lie_at_many_paths_and_in_many_runs(make_run, backend):
    runs = [make_run() for _ in range(2)]
    for run in runs:
        for path in ("a", "b/c", "b/d"):
            backend.put_artifact(run.key, path, io.BytesIO(b"same"))
    backend.put_artifact(runs[0].key, "a", io.BytesIO(b"other"))
    assert [content(backend, runs[0], path) for path in ("a", "b/c", "b/d")] == [b"other", b"same", b"same"]
    assert [content(backend, runs[1], path) for path in ("a", "b/c", "b/d")] == [b"same"] * 3


def test_files_come_by_path(run, backend):
    paths = ["plots/z.png", "a", "plots/a.png", "Z", "plots.txt", "ä", "with space/x y.txt"]
    for path in paths:
        backend.put_artifact(run.key, path, io.BytesIO(b""))
    assert [record.path for record in backend.list_artifacts(run.key)] == sorted(paths)


HOSTILE = [
    "", ".", "..", "/etc/passwd", "../x", "a/../../x", "a/./b", "a//b", "a/", "/", "\\\\server\\x", "a\\..\\b",
    "C:/x", "c:", "a\0b", "a\nb", "a/ b", "a /b", "\u202egnp.exe", "x" * 1001, "y" * 256, "ü" * 128, "a/" + "..",
]  # fmt: skip


@pytest.mark.parametrize("path", HOSTILE)
def test_a_path_that_leads_elsewhere_is_refused_for_writing_and_for_reading(run, backend, path):
    with pytest.raises(InvalidName, match="artifact path"):
        backend.put_artifact(run.key, path, io.BytesIO(b"x"))
    with pytest.raises((InvalidName, ArtifactNotFound)):
        backend.open_artifact(run.key, path)
    assert backend.list_artifacts(run.key) == []


def test_two_spellings_of_a_path_are_one_file(run, backend):
    backend.put_artifact(run.key, "gro\u0308\u00dfe", io.BytesIO(b"1"))
    backend.put_artifact(run.key, "gr\u00f6\u00dfe", io.BytesIO(b"2"))
    assert len(backend.list_artifacts(run.key)) == 1
    assert content(backend, run, "gro\u0308\u00dfe") == b"2"


def test_a_file_that_is_not_there_is_an_error_that_names_it(make_run, run, backend):
    backend.put_artifact(make_run().key, "a.txt", io.BytesIO(b"of another run"))
    for path in ("a.txt", "A.TXT", "a"):
        with pytest.raises(ArtifactNotFound, match=f"no artifact '{path}'"):
            backend.open_artifact(run.key, path)


def test_a_deleted_or_missing_run_takes_no_files(run, backend):
    backend.delete_run(run.key)
    with pytest.raises(RunDeleted):
        backend.put_artifact(run.key, "a", io.BytesIO(b"x"))
    with pytest.raises(RunNotFound):
        backend.put_artifact(RunKey(run.key.project_id, "e" * 32), "a", io.BytesIO(b"x"))
    backend.restore_run(run.key)
    assert backend.list_artifacts(run.key) == []


def test_a_source_that_fails_half_way_stores_nothing(run, backend):
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell():
                raise ValueError("the source broke")
            return super().read(10)

    with pytest.raises(ValueError, match="the source broke"):
        backend.put_artifact(run.key, "a", Broken(b"x" * 100))
    assert backend.list_artifacts(run.key) == []


def test_a_client_stores_folders_and_gets_them_back(client, tmp_path):
    source = tmp_path / "source"
    (source / "plots").mkdir(parents=True)
    (source / "plots" / "loss.txt").write_text("0.1")
    (source / "model.bin").write_bytes(b"\0\1")
    with client.create_run("iris") as run:
        run.log_artifact(source, "out")
        run.log_artifact(source / "model.bin")
        run.log_text("größe", "notes.txt")
    stored = client.get_run(run.run_id)
    paths = [artifact.path for artifact in stored.list_artifacts()]
    assert paths == ["model.bin", "notes.txt", "out/model.bin", "out/plots/loss.txt"]
    stored.download_artifact("out", tmp_path / "copy")
    assert (tmp_path / "copy/out/plots/loss.txt").read_text() == "0.1"
    assert stored.download_artifact("notes.txt", tmp_path).read_text(encoding="utf-8") == "größe"
    with pytest.raises(ArtifactNotFound, match="no artifact 'missing'"):
        stored.download_artifact("missing", tmp_path)


def test_a_folder_with_links_is_refused_before_anything_is_stored(client, tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "a").write_text("x")
    (folder / "link").symlink_to("/etc/passwd")
    with client.create_run("iris") as run:
        with pytest.raises(InvalidInput, match="links are not followed"):
            run.log_artifact(folder)
        with pytest.raises(InvalidInput, match="no file or folder"):
            run.log_artifact(tmp_path / "missing")
    assert list(client.get_run(run.run_id).list_artifacts()) == []


# -- files and folders of one name ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "wish", "both"),
    [
        ("model", "model/weights.bin", "model"),
        ("model", "model/a/b/c", "model"),
        ("a/b", "a/b/c", "a/b"),
        ("model/weights.bin", "model", "model"),
        ("a/b/c/d", "a/b", "a/b"),
    ],
)
def test_a_file_that_would_be_a_folder_as_well_is_refused_and_says_so(run, backend, held, wish, both):
    backend.put_artifact(run.key, held, io.BytesIO(b"1"))
    with pytest.raises(InvalidInput) as caught:
        backend.put_artifact(run.key, wish, io.BytesIO(b"2"))
    assert str(caught.value) == (
        f"the artifact {wish!r} cannot lie beside {held!r}, because {both!r} would be a file and a folder at once. "
        "Choose another path for it."
    )
    assert [record.path for record in backend.list_artifacts(run.key)] == [held]
    assert content(backend, run, held) == b"1"


def test_names_that_only_begin_alike_and_other_runs_are_not_in_the_way(make_run, run, backend):
    other = make_run()
    backend.put_artifact(other.key, "model", io.BytesIO(b""))
    paths = ["model.txt", "model-2/a", "model 2/a", "model0", "model/a", "model/a.b", "model/a b/c", "models", "Model"]
    for path in paths:
        backend.put_artifact(run.key, path, io.BytesIO(b""))
    assert [record.path for record in backend.list_artifacts(run.key)] == sorted(paths)
    backend.put_artifact(other.key, "plots0/a", io.BytesIO(b""))
    backend.put_artifact(other.key, "plots.png", io.BytesIO(b""))
    backend.put_artifact(other.key, "plots", io.BytesIO(b""))


def test_of_a_file_and_a_folder_of_one_name_that_race_one_is_stored(make_run, backend):
    for _ in range(5):
        run = make_run()
        paths = ["model", "model/a", "model/b", "model/a/c"]
        together = threading.Barrier(len(paths))

        def put(path, run=run, together=together):
            together.wait()
            with contextlib.suppress(InvalidInput):
                backend.put_artifact(run.key, path, io.BytesIO(b"x"))

        with ThreadPoolExecutor(len(paths)) as threads:
            list(threads.map(put, paths))
        stored = [record.path for record in backend.list_artifacts(run.key)]
        assert stored
        assert not any(one != other and other.startswith(f"{one}/") for one in stored for other in stored)


@pytest.fixture
def old_store(client, monkeypatch, tmp_path):
    """A run of a store that took files and folders of one name."""
    monkeypatch.setattr(artifact_rows, "require_room", lambda tx, run, path: None)
    with client.create_run("iris") as run:
        for path in ("model", "model/weights.txt", "model/a.txt", "zz.txt"):
            run.log_text(path, path)
    return client.get_run(run.run_id)


def test_a_path_that_an_old_store_holds_as_file_and_as_folder_is_fetched_as_the_file(old_store, tmp_path):
    for path in ("model", "model/weights.txt", "zz.txt"):
        place = old_store.download_artifact(path, tmp_path / path.replace("/", "-"))
        assert place.read_text() == path


def test_files_that_cannot_be_fetched_are_named_at_the_end_and_the_others_are_there(old_store, tmp_path):
    with pytest.raises(InvalidInput) as caught:
        old_store.download_artifact(dest=tmp_path / "all")
    assert str(caught.value).startswith(
        f"2 of 4 files could not be fetched, the others are in {tmp_path}/all: 'model/a.txt' ("
    )
    assert "'model/weights.txt' (" in str(caught.value)
    found = {path.name: path.read_text() for path in (tmp_path / "all").rglob("*")}
    assert found == {"model": "model", "zz.txt": "zz.txt"}


def test_a_folder_is_fetched_but_for_the_files_whose_bytes_are_gone(client, monkeypatch, tmp_path):
    with client.create_run("iris") as run:
        for number in range(9):
            run.log_text(str(number), f"plots/{number}.txt")
    stored = client.get_run(run.run_id)
    fetch = stored.client.backend.open_artifact

    def lost(run, path):
        if path.startswith(tuple(f"plots/{number}" for number in range(7))):
            raise BackendUnavailable(f"the bytes of {path} are gone")
        return fetch(run, path)

    monkeypatch.setattr(stored.client.backend, "open_artifact", lost)
    with pytest.raises(
        BackendUnavailable, match=r"^7 of 9 files .*'plots/0\.txt' \(the bytes of plots/0.*; and 2 more$"
    ):
        stored.download_artifact("plots", tmp_path / "copy")
    assert sorted(path.name for path in (tmp_path / "copy/plots").iterdir()) == ["7.txt", "8.txt"]
    with pytest.raises(BackendUnavailable, match=r"^the bytes of plots/3\.txt are gone$"):
        stored.download_artifact("plots/3.txt", tmp_path / "copy")


def test_files_whose_names_differ_only_in_case_both_come_where_the_disk_knows_the_difference(client, tmp_path):
    with client.create_run("iris") as run:
        for path in ("Model.txt", "model.txt", "gr\u00f6\u00dfe", "GR\u00d6SSE"):
            run.log_text(path, path)
    stored = client.get_run(run.run_id)
    for _ in range(2):
        stored.download_artifact(dest=tmp_path)
        found = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir() if path.is_file()}
        assert all(name == text for name, text in found.items())
        assert len(found) == 4


def test_a_file_that_the_disk_takes_for_another_is_named_and_overwrites_nothing(client, monkeypatch, tmp_path):
    with client.create_run("iris") as run:
        for path in ("Model.txt", "model.txt", "other.txt"):
            run.log_text(path, path)
    monkeypatch.setattr(Path, "samefile", lambda one, other: one.name.lower() == other.name.lower() and one.exists())
    with pytest.raises(InvalidInput, match=r"1 of 3 files .*'model\.txt' \(the disk of .* takes it for 'Model\.txt'"):
        client.get_run(run.run_id).download_artifact(dest=tmp_path / "copy")
    found = {path.name: path.read_text() for path in (tmp_path / "copy").iterdir()}
    assert found == {"Model.txt": "Model.txt", "other.txt": "other.txt"}


# -- large and many ------------------------------------------------------------------------------


def test_a_file_of_several_parts_comes_back_and_replaces_one_before(run, backend, monkeypatch):
    monkeypatch.setattr("mlfoundry.tracking.transfers.PART_BYTES", 1 << 20)
    for seed in (b"one", b"two"):
        data = b"".join(hashlib.sha256(seed + bytes([n])).digest() * 32_768 for n in range(5)) + seed
        record = backend.put_artifact(run.key, "large.bin", io.BytesIO(data))
        assert (record.size_bytes, record.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert content(backend, run, "large.bin") == data
    assert [each.path for each in backend.list_artifacts(run.key)] == ["large.bin"]


def test_many_files_from_many_threads_are_all_there(make_run, backend, scale):
    run = make_run()
    paths = [f"plots/{number:04d}/loss.txt" for number in range(scale(1000, 40))]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda path: backend.put_artifact(run.key, path, io.BytesIO(path.encode())), paths))
    assert [each.path for each in backend.list_artifacts(run.key)] == paths
    for path in paths[:: len(paths) // 5]:
        assert content(backend, run, path) == path.encode()


def test_a_source_is_stored_from_its_beginning_to_its_end_wherever_it_stands(run, backend):
    source = io.BytesIO(b"0123456789")
    source.seek(4)
    backend.put_artifact(run.key, "a.txt", source)
    assert content(backend, run, "a.txt") == b"0123456789"


def test_bytes_are_read_in_pieces_of_any_size(run, backend):
    backend.put_artifact(run.key, "a.txt", io.BytesIO(b"0123456789"))
    with backend.open_artifact(run.key, "a.txt") as file:
        assert [file.read(3), file.read(0), file.read(1), file.read(-1), file.read(5)] == [
            b"012",
            b"",
            b"3",
            b"456789",
            b"",
        ]


def test_a_collaborator_who_reads_gets_files_and_stores_none(as_user, make_run, backend):
    run = make_run()
    backend.put_artifact(run.key, "a.txt", io.BytesIO(b"shared"))
    backend.set_permission(run.key.project_id, "rob", Permission.READ, new=True)
    reader = as_user("rob").backend
    assert content(reader, run, "a.txt") == b"shared"
    with pytest.raises(PermissionDenied, match="needs WRITE"):
        reader.put_artifact(run.key, "b.txt", io.BytesIO(b"x"))
    backend.remove_collaborator(run.key.project_id, "rob")
    with pytest.raises(RunNotFound):
        reader.open_artifact(run.key, "a.txt")
