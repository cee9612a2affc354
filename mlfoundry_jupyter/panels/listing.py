"""Reading the runs of a project as frames: all of them in pieces, then what has changed. No widget, no thread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mlfoundry import Client, RunStatus, StoredRun
from mlfoundry.errors import NotFound
from mlfoundry.panels import runs_table
from mlfoundry.records import ProjectRecord, RunQuery, RunRecord
from mlfoundry.results import RunList

FIRST = 200
PIECE = 2000


class Listing:
    """What a panel's views know of the runs of a project.

    Attributes:
        client: Who asks.
        project: The project, as it was last seen.
    """

    def __init__(self, client: Client, project: ProjectRecord) -> None:
        self.client = client
        self.project = project
        self._known: dict[str, tuple[Any, ...]] = {}
        self._running: set[str] = set()
        self._lists: dict[tuple[str, str], RunList] = {}

    def refresh(self) -> ProjectRecord:
        """Read the project again, with its counts."""
        self.project = self.client.get_project(self.project.name, self.project.owner)
        return self.project

    # -- the table -------------------------------------------------------------------------------

    def whole(self) -> Iterator[bytes]:
        """Give all runs in pieces, newest first: the first screen at once, then the rest, up to 10,000."""
        self.refresh()
        self._known.clear()
        self._running.clear()
        self._lists.clear()
        offset, cursor = 0, None
        while True:
            room = runs_table.WHOLE_MOST - offset
            query = RunQuery(self.project.project_id, limit=min(room, PIECE if offset else FIRST), cursor=cursor)
            page = self.client.backend.search_runs(query)
            yield self._frame(page.runs, offset=offset, whole=True)
            offset += len(page.runs)
            cursor = page.next_cursor
            if cursor is None or offset >= runs_table.WHOLE_MOST:
                return

    def changes(self) -> list[bytes] | None:
        """Return runs that are new or have changed since the last look; None when all must be read again."""
        before = self.project
        project = self.refresh()
        if project == before and not self._running:
            return []
        query = RunQuery(project.project_id, "attributes.status = 'RUNNING'", limit=runs_table.WHOLE_MOST)
        found = {record.key.run_id: record for record in self.client.backend.search_runs(query).runs}
        if project != before:
            newest = self.client.backend.search_runs(RunQuery(project.project_id, limit=runs_table.NEWEST)).runs
            found.update((record.key.run_id, record) for record in newest)
        gone = []
        for run_id in self._running - set(found):
            try:
                found[run_id] = self.client.backend.get_run(run_id)
            except NotFound:
                gone.append(run_id)
        changed = [record for run_id, record in found.items() if self._known.get(run_id) != runs_table.state_of(record)]
        for run_id in gone:
            self.forget(run_id)
        pieces = [self.some(changed, gone=gone)] if changed or gone else []
        if len(self._known) != min(project.run_count, runs_table.WHOLE_MOST):
            return None  # somebody has deleted runs, or made more at once than are looked at
        if changed or gone or project == before:
            return pieces
        return [self.some([])]  # nothing but the counts

    def some(self, records: Sequence[RunRecord], *, gone: Sequence[str] = ()) -> bytes:
        """Return a frame of some runs, wherever they stand in the table."""
        return self._frame(records, offset=0, whole=False, gone=gone)

    def forget(self, run_id: str) -> None:
        """Take a run out of what is known."""
        self._known.pop(run_id, None)
        self._running.discard(run_id)

    def _frame(self, records: Sequence[RunRecord], *, offset: int, whole: bool, gone: Sequence[str] = ()) -> bytes:
        for record in records:
            self._known[record.key.run_id] = runs_table.state_of(record)
            if record.status is RunStatus.RUNNING:
                self._running.add(record.key.run_id)
            else:
                self._running.discard(record.key.run_id)
        settings = self.client.settings
        store = settings.tracking_uri if settings.is_server else str(settings.folder)
        told = {"user": self.client.user, "store": store}
        return runs_table.frame(self.project, records, offset=offset, whole=whole, told=told, gone=gone)

    # -- questions -------------------------------------------------------------------------------

    def page(self, filter_text: str, order_by: str, offset: int, count: int) -> bytes:
        """Return the runs at some places of an order."""
        wished = (filter_text, order_by)
        if wished not in self._lists:
            self._lists[wished] = self.search(filter_text, order_by)
        runs = self._lists[wished][offset : offset + count]
        return self._frame([run.record for run in runs], offset=offset, whole=False)

    def matching(self, filter_text: str) -> list[str]:
        """Return the ids of all runs that match a filter."""
        ids: list[str] = []
        cursor = None
        while True:
            query = RunQuery(
                self.project.project_id,
                filter_text,
                limit=runs_table.WHOLE_MOST,
                cursor=cursor,
                params=(),
                metrics=(),
                tags=(),
            )
            page = self.client.backend.search_runs(query)
            ids += [record.key.run_id for record in page.runs]
            cursor = page.next_cursor
            if cursor is None:
                return ids

    def search(self, filter_text: str = "", order_by: str = "") -> RunList:
        """Return runs as the client gives them."""
        return self.client.search_runs(self.project.name, filter_text, order_by or None, owner=self.project.owner)

    def run(self, run_id: str) -> StoredRun:
        """Return one run."""
        return self.client.get_run(run_id)
