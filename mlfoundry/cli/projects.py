"""``mlfoundry projects``."""

from __future__ import annotations

import click

from . import documents, output
from .session import Session, StoreCommand


@click.command(cls=StoreCommand)
@click.pass_obj
def projects(session: Session) -> None:
    """List the projects that you may see.

    The one with the newest run comes first.

    JSON: {"projects": [{owner, name, created_at, permission, runs, running, last_run_at, collaborators}]}
    """
    found = session.client.list_projects()
    if session.json:
        output.json_data({"projects": [documents.project(record) for record in found]})
    elif found:
        output.echo(output.lines(repr(found)))
    else:
        output.echo("No projects yet. A project is made with its first run: client.create_run('my-project')")
