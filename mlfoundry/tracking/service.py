"""The rules: what identifies what, how a run lives, and which right each verb needs (see `rights`).

Every way to a store goes through here with the name of the caller.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from ..errors import BackendUnavailable, InvalidInput, RunNotFound, shown
from ..log import Log
from ..names import legal_name
from ..records import (
    Acknowledgement,
    ArtifactRecord,
    Batch,
    Collaborator,
    NewRun,
    Permission,
    ProjectRecord,
    RunChanges,
    RunKey,
    RunPage,
    RunQuery,
    RunRecord,
    RunRows,
    Series,
    SeriesQuery,
)
from ..store import attributes, journals, keys, lives, members, projects, runs, search, series
from ..store.artifacts import ArtifactStore
from ..store.database import Database, Transaction
from ..store.projects import Project
from ..values import plain_text, tag_texts
from . import rights
from .attempts import done_again
from .files import RunFiles
from .incoming import Incoming
from .lease import Lease
from .new_runs import NewRuns
from .reading import read_series, require_possible
from .sharing import Sharing

_log = Log("mlfoundry")


class TrackingService:
    """All verbs of tracking over one store; `user` is always the caller.

    Args:
        database: Where rows are kept.
        files: Where the bytes of artifacts are kept.
        knows_user: Tells whether there is a user, for stores that keep users; None lets any name collaborate.
        lease_s: After how long without a word a run is given up, see `lease`; None for never.
        settles: Whether a change survives a power cut once it is answered, at the price of a wait for the disk. With
            one user of the store the journals do without; of batches each says for itself.
        now_us: The clock: microseconds since 1970.

    Attributes:
        files: The verbs about files of runs that only a server needs.
    """

    def __init__(
        self,
        database: Database,
        files: ArtifactStore,
        *,
        knows_user: Callable[[Transaction, str], bool] | None = None,
        lease_s: float | None = None,
        settles: bool = True,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self.database = database
        self._files = files
        self._settles = settles
        self._now_us = now_us
        self.files = RunFiles(database, files, settles=settles, now_us=now_us)
        self._lease = Lease(database, lease_s, now_us)
        self._sharing = Sharing(database, knows_user=knows_user, settles=settles, now_us=now_us)
        self._new_runs = NewRuns(database, settles=settles, now_us=now_us)

    @contextmanager
    def _on_run(self, user: str, run: RunKey, level: Permission) -> Iterator[tuple[Transaction, Project]]:
        """Begin a transaction on a run that the caller may use at this level."""
        rights.run_key(run)
        reads = level is Permission.READ
        with self.database.read() if reads else self.database.write(settle=self._settles, holding=run.project_id) as tx:
            project = rights.require_run(tx, user, run, level)
            yield tx, project

    # -- projects and collaborators --------------------------------------------------------------

    def list_projects(self, user: str) -> list[ProjectRecord]:
        """See `Backend.list_projects`."""

        def read(tx: Transaction) -> tuple[list[int], list[ProjectRecord]]:
            described = (projects.describe(tx, *each) for each in members.projects_of(tx, user))
            found = [project for project in described if project is not None]
            return [project.project_id for project in found if project.running_count], found

        return sorted(
            self._lease.look_through(read),
            key=lambda project: (project.last_run_at or project.created_at, project.name),
            reverse=True,
        )

    def get_project(self, user: str, owner: str | None, name: str) -> ProjectRecord:
        """See `Backend.get_project`."""

        def read(tx: Transaction) -> tuple[int, ProjectRecord | None]:
            project = rights.require_by_name(tx, user, owner, name, Permission.READ)
            permission = members.permission(tx, project.project_id, user)
            assert permission is not None
            return project.project_id, projects.describe(tx, project.project_id, permission)

        record = self._lease.look(read)
        assert record is not None
        return record

    @done_again
    def delete_project(self, user: str, project_id: int) -> None:
        """See `Backend.delete_project`."""
        with self._sharing.alone(user, project_id, Permission.ADMIN) as (tx, _):
            projects.delete(tx, project_id)
        try:
            self._files.drop_project(project_id)
        except BackendUnavailable as error:  # the project is gone; its bytes stand where nobody asks for them
            _log.warning("The files of the deleted project %d are still there: %s", project_id, error)

    def list_keys(self, user: str, project_id: int, kind: str) -> list[str]:
        """See `Backend.list_keys`."""
        if kind not in keys.KINDS:
            raise InvalidInput(f"kind is {shown(kind)}; give one of {', '.join(keys.KINDS)}")
        with self.database.read() as tx:
            rights.require(tx, user, project_id, Permission.READ)
            return keys.names(tx, project_id, kind)

    def permission(self, user: str, project_id: int) -> Permission:
        """Return what a user may do in a project. Raises ProjectNotFound."""
        return self._sharing.permission(user, project_id)

    def get_project_by_id(self, user: str, project_id: int) -> ProjectRecord:
        """Return a project with its counts. Raises ProjectNotFound."""

        def read(tx: Transaction) -> tuple[int, ProjectRecord | None]:
            rights.require(tx, user, project_id, Permission.READ)
            permission = members.permission(tx, project_id, user)
            assert permission is not None
            return project_id, projects.describe(tx, project_id, permission)

        record = self._lease.look(read)
        assert record is not None
        return record

    def count_runs(self, user: str, project_id: int, filter_text: str) -> int:
        """Return how many runs of a project match a filter. Raises InvalidFilter, ProjectNotFound."""

        def read(tx: Transaction) -> tuple[int, int]:
            rights.require(tx, user, project_id, Permission.READ)
            return project_id, search.count(tx, project_id, filter_text)

        return self._lease.look(read)

    def list_collaborators(self, user: str, project_id: int) -> list[Collaborator]:
        """See `Backend.list_collaborators`."""
        return self._sharing.list_collaborators(user, project_id)

    def set_permission(
        self, user: str, project_id: int, other: str, permission: Permission, *, new: bool | None
    ) -> None:
        """See `Backend.set_permission`."""
        self._sharing.set_permission(user, project_id, other, permission, new=new)

    def remove_collaborator(self, user: str, project_id: int, other: str) -> None:
        """See `Backend.remove_collaborator`."""
        self._sharing.remove_collaborator(user, project_id, other)

    # -- runs ------------------------------------------------------------------------------------

    def create_run(self, user: str, new: NewRun) -> RunRecord:
        """See `Backend.create_run`."""
        return self._new_runs.make(user, new)

    def get_run(self, user: str, run_id: str) -> RunRecord:
        """See `Backend.get_run`."""
        rights.run_key(RunKey(0, run_id))

        def read(tx: Transaction) -> tuple[int, RunRecord | None]:
            run = runs.home(tx, run_id)
            if run is None:
                raise rights.no_run(run_id, user)
            project = rights.require_run(tx, user, run, Permission.READ)
            return project.project_id, runs.get(tx, project, run_id)

        record = self._lease.look(read)
        if record is None:
            raise rights.no_run(run_id, user)
        return record

    def get_run_by_name(self, user: str, owner: str | None, project_name: str, run_name: str) -> RunRecord:
        """See `Backend.get_run_by_name`."""
        run_name = legal_name("run name", run_name)

        def read(tx: Transaction) -> tuple[int, RunRecord]:
            project = rights.require_by_name(tx, user, owner, project_name, Permission.READ)
            run = runs.by_name(tx, project.project_id, run_name)
            record = None if run is None else runs.get(tx, project, run.run_id)
            if record is None:
                raise RunNotFound(f"there is no run {run_name!r} in {project.owner}/{project.name}")
            return project.project_id, record

        return self._lease.look(read)

    def search_runs(self, user: str, query: RunQuery) -> RunPage:
        """See `Backend.search_runs`."""

        def read(tx: Transaction) -> tuple[int, RunPage]:
            project = rights.require(tx, user, query.project_id, Permission.READ)
            return project.project_id, search.page(tx, project, query)

        return self._lease.look(read)

    def search_run_rows(self, user: str, query: RunQuery) -> RunRows:
        """Return the page of `search_runs` as a server sends it on. Raises as that."""

        def read(tx: Transaction) -> tuple[int, RunRows]:
            project = rights.require(tx, user, query.project_id, Permission.READ)
            return project.project_id, search.page_of_rows(tx, project, query)

        return self._lease.look(read)

    @done_again
    def update_run(self, user: str, run: RunKey, changes: RunChanges) -> RunRecord:
        """See `Backend.update_run`."""
        with self._on_run(user, run, Permission.WRITE) as (tx, project):
            if changes.tags is not None:
                attributes.set_tags(tx, run, tag_texts(changes.tags))
            if changes.description is not None:
                runs.describe(tx, run, plain_text("description", changes.description))
            if changes.run_name is not None:
                runs.rename(tx, run, legal_name("run name", changes.run_name))
            record = runs.get(tx, project, run.run_id)
        assert record is not None
        return record

    @done_again
    def delete_run(self, user: str, run: RunKey) -> None:
        """See `Backend.delete_run`."""
        with self.database.write(settle=self._settles) as tx:
            rights.require_may_delete(tx, user, rights.run_key(run))
            projects.lock(tx, run.project_id)  # a name is free now: who knew the names must look again
            lives.delete(tx, run, self._now_us())

    @done_again
    def restore_run(self, user: str, run: RunKey) -> RunRecord:
        """See `Backend.restore_run`."""
        with self.database.write(settle=self._settles) as tx:
            project = rights.require_may_delete(tx, user, rights.run_key(run))
            lives.restore(tx, run)
            record = runs.get(tx, project, run.run_id)
        assert record is not None
        return record

    def get_facts(self, user: str, run: RunKey) -> dict[str, str]:
        """See `Backend.get_facts`."""
        with self._on_run(user, run, Permission.READ) as (tx, _):
            return attributes.facts(tx, run)

    @done_again
    def end_unheard(self, user: str, kept: Collection[str]) -> int:
        """See `Backend.end_unheard`."""
        with self.database.read() as tx:
            found = [project_id for project_id, _ in members.projects_of(tx, user)]
            unheard = {project_id: self._lease.unheard(tx, project_id, kept) for project_id in found}
        for project_id, some in unheard.items():
            if some:
                self._lease.end_unheard(project_id, some)
        return sum(map(len, unheard.values()))

    # -- data ------------------------------------------------------------------------------------

    @done_again
    def ingest(self, user: str, batch: Batch) -> Acknowledgement:
        """See `Backend.ingest`."""
        run = rights.run_key(batch.run)
        incoming = Incoming.unpack(batch)
        with self.database.write(settle=batch.settle, holding=run.project_id) as tx:
            rights.require_open(tx, user, run)
            # First of all writes, so that the batches of one run take turns on every engine; and also for what is
            # held already, because only a commit that writes settles.
            if not lives.seen(tx, run, self._now_us()):
                rights.require_open(tx, user, run)  # deleted a moment ago: says so
                raise rights.no_run(run.run_id, user)
            kept: list[str] = []
            if journals.advance(tx, batch):
                kept = incoming.write(tx, run)
                held = batch.stop
            else:
                held = journals.acked(tx, run, batch.journal_id)
        return Acknowledgement(acked=held, settled=held if batch.settle else 0, kept=tuple(kept))

    def acked(self, user: str, run: RunKey, journal_id: int) -> int:
        """See `Backend.acked`."""
        with self._on_run(user, run, Permission.READ) as (tx, _):
            return journals.acked(tx, run, journal_id)

    def read_series(self, user: str, query: SeriesQuery, *, limit: int | None = None) -> list[Series]:
        """See `Backend.read_series`.

        Args:
            user: Who asks.
            query: For what.
            limit: How many points the answer may hold, for who must not take any amount of memory; None for any.

        Raises:
            TooLarge: It would hold more.
        """
        require_possible(query)
        with self._on_run(user, query.run, Permission.READ) as (tx, _):
            return read_series(tx, query, limit)

    def count_points(self, user: str, run: RunKey) -> dict[str, int]:
        """Return how many points each metric of a run has, by name: logged ones, then system metrics."""
        with self._on_run(user, run, Permission.READ) as (tx, _):
            return series.counts(tx, run, system=None)

    # -- files -----------------------------------------------------------------------------------

    def put_artifact(
        self, user: str, run: RunKey, path: str, source: BinaryIO, *, created_at_us: int | None = None
    ) -> ArtifactRecord:
        """See `Backend.put_artifact`."""
        return self.files.put(user, run, path, source, created_at_us=created_at_us)

    def list_artifacts(self, user: str, run: RunKey) -> list[ArtifactRecord]:
        """See `Backend.list_artifacts`."""
        return self.files.list_of(user, run)

    def open_artifact(self, user: str, run: RunKey, path: str) -> BinaryIO:
        """See `Backend.open_artifact`."""
        return self.files.open(user, run, path)
