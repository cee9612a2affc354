"""Names near to one that nobody has: of projects, runs, metrics and commands.

What is not there is an error all the same; this says what was perhaps meant. Only what the caller may see is named.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .errors import MlfoundryError, NotFound
from .names import LOOKED_THROUGH, NEAR, alike, legal_name
from .records import RunQuery

if TYPE_CHECKING:
    from .tracking.backend import Backend

PROJECTS_LOOKED_THROUGH = 50


def sentence(near: Iterable[str]) -> str:
    """Return a question that names what was perhaps meant; empty without anything."""
    names = " or ".join(near)
    return f" Did you mean {names}?" if names else ""


def add(error: MlfoundryError, near: Iterable[str]) -> None:
    """Let an error that is about to be raised name what was perhaps meant."""
    if told := sentence(near):
        error.args = (f"{str(error).rstrip('.')}.{told}", *error.args[1:])


def projects(backend: Backend, owner: str | None, name: str) -> list[str]:
    """Return projects near to one that is not there: of that name with anybody, then of the same owner."""
    try:
        owner, known = owner or backend.user, backend.list_projects()
    except MlfoundryError:
        return []  # the first error is the one to tell
    fqns = {f"{record.owner}/{record.name}": record for record in known}
    wanted = f"{owner}/{name}"
    if wanted in fqns:
        return []
    same = [fqn for fqn, record in fqns.items() if record.name.casefold() == name.casefold()]
    near = [f"{owner}/{each}" for each in alike(name, [record.name for record in known if record.owner == owner])]
    whole = alike(wanted, fqns, likeness=0.85)  # a slip in the owner; that owners are the same says nothing
    return list(dict.fromkeys([*same, *near, *whole]))[:NEAR]


def runs(backend: Backend, owner: str | None, project: str, name: str, *, view: str = "active") -> list[str]:
    """Return the names of a project's runs near to one that is not there; of runs that are deleted, if so asked."""
    try:
        project_id = backend.get_project(owner, project).project_id
        query = RunQuery(project_id, limit=LOOKED_THROUGH, view=view, params=(), metrics=(), tags=())
        known = [run.run_name for run in backend.search_runs(query).runs]
    except MlfoundryError:
        return []
    return [] if name in known else alike(name, known)


def runs_named(backend: Backend, name: str) -> list[str]:
    """Return the runs that have a name in any of the caller's projects, as ``owner/project/run``."""
    found = []
    try:
        legal_name("run name", name)
        for project in backend.list_projects()[:PROJECTS_LOOKED_THROUGH]:
            try:
                run = backend.get_run_by_name(project.owner, project.name, name)
            except NotFound:
                continue
            found.append(f"{run.owner}/{run.project_name}/{run.run_name}")
    except MlfoundryError:
        pass
    return found[:NEAR]
