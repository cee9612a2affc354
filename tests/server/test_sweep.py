"""Bytes that no run names any more are removed, and none that somebody names, is naming or has just sent."""

from __future__ import annotations

import hashlib
import io
import json
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mlfoundry.cli import main
from mlfoundry.errors import InvalidInput
from mlfoundry.folders import make_private
from mlfoundry.records import RunKey
from mlfoundry.store.artifacts import ArtifactFolder
from mlfoundry.store.database import Database
from mlfoundry.store.postgres import PostgresDatabase
from mlfoundry.tracking.http import HttpBackend
from mlfoundry.tracking.service import TrackingService
from mlfoundry.tracking.sweeping import GRACE_S, Sweep, Swept
from tests.server.scene import new_run
from tests.servers import TeamServer


def age(folder: Path, by_s: float = 2 * GRACE_S) -> None:
    """Have all files in a folder be written so long ago."""
    then = time.time() - by_s
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (then, then))


def held_in(folder: Path) -> set[bytes]:
    """Return what all files below a folder hold."""
    return {path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read(tracking: TrackingService, run: RunKey) -> bytes:
    """Return the bytes of a run's model."""
    with tracking.open_artifact("ann", run, "model") as file:
        return file.read()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return tmp_path / "store" / "artifacts"


@pytest.fixture
def tracking(tmp_path: Path, files: Path) -> Any:
    make_private(tmp_path / "store")
    database = Database(tmp_path / "store" / "runs.db")
    yield TrackingService(database, ArtifactFolder(files))
    database.close()


def test_what_nobody_names_any_more_goes_and_all_else_stays(tracking: TrackingService, files: Path) -> None:
    run = tracking.create_run("ann", new_run("p")).key
    hidden = tracking.create_run("ann", new_run("p")).key
    gone = tracking.create_run("ann", new_run("gone")).key
    for content in (b"replaced", b"kept"):
        tracking.put_artifact("ann", run, "model", io.BytesIO(content))
    tracking.put_artifact("ann", hidden, "model", io.BytesIO(b"of a hidden run"))
    tracking.delete_run("ann", hidden)
    for given_up in (b"never named", b"begun", b"of a deleted project"):
        key = gone if b"project" in given_up else run
        sha256 = hashlib.sha256(given_up).hexdigest()
        tracking.files.add_part("ann", key, sha256, len(given_up), 0, given_up)
    tracking.delete_project("ann", gone.project_id)
    late = ArtifactFolder(files).path_of(gone.project_id, hashlib.sha256(b"late").hexdigest())
    late.parent.mkdir(parents=True)
    late.write_bytes(b"late")  # by an upload that was under way when the project went
    age(files)
    sha256 = hashlib.sha256(b"new").hexdigest()
    tracking.files.add_part("ann", run, sha256, 3, 0, b"new")

    before = held_in(files)
    sweep = Sweep(tracking.database, ArtifactFolder(files))
    assert sweep.run(removes=False) == Swept(4, len(b"replaced" + b"never named" + b"begun" + b"late"), 1)
    assert held_in(files) == before
    assert sweep.run() == Swept(4, len(b"replaced" + b"never named" + b"begun" + b"late"), 1)
    assert held_in(files) == {b"kept", b"of a hidden run", b"new"}
    assert not (files / str(gone.project_id)).exists()
    assert sweep.run() == Swept(0, 0)
    assert read(tracking, run) == b"kept"
    tracking.restore_run("ann", hidden)
    assert read(tracking, hidden) == b"of a hidden run"


def test_an_upload_of_bytes_that_are_swept_meanwhile_sends_them_again(
    server: TeamServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = HttpBackend(server.address, server.key("ann"))
    files = tmp_path / "server" / "artifacts"
    run = backend.create_run(new_run("p")).key
    for content in (b"first", b"second"):
        backend.put_artifact(run, "model", io.BytesIO(content))
    age(files)
    rules: TrackingService = server.app.state.services.tracking
    named, swept = rules.files.name, []

    def name(*words: Any, **more: Any) -> Any:
        if not swept:
            swept.append(Sweep(rules.database, ArtifactFolder(files)).run())
        return named(*words, **more)

    monkeypatch.setattr(rules.files, "name", name)
    assert backend.put_artifact(run, "again", io.BytesIO(b"first")).size_bytes == 5
    assert swept == [Swept(1, 5)]
    with backend.open_artifact(run, "again") as file:
        assert file.read() == b"first"
    with pytest.raises(InvalidInput, match="a file and a folder at once"):
        backend.put_artifact(run, "again/below", io.BytesIO(b"first"))
    backend.close()


def test_no_file_that_is_named_loses_its_bytes_to_a_sweep(schema: str, tmp_path: Path, scale: Any) -> None:
    databases = [PostgresDatabase(schema, pool_size=4) for _ in range(2)]
    files = ArtifactFolder(tmp_path / "artifacts")
    rules = TrackingService(databases[0], files)
    run = rules.create_run("ann", new_run("p")).key
    sweep = Sweep(databases[1], files, grace_s=-60.0)  # so that not even bytes of just now are spared
    stopped, swept = threading.Event(), []

    def sweep_on() -> None:
        while not stopped.is_set():
            swept.append(sweep.run().files)

    thread = threading.Thread(target=sweep_on)
    thread.start()
    try:
        for number in range(scale(2000, 150)):
            content = b"%d" % (number % 7)
            sha256 = hashlib.sha256(content).hexdigest()
            rules.files.add_part("ann", run, sha256, len(content), 0, content)
            with suppress(InvalidInput):  # they were swept away, and would be sent again
                rules.files.name("ann", run, f"file-{number % 3}", sha256, len(content))
            for record in rules.list_artifacts("ann", run):
                assert files.is_whole(run.project_id, record.sha256, record.size_bytes)
    finally:
        stopped.set()
        thread.join(60)
        for each in databases:
            each.close()
    assert sum(swept) > 0


def test_the_files_of_another_server_are_not_swept(tracking: TrackingService, tmp_path: Path, files: Path) -> None:
    run = tracking.create_run("ann", new_run("p")).key
    tracking.put_artifact("ann", run, "model", io.BytesIO(b"kept"))
    age(files)
    make_private(tmp_path / "other")
    other = Database(tmp_path / "other" / "runs.db")
    with pytest.raises(InvalidInput, match="knows none of the 1 projects whose files lie there"):
        Sweep(other, ArtifactFolder(files)).run()
    assert held_in(files) == {b"kept"}
    other.close()


def test_the_command_says_what_it_removed(tracking: TrackingService, files: Path) -> None:
    run = tracking.create_run("ann", new_run("p")).key
    for content in (b"replaced", b"kept"):
        tracking.put_artifact("ann", run, "model", io.BytesIO(content))
    age(files)
    place = ["--database", str(files.parent / "runs.db")]

    def command(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(main, ["server", "sweep", *words])
        assert done.exit_code == code, done.output
        return done.output

    assert "1 file that no run names, 8 B" in command(*place, "--dry-run")
    assert "give --yes, or --dry-run" in command(*place, "--json", code=2)
    assert "nobody answered, so nothing was done" in command(*place, code=1)
    told = {"files": 1, "size_bytes": 8, "strange_projects": 0}
    assert json.loads(command(*place, "--dry-run", "--json")) == {**told, "removed": False}
    assert json.loads(command(*place, "--yes", "--json")) == {**told, "removed": True}
    assert "0 files that no run names" in command(*place)
    nowhere = str(files.parent / "typo.db")
    assert "no server has kept anything in" in command("--database", nowhere, code=1)
    assert not Path(nowhere).exists()
