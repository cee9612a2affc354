"""Files that could not be stored when they were logged: kept beside the journal until they can."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import InvalidInput
from ..folders import make_private
from ..names import legal_path
from .folder import PARKED

BLOCK_BYTES = 1 << 20

_log = logging.getLogger("mlfoundry")


class Spool:
    """The spooled files of one journal: the bytes, and beside them a JSON that names them.

    The JSON appears last and whole: bytes without one are of a log call that never returned. It has the size and the
    hash of the bytes and a check of itself, so that nothing is stored that a disk has changed.

    Args:
        folder: The journal's folder; the spool is made in it with its first file.
    """

    def __init__(self, folder: Path) -> None:
        self._journal = folder
        self._folder = folder / "spool"

    def put(self, path: str, source: BinaryIO) -> tuple[str, int]:
        """Keep what `source` gives for the artifact `path`; return its SHA-256 in hex and its size.

        Raises:
            OSError: There is no room; nothing is kept.
        """
        self._folder.mkdir(mode=0o700, exist_ok=True)
        # Names sort in the order of the calls, whatever the clock does: of two files for one path the later is stored
        # last.
        number = max([time.time_ns(), *(_number(each) + 1 for each in self._folder.iterdir())])
        stem = f"{number:020d}-{secrets.token_hex(4)}"
        data, told, part = (self._folder / f"{stem}.{kind}" for kind in ("data", "json", "part"))
        digest, size = hashlib.sha256(), 0
        try:
            with open(data, "xb", opener=_private) as file:
                while block := source.read(BLOCK_BYTES):
                    digest.update(block)
                    file.write(block)
                    size += len(block)
                _settle(file)
            with open(part, "xb", opener=_private) as file:
                file.write(_note(path, digest.hexdigest(), size))
                _settle(file)
            part.rename(told)
        except BaseException:  # an interrupt leaves nothing half-kept either
            for each in (told, part, data):
                each.unlink(missing_ok=True)
            raise
        return digest.hexdigest(), size

    def waiting(self) -> Iterator[tuple[str, Path]]:
        """Yield (artifact path, file) of what waits, oldest first; set aside what can never be stored.

        Raises:
            OSError: The machine cannot read now what it could read at another time.
        """
        for told in sorted(self._folder.glob("*.json")):
            data = told.with_suffix(".data")
            try:
                path = _read_note(told)[0]
                _require_readable(data)
            except FileNotFoundError as error:  # gone with its JSON: another thread has stored it
                if told.exists():
                    self.set_aside(data, f"{Path(error.filename).name} is missing")
            except (InvalidInput, PermissionError) as error:
                self.set_aside(data, str(error))
            else:
                yield path, data

    def size(self) -> tuple[int, int]:
        """Return how many files wait and how many bytes they have, as far as that can be told now."""
        count = size_bytes = 0
        with suppress(OSError):
            for told in self._folder.glob("*.json"):
                with suppress(OSError):
                    size_bytes += told.with_suffix(".data").lstat().st_size
                    count += 1
        return count, size_bytes

    def set_aside(self, file: Path, reason: str) -> bool:
        """Move what can never be stored out of the way of the rest, to where a person can look at it; say so.

        Args:
            file: As `waiting` gives it.
            reason: Why it cannot be stored.

        Returns:
            Whether it is out of the way.
        """
        told, aside = file.with_suffix(".json"), self._journal.parent / PARKED / f"{self._journal.name}.files"
        try:
            make_private(aside)
            with suppress(FileNotFoundError):
                file.rename(aside / file.name)
            told.rename(aside / told.name)
        except FileNotFoundError:  # another thread was first
            return True
        except OSError as error:
            _log.warning("The file %s can neither be stored (%s) nor put aside (%s).", told, reason, error)
            return False
        _log.warning("A logged file cannot be stored and is kept in %s: %s", aside / told.stem, reason)
        return True

    def rescue(self) -> bool:
        """Before the journal is deleted: set aside what was not stored; return whether nothing is left."""
        left = [each.with_suffix(".data") for each in sorted(self._folder.glob("*.json"))]
        are_aside = [self.set_aside(file, "its journal ended before it could be stored") for file in left]
        return all(are_aside)

    @staticmethod
    def require_unchanged(file: Path) -> None:
        """Make sure that a file that waits holds what was logged; reads all of it.

        Raises:
            OSError, InvalidInput: It cannot be read, or holds something else.
        """
        _, sha256, size = _read_note(file.with_suffix(".json"))
        with file.open("rb") as source:
            if os.fstat(source.fileno()).st_size != size or hashlib.file_digest(source, "sha256").hexdigest() != sha256:
                raise InvalidInput(f"{file.name} is not as it was written")

    @staticmethod
    def done(file: Path) -> None:
        """Forget a file that is stored."""
        file.with_suffix(".json").unlink(missing_ok=True)
        file.unlink(missing_ok=True)


def _number(file: Path) -> int:
    """Return the number in the name of a file of a spool, -1 for another file."""
    number = file.name.partition("-")[0]
    return int(number) if number.isdecimal() and len(number) == 20 else -1


def _note(path: object, sha256: str, size: int) -> bytes:
    told = {"path": path, "sha256": sha256, "size": size}
    return json.dumps({**told, "check": _check(told)}).encode()


def _check(told: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps([told.get("path"), told.get("sha256"), told.get("size")]).encode())


def _read_note(file: Path) -> tuple[str, str, int]:
    """Return artifact path, hash and size of what waits."""
    _require_readable(file)
    try:
        content: Any = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{file.name} is no JSON ({error})") from error
    if not isinstance(content, dict):
        raise InvalidInput(f"{file.name} holds no JSON object")
    if content.get("check") != _check(content):
        raise InvalidInput(f"{file.name} is not as it was written")
    return legal_path(content.get("path")), content["sha256"], content["size"]


def _require_readable(file: Path) -> None:
    """Make sure that a file can be read, without waiting for a pipe or following a link.

    Raises:
        OSError, InvalidInput: It cannot.
    """
    file.lstat()
    if file.is_symlink() or not file.is_file():
        raise InvalidInput(f"{file.name} is no regular file")
    with file.open("rb"):
        pass


def _settle(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
