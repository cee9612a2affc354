"""``mlfoundry runs``, ``show`` and ``compare``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

import click

from .. import displays
from ..records import RunRecord
from ..runs.stored_run import StoredRun
from . import artifacts, documents, layout, output
from . import columns as column_list
from .layout import Grid
from .session import Session, StoreCommand

PAGE = 1000
METRICS, PARAMS = 6, 8  # columns at most; a terminal shows those that fit
_FACT_WIDTH = 100


@click.command(cls=StoreCommand)
@click.argument("project")
@click.option(
    "--filter", "where", default="", metavar="FILTER", help='Only runs that match, such as "loss < 0.1"; see above.'
)
@click.option("--order", default="", metavar="ORDER", help="Sort by this; the newest first when not given.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=50,
    show_default=True,
    metavar="N",
    help="At most so many runs; 0 for all.",
)
@click.option("--columns", default="", metavar="COLUMNS", help="What to show of each run, separated by commas.")
@click.option(
    "--view",
    type=click.Choice(["active", "deleted", "all"]),
    default="active",
    show_default=True,
    help="Which runs: those that are there, those that were deleted, or both.",
)
@click.pass_obj
def runs(session: Session, project: str, where: str, order: str, limit: int, columns: str, view: str) -> None:
    """List the runs of PROJECT.

    A filter compares metrics (their last value), params, tags and attributes (run_name, status, created_by,
    started_at, ended_at, duration, description, error) and joins comparisons with and, or, not. Orders and columns
    name the same things; min(metrics.loss) is the least value.

    JSON: {"runs": [{run_id, fqn, status, params, metrics, tags, …}], "more": true when --limit left some out}.
    With --columns a run is {run_id, fqn, values: {column: value}}.

    Examples:
      mlfoundry runs iris-demo --limit 10
      mlfoundry runs iris-demo --filter "metrics.loss < 0.1 and C >= 1"
      mlfoundry runs iris-demo --order "metrics.loss asc"
      mlfoundry runs bob/iris-demo --columns "run_name, min(loss), params.C"
      mlfoundry runs iris-demo --view deleted
    """
    wanted = column_list.parse(session.client, project, columns)
    found = session.client.search_runs(
        project,
        where,
        order or (),
        view=view,
        params=wanted.names("params"),
        metrics=wanted.names("metrics"),
        tags=wanted.names("tags"),
        page_size=min(limit + 1, PAGE) if limit else PAGE,
    )
    shown = list(islice(found, limit + 1 if limit else None))
    more = bool(limit) and len(shown) > limit
    records = [run.record for run in (shown[:limit] if limit else shown)]
    if session.json:
        rows = [wanted.document(record) if wanted else documents.run(record) for record in records]
        output.json_data({"runs": rows, "more": more})
        return
    output.caption(_caption(project, records, more=more, where=where, view=view))
    if not records:
        return
    if wanted:
        output.echo(output.status_coloured(wanted.text(records, output.width())))
    else:
        _tell_usual(records)
    if view != "active" and records and not wanted:
        output.section("Ids, for `mlfoundry restore`", _ids(records))


def _caption(project: str, records: list[RunRecord], *, more: bool, where: str, view: str) -> str:
    kind = {"active": "", "deleted": "deleted ", "all": ""}[view]
    runs = f"{kind}run{'s' if len(records) != 1 else ''}"
    matching = (" that matches" if len(records) == 1 else " that match") if where else ""
    if not records:
        return f"No {runs} of {project}{matching}"
    if more:
        count = "" if len(records) == 1 else f"{len(records):,} "
        return f"The first {count}{runs} of {project}{matching}; --limit 0 shows all"
    return f"{len(records):,} {runs} of {project}{matching}"


def _tell_usual(records: list[RunRecord]) -> None:
    """Print the columns that tell most, as many as fit, and say which did not."""
    chosen = displays.RunColumns(records, metrics=METRICS, params=PARAMS)
    rows = []
    for record in records:
        (status, _), (_, name), *cells = chosen.cells(record)
        metrics, params, rest = cells[: len(chosen.metrics)], cells[len(chosen.metrics) : -2], cells[-2:]
        values = [str(value) if shown == displays.ABSENT else displays.param(value) for shown, value in params]
        rows.append([status, str(name), *(shown for shown, _ in metrics), *values, *(shown for shown, _ in rest)])
    table = Grid(chosen.headers, rows, chosen.numeric, fixed=[0])
    text, gone = table.chosen(_dispensable(len(chosen.metrics), len(chosen.params)), output.width())
    output.echo(output.status_coloured(text))
    others = [f"{chosen.left_out} more"] if chosen.left_out else []
    if output.width() is not None and (gone or others):
        output.caption(f"Not shown: {', '.join([*gone, *others])}; --columns chooses.")


def _dispensable(metrics: int, params: int) -> list[int]:
    """Return which columns go when room is short: all but a few metrics and params, then by what each tells."""
    of_metrics, of_params = list(range(2, 2 + metrics)), list(range(2 + metrics, 2 + metrics + params))
    took, started = 2 + metrics + params, 3 + metrics + params
    many = [*of_params[:1:-1], *of_metrics[:1:-1]]
    return [*many, *of_params[1:2], took, *of_params[:1], *of_metrics[1:2], started, *of_metrics[:1]]


def _ids(records: list[RunRecord]) -> str:
    deleted = [record for record in records if record.deleted_at is not None]
    rows = [[record.key.run_id, record.run_name, f"deleted {displays.age(record.deleted_at)}"] for record in deleted]
    if not rows:
        return "none of them is deleted"
    return Grid(["id", "run", ""], rows, [False] * 3, fixed=[0]).text(output.width())


# -- one run -------------------------------------------------------------------------------------


@click.command(cls=StoreCommand)
@click.argument("run")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME",
    help="Draw the curve of this metric or system metric instead; may be given several times.",
)
@click.option("--csv", "as_csv", is_flag=True, help="With --metric: print its points as CSV.")
@click.pass_obj
def show(session: Session, run: str, metrics: tuple[str, ...], as_csv: bool) -> None:
    """Show all that is known of RUN, or the curve of a metric.

    Its params, metrics, tags, error, surroundings and files. RUN is an id, owner/project/run, or project/run. On a
    terminal long facts are cut; --json has all of them.

    JSON: {"run": {run_id, owner, project, name, fqn, status, created_by, started_at, ended_at, duration_s,
    description, error, deleted_at, params, param_types, metrics: {name: {last, last_step, last_at, min, max, count}},
    tags, facts, artifacts: [{path, size_bytes, sha256, created_at}]}}

    JSON with --metric: {"run": {run_id, fqn}, "metrics": {name: {steps: […], times: […], values: […]}}}, all points.

    Examples:
      mlfoundry show iris-demo/svm-model
      mlfoundry show iris-demo/svm-model --metric loss
      mlfoundry show iris-demo/svm-model --metric system/cpu/percent
      mlfoundry show iris-demo/svm-model --metric loss --csv > loss.csv
      mlfoundry show 3f9a0c1e5b7d4e8f9a0b1c2d3e4f5a6b --json | jq .run.params
    """
    if as_csv and (session.json or not metrics):
        raise click.UsageError("--csv prints the points of a --metric, and cannot go with --json.")
    found = session.client.get_run(run)
    if metrics:
        _show_metrics(session, found, metrics, as_csv=as_csv)
        return
    facts, files = found.get_facts(), found.list_artifacts()
    record = found.record
    if session.json:
        document = documents.run(record)
        document["facts"] = facts
        document["artifacts"] = [documents.artifact(each) for each in files]
        output.json_data({"run": document})
        return
    title = layout.wrapped(f"{displays.standing(record)}  {output.safe(found.fqn)}", output.width())
    output.echo(output.status_coloured(title))
    output.echo(output.pairs(_about(found)))
    if record.params:
        output.section("Params", output.pairs([(name, _text(value)) for name, value in record.params.items()]))
    if record.metrics:
        output.section("Metrics", _metrics(record))
    if record.tags:
        output.section("Tags", output.pairs(list(record.tags.items())))
    if facts:
        output.section("Surroundings", output.pairs([(name, _fact(text)) for name, text in facts.items()]))
    if files:
        output.section("Artifacts", output.indented(artifacts.table(files, indent=2)))


def _show_metrics(session: Session, run: StoredRun, names: tuple[str, ...], *, as_csv: bool) -> None:
    from . import curves

    found = curves.read(run, names)
    if session.json:
        output.json_data(curves.document(run, found))
    elif as_csv:
        curves.write_csv(found)
    else:
        curves.tell(found)


def _about(run: StoredRun) -> list[tuple[str, str]]:
    record = run.record
    about = [
        ("id", record.key.run_id),
        ("by", record.created_by),
        ("started", f"{documents.time_text(record.started_at)} ({displays.age(record.started_at)})"),
        ("took", displays.span(displays.duration_s(record)) + ("" if record.ended_at else " so far")),
    ]
    if record.deleted_at is not None:
        about.append(("deleted", f"{displays.age(record.deleted_at)}; `mlfoundry restore` brings it back"))
    if record.description:
        about.append(("description", record.description))
    if record.error:
        about.append(("error", record.error))
    return about


def _text(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


def _fact(text: str) -> str:
    if "\n" in text:
        return f"{len(text.splitlines())} lines; --json shows them"
    return text if output.width() is None else displays.shortened(text, _FACT_WIDTH)


def _metrics(record: RunRecord) -> str:
    rows = [
        [
            name,
            displays.figure(m.last),
            str(m.last_step),
            displays.figure(m.min),
            displays.figure(m.max),
            f"{m.count:,}",
        ]
        for name, m in sorted(record.metrics.items())
    ]
    headers = ["name", "last", "step", "min", "max", "points"]
    width = output.width()
    table = Grid(headers, rows, [False, *[True] * 5])
    return output.indented(table.chosen([2, 5, 3, 4], None if width is None else width - 2)[0])


# -- several runs --------------------------------------------------------------------------------


@click.command(cls=StoreCommand)
@click.argument("run_names", metavar="RUN RUN...", nargs=-1, required=True)
@click.pass_obj
def compare(session: Session, run_names: tuple[str, ...]) -> None:
    """Put runs side by side.

    Shows the params that differ, and the last value of each metric.

    JSON: {"runs": [{run_id, fqn, status}], "params": {name: [a value a run, null for none]},
    "differing": [names of params], "metrics": {name: [a value a run]}}

    Example:
      mlfoundry compare iris-demo/svm-model iris-demo/tree
    """
    if len(run_names) < 2:
        raise click.UsageError("Give at least two runs to compare.")
    found = session.client.compare_runs(run_names)
    if not session.json:
        output.caption(repr(found).partition("\n")[0])
        _, rows, numeric = found.table()
        headers = ["", *_told_apart(found.runs)]
        output.echo(Grid(headers, rows, numeric, keep=layout.STACKED_LEAST).stacked(1, output.width()))
        return
    output.json_data(
        {
            "runs": [{"run_id": r.run_id, "fqn": r.fqn, "status": r.record.status.value} for r in found.runs],
            "params": {name: documents.value(values) for name, values in found.params.items()},
            "differing": found.differing,
            "metrics": {name: documents.value(values) for name, values in found.metrics.items()},
        }
    )


def _told_apart(runs: Sequence[StoredRun]) -> list[str]:
    """Return the names of runs, with their projects where those differ."""
    projects = {(run.owner, run.project_name) for run in runs}
    if len(projects) == 1:
        return [run.run_name for run in runs]
    if len({owner for owner, _ in projects}) == 1:
        return [f"{run.project_name}/{run.run_name}" for run in runs]
    return [run.fqn for run in runs]
