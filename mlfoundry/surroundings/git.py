"""The git repository that a folder is in: commit, branch, state and remote.

A repository is somebody else's input: git is run so that no program named in its configuration starts.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from .facts import Facts, found
from .programs import output
from .remotes import without_credentials

_GIT_CALL_S = 2.0
_GIT_TOTAL_S = 3.5
# What keeps git from starting anything but itself; together with the minimal environment below, and with
# `_dirty` refusing repositories that bring filter programs. See gitsecurityboundary in git's manual.
_GIT_OPTIONS = (
    "--no-pager",
    "-c", "core.fsmonitor=false",  # a program that status asks what changed
    "-c", f"core.hooksPath={os.devnull}",
    "-c", "safe.bareRepository=explicit",  # a bare repository can hide among the files of another
)  # fmt: skip
_GIT_ENVIRONMENT = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    # A partial clone may fetch what is missing, which would start ssh, helpers or the remote's uploadpack;
    # this also stops versions of git that do not know the variable above.
    "GIT_ALLOW_PROTOCOL": "none",
    "LC_ALL": "C",
}
# HOME and its kin lead to safe.directory, the rest is what Windows needs to start a program.
_INHERITED = ("HOME", "XDG_CONFIG_HOME", "USERPROFILE", "PROGRAMDATA", "SYSTEMROOT")


_TRUSTED_SCOPES = {"system", "global"}
_Settings = list[tuple[str, str, str]]
GIT_FRESH_S = 10.0
_git_seen: dict[Path, tuple[float, Facts]] = {}


def git_facts(directory: Path) -> Facts:
    """Return commit, branch, state and remote of the repository that a folder is in; nothing without one."""
    deadline = time.monotonic() + _GIT_TOTAL_S
    program = _git_program()
    if program is None:
        return {}
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    environment |= _GIT_ENVIRONMENT | {"PATH": os.pathsep.join(_absolute_path())}

    def git(*arguments: str) -> str | None:
        return output(
            [program, *_GIT_OPTIONS, *arguments],
            directory=directory,
            environment=environment,
            timeout_s=min(_GIT_CALL_S, deadline - time.monotonic()),
        )

    commit = (git("rev-parse", "--verify", "--quiet", "HEAD") or "").strip()
    branch = (git("symbolic-ref", "--quiet", "--short", "HEAD") or "").strip()
    if not commit and not branch:  # no repository, or one that git does not trust
        return {}
    settings = _settings(git("config", "-z", "--show-scope", "--list"))
    return found(
        {
            "git.commit": lambda: commit,
            "git.branch": lambda: branch,
            "git.remote": lambda: _remote(settings),
            "git.dirty": lambda: _dirty(git, settings),
        }
    )


def recent_git_facts(directory: Path) -> Facts:
    """Return the repository's facts, not asked again within seconds: a loop makes many short runs."""
    at, facts = _git_seen.get(directory, (-GIT_FRESH_S, {}))
    if time.monotonic() - at >= GIT_FRESH_S or not facts:
        facts = git_facts(directory)
        _git_seen[directory] = (time.monotonic(), facts)
    return dict(facts)


def _settings(listing: str | None) -> _Settings:
    """Return (scope, key, value) of what ``git config -z --show-scope`` printed."""
    fields = (listing or "").split("\0")[:-1]
    return [(scope, *line.partition("\n")[::2]) for scope, line in zip(fields[::2], fields[1::2], strict=True)]


def _remote(settings: _Settings) -> str | None:
    """Return where the repository came from, without credentials; None for a path of this machine."""
    urls = [
        (key, url)
        for scope, key, url in settings
        if key.startswith("remote.") and key.endswith(".url") and scope not in _TRUSTED_SCOPES
    ]
    urls.sort(key=lambda pair: pair[0] != "remote.origin.url")
    if not urls:
        return None
    url = without_credentials(urls[0][1])
    # A path on this machine tells colleagues nothing, and often names a person.
    head = url.partition("/")[0]
    is_path = ":" not in head or url[:5].lower() == "file:" or len(head.partition(":")[0]) == 1
    return None if is_path else url


def _dirty(git: Callable[..., str | None], settings: _Settings) -> str | None:
    """Tell whether tracked files differ from the commit, or nothing where asking could start a program.

    To compare a file whose time stamp changed, git runs the clean filter that its attributes name. Filters
    of the user's own or the system's configuration (git-lfs) are trusted, those of the repository are not.
    """
    filters = {scope for scope, key, _ in settings if key.startswith("filter.")}
    if not settings or filters - _TRUSTED_SCOPES:
        return None
    # "dirty": a submodule counts when its commit moved; to look at its files git would run itself inside
    # it, under the submodule's own configuration.
    changes = git("status", "--porcelain", "-z", "--untracked-files=no", "--ignore-submodules=dirty", "--no-renames")
    return None if changes is None else str(changes != "").lower()


def _absolute_path() -> list[str]:
    # A relative entry would mean "the git that lies in the repository".
    places = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return [place for place in places if Path(place).is_absolute()]


def _git_program() -> str | None:
    for place in _absolute_path():
        program = Path(place, "git.exe" if os.name == "nt" else "git")
        if program.is_file() and os.access(program, os.X_OK):
            return None if _is_apples_stub(program) else str(program)
    return None


def _is_apples_stub(program: Path) -> bool:
    # Without the developer tools, macOS's /usr/bin/git opens a dialog that offers to install them.
    tools = (Path("/Library/Developer/CommandLineTools"), Path("/Applications/Xcode.app"))
    is_stub = sys.platform == "darwin" and program == Path("/usr/bin/git")
    return is_stub and not any(tool.exists() for tool in tools)
