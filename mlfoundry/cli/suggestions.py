"""Names near to one that nobody has: of projects, runs and commands."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from .. import errors

if TYPE_CHECKING:
    from ..client import Client

NEAR = 3
LOOKED_THROUGH = 5_000
_PROJECTS = ("project", "project_name")
_RUNS = ("run", "run_names")


def close(name: str, known: Iterable[str], *, likeness: float = 0.6) -> list[str]:
    """Return the names that look like one, the nearest first; upper and lower case are the same here."""
    by_folded: dict[str, str] = {}
    for each in islice(known, LOOKED_THROUGH):
        by_folded.setdefault(each.casefold(), each)
    return [by_folded[each] for each in difflib.get_close_matches(name.casefold(), by_folded, n=NEAR, cutoff=likeness)]


def sentence(near: Iterable[str]) -> str:
    """Return a question that names what was perhaps meant; empty without anything."""
    names = " or ".join(near)
    return f" Did you mean {names}?" if names else ""


def for_arguments(
    client: Client, error: errors.MlfoundryError, arguments: Mapping[str, Any], *, view: str = "active"
) -> str:
    """Return what was perhaps meant by the project or run of a command that was not found; empty without anything.

    Args:
        client: Whoever asked; only what it may see is named.
        error: What the command ended with.
        arguments: The command's arguments by name.
        view: Which runs it takes: ``"active"`` or ``"deleted"``.
    """
    try:
        if isinstance(error, errors.ProjectNotFound):
            given = [*_texts(arguments, _PROJECTS), *(_project_of(run) for run in _texts(arguments, _RUNS))]
            return sentence(next(filter(None, (_projects(client, name) for name in given if name)), []))
        if isinstance(error, errors.RunNotFound) or type(error) is errors.InvalidName:
            return sentence(next(filter(None, (_runs(client, name, view) for name in _texts(arguments, _RUNS))), []))
    except errors.MlfoundryError:
        pass  # the first error is the one to tell
    return ""


def _texts(arguments: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    values = [arguments.get(name) for name in names]
    return [each for value in values for each in ([value] if isinstance(value, str) else value or ())]


def _project_of(run: str) -> str:
    return run.strip().rpartition("/")[0]


def _projects(client: Client, name: str) -> list[str]:
    """Return projects near to one that is not there: of the same owner first, then of that name with anybody."""
    owner, _, plain = name.rpartition("/")
    known = client.list_projects()
    fqns = {f"{record.owner}/{record.name}": record for record in known}
    wanted = f"{owner or client.user}/{plain}"
    if wanted in fqns:
        return []
    same = [fqn for fqn, record in fqns.items() if record.name.casefold() == plain.casefold()]
    own = [record.name for record in known if record.owner == (owner or client.user)]
    near = [f"{owner or client.user}/{each}" for each in close(plain, own)]
    whole = close(wanted, fqns, likeness=0.85)  # a slip in the owner; that owners are the same says nothing
    return list(dict.fromkeys([*same, *near, *whole]))[:NEAR]


def _runs(client: Client, name: str, view: str) -> list[str]:
    """Return runs near to one that is not there, or, for a bare name, the runs that have it in any project."""
    place, _, plain = name.strip().rpartition("/")
    if not place:
        return _runs_named(client, plain)
    found = client.search_runs(place, view=view, params=(), metrics=(), tags=())
    names = [run.run_name for run in islice(found, LOOKED_THROUGH)]
    return [] if plain in names else [f"{place}/{each}" for each in close(plain, names)]


def _runs_named(client: Client, plain: str) -> list[str]:
    found = []
    for record in client.list_projects()[:50]:
        try:
            run = client.get_run(f"{record.owner}/{record.name}/{plain}")
        except (errors.NotFound, errors.InvalidName):
            continue
        found.append(run.fqn)
    return found[:NEAR]
