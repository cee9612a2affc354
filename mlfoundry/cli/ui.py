"""``mlfoundry ui``: the dashboard of one's own store, on this machine alone."""

from __future__ import annotations

import contextlib
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from ..errors import InvalidInput, InvalidSetting, MissingExtra, MlfoundryError
from . import output
from .exits import Refused
from .session import Session, StoreCommand

if TYPE_CHECKING:
    from ..client import Client

LOOK_EVERY_S = 5.0
SYNC_S = 2.0


@click.command(cls=StoreCommand)
@click.option("--port", type=click.IntRange(0, 65535), help="The port; else the first free one from 8642 on.")
@click.option("--no-browser", is_flag=True, help="Only print the link; open no browser.")
@click.pass_obj
def ui(session: Session, port: int | None, no_browser: bool) -> None:
    """Show your runs in a browser, until Ctrl-C.

    It listens on 127.0.0.1 alone, and lets in only who has the link that it prints: another user of this machine sees
    nothing. The link is good while the command runs. Needs the extra 'server'.

    Over SSH, forward the port and open the same link: ssh -L 8642:127.0.0.1:8642 HOST

    JSON: {"address", "link"}, once it answers
    """
    try:
        from ..server import own
    except ImportError as error:
        raise MissingExtra(error.name or "fastapi", "mlfoundry ui", "server") from error
    from ..client import Client
    from ..tracking.embedded import EmbeddedBackend

    # A place that was named holds a store; the usual one may get its first run while the dashboard runs.
    client = Client(session.settings) if session.is_new else session.client
    if not isinstance(client.backend, EmbeddedBackend):
        raise InvalidInput(f"{client.backend.uri} is a server with a dashboard of its own: open it in a browser")
    try:
        listener = own.bind(port)
    except InvalidSetting as error:
        raise Refused(str(error)) from error

    def started(address: str, token: str) -> None:
        link = f"{address}/login?token={token}"
        if session.json:
            output.json_data({"address": address, "link": link})
        else:
            output.echo(f"The dashboard of {client.backend.uri}:\n\n  {link}\n\nCtrl-C ends it.")
        if not no_browser:
            webbrowser.open(link)

    client.backend.make()
    client.list_projects()  # stores what dead processes left
    # Ctrl-C is how it is meant to end; uvicorn raises it again once it has closed all connections.
    with contextlib.suppress(KeyboardInterrupt), listener, _storing_what_is_left(client):
        own.serve(client.backend, listener, on_started=started)


@contextmanager
def _storing_what_is_left(client: Client) -> Iterator[None]:
    """Look now and then for journals whose process is gone, so that no run is shown as running that does not."""
    from ..shipping import recovery

    ended = threading.Event()

    def look() -> None:
        while not ended.wait(LOOK_EVERY_S):
            with contextlib.suppress(MlfoundryError, OSError):
                roots = client.settings.journal_roots()
                if any(recovery.count_dead(root) for root in roots):
                    client.sync(timeout_s=SYNC_S)
                recovery.end_unheard(client.backend, roots)

    thread = threading.Thread(target=look, name="mlfoundry-ui-left", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(SYNC_S * 2)
