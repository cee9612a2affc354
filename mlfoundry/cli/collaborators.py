"""``mlfoundry collaborators``: who may do what in a project."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from ..records import Permission
from . import documents, output
from .layout import Grid
from .session import Family, Session

_LEVELS = [level.name for level in Permission]


def _permission(**more: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(
        "--permission",
        type=click.Choice(_LEVELS, case_sensitive=False),
        help="READ sees the project, WRITE also logs, ADMIN also manages collaborators and deletes.",
        **more,
    )


@click.group(cls=Family)
def collaborators() -> None:
    """Show and change who may do what.

    Examples:
      mlfoundry collaborators list iris-demo
      mlfoundry collaborators add iris-demo bob --permission WRITE
      mlfoundry collaborators remove iris-demo bob
    """


@collaborators.command("list")
@click.argument("project")
@click.pass_obj
def list_(session: Session, project: str) -> None:
    """List who has access to PROJECT.

    JSON: {"collaborators": [{user, permission, is_owner, added_at}]}
    """
    found = session.client.list_collaborators(project)
    if session.json:
        output.json_data({"collaborators": [documents.collaborator(record) for record in found]})
    else:
        output.caption(repr(found).partition("\n")[0])
        output.echo(Grid(*found.table()).chosen([3], output.width())[0])


@collaborators.command()
@click.argument("project")
@click.argument("person", metavar="USER")
@_permission(default="READ", show_default=True)
@click.pass_obj
def add(session: Session, project: str, person: str, permission: str) -> None:
    """Give USER access to PROJECT.

    Needs ADMIN.

    JSON: {"project", "user", "permission"}
    """
    session.client.add_collaborator(project, person, permission)
    _tell(session, project, person, permission, f"{person} has {permission.upper()} on {project} now.")


@collaborators.command("set")
@click.argument("project")
@click.argument("person", metavar="USER")
@_permission(required=True)
@click.pass_obj
def set_(session: Session, project: str, person: str, permission: str) -> None:
    """Change what USER may do in PROJECT.

    Needs ADMIN.

    JSON: {"project", "user", "permission"}
    """
    session.client.set_permission(project, person, permission)
    _tell(session, project, person, permission, f"{person} has {permission.upper()} on {project} now.")


@collaborators.command()
@click.argument("project")
@click.argument("person", metavar="USER")
@click.pass_obj
def remove(session: Session, project: str, person: str) -> None:
    """Take the access of USER away.

    Needs ADMIN on PROJECT, or is about yourself. What USER logged stays.

    JSON: {"project", "user", "permission": null}
    """
    session.client.remove_collaborator(project, person)
    _tell(session, project, person, None, f"{person} has no access to {project} any more.")


def _tell(session: Session, project: str, person: str, permission: str | None, text: str) -> None:
    if session.json:
        level = None if permission is None else permission.upper()
        output.json_data({"project": project, "user": person, "permission": level})
    else:
        output.echo(output.safe(text))
