"""Files of runs on their way to this machine: whole under their name, or not at all.

What a server says is a stranger's word: the path is checked again here, no link is followed, no more is written than
the file was said to have, and the bytes must have the hash that it was logged with.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from ..errors import BackendUnavailable, InvalidInput, MlfoundryError
from ..names import legal_path
from ..records import ArtifactRecord
from . import progress
from .below import opened_parent

BLOCK_BYTES = 1 << 20
FAILURES_TOLD = 5


def download(
    artifact: ArtifactRecord,
    folder: Path,
    open_source: Callable[[], BinaryIO],
    *,
    replaces: bool = True,
    on_bytes: Callable[[int], object] | None = None,
) -> Path:
    """Copy a file of a run below a folder; return where it lies.

    Args:
        artifact: The file.
        folder: Made when it is missing.
        open_source: Opens its bytes.
        replaces: Whether a file of the same name is replaced; else one with the same bytes is left, any other an error.
        on_bytes: Told how many bytes each step brought. How far it is, is shown where a person waits when not given.

    Raises:
        InvalidInput: A link, a folder or a file that is not to be replaced is where it belongs, or its path leads
            elsewhere; nothing is written.
        BackendUnavailable: The bytes cannot be fetched, or are others than were logged; nothing is kept of them.
    """
    path = legal_path(artifact.path)
    folder.mkdir(parents=True, exist_ok=True)
    with opened_parent(folder, path, make=True) as (parent, name):
        if _is_taken(parent, name):
            raise InvalidInput(
                f"{folder / path} is a link or a folder; nothing was written there. Choose another dest."
            )
        if not replaces and (held := _hash_of(parent, name)) is not None:
            if held == artifact.sha256:
                return folder / path
            raise InvalidInput(
                f"{folder / path} is there already and holds something else; nothing was written there. Give a folder "
                f"as dest, where files of the same name are replaced: download_artifact({path!r}, 'some/folder')"
            )
        part = f".mlf-{secrets.token_hex(8)}"
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=parent)
        try:
            with os.fdopen(descriptor, "wb") as file, open_source() as source:
                if on_bytes is None:
                    with progress.shown(f"Fetching {artifact.path}", artifact.size_bytes) as meter:
                        _copy(source, file, artifact, meter.add)
                else:
                    _copy(source, file, artifact, on_bytes)
            os.replace(part, name, src_dir_fd=parent, dst_dir_fd=parent)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(part, dir_fd=parent)
    return folder / path


def _hash_of(parent: int, name: str) -> str | None:
    """Return the SHA-256 of a file that is there, in hex; None when there is none."""
    import hashlib

    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy(source: BinaryIO, file: BinaryIO, artifact: ArtifactRecord, on_bytes: Callable[[int], object]) -> None:
    import hashlib

    digest, left = hashlib.sha256(), artifact.size_bytes
    while block := source.read(min(BLOCK_BYTES, left + 1)):
        left -= len(block)
        if left < 0:
            break
        digest.update(block)
        file.write(block)
        on_bytes(len(block))
    if left or digest.hexdigest() != artifact.sha256:
        raise BackendUnavailable(f"{artifact.path} did not arrive as it was logged; nothing was kept of it")


def _is_taken(parent: int, name: str) -> bool:
    """Return whether something is there that must not be replaced: a link, a folder."""
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return not stat.S_ISREG(found.st_mode)


def download_all(found: list[ArtifactRecord], folder: Path, fetch: Callable[[ArtifactRecord], object]) -> None:
    """Fetch all files that can be fetched; say which could not.

    Args:
        found: The files.
        folder: Where they are brought.
        fetch: Brings one of them there.

    Raises:
        InvalidInput: None of those that failed can be put where it belongs.
        BackendUnavailable: Some failed otherwise.
    """
    failed: dict[str, Exception] = {}
    alike: dict[str, str] = {}
    for artifact in found:
        try:
            other = alike.setdefault(artifact.path.casefold(), artifact.path)
            if _are_one_file(folder / other, folder / artifact.path):
                raise InvalidInput(f"the disk of {folder} takes it for {other!r}, whose name differs only in case")
            fetch(artifact)
        except (MlfoundryError, OSError) as error:
            failed[artifact.path] = error
    if not failed:
        return
    errors = list(failed.values())
    kind = InvalidInput if all(isinstance(each, InvalidInput) for each in errors) else BackendUnavailable
    told = "; ".join(f"{path!r} ({error})" for path, error in list(failed.items())[:FAILURES_TOLD])
    more = f"; and {len(failed) - FAILURES_TOLD:,} more" if len(failed) > FAILURES_TOLD else ""
    raise kind(
        f"{len(failed):,} of {len(found):,} files could not be fetched, the others are in {folder}: {told}{more}"
    ) from errors[0]


def _are_one_file(first: Path, second: Path) -> bool:
    """Return whether two names are one file, as on disks that know no difference between a and A."""
    try:
        return first != second and first.samefile(second)
    except OSError:  # one of them is not there
        return False
