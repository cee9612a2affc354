"""A run as the store has it: what it is, what was logged, its files, and the edits that outlive its end."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from .. import displays, suggestions, values
from ..errors import ArtifactNotFound, InvalidInput, NotAuthenticated, RunReadOnly, quoted, shown
from ..log import Log
from ..names import alike, legal_key, legal_name, legal_path
from ..records import LEAST_POINTS, PUSHED_FACT, ArtifactRecord, RunChanges, RunRecord, RunStatus, SeriesQuery
from ..results import ArtifactList, SeriesTable
from . import card
from .downloads import download, download_all

if TYPE_CHECKING:
    from ..client import Client
    from ..settings import Settings

_log = Log("mlfoundry")
_hinted: set[tuple[str, str]] = set()  # said once a process: who waits for a metric asks again and again
_LOGGING = frozenset(
    {"log_metrics", "log_params", "log_text", "log_figure", "log_artifact", "log_facts", "end", "flush", "health"}
)
_MEANT = {  # what other trackers call it, or what comes to mind first
    "params": "get_params()",
    "metrics": "get_metrics(), and record.metrics with the last values",
    "system_metrics": "get_system_metrics()",
    "tags": "get_tags()",
    "facts": "get_facts()",
    "artifacts": "list_artifacts()",
    "files": "list_artifacts()",
    "id": "run_id",
    "name": "run_name",
    "project": "project_name",
    "state": "status",
    "info": "record",
    "data": "get_params(), get_metrics() and get_tags()",
}


class StoredRun:
    """A run in the store. It reads, and edits tags and description; it never ends the run.

    Attributes:
        client: The client that found it.
    """

    def __init__(self, client: Client, record: RunRecord) -> None:
        self.client = client
        self._record = record

    # -- what it is ------------------------------------------------------------------------------

    @property
    def record(self) -> RunRecord:
        """All that is known of the run, as of when it was fetched; `refresh` fetches it again."""
        return self._record

    @property
    def run_id(self) -> str:
        """32 hex digits that identify the run everywhere."""
        return self._record.key.run_id

    @property
    def run_name(self) -> str:
        """The name, unique in the project."""
        return self._record.run_name

    @property
    def project_name(self) -> str:
        """Name of the project."""
        return self._record.project_name

    @property
    def owner(self) -> str:
        """Owner of the project."""
        return self._record.owner

    @property
    def fqn(self) -> str:
        """``owner/project/run``: what `Client.get_run` takes; no owner while a server cannot be asked for it."""
        return self._record.fqn

    @property
    def status(self) -> RunStatus:
        """Where the run stands now; asks the store until it has ended (a run that was given up may come back)."""
        if not self._record.has_ended:
            self.refresh()
        return self._record.status

    @property
    def started_at(self) -> datetime:
        """When the run was made (UTC)."""
        return self._record.started_at

    @property
    def ended_at(self) -> datetime | None:
        """When the run ended (UTC), None while it runs."""
        return self._record.ended_at

    @property
    def description(self) -> str:
        """Free text."""
        return self._record.description

    @property
    def error(self) -> str:
        """Type and message of the exception that ended the run, empty without one."""
        return self._record.error

    @property
    def dashboard_link(self) -> str | None:
        """Address of the run's page in the dashboard, None while nothing serves the store.

        A server serves the runs that it keeps; ``mlfoundry ui`` those of the embedded store, while it runs. The link
        holds nothing secret: whoever opens it must be logged in.
        """
        address = self.client.backend.dashboard_address
        return None if address is None else f"{address}/r/{self.run_id}"

    def refresh(self) -> StoredRun:
        """Fetch the run again; return itself.

        Raises:
            RunNotFound: It is gone.
        """
        self._record = self.client.backend.get_run(self.run_id)
        return self

    # -- what was logged -------------------------------------------------------------------------

    def get_params(self) -> dict[str, Any]:
        """Return the params.

        None, bools, ints, floats and text come back as they were logged; numbers of numpy, torch and the like as the
        Python number of that value; lists as lists, and so do tuples, arrays and tensors. Anything else is its text.
        """
        return dict(self._fresh().params)

    def get_tags(self) -> dict[str, str]:
        """Return the tags."""
        return dict(self._fresh().tags)

    def get_metrics(self, *names: str, max_points: int | None = None) -> SeriesTable:
        """Return the points of metrics as arrays; ``.to_pandas()`` makes a DataFrame of them.

        Args:
            names: Metrics; all but system metrics when none is named. One that the run lacks has no points; when
                another comes near, a warning names it once.
            max_points: At most so many a metric: first, last, least and greatest of each stretch.

        Returns:
            Name to `Series` (steps, times, values), by step, then time.
        """
        return self._series(names, system=False, max_points=max_points)

    def get_system_metrics(self, *names: str, max_points: int | None = None) -> SeriesTable:
        """Return the points of system metrics as arrays, like `get_metrics`."""
        return self._series(names, system=True, max_points=max_points)

    def get_facts(self) -> dict[str, str]:
        """Return what was captured of the surroundings: git, Python, packages, hardware."""
        self._fresh()
        found = self.client.backend.get_facts(self._record.key)
        return {name: text for name, text in found.items() if name != PUSHED_FACT}

    def _fresh(self) -> RunRecord:
        return self.refresh().record

    def _series(self, names: tuple[str, ...], *, system: bool, max_points: int | None) -> SeriesTable:
        if max_points is not None and not _is_whole(max_points):
            raise InvalidInput(
                f"max_points is {shown(max_points)}; give at least {LEAST_POINTS}, or None for all points"
            )
        asked = tuple(legal_key("metric key", name) for name in names) or None
        self._settle()
        query = SeriesQuery(self._record.key, asked, system=system, max_points=max_points)
        found = SeriesTable((series.name, series) for series in self.client.backend.read_series(query))
        for name in asked or ():
            if not found[name].count:
                self._hint(name)
        return found

    def _hint(self, name: str) -> None:
        """Warn of a name that was perhaps meant otherwise; a metric may also just have no points so far."""
        if (self.run_id, name) in _hinted:
            return
        _hinted.add((self.run_id, name))
        query = SeriesQuery(self._record.key, system=None, max_points=LEAST_POINTS)
        known = [series.name for series in self.client.backend.read_series(query)]
        if near := alike(name, known):
            _log.warning("%s has no points of a metric %r.%s", self.fqn, name, suggestions.sentence(near))

    def _settle(self) -> None:
        """Make sure that what this process logged is stored before it is read."""

    # -- files -----------------------------------------------------------------------------------

    def list_artifacts(self) -> ArtifactList:
        """Return the run's files, by path."""
        self._settle()
        return ArtifactList(self.client.backend.list_artifacts(self._record.key))

    def download_artifact(
        self,
        path: str = "",
        dest: str | os.PathLike[str] | None = None,
        *,
        on_bytes: Callable[[int], object] | None = None,
    ) -> Path:
        """Copy a file, or all files below a folder, from the run to this machine.

        Args:
            path: Path of a file or folder of the run; empty for all files. A path that old stores hold as both is
                the file.
            dest: Folder to copy into, made when missing; the run's paths are kept below it, and files of the same
                name there are replaced. When not given, it is the folder that the process is in, where nothing is
                replaced.
            on_bytes: Called with how many bytes each step brought. How far it is, is shown in notebooks and terminals
                when not given, for what takes longer than a second.

        Returns:
            Where the file or folder lies.

        Raises:
            ArtifactNotFound: The run has nothing at this path.
            InvalidInput: A file cannot be put where it belongs, or no folder was given and another file is there.
            BackendUnavailable: A file cannot be fetched now. Of a folder, all files that can be fetched are there
                then; the message names the others.
        """
        wanted = legal_path(path) if path else ""
        held = self.list_artifacts()
        found = [each for each in held if each.path == wanted]
        folder, replaces = Path("." if dest is None else dest), dest is not None
        fetch = partial(self._download, folder=folder, replaces=replaces, on_bytes=on_bytes)
        if found:
            fetch(found[0])
            return folder / wanted
        found = [each for each in held if not wanted or each.path.startswith(f"{wanted}/")]
        if not found:
            raise ArtifactNotFound(f"{self.fqn} has no artifact {quoted(path)}; list_artifacts() shows those it has")
        download_all(found, folder, fetch)
        return folder / wanted

    def _download(
        self, artifact: ArtifactRecord, *, folder: Path, replaces: bool, on_bytes: Callable[[int], object] | None
    ) -> None:
        key = self._record.key

        def opened() -> BinaryIO:
            return self.client.backend.open_artifact(key, artifact.path)

        download(artifact, folder, opened, replaces=replaces, on_bytes=on_bytes)

    # -- edits -----------------------------------------------------------------------------------

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags in place of those before; None as value removes one."""
        changes = RunChanges(tags=values.tag_texts(tags))
        self._record = self.client.backend.update_run(self._record.key, changes)

    def set_description(self, text: str) -> None:
        """Set the description."""
        changes = RunChanges(description=values.plain_text("description", text))
        self._record = self.client.backend.update_run(self._record.key, changes)

    def rename(self, run_name: str) -> str:
        """Give the run another name.

        Returns:
            The name that it got: a taken one gets a suffix, of which a warning tells.
        """
        wanted = legal_name("run name", run_name)
        self._settle()
        self._record = self.client.backend.update_run(self._record.key, RunChanges(run_name=wanted))
        if self.run_name != wanted:
            self._warn_of_suffix(wanted)
        return self.run_name

    def _warn_of_suffix(self, wanted: str) -> None:
        _log.warning(
            "The name %r is taken in %s/%s; the run is %s now.", wanted, self.owner, self.project_name, self.run_name
        )

    def delete(self) -> None:
        """Delete the run; `restore` brings it back. Its name is free again."""
        self.client.backend.delete_run(self._record.key)
        self._record = replace(self._record, deleted_at=self._record.deleted_at or datetime.now(UTC))

    def restore(self) -> None:
        """Bring the run back after `delete`, with a suffix, of which a warning tells, when its name is taken meanwhile.

        What processes of this machine logged to it until they died is stored now.
        """
        wanted = self.run_name
        self._record = self.client.backend.restore_run(self._record.key)
        if self.run_name != wanted:
            self._warn_of_suffix(wanted)
        if self.client._take_up(self.run_id):
            self.refresh()

    # -- elsewhere -------------------------------------------------------------------------------

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        """In another process this becomes a handle of the same kind, by a client of its own."""
        return _reopened, (type(self.client), self.client.settings, self._record)

    # -- showing ---------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        if name in _LOGGING:
            raise RunReadOnly(
                f"this handle of {self.fqn} reads; it cannot {name}. To log to the run from here as well use "
                f"client.join_run({self.run_id!r})."
            )
        if name in _MEANT:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}; it has {_MEANT[name]}")
        known = [each for each in dir(type(self)) if not each.startswith("_")]
        close = [] if name.startswith("_") else alike(name, [*known, *_LOGGING])
        if close and close[0] in _LOGGING and close[0] not in known:
            return getattr(self, close[0])  # says that this handle reads
        hint = f"; did you mean {close[0]}?" if close else ""
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{hint}")

    def __repr__(self) -> str:
        return displays.card_text(f"{displays.standing(self._record)}  {self.fqn}", card.rows(self._record))

    def _repr_html_(self) -> str:
        return displays.card_html(self.fqn, card.rows(self._record, dated=True), run=self._record)


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral)


def _reopened(make_client: Callable[[Settings], Client], settings: Settings, record: RunRecord) -> StoredRun:
    return StoredRun(unpickled_client(make_client, settings), record)


def unpickled_client(make_client: Callable[[Settings], Client], settings: Settings) -> Client:
    """Return the client of a handle that was pickled, maybe by another account or on another machine.

    Raises:
        NotAuthenticated: No key is known here.
    """
    try:
        return make_client(settings)
    except NotAuthenticated as error:
        raise NotAuthenticated(f"{error} A run that was pickled brings none with it.") from error
