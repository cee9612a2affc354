"""A whole project on its way: which runs go, which are there, which cannot go, and whether all arrived."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import BinaryIO, TypeVar

from ..documents import CARRYING
from ..errors import BackendUnavailable, InvalidInput, JournalGap, JournalReplaced, NotFound
from ..names import SYSTEM_PREFIX
from ..records import (
    LEAST_POINTS,
    ArtifactRecord,
    NewRun,
    ProjectRecord,
    RunChanges,
    RunKey,
    RunQuery,
    RunRecord,
    RunStatus,
    SeriesQuery,
)
from ..slots import SLOT
from ..store import histories
from ..store.histories import History
from ..tracking.backend import Backend
from ..tracking.embedded import EmbeddedBackend
from ..wire.plain import microseconds
from .edits import Base, Edits, edits
from .journal import Beginning, CarriedJournal, content_of

PAGE = 1000
TRIES = 6

Answer = TypeVar("Answer")
_random = random.Random()  # one's own: the program's random numbers stay as they would be without us


@dataclass(slots=True)
class Pushed:
    """What a push did.

    Attributes:
        owner: Owner of the project there.
        name: Its name there.
        runs: How many runs were carried over, whole or the rest of one that was broken off.
        present: How many were there whole.
        points: How many points were sent.
        files: How many files were sent.
        size_bytes: How much of points and files that is.
        renamed: Name here to name there, of runs whose name was taken.
        kept: (run, what of it), for each that was changed there as well as here since a push: what is there stays.
        left_out: (run, why it did not go), for each that is not there whole.
    """

    owner: str
    name: str
    runs: int = 0
    present: int = 0
    points: int = 0
    files: int = 0
    size_bytes: int = 0
    renamed: dict[str, str] = field(default_factory=dict)
    kept: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)


def size_bytes(source: EmbeddedBackend, project: ProjectRecord) -> int:
    """Return how much a project is: what `push` moves its progress by, in all."""
    with source.database.read() as tx:
        points, files = histories.size(tx, project.project_id)
    return points * SLOT + files


def push(
    source: EmbeddedBackend,
    project: ProjectRecord,
    target: Backend,
    *,
    owner: str | None = None,
    name: str | None = None,
    with_deleted: bool = True,
    unfinished: Callable[[str], str] = lambda _: "",
    progress: Callable[[int], object] = lambda _: None,
) -> Pushed:
    """Carry a project to a server; what is there already is not sent again, what was edited there stays.

    Args:
        source: Where it is.
        project: The project.
        target: Where it goes, as the user to whom it shall belong there.
        owner: Owner of the project there; the target's user when not given. Another's must exist and give WRITE.
        name: Its name there; the same when not given.
        with_deleted: Whether runs that are deleted here go as well, and are deleted there, by each push anew.
        unfinished: Tells, by a run's id, why it must not go yet; empty when it may.
        progress: Told of each stretch of bytes that is done.

    Raises:
        PermissionDenied, ProjectNotFound: Nothing may be made there; runs that went before stay.
        BackendUnavailable: The server cannot be reached, after several tries; what went before stays.
    """
    job = _Push(source, project, target, Pushed(owner or target.user, name or project.name), progress)
    job.look_there()
    if with_deleted:  # first, so that each has its name, and leaves it to the run that took its place
        job.carry("deleted", unfinished)
    job.carry("active", unfinished)
    job.verify()
    return job.told


class _Push:
    def __init__(
        self,
        source: EmbeddedBackend,
        project: ProjectRecord,
        target: Backend,
        told: Pushed,
        progress: Callable[[int], object],
    ) -> None:
        self._source = source
        self._project = project
        self._target = target
        self._progress = progress
        self._there: dict[str, RunRecord] = {}
        self._sent: dict[str, tuple[RunRecord, History, bool]] = {}
        self.told = told

    def look_there(self) -> None:
        """Find out which runs the project has there."""
        try:
            found = _patiently(lambda: self._target.get_project(self.told.owner, self.told.name))
        except NotFound:
            return
        self._there = {run.key.run_id: run for run in _runs(self._target, found.project_id, "all", bare=True)}

    def carry(self, view: str, unfinished: Callable[[str], str]) -> None:
        """Carry the runs of one view over, oldest first; note those that cannot go."""
        for run in _runs(self._source, self._project.project_id, view, bare=True):
            reason = unfinished(run.key.run_id)
            if run.status is RunStatus.RUNNING:
                reason = "it is still running; push again when it has ended"
            if reason:
                self.told.left_out.append((run.run_name, reason))
                continue
            try:
                self._carry(run)
            except (InvalidInput, JournalGap, JournalReplaced) as error:  # about this run alone
                self.told.left_out.append((run.run_name, str(error)))

    def _carry(self, run: RunRecord) -> None:
        """Bring what the server lacks of a run: its texts and points, its files, and last its end."""
        with self._source.database.read() as tx:
            history = histories.read(tx, run.key)
        files = self._source.list_artifacts(run.key)
        content = content_of(run, history, files)
        there = self._there.get(run.key.run_id)
        if there is None:
            there = self._make(run)
            base = Base.of(run, history, content, number=1, is_deleted=run.deleted_at is not None)
            journal = CarriedJournal(self._source.database, run, history, Beginning.after(run, {}, content), base=base)
            with suppress(JournalReplaced):  # by what was on its way of a push that was broken off before it was made
                self._bring(run, history, files, there, journal, 0, Edits(), is_deleted=base.is_deleted)
                return
        if there.deleted_at is not None:
            if run.deleted_at is None:
                raise InvalidInput("it was deleted there; restore it there to have it again")
            self._is_present(history, files)
            return
        self._carry_again(run, history, files, there, content)

    def _carry_again(
        self, run: RunRecord, history: History, files: list[ArtifactRecord], there: RunRecord, content: str
    ) -> None:
        """Bring what changed since the push before, or what one that was broken off has left."""
        facts = self._facts(there)
        base = Base.read(facts)
        if base is not None and base.content == content:
            if run.deleted_at is not None and base.is_deleted:
                _patiently(lambda: self._target.delete_run(there.key))
            self._is_present(history, files)
            return
        was_begun_alike = facts.get(CARRYING, "").endswith(f" {content}")
        beginning = self._begin(run, there, content, facts)
        # From here on nothing arrives of earlier pushes.
        there, base = _patiently(lambda: self._target.get_run(run.key.run_id)), Base.read(self._facts(there))
        is_deleted = run.deleted_at is not None and (_is_unfinished(there) if base is None else base.is_deleted)
        changes = None
        if base is not None or was_begun_alike or not _is_unfinished(there):
            changes = edits(base, run, history, there)
        number = 1 if base is None else base.number + 1
        now = Base.of(run, history, content, number=number, is_deleted=is_deleted)
        held = self._held(there.key, history)
        journal = CarriedJournal(self._source.database, run, history, beginning, base=now, held=held, edits=changes)
        self._bring(run, history, files, there, journal, beginning.stop, changes or Edits(), is_deleted=is_deleted)

    def _begin(self, run: RunRecord, there: RunRecord, content: str, facts: Mapping[str, str]) -> Beginning:
        """Take the place of the push before, so that nothing more of it is taken there.

        Raises:
            JournalReplaced: Others push the run as well, again and again.
        """
        for attempt in range(TRIES):
            beginning = Beginning.after(run, facts, content)
            try:
                _patiently(lambda beginning=beginning: self._target.ingest(beginning.batch(there.key)))  # type: ignore[misc]
            except JournalReplaced:  # what was on its way of the push before has arrived
                if attempt == TRIES - 1:
                    raise
                facts = self._facts(there)
            else:
                break
        return beginning

    def _bring(
        self,
        run: RunRecord,
        history: History,
        files: list[ArtifactRecord],
        there: RunRecord,
        journal: CarriedJournal,
        start: int,
        changes: Edits,
        *,
        is_deleted: bool,
    ) -> None:
        """Send a journal from a slot on, and the files before the end; delete the run there when that is wanted."""
        self._send(journal, there.key, start, journal.end)
        self._send_files(run.key, there.key, files)
        self._rename(there.key, changes.name)
        self._send(journal, there.key, journal.end, journal.stop)
        if is_deleted:
            _patiently(lambda: self._target.delete_run(there.key))
        points = journal.end - journal.first_point
        self.told.runs += 1
        self.told.points += points
        self.told.size_bytes += points * SLOT
        self._sent[run.key.run_id] = (run, history, is_deleted)
        if changes.kept:
            self.told.kept.append((run.run_name, changes.kept))

    def _rename(self, there: RunKey, name: str | None) -> None:
        """Give a run that was renamed here the same name there."""
        if name is not None:
            got = _patiently(lambda: self._target.update_run(there, RunChanges(run_name=name))).run_name
            if got != name:
                self.told.renamed[name] = got

    def _make(self, run: RunRecord) -> RunRecord:
        """Make a run there, under its own id."""
        new = NewRun(
            run_id=run.key.run_id,
            project_name=self.told.name,
            run_name=run.run_name,
            owner=self.told.owner,
            tags={},
            description="",
            started_at_us=microseconds(run.started_at) or 0,
        )
        made = _patiently(lambda: self._target.create_run(new))
        if made.run_name != run.run_name:
            self.told.renamed[run.run_name] = made.run_name
        return made

    def _facts(self, there: RunRecord) -> dict[str, str]:
        return _patiently(lambda: self._target.get_facts(there.key))

    def _held(self, there: RunKey, history: History) -> dict[str, int]:
        """Return how many points of each metric the server has; they are the first that came here.

        Raises:
            InvalidInput: It has more than there are here: somebody else logged to the run there.
        """
        held = {}
        for system in (False, True):
            query = SeriesQuery(there, system=system, max_points=LEAST_POINTS)
            found = _patiently(lambda query=query: self._target.read_series(query))  # type: ignore[misc]
            held.update({series.name: series.count for series in found})
        for name, count in held.items():
            if count > history.counts.get(name, 0):
                raise InvalidInput(
                    f"it has {count:,} points of {name!r} there and {history.counts.get(name, 0):,} here, so that "
                    "something else was logged to it there; nothing was changed"
                )
        return held

    def _send(self, journal: CarriedJournal, there: RunKey, start: int, stop: int) -> None:
        """Send the slots of a stretch; where the server stands elsewhere, as after a broken connection, from there."""
        while start < stop:
            try:
                for batch in journal.batches(there, start, stop):
                    start = _patiently(lambda batch=batch: self._target.ingest(batch)).acked  # type: ignore[misc]
                    self._progress(len(batch.data))
                return
            except JournalGap as gap:
                if gap.expected < journal.begun:
                    raise JournalReplaced from gap
                if gap.expected > stop:
                    raise
                start = gap.expected

    def _send_files(self, here: RunKey, there: RunKey, files: list[ArtifactRecord]) -> None:
        if not files:
            return
        held = {file.path: file.sha256 for file in _patiently(lambda: self._target.list_artifacts(there))}
        for file in files:
            if held.get(file.path) != file.sha256:
                with self._source.open_artifact(here, file.path) as content:
                    stored = _patiently(lambda file=file, content=content: self._put(there, file, content))  # type: ignore[misc]
                if stored.sha256 != file.sha256:
                    raise InvalidInput(f"the bytes of its file {file.path!r} are damaged here; put them back first")
                self.told.files += 1
                self.told.size_bytes += file.size_bytes
            self._progress(file.size_bytes)

    def _put(self, there: RunKey, file: ArtifactRecord, content: BinaryIO) -> ArtifactRecord:
        content.seek(0)
        return self._target.put_artifact(there, file.path, content)

    def _is_present(self, history: History, files: list[ArtifactRecord]) -> None:
        self.told.present += 1
        self._progress(sum(history.counts.values()) * SLOT + sum(file.size_bytes for file in files))

    def verify(self) -> None:
        """Look at what was sent as the server has it now; what is not as it is here counts as left out."""
        if not self._sent:
            return
        found = _patiently(lambda: self._target.get_project(self.told.owner, self.told.name))
        for there in _runs(self._target, found.project_id, "all", bare=False):
            if there.key.run_id not in self._sent:
                continue
            run, history, is_deleted = self._sent.pop(there.key.run_id)
            counts = {name: count for name, count in history.counts.items() if not name.startswith(SYSTEM_PREFIX)}
            is_same = (
                (there.status, there.started_at, there.ended_at) == (run.status, run.started_at, run.ended_at)
                and (there.deleted_at is not None) is is_deleted
                and {name: metric.count for name, metric in there.metrics.items()} == counts
            )
            if not is_same:
                self._take_back(run, "it is not the same there as here; somebody else changed it meanwhile")
        for run, _, _ in self._sent.values():
            self._take_back(run, "it was sent and is not there any more")

    def _take_back(self, run: RunRecord, reason: str) -> None:
        self.told.runs -= 1
        self.told.left_out.append((run.run_name, reason))


def _is_unfinished(there: RunRecord) -> bool:
    """Return whether a run has no end there yet; the server may have given up a push that was broken off long ago."""
    return there.status is RunStatus.RUNNING or there.is_lost


def _runs(backend: Backend, project_id: int, view: str, *, bare: bool) -> Iterator[RunRecord]:
    """Yield the runs of a project, oldest first, page by page; bare ones without params, tags and metrics."""
    none = ()
    cursor = None
    while True:
        query = RunQuery(
            project_id,
            order_by=("started_at",),
            limit=PAGE,
            cursor=cursor,
            view=view,
            params=none,
            tags=none,
            metrics=none if bare else None,
        )
        page = _patiently(lambda query=query: backend.search_runs(query))  # type: ignore[misc]
        yield from page.runs
        cursor = page.next_cursor
        if cursor is None:
            return


def _patiently(ask: Callable[[], Answer]) -> Answer:
    """Ask again while the server cannot answer, for about a minute in all."""
    for attempt in range(TRIES - 1):
        try:
            return ask()
        except BackendUnavailable as error:
            time.sleep(error.retry_after_s or 2**attempt * _random.uniform(0.5, 1.0))
    return ask()
