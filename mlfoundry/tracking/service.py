"""The rules: who may do what, what identifies what, and how a run lives.

Every way to a store goes through here with the name of the caller; nothing else decides on rights.
A project that one may not READ does not exist: the error is that of a missing one. A member who
lacks a level is told which one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, BinaryIO

from .. import documents, slots
from ..errors import (
    ArtifactNotFound,
    CollaboratorNotFound,
    InvalidInput,
    JournalUnreadable,
    LastAdmin,
    PermissionDenied,
    ProjectNotFound,
    RunDeleted,
    RunNotFound,
    shown,
)
from ..names import legal_key, legal_name, legal_path
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
    RunStatus,
    Series,
    SeriesQuery,
)
from ..store import artifacts, journals, keys, members, projects, runs, search, series
from ..store.artifacts import ArtifactFolder
from ..store.database import Database, Transaction
from ..store.projects import Project
from ..values import in_calendar, plain_text, tag_texts, utc

if TYPE_CHECKING:
    from ..store.chunks import Points

LEAST_POINTS = 4  # first, last, least and greatest


class TrackingService:
    """All verbs of tracking over one store; `user` is always the caller.

    Args:
        database: Where rows are kept.
        folder: Where the bytes of artifacts are kept.
        now_us: The clock: microseconds since 1970.
    """

    def __init__(
        self,
        database: Database,
        folder: ArtifactFolder,
        *,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self.database = database
        self._folder = folder
        self._now_us = now_us

    # -- rights ----------------------------------------------------------------------------------

    def _require(self, tx: Transaction, user: str, project_id: int, level: Permission) -> Project:
        exists = 0 <= project_id < 1 << 63
        permission = members.permission(tx, project_id, user) if exists else None
        project = projects.get(tx, project_id) if permission is not None else None
        if project is None or permission is None:
            raise ProjectNotFound(f"there is no project with the id {project_id} that {user!r} may see")
        _check_level(user, project, permission, level)
        return project

    def _find_project(self, tx: Transaction, user: str, owner: str | None, name: str, level: Permission) -> Project:
        owner = user if owner is None else legal_name("owner", owner)
        name = legal_name("project name", name)
        project_id = projects.find(tx, owner, name)
        permission = None if project_id is None else members.permission(tx, project_id, user)
        project = None if project_id is None else projects.get(tx, project_id)
        if project is None or permission is None:
            whose = "" if owner == user else f" Is the owner right? {user!r} sees only projects shared with {user!r}."
            raise ProjectNotFound(f"there is no project {owner}/{name} that {user!r} may see.{whose}")
        _check_level(user, project, permission, level)
        return project

    @contextmanager
    def _on_run(self, user: str, run: RunKey, level: Permission) -> Iterator[tuple[Transaction, Project]]:
        """Begin a transaction on a run that the caller may use at this level."""
        _run_key(run)
        begin = self.database.read if level is Permission.READ else self.database.write
        with begin() as tx:
            project = self._run_project(tx, user, run, level)
            yield tx, project

    def _run_project(self, tx: Transaction, user: str, run: RunKey, level: Permission) -> Project:
        try:
            project = self._require(tx, user, run.project_id, level)
        except ProjectNotFound:
            raise _no_run(run.run_id, user) from None
        if runs.is_open(tx, run) is None:
            raise _no_run(run.run_id, user)
        return project

    # -- projects and collaborators --------------------------------------------------------------

    def list_projects(self, user: str) -> list[ProjectRecord]:
        """See `Backend.list_projects`."""
        with self.database.read() as tx:
            found = [projects.describe(tx, *each) for each in members.projects_of(tx, user)]
        return sorted(
            (project for project in found if project is not None),
            key=lambda project: (project.last_run_at or project.created_at, project.name),
            reverse=True,
        )

    def get_project(self, user: str, owner: str | None, name: str) -> ProjectRecord:
        """See `Backend.get_project`."""
        with self.database.read() as tx:
            project = self._find_project(tx, user, owner, name, Permission.READ)
            permission = members.permission(tx, project.project_id, user)
            assert permission is not None
            record = projects.describe(tx, project.project_id, permission)
        assert record is not None
        return record

    def delete_project(self, user: str, project_id: int) -> None:
        """See `Backend.delete_project`."""
        with self.database.write() as tx:
            self._require(tx, user, project_id, Permission.ADMIN)
            projects.delete(tx, project_id)
        self._folder.drop_project(project_id)

    def list_keys(self, user: str, project_id: int, kind: str) -> list[str]:
        """See `Backend.list_keys`."""
        if kind not in keys.KINDS:
            raise InvalidInput(f"kind is {shown(kind)}; give one of {', '.join(keys.KINDS)}")
        with self.database.read() as tx:
            self._require(tx, user, project_id, Permission.READ)
            return keys.names(tx, project_id, kind)

    def list_collaborators(self, user: str, project_id: int) -> list[Collaborator]:
        """See `Backend.list_collaborators`."""
        with self.database.read() as tx:
            project = self._require(tx, user, project_id, Permission.READ)
            return members.all_of(tx, project_id, owner=project.owner)

    def set_permission(
        self, user: str, project_id: int, other: str, permission: Permission, *, new: bool | None
    ) -> None:
        """See `Backend.set_permission`."""
        other = legal_name("user name", other)
        with self.database.write() as tx:
            project = self._require(tx, user, project_id, Permission.ADMIN)
            held = members.permission(tx, project_id, other)
            if other == project.owner and permission is not Permission.ADMIN:
                raise _owner_stays(project)
            if new is True and held is not None:
                raise InvalidInput(
                    f"{other!r} is a collaborator of {project.owner}/{project.name} already, with {held.name}. "
                    "Use set_permission to change that."
                )
            if new is False and held is None:
                raise _no_collaborator(project, other)
            members.put(tx, project_id, other, permission, self._now_us())

    def remove_collaborator(self, user: str, project_id: int, other: str) -> None:
        """See `Backend.remove_collaborator`."""
        other = legal_name("user name", other)
        with self.database.write() as tx:
            level = Permission.READ if other == user else Permission.ADMIN
            project = self._require(tx, user, project_id, level)
            if other == project.owner:
                raise _owner_stays(project)
            if not members.remove(tx, project_id, other):
                raise _no_collaborator(project, other)

    # -- runs ------------------------------------------------------------------------------------

    def create_run(self, user: str, new: NewRun) -> RunRecord:
        """See `Backend.create_run`."""
        name = legal_name("run name", new.run_name)
        project_name = legal_name("project name", new.project_name)
        owner = user if new.owner is None else legal_name("owner", new.owner)
        if len(new.run_id) != 32 or any(c not in "0123456789abcdef" for c in new.run_id):
            raise InvalidInput(f"{shown(new.run_id)} is no id of a run: it has 32 hex digits (0-9, a-f)")
        tags = {name: text for name, text in tag_texts(new.tags).items() if text is not None}
        plain_text("description", new.description)
        if not in_calendar(new.started_at_us):
            raise InvalidInput(f"started_at_us is {new.started_at_us}, outside of the years 1 to 9999")
        with self.database.write() as tx:
            if owner == user:
                project_id = projects.make(tx, owner, project_name, self._now_us())
                project = self._require(tx, user, project_id, Permission.WRITE)
            else:
                project = self._find_project(tx, user, owner, project_name, Permission.WRITE)
            existing = runs.home(tx, new.run_id)
            if existing is not None and existing.project_id != project.project_id:
                raise InvalidInput(f"run id {new.run_id} is taken by a run of another project")
            new = replace(new, run_name=name, tags=tags)
            runs.make(tx, project.project_id, new, user, self._now_us())
            record = runs.get(tx, project, new.run_id)
        assert record is not None
        return record

    def find_run(self, user: str, run_id: str) -> RunRecord:
        """See `Backend.find_run`."""
        _run_id(run_id)
        with self.database.read() as tx:
            run = runs.home(tx, run_id)
            if run is None:
                raise _no_run(run_id, user)
            project = self._run_project(tx, user, run, Permission.READ)
            record = runs.get(tx, project, run_id)
        if record is None:
            raise _no_run(run_id, user)
        return record

    def get_run_by_name(self, user: str, owner: str | None, project_name: str, run_name: str) -> RunRecord:
        """See `Backend.get_run_by_name`."""
        run_name = legal_name("run name", run_name)
        with self.database.read() as tx:
            project = self._find_project(tx, user, owner, project_name, Permission.READ)
            run = runs.by_name(tx, project.project_id, run_name)
            record = None if run is None else runs.get(tx, project, run.run_id)
        if record is None:
            raise RunNotFound(f"there is no run {run_name!r} in {project.owner}/{project.name}")
        return record

    def search_runs(self, user: str, query: RunQuery) -> RunPage:
        """See `Backend.search_runs`."""
        with self.database.read() as tx:
            project = self._require(tx, user, query.project_id, Permission.READ)
            return search.page(tx, project, query)

    def update_run(self, user: str, run: RunKey, changes: RunChanges) -> RunRecord:
        """See `Backend.update_run`."""
        with self._on_run(user, run, Permission.WRITE) as (tx, project):
            if changes.tags is not None:
                runs.set_tags(tx, run, tag_texts(changes.tags))
            if changes.description is not None:
                runs.describe(tx, run, plain_text("description", changes.description))
            if changes.run_name is not None:
                runs.rename(tx, run, legal_name("run name", changes.run_name))
            record = runs.get(tx, project, run.run_id)
        assert record is not None
        return record

    def delete_run(self, user: str, run: RunKey) -> None:
        """See `Backend.delete_run`."""
        with self.database.write() as tx:
            self._require_may_delete(tx, user, run)
            runs.delete(tx, run, self._now_us())

    def restore_run(self, user: str, run: RunKey) -> RunRecord:
        """See `Backend.restore_run`."""
        with self.database.write() as tx:
            project = self._require_may_delete(tx, user, run)
            runs.restore(tx, run)
            record = runs.get(tx, project, run.run_id)
        assert record is not None
        return record

    def _require_may_delete(self, tx: Transaction, user: str, run: RunKey) -> Project:
        """ADMIN deletes and restores any run; WRITE the caller's own."""
        project = self._run_project(tx, user, _run_key(run), Permission.READ)
        record = runs.get(tx, project, run.run_id)
        is_own = record is not None and record.created_by == user
        return self._require(tx, user, run.project_id, Permission.WRITE if is_own else Permission.ADMIN)

    def get_facts(self, user: str, run: RunKey) -> dict[str, str]:
        """See `Backend.get_facts`."""
        with self._on_run(user, run, Permission.READ) as (tx, _):
            return runs.facts(tx, run)

    # -- data ------------------------------------------------------------------------------------

    def ingest(self, user: str, batch: Batch) -> Acknowledgement:
        """See `Backend.ingest`."""
        from ..store import points

        run = _run_key(batch.run)
        whole = 0 <= batch.start <= batch.stop and len(batch.data) == slots.SLOT * (batch.stop - batch.start)
        if not whole or not 0 <= batch.journal_id < 1 << 63:
            raise InvalidInput(
                f"a batch of slots {batch.start} to {batch.stop} holds {len(batch.data)} bytes; it must hold 32 a slot"
            )
        decoded = slots.decode(batch.data, journal_id=batch.journal_id, first=batch.start, is_written=True)
        names = dict(batch.names)
        for document in decoded.documents:
            documents.check(document)
            names.update(documents.names_of(document))
        columns, nameless = points.columns(decoded.rows, names)
        _check_points(columns)
        with self.database.write(settle=batch.settle) as tx:
            self._require_open(tx, user, run)
            # First of all writes, so that the batches of one run take turns on every engine; and also for what is
            # held already, because only a commit that writes settles.
            runs.seen(tx, run, self._now_us())
            if journals.advance(tx, batch):
                points.write(tx, run, columns)
                for document in decoded.documents:
                    self._apply(tx, run, document)
                damaged = sum(count for _, count in decoded.damage) + nameless
                if damaged:
                    runs.count_fact(tx, run, "tracker.damaged_records", damaged)
            held = journals.acked(tx, run, batch.journal_id)
        return Acknowledgement(acked=held, settled=held if batch.settle else 0)

    def _require_open(self, tx: Transaction, user: str, run: RunKey) -> None:
        project = self._run_project(tx, user, run, Permission.WRITE)
        if not runs.is_open(tx, run):
            raise RunDeleted(
                f"run {run.run_id} of {project.owner}/{project.name} was deleted; what is logged to it is not "
                "stored. Restore the run, or end it here."
            )

    def _apply(self, tx: Transaction, run: RunKey, document: slots.Document) -> None:
        content = document.content
        match content["kind"]:
            case "params":
                params = {name: (type_, text) for name, (type_, text) in content["values"].items()}
                if kept := runs.set_params(tx, run, params):
                    runs.count_fact(tx, run, "tracker.params_kept", len(kept))
            case "tags":
                runs.set_tags(tx, run, content["values"])
            case "facts":
                runs.set_tags(tx, run, content["values"], kind="fact")
            case "description":
                runs.describe(tx, run, content["text"])
            case "lost":
                runs.count_fact(tx, run, "tracker.lost_records", content["count"])
            case "end":
                runs.end(
                    tx,
                    run,
                    RunStatus(content["status"]),
                    error=content.get("error", ""),
                    at_us=document.at_us,
                    elapsed_us=content.get("elapsed_us"),
                )

    def acked(self, user: str, run: RunKey, journal_id: int) -> int:
        """See `Backend.acked`."""
        with self._on_run(user, run, Permission.READ) as (tx, _):
            return journals.acked(tx, run, journal_id)

    def read_series(self, user: str, query: SeriesQuery) -> list[Series]:
        """See `Backend.read_series`."""
        from ..store import points

        if query.max_points is not None and query.max_points < LEAST_POINTS:
            raise InvalidInput(
                f"max_points is {query.max_points}; give at least {LEAST_POINTS}, or None for all points"
            )
        with self._on_run(user, query.run, Permission.READ) as (tx, _):
            names = query.names
            if names is None:
                names = tuple(series.summaries(tx, query.run, system=query.system))
            return [
                points.read(tx, query.run, name, max_points=query.max_points, since=query.since.get(name, 0))
                for name in names
            ]

    # -- artifacts -------------------------------------------------------------------------------

    def put_artifact(self, user: str, run: RunKey, path: str, source: BinaryIO) -> ArtifactRecord:
        """See `Backend.put_artifact`."""
        path = legal_path(path)
        with self.database.read() as tx:  # before the bytes are taken
            self._require_open(tx, user, run)
        sha256, size = self._folder.put(run.project_id, source)
        now_us = self._now_us()
        record = ArtifactRecord(path, size, sha256, utc(now_us))
        with self.database.write() as tx:
            self._require_open(tx, user, run)
            artifacts.record(tx, run, record, now_us)
        return record

    def list_artifacts(self, user: str, run: RunKey) -> list[ArtifactRecord]:
        """See `Backend.list_artifacts`."""
        with self._on_run(user, run, Permission.READ) as (tx, _):
            return artifacts.all_of(tx, run)

    def open_artifact(self, user: str, run: RunKey, path: str) -> BinaryIO:
        """See `Backend.open_artifact`."""
        with self._on_run(user, run, Permission.READ) as (tx, _):
            record = artifacts.find(tx, run, legal_path(path))
        if record is None:
            raise ArtifactNotFound(f"run {run.run_id} has no artifact {path!r}; list_artifacts() shows those it has")
        return self._folder.open(run.project_id, record.sha256)


def _check_points(columns: Mapping[str, Points]) -> None:
    try:
        for name, (_, times, _) in columns.items():
            _check_key(name)
            if not (in_calendar(int(times.min())) and in_calendar(int(times.max()))):
                raise InvalidInput(f"metric {name!r} has a time outside of the years 1 to 9999")
    except InvalidInput as error:
        raise JournalUnreadable(f"the journal holds points that cannot be kept: {error}") from error


@lru_cache(maxsize=10_000)
def _check_key(name: str) -> None:
    legal_key("metric key", name)


def _run_key(run: RunKey) -> RunKey:
    """Return a run's key when it can be one.

    Raises:
        RunNotFound: It cannot, so there is no such run.
    """
    if not 0 <= run.project_id < 1 << 63:
        raise RunNotFound(f"there is no run {run.run_id!r} in a project {run.project_id}")
    return RunKey(run.project_id, _run_id(run.run_id))


def _run_id(run_id: str) -> str:
    if len(run_id) != 32 or any(c not in "0123456789abcdef" for c in run_id):
        raise RunNotFound(f"there is no run {shown(run_id)}: a run's id has 32 hex digits (0-9, a-f)")
    return run_id


def _check_level(user: str, project: Project, held: Permission, needed: Permission) -> None:
    if held < needed:
        raise PermissionDenied(
            f"{user!r} has {held.name} on {project.owner}/{project.name}; this needs {needed.name}. "
            f"Ask {project.owner!r} or another ADMIN of the project for it."
        )


def _no_run(run_id: str, user: str) -> RunNotFound:
    return RunNotFound(f"there is no run {run_id} that {user!r} may see")


def _no_collaborator(project: Project, user: str) -> CollaboratorNotFound:
    return CollaboratorNotFound(
        f"{user!r} is no collaborator of {project.owner}/{project.name}. Use add_collaborator to add them."
    )


def _owner_stays(project: Project) -> LastAdmin:
    return LastAdmin(
        f"{project.owner!r} owns {project.owner}/{project.name} and always has ADMIN; that cannot be taken away"
    )
