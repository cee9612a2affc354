"""``%mlfoundry_login``: the key is typed into a field of the front end, and never stands in a cell."""

from __future__ import annotations

import getpass
import re
import warnings

from IPython.core.error import StdinNotImplementedError, UsageError

from mlfoundry import displays
from mlfoundry import login as logins

from .notices import Notice

_KEY = re.compile(r"\bmlf_\w")


def refuse_key(line: str) -> None:
    """Refuse a line that holds a key: it has been written to the history of this notebook by now.

    Raises:
        UsageError: It does; says what to do about the key, without repeating it.
    """
    if _KEY.search(line):
        raise UsageError(
            "%mlfoundry_login takes no key: it asks for it. The key that stands in this cell is in the notebook's "
            "history now; remove it from the cell and revoke it with: mlfoundry keys revoke"
        )


def log_in(host: str | None) -> None:
    """Ask for a key, check it with the server and keep it; say as whom one is logged in.

    Raises:
        UsageError: Nobody can be asked here.
        NotAuthenticated: The server does not take the key; nothing is kept.
        BackendUnavailable: The server cannot be reached; nothing is kept.
    """
    address = logins.host_to_log_in_to(host)
    said = []
    if logins.is_open_to_others(address):
        said.append(f"{address} is not encrypted: whoever is on the way can read the key; use https:// if you can")
        Notice(tuple(said)).show()
    done = logins.log_in(address, _asked(f"API key for {displays.plain(address)}: "))
    admin = ", an admin of the server" if done.is_admin else ""
    Notice((f"logged in to {done.host} as {done.user}{admin}; runs go there from now on",)).show()


def _asked(prompt: str) -> str:
    try:
        with warnings.catch_warnings():
            # Where echo cannot be turned off, getpass would only warn and show the key.
            warnings.simplefilter("error", getpass.GetPassWarning)
            key = getpass.getpass(prompt)
    except (StdinNotImplementedError, EOFError, getpass.GetPassWarning) as error:
        raise UsageError(
            "nobody can be asked for the key here; set MLFOUNDRY_API_KEY and MLFOUNDRY_HOST before the kernel starts, "
            "or run mlfoundry login in a terminal"
        ) from error
    if not key.strip():
        raise UsageError("no key was given; nothing is kept")
    return key
