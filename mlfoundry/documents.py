"""What the documents of a journal say: every kind and its shape, checked before anything of it is stored.

=============  ===========================================================================================
origin         where the journal belongs, see `recovery`; once a segment
created        ``project_id``: the backend has made the run
keys           ``names``: {number: [metric keys]}, one key of a number, several of a key set
params         ``values``: {name: [type, text]}, types as in `values.param_text`
tags, facts    ``values``: {name: text}; null as text removes a tag
description    ``text``
lost           ``count``: records that found no room on the client's machine
end            ``status``, ``error``, ``elapsed_us`` (of a clock that never jumps, or null)
=============  ===========================================================================================

Journals come from other machines and from damaged disks: a record that checks may still say nonsense.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .errors import InvalidInput, JournalUnreadable, shown
from .names import legal_key
from .records import RunStatus
from .slots import Document
from .values import PARAM_TYPES, in_calendar, param_value, plain_text

FACT_LIMIT = 1 << 20
ERROR_LIMIT = 4000
ENDS = (RunStatus.FINISHED, RunStatus.FAILED, RunStatus.KILLED)


def check(document: Document) -> None:
    """Make sure that a document can be applied whole.

    Raises:
        JournalUnreadable: It is of an unknown kind, or does not have its kind's shape.
    """
    kind = document.content["kind"]
    checks = _CHECKS.get(kind)
    if checks is None:
        raise JournalUnreadable(
            f"the journal holds a record of kind {shown(kind)}, which this version does not know. Upgrade MLFoundry "
            "where the store is; the journal is kept."
        )
    try:
        if not in_calendar(document.at_us):
            raise ValueError("its time lies outside of the years 1 to 9999")
        checks(document.content)
    except (InvalidInput, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise JournalUnreadable(
            f"the journal holds a record of kind {kind!r} that cannot be applied: {error}"
        ) from error


def names_of(document: Document) -> dict[int, tuple[str, ...]]:
    """Return the names that a checked "keys" document defines, none for another kind."""
    if document.content["kind"] != "keys":
        return {}
    return {int(number): tuple(names) for number, names in document.content["names"].items()}


def _keys(content: Mapping[str, Any]) -> None:
    for number, names in content["names"].items():
        _require(0 < int(number) < 1 << 31 and isinstance(names, list) and len(names) > 0, "numbers of lists of names")
        for name in names:
            legal_key("metric key", name)


def _params(content: Mapping[str, Any]) -> None:
    for name, (type_, text) in content["values"].items():
        legal_key("param key", name)
        _require(type_ in PARAM_TYPES, f"types of {', '.join(PARAM_TYPES)}")
        param_value(type_, plain_text(f"param {name!r}", text))


def _tags(content: Mapping[str, Any]) -> None:
    for name, text in content["values"].items():
        legal_key("tag key", name)
        if text is not None:
            plain_text(f"tag {name!r}", text)


def _facts(content: Mapping[str, Any]) -> None:
    for name, text in content["values"].items():
        legal_key("fact", name)
        plain_text(f"fact {name!r}", text, FACT_LIMIT)


def _description(content: Mapping[str, Any]) -> None:
    plain_text("description", content["text"])


def _lost(content: Mapping[str, Any]) -> None:
    _require(type(content["count"]) is int and 0 <= content["count"] < 1 << 53, "a count")


def _end(content: Mapping[str, Any]) -> None:
    _require(content["status"] in ENDS, f"a status of {', '.join(ENDS)}")
    plain_text("error", content.get("error", ""), ERROR_LIMIT)
    elapsed_us = content.get("elapsed_us")
    _require(elapsed_us is None or (type(elapsed_us) is int and 0 <= elapsed_us < 1 << 53), "elapsed microseconds")


def _require(holds: bool, wanted: str) -> None:
    if not holds:
        raise ValueError(f"it wants {wanted}")


_CHECKS: dict[str, Callable[[Mapping[str, Any]], None]] = {
    "origin": lambda _: None,
    "created": lambda _: None,
    "keys": _keys,
    "params": _params,
    "tags": _tags,
    "facts": _facts,
    "description": _description,
    "lost": _lost,
    "end": _end,
}
