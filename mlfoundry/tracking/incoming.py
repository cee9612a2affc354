"""What a batch of a journal holds, and what it does to its run.

It is unpacked before a transaction begins, which then only writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from .. import documents, slots
from ..documents import Refused
from ..errors import InvalidInput, JournalReplaced
from ..names import legal_key
from ..records import Batch, RunKey, RunStatus
from ..store import attributes, journals, keys, lives, runs
from ..store.database import Transaction
from ..values import in_calendar

if TYPE_CHECKING:
    from ..store.chunks import Points


@dataclass(frozen=True, slots=True)
class Incoming:
    """The sound part of a batch, and how much of it is not.

    Attributes:
        columns: Points by the name of their metric.
        documents: What is not points, in the order of the journal.
        damaged: How many records could not be read, or name nothing.
        strange: How many points cannot be kept: of an illegal name or a time outside of the calendar.
        refused: Why documents are not taken.
        journal_id: Of the journal that it is of.
    """

    columns: Mapping[str, Points]
    documents: Sequence[slots.Document]
    damaged: int
    strange: int
    refused: Sequence[Refused]
    journal_id: int

    @classmethod
    def unpack(cls, batch: Batch) -> Incoming:
        """Return what a batch holds.

        Raises:
            InvalidInput: It has not the bytes that it says.
        """
        from ..store import points

        whole = 0 <= batch.start <= batch.stop and len(batch.data) == slots.SLOT * (batch.stop - batch.start)
        if not whole or not 0 <= batch.journal_id < 1 << 63:
            raise InvalidInput(
                f"a batch of slots {batch.start} to {batch.stop} holds {len(batch.data)} bytes; it must hold 32 a slot"
            )
        decoded = slots.decode(batch.data, journal_id=batch.journal_id, first=batch.start, is_written=True)
        names = dict(batch.names)
        sound, refused = documents.sort_out(decoded.documents)
        for document in sound:
            names.update(documents.names_of(document))
        columns, nameless = points.columns(decoded.rows, names)
        columns, strange = _sound_points(columns)
        damaged = sum(count for _, count in decoded.damage) + nameless
        return cls(columns, sound, damaged, strange, refused, batch.journal_id)

    def write(self, tx: Transaction, run: RunKey) -> list[str]:
        """Give it all to a run; return the names of params that it has with another value, which it keeps.

        Raises:
            JournalReplaced: It belongs to a push that another has taken the place of.
        """
        from ..store import points

        points.write(tx, run, self.columns)
        _note_names(tx, run, self.documents)
        kept = [name for document in self.documents for name in _apply(tx, run, document, self.journal_id)]
        if kept:
            attributes.count_fact(tx, run, "tracker.params_kept", len(kept))
        if self.damaged:
            attributes.count_fact(tx, run, "tracker.damaged_records", self.damaged)
        if self.refused or self.strange:
            attributes.count_fact(tx, run, "tracker.refused_records", len(self.refused) + self.strange)
        if self.refused:
            text = documents.refusals(attributes.facts(tx, run).get("tracker.refused", ""), self.refused)
            attributes.set_tags(tx, run, {"tracker.refused": text}, kind="fact")
        return kept


def _apply(tx: Transaction, run: RunKey, document: slots.Document, journal_id: int) -> list[str]:
    """Give a document to a run; return the names of params that keep the value that they had."""
    content = document.content
    match content["kind"]:
        case "params":
            params = {name: (type_, text) for name, (type_, text) in content["values"].items()}
            return attributes.set_params(tx, run, params)
        case "tags":
            attributes.set_tags(tx, run, content["values"])
        case "facts" | "carried":
            attributes.set_tags(tx, run, content["values"], kind="fact")
        case "carrying":
            _replace(tx, run, journal_id, content)
        case "description":
            runs.describe(tx, run, content["text"])
        case "lost":
            attributes.count_fact(tx, run, "tracker.lost_records", content["count"])
        case "end":
            lives.end(
                tx,
                run,
                RunStatus(content["status"]),
                error=content.get("error", ""),
                at_us=document.at_us,
                elapsed_us=content.get("elapsed_us"),
            )
    return []


def _replace(tx: Transaction, run: RunKey, journal_id: int, content: Mapping[str, Any]) -> None:
    """Let the journal of a push take the place of that of the push before, which is forgotten.

    So what is still on its way of a push that was broken off finds nothing to go on from, and its beginning finds
    another in its place: it cannot bring once more what the new push brings.

    Raises:
        JournalReplaced: Another push has begun since this one looked.
    """
    held = attributes.facts(tx, run).get(documents.CARRYING)
    if held != content["before"]:
        raise JournalReplaced
    if held is not None:
        journals.forget(tx, run, int(held[:16], 16))
    attributes.set_tags(tx, run, {documents.CARRYING: f"{journal_id:016x} {content['content']}"}, kind="fact")


def _sound_points(columns: Mapping[str, Points]) -> tuple[dict[str, Points], int]:
    """Return the columns without points that cannot be kept, and how many those are."""
    import numpy as np

    sound, refused = dict(columns), 0
    all_times = np.concatenate([times for _, times, _ in columns.values()]) if columns else None
    are_in_calendar = all_times is None or (in_calendar(int(all_times.min())) and in_calendar(int(all_times.max())))
    for name, (steps, times, values) in columns.items():
        try:
            _check_key(name)
        except InvalidInput:
            refused += len(sound.pop(name)[0])
            continue
        if not are_in_calendar:
            fits = [in_calendar(at_us) for at_us in times.tolist()]
            sound[name] = (steps[fits], times[fits], values[fits])
            refused += fits.count(False)
    return sound, refused


def _note_names(tx: Transaction, run: RunKey, sound: Sequence[slots.Document]) -> None:
    """Remember the names of all documents in one order: runs that bring the same names do not wait for each other."""
    for kind in ("param", "tag"):
        told = [each.content["values"] for each in sound if each.content["kind"] == f"{kind}s"]
        if names := {name for values in told for name in values}:
            keys.note(tx, run, kind, names)


@lru_cache(maxsize=10_000)
def _check_key(name: str) -> None:
    legal_key("metric key", name)
