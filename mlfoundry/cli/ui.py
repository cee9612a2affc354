"""``mlfoundry ui``: the dashboard of one's own store, on this machine alone."""

from __future__ import annotations

import webbrowser

import click

from ..errors import InvalidInput, MissingExtra
from . import output
from .exits import Refused
from .session import Session, StoreCommand


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
        raise MissingExtra("mlfoundry[server]", "mlfoundry ui") from error
    from ..client import Client
    from ..tracking.embedded import EmbeddedBackend

    client = Client(session.settings)
    if not isinstance(client.backend, EmbeddedBackend):
        raise InvalidInput(f"{client.backend.uri} is a server with a dashboard of its own: open it in a browser")
    try:
        listener = own.bind(port)
    except OSError as error:
        raise Refused(f"port {port} is taken ({error.strerror}); give another --port, or none") from error

    def started(address: str, token: str) -> None:
        link = f"{address}/login?token={token}"
        if session.json:
            output.json_data({"address": address, "link": link})
        else:
            output.echo(f"The dashboard of {client.backend.uri}:\n\n  {link}\n\nCtrl-C ends it.")
        if not no_browser:
            webbrowser.open(link)

    with listener:
        own.serve(client.backend, listener, on_started=started)
