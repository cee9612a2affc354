"""What holds for every upload in parts, wherever it goes: legal hashes and sizes, and how long it is waited for."""

from __future__ import annotations

import re

from ..errors import InvalidInput, WrongHash, shown

SIZE_LIMIT_BYTES = 1 << 40
LEAST_PART_BYTES = 1 << 16  # but for the last: a part is an object or a lock, and must be worth it
PART_LIFE_S = 7 * 86_400
_SHA256 = re.compile(r"[0-9a-f]{64}")


def check(sha256: str, size: int) -> None:
    """Make sure that bytes of this hash and size can be.

    Raises:
        InvalidInput: They cannot.
    """
    if not _SHA256.fullmatch(sha256):
        raise InvalidInput(f"sha256 is {shown(sha256)}; it has 64 hex digits (0-9, a-f)")
    if not 0 <= size <= SIZE_LIMIT_BYTES:
        raise InvalidInput(f"a file of {size:,} bytes is not taken; at most {SIZE_LIMIT_BYTES:,} are")


def check_part(sha256: str, size: int, offset: int, part_size: int) -> None:
    """Make sure that a part lies within the whole.

    Raises:
        InvalidInput: It does not.
    """
    check(sha256, size)
    if not 0 <= offset <= offset + part_size <= size:
        raise InvalidInput(f"a part of {part_size:,} bytes at {offset:,} goes beyond the size, {size:,}")
    if part_size < LEAST_PART_BYTES and offset + part_size < size:
        raise InvalidInput(f"a part has {part_size:,} bytes; all but the last have at least {LEAST_PART_BYTES:,}")


def wrong_hash(said: str, found: str) -> WrongHash:
    """Return the error for bytes whose hash is not what was said."""
    return WrongHash(f"the bytes have the hash {found}, not {said}; nothing of them was kept, send them again")
