"""``mlfoundry export``: a project as files that other tools read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from .. import __version__, displays
from . import documents, output
from .exits import Refused
from .session import Session, StoreCommand

if TYPE_CHECKING:
    from ..client import Client
    from ..records import ProjectRecord, RunRecord
    from . import tables

MARK = "export.json"  # written last: a folder without it is no finished export
FORMAT = 1
PAGE = 200


@click.command(cls=StoreCommand)
@click.argument("project")
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path),
    required=True,
    help="The folder to make; it must not be there yet, or be empty.",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["parquet", "csv"]),
    default="csv",
    show_default=True,
    help="Of points and runs. CSV needs nothing; parquet keeps types and is smaller, and needs pyarrow.",
)
@click.option("--artifacts", is_flag=True, help="Copy the files of the runs as well.")
@click.option(
    "--system-metrics/--no-system-metrics", default=True, show_default=True, help="Whether system metrics are exported."
)
@click.option(
    "--view",
    type=click.Choice(["active", "deleted", "all"]),
    default="active",
    show_default=True,
    help="Which runs: those that are there, those that were deleted, or both.",
)
@click.option("--force", is_flag=True, help="Replace an earlier export at the same place, and nothing else.")
@click.pass_obj
def export(
    session: Session,
    project: str,
    folder: Path,
    kind: str,
    artifacts: bool,
    system_metrics: bool,
    view: str,
    force: bool,
) -> None:
    """Write PROJECT to CSV or Parquet, and JSON.

    Goes run by run, so the memory that it takes does not grow with the project.

    The folder holds:
      points.csv             run_id, run_name, metric, step, time, value
      system_points.csv      the same of system metrics
      runs.csv               a row a run: attributes, params, last values, tags
      runs.json              a list, one run a line, as `show --json` prints it
      artifacts/RUN_ID/PATH  with --artifacts
      export.json            what was exported; written last

    With --format parquet the first three end in .parquet.

    It appears under its name only when it is whole. Every number comes back bit for bit. In CSV, numbers that are
    not finite are NaN, Infinity and -Infinity, and a text that a spreadsheet would run as a formula gets a leading
    apostrophe; runs.json has every text unchanged.

    JSON: what export.json holds, and "folder".

    Examples:
      mlfoundry export iris-demo --to iris
      mlfoundry export bob/iris-demo --to iris --format parquet --artifacts
    """
    if kind == "parquet":
        from .tables import pyarrow

        pyarrow()  # before anything is made
    target = folder.expanduser().absolute()
    _check_free(target, force=force)
    record = session.client.get_project(project)
    with _becoming(target, force=force) as part:
        job = _Export(session.client, record, part, kind, view, artifacts=artifacts, system_metrics=system_metrics)
        with output.progress(f"Exporting {output.safe(record.name)}", record.run_count, quiet=session.json) as bar:
            summary = job.run(bar)
    if session.json:
        output.json_data({"folder": str(target), **summary})
    else:
        _tell(summary, folder)


def _tell(summary: dict[str, Any], folder: Path) -> None:
    """Tell people what was exported."""
    runs = f"{summary['runs']:,} run{'s' if summary['runs'] != 1 else ''}"
    size = displays.size(sum(summary["files"].values()))
    output.caption(f"{runs} with {summary['points']:,} points ({size}) in {folder}")
    if click.get_current_context().get_parameter_source("kind") is click.core.ParameterSource.DEFAULT:
        needed = "" if find_spec("pyarrow") else " (pip install pyarrow)"
        output.caption(f"Points and runs are CSV; --format parquet{needed} keeps their types.")


@contextmanager
def _becoming(target: Path, *, force: bool) -> Iterator[Path]:
    """Give a folder beside the target, which takes its name when the block ends without an error, and else goes."""
    part = target.with_name(f".{target.name}.part-{os.urandom(4).hex()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.mkdir(mode=0o755)
    except OSError as error:
        raise Refused(f"{target} cannot be made ({error.strerror or error}). Give another folder.") from error
    try:
        yield part
        _put_in_place(part, target, force=force)
    finally:
        _drop(part)


def _check_free(target: Path, *, force: bool) -> None:
    """Refuse to write over anything but an earlier export, and that only when told to."""
    if not target.exists() and not target.is_symlink():
        return
    if target.is_dir() and not target.is_symlink():
        inside = {path.name for path in target.iterdir()}
        if not inside:
            return
        if MARK in inside:
            if force:
                return
            raise Refused(f"{target} holds an export already. Give --force to replace it, or another folder.")
    raise Refused(f"{target} is there already and is no export of MLFoundry; nothing was touched. Give another folder.")


def _put_in_place(part: Path, target: Path, *, force: bool) -> None:
    """Show the finished export under its name, in place of an older one when so asked."""
    _check_free(target, force=force)  # again: it took a while
    old = None
    if target.is_dir() and any(target.iterdir()):
        old = target.with_name(f".{target.name}.old-{os.urandom(4).hex()}")
        target.rename(old)
    try:
        part.rename(target)
    except OSError:  # whatever the disk says: what was there before is put back
        if old is not None:
            old.rename(target)
        raise
    if old is not None:
        _drop(old)


def _drop(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


@dataclass
class _Export:
    """One export on its way into a folder that nobody looks at yet."""

    client: Client
    project: ProjectRecord
    folder: Path
    kind: str
    view: str
    artifacts: bool
    system_metrics: bool
    counts: dict[str, int] = field(default_factory=lambda: {"runs": 0, "points": 0, "system_points": 0, "artifacts": 0})

    def run(self, bar: output.Progress) -> dict[str, Any]:
        """Write everything; return what the mark says."""
        from . import tables

        types = tables.ColumnTypes()
        with ExitStack() as files:
            points = files.enter_context(closing(tables.point_table(self.folder, "points", self.kind)))
            system = None
            if self.system_metrics:
                system = files.enter_context(closing(tables.point_table(self.folder, "system_points", self.kind)))
            listed = files.enter_context((self.folder / "runs.json").open("x", encoding="ascii"))
            self._write_runs(listed, points, system, types, bar)
        self._write_run_table(types.columns())
        return self._finish()

    def _records(self) -> Iterator[RunRecord]:
        """Yield the runs page by page, and forget them."""
        from ..records import RunQuery

        cursor = None
        while True:
            query = RunQuery(
                self.project.project_id, limit=PAGE, cursor=cursor, view=self.view, order_by=("started_at",)
            )
            page = self.client.backend.search_runs(query)
            yield from page.runs
            cursor = page.next_cursor
            if cursor is None:
                return

    def _write_runs(
        self,
        listed: TextIO,
        points: tables.PointTable,
        system: tables.PointTable | None,
        types: tables.ColumnTypes,
        bar: output.Progress,
    ) -> None:
        """Write all runs, and the points of each."""
        system_names = self.client.backend.list_keys(self.project.project_id, "system") if system is not None else []
        listed.write("[")
        for record in self._records():
            document = self._document(record)
            types.learn(document)
            listed.write(",\n" if self.counts["runs"] else "\n")
            listed.write(json.dumps(document, ensure_ascii=True, allow_nan=False))
            self.counts["points"] += self._write_points(record, points, sorted(record.metrics))
            if system is not None:
                self.counts["system_points"] += self._write_points(record, system, system_names)
            if self.artifacts:
                self._copy_artifacts(record, document)
            self.counts["runs"] += 1
            bar.update(1)
        listed.write("\n]\n")

    def _document(self, record: RunRecord) -> dict[str, Any]:
        backend = self.client.backend
        document = documents.run(record)
        document["facts"] = backend.get_facts(record.key)
        document["artifacts"] = [documents.artifact(each) for each in backend.list_artifacts(record.key)]
        return document

    def _write_points(self, record: RunRecord, table: tables.PointTable, names: list[str]) -> int:
        """Write the points of a run, one metric in memory at a time."""
        from ..records import SeriesQuery

        written = 0
        for name in names:
            for series in self.client.backend.read_series(SeriesQuery(record.key, (name,))):
                table.write(record.key.run_id, record.run_name, series)
                written += len(series.steps)
        return written

    def _copy_artifacts(self, record: RunRecord, document: dict[str, Any]) -> None:
        from ..runs.stored_run import StoredRun

        if document["artifacts"]:
            StoredRun(self.client, record).download_artifact(dest=self.folder / "artifacts" / record.key.run_id)
            self.counts["artifacts"] += len(document["artifacts"])

    def _write_run_table(self, columns: dict[str, str]) -> None:
        """Write the table of runs from the list just written: the same runs, whatever changed meanwhile."""
        from . import tables

        with (
            (self.folder / "runs.json").open(encoding="ascii") as listed,
            closing(tables.run_table(self.folder, columns, self.kind)) as table,
        ):
            for line in listed:
                if line.startswith("{"):
                    table.write(tables.run_row(json.loads(line.rstrip().rstrip(","))))

    def _finish(self) -> dict[str, Any]:
        from . import tables

        files = {path.name: path.stat().st_size for path in sorted(self.folder.iterdir()) if path.is_file()}
        summary = {
            "format": FORMAT,
            "mlfoundry": __version__,
            "exported_at": documents.time_text(datetime.now(UTC)),
            "project": documents.project(self.project),
            "view": self.view,
            **self.counts,
            "files": files,
        }
        for name in files:
            tables.settle(self.folder / name)
        mark = self.folder / MARK
        mark.write_text(output.json_text(summary) + "\n", encoding="ascii")
        tables.settle(mark)
        tables.settle(self.folder)
        return summary
