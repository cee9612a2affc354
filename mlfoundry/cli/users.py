"""``mlfoundry users``: the users of a server."""

from __future__ import annotations

import shlex

import click

from ..records import Account
from . import documents, keys, output
from .exits import Refused
from .layout import Grid
from .session import Family, Session


@click.group(cls=Family)
def users() -> None:
    """List, add and change users of a server.

    Needs an admin of the server. An admin manages users and keys; that gives no right on any project.

    Examples:
      mlfoundry users add bob --key
      mlfoundry users disable bob
    """


@users.command("list")
@click.pass_obj
def list_(session: Session) -> None:
    """List all users.

    JSON: {"users": [{user, is_admin, created_at, disabled_at}]}
    """
    found = session.people.list_users()
    if session.json:
        output.json_data({"users": [documents.account(account) for account in found]})
        return
    output.caption(f"{len(found):,} user{'s' if len(found) != 1 else ''}")
    rows = [[each.user, "admin" if each.is_admin else "", _state(each), _day(each)] for each in found]
    headers = ["user", "", "state", "since"]
    output.echo(Grid(headers, rows, [False] * 4).chosen([3], output.width())[0])


def _state(account: Account) -> str:
    return "active" if account.disabled_at is None else "disabled"


def _day(account: Account) -> str:
    return str(documents.time_text(account.created_at))[:10]


@users.command()
@click.argument("person", metavar="USER")
@click.option("--admin", is_flag=True, help="Make an admin of the server.")
@click.option("--key", "with_key", is_flag=True, help="Make a first key as well, to be handed over.")
@click.pass_obj
def add(session: Session, person: str, admin: bool, with_key: bool) -> None:
    """Add a user.

    JSON: {"user": {user, is_admin, …}, "key": {key_id, …, api_key} or null}
    """
    made = session.people.create_user(person, is_admin=admin)
    key = session.people.create_key(made.user, label="first key") if with_key else None
    if session.json:
        told = None if key is None else documents.api_key(key[1]) | {"api_key": key[0]}
        output.json_data({"user": documents.account(made), "key": told})
        return
    output.echo(output.safe(f"{made.user} is a user of this server now."))
    if key is not None:
        keys.tell_new(session, *key)
    else:
        output.echo(output.safe(f"A key for {made.user}: mlfoundry keys create --of {shlex.quote(made.user)}"))


def _ask_about_oneself(session: Session, person: str, *, yes: bool, what: str, then: str) -> None:
    """Ask before somebody does to themselves what only another admin can undo."""
    if yes or session.people.whoami().user != person:
        return
    if session.json:
        raise click.UsageError(f"{person} is you, and with --json nothing is asked: give --yes to {what} yourself.")
    if not click.confirm(output.safe(f"{person} is you. {then}; only another admin can undo it. Go on?")):
        raise Refused("nothing was changed")


def _changing(name: str, purpose: str, told: str, *, then: str | None = None, **change: bool) -> None:
    """Add a command that changes one thing of a user.

    Args:
        name: The command.
        purpose: Its help.
        told: What is said when it is done, with a place for the user.
        then: What comes of it for those who do it to themselves, who are asked before; None asks nobody.
        change: What is changed, as `People.change_user` takes it.
    """

    def change_user(session: Session, person: str, yes: bool = False) -> None:
        """Change one thing of a user and say so."""
        if then is not None:
            _ask_about_oneself(session, person, yes=yes, what=name, then=then)
        changed = session.people.change_user(person, **change)
        if session.json:
            output.json_data({"user": documents.account(changed)})
        else:
            output.echo(output.safe(told.format(changed.user)))

    command = click.pass_obj(change_user)
    if then is not None:
        command = click.option("--yes", is_flag=True, help="Do not ask.")(command)
        purpose += f" Who would {name} themselves is asked; with --json, --yes must be given for that."
    help_text = f'{purpose}\n\nJSON: {{"user": {{user, is_admin, created_at, disabled_at}}}}'
    users.command(name, help=help_text)(click.argument("person", metavar="USER")(command))


_changing(
    "disable",
    "Take none of a user's keys any more, at once.\n\nWhat the user logged stays, and so do the user's permissions.",
    "{} is disabled: none of their keys is taken any more.",
    then="None of your keys is taken then",
    is_disabled=True,
)
_changing("enable", "Take a disabled user's keys again.", "{} is enabled again.", is_disabled=False)
_changing("promote", "Make a user an admin of the server.", "{} is an admin of the server now.", is_admin=True)
_changing(
    "demote",
    "Make a user no admin of the server any more.\n\nThe last admin stays one.",
    "{} is no admin of the server any more.",
    then="You manage no users then",
    is_admin=False,
)
