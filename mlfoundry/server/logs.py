"""What the server logs: one JSON object a line, and nothing in it that opens a door.

Requests are logged by the pattern of their route and by who asked: no query, no body, no key. What slips into the
text of an error all the same (a key, the password of an address) is masked before the line is written.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TextIO

MASK = "***"
# uvicorn adds this one for terminals; taskName is Python's own.
_NOT_TOLD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "color_message", "taskName"}
_SECRETS = re.compile(
    r"mlf_[a-z2-7]{16,}[0-9a-z]*"  # an API key, also a part of one
    r"|(?<=://)[^/\s@'\"]*(?=@)"  # user and password of an address
    r"|(?ai:(?<=bearer )\S+)"
    r"|(?ai:(?<=password=)(?:'[^']*'|\S+))"
)
_MARKS = ("mlf_", "://", "bearer ", "password=")  # one of them is in whatever `_SECRETS` finds, in small letters


def masked(text: str) -> str:
    """Return text with everything masked that has the shape of a key or a password."""
    return _SECRETS.sub(MASK, text)


class JsonLines(logging.Formatter):
    """A line of JSON for each record: when, how grave, who says it, what, and what was given with it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        told = {"at": at, "level": record.levelname.lower(), "logger": record.name, "process": record.process}
        told["message"] = record.getMessage()
        told |= {name: value for name, value in vars(record).items() if name not in _NOT_TOLD}
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        return _line(told)


def _line(told: Mapping[str, object]) -> str:
    """Return a safe line; to look through all of it at once takes a tenth of the time of each text by itself."""
    with suppress(TypeError, ValueError):  # keys that are no text, what holds itself
        line = json.dumps(told, default=str)
        small = line.lower()
        if not any(mark in small for mark in _MARKS):
            return line
    return json.dumps(_safe(told))


def _safe(value: object) -> object:
    """Return a value as JSON can hold it, with its texts masked."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, dict):
        return {str(name): _safe(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_safe(inner) for inner in value]
    return masked(str(value))


def begin(level: str, stream: TextIO | None = None) -> None:
    """Let everything that this process logs go to standard error as JSON lines.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        stream: Where to instead.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in ("mlfoundry", "uvicorn"):
        log = logging.getLogger(name)
        log.handlers.clear()
        log.propagate = True
        log.setLevel(level.upper())
