"""The address of a git remote without what could be a secret."""

from __future__ import annotations


def without_credentials(url: str) -> str:
    """Return a git remote's URL with nothing left that could be a secret or a person's name.

    User information, query and fragment go. Where a URL can be read in two ways, the shorter result
    wins: it may lose a part of a strange path, never keep a password. ``git@host:path`` stays as it is.
    """
    text = "".join(character for character in url if character.isprintable()).strip()
    scheme, mark, rest = text.partition("://")
    if not mark or not _is_scheme(scheme):
        return _without_query(_scp_without_credentials(text))
    authority, slash, path = rest.partition("/")
    authority = authority.replace("%40", "@")
    if "@" in authority:
        authority = authority.rpartition("@")[2]
    elif "@" in path and _port_is_odd(authority):  # the password holds a slash: user:pa/ss@host
        authority, slash, path = path.rpartition("@")[2].partition("/")
    authority = _without_query(authority)
    if _port_is_odd(authority):
        authority = authority.partition(":")[0]
    # One URL can stand in the path of another: https://proxy/https://user:secret@host/path
    segments = [part.rpartition("@")[2] if ":" in part.rpartition("@")[0] else part for part in path.split("/")]
    return _without_query(f"{scheme}://{authority}{slash}{'/'.join(segments)}")


def _is_scheme(text: str) -> bool:
    # git's remote helpers put colons into it: codecommit::eu-west-1://repository
    return text != "" and all(character.isalnum() or character in "+-.:" for character in text)


def _without_query(text: str) -> str:
    return text.partition("?")[0].partition("#")[0]


def _port_is_odd(authority: str) -> bool:
    _, colon, port = authority.rpartition(":")
    return bool(colon) and port != "" and not port.isdigit() and not authority.endswith("]")


def _scp_without_credentials(text: str) -> str:
    helper, double_colon, _ = text.partition("::")
    if double_colon and _is_scheme(helper):
        return ""  # ext::COMMAND: anything may stand in a command line
    if text.startswith("git@") and text.count("@") == 1:
        return text
    before, at, after = text.rpartition("@")
    if at and ":" in before:
        return after
    host, slash, path = text.partition("/")
    return f"{host.rpartition('@')[2]}{slash}{path}"
