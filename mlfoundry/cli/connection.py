"""What ``mlfoundry doctor`` finds out about the server that runs go to: whether it answers, and takes the key."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from .. import __version__
from ..errors import MlfoundryError, NotAuthenticated
from ..settings import Settings
from . import documents

SOON = timedelta(days=14)


@dataclass
class Connection:
    """How things stand with a server.

    Attributes:
        address: Where it is.
        answers: Whether it can be reached.
        version: Its version, None when it did not tell.
        user: Whose key is used, None when it is not taken.
        is_admin: Whether that is an admin of the server.
        expires_at: From when on the key is not taken, as text; None for never.
        problem: What is wrong, and what to do about it; None when nothing is.
        note: What is worth knowing; empty without it.
    """

    address: str
    answers: bool = False
    version: str | None = None
    user: str | None = None
    is_admin: bool = False
    expires_at: str | None = None
    problem: tuple[str, str] | None = None
    note: str = ""

    def document(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {name: value for name, value in asdict(self).items() if name not in ("problem", "note")}


def look(settings: Settings) -> Connection:
    """Ask the server who we are; never raises."""
    from ..client import Client
    from ..tracking.http import HttpBackend
    from ..tracking.people import People

    found = Connection(settings.tracking_uri)
    log_in = f"Run: mlfoundry login {settings.tracking_uri}"
    try:
        with Client(settings) as client:
            assert isinstance(client.backend, HttpBackend)
            caller = People(client.backend).whoami()
    except NotAuthenticated as error:
        found.answers = settings.api_key is not None
        found.problem = (f"The server takes no key of yours: {error}", log_in)
        return found
    except MlfoundryError as error:
        remedy = (
            "Look at the address and the network; runs go on, and what they log waits in journals until it answers."
        )
        found.problem = (f"The server does not answer: {error}", remedy)
        return found
    found.answers, found.version = True, caller.version
    found.user, found.is_admin = caller.user, caller.is_admin
    expires_at = None if caller.key is None else caller.key.expires_at
    found.expires_at = documents.time_text(expires_at)
    if expires_at is not None and expires_at - datetime.now(UTC) < SOON:
        found.note = f"The key expires on {found.expires_at}; mlfoundry keys create makes another."
    elif caller.version and caller.version != __version__:
        found.note = f"The server is version {caller.version}, this is {__version__}."
    return found
