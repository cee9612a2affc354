"""Bytes of files in a folder of this machine: ``<project id>/<2 hex>/<sha256>``.

Files are 0600, folders 0700. What is not whole yet lies beside them: a part that is broken off costs that part
alone, since whoever sends asks how much is held and goes on from there. Two who send the same bytes take turns by a
lock on the file.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ..errors import BackendUnavailable
from ..folders import make_private, sync_folder
from .parts import PART_LIFE_S, check, check_part, wrong_hash

BLOCK_BYTES = 1 << 20


class ArtifactFolder:
    """An `ArtifactStore` in a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, project_id: int, source: BinaryIO) -> tuple[str, int]:
        """See `ArtifactStore`; it is written beside and renamed when it is whole and on the disk."""
        folder = self._root / str(project_id)
        part = folder / f".part-{secrets.token_hex(8)}"
        digest = hashlib.sha256()
        size = 0
        try:
            make_private(folder)
            with open(part, "xb", opener=_private) as file:
                while block := source.read(BLOCK_BYTES):
                    digest.update(block)
                    file.write(block)
                    size += len(block)
                file.flush()
                os.fsync(file.fileno())
            _place(part, self.path_of(project_id, digest.hexdigest()))
        except OSError as error:
            raise self._full(error) from error
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        return digest.hexdigest(), size

    def open(self, project_id: int, sha256: str, start: int = 0) -> BinaryIO:
        """See `ArtifactStore`."""
        try:
            file = self.path_of(project_id, sha256).open("rb")
            file.seek(start)
        except OSError as error:
            raise BackendUnavailable(f"the bytes of this artifact cannot be read ({error})") from error
        return file

    def is_whole(self, project_id: int, sha256: str, size: int) -> bool:
        """See `ArtifactStore`."""
        check(sha256, size)
        try:
            return self.path_of(project_id, sha256).stat().st_size == size
        except FileNotFoundError:
            return False

    def held(self, project_id: int, sha256: str, size: int) -> int:
        """See `ArtifactStore`; an upload that nobody goes on with is forgotten after a week."""
        if self.is_whole(project_id, sha256, size):
            return size
        try:
            # Of bytes that all came and were not finished, the last is asked for again, which finishes them.
            return min(self._part(project_id, sha256, size).stat().st_size, max(0, size - 1))
        except FileNotFoundError:
            self._forget_old_parts(project_id)
            return 0

    def add(self, project_id: int, sha256: str, size: int, offset: int, part: bytes) -> int:
        """See `ArtifactStore`."""
        check_part(sha256, size, offset, len(part))
        path = self._part(project_id, sha256, size)
        try:
            with _locked(path) as descriptor:
                if self.is_whole(project_id, sha256, size):
                    path.unlink(missing_ok=True)
                    return size
                held = os.fstat(descriptor).st_size
                if held == offset:
                    with open(descriptor, "r+b", closefd=False) as file:
                        file.seek(offset)
                        file.write(part)
                    held += len(part)
                if held == size:
                    self._finish(project_id, sha256, path, descriptor)
        except OSError as error:
            raise self._full(error) from error
        return held

    def drop_project(self, project_id: int) -> None:
        """See `ArtifactStore`."""
        try:
            shutil.rmtree(self._root / str(project_id))
        except FileNotFoundError:  # it had none, or another was first
            pass
        except OSError as error:
            raise BackendUnavailable(
                f"the files in {self._root / str(project_id)} cannot be removed ({error.strerror or error}); "
                "mlfoundry server sweep removes them another time"
            ) from error

    def projects(self) -> list[int]:
        """See `ArtifactStore`."""
        with self._reading():
            folders = list(self._root.iterdir()) if self._root.exists() else []
            return sorted(int(each.name) for each in folders if each.name.isdecimal() and each.is_dir())

    def written_before(self, project_id: int, at_s: float) -> dict[str, int]:
        """See `ArtifactStore`."""
        self._forget_old_parts(project_id)
        found = {}
        with self._reading():
            for file in (self._root / str(project_id)).glob("[0-9a-f][0-9a-f]/*"):
                with contextlib.suppress(FileNotFoundError):  # another sweep was first
                    told = file.stat()
                    if told.st_mtime < at_s:
                        found[file.name] = told.st_size
        return found

    def remove(self, project_id: int, sha256: str) -> None:
        """See `ArtifactStore`; folders that are empty then go as well."""
        path = self.path_of(project_id, sha256)
        with self._reading():
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty
            path.parent.rmdir()
            path.parent.parent.rmdir()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise BackendUnavailable(
                f"the files in {self._root} cannot be looked through ({error.strerror or error})"
            ) from error

    def path_of(self, project_id: int, sha256: str) -> Path:
        """Return where bytes lie, or would."""
        return self._root / str(project_id) / sha256[:2] / sha256

    def _finish(self, project_id: int, sha256: str, path: Path, descriptor: int) -> None:
        os.fsync(descriptor)
        with open(descriptor, "rb", closefd=False) as file:
            file.seek(0)
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != sha256:
            path.unlink(missing_ok=True)
            raise wrong_hash(sha256, found)
        _place(path, self.path_of(project_id, sha256))

    def _part(self, project_id: int, sha256: str, size: int) -> Path:
        return self._root / str(project_id) / f".part-{sha256}-{size}"

    def _forget_old_parts(self, project_id: int) -> None:
        oldest = time.time() - PART_LIFE_S
        for part in (self._root / str(project_id)).glob(".part-*"):
            with contextlib.suppress(OSError):  # another process was first
                if part.stat().st_mtime < oldest:
                    part.unlink()

    def _full(self, error: OSError) -> BackendUnavailable:
        return BackendUnavailable(
            f"the file cannot be stored in {self._root} ({error.strerror or error}). Make room there, or check who "
            "may write it."
        )


def _place(part: Path, whole: Path) -> None:
    """Give whole bytes their name for good; a sweep may take a folder that is empty until then."""
    while True:
        make_private(whole.parent)
        try:
            part.replace(whole)
            break
        except FileNotFoundError:
            if not part.exists():
                raise
    with contextlib.suppress(FileNotFoundError):  # already swept away: nobody had named them
        sync_folder(whole.parent)  # a power cut would take the name, and rows that are settled tell of it


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Open a file that is surely the one at its path, and keep all others from it."""
    make_private(path.parent)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:  # else another who held the lock has finished or removed it
                yield descriptor
                return
        finally:
            os.close(descriptor)
