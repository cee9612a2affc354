"""The panel of a project's runs: browse, filter, select, compare, edit, delete."""

from __future__ import annotations

import contextlib
import re
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import traitlets

import mlfoundry
from mlfoundry import Client, StoredRun
from mlfoundry.displays import Html
from mlfoundry.errors import InvalidInput, MlfoundryError
from mlfoundry.names import SYSTEM_PREFIX
from mlfoundry.panels import frames
from mlfoundry.panels.limits import MAX_POINTS
from mlfoundry.query.parser import parse_order
from mlfoundry.records import Permission, ProjectRecord, RunQuery, SeriesQuery
from mlfoundry.results import Comparison

from .. import list_pictures
from .feed import feed
from .listing import Listing
from .panel import Answer, Panel, Picture

LOOK_S = 2.0
KEPT_S = 300.0  # a page that was away for longer gets all again: it may have been asleep, and have missed something
PAGE = 200
MOST_RUNS = 200
_BETWEEN = ("mlfoundry_jupyter", "traitlets", "ipywidgets", "anywidget", "contextlib")  # the user's code and a warning
_RUN_ID = re.compile("[0-9a-f]{32}")


class RunsPanel(Panel):
    """The runs of a project, thousands of them: sort, filter, choose columns, select, compare, edit, delete.

    Args:
        project: The project: its name, ``owner/project``, or its record.
        client: Who asks; `mlfoundry.get_client` by default.

    Attributes:
        selected: Ids of the selected runs, in the order in which they were selected. Anything else is a TraitError.
        filter: The filter, in the language of `Client.search_runs`.
        quick: Words that a run must hold somewhere.
        order_by: The order, such as ``metrics.loss asc``; newest first when empty. One that is no order is a
            TraitError; a name that no run has is warned about.
        columns: Names of the columns that are shown; empty for the view's own choice.
        compare: Whether the selected runs are compared.
        compare_state: What the comparison shows: its baseline, metrics and axes.
        best: The rule by which a run is the best; None for the view's own choice.

    Example:
        >>> panel = RunsPanel("iris-demo")                                      # doctest: +SKIP
        >>> panel.observe(lambda change: print(change.new), "selected")         # doctest: +SKIP
    """

    VIEW = "runs"
    MOUNT = "mountRuns"

    selected = traitlets.List(traitlets.Unicode()).tag(sync=True)
    filter = traitlets.Unicode("").tag(sync=True)
    quick = traitlets.Unicode("").tag(sync=True)
    order_by = traitlets.Unicode("").tag(sync=True)
    columns: Any = traitlets.List().tag(sync=True)
    compare = traitlets.Bool(False).tag(sync=True)
    compare_state: Any = traitlets.Dict().tag(sync=True)
    best = traitlets.Any(None, allow_none=True).tag(sync=True)

    def __init__(self, project: str | ProjectRecord, client: Client | None = None, **traits: Any) -> None:
        self.client = client or mlfoundry.get_client()
        name = project if isinstance(project, str) else f"{project.owner}/{project.name}"
        self._listing = Listing(self.client, self.client.get_project(name))
        self._look_at_s = 0.0
        self._wholes = 0
        self._pictured: tuple[Any, ...] = ()
        super().__init__(**traits)
        feed().add(self)

    @property
    def project(self) -> ProjectRecord:
        """The project, as it was last seen."""
        return self._listing.project

    @property
    def selected_runs(self) -> list[StoredRun]:
        """The selected runs."""
        return [self.client.get_run(run_id) for run_id in self.selected]

    @traitlets.validate("selected")
    def _only_ids(self, proposal: Any) -> list[str]:
        for each in proposal.value:
            if not _RUN_ID.fullmatch(each):
                raise traitlets.TraitError(f"selected takes run ids, 32 hexadecimal digits (run.run_id), not {each!r}")
        return list(proposal.value)

    @traitlets.validate("order_by")
    def _only_orders(self, proposal: Any) -> str:
        try:
            parse_order([proposal.value] if proposal.value else [])
        except InvalidInput as error:
            raise traitlets.TraitError(str(error)) from error
        return str(proposal.value)

    @traitlets.observe("order_by")
    def _warn_of_order(self, change: Any) -> None:
        """Say that no run has what the panel was told to order by; what a view orders by is there."""
        if not change.new:
            return
        with contextlib.suppress(MlfoundryError):  # a store that is away is said where the panel reads it
            query = RunQuery(self.project.project_id, order_by=(change.new,), limit=1)
            try:
                hints = self.client.backend.search_runs(query).hints
            except InvalidInput as error:
                hints = (str(error),)
            for hint in hints:
                warnings.warn(f"order_by: {hint}", UserWarning, stacklevel=_level_of_user())

    # -- life ------------------------------------------------------------------------------------

    def pulse(self, now_s: float) -> None:
        """See `Panel.pulse`."""
        if now_s < self._look_at_s or not self.is_seen:
            return
        self._look_at_s = now_s + LOOK_S
        with self.lock:
            self._send_changes()

    def settle(self) -> None:
        """See `Panel.settle`."""
        with self.lock:
            if not self._closed and self._display_ids and self._pictured != self._state():
                self.refresh_picture()

    def _state(self) -> tuple[Any, ...]:
        """Return what the picture depends on, beside the runs themselves."""
        compared = (True, *self.selected) if self.compare else (False,)
        return (self.filter, self.order_by, *compared)

    def send_all(self) -> None:
        """See `Panel.send_all`."""
        self._wholes += 1
        self._say(self._listing.whole())

    def send_since(self, away_s: float) -> None:
        """See `Panel.send_since`."""
        if away_s > KEPT_S:
            self.send_all()
        else:
            self._send_changes()

    def _send_changes(self) -> None:
        pieces = self._listing.changes() if self._wholes else None
        if pieces is None:
            self.send_all()
        else:
            self._say(pieces)

    def _say(self, pieces: Any) -> None:
        for piece in pieces:
            self.say({"kind": "frame"}, piece)

    def subject(self) -> str:
        """See `Panel.subject`."""
        return f"{self.project.owner}/{self.project.name}"

    def picture(self) -> Picture:
        """See `Panel.picture`."""
        with self.lock:
            self._pictured = self._state()
            project = self._listing.refresh()
            try:
                runs = self._listing.search(self.filter, self.order_by)
            except InvalidInput:  # a filter that is being written
                return list_pictures.runs_picture(
                    project, [run.record for run in self._listing.search()[:20]], project.run_count
                )
            total = len(self._listing.matching(self.filter)) if self.filter else project.run_count
            what = f"where {self.filter}" if self.filter else ""
            html, text = list_pictures.runs_picture(project, [run.record for run in runs[:20]], total, what=what)
            if self.compare and (compared := self._compared()):
                html, text = Html(html + compared[0]), f"{text}\n\n{compared[1]}"
            return html, text

    def _compared(self) -> Picture | None:
        """Return the picture of the comparison; None when none of the selected runs is there any more."""
        runs = []
        for run_id in self.selected[: list_pictures.COMPARED]:
            with contextlib.suppress(MlfoundryError):
                runs.append(self._listing.run(run_id))
        series = {}
        for run in runs:
            query = SeriesQuery(run.record.key, max_points=list_pictures.POINTS)
            series[run.run_id] = {each.name: each for each in self.client.backend.read_series(query)}
        return list_pictures.comparison_picture(Comparison(runs), series) if runs else None

    # -- questions -------------------------------------------------------------------------------

    def verbs(self) -> Mapping[str, Callable[..., Answer]]:
        """See `Panel.verbs`."""
        return {
            "page": self._page,
            "search": self._search,
            "series": self._series,
            "runs_detail": self._detail,
            "set_tags": self._set_tags,
            "set_description": self._set_description,
            "delete": self._delete,
            "restore": self._restore,
        }

    def _page(self, filter: str = "", order_by: str = "", offset: int = 0, count: int = PAGE) -> Answer:  # noqa: A002  as in search_runs
        most = max(1, min(int(count), PAGE))
        return None, (self._listing.page(filter, order_by, max(0, int(offset)), most),)

    def _search(self, filter: str = "") -> Answer:  # noqa: A002  as in search_runs
        return self._listing.matching(filter), ()

    def _series(
        self, runs: Sequence[str], names: Sequence[str] | None = None, max_points: int | None = MAX_POINTS
    ) -> Answer:
        found = []
        for run_id in _few(runs):
            key = self._listing.run(run_id).record.key
            query = SeriesQuery(key, tuple(names) if names else None, max_points=max_points or MAX_POINTS)
            every = self.client.backend.read_series(query)
            logged = [series for series in every if not series.name.startswith(SYSTEM_PREFIX)]
            system = [series for series in every if series.name.startswith(SYSTEM_PREFIX)]
            found.append(frames.whole_points(run_id, logged, system))
        return None, found

    def _detail(self, runs: Sequence[str]) -> Answer:
        permission = self.project.permission
        may_write, may_admin = permission >= Permission.WRITE, permission >= Permission.ADMIN
        told = []
        for run_id in _few(runs):
            record = self._listing.run(run_id).record
            facts = self.client.backend.get_facts(record.key)
            told.append(frames.run_snapshot(record, facts, may_write=may_write, may_admin=may_admin))
        return told, ()

    def _set_tags(self, run: str, tags: Mapping[str, Any]) -> Answer:
        found = self._listing.run(run)
        found.set_tags(tags)
        return self._edited([found])

    def _set_description(self, run: str, text: str) -> Answer:
        found = self._listing.run(run)
        found.set_description(text)
        return self._edited([found])

    def _edited(self, runs: Sequence[StoredRun]) -> Answer:
        self._say([self._listing.some([run.record for run in runs])])
        self.refresh_picture()
        return [run.run_id for run in runs], ()

    def _delete(self, runs: Sequence[str]) -> Answer:
        gone: list[str] = []
        try:
            for run_id in runs:
                self._listing.run(run_id).delete()
                gone.append(run_id)
        finally:
            self._changed(gone=gone)
        self.selected = [run_id for run_id in self.selected if run_id not in gone]
        return gone, ()

    def _restore(self, runs: Sequence[str]) -> Answer:
        found = [self._listing.run(run_id) for run_id in runs]
        for run in found:
            run.restore()
        self._listing.refresh()
        return self._edited(found)

    def _changed(self, *, gone: Sequence[str]) -> None:
        if gone:
            self._listing.refresh()
            for run_id in gone:
                self._listing.forget(run_id)
            self._say([self._listing.some([], gone=gone)])
            self.refresh_picture()


def _level_of_user() -> int:
    """Return the `stacklevel`, for a warning of the caller, of the line that set a trait or made the panel."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN:
        level, frame = level + 1, frame.f_back
    return level


def _few(runs: Sequence[str]) -> Sequence[str]:
    if len(runs) > MOST_RUNS:
        raise InvalidInput(f"{len(runs)} runs are too many at once; select at most {MOST_RUNS}")
    return runs
