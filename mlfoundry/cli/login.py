"""``mlfoundry login``, ``mlfoundry logout`` and ``mlfoundry whoami``."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from . import documents, output
from .exits import Refused
from .session import PlainCommand, Session, StoreCommand

if TYPE_CHECKING:
    from ..login import Login

_STRONGER = ("MLFOUNDRY_TRACKING_URI", "MLFOUNDRY_HOST", "MLFOUNDRY_API_KEY")


@click.command(cls=PlainCommand)
@click.argument("host", required=False)
@click.pass_obj
def login(session: Session, host: str | None) -> None:
    """Log in to a server with an API key.

    HOST is its address, https:// when it does not say and is not this machine; the server of the settings when not
    given. The key is asked for without echo, or read from standard input. The server is asked whether it takes the
    key, then it is kept in a file that only this account can read, and the server is used from now on.

    JSON: {"host", "user", "is_admin", "expires_at"}

    Examples:
      mlfoundry login https://runs.example.org
      mlfoundry login runs.example.org < key.txt
    """
    from .. import login as logins

    address = logins.host_to_log_in_to(host)
    if logins.is_open_to_others(address):
        output.warn(f"{address} is not encrypted: whoever is on the way can read the key. Use https:// if you can.")
    done = logins.log_in(address, _key(address))
    if session.json:
        output.json_data(_document(done))
        return
    admin = ", an admin of the server" if done.is_admin else ""
    output.echo(output.safe(f"Logged in to {done.host} as {done.user}{admin}."))
    if done.expires_at is not None:
        output.echo(f"The key expires on {documents.time_text(done.expires_at)}.")
    output.echo(f"The key is kept in {logins.kept().path}; runs go to this server from now on.")
    for name in _STRONGER:
        if os.environ.get(name):
            output.warn(f"{name} is set and counts more than this login where it says something else.")


def _key(address: str) -> str:
    if not sys.stdin.isatty():
        key = sys.stdin.readline(1000).strip()
        if not key:
            raise Refused("standard input holds no key; pipe one in, or run this in a terminal to be asked for it")
        return key
    key = click.prompt(output.safe(f"API key for {address}"), hide_input=True, err=True)
    return str(key).strip()


def _document(done: Login) -> dict[str, object]:
    return {
        "host": done.host,
        "user": done.user,
        "is_admin": done.is_admin,
        "expires_at": documents.time_text(done.expires_at),
    }


@click.command(cls=PlainCommand)
@click.argument("host", required=False)
@click.option("--revoke", is_flag=True, help="Have the server revoke the key first, so that no copy of it is taken.")
@click.pass_obj
def logout(session: Session, host: str | None, revoke: bool) -> None:
    """Forget the key of a server.

    HOST is its address; the server of the settings when not given.

    JSON: {"host", "was_logged_in", "revoked"}
    """
    from .. import login as logins

    address = logins.host_to_log_in_to(host)
    if revoke and (key := logins.kept().key(address)) is not None:
        _revoke(address, key)
    was_logged_in = logins.kept().forget(address)
    if session.json:
        output.json_data({"host": address, "was_logged_in": was_logged_in, "revoked": was_logged_in and revoke})
    elif not was_logged_in:
        output.echo(output.safe(f"This account was not logged in to {address}; nothing was done."))
    else:
        rest = "is revoked and forgotten." if revoke else "is forgotten here; the server still takes it elsewhere."
        output.echo(output.safe(f"Logged out of {address}. The key {rest}"))


def _revoke(address: str, key: str) -> None:
    from ..tracking.http import HttpBackend
    from ..tracking.people import People

    people = People(HttpBackend(address, key))
    own = people.whoami().key
    if own is None:
        raise Refused(f"{address} does not say which key this is; revoke it with mlfoundry keys revoke")
    people.revoke_key(own.key_id)


@click.command(cls=StoreCommand)
@click.pass_obj
def whoami(session: Session) -> None:
    """Say who you are, and where.

    Asks the server; in a folder of this machine it is your own word.

    JSON: {"place", "is_server", "user", "is_admin", "key": {key_id, label, expires_at} or null}
    """
    settings = session.settings
    if not settings.is_server:
        _tell_folder(session)
        return
    caller = session.people.whoami()
    key = caller.key
    if session.json:
        told = None if key is None else documents.api_key(key)
        output.json_data(
            {
                "place": settings.tracking_uri,
                "is_server": True,
                "user": caller.user,
                "is_admin": caller.is_admin,
                "key": told,
            }
        )
        return
    facts = [("user", caller.user), ("server", settings.tracking_uri)]
    facts += [("admin", "of the server")] if caller.is_admin else []
    if key is not None:
        expires = documents.time_text(key.expires_at) or "never"
        facts += [("key", f"{key.key_id} {key.label}".strip()), ("expires", expires)]
    output.echo(output.pairs(facts))


def _tell_folder(session: Session) -> None:
    settings = session.settings
    if session.json:
        output.json_data(
            {
                "place": str(settings.folder),
                "is_server": False,
                "user": settings.user,
                "is_admin": False,
                "key": None,
            }
        )
    else:
        output.echo(output.pairs([("user", settings.user), ("folder", str(settings.folder))]))
