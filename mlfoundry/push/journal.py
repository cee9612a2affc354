"""The journal that a stored run becomes on its way to a server: its slots, made as they are sent."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from .. import slots
from ..documents import CARRYING, OWN_FACTS
from ..records import ArtifactRecord, Batch, RunKey, RunRecord
from ..store import histories
from ..store.database import Database
from ..store.histories import History
from ..wire.plain import microseconds
from .edits import PUSHED, Base, Edits

BATCH_SLOTS = 32 * 1024
DOCUMENT_CHARACTERS = 128 * 1024


@dataclass(frozen=True, slots=True)
class Beginning:
    """How the journal of a push begins: with what lets it take the place of the push before.

    Attributes:
        journal_id: 63 random bits.
        document: Says which push it takes the place of.
        at_us: When the run began.
    """

    journal_id: int
    document: Mapping[str, Any]
    at_us: int

    @classmethod
    def after(cls, run: RunRecord, facts: Mapping[str, str], content: str) -> Beginning:
        """Return the beginning of a push of all that `content` stands for, where a run has these facts."""
        document = {"kind": "carrying", "before": facts.get(CARRYING), "content": content}
        return cls(secrets.randbits(63), document, _start_and_end(run)[0])

    @property
    def stop(self) -> int:
        """The slot after it."""
        return _slots_of(self.document)

    def batch(self, run: RunKey) -> Batch:
        """Return the batch that brings it alone."""
        data = slots.document(self.document, self.at_us, slots.seed(self.journal_id))
        return Batch(run, self.journal_id, 0, self.stop, data, {})


class CarriedJournal:
    """What is kept of a run, as slots: first what it was told, then the points of one metric after another, its end.

    Args:
        database: Where the run lies.
        run: The run.
        history: What is kept of it.
        beginning: Of this journal.
        base: What is left with the run there, for the next push to compare with; in one batch with the end of the run.
        held: Metric to the number of its points that are there already and are left out.
        edits: Which tags and description go, when the run is there; all of them when not given.

    Attributes:
        journal_id: Names it.
        names: Key numbers to metrics.
        begun: Slot after the beginning.
        first_point: Slot of the first point.
        end: Slot of the record that ends the run; everything before it comes first.
        stop: Slot after the last one.
    """

    def __init__(
        self,
        database: Database,
        run: RunRecord,
        history: History,
        beginning: Beginning,
        *,
        base: Base,
        held: Mapping[str, int] | None = None,
        edits: Edits | None = None,
    ) -> None:
        self._database = database
        self._run = run.key
        held = held or {}
        self._documents = [beginning.document, *_documents(run, history, edits)]
        self._ends = [_end(run), base.document()]
        self._series = [
            (name, held.get(name, 0), count) for name, count in history.counts.items() if count > held.get(name, 0)
        ]
        self.names = {number: (name,) for number, (name, _, _) in enumerate(self._series, 1)}
        self.journal_id, self.begun = beginning.journal_id, beginning.stop
        self._at_us, self._ended_at_us = _start_and_end(run)
        self.first_point = sum(map(_slots_of, self._documents))
        self.end = self.first_point + sum(stop - first for _, first, stop in self._series)
        self.stop = self.end + sum(map(_slots_of, self._ends))

    def batches(self, run: RunKey, start: int, stop: int) -> Iterator[Batch]:
        """Yield the slots from `start` to before `stop`, each of which begins a record, as batches for a run there."""
        waiting, at = [], start
        for part in self._parts(start, stop):
            waiting.append(part)
            if sum(map(len, waiting)) >= BATCH_SLOTS * slots.SLOT:
                yield self._batch(run, at, b"".join(waiting))
                at += sum(map(len, waiting)) // slots.SLOT
                waiting = []
        if waiting:
            yield self._batch(run, at, b"".join(waiting))

    def _batch(self, run: RunKey, start: int, data: bytes) -> Batch:
        stop = start + len(data) // slots.SLOT
        return Batch(run, self.journal_id, start, stop, data, self.names, settle=stop >= self.end)

    def _parts(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes of records, at most a batch of them at once."""
        at, seed = 0, slots.seed(self.journal_id)
        for content in self._documents:
            if start <= at < stop:
                yield slots.document(content, self._at_us, seed + at)
            at += _slots_of(content)
        for number, (name, first, last) in enumerate(self._series, 1):
            begin, end = max(start, at), min(stop, at + last - first)
            for place in range(begin, end, BATCH_SLOTS):
                until = min(end, place + BATCH_SLOTS)
                with self._database.read() as tx:
                    points = histories.arrived(tx, self._run, name, first + place - at, first + until - at)
                yield slots.points(number, *points, seed + place)
            at += last - first
        for content in self._ends:
            if start <= at < stop:
                yield slots.document(content, self._ended_at_us, seed + at)
            at += _slots_of(content)


def content_of(run: RunRecord, history: History, files: Iterable[ArtifactRecord]) -> str:
    """Return what stands for all of a run, as a push would bring it: as long as it is the same, nothing was changed."""
    content = [run.run_name, list(_documents(run, history, None)), _end(run), history.counts]
    content.append([[file.path, file.sha256] for file in files])
    return blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=8).hexdigest()


def _slots_of(content: Mapping[str, Any]) -> int:
    return len(slots.document(content, 0, 0)) // slots.SLOT


def _documents(run: RunRecord, history: History, edits: Edits | None) -> Iterator[dict[str, Any]]:
    """Yield what a run was told, in documents of a bounded size; of tags and description what is to be changed."""
    tags: Mapping[str, str | None] = history.tags if edits is None else edits.tags
    description = (run.description or None) if edits is None else edits.description
    for values in _portions({name: list(typed) for name, typed in history.params.items()}):
        yield {"kind": "params", "values": values}
    for values in _portions(tags):
        yield {"kind": "tags", "values": values}
    facts = {name: text for name, text in history.facts.items() if name not in (PUSHED, CARRYING)}
    own = {name: text for name, text in facts.items() if name.startswith(OWN_FACTS)}
    for values in _portions({name: text for name, text in facts.items() if name not in own}):
        yield {"kind": "facts", "values": values}
    for values in _portions(own):
        yield {"kind": "carried", "values": values}
    if description is not None:
        yield {"kind": "description", "text": description}


def _end(run: RunRecord) -> dict[str, Any]:
    started_at_us, ended_at_us = _start_and_end(run)
    elapsed_us = ended_at_us - started_at_us
    return {"kind": "end", "status": run.status.value, "error": run.error, "elapsed_us": elapsed_us}


def _start_and_end(run: RunRecord) -> tuple[int, int]:
    started_at_us = microseconds(run.started_at) or 0
    ended_at_us = microseconds(run.ended_at)
    return started_at_us, started_at_us if ended_at_us is None else ended_at_us


def _portions(values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a mapping in parts, none of which is large for the sake of several values."""
    part: dict[str, Any] = {}
    size = 0
    for name, value in values.items():
        length = len(name) + len((value if isinstance(value, str) else value[1]) if value is not None else "")
        if part and size + length > DOCUMENT_CHARACTERS:
            yield part
            part, size = {}, 0
        part[name] = value
        size += length
    if part:
        yield part
