"""What one call of the command line works with: the options of every command, the client, held-back warnings."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from .. import suggestions
from ..errors import InvalidSetting
from ..names import alike
from . import output

if TYPE_CHECKING:
    from ..client import Client
    from ..settings import Settings
    from ..tracking.people import People


class NoStore(click.ClickException):
    """The place that was given holds no store; the command line only ever reads or changes one that is there."""

    exit_code = 1


class NoServer(click.ClickException):
    """The command is about a server, and runs are kept in a folder."""

    exit_code = 1


class Session:
    """The options that every command takes, and what is made from them when it is needed.

    Attributes:
        uri: What ``--uri`` says, None when it is not given.
        user: What ``--user`` says, None when it is not given.
        json: Whether data and errors are printed as JSON.
        warnings: What the library warned of; printed at once as text, at the end as JSON.
    """

    def __init__(self, *, json: bool = False) -> None:
        self.uri: str | None = None
        self.user: str | None = None
        self.json = json
        self.warnings: list[str] = []
        self._client: Client | None = None

    @property
    def settings(self) -> Settings:
        """The settings, as a client would resolve them.

        Raises:
            InvalidSetting: One cannot be used.
        """
        from ..settings import resolve

        return resolve(tracking_uri=self.uri, user=self.user)

    @property
    def client(self) -> Client:
        """The client; made when a command asks for it first.

        Raises:
            NoStore: There is no store; nothing is made.
        """
        if self._client is None:
            from ..client import Client

            settings = self.settings
            if not _has_store(settings):
                raise NoStore(
                    f"there is no store at {settings.folder}. Is the place right? `mlfoundry doctor` says where it "
                    "comes from; a store is made with its first run: client.create_run('my-project')"
                )
            self._client = Client(settings)
        return self._client

    @property
    def people(self) -> People:
        """Users and keys of the server.

        Raises:
            NoServer: Runs are kept in a folder, which has none.
        """
        from ..tracking.http import HttpBackend
        from ..tracking.people import People

        if not self.settings.is_server:
            raise NoServer(
                f"runs are kept in the folder {self.settings.folder}, which has neither users nor keys. Run: mlfoundry "
                "login https://…, or give the address of a server with --uri."
            )
        backend = self.client.backend
        assert isinstance(backend, HttpBackend)
        return People(backend)

    @property
    def is_new(self) -> bool:
        """Whether there is no store yet at the usual place: nobody said that there is one."""
        settings = self.settings
        return settings.tracking_uri == str(settings.home) and not _has_store(settings)

    def close(self) -> None:
        """Release the store."""
        if self._client is not None:
            self._client.backend.close()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Print what the library warns of as one safe line each, or hold it back for the JSON on stderr."""
        handler = _Listener(self)
        log = logging.getLogger("mlfoundry")
        propagates, log.propagate = log.propagate, False
        log.addHandler(handler)
        try:
            yield
        finally:
            log.removeHandler(handler)
            log.propagate = propagates


def _has_store(settings: Settings) -> bool:
    """Return whether there is a database, or a journal from which the next look would make one."""
    from ..tracking.embedded import DATABASE_NAME

    if settings.is_server:
        return True
    try:
        if (settings.folder / DATABASE_NAME).exists():
            return True
        return any(root.is_dir() and any(root.iterdir()) for root in settings.journal_roots())
    except (OSError, InvalidSetting):  # whoever uses the place says better what is wrong with it
        return True


class _Listener(logging.Handler):
    def __init__(self, session: Session) -> None:
        super().__init__(logging.WARNING)
        self._session = session

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        self._session.warnings.append(message)
        if not self._session.json:
            output.warn(message)


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Note an option that may stand before the command or behind it; the later one counts."""
    if value not in (None, False):
        setattr(ctx.ensure_object(Session), str(param.name), value)


def store_options() -> list[click.Parameter]:
    """Return the options that the program and every command of it take."""
    return [
        click.Option(
            ["--uri"],
            metavar="PLACE",
            help="The store: a folder, or https://… of a server; else MLFOUNDRY_TRACKING_URI, MLFOUNDRY_HOST, the "
            "server of `mlfoundry login`, MLFOUNDRY_HOME, the usual place.",
            expose_value=False,
            callback=_remember,
        ),
        click.Option(
            ["--user"],
            metavar="NAME",
            help="The name to work under; else MLFOUNDRY_USER, then the login name.",
            expose_value=False,
            callback=_remember,
        ),
        json_option(),
    ]


def json_option() -> click.Option:
    """Return the option that every command takes."""
    return click.Option(
        ["--json"],
        is_flag=True,
        help="Print one JSON document for scripts instead of text.",
        expose_value=False,
        callback=_remember,
    )


def laid_out(text: str) -> str:
    """Return a help text in which lists and examples (paragraphs with indented lines) keep their lines."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(f"\b\n{each}" if "\n  " in each else each for each in paragraphs)


class PlainCommand(click.Command):
    """A command on no store that a client uses."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(json_option())
        self.help = laid_out(self.help or "")


class StoreCommand(click.Command):
    """A command on a store."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += store_options()
        self.help = laid_out(self.help or "")


class Family(click.Group):
    """Commands on a store."""

    command_class: type[click.Command] = StoreCommand

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.help = laid_out(self.help or "")

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an error about one that is not there names those that come near."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if getattr(error, "possibilities", None):  # newer versions of click do it themselves
                raise
            near = suggestions.sentence(alike(args[0], self.list_commands(ctx)))
            raise click.UsageError(f"{error.message}{near}", ctx) from error
