"""``mlfoundry keys``: API keys of a server."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from .. import displays
from ..records import ApiKey
from . import documents, output
from .exits import Refused
from .layout import Grid
from .session import Family, Session

if TYPE_CHECKING:
    from ..tracking.people import People

_SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}
_of = click.option("--of", "person", metavar="USER", help="Whose keys; your own by default. Others' need an admin.")


class Lifetime(click.ParamType[float]):
    """A time from now, such as 90d."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds."""
        found = re.fullmatch(r"(\d{1,6})([mhdwy])", str(value).strip())
        if found is None or not int(found[1]):
            self.fail(f"{value!r} is no time; give a number and m, h, d, w or y, such as 90d", param, ctx)
        return float(int(found[1]) * _SECONDS[found[2]])


_expires = click.option(
    "--expires", "expires_in_s", type=Lifetime(), metavar="TIME", help="From when on it is not taken: 12h, 90d, 1y."
)


@click.group(cls=Family)
def keys() -> None:
    """Make, list, rotate and revoke API keys.

    KEY is the number of a key as `mlfoundry keys list` shows it, or as many of its first digits as tell it apart.

    Examples:
      mlfoundry keys create --label laptop --expires 90d
      mlfoundry keys rotate
      mlfoundry keys revoke 7302
      mlfoundry keys revoke 5114 --of bob
    """


@keys.command("list")
@_of
@click.option("--all", "with_gone", is_flag=True, help="Also those that are not taken any more.")
@click.pass_obj
def list_(session: Session, person: str | None, with_gone: bool) -> None:
    """List keys, without what makes them keys.

    JSON: {"keys": [{key_id, user, label, state, created_at, expires_at, revoked_at, last_used_at, is_in_use}]}; in use
    is the key that this was asked with
    """
    people = session.people
    found, own = people.list_keys(person), people.whoami().key
    in_use = None if own is None else own.key_id
    shown = [key for key in found if with_gone or documents.key_state(key) == "active"]
    if session.json:
        told = [documents.api_key(key) | {"is_in_use": key.key_id == in_use} for key in shown]
        output.json_data({"keys": told})
        return
    gone = len(found) - len(shown)
    more = f"; {gone:,} not taken any more, --all shows them" if gone else ""
    output.caption(f"{len(shown):,} key{'s' if len(shown) != 1 else ''}{more}")
    if shown:
        rows = [_row(key, in_use) for key in shown]
        headers = ["key", "label", "state", "made", "used", "expires"]
        output.echo(Grid(headers, rows, [False] * 6, fixed=[0]).chosen([3, 4, 2], output.width())[0])


def _row(key: ApiKey, in_use: int | None) -> list[str]:
    state = documents.key_state(key) + (", in use here" if key.key_id == in_use else "")
    used = "never" if key.last_used_at is None else displays.age(key.last_used_at)
    expires = "never" if key.expires_at is None else _when(key.expires_at)
    return [str(key.key_id), key.label, state, displays.age(key.created_at), used, expires]


def _when(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M UTC")


@keys.command()
@_of
@click.option("--label", default="", metavar="TEXT", help="What you call it.")
@_expires
@click.pass_obj
def create(session: Session, person: str | None, label: str, expires_in_s: float | None) -> None:
    """Make a key; it is shown this once.

    JSON: {"key": {key_id, user, label, …, "api_key": the key itself}}
    """
    tell_new(session, *session.people.create_key(person, label=label, expires_in_s=expires_in_s))


@keys.command()
@click.argument("key", metavar="[KEY]", required=False)
@_of
@click.pass_obj
def rotate(session: Session, key: str | None, person: str | None) -> None:
    """Make a key in place of another, which is not taken any more.

    Label and expiry stay. Without KEY it is the key that this account is logged in with, and the new one is kept in
    its place.

    JSON: {"key": {key_id, user, label, …, "api_key": the key itself}}
    """
    people = session.people
    if key is not None:
        tell_new(session, *people.rotate_key(_chosen(people, key, person).key_id, person))
        return
    if person is not None:
        raise click.UsageError("Give the KEY of --of USER that is to be rotated.")
    _rotate_own(session, people)


def _rotate_own(session: Session, people: People) -> None:
    from .. import login

    settings = session.settings
    host, kept = settings.tracking_uri, login.kept()
    own = people.whoami().key
    if own is None or kept.key(host) != settings.api_key:
        raise Refused(f"this account is not logged in to {host} with the key that is used; give the KEY to rotate")
    # The new one is kept before the old one goes: an answer that is lost on its way locks nobody out.
    left_s = None if own.expires_at is None else (own.expires_at - datetime.now(UTC)).total_seconds()
    new, record = people.create_key(label=own.label, expires_in_s=left_s)
    kept.keep(host, api_key=new, user=record.user)
    people.revoke_key(own.key_id)
    if session.json:
        output.json_data({"key": documents.api_key(record)})
    else:
        output.echo(output.safe(f"The key of {record.user} on {host} is a new one now, and is kept in {kept.path}."))


@keys.command()
@click.argument("key", metavar="KEY")
@_of
@click.pass_obj
def revoke(session: Session, key: str, person: str | None) -> None:
    """Take a key no more, at once and for good.

    JSON: {"revoked": key_id}
    """
    people = session.people
    chosen = _chosen(people, key, person)
    people.revoke_key(chosen.key_id, person)
    if session.json:
        output.json_data({"revoked": chosen.key_id})
    else:
        label = f" ({chosen.label})" if chosen.label else ""
        output.echo(output.safe(f"Key {chosen.key_id}{label} of {chosen.user} is revoked."))


def _chosen(people: People, text: str, person: str | None) -> ApiKey:
    """Return the key that is meant by its number or the beginning of it."""
    found = [key for key in people.list_keys(person) if str(key.key_id).startswith(text.strip())]
    exact = [key for key in found if str(key.key_id) == text.strip()]
    living = [key for key in found if documents.key_state(key) == "active"]
    for choice in (exact, living, found):
        if len(choice) == 1:
            return choice[0]
    if text.startswith("mlf_"):
        raise Refused("give the number of the key and not the key itself, which should stand in no command line")
    whose = f"{person!r} has" if person else "you have"
    if not found and person:
        raise Refused(f"{whose} no key {text!r}; mlfoundry keys list --of {shlex.quote(person)} shows those there are")
    if not found:
        raise Refused(
            f"{whose} no key {text!r}; mlfoundry keys list shows yours. Of another's (admins may): add --of USER"
        )
    raise Refused(f"{whose} {len(found)} keys that begin with {text}; give more digits")


def tell_new(session: Session, key: str, record: ApiKey) -> None:
    """Print a new key, this once, and what to do with it."""
    if session.json:
        output.json_data({"key": documents.api_key(record) | {"api_key": key}})
        return
    place = session.settings.tracking_uri
    tell_key(key, record.user, place, expires_at=record.expires_at)


def tell_key(key: str, user: str, place: str | None, *, expires_at: datetime | None = None) -> None:
    """Print a key and how it is used."""
    output.echo(output.safe(f"The API key of {user}, shown this once:"))
    output.echo(f"\n  {output.coloured(key, bold=True)}\n")
    if expires_at is not None:
        left_d = (expires_at - datetime.now(UTC)).total_seconds() / 86400
        output.echo(f"It is taken until {_when(expires_at)} ({left_d:.1f} days from now).")
    output.echo(output.safe(f"{user} runs: mlfoundry login {place or 'https://…'}   and enters the key when asked,"))
    output.echo("or sets MLFOUNDRY_API_KEY where nobody can be asked. It cannot be shown again, only replaced.")
