"""The client: projects, runs, search and collaborators as one user sees them."""

from __future__ import annotations

import contextlib
import operator
import os
import time
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, SupportsIndex

from . import references, values
from . import settings as configuration
from .errors import BackendUnavailable, InvalidInput, MlfoundryError, RunEnded, shown
from .names import legal_name, random_name
from .query.parser import parse_filter, parse_order
from .records import PAGE_LIMIT, NewRun, Permission, ProjectRecord, RunPage, RunQuery, RunRecord
from .results import CollaboratorList, Comparison, ProjectList, RunList
from .runs import beginning
from .runs.run import Run
from .runs.stored_run import StoredRun
from .settings import Settings
from .shipping import recovery
from .shipping import shipper as shippers
from .tracking.backend import Backend
from .tracking.opening import open_backend

PAGE = 1000
RECOVERY_S = 2.0  # what a look waits for what dead processes left


def get_client(
    tracking_uri: str | os.PathLike[str] | None = None,
    api_key: str | None = None,
    *,
    user: str | None = None,
    home: str | os.PathLike[str] | None = None,
    end_timeout_s: float | None = None,
) -> Client:
    """Return a client; what is not given comes from the environment, the settings file or defaults.

    Args:
        tracking_uri: Folder of the store, ``file:///…``, or the ``https://…`` of a server; by default the server of
            ``MLFOUNDRY_HOST`` or ``mlfoundry login``, and without one the platform's data folder.
        api_key: Key for a server; what ``mlfoundry login`` kept by default.
        user: Name to work under; the login name by default. In the embedded store it is its user's own word.
        home: Folder for everything, when `tracking_uri` is not given.
        end_timeout_s: How long the end of a run may wait until all is stored, 10 s by default.

    Raises:
        InvalidSetting: A value cannot be used; says where it came from.
        NotAuthenticated: It is a server's address, and there is no key for it.

    Example:
        >>> client = get_client("runs")  # a folder; get_client() for where you always keep them
    """
    settings = configuration.resolve(
        tracking_uri=tracking_uri, api_key=api_key, user=user, home=home, end_timeout_s=end_timeout_s
    )
    return Client(settings)


class Client:
    """One user's way to projects and runs. Threads may share it.

    Attributes:
        settings: What it works with.
        backend: Where runs are kept.
    """

    def __init__(self, settings: Settings, backend: Backend | None = None) -> None:
        self.settings = settings
        self.backend: Backend = open_backend(settings) if backend is None else backend
        self._has_recovered = False

    @property
    def user(self) -> str:
        """The name that this client works under; a server may have to be asked."""
        return self.backend.user

    # -- runs that log ---------------------------------------------------------------------------

    def create_run(
        self,
        project_name: str,
        run_name: str | None = None,
        tags: Mapping[str, Any] | None = None,
        owner: str | None = None,
        log_system_metrics: bool | None = None,
        *,
        description: str = "",
        system_metrics_interval_s: float | None = None,
        capture: bool | None = None,
    ) -> Run:
        """Make a run, and its project when it is missing, and begin to log to it.

        With a store that cannot be reached the run begins all the same and is stored later.

        Args:
            project_name: The project, or ``owner/project``; made under this user on its first use.
            run_name: The name; two random words when not given. A taken one gets ``-2``, ``-3``, …
            tags: Name to text.
            owner: Owner of the project, this user when not given. Another's project must exist and give this
                user WRITE.
            log_system_metrics: Whether to sample the machine until the end; by default what the settings say,
                which is True.
            description: Free text.
            system_metrics_interval_s: Seconds between samples, 0.1 to 3600; 1 by default.
            capture: Whether to record git, Python, packages and hardware; by default what the settings say.

        Raises:
            InvalidName, InvalidSetting: A name or a setting cannot be used; nothing is made.
            ProjectNotFound: There is no such project of `owner` that this user may see.
            PermissionDenied: This user lacks WRITE.
        """
        interval_s = self.settings.system_metrics_interval_s
        if system_metrics_interval_s is not None:
            interval_s = configuration.seconds("system_metrics_interval_s", system_metrics_interval_s)
        samples = configuration.switch("log_system_metrics", log_system_metrics, self.settings.system_metrics)
        captures = configuration.switch("capture", capture, self.settings.capture)
        owner, project_name = references.split(project_name, owner)
        new = NewRun(
            run_id=uuid.uuid4().hex,
            project_name=legal_name("project name", project_name),
            run_name=random_name() if run_name in (None, "") else legal_name("run name", run_name),
            owner=None if owner is None else legal_name("owner", owner),
            tags={name: text for name, text in values.tag_texts(tags or {}).items() if text is not None},
            description=values.plain_text("description", description),
            started_at_us=time.time_ns() // 1000,
        )
        run = beginning.begin(self, new)
        run._observe(interval_s=interval_s if samples else None, capture=captures)
        return run

    def join_run(self, run_id: str) -> Run:
        """Log to a run that another process made, as in distributed training; its end stays with that one.

        Args:
            run_id: Its id, or ``owner/project/run``.

        Raises:
            RunNotFound: There is no such run that this user may see.
            RunEnded: The run has ended.
        """
        record = self._find(run_id)
        if record.has_ended:
            raise RunEnded(
                f"{record.owner}/{record.project_name}/{record.run_name} has ended ({record.status.value}); it takes "
                "no more data. Start a new run with create_run."
            )
        return beginning.join(self, record)

    # -- runs that are stored --------------------------------------------------------------------

    def get_run(self, run: str | StoredRun) -> StoredRun:
        """Return a run for reading.

        Args:
            run: Its id (32 hex digits), ``owner/project/run``, or ``project/run`` of this user.

        Raises:
            RunNotFound: There is no such run that this user may see.
            ProjectNotFound: There is no such project that this user may see.
        """
        return StoredRun(self, self._find(run.run_id if isinstance(run, StoredRun) else run))

    def _find(self, run: str) -> RunRecord:
        self._recovered()
        return references.get_run(self.backend, run)

    def list_runs(self, project_name: str, owner: str | None = None) -> RunList:
        """Return all runs of a project, newest first, fetched as they are looked at."""
        return self.search_runs(project_name, owner=owner)

    def search_runs(
        self,
        project_name: str,
        filter: str | None = "",  # noqa: A002  MLflow's and the users' word
        order_by: str | Iterable[str] | None = None,
        *,
        owner: str | None = None,
        view: str = "active",
        params: str | Iterable[str] | None = None,
        metrics: str | Iterable[str] | None = None,
        tags: str | Iterable[str] | None = None,
        page_size: int = PAGE,
    ) -> RunList:
        """Return the runs of a project that match a filter, fetched page by page as they are looked at.

        Args:
            project_name: The project, or ``owner/project``.
            filter: As in MLflow: ``metrics.loss < 0.1 and params.model = 'svm'``; see `query`. All runs without one.
            order_by: ``"metrics.loss ASC"`` or several of them; newest first when empty.
            owner: Owner of the project, this user when not given.
            view: ``"active"``, ``"deleted"`` or ``"all"``.
            params: Only these params, all when None; so for metrics and tags.
            metrics: Only these metrics.
            tags: Only these tags.
            page_size: Runs a page, 1 to 10,000.

        Raises:
            InvalidFilter: At once, with the place in the filter that is not understood.
            InvalidInput: The page size is out of range.
            ProjectNotFound: There is no such project that this user may see.
        """
        if not isinstance(page_size, SupportsIndex) or not 1 <= operator.index(page_size) <= PAGE_LIMIT:
            raise InvalidInput(f"page_size is {shown(page_size)}; a page has 1 to {PAGE_LIMIT:,} runs")
        terms = _names("order_by", order_by) or ()
        filter = "" if filter is None else filter  # noqa: A001
        wanted = (_names("params", params), _names("metrics", metrics), _names("tags", tags))
        parse_filter(filter)
        parse_order(terms)
        project = self._project(project_name, owner)

        def fetch(cursor: str | None) -> RunPage:
            query = RunQuery(project.project_id, filter, terms, operator.index(page_size), cursor, view, *wanted)
            return self.backend.search_runs(query)

        what = f"of {project.owner}/{project.name}" + (f" where {filter}" if filter else "")
        runs = RunList(fetch, lambda record: StoredRun(self, record), what)
        bool(runs)  # a name that the project does not know is an error now, and not at the first look
        return runs

    def compare_runs(self, runs: Iterable[StoredRun | str]) -> Comparison:
        """Put runs side by side: params that differ, and last values of metrics.

        Args:
            runs: Runs, ids or ``owner/project/run``; at least one.

        Raises:
            InvalidInput: None is given, or something else than runs.
            RunNotFound: One is not there, or this user may not see it.
        """
        if isinstance(runs, str | StoredRun):
            runs = [runs]
        if not isinstance(runs, Iterable):
            raise InvalidInput(
                f"compare_runs takes a list of runs, of their ids or of owner/project/run, not {shown(runs)}"
            )
        found = [self.get_run(run) for run in runs]
        if not found:
            raise InvalidInput("compare_runs needs at least one run")
        return Comparison(found)

    # -- projects --------------------------------------------------------------------------------

    def list_projects(self) -> ProjectList:
        """Return all projects that this user may see, the one with the newest run first."""
        self._recovered()
        return ProjectList(self.backend.list_projects())

    def get_project(self, project_name: str, owner: str | None = None) -> ProjectRecord:
        """Return a project with its counts.

        Args:
            project_name: Its name, or ``owner/project``.
            owner: Its owner, this user when not given.

        Raises:
            ProjectNotFound: There is no such project that this user may see.
        """
        return self._project(project_name, owner)

    def delete_project(self, project_name: str, owner: str | None = None) -> None:
        """Delete a project with all its runs and files, for good. Needs ADMIN."""
        self.backend.delete_project(self._project(project_name, owner).project_id)

    def _project(self, name: str, owner: str | None) -> ProjectRecord:
        self._recovered()
        return references.get_project(self.backend, name, owner)

    # -- collaborators ---------------------------------------------------------------------------

    def list_collaborators(self, project_name: str, owner: str | None = None) -> CollaboratorList:
        """Return who has access to a project, the owner first. Needs READ."""
        return CollaboratorList(self.backend.list_collaborators(self._project(project_name, owner).project_id))

    def add_collaborator(
        self, project_name: str, user: str, permission: Permission | str = Permission.READ, owner: str | None = None
    ) -> None:
        """Give a user access to a project. Needs ADMIN.

        Args:
            project_name: The project, or ``owner/project``.
            user: The user's name.
            permission: READ, WRITE or ADMIN; an enum or its name.
            owner: Owner of the project, this user when not given.

        Raises:
            InvalidInput: The user has access already; `set_permission` changes it.
            PermissionDenied: This user lacks ADMIN.
        """
        level, project = _permission(permission), self._project(project_name, owner)
        self.backend.set_permission(project.project_id, user, level, new=True)

    def set_permission(
        self, project_name: str, user: str, permission: Permission | str, owner: str | None = None
    ) -> None:
        """Change what a collaborator may do. Needs ADMIN.

        Raises:
            CollaboratorNotFound: The user has no access; `add_collaborator` gives it.
            LastAdmin: The user owns the project.
            PermissionDenied: This user lacks ADMIN.
        """
        level, project = _permission(permission), self._project(project_name, owner)
        self.backend.set_permission(project.project_id, user, level, new=False)

    def remove_collaborator(self, project_name: str, user: str, owner: str | None = None) -> None:
        """Take a user's access away, at once. Needs ADMIN, or is about this user.

        Raises:
            CollaboratorNotFound: The user has no access.
            LastAdmin: The user owns the project.
            PermissionDenied: This user lacks ADMIN.
        """
        self.backend.remove_collaborator(self._project(project_name, owner).project_id, user)

    # -- upkeep ----------------------------------------------------------------------------------

    def sync(self, timeout_s: float = 60.0) -> int:
        """Store what dead processes left; return how many journals are still on their way.

        Args:
            timeout_s: How long to wait at most.
        """
        shipper = shippers.shipper()
        shipper.watch(self.backend, self.settings.journal_roots())
        with contextlib.suppress(BackendUnavailable):
            recovery.take_up_parked(self.backend, self.settings.journal_roots())
        shipper.reconsider(self.backend)
        shipper.wait(lambda: not shipper.adopted(self.backend), timeout_s, backend=self.backend, sweep=True)
        return shipper.count_left(self.backend, self.settings.journal_roots())

    def _take_up(self, run_id: str) -> bool:
        """Give what dead processes logged to a run, and was put aside, a moment to be stored; False without any."""
        taken = recovery.take_up_parked(self.backend, self.settings.journal_roots(), run_id)
        if taken:
            self.sync(RECOVERY_S)
        return bool(taken)

    def _recovered(self) -> None:
        """Before the first look: give dead processes' journals a moment to be stored, so that it tells the truth."""
        if self._has_recovered:
            return
        self._has_recovered = True
        roots = self.settings.journal_roots()
        with contextlib.suppress(MlfoundryError):
            if any(recovery.count_dead(root) for root in roots):
                self.sync(RECOVERY_S)
            recovery.end_unheard(self.backend, roots)

    def close(self) -> None:
        """Release what this client holds of the store; a later use takes it again. Open runs go on.

        What was logged is stored as if this had not been called; `Run.end` and `Run.flush` wait for that.
        """
        self.backend.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        user = self.backend.user_if_known  # a server that has not told it so far is not asked for it here
        return f"Client({'' if user is None else f'user={user!r}, '}tracking_uri={self.backend.uri!r})"


def _names(what: str, names: str | Iterable[str] | None) -> tuple[str, ...] | None:
    """Return names as a tuple; a string is one name, and an empty one none.

    Raises:
        InvalidInput: It is neither a text nor several.
    """
    if isinstance(names, str):
        return (names,) if names else ()
    if names is None:
        return None
    found = tuple(names) if isinstance(names, Iterable) else ()
    if not isinstance(names, Iterable) or not all(isinstance(each, str) for each in found):
        raise InvalidInput(f"{what} is {shown(names)}; give a name as text, or a list of them")
    return found


def _permission(permission: Permission | str | int) -> Permission:
    name = permission.upper() if isinstance(permission, str) else permission
    try:
        return Permission[name] if isinstance(name, str) else Permission(name)
    except (KeyError, ValueError):
        allowed = ", ".join(level.name for level in Permission)
        raise InvalidInput(f"permission is {shown(permission)}; give one of {allowed}") from None
