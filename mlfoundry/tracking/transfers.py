"""Files on their way to and from a server: in parts that way, resumed this way, and neither side taken at its word.

Nothing is held in memory but one part. Whatever breaks off is gone on with where it stopped: an upload by anybody who
has the same bytes, a download by whoever reads it.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, BinaryIO, cast

from ..errors import BackendUnavailable, TooLarge, WrongHash
from ..store.parts import LEAST_PART_BYTES

if TYPE_CHECKING:
    from requests import Response

TYPE = "application/octet-stream"
PART_BYTES = 8 * 1024 * 1024
BLOCK_BYTES = 1 << 20
TRIES = 5
PAUSE_S = 0.5
HASHED_BYTES_PER_S = 20_000_000  # what a server is expected to hash and write at least, when the last part has come


def hash_of(source: BinaryIO) -> tuple[str, int]:
    """Return the SHA-256 in hex and the size of what a file gives from its beginning."""
    import hashlib

    digest, size = hashlib.sha256(), 0
    source.seek(0)
    while block := source.read(BLOCK_BYTES):
        digest.update(block)
        size += len(block)
    return digest.hexdigest(), size


def upload(
    source: BinaryIO,
    size: int,
    held: int,
    send_part: Callable[[bytes, int, float], int],
    *,
    part_bytes: int = PART_BYTES,
) -> int:
    """Send a file in parts, from where the server has it already.

    Args:
        source: The file.
        size: How many bytes it has.
        held: Up to which byte the server holds it.
        send_part: Sends a part, given where it begins and how many seconds its answer may take longer than others;
            returns up to which byte the server holds the file then.
        part_bytes: How large a part is; less when a proxy before the server does not take that.

    Returns:
        How large a part may be.

    Raises:
        BackendUnavailable: The server does not get on, or says what cannot be.
        WrongHash: The server got other bytes than were announced, or the file became shorter.
        TooLarge: Not even the smallest part is taken.
    """
    stuck = 0
    while held != size:
        if not 0 <= held < size or stuck == TRIES:
            raise BackendUnavailable(f"the server says that it holds {held:,} bytes of a file of {size:,}; try again")
        source.seek(held)
        part = source.read(min(part_bytes, size - held))  # a log may grow while it is sent
        if len(part) < min(LEAST_PART_BYTES, size - held):
            raise WrongHash(f"the file became shorter than {size:,} bytes while it was sent; send it again")
        is_last = held + len(part) >= size
        try:
            now = send_part(part, held, size / HASHED_BYTES_PER_S if is_last else 0.0)
        except TooLarge:
            if len(part) <= LEAST_PART_BYTES:
                raise
            part_bytes = max(LEAST_PART_BYTES, len(part) // 2)
            continue
        stuck = 0 if now > held else stuck + 1
        held = now
    return part_bytes


class Download(io.RawIOBase):
    """The bytes of a file of a server, as they come; what breaks off is asked for again from there.

    Args:
        begin: Asks for the bytes from one on, of a version (the ETag of the first answer; empty for any); returns
            an answer whose body was not read.
        translated: Turns the failures of reading into our errors.
        pause_s: How long to wait before the first new try; twice as long before each that follows.
    """

    def __init__(
        self,
        begin: Callable[[int, str], Response],
        translated: Callable[[], AbstractContextManager[None]],
        *,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._begin, self._translated, self._pause_s = begin, translated, pause_s
        self._at = self._tries = 0
        self._answer: Response | None = None  # what is refused from the start is closed too
        self._answer = begin(0, "")
        self._version = self._answer.headers.get("ETag", "")
        self._size = _length(self._answer)

    @property
    def file(self) -> BinaryIO:
        """This, to be read in blocks of any size."""
        return cast(BinaryIO, io.BufferedReader(self, BLOCK_BYTES))

    def readable(self) -> bool:
        """It can be read."""
        return True

    def readinto(self, buffer: object) -> int:
        """Read what there is, up to the size of a buffer; 0 at the end."""
        target = memoryview(cast(bytearray, buffer))
        while True:
            try:
                block = self._read(min(len(target), BLOCK_BYTES))
            except BackendUnavailable:
                self._drop()
                self._tries += 1
                if self._tries >= TRIES:
                    raise
                time.sleep(self._pause_s * 2 ** (self._tries - 1))
                continue
            if block:
                self._tries = 0
            target[: len(block)] = block
            self._at += len(block)
            return len(block)

    def close(self) -> None:
        """Let the connection go."""
        self._drop()
        super().close()

    def _read(self, count: int) -> bytes:
        if self._size is not None and self._at >= self._size:
            return b""
        if self._answer is None:
            self._answer = self._begin(self._at, self._version)
            if not self._at:
                self._version, self._size = self._answer.headers.get("ETag", ""), _length(self._answer)
            if self._at and (self._answer.status_code != 206 or self._answer.headers.get("ETag") != self._version):
                self._tries = TRIES
                raise BackendUnavailable("the file was replaced by another while it was read; read it again")
        with self._translated():
            # As it came, since a small answer could unpack to anything.
            block: bytes = self._answer.raw.read(count, decode_content=False)
        if not block and self._size is not None:
            raise BackendUnavailable(f"the file broke off at byte {self._at:,} of {self._size:,}")
        return block

    def _drop(self) -> None:
        if self._answer is not None:
            self._answer.close()
            self._answer = None


def _length(answer: Response) -> int | None:
    told = answer.headers.get("Content-Length", "")
    return int(told) if told.isascii() and told.isdigit() else None
