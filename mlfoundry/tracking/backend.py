"""The one protocol between a client and wherever runs are kept.

`embedded` keeps them in this process, on SQLite; `http` asks a server. Every verb may raise `BackendUnavailable`;
the other errors are said at each. All verbs may be called from several threads.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import BinaryIO, Protocol

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


class Backend(Protocol):
    """Where runs are kept, as one user sees it."""

    uri: str

    @property
    def may_forget(self) -> bool:
        """Whether a power cut can undo the making of a run that was answered; until its first batch is settled."""

    @property
    def user(self) -> str:
        """The caller's name."""

    @property
    def user_if_known(self) -> str | None:
        """The caller's name when it can be told without asking; None otherwise."""

    @property
    def dashboard_address(self) -> str | None:
        """Where the dashboard of this store answers, without a slash at its end; None while nothing serves it."""

    def on_behalf_of(self, user: str) -> Backend:
        """Return the backend for what a process of this account left under another name, or itself.

        Raises:
            NotAuthenticated: It takes that user's own key.
        """

    def create_run(self, new: NewRun) -> RunRecord:
        """Make a run, and its project under the caller when it is missing; the same id again is a no-op.

        Raises:
            ProjectNotFound: `owner` is somebody else and has no such project that the caller may see.
            PermissionDenied: The caller lacks WRITE.
        """

    def ingest(self, batch: Batch) -> Acknowledgement:
        """Store a batch exactly once: what is held already is skipped.

        Raises:
            JournalGap: The batch begins after what is held; says where to begin.
            RunNotFound, RunDeleted, PermissionDenied, JournalUnreadable: The data is not taken.
        """

    def acked(self, run: RunKey, journal_id: int) -> int:
        """Return up to which slot a journal is held; 0 for one never seen."""

    def list_projects(self) -> list[ProjectRecord]:
        """Return all projects that the caller may see, the one with the newest run first."""

    def get_project(self, owner: str | None, name: str) -> ProjectRecord:
        """Return a project; `owner` None is the caller. Raises ProjectNotFound."""

    def delete_project(self, project_id: int) -> None:
        """Delete a project with all its runs and files, for good. Needs ADMIN."""

    def list_keys(self, project_id: int, kind: str) -> list[str]:
        """Return all names that a project has seen of a kind: metric, system, param or tag."""

    def get_run(self, run_id: str) -> RunRecord:
        """Return a run with all its values by its id alone. Raises RunNotFound."""

    def get_run_by_name(self, owner: str | None, project_name: str, run_name: str) -> RunRecord:
        """Return a run with all its values. Raises ProjectNotFound, RunNotFound."""

    def search_runs(self, query: RunQuery) -> RunPage:
        """Return a page of runs. Raises InvalidFilter, ProjectNotFound."""

    def update_run(self, run: RunKey, changes: RunChanges) -> RunRecord:
        """Change tags, description or name. Needs WRITE."""

    def delete_run(self, run: RunKey) -> None:
        """Hide a run and free its name; twice is a no-op. Needs ADMIN, or WRITE for the caller's own runs."""

    def restore_run(self, run: RunKey) -> RunRecord:
        """Bring a deleted run back, under a name with a suffix when its own is taken. Needs the same."""

    def get_facts(self, run: RunKey) -> dict[str, str]:
        """Return what was captured of the run's surroundings and what the tracker noted."""

    def read_series(self, query: SeriesQuery) -> list[Series]:
        """Return points, a series for each name, in the order of `names` (logged before system, by name, when None)."""

    def list_collaborators(self, project_id: int) -> list[Collaborator]:
        """Return who has access, the owner first."""

    def set_permission(self, project_id: int, user: str, permission: Permission, *, new: bool | None) -> None:
        """Give a user a permission. Needs ADMIN.

        Args:
            project_id: The project.
            user: The user's name.
            permission: The level.
            new: True to add only, False to change only, None for either.
        """

    def remove_collaborator(self, project_id: int, user: str) -> None:
        """Take a user's access away. Needs ADMIN, or is about the caller."""

    def put_artifact(
        self, run: RunKey, path: str, source: BinaryIO, *, created_at_us: int | None = None
    ) -> ArtifactRecord:
        """Store a file, replacing one at the same path. Needs WRITE.

        Args:
            run: The run.
            path: Where in the run.
            source: Its bytes.
            created_at_us: When it was logged, of one that comes from another store; now when not given.
        """

    def list_artifacts(self, run: RunKey) -> list[ArtifactRecord]:
        """Return the files of a run, by path."""

    def open_artifact(self, run: RunKey, path: str) -> BinaryIO:
        """Open a file for reading. Raises ArtifactNotFound."""

    def end_unheard(self, kept: Collection[str]) -> int:
        """End as lost the runs of the caller's projects of which nothing was heard for long; return how many.

        Only where the store itself cannot tell: a server gives runs up by itself, see `lease`. Should the process of
        one live after all, the first thing that arrives makes it run again.

        Args:
            kept: Ids of runs that are left alone, because what tells of their processes is still there.
        """

    def close(self) -> None:
        """Release what is held; twice is a no-op."""
