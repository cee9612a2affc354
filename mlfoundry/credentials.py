"""The servers that this account has logged in to, and the key for each: ``credentials.json``, readable by it alone."""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from . import folders
from .errors import InvalidSetting
from .loopback import is_loopback

FILE_NAME = "credentials.json"


def is_address(text: str) -> bool:
    """Return whether a text means a server and no folder."""
    return text.lower().startswith(("http://", "https://"))


def address(text: str, source: str = "tracking_uri") -> str:
    """Return a server's address in its one form: without a slash at the end, a query or credentials.

    One that says no scheme means https://, and on this machine, where nobody has a certificate, http://.

    Raises:
        InvalidSetting: It is none.
    """
    try:
        parts = urlsplit(_with_scheme(text.strip()))
        port = parts.port
    except ValueError as error:
        raise InvalidSetting(f"{source} is {text!r}, which is no address ({error})") from error
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise InvalidSetting(f"{source} is {text!r}; give the address of a server, like https://runs.example.org")
    if parts.username or parts.password:
        raise InvalidSetting(f"{source} holds a name or a password; leave them out and run mlfoundry login")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme.lower()}://{host}{f':{port}' if port else ''}{parts.path.rstrip('/')}"


def _with_scheme(text: str) -> str:
    if "://" in text:
        return text
    host = urlsplit(f"//{text}").hostname or ""
    if not re.search(r"\w", host) or re.search(r"\s", text):  # a folder, or no place at all
        return text
    return f"{'http' if is_loopback(host) else 'https'}://{text}"


class Credentials:
    """What ``mlfoundry login`` kept.

    Args:
        folder: The folder of the settings file.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME

    def default_host(self) -> str | None:
        """Return the server that was logged in to last, None when there is none."""
        host = self._read().get("default")
        return host if isinstance(host, str) and is_address(host) else None

    def key(self, host: str) -> str | None:
        """Return the key for a server, None without one."""
        return self._of(host).get("api_key")

    def user(self, host: str) -> str | None:
        """Return the name that the key belongs to, None without one."""
        return self._of(host).get("user")

    def keep(self, host: str, *, api_key: str, user: str) -> None:
        """Keep a key, and make its server the default."""
        with self._alone():
            hosts = {**self._read().get("hosts", {}), host: {"api_key": api_key, "user": user}}
            self._write({"default": host, "hosts": hosts})

    def forget(self, host: str) -> bool:
        """Forget a server's key; return whether there was one."""
        if self.key(host) is None:
            return False  # and nothing is made to find that out
        with self._alone():
            known = self._read()
            hosts = dict(known.get("hosts", {}))
            hosts.pop(host, None)
            default = known.get("default")
            self._write({"default": None if default == host else default, "hosts": hosts})
        return True

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let others who log in or out at the same time wait: what they write must not take this away."""
        folders.make_private(self.path.parent)
        lock = self.path.with_name(f".{FILE_NAME}-lock")
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            with suppress(OSError):  # a file system without locks; what is written is whole there all the same
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _of(self, host: str) -> dict[str, str]:
        found = self._read().get("hosts", {}).get(host, {})
        return {name: text for name, text in found.items() if isinstance(text, str)}

    def _read(self) -> dict[str, Any]:
        try:
            told = json.loads(self.path.read_text(encoding="utf-8"))
        except OSError:
            return {}
        except ValueError as error:
            raise InvalidSetting(f"{self.path} cannot be read ({error}); remove it and run mlfoundry login") from error
        if not isinstance(told, dict) or not isinstance(told.get("hosts", {}), dict):
            raise InvalidSetting(f"{self.path} cannot be read; remove it and run mlfoundry login")
        return told

    def _write(self, told: dict[str, Any]) -> None:
        part = self.path.with_name(f".{FILE_NAME}-{secrets.token_hex(4)}")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(told, file, indent=2)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self.path)
        finally:
            part.unlink(missing_ok=True)
