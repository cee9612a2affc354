"""``mlfoundry server``: run the server of a team, and make its first admin."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from .. import __version__
from ..errors import MissingExtra
from . import keys, output
from .exits import Refused
from .session import Family, PlainCommand, Session, json_option

if TYPE_CHECKING:
    from ..tracking.sweeping import Swept

DATABASE, ARTIFACTS = "MLFOUNDRY_SERVER_DATABASE", "MLFOUNDRY_SERVER_ARTIFACTS"
PORT = 8090
_BASE = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_NEEDED = ("fastapi", "uvicorn", "prometheus_client")


class _ServerFamily(Family):
    command_class = PlainCommand

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(json_option())


def _checked_base(ctx: click.Context, option: click.Parameter, base: str) -> str:  # noqa: ARG001  click's signature
    """Return the path that links begin with, without a slash at its end."""
    base = base.rstrip("/")
    if base and (_BASE.fullmatch(base) is None or {".", ".."} & set(base.split("/"))):
        raise click.BadParameter(f"{base!r} is no path; give one like /mlfoundry, of letters, digits and . _ ~ -")
    return base


def _database(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--database",
        envvar=DATABASE,
        metavar="PLACE",
        help=f"postgresql://USER@HOST/NAME, or the path of a SQLite file; else {DATABASE}, which others cannot see in "
        "the list of processes.",
    )(command)


def _artifacts(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--artifacts",
        envvar=ARTIFACTS,
        metavar="PLACE",
        help="Where the bytes of files lie: a folder, or s3://BUCKET/FOLDER; else "
        f"{ARTIFACTS}, else beside a SQLite file.",
    )(command)


@click.group(cls=_ServerFamily, invoke_without_command=True)
@_database
@_artifacts
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="The port; 0 for any.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="How many processes answer.")
@click.option(
    "--hosts",
    metavar="NAME[,NAME]",
    default="",
    help="The names that clients use for this server; needed where others can reach it. '*' is any.",
)
@click.option(
    "--proxies",
    metavar="ADDRESS[,NETWORK]",
    default="",
    help="Proxies in front, whose X-Forwarded-For is believed, like 10.0.0.0/8; none by default.",
)
@click.option(
    "--base-path",
    default="",
    metavar="PATH",
    callback=_checked_base,
    help="The path below which a proxy has this server, such as /mlfoundry; by default none.",
)
@click.option(
    "--connections",
    type=click.IntRange(1, 1000),
    default=10,
    show_default=True,
    help="How many connections to PostgreSQL each worker holds at most.",
)
@click.option(
    "--partitions",
    type=click.IntRange(0, 1024),
    default=0,
    help="Make PostgreSQL's large tables in so many partitions; counts at the first start alone.",
)
@click.option(
    "--stop-timeout",
    "stop_s",
    type=click.IntRange(0, 3600),
    default=30,
    show_default=True,
    metavar="SECONDS",
    help="How long a stop waits for open requests.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="What is logged: JSON lines on standard error.",
)
@click.pass_context
def server(ctx: click.Context, /, **options: Any) -> None:
    r"""Run the server of a team.

    Makes or migrates its tables, prints where it listens, and answers until it is stopped by SIGTERM or Ctrl-C; open
    requests are answered first. There is no account until you make one. docs/server.md tells how to run it behind
    nginx with TLS.

    JSON, one document once it listens: {"address", "database", "artifacts", "workers", "has_admin"}

    Examples:
      mlfoundry server --database runs.db
      mlfoundry server --database postgresql://mlf@db/mlf --artifacts /srv/mlf \
        --host 0.0.0.0 --hosts runs.example.org --workers 4
      mlfoundry server create-admin ann --database runs.db
    """
    if ctx.invoked_subcommand is None:
        _run(ctx.ensure_object(Session), **options)


def _run(session: Session, *, host: str, port: int, hosts: str, proxies: str, partitions: int, **given: Any) -> None:
    _require_extra()
    from ..server import listening, workers
    from ..server.addresses import Proxies
    from ..server.app import require_base
    from ..store import places
    from ..tracking.accounts import AccountService

    place = _place(given.pop("database"))
    artifacts = _artifacts_place(place, given.pop("artifacts"))
    names = workers.known_hosts(host, _listed(hosts))
    Proxies(_listed(proxies))  # one that is none is told before anything begins
    require_base(given["base_path"])
    database = places.open_database(place, pool_size=1, partitions=partitions)
    try:
        engine = database.describe()["engine"]  # makes or migrates the tables, before anybody is told to come
        has_admin = AccountService(database).has_admin()
    finally:
        database.close()
    places.open_artifacts(artifacts)
    pool_size = given.pop("connections")
    serving = workers.Serving(place, artifacts, names, proxies=_listed(proxies), pool_size=pool_size, **given)
    with listening.listen(host, port) as listener:
        _tell(session, serving, engine, host, listener.getsockname()[1], has_admin=has_admin)
        workers.serve(serving, listener)
    if not session.json:
        output.echo("Stopped; every request that was open has been answered or refused.")


def _require_extra() -> None:
    from importlib.util import find_spec

    for package in _NEEDED:
        if find_spec(package) is None:
            raise MissingExtra(package, "a server (the extra 'server' of MLFoundry)")


def _place(database: str | None) -> str:
    from ..store import places

    if not database:
        raise click.UsageError(f"Give --database or {DATABASE}: postgresql://USER@HOST/NAME, or the path of a file.")
    source = click.get_current_context().get_parameter_source("database")
    if source is click.core.ParameterSource.COMMANDLINE and places.has_password(database):
        output.warn(
            f"the password in --database can be read in the list of processes; use {DATABASE}, or a file ~/.pgpass"
        )
    return database


def _listed(text: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in text.split(",") if each.strip())


def _tell(session: Session, serving: Any, engine: str, host: str, port: int, *, has_admin: bool) -> None:
    from ..loopback import is_loopback
    from ..store import places

    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    database = places.shown(serving.database)
    if session.json:
        told = {"address": address, "database": database, "artifacts": serving.artifacts, "workers": serving.workers}
        output.json_data(told | {"has_admin": has_admin})
        return
    facts = [("database", f"{engine}, {database}"), ("artifacts", serving.artifacts)]
    facts += [("workers", f"{serving.workers}"), ("names", ", ".join(serving.hosts))]
    output.echo(f"MLFoundry {__version__} listens at {output.coloured(address, bold=True)}")
    output.echo(output.pairs(facts))
    if not has_admin:
        output.echo("There is no admin yet. In another terminal, with the same --database:")
        output.echo("  mlfoundry server create-admin NAME")
    output.echo("Each user then runs, where they work:")
    output.echo(output.safe(f"  mlfoundry login {address if is_loopback(host) else f'https://{serving.hosts[0]}'}"))
    if not is_loopback(host):
        output.warn("this server speaks plain http: put a proxy with TLS in front of it, see docs/server.md")
    output.echo("Ctrl-C or SIGTERM stops it. The log follows on standard error, a JSON object a line.")


@server.command("create-admin")
@click.argument("person", metavar="NAME")
@_database
@click.option("--new", is_flag=True, help="Make the database when it is not there yet.")
@click.pass_context
def create_admin(ctx: click.Context, person: str, database: str | None, new: bool) -> None:
    """Make an admin of a server, for whoever has its database.

    Prints the admin's API key, this once. The server need not run. A SQLite file that is not there is made with --new
    alone.

    JSON: {"user", "api_key"}

    Examples:
      mlfoundry server create-admin ann --database runs.db
    """
    from ..store import places
    from ..tracking.accounts import AccountService

    session = ctx.ensure_object(Session)
    place = _place(_inherited(ctx, "database", database))
    if not new and not places.is_postgres(place):
        places.open_made(place).close()
    opened = places.open_database(place, pool_size=1)
    try:
        key = AccountService(opened).create_first_admin(person)
    finally:
        opened.close()
    if session.json:
        output.json_data({"user": person, "api_key": key})
        return
    output.echo(output.safe(f"{person} is an admin of the server now."))
    keys.tell_key(key, person, None)
    output.echo(output.safe("Others are added with: mlfoundry users add NAME --key"))


def _inherited(ctx: click.Context, name: str, given: str | None) -> str | None:
    """Return an option as it stands after the command, else as it stands before it."""
    return given or (ctx.parent.params.get(name) if ctx.parent is not None else None)


@server.command()
@_database
@_artifacts
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def sweep(ctx: click.Context, database: str | None, artifacts: str | None, dry_run: bool, yes: bool) -> None:
    """Remove bytes that no run names any more.

    Those of files that were replaced, of uploads that were given up, and what the deletion of a project left. What was
    written within a day is left alone. Servers may run meanwhile. With --json, --yes or --dry-run must be given.

    JSON: {"files", "size_bytes", "strange_projects", "removed"}

    Examples:
      mlfoundry server sweep --database runs.db --dry-run
    """
    from ..displays import size
    from ..store import places
    from ..tracking.sweeping import Sweep

    session = ctx.ensure_object(Session)
    if session.json and not (yes or dry_run):
        raise click.UsageError("With --json nothing is asked: give --yes, or --dry-run.")
    place = _place(_inherited(ctx, "database", database))
    opened = places.open_made(place)
    try:
        files = places.open_artifacts(_artifacts_place(place, _inherited(ctx, "artifacts", artifacts)))
        found = Sweep(opened, files).run(removes=False)
        if not session.json:
            _tell_found(found)
        removes = bool(found.files) and not dry_run
        if removes and not yes and not click.confirm("Remove them for good?"):
            raise Refused("nothing was removed")
        swept = Sweep(opened, files).run() if removes else found
    finally:
        opened.close()
    if session.json:
        told = {"files": swept.files, "size_bytes": swept.size_bytes, "strange_projects": swept.strange_projects}
        output.json_data(told | {"removed": removes})
    elif removes:
        output.echo(f"Removed {swept.files:,}, {size(swept.size_bytes)}.")


def _tell_found(found: Swept) -> None:
    from ..displays import size

    what = "file that no run names" if found.files == 1 else "files that no run names"
    output.echo(f"{found.files:,} {what}, {size(found.size_bytes)}.")
    if found.strange_projects:
        output.warn(
            f"{found.strange_projects:,} of their projects are not in this database: they were deleted, or they belong "
            "to another server that keeps its files in the same place"
        )


def _artifacts_place(place: str, given: str | None) -> str:
    from ..store import places

    artifacts = given or places.artifacts_beside(place)
    if artifacts is None:
        raise click.UsageError(f"Give --artifacts or {ARTIFACTS}: the folder where the bytes of files shall lie.")
    return artifacts
