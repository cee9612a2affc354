"""``mlfoundry runs``, ``show`` and ``compare``."""

from __future__ import annotations

from itertools import islice
from typing import Any

import click

from .. import displays
from ..records import RunRecord
from ..stored_run import StoredRun
from . import columns as column_list
from . import documents, output
from .session import Session, StoreCommand

PAGE = 1000
_FACT_WIDTH = 100


@click.command(cls=StoreCommand)
@click.argument("project")
@click.option("--filter", "where", default="", metavar="FILTER", help="Only runs that match, as MLflow writes it.")
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
      mlfoundry runs iris-demo --filter "metrics.loss < 0.1 and params.kernel = 'rbf'" --order "metrics.loss asc"
      mlfoundry runs bob/iris-demo --columns "run_name, status, min(metrics.loss), params.C"
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
    caption = _caption(project, records, more=more, where=where, view=view)
    if wanted:
        output.echo(output.status_coloured(wanted.table(records, caption)))
    else:
        output.echo(output.status_coloured(displays.runs_text(records, caption)))
    if view != "active" and records and not wanted:
        output.section("Ids, for `mlfoundry restore`", _ids(records))


def _caption(project: str, records: list[RunRecord], *, more: bool, where: str, view: str) -> str:
    kind = {"active": "", "deleted": "deleted ", "all": ""}[view]
    matching = " that match" if where else ""
    if not records:
        return output.safe(f"No {kind}runs of {project}{matching}")
    if more:
        return output.safe(f"The first {len(records)} {kind}runs of {project}{matching}; --limit 0 shows all")
    return output.safe(f"{len(records):,} {kind}run{'s' if len(records) != 1 else ''} of {project}{matching}")


def _ids(records: list[RunRecord]) -> str:
    deleted = [record for record in records if record.deleted_at is not None]
    rows = [[record.key.run_id, record.run_name, f"deleted {displays.age(record.deleted_at)}"] for record in deleted]
    return displays.text_table(["id", "run", ""], rows) if rows else "none of them is deleted"


# -- one run -------------------------------------------------------------------------------------


@click.command(cls=StoreCommand)
@click.argument("run")
@click.pass_obj
def show(session: Session, run: str) -> None:
    """Show all that is known of RUN.

    Its params, metrics, tags, error, surroundings and files. RUN is an id, owner/project/run, or project/run. Long
    facts are cut; --json has all of them.

    JSON: {"run": {run_id, owner, project, name, fqn, status, created_by, started_at, ended_at, duration_s,
    description, error, deleted_at, params, param_types, metrics: {name: {last, last_step, last_at, min, max, count}},
    tags, facts, artifacts: [{path, size_bytes, sha256, created_at}]}}

    Examples:
      mlfoundry show iris-demo/svm-model
      mlfoundry show 3f9a0c1e5b7d4e8f9a0b1c2d3e4f5a6b --json | jq .run.metrics.loss.min
    """
    found = session.client.get_run(run)
    facts, files = found.get_facts(), found.list_artifacts()
    record = found.record
    if session.json:
        document = documents.run(record)
        document["facts"] = facts
        document["artifacts"] = [documents.artifact(each) for each in files]
        output.json_data({"run": document})
        return
    output.echo(output.status_coloured(f"{displays.status_text(record.status)}  {output.safe(found.fqn)}"))
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
        output.section("Artifacts", output.indented(repr(files).partition("\n")[2]))


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
    return displays.shortened(text, _FACT_WIDTH)


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
    return output.indented(displays.text_table(headers, rows, [False, *[True] * 5]))


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
        output.echo(repr(found))
        return
    output.json_data(
        {
            "runs": [{"run_id": r.run_id, "fqn": r.fqn, "status": r.record.status.value} for r in found.runs],
            "params": {name: documents.value(values) for name, values in found.params.items()},
            "differing": found.differing,
            "metrics": {name: documents.value(values) for name, values in found.metrics.items()},
        }
    )
