"""What a client's questions give: lists of projects, runs, people and files, points, comparisons.

Each shows itself as text and, in a notebook, as HTML, and becomes a pandas DataFrame on request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from . import displays
from .dataframes import pandas
from .log import Log
from .records import ArtifactRecord, Collaborator, ProjectRecord, RunPage, RunRecord, Series

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd

    from .runs.stored_run import StoredRun

Item = TypeVar("Item")
When = Callable[["datetime | None"], str]  # how a time is shown
SHOWN = 20
_log = Log("mlfoundry")
_hinted: set[str] = set()  # said once a process: scripts ask again and again


class RecordList(list[Item], Generic[Item]):
    """A list of records that shows itself as a table."""

    _numbers: tuple[str, ...] = ()
    _times: tuple[str, ...] = ()

    def _headers(self) -> list[str]:
        raise AssertionError("every list of records names its columns")

    def _cells(self, item: Item, when: When) -> list[str]:
        raise AssertionError(f"every list of records fills its columns: {item!r}, {when!r}")

    def _caption(self) -> str:
        raise AssertionError("every list of records has a caption")

    def to_pandas(self) -> pd.DataFrame:
        """Return one row a record, one column a field."""
        rows = [{field.name: getattr(item, field.name) for field in fields(item)} for item in self]  # type: ignore[arg-type]
        frame: pd.DataFrame = pandas().DataFrame(rows)
        return frame

    def __repr__(self) -> str:
        if not self:
            return self._caption()
        return f"{self._caption()}\n{displays.text_table(*self.table())}"

    def _repr_html_(self) -> str:
        return displays.html_table(*self.table(dated=True), caption=self._caption())

    def dated_text(self) -> str:
        """Return the list as text that can be kept: with times instead of ages."""
        return f"{self._caption()}\n{displays.text_table(*self.table(dated=True))}" if self else self._caption()

    def table(self, *, dated: bool = False) -> tuple[list[str], list[list[str]], list[bool]]:
        """Return the table that the list shows itself as: headers, rows, and which columns hold numbers.

        Args:
            dated: Times as such, in UTC, and not how long ago they are: for what is kept.
        """
        headers = self._headers()
        when = displays.stamp if dated else displays.age
        rows = [self._cells(item, when) for item in self]
        shown = [f"{name} (UTC)" if dated and name in self._times else name for name in headers]
        return shown, rows, [name in self._numbers for name in headers]


class ProjectList(RecordList[ProjectRecord]):
    """Projects, the one with the newest run first."""

    _numbers = ("runs", "running", "collaborators")
    _times = ("last run",)

    def _headers(self) -> list[str]:
        return ["project", "runs", "running", "last run", "collaborators", "permission"]

    def _cells(self, item: ProjectRecord, when: When) -> list[str]:
        counts = [str(item.run_count), str(item.running_count)]
        people = str(item.collaborator_count)
        return [f"{item.owner}/{item.name}", *counts, when(item.last_run_at), people, item.permission.name]

    def _caption(self) -> str:
        if self:
            return f"{len(self)} project{'s' if len(self) != 1 else ''}"
        return "No projects yet. Make one: client.create_run('my-project')"


class CollaboratorList(RecordList[Collaborator]):
    """Who has access to a project, the owner first."""

    _times = ("since",)

    def _headers(self) -> list[str]:
        return ["user", "permission", "", "since"]

    def _cells(self, item: Collaborator, when: When) -> list[str]:
        return [item.user, item.permission.name, "owner" if item.is_owner else "", when(item.added_at)]

    def _caption(self) -> str:
        return f"{len(self)} with access"


class ArtifactList(RecordList[ArtifactRecord]):
    """Files of a run, by path."""

    _numbers = ("size",)
    _times = ("logged",)

    def _headers(self) -> list[str]:
        return ["path", "size", "logged", "sha256"]

    def _cells(self, item: ArtifactRecord, when: When) -> list[str]:
        return [item.path, displays.size(item.size_bytes), when(item.created_at), item.sha256[:12]]

    def _caption(self) -> str:
        return f"{len(self)} artifact{'s' if len(self) != 1 else ''}" if self else "No artifacts"


class SeriesTable(dict[str, Series]):
    """Points by metric name, in order of name or as asked for.

    >>> SeriesTable()
    No metrics
    """

    def to_pandas(self) -> pd.DataFrame:
        """Return all points as rows: ``metric``, ``step``, ``time`` (UTC), ``value``."""
        import numpy as np

        frames = pandas()
        every = list(self.values())
        empty_f, empty_i = np.empty(0), np.empty(0, np.int64)
        frame: pd.DataFrame = frames.DataFrame(
            {
                "metric": np.repeat([s.name for s in every], [len(s.steps) for s in every]) if every else [],
                "step": np.concatenate([empty_i, *(s.steps for s in every)]),
                "time": frames.to_datetime(np.concatenate([empty_i, *(s.times for s in every)]), unit="us", utc=True),
                "value": np.concatenate([empty_f, *(s.values for s in every)]),
            }
        )
        return frame

    def _rows(self) -> list[list[str]]:
        rows = []
        for name, series in self.items():
            steps = f"{series.steps[0]} – {series.steps[-1]}" if len(series.steps) else displays.ABSENT
            last = displays.figure(float(series.values[-1])) if len(series.values) else displays.ABSENT
            rows.append([name, f"{len(series.steps):,}", steps, last])
        return rows

    def __repr__(self) -> str:
        if not self:
            return "No metrics"
        return displays.text_table(["metric", "points", "steps", "last"], self._rows(), [False, True, True, True])

    def _repr_html_(self) -> str:
        if not self:
            return displays.Html.element("div", "No metrics")
        return displays.html_table(["metric", "points", "steps", "last"], self._rows(), [False, True, True, True])


class RunList(Sequence["StoredRun"]):
    """Runs that match a question, fetched page by page as they are looked at.

    Iterating, indexing and slicing fetch as far as needed; ``len`` and `to_pandas` fetch all.

    Attributes:
        hints: Sentences on names asked for that no run of the project has, once the first page is fetched. Each is
            also logged as a warning, once a process.
    """

    def __init__(
        self, fetch: Callable[[str | None], RunPage], wrap: Callable[[RunRecord], StoredRun], what: str
    ) -> None:
        self._fetch = fetch
        self._wrap = wrap
        self._what = what
        self._cursor: str | None = None
        self._more = True
        self._runs: list[StoredRun] = []
        self.hints: tuple[str, ...] = ()
        self._unsaid: tuple[str, ...] = ()  # hints that this list has not logged, since they were said before

    def _reach(self, count: float) -> None:
        while self._more and len(self._runs) < count:
            page = self._fetch(self._cursor)
            self._hint(page.hints)
            self._runs += map(self._wrap, page.runs)
            self._cursor = page.next_cursor
            self._more = page.next_cursor is not None

    def _hint(self, hints: tuple[str, ...]) -> None:
        self.hints += hints
        for hint in hints:
            if hint in _hinted:
                self._unsaid += (hint,)
            else:
                _hinted.add(hint)
                _log.warning("%s", hint)

    def __iter__(self) -> Iterator[StoredRun]:
        index = 0
        while True:
            self._reach(index + 1)
            if index >= len(self._runs):
                return
            yield self._runs[index]
            index += 1

    def __len__(self) -> int:
        self._reach(float("inf"))
        return len(self._runs)

    def __bool__(self) -> bool:
        self._reach(1)
        return bool(self._runs)

    @overload
    def __getitem__(self, index: int) -> StoredRun: ...
    @overload
    def __getitem__(self, index: slice) -> list[StoredRun]: ...
    def __getitem__(self, index: int | slice) -> StoredRun | list[StoredRun]:
        """Return a run or a list of runs."""
        if not isinstance(index, (int, slice)):
            raise TypeError(f"runs are numbered from 0; to get one by its name use client.get_run, not [{index!r}]")
        if isinstance(index, slice):
            plain = (index.start or 0) >= 0 and (index.step or 1) > 0 and index.stop is not None and index.stop >= 0
            self._reach(index.stop if plain else float("inf"))
        else:
            self._reach(index + 1 if index >= 0 else float("inf"))
        return self._runs[index]

    @property
    def records(self) -> list[RunRecord]:
        """The records of all runs."""
        return [run.record for run in self]

    def to_pandas(self) -> pd.DataFrame:
        """Return one row a run: its attributes, then ``params.*``, ``metrics.*`` (last values) and ``tags.*``."""
        frame: pd.DataFrame = pandas().DataFrame([_flat(record) for record in self.records])
        return frame

    def _shown(self) -> tuple[list[RunRecord], str]:
        self._reach(SHOWN + 1)
        records = [run.record for run in self._runs[:SHOWN]]
        more = len(self._runs) > SHOWN
        count = f"the first {SHOWN} of {'more than ' if self._more else ''}{len(self._runs)}" if more else len(records)
        if not records:
            return [], "; ".join([f"No runs {self._what}", *self._unsaid])
        return records, f"{count} run{'s' if more or len(records) != 1 else ''} {self._what}"

    def __repr__(self) -> str:
        return displays.runs_text(*self._shown())

    def _repr_html_(self) -> str:
        return displays.runs_html(*self._shown())


def _flat(record: RunRecord) -> dict[str, Any]:
    """Return a run as one row of a table."""
    return {
        "run_id": record.key.run_id,
        "run_name": record.run_name,
        "status": record.status.value,
        "created_by": record.created_by,
        "started_at": record.started_at,
        "ended_at": record.ended_at,
        "duration_s": displays.duration_s(record),
        "description": record.description,
        "error": record.error,
        **{f"params.{name}": value for name, value in record.params.items()},
        **{f"metrics.{name}": summary.last for name, summary in record.metrics.items()},
        **{f"tags.{name}": value for name, value in record.tags.items()},
    }


class Comparison:
    """Some runs side by side: what differs, and how they did.

    Attributes:
        runs: The runs, in the order given.
        params: Name to the value of each run (None where it has none).
        differing: Names of the params that are not the same in all runs.
        metrics: Name to the last value of each run (None where it has none).
    """

    def __init__(self, runs: Sequence[StoredRun]) -> None:
        self.runs = list(runs)
        records = [run.record for run in self.runs]
        self._records = records
        names = list(dict.fromkeys(name for record in records for name in record.params))
        self.params = {name: [record.params.get(name) for record in records] for name in names}
        told = {name: {repr(r.params[name]) if name in r.params else None for r in records} for name in names}
        self.differing = [name for name, values in told.items() if len(values) > 1]
        self._shown_params = self.differing if len(records) > 1 else names  # one run is compared with nothing
        metrics = sorted({name for record in records for name in record.metrics})
        self.metrics: dict[str, list[float | None]] = {
            name: [record.metrics[name].last if name in record.metrics else None for record in records]
            for name in metrics
        }

    def to_pandas(self) -> pd.DataFrame:
        """Return one column a run; the rows are all params and the last values of all metrics."""
        rows: Mapping[tuple[str, str], Sequence[Any]] = {
            **{("param", name): values for name, values in self.params.items()},
            **{("metric", name): values for name, values in self.metrics.items()},
        }
        frames = pandas()
        frame: pd.DataFrame = frames.DataFrame(
            list(rows.values()),
            index=frames.MultiIndex.from_tuples(list(rows), names=["kind", "name"]) if rows else None,
            columns=[record.run_name for record in self._records],
        )
        return frame

    def _param_cells(self, name: str) -> list[str]:
        """Return a param of all runs; with all its digits where four could not tell the runs apart."""
        has = [name in record.params for record in self._records]
        values = self.params[name]
        cells = [displays.param(v) if h else displays.ABSENT for v, h in zip(values, has, strict=True)]
        if len(set(cells)) < len({repr(v) if h else None for v, h in zip(values, has, strict=True)}):
            return [displays.plain(repr(v)) if h else displays.ABSENT for v, h in zip(values, has, strict=True)]
        return cells

    def table(self) -> tuple[list[str], list[list[str]], list[bool]]:
        """Return the table that the comparison shows itself as: headers, rows, and which columns hold numbers."""
        return self._headers(), self._rows(), [False, *[True] * len(self.runs)]

    def _rows(self) -> list[list[str]]:
        rows = [["status", *(displays.status_text(record.status) for record in self._records)]]
        rows += [[f"param {name}", *self._param_cells(name)] for name in self._shown_params]
        rows += [[f"metric {n}", *map(displays.figure, values)] for n, values in self.metrics.items()]
        return rows

    def _headers(self) -> list[str]:
        return ["", *(displays.shortened(record.run_name) for record in self._records)]

    def _caption(self) -> str:
        same = len(self.params) - len(self._shown_params)
        which = "1 param that is the same in all is" if same == 1 else f"{same} params that are the same in all are"
        hidden = f"; {which} not shown" if same else ""
        return f"{len(self.runs)} run{'s' if len(self.runs) != 1 else ''}, metrics by last value{hidden}"

    def __repr__(self) -> str:
        numeric = [False, *[True] * len(self.runs)]
        return f"{self._caption()}\n{displays.text_table(self._headers(), self._rows(), numeric)}"

    def _repr_html_(self) -> str:
        numeric = [False, *[True] * len(self.runs)]
        return displays.html_table(self._headers(), self._rows(), numeric, caption=self._caption())
