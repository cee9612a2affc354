"""The backend inside this process: the rules over a store in one folder.

The folder holds ``mlfoundry.db`` (SQLite), ``artifacts/`` and ``journals/``. It belongs to one account of the
machine (0700). The name under which a client works is its own word: who can read the folder can read all.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

from ..errors import BackendUnavailable, ProjectNotFound
from ..folders import make_private, may_be_made
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
    Series,
    SeriesQuery,
)
from ..store.artifacts import ArtifactFolder
from ..store.database import Database
from . import rights
from .own_address import find_address
from .service import TrackingService

DATABASE_NAME = "mlfoundry.db"


class EmbeddedBackend:
    """A `Backend` on a folder of this machine.

    Args:
        root: The folder; made (0700) when something is kept in it first. Who only looks for a project makes nothing.
        user: Under whose name the caller works.
        shares: Another name's backend on the same folder, which owns the connections; None to have one's own.
    """

    def __init__(self, root: Path, user: str, *, shares: EmbeddedBackend | None = None) -> None:
        self.root = root
        self.uri = str(root)
        self.user = self.user_if_known = user
        self._owns_database = shares is None
        self.database: Database = Database(root / DATABASE_NAME) if shares is None else shares.database
        self.artifacts = ArtifactFolder(root / "artifacts")
        self._service = TrackingService(self.database, self.artifacts, settles=False)
        self._made = False

    @property
    def may_forget(self) -> bool:
        """See `Backend`; making a run does not wait for the disk."""
        return True

    @property
    def _rules(self) -> TrackingService:
        if not self._made:
            try:
                make_private(self.root)
            except OSError as error:
                raise BackendUnavailable(
                    f"the store's folder {self.root} cannot be made ({error.strerror or error}). Set MLFOUNDRY_HOME "
                    "to a folder that can be written."
                ) from error
            self._made = True
        return self._service

    @property
    def _is_missing(self) -> bool:
        """Whether there is no store where one could be made; where none could, whoever asks is to hear of that."""
        return not self._made and not self.database.path.exists() and may_be_made(self.root)

    def make(self) -> None:
        """Make the store when there is none, for who shows it while it fills.

        Raises:
            BackendUnavailable: It cannot be made.
        """
        with self._rules.database.write():
            pass

    @property
    def dashboard_address(self) -> str | None:
        """See `Backend`; `mlfoundry ui` serves it."""
        return find_address(self.root)

    def on_behalf_of(self, user: str) -> EmbeddedBackend:
        """See `Backend`; the store is the account's, so is every name in it."""
        return self if user == self.user else EmbeddedBackend(self.root, user, shares=self)

    def create_run(self, new: NewRun) -> RunRecord:
        """See `Backend`."""
        return self._rules.create_run(self.user, new)

    def ingest(self, batch: Batch) -> Acknowledgement:
        """See `Backend`."""
        return self._rules.ingest(self.user, batch)

    def acked(self, run: RunKey, journal_id: int) -> int:
        """See `Backend`."""
        return self._rules.acked(self.user, run, journal_id)

    def list_projects(self) -> list[ProjectRecord]:
        """See `Backend`."""
        return [] if self._is_missing else self._rules.list_projects(self.user)

    def get_project(self, owner: str | None, name: str) -> ProjectRecord:
        """See `Backend`."""
        if self._is_missing:
            raise self._no_project(owner, name)
        return self._rules.get_project(self.user, owner, name)

    def _no_project(self, owner: str | None, name: str) -> ProjectNotFound:
        owner = self.user if owner is None else legal_name("owner", owner)
        return ProjectNotFound(
            f"there is no project {owner}/{legal_name('project name', name)} that {self.user!r} may see: nothing was "
            f"ever kept in {self.root}. Is that the right folder?"
        )

    def delete_project(self, project_id: int) -> None:
        """See `Backend`."""
        self._rules.delete_project(self.user, project_id)

    def list_keys(self, project_id: int, kind: str) -> list[str]:
        """See `Backend`."""
        return self._rules.list_keys(self.user, project_id, kind)

    def get_run(self, run_id: str) -> RunRecord:
        """See `Backend`."""
        if self._is_missing:
            raise rights.no_run(rights.run_key(RunKey(0, run_id)).run_id, self.user)
        return self._rules.get_run(self.user, run_id)

    def get_run_by_name(self, owner: str | None, project_name: str, run_name: str) -> RunRecord:
        """See `Backend`."""
        if self._is_missing:
            raise self._no_project(owner, project_name)
        return self._rules.get_run_by_name(self.user, owner, project_name, run_name)

    def search_runs(self, query: RunQuery) -> RunPage:
        """See `Backend`."""
        return self._rules.search_runs(self.user, query)

    def update_run(self, run: RunKey, changes: RunChanges) -> RunRecord:
        """See `Backend`."""
        return self._rules.update_run(self.user, run, changes)

    def delete_run(self, run: RunKey) -> None:
        """See `Backend`."""
        self._rules.delete_run(self.user, run)

    def restore_run(self, run: RunKey) -> RunRecord:
        """See `Backend`."""
        return self._rules.restore_run(self.user, run)

    def get_facts(self, run: RunKey) -> dict[str, str]:
        """See `Backend`."""
        return self._rules.get_facts(self.user, run)

    def read_series(self, query: SeriesQuery) -> list[Series]:
        """See `Backend`."""
        return self._rules.read_series(self.user, query)

    def list_collaborators(self, project_id: int) -> list[Collaborator]:
        """See `Backend`."""
        return self._rules.list_collaborators(self.user, project_id)

    def set_permission(self, project_id: int, user: str, permission: Permission, *, new: bool | None) -> None:
        """See `Backend`."""
        self._rules.set_permission(self.user, project_id, user, permission, new=new)

    def remove_collaborator(self, project_id: int, user: str) -> None:
        """See `Backend`."""
        self._rules.remove_collaborator(self.user, project_id, user)

    def put_artifact(
        self, run: RunKey, path: str, source: BinaryIO, *, created_at_us: int | None = None
    ) -> ArtifactRecord:
        """See `Backend`."""
        return self._rules.put_artifact(self.user, run, path, source, created_at_us=created_at_us)

    def list_artifacts(self, run: RunKey) -> list[ArtifactRecord]:
        """See `Backend`."""
        return self._rules.list_artifacts(self.user, run)

    def open_artifact(self, run: RunKey, path: str) -> BinaryIO:
        """See `Backend`."""
        return self._rules.open_artifact(self.user, run, path)

    def end_unheard(self, kept: Collection[str]) -> int:
        """See `Backend`."""
        return self._rules.end_unheard(self.user, kept) if self.database.is_made() else 0

    def close(self) -> None:
        """See `Backend`."""
        if self._owns_database:
            self.database.close()
