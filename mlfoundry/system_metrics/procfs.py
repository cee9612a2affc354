"""Reads the small files of /proc, /sys and cgroups with few system calls.

Every system call of a thread may wait for the interpreter lock, up to 5 ms beside a busy Python thread, so
a file is opened, read once and closed; `open()` would make eight calls of it.
"""

# A Path costs as much as the system call that it is made for.
# ruff: noqa: PTH110, PTH116, PTH208
from __future__ import annotations

import os

# Larger buffers cost more to allocate than the whole reading.
_CHUNK = 1 << 14

# The kernel fills at most one page when a file is made of records, and it may stop a record short of it.
# A shorter answer is therefore the end, and only a longer one is worth another call.
_SURELY_THE_END = 2048


def read(path: str) -> bytes:
    """Read a whole kernel file.

    Args:
        path: The file.

    Returns:
        Its bytes, empty for an empty file.

    Raises:
        OSError: It is absent, or may not be read.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        data = os.read(handle, _CHUNK)
        if len(data) < _SURELY_THE_END:
            return data
        parts = [data]
        while data := os.read(handle, _CHUNK):
            parts.append(data)
        return b"".join(parts)
    finally:
        os.close(handle)


def exists(path: str) -> bool:
    """Tell whether there is a file or folder of this name."""
    return os.path.exists(path)


def names(folder: str) -> list[str]:
    """List the names in a folder, in any order.

    Raises:
        OSError: It is absent, or may not be listed.
    """
    return os.listdir(folder)


def count_open_files(proc: str, pid: int) -> int:
    """Count the open files of a process.

    Raises:
        OSError: It is gone, or belongs to another user.
    """
    folder = f"{proc}/{pid}/fd"
    # Since Linux 6.2 the size of the folder is the number of files; before, it is 0.
    return os.stat(folder).st_size or len(os.listdir(folder))


def read_table(path: str) -> dict[bytes, int]:
    """Read a file of lines ``name value`` or ``name: value kB``, such as meminfo, memory.stat and cpu.stat.

    Args:
        path: The file.

    Returns:
        The values by name, as they stand; lines of any other shape are left out.

    Raises:
        OSError: It is absent, or may not be read.
    """
    table = {}
    for line in read(path).splitlines():
        words = line.split(None, 2)
        if len(words) > 1 and words[1].isdigit():
            table[words[0].rstrip(b":")] = int(words[1])
    return table
