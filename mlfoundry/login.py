"""Logging in to a server: a key is checked with the server, then kept for this account, see `credentials`."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlsplit

from . import credentials, settings
from .errors import InvalidSetting, NotAuthenticated
from .loopback import is_loopback
from .tracking.http import HttpBackend
from .tracking.people import People


class Login(NamedTuple):
    """What this account is logged in as.

    Attributes:
        host: The server's address.
        user: The name.
        is_admin: Whether the user is an admin of the server.
        expires_at: From when on the key is not taken, None for never.
    """

    host: str
    user: str
    is_admin: bool
    expires_at: datetime | None


def host_to_log_in_to(given: str | None, *, source: str = "the address", how: str = "give its address, like") -> str:
    """Return the address of the server: as it is given, else that of the settings.

    Args:
        given: What the user gave.
        source: Where that was given, for messages.
        how: What to do when none is known, up to an example of an address.

    Raises:
        InvalidSetting: It is none, or none is known.
    """
    if given:
        return credentials.address(given, source)
    known = settings.resolve()
    if not known.is_server:
        raise InvalidSetting(f"no server is known; {how} https://runs.example.org")
    return known.tracking_uri


def is_open_to_others(host: str) -> bool:
    """Return whether what is sent to an address can be read on its way: http:// that leaves this machine."""
    parts = urlsplit(host)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def log_in(host: str, key: str) -> Login:
    """Ask the server whose key this is, and keep it; the server becomes the usual one.

    Raises:
        NotAuthenticated: It is no key, or the server does not take it; nothing is kept.
        BackendUnavailable: The server cannot be reached; nothing is kept.
    """
    key = key.strip()
    if not key.startswith("mlf_") or not key.isascii() or not key.isprintable() or " " in key:
        raise NotAuthenticated("this is no API key: one begins with mlf_. Nothing was sent and nothing is kept.")
    with closing(HttpBackend(host, key)) as backend:
        caller = People(backend).whoami()
    kept().keep(host, api_key=key, user=caller.user)
    return Login(host, caller.user, caller.is_admin, caller.key.expires_at if caller.key is not None else None)


def kept() -> credentials.Credentials:
    """Return the keys that are kept for this account."""
    return credentials.Credentials(settings.settings_file().parent)
