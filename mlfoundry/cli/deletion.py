"""``mlfoundry delete`` and ``mlfoundry restore``."""

from __future__ import annotations

import click

from .. import suggestions
from ..errors import InvalidName, RunNotFound
from ..runs.stored_run import StoredRun
from . import documents, output
from .exits import Refused
from .session import Session, StoreCommand


@click.command(cls=StoreCommand)
@click.argument("run_names", metavar="[RUN]...", nargs=-1)
@click.option("--project", metavar="PROJECT", help="Delete a whole project with all its runs and files, for good.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def delete(session: Session, run_names: tuple[str, ...], project: str | None, yes: bool) -> None:
    """Delete runs, or a whole project.

    A deleted run is hidden and its name is free; `mlfoundry restore` brings it back. A deleted project is gone for
    good. With --json, --yes must be given.

    JSON: {"deleted": [{run_id, fqn}]} or {"deleted_project": {owner, name, runs}}

    Examples:
      mlfoundry delete iris-demo/svm-model iris-demo/svm-model-2
      mlfoundry delete --project iris-demo
    """
    if bool(run_names) == (project is not None):
        raise click.UsageError("Give the runs to delete, or --project PROJECT, and not both.")
    if session.json and not yes:
        raise click.UsageError("With --json nothing is asked: give --yes.")
    if project is not None:
        _delete_project(session, project, yes=yes)
    else:
        _delete_runs(session, run_names, yes=yes)


def _delete_runs(session: Session, names: tuple[str, ...], *, yes: bool) -> None:
    found = {run.run_id: run for run in map(session.client.get_run, names)}  # all of them, before any is deleted
    if not yes:
        output.echo("\n".join(f"  {output.safe(run.fqn)}  {run.run_id}" for run in found.values()))
        _ask(f"Delete {output.counted(len(found), 'run')}? `mlfoundry restore` can bring them back.")
    for run in found.values():
        run.delete()
    if session.json:
        output.json_data({"deleted": [{"run_id": run.run_id, "fqn": run.fqn} for run in found.values()]})
        return
    output.echo(f"{output.counted(len(found), 'run')} deleted. To bring back:")
    for run in found.values():
        output.echo(f"  mlfoundry restore {run.run_id}  # {output.safe(run.fqn)}")


def _delete_project(session: Session, name: str, *, yes: bool) -> None:
    record = session.client.get_project(name)
    fqn = f"{record.owner}/{record.name}"
    if not yes:
        running = f", {record.running_count} of them still running," if record.running_count else ""
        runs = output.counted(record.run_count, "run")
        _ask(
            output.safe(f"Delete {fqn} with its {runs}{running} and all their files for good? Nothing brings it back.")
        )
    session.client.delete_project(record.name, record.owner)
    if session.json:
        gone = {"owner": record.owner, "name": record.name, "runs": record.run_count}
        output.json_data({"deleted_project": gone})
    else:
        output.echo(output.safe(f"{fqn} and its {output.counted(record.run_count, 'run')} are gone for good."))


def _ask(question: str) -> None:
    if not click.confirm(question):
        raise Refused("nothing was deleted")


@click.command(cls=StoreCommand)
@click.argument("run")
@click.pass_obj
def restore(session: Session, run: str) -> None:
    """Bring a deleted run back.

    It gets a suffix when its name was taken meanwhile. RUN is its id, or its name when only one deleted run had
    that. `mlfoundry runs PROJECT --view deleted` shows what can come back.

    JSON: {"run": {run_id, fqn, …}} as `mlfoundry show` prints it
    """
    found = _deleted(session, run)
    was_deleted = found.record.deleted_at is not None
    found.restore()
    if session.json:
        output.json_data({"run": documents.run(found.record)})
    elif was_deleted:
        output.echo(output.safe(f"{found.fqn} is back."))
    else:
        output.echo(output.safe(f"{found.fqn} was not deleted; nothing was done."))


def _deleted(session: Session, run: str) -> StoredRun:
    """Return a deleted run by its id or name, or the run of that name that was never deleted."""
    *place, name = run.strip().split("/")
    if not place:
        return session.client.get_run(run)
    if len(place) > 2:
        raise InvalidName(f"{run!r} has {len(place) + 1} parts; give owner/project/run or an id")
    owner = place[0] if len(place) == 2 else None
    quoted = "'" + name.replace("'", "''") + "'"
    found = session.client.search_runs(place[-1], f"run_name = {quoted}", owner=owner, view="deleted", page_size=20)
    if len(found) == 1:
        return found[0]
    if len(found) > 1:
        ids = ", ".join(each.run_id for each in found)
        raise Refused(f"{len(found)} deleted runs have the name {run!r}; give the id of one: {ids}")
    try:
        return session.client.get_run(run)
    except RunNotFound:
        near = suggestions.runs(session.client.backend, owner, place[-1], name, view="deleted")
        meant = suggestions.sentence("/".join([*place, each]) for each in near)
        shown = f"`mlfoundry runs {place[-1]} --view deleted` shows those there are"
        raise RunNotFound(f"there is no deleted run {run!r}; {shown}.{meant}") from None
