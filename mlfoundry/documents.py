"""What the documents of a journal say: every kind and its shape, checked before anything of it is stored.

=============  ===========================================================================================
origin         where the journal belongs, see `recovery`; once a segment
created        ``project_id``: the backend has made the run; null when it could not be reached. ``run_name``: the
               name that it got
keys           ``names``: {number: [metric keys]}, one key of a number, several of a key set
params         ``values``: {name: [type, text]}, types as in `values.param_text`
tags, facts    ``values``: {name: text}; null as text removes a tag
description    ``text``
carried        ``values``: {``tracker.…``: text}: what another store counted of the run, when it is carried over
carrying       the journal is a push of what another store has, and takes the place of the push ``before``, null for
               none, see `incoming`; ``content`` stands for what it brings
lost           ``count``: records that found no room on the client's machine
end            ``status``, ``error``, ``elapsed_us`` (of a clock that never jumps, or null)
=============  ===========================================================================================

Journals come from other machines and from damaged disks: a record that checks may still say nonsense. Such a
document is set aside, and the rest of its journal is stored: see `sort_out` and `refusals`. One of a kind that
is not known is set aside as well; a *record* of an unknown kind means a newer format, and refuses the journal.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import InvalidInput, JournalUnreadable, shown
from .names import legal_key
from .records import RunStatus
from .slots import Document
from .values import PARAM_TYPES, in_calendar, plain_text

FACT_LIMIT = 1 << 20
OWN_FACTS = "tracker."
CARRYING = f"{OWN_FACTS}carrying"  # which journal carries the run here, see `incoming`
COUNTED_FACTS = frozenset(
    f"{OWN_FACTS}{what}" for what in ("lost_records", "params_kept", "damaged_records", "refused_records")
)
ERROR_LIMIT = 4000
CONTENT_LIMIT = 200
ENDS = (RunStatus.FINISHED, RunStatus.FAILED, RunStatus.KILLED)


@dataclass(frozen=True, slots=True)
class Refused:
    """A document that is set aside, and why."""

    document: Document
    reason: str


def sort_out(found: Iterable[Document]) -> tuple[list[Document], list[Refused]]:
    """Return the documents that can be applied whole, in their order, and those that are set aside.

    Raises:
        JournalUnreadable: A record is of a kind that only a newer version can read.
    """
    sound, refused = [], []
    for document in found:
        if reason := why_refused(document):
            refused.append(Refused(document, reason))
        else:
            sound.append(document)
    return sound, refused


def why_refused(document: Document) -> str:
    """Return why a document cannot be applied, empty when it can.

    Raises:
        JournalUnreadable: It stands for a record of a kind that only a newer version can read.
    """
    kind = document.content["kind"]
    checks = _CHECKS.get(kind)
    if checks is None:
        if kind.startswith("record "):  # see `slots`: what it held is not known, so it could not be kept
            raise JournalUnreadable(
                f"the journal holds a record of kind {shown(kind)}, which this version does not know. Upgrade "
                "MLFoundry where the store is; the journal is kept."
            )
        return f"this version of the store knows no kind {shown(kind)}"
    try:
        if not in_calendar(document.at_us):
            raise ValueError("its time lies outside of the years 1 to 9999")
        checks(document.content)
    except (InvalidInput, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        return f"a record of kind {kind!r} cannot be applied ({type(error).__name__}: {error})"
    return ""


def is_sound(document: Document) -> bool:
    """Return whether a document can be applied by this version."""
    try:
        return not why_refused(document)
    except JournalUnreadable:
        return False


def refusals(known: str, refused: Iterable[Refused]) -> str:
    """Return the text of the fact that keeps what was set aside: one JSON a line, as far as there is room.

    Args:
        known: The fact so far.
        refused: What is added.
    """
    lines = [known] if known else []
    size = len(known)
    for each in refused:
        try:
            content = json.dumps(each.document.content)
        except RecursionError:  # it could just be read
            content = "null"
        line = f'{{"reason": {json.dumps(each.reason)}, "at_us": {each.document.at_us}, "content": {content}}}'
        if size + len(line) < FACT_LIMIT:
            lines.append(line)
            size += len(line) + 1
    return "\n".join(lines)


def names_of(document: Document) -> dict[int, tuple[str, ...]]:
    """Return the names that a checked "keys" document defines, none for another kind."""
    if document.content["kind"] != "keys":
        return {}
    return {int(number): tuple(names) for number, names in document.content["names"].items()}


def _origin(content: Mapping[str, Any]) -> None:
    _created(content)
    for name in ("project_name", "uri", "role", "description", "boot"):
        _require(isinstance(content.get(name, ""), str), f"text as {name}")
    for name in ("owner", "user"):
        _require(isinstance(content.get(name), str | None), f"text or null as {name}")
    _require(isinstance(content.get("tags", {}), dict), "an object of tags")
    started_at_us = content.get("started_at_us", 0)
    _require(type(started_at_us) is int and in_calendar(started_at_us), "a time as started_at_us")


def _created(content: Mapping[str, Any]) -> None:
    project_id = content.get("project_id")
    _require(project_id is None or (type(project_id) is int and 0 <= project_id < 1 << 63), "a project's id or null")
    _require(isinstance(content.get("run_name", ""), str), "text as run_name")


def _keys(content: Mapping[str, Any]) -> None:
    for number, names in content["names"].items():
        _require(0 < int(number) < 1 << 31 and isinstance(names, list) and len(names) > 0, "numbers of lists of names")
        for name in names:
            legal_key("metric key", name)


def _params(content: Mapping[str, Any]) -> None:
    for name, (type_, text) in content["values"].items():
        legal_key("param key", name)
        _require(type_ in PARAM_TYPES, f"types of {', '.join(PARAM_TYPES)}")
        plain_text(f"param {name!r}", text)  # whether it can be read is the reader's matter, see `param_value`


def _tags(content: Mapping[str, Any]) -> None:
    for name, text in content["values"].items():
        legal_key("tag key", name)
        if text is not None:
            plain_text(f"tag {name!r}", text)


def _facts(content: Mapping[str, Any]) -> None:
    for name, text in content["values"].items():
        legal_key("fact", name)
        _require(not name.startswith(OWN_FACTS), f"facts other than {OWN_FACTS}…, which the store itself counts")
        plain_text(f"fact {name!r}", text, FACT_LIMIT)


def _description(content: Mapping[str, Any]) -> None:
    plain_text("description", content["text"])


def _lost(content: Mapping[str, Any]) -> None:
    _require(type(content["count"]) is int and 0 <= content["count"] < 1 << 53, "a count")


def _carried(content: Mapping[str, Any]) -> None:
    for name, text in content["values"].items():
        legal_key("fact", name)
        is_told = name.startswith(OWN_FACTS) and name != CARRYING
        _require(is_told, f"facts of the store itself, {OWN_FACTS}…, without {CARRYING}")
        plain_text(f"fact {name!r}", text, FACT_LIMIT)
        if name in COUNTED_FACTS:  # the store goes on counting
            _require(text.isascii() and text.isdigit() and len(text) < 16, f"a count as {name}")


def _carrying(content: Mapping[str, Any]) -> None:
    plain_text("content", content["content"], CONTENT_LIMIT)
    _require(isinstance(content["before"], str | None), "text or null as before")


def _end(content: Mapping[str, Any]) -> None:
    _require(content["status"] in ENDS, f"a status of {', '.join(ENDS)}")
    plain_text("error", content.get("error", ""), ERROR_LIMIT)
    elapsed_us = content.get("elapsed_us")
    _require(elapsed_us is None or (type(elapsed_us) is int and 0 <= elapsed_us < 1 << 53), "elapsed microseconds")


def _require(holds: bool, wanted: str) -> None:
    if not holds:
        raise ValueError(f"it wants {wanted}")


_CHECKS: dict[str, Callable[[Mapping[str, Any]], None]] = {
    "origin": _origin,
    "created": _created,
    "keys": _keys,
    "params": _params,
    "tags": _tags,
    "facts": _facts,
    "description": _description,
    "lost": _lost,
    "carried": _carried,
    "carrying": _carrying,
    "end": _end,
}
