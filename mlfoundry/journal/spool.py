"""Files that could not be stored when they were logged: kept beside the journal until they can."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

BLOCK_BYTES = 1 << 20


class Spool:
    """The spooled files of one journal: the bytes, and beside them a JSON that names them.

    Args:
        folder: The journal's folder; the spool is made in it with its first file.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "spool"

    def put(self, path: str, source: BinaryIO) -> tuple[str, int]:
        """Keep what `source` gives for the artifact `path`; return its SHA-256 in hex and its size.

        Raises:
            OSError: There is no room; nothing is kept.
        """
        self._folder.mkdir(mode=0o700, exist_ok=True)
        # Names sort by time, so that of two files for one path the later is stored last.
        stem = f"{time.time_ns():020d}-{secrets.token_hex(4)}"
        data, told = self._folder / f"{stem}.data", self._folder / f"{stem}.json"
        digest, size = hashlib.sha256(), 0
        try:
            with open(data, "xb", opener=_private) as file:
                while block := source.read(BLOCK_BYTES):
                    digest.update(block)
                    file.write(block)
                    size += len(block)
                file.flush()
                os.fsync(file.fileno())
            with open(told, "x", opener=_private, encoding="utf-8") as file:
                json.dump({"path": path}, file)
        except BaseException:
            data.unlink(missing_ok=True)
            told.unlink(missing_ok=True)
            raise
        return digest.hexdigest(), size

    def waiting(self) -> Iterator[tuple[str, Path]]:
        """Yield (artifact path, file) of what waits, oldest first."""
        for told in sorted(self._folder.glob("*.json")):
            try:
                path = json.loads(told.read_text(encoding="utf-8"))["path"]
            except (OSError, ValueError, KeyError):
                continue  # half-written by a process that died: its log call never returned
            yield path, told.with_suffix(".data")

    @staticmethod
    def done(file: Path) -> None:
        """Forget a file that is stored."""
        file.with_suffix(".json").unlink(missing_ok=True)
        file.unlink(missing_ok=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
