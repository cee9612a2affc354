"""What was edited since a run was pushed, on either side: what is carried over, and what stays as it is there.

A push leaves with the run, as its fact ``tracker.pushed``, how the run was here. The next push compares with that: what
was changed here alone goes there, what was changed there alone stays, and where both were changed the server's stays
as well and the push says so. Tags are compared one by one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from typing import Any

from ..documents import FACT_LIMIT
from ..json_texts import read_json
from ..records import PUSHED_FACT, RunRecord
from ..store.histories import History

PUSHED = PUSHED_FACT


@dataclass(frozen=True, slots=True)
class Base:
    """How a run was here when it was last pushed whole.

    Attributes:
        number: How many pushes have brought something of it.
        content: Stands for all of it, see `journal.content_of`.
        is_deleted: Whether it was to be deleted there.
        name: Its name.
        description: A hash.
        tags: Name to a hash of the text.
    """

    number: int
    content: str
    is_deleted: bool
    name: str
    description: str
    tags: Mapping[str, str]

    @classmethod
    def of(cls, run: RunRecord, history: History, content: str, *, number: int, is_deleted: bool) -> Base:
        """Return how a run is here now."""
        tags = {name: _hash(text) for name, text in history.tags.items()}
        return cls(number, content, is_deleted, run.run_name, _hash(run.description), tags)

    @classmethod
    def read(cls, facts: Mapping[str, str]) -> Base | None:
        """Return what the last push left with a run there; None when it left nothing that can be read."""
        try:
            told: dict[str, Any] = read_json(facts[PUSHED])
            base = cls(**told)
            kinds = (int, str, bool, str, str, dict)
            is_sound = all(map(isinstance, (getattr(base, name) for name in asdict(base)), kinds))
        except (KeyError, ValueError, TypeError):
            return None
        return base if is_sound else None

    def document(self) -> dict[str, Any]:
        """Return what leaves it with the run."""
        text = json.dumps(asdict(self), sort_keys=True)
        if len(text) > FACT_LIMIT:  # tags without end: those that were changed here then count as changed on both sides
            text = json.dumps(asdict(self) | {"tags": {}}, sort_keys=True)
        return {"kind": "carried", "values": {PUSHED: text}}


@dataclass(frozen=True, slots=True)
class Edits:
    """What a push changes of a run that is there.

    Attributes:
        tags: Name to text; None removes one.
        description: None leaves it.
        name: None leaves it.
        kept: What was changed on both sides, in words.
    """

    tags: dict[str, str | None] = field(default_factory=dict)
    description: str | None = None
    name: str | None = None
    kept: tuple[str, ...] = ()


def edits(base: Base | None, run: RunRecord, history: History, there: RunRecord) -> Edits:
    """Return what to change of a run that is there whole, and what stays though it was changed here as well.

    Args:
        base: How it was here when it was pushed; None when that is not known: then only what is missing there goes.
        run: As it is here.
        history: Its tags here.
        there: As it is there.
    """
    kept = []
    tags: dict[str, str | None] = {}
    for name in sorted({*history.tags, *(base.tags if base else ())}):
        here = history.tags.get(name)
        before = base.tags.get(name) if base else None
        match _fate(_mark(here), before, _mark(there.tags.get(name))):
            case "goes":
                tags[name] = here
            case "stays":
                kept.append(f"the tag {name!r}")
    description = name_there = None
    match _fate(_hash(run.description), base.description if base else _hash(""), _hash(there.description)):
        case "goes":
            description = run.description
        case "stays":
            kept.append("the description")
    if base is not None and run.deleted_at is None and run.run_name not in (base.name, there.run_name):
        if _is_named(there.run_name, base.name):
            name_there = run.run_name
        else:
            kept.append(f"the name ({run.run_name!r} here)")
    return Edits(tags, description, name_there, tuple(kept))


def _fate(here: str | None, before: str | None, there: str | None) -> str:
    if here in (before, there):
        return "same"
    return "goes" if there == before else "stays"


def _is_named(name: str, wish: str) -> bool:
    """Return whether a run has the name that it was to have, or one with a suffix because that was taken."""
    return re.fullmatch(re.escape(wish) + r"(-\d+)?", name) is not None


def _mark(text: str | None) -> str | None:
    return None if text is None else _hash(text)


def _hash(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()
