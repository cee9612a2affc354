"""Errors of the rules and the store as they go over HTTP, and back into the same errors."""

from __future__ import annotations

from typing import Any

from .. import displays, errors
from ..errors import (
    BackendUnavailable,
    InvalidFilter,
    InvalidInput,
    JournalGap,
    JournalReplaced,
    JournalUnreadable,
    LastAdmin,
    MlfoundryError,
    NotAuthenticated,
    NotFound,
    ParamChanged,
    PermissionDenied,
    RunDeleted,
    TooLarge,
    TooManyAttempts,
    WrongHash,
)
from .plain import Json

MESSAGE_LIMIT = 4000

# The first that fits counts.
_STATUSES: tuple[tuple[type[MlfoundryError], int], ...] = (
    (TooLarge, 413),
    (InvalidInput, 400),
    (TooManyAttempts, 429),
    (NotAuthenticated, 401),
    (PermissionDenied, 403),
    (NotFound, 404),
    (LastAdmin, 409),
    (JournalGap, 409),
    (JournalReplaced, 409),
    (ParamChanged, 409),
    (WrongHash, 409),
    (RunDeleted, 410),
    (JournalUnreadable, 422),
    (BackendUnavailable, 503),
)


def http_status(error: MlfoundryError) -> int:
    """Return the status of HTTP that an error is answered with."""
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)


def error_json(error: MlfoundryError, request_id: str) -> Json:
    """Return an error as JSON: the one shape that every error of the server has."""
    told = problem_json(type(error).__name__, str(error.args[0]), request_id)
    if isinstance(error, InvalidFilter):
        told["error"] |= {"text": error.text, "position": error.position, "length": error.length}
    if isinstance(error, JournalGap):
        told["error"] |= {"expected": error.expected, "got": error.got}
    return told


def problem_json(code: str, message: str, request_id: str) -> Json:
    """Return what went wrong in the one shape, also where no error of ours stands for it."""
    return {"error": {"code": code, "message": message, "request_id": request_id}}


def read_error(status: int, told: Any, retry_after_s: float | None) -> MlfoundryError:
    """Return the error that a server's answer stands for.

    An answer that is none of ours (a proxy's page, a server that fails) means that the server cannot be used now. That
    something is gone is believed only when it is said in so many words: what a client has of it is put aside then.
    """
    inner = told.get("error") if isinstance(told, dict) else None
    if status == 413 and not isinstance(inner, dict):  # whoever it is, they will not take it another time either
        return TooLarge(
            "a proxy before the server takes no request of this size (413). Whoever runs it raises its limit, in nginx "
            "with client_max_body_size 17m."
        )
    if not isinstance(inner, dict) or not isinstance(inner.get("message"), str):
        return BackendUnavailable(f"the server answered with status {status}", retry_after_s=retry_after_s)
    message, code = _shown(inner["message"]), inner.get("code")
    if code == "JournalGap" and all(type(inner.get(name)) is int for name in ("expected", "got")):
        return JournalGap(expected=inner["expected"], got=inner["got"])
    if code == "InvalidFilter":
        return _invalid_filter(message, inner)
    kind = getattr(errors, str(code), None)
    if not isinstance(kind, type) or not issubclass(kind, MlfoundryError) or kind in (ParamChanged, JournalGap):
        unsure = (JournalGap, JournalReplaced, ParamChanged, WrongHash, NotFound, RunDeleted, TooManyAttempts)
        known = {code: kind for kind, code in _STATUSES if kind not in unsure}
        kind = known.get(status, BackendUnavailable)
    if issubclass(kind, (BackendUnavailable, TooManyAttempts)):
        return kind(message, retry_after_s=retry_after_s)
    return kind(message)


def _shown(message: str) -> str:
    """Return what a server says so that a terminal, where a traceback may end up, shows it and does not obey it."""
    kept = message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…"
    return "\n".join(map(displays.plain, kept.split("\n"))).encode("utf-8", "backslashreplace").decode()


def _invalid_filter(message: str, inner: Json) -> InvalidFilter:
    """Return the error, which points at a place of the filter where the server says so and can mean one."""
    text, position, length = (inner.get(name) for name in ("text", "position", "length"))
    if not isinstance(text, str) or type(position) is not int or type(length) is not int:
        return InvalidFilter(message)
    if not 0 <= position <= len(text) <= MESSAGE_LIMIT or not 1 <= length <= len(text) - position + 1:
        return InvalidFilter(message)
    return InvalidFilter(message, text=_shown(text), position=position, length=length)
