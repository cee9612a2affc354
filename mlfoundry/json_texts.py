"""Reading JSON that somebody else wrote: a server, a store, a file, the facts of a run.

Whatever is wrong with it is a ValueError: all that reads such text comes here, so that none meets another error.
Imports nothing of ours.
"""

from __future__ import annotations

import json
import math
from typing import Any

PLAIN_LEVELS = 32


def read_json(text: str | bytes) -> Any:
    """Return what a text of JSON says.

    Raises:
        ValueError: It is none, or nests deeper or has longer numbers than this Python reads.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it nests too deep") from error


def read_plain_json(text: str | bytes) -> Any:
    """Return what a text of JSON says, when it can go into other JSON as it is, whoever writes or reads that.

    Raises:
        ValueError: It is none, as in `read_json`; or it nests deeper than `PLAIN_LEVELS`, or holds NaN, an infinity or
            half of a surrogate pair, which Python reads and JSON does not know.
    """
    told = read_json(text)
    if not _is_plain(told, PLAIN_LEVELS):
        raise ValueError("it holds what other JSON cannot hold")
    return told


def _is_plain(told: Any, levels: int) -> bool:
    if isinstance(told, float):
        return math.isfinite(told)
    if isinstance(told, str):
        return told.isascii() or told.encode("utf-8", "replace").decode() == told
    if isinstance(told, dict):
        inner: list[Any] = [*told, *told.values()]
    elif isinstance(told, list):
        inner = told
    else:
        return True
    return levels > 0 and all(_is_plain(each, levels - 1) for each in inner)
