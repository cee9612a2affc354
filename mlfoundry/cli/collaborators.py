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


def _permission(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command take a permission, as its last argument or as an option."""
    levels = click.Choice(_LEVELS, case_sensitive=False)
    told = "READ sees the project, WRITE also logs, ADMIN also manages collaborators and deletes."
    argument = click.argument("level", metavar="[PERMISSION]", required=False, type=levels)
    return argument(click.option("--permission", type=levels, help=told)(command))


def _level(level: str | None, permission: str | None) -> str | None:
    """Return the permission that was given in either way.

    Raises:
        click.UsageError: Two were given.
    """
    if level and permission and level != permission:
        raise click.UsageError(f"Give one permission, and not {level} and {permission}.")
    return level or permission


@click.group(cls=Family)
def collaborators() -> None:
    """Show and change who may do what.

    Examples:
      mlfoundry collaborators list iris-demo
      mlfoundry collaborators add iris-demo bob WRITE
      mlfoundry collaborators set iris-demo bob READ
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
@_permission
@click.pass_obj
def add(session: Session, project: str, person: str, level: str | None, permission: str | None) -> None:
    """Give USER access to PROJECT.

    PERMISSION is READ, WRITE or ADMIN; READ when not given. Needs ADMIN.

    JSON: {"project", "user", "permission"}
    """
    permission = _level(level, permission) or "READ"
    session.client.add_collaborator(project, person, permission)
    _tell(session, project, person, permission, f"{person} has {permission.upper()} on {project} now.")


@collaborators.command("set")
@click.argument("project")
@click.argument("person", metavar="USER")
@_permission
@click.pass_obj
def set_(session: Session, project: str, person: str, level: str | None, permission: str | None) -> None:
    """Change what USER may do in PROJECT.

    PERMISSION is READ, WRITE or ADMIN. Needs ADMIN.

    JSON: {"project", "user", "permission"}
    """
    permission = _level(level, permission)
    if permission is None:
        raise click.UsageError(f"Missing the permission: give one of {', '.join(_LEVELS)}.")
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
