"""What the machine gives without a tracker, where several families ask for the same."""

from __future__ import annotations

import mmap
import os
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import apsw

SLOT = struct.Struct("<IIqqd")


def packing(folder: Path, count: int) -> Callable[[int], object]:
    """Return a call that packs one point into a memory map of allocated space: the least that survives a kill."""
    size = SLOT.size * count
    fd = os.open(folder / "points", os.O_RDWR | os.O_CREAT, 0o600)
    os.posix_fallocate(fd, 0, size)
    place = mmap.mmap(fd, size)
    os.close(fd)

    def pack(number: int) -> None:
        SLOT.pack_into(place, SLOT.size * number, 0, 1, number, 1_700_000_000_000_000, 0.5)

    return pack


def database(path: Path, schema: str, *, synchronous: str = "NORMAL") -> apsw.Connection:
    """Return a SQLite database as the store opens its own, with a table of the limit's."""
    import apsw

    connection = apsw.Connection(str(path))
    connection.execute(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous}").fetchall()
    connection.execute(f"CREATE TABLE IF NOT EXISTS {schema}")
    return connection


@contextmanager
def busy_thread() -> Iterator[None]:
    """Keep one other thread busy with Python code that never gives up the interpreter by itself."""
    stopping = False

    def spin() -> None:
        number = 0
        while not stopping:
            number += 1

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping = True
        thread.join()
