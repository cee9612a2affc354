"""Bytes of files that come in parts: kept beside the whole ones until their hash is what it was said to be.

A part that is broken off costs that part alone: whoever sends asks how much is held and goes on from there. Two
who send the same bytes take turns by a lock on the file.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import BackendUnavailable, InvalidInput, shown
from ..folders import make_private
from .artifacts import ArtifactFolder

SIZE_LIMIT_BYTES = 1 << 40
_SHA256 = re.compile(r"[0-9a-f]{64}")


class PartialBlobs:
    """The unfinished uploads of an `ArtifactFolder`."""

    def __init__(self, folder: ArtifactFolder) -> None:
        self._folder = folder

    def offset(self, project_id: int, sha256: str, size: int) -> int:
        """Return how many of a file's bytes are held; `size` when all of it is."""
        _check(sha256, size)
        if self._folder.path_of(project_id, sha256).exists():
            return size
        with contextlib.suppress(FileNotFoundError):
            return min(self._part(project_id, sha256, size).stat().st_size, max(0, size - 1))
        return 0

    def is_whole(self, project_id: int, sha256: str, size: int) -> bool:
        """Return whether bytes of this hash and size are held."""
        _check(sha256, size)
        try:
            return self._folder.path_of(project_id, sha256).stat().st_size == size
        except FileNotFoundError:
            return False

    def add(self, project_id: int, sha256: str, size: int, offset: int, part: bytes) -> int:
        """Add a part; return how many bytes are held then. A part that does not follow what is held adds nothing.

        Raises:
            InvalidInput: The whole has another hash than was said; nothing of it is kept.
            BackendUnavailable: The disk is full or cannot be written.
        """
        _check(sha256, size)
        if offset + len(part) > size:
            raise InvalidInput(f"a part of {len(part):,} bytes at {offset:,} goes beyond the size, {size:,}")
        path = self._part(project_id, sha256, size)
        with _telling(), _locked(path) as descriptor:
            if self._folder.path_of(project_id, sha256).exists():
                path.unlink(missing_ok=True)
                return size
            held = os.fstat(descriptor).st_size
            if held != offset:
                return held
            with open(descriptor, "r+b", closefd=False) as file:
                file.seek(offset)
                file.write(part)
            held += len(part)
            if held == size:
                self._finish(project_id, sha256, path, descriptor)
        return held

    def _finish(self, project_id: int, sha256: str, path: Path, descriptor: int) -> None:
        os.fsync(descriptor)
        with open(descriptor, "rb", closefd=False) as file:
            file.seek(0)
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != sha256:
            path.unlink(missing_ok=True)
            raise InvalidInput(
                f"the bytes have the hash {found}, not {sha256}; nothing of them was kept, send them again"
            )
        whole = self._folder.path_of(project_id, sha256)
        make_private(whole.parent)
        path.replace(whole)

    def _part(self, project_id: int, sha256: str, size: int) -> Path:
        whole = self._folder.path_of(project_id, sha256)
        return whole.parent.parent / f".part-{sha256}-{size}"


def _check(sha256: str, size: int) -> None:
    if not _SHA256.fullmatch(sha256):
        raise InvalidInput(f"sha256 is {shown(sha256)}; it has 64 hex digits (0-9, a-f)")
    if not 0 <= size <= SIZE_LIMIT_BYTES:
        raise InvalidInput(f"a file of {size:,} bytes is not taken; at most {SIZE_LIMIT_BYTES:,} are")


@contextmanager
def _telling() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BackendUnavailable(
            f"the file cannot be stored ({error.strerror or error}); its server needs room"
        ) from error


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
