"""``mlfoundry push``: carry a project of this machine to a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .. import displays
from . import output
from .exits import Refused
from .session import Session, StoreCommand

if TYPE_CHECKING:
    from ..client import Client
    from ..push import Pushed
    from ..records import ProjectRecord


@click.command(cls=StoreCommand)
@click.argument("project")
@click.option("--to", "host", metavar="HOST", help="The server; by default that of MLFOUNDRY_HOST or of the login.")
@click.option("--as", "name", metavar="NAME", help="Its name there, or owner/name; the same name under you by default.")
@click.option("--no-deleted", is_flag=True, help="Leave out runs that are deleted here.")
@click.pass_obj
def push(session: Session, project: str, host: str | None, name: str | None, no_deleted: bool) -> None:
    """Carry a project to a server, with its whole history.

    PROJECT lies in a folder: --uri, else MLFOUNDRY_HOME or the usual place. It is copied; nothing changes here. There
    it belongs to you: runs with their ids, names, times, statuses, params, tags, all points of metrics and of system
    metrics, facts, errors and files. When it is broken off, run it again: nothing is sent twice, nothing is missing.
    Run later, it brings what is new: points, files, and tags, descriptions and names that were edited here. What was
    edited on the server stays, also where both were, and then it is said. Runs that still run are left out; exit code
    1 when any run was.

    JSON: {"project", "server", "runs", "present", "points", "files", "size_bytes", "renamed": {here: there},
    "kept": [{"run", "what"}], "left_out": [{"run", "reason"}]}

    Examples:
      mlfoundry push iris-demo
      mlfoundry push iris-demo --to https://runs.example.org --as bob/iris-demo
    """
    from .. import push as pushing
    from ..tracking.embedded import EmbeddedBackend

    target = _target(host)
    source = _source(session)
    try:
        backend = source.backend
        assert isinstance(backend, EmbeddedBackend)
        record = source.get_project(project)
        owner, new_name = _place(name)
        with output.progress(
            f"Pushing {output.safe(record.name)}", pushing.size_bytes(backend, record), quiet=session.json
        ) as bar:
            pushed = pushing.push(
                backend,
                record,
                target.backend,
                owner=owner,
                name=new_name,
                with_deleted=not no_deleted,
                unfinished=_unfinished(source),
                progress=bar.update,
            )
        others = len(source.list_collaborators(record.name, record.owner)) - 1
    finally:
        source.close()
        target.close()
    _tell(session, record, target.settings.tracking_uri, pushed, others)
    if pushed.left_out:
        click.get_current_context().exit(1)


def _source(session: Session) -> Client:
    """Return the client of the folder."""
    from ..credentials import is_address
    from ..settings import resolve

    if session.uri is not None and is_address(session.uri):
        raise click.UsageError("--uri is where the project lies, a folder; --to says which server it goes to.")
    settings = resolve(user=session.user)
    place = session.uri or (str(settings.home) if settings.is_server else settings.tracking_uri)
    inner = Session(json=session.json)
    inner.uri, inner.user = place, session.user
    return inner.client  # refuses a folder without a store


def _target(host: str | None) -> Client:
    """Return the client of the server."""
    from ..client import Client
    from ..login import host_to_log_in_to
    from ..settings import resolve

    known = host_to_log_in_to(host, source="--to", how="log in with mlfoundry login HOST, or name one with --to, like")
    return Client(resolve(tracking_uri=known))


def _place(name: str | None) -> tuple[str | None, str | None]:
    if name is None:
        return None, None
    owner, slash, plain = name.rpartition("/")
    if "/" in owner:
        raise Refused(f"--as is {name!r}; give NAME or owner/NAME")
    return (owner if slash else None), plain


def _unfinished(source: Client) -> Any:
    """Return what tells why a run must not go yet: something of it lies in journals."""
    from .journals import pending

    waiting = {journal.run_id: journal for journal in pending(source.settings.journal_roots()) if not journal.parked}

    def reason(run_id: str) -> str:
        journal = waiting.get(run_id)
        if journal is None:
            return ""
        if journal.living is True:
            return "a process still logs to it; push again when that has ended"
        return "something of it is not stored yet; run mlfoundry sync first"

    return reason


def _tell(session: Session, record: ProjectRecord, server: str, pushed: Pushed, others: int) -> None:
    there = f"{pushed.owner}/{pushed.name}"
    if session.json:
        names = ("runs", "present", "points", "files", "size_bytes", "renamed")
        left_out = [{"run": run, "reason": reason} for run, reason in pushed.left_out]
        counts = {name: getattr(pushed, name) for name in names}
        kept = [{"run": run, "what": list(what)} for run, what in pushed.kept]
        output.json_data({"project": there, "server": server, **counts, "kept": kept, "left_out": left_out})
        return
    told = f"{output.counted(pushed.runs, 'run')} pushed"
    if pushed.runs:
        size = displays.size(pushed.size_bytes)
        told += f", with {output.counted(pushed.points, 'point')} and {output.counted(pushed.files, 'file')} ({size})"
    if pushed.present:
        told += f"; {pushed.present:,} {'was' if pushed.present == 1 else 'were'} there already"
    output.caption(f"{record.owner}/{record.name} to {there} on {server}: {told}")
    for here, name in pushed.renamed.items():
        output.echo(output.safe(f"  {here} is {name} there, because the name was taken"))
    for run, what in pushed.kept:
        both = f"{', '.join(what)} changed here and there since the last push"
        output.echo(output.safe(f"  {run}: {both}; what is there stays"))
    if others and pushed.runs:
        output.echo(
            f"  {output.counted(others, 'collaborator')} did not go along: mlfoundry collaborators add, with their "
            "names there"
        )
    for run, reason in pushed.left_out:
        output.warn(f"left out: {run}: {reason}")
