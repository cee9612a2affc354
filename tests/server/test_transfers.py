"""Files between client and server: in constant memory, on from where they broke off, and no side taken at its word."""

from __future__ import annotations

import hashlib
import io
import os
import random
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import mlfoundry
from mlfoundry.errors import BackendUnavailable, InvalidInput, InvalidName, MlfoundryError, TooLarge
from mlfoundry.folders import make_private
from mlfoundry.records import ArtifactRecord, RunChanges
from mlfoundry.server.app import create_app
from mlfoundry.store.database import Database
from mlfoundry.store.places import open_artifacts
from mlfoundry.tracking import transfers
from mlfoundry.tracking.accounts import AccountService
from mlfoundry.tracking.http import HttpBackend
from mlfoundry.values import utc
from tests.buckets import Buckets
from tests.server.scene import new_run
from tests.servers import Servers, TeamServer

MEBIBYTE = 1 << 20


@pytest.fixture
def backend(server: TeamServer) -> Iterator[HttpBackend]:
    made = HttpBackend(server.address, server.key("ann"))
    yield made
    made.close()


@pytest.fixture
def run(backend: HttpBackend) -> Any:
    return backend.create_run(new_run("iris"))


class Meddler:
    """An application between client and server that breaks connections and keeps what was asked for."""

    def __init__(self, servers: Servers, app: Any) -> None:
        self._app = app
        self._servers = servers
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.break_requests: Callable[[int, str], bool] = lambda number, method: False
        self.cut_answers_at: list[int] = []
        self.name, self.address = servers.add(self)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.asked.append((scope["method"], scope["path"], headers))
        if self.break_requests(len(self.asked), scope["method"]):
            raise ConnectionResetError("broken on purpose")
        left = self.cut_answers_at.pop(0) if scope["path"].endswith("/content") and self.cut_answers_at else None

        async def cut(message: Any) -> None:
            nonlocal left
            body = message.get("body", b"")
            if left is not None and len(body) > left:
                await send({**message, "body": body[:left], "more_body": True})
                raise ConnectionResetError("cut on purpose")
            left = None if left is None else left - len(body)
            await send(message)

        await self._app(scope, receive, cut)


@pytest.fixture
def meddler(servers: Servers, server: TeamServer) -> Iterator[Meddler]:
    made = Meddler(servers, server.app)
    yield made
    servers.remove(made.name)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfers, "PAUSE_S", 0.01)
    monkeypatch.setattr(transfers.Download.__init__, "__kwdefaults__", {"pause_s": 0.01})


def parts_sent(meddler: Meddler) -> int:
    return sum(method == "PUT" and "/blobs/" in path for method, path, _ in meddler.asked)


def test_an_interrupted_upload_goes_on_where_it_stopped_also_in_another_process(
    server: TeamServer, meddler: Meddler, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = os.urandom(5 * MEBIBYTE + 17)
    monkeypatch.setattr(transfers, "PART_BYTES", MEBIBYTE)
    first = HttpBackend(meddler.address, server.key("ann"))
    meddler.break_requests = lambda number, method: method == "PUT" and parts_sent(meddler) > 3
    with pytest.raises(BackendUnavailable):
        first.put_artifact(run.key, "model.bin", io.BytesIO(data))
    assert first.list_artifacts(run.key) == []
    first.close()

    sent = parts_sent(meddler)
    meddler.break_requests = lambda number, method: False
    second = HttpBackend(meddler.address, server.key("ann"))
    record = second.put_artifact(run.key, "model.bin", io.BytesIO(data))
    assert record.sha256 == hashlib.sha256(data).hexdigest()
    assert parts_sent(meddler) - sent == 3  # of six, three had come
    with second.open_artifact(run.key, "model.bin") as file:
        assert file.read() == data
    second.close()


def test_bytes_that_the_project_has_already_are_not_sent_again(server: TeamServer, meddler: Meddler, run: Any) -> None:
    backend = HttpBackend(meddler.address, server.key("ann"))
    for path in ("a", "b"):
        backend.put_artifact(run.key, path, io.BytesIO(b"the same"))
    assert parts_sent(meddler) == 1
    backend.close()


def test_a_download_that_breaks_off_goes_on_from_there(
    server: TeamServer, meddler: Meddler, backend: HttpBackend, run: Any, tmp_path: Path
) -> None:
    data = os.urandom(3 * MEBIBYTE)
    backend.put_artifact(run.key, "model.bin", io.BytesIO(data))
    meddler.cut_answers_at = [MEBIBYTE + 100, 0, 500_000]
    shaky = HttpBackend(meddler.address, server.key("ann"))
    with shaky.open_artifact(run.key, "model.bin") as file:
        assert file.read() == data
    shaky.close()
    ranges = [headers.get("range") for _, path, headers in meddler.asked if path.endswith("/content")]
    assert ranges[0] is None
    assert all(asked is not None and asked.startswith("bytes=") for asked in ranges[1:])
    assert len(ranges) >= 3


def test_a_download_that_always_breaks_off_is_an_error_and_leaves_no_file(
    server: TeamServer, meddler: Meddler, backend: HttpBackend, run: Any, tmp_path: Path
) -> None:
    backend.put_artifact(run.key, "model.bin", io.BytesIO(os.urandom(MEBIBYTE)))
    meddler.cut_answers_at = [10_000] + [0] * 50
    client = mlfoundry.get_client(meddler.address, api_key=server.key("ann"))
    with pytest.raises(BackendUnavailable):
        client.get_run(run.key.run_id).download_artifact("model.bin", tmp_path / "here")
    assert list((tmp_path / "here").iterdir()) == []
    client.backend.close()


def test_a_file_that_is_replaced_while_it_is_read_is_not_a_mixture_of_both(
    server: TeamServer, meddler: Meddler, backend: HttpBackend, run: Any
) -> None:
    backend.put_artifact(run.key, "model.bin", io.BytesIO(b"1" * 3 * MEBIBYTE))
    meddler.cut_answers_at = [MEBIBYTE]
    shaky = HttpBackend(meddler.address, server.key("ann"))
    with shaky.open_artifact(run.key, "model.bin") as file:
        assert file.read(1000) == b"1" * 1000
        backend.put_artifact(run.key, "model.bin", io.BytesIO(b"2" * 3 * MEBIBYTE))
        with pytest.raises(BackendUnavailable, match="was replaced by another while it was read"):
            file.read()
    shaky.close()


@pytest.mark.parametrize(
    ("asked", "status", "first"),
    [
        ({}, 200, 0),
        ({"Range": "bytes=4-"}, 206, 4),
        ({"Range": "bytes=0-"}, 200, 0),
        ({"Range": "bytes=4-6"}, 200, 0),
        ({"Range": "bytes=1-2,3-4," + ",".join(f"{n}-{n}" for n in range(500))}, 200, 0),
        ({"Range": "bytes=-3"}, 200, 0),
        ({"Range": "bytes=99999999999999999999999-"}, 200, 0),
        ({"Range": "bytes=4-", "If-Range": '"of another"'}, 200, 0),
        ({"Range": "bytes=10-"}, 416, None),
        ({"Range": "bytes=4000-"}, 416, None),
    ],
)
def test_ranges_to_the_end_are_given_and_others_answered_with_all(
    server: TeamServer, backend: HttpBackend, run: Any, asked: dict[str, str], status: int, first: int | None
) -> None:
    from tests.server.scene import ask

    backend.put_artifact(run.key, "ten.txt", io.BytesIO(b"0123456789"))
    place = f"/api/v1/projects/{run.key.project_id}/runs/{run.key.run_id}/artifacts/content?path=ten.txt"
    answer = ask(server, "GET", place, server.key("ann"), headers=asked)
    assert answer.status_code == status
    if first is None:
        assert answer.headers["Content-Range"] == "bytes */10"
        assert "has 10 bytes; a range cannot begin at" in answer.json()["error"]["message"]
        return
    assert answer.content == b"0123456789"[first:]
    assert answer.headers["Content-Length"] == str(10 - first)
    if status == 206:
        assert answer.headers["Content-Range"] == "bytes 4-9/10"


def test_files_are_attachments_that_no_browser_shows_or_runs(
    server: TeamServer, backend: HttpBackend, run: Any
) -> None:
    from tests.server.scene import ask

    backend.put_artifact(run.key, "evil.html", io.BytesIO(b"<script>alert(1)</script>"))
    place = f"/api/v1/projects/{run.key.project_id}/runs/{run.key.run_id}/artifacts/content?path=evil.html"
    headers = ask(server, "GET", place, server.key("ann")).headers
    assert headers["Content-Disposition"] == "attachment"
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"


# -- memory --------------------------------------------------------------------------------------


PROGRAM = """
import hashlib, os, resource, sys
import mlfoundry
address, key, run_id, place, size = sys.argv[1:]
def most(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
client = mlfoundry.get_client(address, api_key=key)
client.list_projects()
run = client.join_run(run_id)
run.log_text("warm", "warm.txt"); run.download_artifact("warm.txt", place + "-warm")
before = most()
run.log_artifact(place)
after_upload = most()
run.download_artifact(os.path.basename(place), place + "-copy")
print(before, after_upload, most())
run.end()
"""


def test_memory_stays_the_same_on_both_sides_however_large_a_file_is(
    server: TeamServer, run: Any, tmp_path: Path, scale: Any
) -> None:
    size = scale(1024, 100) * MEBIBYTE
    source = tmp_path / "large.bin"
    block = os.urandom(MEBIBYTE)
    with source.open("wb") as file:
        for number in range(size // MEBIBYTE):
            file.write(number.to_bytes(8, "little") + block[8:])
    most, stop = [psutil.Process().memory_info().rss], threading.Event()

    def watch() -> None:
        while not stop.wait(0.05):
            most.append(psutil.Process().memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    command = [sys.executable, "-c", PROGRAM, server.address, server.key("ann"), run.key.run_id, str(source), str(size)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    stop.set()
    watcher.join()
    assert done.returncode == 0, done.stderr
    before, after_upload, after_download = map(int, done.stdout.split())
    assert after_download - before <= 64, "MiB, of the client"
    assert after_upload - before <= 64
    assert (max(most) - most[0]) / MEBIBYTE <= 96, "of the server, which this process is"
    copy = tmp_path / "large.bin-copy" / "large.bin"
    with source.open("rb") as one, copy.open("rb") as other:
        assert hashlib.file_digest(one, "sha256").digest() == hashlib.file_digest(other, "sha256").digest()


# -- an object store -----------------------------------------------------------------------------


def test_a_team_server_keeps_its_files_in_an_object_store(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buckets = Buckets()
    for name, value in buckets.settings().items():
        monkeypatch.setenv(name, value)
    bucket = buckets.make()
    make_private(tmp_path / "server")
    database = Database(tmp_path / "server" / "mlfoundry.db")
    files = open_artifacts(f"s3://{bucket}/team")
    name, address = servers.add(create_app(database, files))
    client = mlfoundry.get_client(address, api_key=AccountService(database).create_first_admin("ann"))
    monkeypatch.setattr(transfers, "PART_BYTES", MEBIBYTE)
    data = os.urandom(9 * MEBIBYTE + 5)
    (tmp_path / "model.bin").write_bytes(data)
    with client.create_run("iris") as run:
        run.log_artifact(tmp_path / "model.bin")
        run.log_text("", "empty.txt")
    stored = client.get_run(run.run_id)
    assert stored.download_artifact("model.bin", tmp_path / "copy").read_bytes() == data
    assert stored.download_artifact("empty.txt", tmp_path / "copy").read_bytes() == b""
    assert len(list(files._list(""))) == 2  # type: ignore[attr-defined]
    assert buckets.unfinished(bucket) == 0
    client.backend.delete_project(stored.record.key.project_id)
    assert list(files._list("")) == []  # type: ignore[attr-defined]
    client.backend.close()
    servers.remove(name)
    database.close()
    buckets.stop()


# -- a server that lies --------------------------------------------------------------------------


class Liar:
    """A client's backend as an evil server would have it answer."""

    def __init__(self, told: ArtifactRecord, content: bytes) -> None:
        self.told, self.content = told, content

    def list_artifacts(self, key: Any) -> list[ArtifactRecord]:
        return [self.told]

    def open_artifact(self, key: Any, path: str) -> io.BytesIO:
        return io.BytesIO(self.content)


def lying(client: Any, path: str, content: bytes, *, size: int | None = None, sha256: str | None = None) -> Any:
    with client.create_run("iris") as run:
        pass
    stored = client.get_run(run.run_id)
    right = hashlib.sha256(content).hexdigest()
    told = ArtifactRecord(path, len(content) if size is None else size, sha256 or right, utc(1))
    stored.client.backend = Liar(told, content)
    return stored


EVIL_PATHS = [
    "/etc/cron.d/x", "../up", "a/../../up", "..", ".", "", "a//b", "C:/x", "c:\\x", "\\\\host\\share", "a\0b", "a\nb",
    "x" * 300, "a/" * 600 + "b", "\u202egnp", "a/..\\b", " a", "a ",
]  # fmt: skip


@pytest.mark.parametrize("path", EVIL_PATHS)
def test_a_path_of_a_server_cannot_lead_out_of_the_folder(tmp_path: Path, path: str) -> None:
    (tmp_path / "store").mkdir()
    stored = lying(mlfoundry.get_client(tmp_path / "store"), path, b"evil")
    target = tmp_path / "target"
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(MlfoundryError):
        stored.download_artifact(dest=target)
    assert [each for each in sorted(tmp_path.rglob("*")) if each not in before and "store" not in each.parts] in (
        [],
        [target],
    )


@pytest.mark.parametrize(
    ("content", "size", "sha256"),
    [(b"x" * 100, 99, None), (b"x" * 100, 101, None), (b"x" * 100, 100, "0" * 64), (b"x" * 5_000_000, 10, None)],
)
def test_bytes_that_are_not_what_was_said_leave_no_file(
    tmp_path: Path, content: bytes, size: int, sha256: str | None
) -> None:
    (tmp_path / "store").mkdir()
    stored = lying(mlfoundry.get_client(tmp_path / "store"), "model.bin", content, size=size, sha256=sha256)
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "model.bin").write_bytes(b"as it was")
    with pytest.raises(BackendUnavailable, match="did not arrive as it was logged; nothing was kept of it"):
        stored.download_artifact("model.bin", tmp_path / "target")
    assert [each.name for each in (tmp_path / "target").iterdir()] == ["model.bin"]
    assert (tmp_path / "target" / "model.bin").read_bytes() == b"as it was"


@pytest.mark.parametrize("answers", [[-1], [10**9], [5, 5, 5, 5, 5, 5, 5], [0, 0, 0, 0, 0, 0]])
def test_a_server_that_says_what_cannot_be_of_an_upload_is_given_up(answers: list[int]) -> None:
    told = iter(answers)
    with pytest.raises(BackendUnavailable, match="the server says that it holds"):
        transfers.upload(io.BytesIO(b"x" * 100), 100, next(told), lambda part, offset, longer_s: next(told))


def test_a_beginning_that_somebody_else_sent_wrong_does_not_keep_a_file_out(backend: HttpBackend, run: Any) -> None:
    data = secrets.token_bytes(3 << 16)
    sha256, size = transfers.hash_of(io.BytesIO(data))
    place = f"/projects/{run.key.project_id}/runs/{run.key.run_id}/blobs/{sha256}"
    backend._send("PUT", place, data=bytes(1 << 16), params={"offset": 0, "size": size})
    assert backend.put_artifact(run.key, "model.bin", io.BytesIO(data)).sha256 == sha256
    with backend.open_artifact(run.key, "model.bin") as file:
        assert file.read() == data


def test_a_file_that_becomes_shorter_while_it_is_sent_is_sent_as_it_is_then(
    backend: HttpBackend, run: Any, tmp_path: Path
) -> None:
    path = tmp_path / "growing.bin"
    path.write_bytes(bytes(transfers.PART_BYTES + (1 << 16)))

    class Truncated(io.FileIO):
        def read(self, count: int = -1) -> bytes:
            if count == transfers.PART_BYTES:
                os.truncate(path, 1000)
            return super().read(count)

    with Truncated(path) as source:
        record = backend.put_artifact(run.key, "growing.bin", source)  # type: ignore[arg-type]
    assert record.size_bytes == 1000


def test_a_file_that_changes_all_the_time_is_kept_for_later_and_does_not_stop_the_program(
    server: TeamServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = mlfoundry.get_client(server.address, api_key=server.key("ann"))
    with client.create_run("iris", "changes", capture=False, log_system_metrics=False) as run:
        run.flush()
        with monkeypatch.context() as patch:
            patch.setattr(transfers, "hash_of", lambda source: ("ab" * 32, 10))
            run.log_text("0123456789", "changes.txt")
        assert run._uploads.waiting()[0] == 1
    assert client.get_run(run.run_id).list_artifacts()[0].size_bytes == 10
    client.close()


def test_folders_and_files_swapped_for_links_meanwhile_are_not_followed(tmp_path: Path, scale: Any) -> None:
    """Another account that may write into the target puts a link in the place of a folder, again and again."""
    (tmp_path / "store").mkdir()
    outside, target = tmp_path / "outside", tmp_path / "target"
    outside.mkdir()
    (target / "plots").mkdir(parents=True)
    stored = lying(mlfoundry.get_client(tmp_path / "store"), "plots/deep/a.txt", b"mine")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            aside = target / f"aside-{secrets.token_hex(4)}"
            try:
                (target / "plots").rename(aside)
                (target / "plots").symlink_to(outside)
                (target / "plots").unlink()
                aside.rename(target / "plots")
            except OSError:
                (target / "plots").unlink(missing_ok=True) if (target / "plots").is_symlink() else None

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for _ in range(scale(1000)):
            try:
                stored.download_artifact("plots/deep/a.txt", target)
            except (InvalidInput, OSError):
                continue
    finally:
        stop.set()
        swapper.join()
    assert list(outside.iterdir()) == []


def test_a_file_swapped_for_a_link_before_it_is_read_is_not_logged(tmp_path: Path) -> None:
    from mlfoundry.runs.uploads import files_to_log

    folder, secret = tmp_path / "folder", tmp_path / "secret"
    (folder / "sub").mkdir(parents=True)
    (secret).mkdir()
    (secret / "a.txt").write_text("secret")
    (folder / "sub" / "a.txt").write_text("mine")
    (folder / "b.txt").write_text("mine")
    found = files_to_log(folder, None)
    with found["b.txt"].open() as file:
        assert file.read() == b"mine"
    (folder / "b.txt").unlink()
    (folder / "b.txt").symlink_to(secret / "a.txt")
    (folder / "sub" / "a.txt").unlink()
    (folder / "sub").rmdir()
    (folder / "sub").symlink_to(secret)
    for path in ("b.txt", "sub/a.txt"):
        with pytest.raises(InvalidInput, match="link"):
            found[path].open()
    (folder / "b.txt").unlink()
    os.mkfifo(folder / "b.txt")
    with pytest.raises(InvalidInput, match="no regular file"):
        found["b.txt"].open()


HOSTILE_NAMES = [*EVIL_PATHS, "a?b", "a#b", "%2e%2e/x", "%00", "CON", "a:b"]


@pytest.mark.parametrize("path", HOSTILE_NAMES)
def test_names_that_are_stored_come_back_as_they_are_and_others_are_refused(
    server: TeamServer, backend: HttpBackend, run: Any, path: str, tmp_path: Path
) -> None:
    before = {each for each in tmp_path.rglob("*") if each.is_file()}
    try:
        record = backend.put_artifact(run.key, path, io.BytesIO(b"x"))
    except InvalidName:
        record = None
    new = {each for each in tmp_path.rglob("*") if each.is_file()} - before
    # Whatever its name, bytes lie under their hash.
    assert {each.name for each in new if "artifacts" in each.parts} <= {hashlib.sha256(b"x").hexdigest()}
    if record is not None:
        assert [each.path for each in backend.list_artifacts(run.key)] == [path]
        with backend.open_artifact(run.key, path) as file:
            assert file.read() == b"x"


# -- a proxy that takes little ---------------------------------------------------------------------


class Narrow:
    """A proxy before the server that takes no request beyond a size, and says so as proxies do: with a page."""

    def __init__(self, servers: Servers, app: Any, limit_bytes: int) -> None:
        self._app, self._limit = app, limit_bytes
        self.refused = 0
        self.name, self.address = servers.add(self)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        told = dict(scope["headers"]).get(b"content-length", b"0")
        if int(told) <= self._limit:
            await self._app(scope, receive, send)
            return
        self.refused += 1
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 413, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b"<h1>413 Request Entity Too Large</h1>"})


def test_a_file_goes_through_a_proxy_that_takes_little_in_smaller_parts(servers: Servers, server: TeamServer) -> None:
    narrow = Narrow(servers, server.app, MEBIBYTE)
    backend = HttpBackend(narrow.address, server.key("ann"))
    run = backend.create_run(new_run("iris")).key
    data = os.urandom(3 * MEBIBYTE + 5)
    assert backend.put_artifact(run, "model.bin", io.BytesIO(data)).size_bytes == len(data)
    assert narrow.refused == 2
    backend.put_artifact(run, "other.bin", io.BytesIO(data[1:]))
    assert narrow.refused == 2  # it is remembered
    with backend.open_artifact(run, "other.bin") as file:
        assert file.read() == data[1:]
    backend.close()


def test_what_no_part_is_small_enough_for_is_said_with_what_to_change(servers: Servers, server: TeamServer) -> None:
    narrow = Narrow(servers, server.app, 20_000)
    backend = HttpBackend(narrow.address, server.key("ann"))
    run = backend.create_run(new_run("iris")).key
    with pytest.raises(TooLarge, match=r"a proxy before the server .* client_max_body_size 17m"):
        backend.put_artifact(run, "model.bin", io.BytesIO(os.urandom(MEBIBYTE)))
    with pytest.raises(TooLarge, match="client_max_body_size"):
        backend.update_run(run, RunChanges(description="x" * 30_000))
    backend.close()


def test_what_is_logged_goes_through_a_proxy_that_takes_little(servers: Servers, server: TeamServer) -> None:
    narrow = Narrow(servers, server.app, 20_000)
    client = mlfoundry.get_client(narrow.address, api_key=server.key("ann"))
    values = [random.random() for _ in range(5000)]
    with client.create_run("iris", "noisy", capture=False, log_system_metrics=False) as run:
        for value in values:
            run.log_metrics({"a": value})
        assert run.flush(timeout_s=60)
    assert narrow.refused
    assert client.get_run(run.run_id).get_metrics("a")["a"].values.tolist() == values
    client.close()
