"""Files on their way into a run: stored at once, or kept beside the journal until the store takes them."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from .. import values
from ..errors import BackendUnavailable, InvalidInput, TooLarge, quoted, shown
from ..journal.spool import Spool
from ..log import Log
from ..names import legal_path
from ..records import ArtifactRecord, RunKey
from ..shipping.tries import NOT_TAKEN
from .below import open_file

if TYPE_CHECKING:
    from ..journal import Journal
    from ..tracking.backend import Backend

_log = Log("mlfoundry")


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file to be logged: one that was named itself, or one below a folder that was.

    Attributes:
        folder: The folder; what was named, when it is a file, has none.
        path: The file, below the folder.
    """

    folder: Path | None
    path: str

    def open(self) -> BinaryIO:
        """Open it for reading; what was put in its place meanwhile and is a link is not followed.

        Raises:
            InvalidInput: It is no regular file.
        """
        if self.folder is None:
            return Path(self.path).open("rb")
        return os.fdopen(open_file(self.folder, self.path), "rb")


def files_to_log(local_path: str | os.PathLike[str], artifact_path: str | None) -> dict[str, LocalFile]:
    """Return what logging a file or folder stores: path in the run to file here.

    Raises:
        InvalidInput: There is no such file, or a folder holds nothing, links, or names that are one in the run.
        InvalidName: A name cannot be one in a run.
    """
    if not isinstance(local_path, str | os.PathLike) or not os.fspath(local_path):
        raise InvalidInput(f"a file or a folder to log is given as its path, not {shown(local_path)}")
    source = Path(local_path)
    prefix = f"{legal_path(artifact_path)}/" if artifact_path else ""
    try:
        is_file, is_folder = source.is_file(), source.is_dir()
    except OSError as error:
        raise InvalidInput(f"{quoted(str(source))} cannot be looked at ({error.strerror or error})") from error
    if is_file:
        return {legal_path(prefix + source.name): LocalFile(None, str(source))}
    if not is_folder:
        raise InvalidInput(f"there is no file or folder {str(source)!r} to log")
    files = sorted(path for path in source.rglob("*") if path.is_symlink() or not path.is_dir())
    strange = [str(path) for path in files if path.is_symlink() or not path.is_file()]
    if strange:
        raise InvalidInput(f"{source} holds what is no regular file (links are not followed): {', '.join(strange[:5])}")
    if not files:
        raise InvalidInput(f"the folder {source} holds no files")
    below = [path.relative_to(source).as_posix() for path in files]
    named = {legal_path(prefix + path): LocalFile(source, path) for path in below}
    if len(named) < len(files):
        raise InvalidInput(f"{source} holds files whose names have one Unicode normal form; rename one of them")
    return named


class Uploads:
    """The files of one run that this process logs.

    Args:
        backend: Where they are stored.
        journal: What they are kept beside while the backend cannot be reached, or does not take them.

    Attributes:
        trouble: Why the last file that was kept could not be stored.
        is_refused: Whether that is because the backend did not take it as things were.
    """

    def __init__(self, backend: Backend, journal: Journal) -> None:
        self._backend = backend
        self._journal = journal
        self.trouble = ""
        self.is_refused = False

    def waiting(self) -> tuple[int, int]:
        """Return how many files wait to be stored, and how many bytes they have."""
        return (0, 0) if self._journal.folder is None else Spool(self._journal.folder).size()

    def put(self, run: RunKey | None, path: str, source: BinaryIO) -> ArtifactRecord:
        """Store a file, or keep a copy to be stored later; a run that is not made yet is None."""
        if run is not None and not self._are_waiting():
            try:
                return self._backend.put_artifact(run, path, source)
            except (BackendUnavailable, TooLarge, *NOT_TAKEN) as error:
                self.trouble, self.is_refused = str(error), not isinstance(error, BackendUnavailable)
                _log.warning("The artifact %s is kept beside the journal until it can be stored: %s", path, error)
        return self._keep(path, source)

    def _are_waiting(self) -> bool:
        """Return whether files wait to be stored: what is logged later must not come before them."""
        folder = self._journal.folder
        try:
            return folder is not None and any(Spool(folder).waiting())
        except OSError:  # it cannot be told just now
            return True

    def _keep(self, path: str, source: BinaryIO) -> ArtifactRecord:
        """Keep a file for later; when even that fails it is lost, which is said and counted."""
        source.seek(0)
        sha256, size = "", 0
        try:
            if self._journal.folder is None:
                raise OSError("no folder can be written")
            sha256, size = Spool(self._journal.folder).put(path, source)
        except OSError as error:
            self._journal.lost += 1
            _log.warning("The artifact %s is lost: it can be kept nowhere (%s).", path, error)
        return ArtifactRecord(path, size, sha256, values.utc(time.time_ns() // 1000))
