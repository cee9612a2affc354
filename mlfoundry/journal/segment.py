"""A stretch of a journal's slots in one mapped file, or in memory when no file can be had."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

from .. import slots

# Slots of a preamble are numbered from here, apart from the journal's own.
PREAMBLE_SLOT = 0x4000_0000


class Segment:
    """Slots ``base`` to ``limit`` of a journal.

    Args:
        path: The file to make (0600); None keeps the segment in memory.
        base: Number of the first slot.
        preamble: What makes the segment readable alone, whole slots, before the first slot. It is written when
            the segment is taken into use: a file without it is none, whatever became of its making.
        room: Number of slots.

    Raises:
        OSError: No file or no space for all of it; nothing is left behind.
    """

    def __init__(self, path: Path | None, *, base: int, preamble: bytes, room: int) -> None:
        size = len(preamble) + room * slots.SLOT
        self.path = path
        self.base = base
        self.limit = base + room
        self.fd = -1
        if path is None:
            self.map = mmap.mmap(-1, size)
        else:
            self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                _allocate(self.fd, size)
                self.map = mmap.mmap(self.fd, size)
            except BaseException:  # an interrupt leaves no file without a map either
                os.close(self.fd)
                path.unlink(missing_ok=True)
                raise
        self.preamble = preamble
        self.shift = len(preamble) - base * slots.SLOT

    @staticmethod
    def file_name(base: int, preamble: bytes, generation: int) -> str:
        """Return the file's name, which tells where the slots begin even when the file is damaged.

        Of two files that begin at one slot the greater generation counts.
        """
        return f"{base:016x}-{generation:08x}-{len(preamble) // slots.SLOT:x}.seg"

    @staticmethod
    def parse_name(name: str) -> tuple[int, int, int] | None:
        """Return (base, generation, slots of the preamble) of a file's name, None for another kind of name."""
        stem, _, suffix = name.rpartition(".")
        parts = stem.split("-")
        try:
            base, generation, preamble = (int(part, 16) for part in parts)
        except ValueError:
            return None
        return (base, generation, preamble) if suffix == "seg" else None

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes of slots `start` to `stop`."""
        return self.map[self.shift + start * slots.SLOT : self.shift + stop * slots.SLOT]

    def write(self, start: int, data: bytes) -> None:
        """Put bytes at slot `start`."""
        offset = self.shift + start * slots.SLOT
        self.map[offset : offset + len(data)] = data

    def close(self, *, unlink: bool) -> None:
        """Unmap and close; with `unlink` the file goes."""
        self.map.close()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        if unlink and self.path is not None:
            self.path.unlink(missing_ok=True)


def _allocate(fd: int, size: int) -> None:
    """Reserve the space for good: a sparse file would die of SIGBUS when the disk is full."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
        return
    written = 0
    while written < size:
        written += os.write(fd, bytes(min(size - written, 1 << 20)))
