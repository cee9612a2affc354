"""``mlfoundry projects``."""

from __future__ import annotations

import click

from ..results import ProjectList
from . import documents, output
from .layout import Grid
from .session import Session, StoreCommand


@click.command(cls=StoreCommand)
@click.pass_obj
def projects(session: Session) -> None:
    """List the projects that you may see.

    The one with the newest run comes first.

    JSON: {"projects": [{owner, name, created_at, permission, runs, running, last_run_at, collaborators}]}
    """
    found = ProjectList() if session.is_new else session.client.list_projects()
    if session.json:
        output.json_data({"projects": [documents.project(record) for record in found]})
    elif found:
        output.caption(repr(found).partition("\n")[0])
        output.echo(Grid(*found.table()).chosen([4, 2, 5, 3], output.width())[0])
    else:
        where = f" (there is no store at {session.settings.folder})" if session.is_new else ""
        output.caption(f"No projects yet{where}. A project is made with its first run: client.create_run('my-project')")
