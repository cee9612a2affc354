"""The runs of a project as frames: pages of the table, then what has changed. Keeps nothing between requests."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from ...errors import NotFound
from ...names import is_run_id
from ...panels import runs_table
from ...records import ProjectRecord, RunQuery, RunRecord
from ...tracking.rights import no_run
from ...tracking.service import TrackingService

FOLLOWED_MOST = 500


class Listing:
    """The runs of one project, as one user sees them now.

    Args:
        tracking: The rules.
        user: Who asks.
        project_id: The project.
    """

    def __init__(self, tracking: TrackingService, user: str, project_id: int) -> None:
        self._tracking = tracking
        self._user = user
        self.project: ProjectRecord = tracking.get_project_by_id(user, project_id)

    def page(self, *, filter_text: str = "", order_by: str = "", offset: int = 0, count: int, whole: bool) -> bytes:
        """Return the runs at some places of an order; `whole` says that these are a part of the whole list."""
        order = (order_by,) if order_by else ()
        found = self._search(filter_text, order_by=order, offset=offset, limit=count)
        return self.frame(found, offset=offset, whole=whole)

    def changes(self, running: Sequence[str], seen: str) -> tuple[str, bytes] | None:
        """Return runs that may have changed since a page looked, and a mark to show the next time.

        Args:
            running: Ids of the runs that the page knows as running.
            seen: The mark of the last time; None is returned where nothing has changed since.
        """
        found = {
            record.key.run_id: record for record in self._search("attributes.status = 'RUNNING'", limit=FOLLOWED_MOST)
        }
        found.update((record.key.run_id, record) for record in self._search("", limit=runs_table.NEWEST))
        gone = []
        asked = [each for each in running[:FOLLOWED_MOST] if is_run_id(each)]  # anything else is no run of a page
        for run_id in [each for each in asked if each not in found]:
            try:
                record = self._tracking.get_run(self._user, run_id)
            except NotFound:
                gone.append(run_id)
                continue
            if record.deleted_at is not None or record.key.project_id != self.project.project_id:
                gone.append(run_id)
            else:
                found[run_id] = record
        mark = _mark(self.project, list(found.values()), gone)
        if mark == seen:
            return None
        return mark, self.frame(list(found.values()), offset=0, whole=False, gone=gone)

    def frame(self, records: Sequence[RunRecord], *, offset: int, whole: bool, gone: Sequence[str] = ()) -> bytes:
        """Return runs as a frame."""
        told = {"user": self._user}
        return runs_table.frame(self.project, records, offset=offset, whole=whole, told=told, gone=gone)

    def matching(self, filter_text: str) -> list[str]:
        """Return the ids of all runs that match a filter, as far as a page of the browser can hold them."""
        query = RunQuery(
            self.project.project_id, filter_text, limit=runs_table.WHOLE_MOST, params=(), metrics=(), tags=()
        )
        return [record.key.run_id for record in self._tracking.search_runs(self._user, query).runs]

    def require(self, run_ids: Sequence[str]) -> list[RunRecord]:
        """Return runs of this project by their ids. Raises RunNotFound for those of others."""
        found = [self._tracking.get_run(self._user, run_id) for run_id in run_ids]
        for record in found:
            if record.key.project_id != self.project.project_id:
                raise no_run(record.key.run_id, self._user)
        return found

    def _search(
        self, filter_text: str, *, order_by: tuple[str, ...] = (), offset: int = 0, limit: int
    ) -> Sequence[RunRecord]:
        query = RunQuery(self.project.project_id, filter_text, order_by, limit=limit, offset=offset)
        return self._tracking.search_runs(self._user, query).runs


def _mark(project: ProjectRecord, records: Sequence[RunRecord], gone: Sequence[str]) -> str:
    """Return what tells two states of these runs apart."""
    digest = hashlib.sha256(repr((project.run_count, project.running_count, project.permission, gone)).encode())
    for record in records:
        digest.update(repr((record.key.run_id, *runs_table.state_of(record))).encode())
    return digest.hexdigest()[:16]
