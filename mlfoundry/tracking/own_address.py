"""Where this machine's `mlfoundry ui` serves a store, as it says itself in a file beside the store."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ..json_texts import read_json

FILE_NAME = "dashboard.json"
_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d{1,5}")


def find_address(root: Path) -> str | None:
    """Return the address of the dashboard of a store, None while none runs; asks nobody over the network."""
    import fcntl

    try:
        descriptor = os.open(root / FILE_NAME, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:  # no such file, or none that we may read or follow: then nothing is known to serve the store
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(descriptor)  # whoever holds the lock is the dashboard
    except OSError:  # a file system without locks: nobody can say there that they serve
        return None
    finally:
        os.close(descriptor)
    return None


def _read(descriptor: int) -> str | None:
    try:
        told = read_json(os.pread(descriptor, 1000, 0))
    except ValueError:
        return None
    address = told.get("address") if isinstance(told, dict) else None
    return address if isinstance(address, str) and _ADDRESS.fullmatch(address) else None
