"""What executing the same cell again does: which run was the cell's last, and how the next one is called.

A cell is known by the id that the front end gives it, with the notebook it stands in; without one by the name that
its run is given, or by its source. The run keeps it as the tag ``mlfoundry.cell``, so that it is found again after
the kernel was restarted.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping

from mlfoundry import Client, MlfoundryError, Run, RunStatus, StoredRun
from mlfoundry.records import RunQuery

from .arguments import Request
from .changes import Former

CELL_TAG = "mlfoundry.cell"
VERSION_TAG = "version"
_LOOKED_AT = 20


def cell_key(cell_id: str | None, request: Request, source: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return what identifies a cell: 12 hex digits.

    Args:
        cell_id: The front end's, if it sends one.
        request: What the cell asks for.
        source: The cell's text.
        environment: Where Jupyter says which notebook the kernel belongs to: a copy's cells have the same ids.
    """
    place = environment.get("JPY_SESSION_NAME", "")
    own = f"id\0{place}\0{cell_id}" if cell_id else f"name\0{request.name}" if request.name else f"source\0{source}"
    return hashlib.sha256(f"{request.owner}\0{request.project}\0{own}".encode()).hexdigest()[:12]


def find_former(client: Client, request: Request, key: str) -> StoredRun | None:
    """Return this user's last run of a cell that is not deleted; None when there is none, or nobody can tell."""
    try:
        project = client.get_project(request.project, request.owner)
        query = RunQuery(project.project_id, f"tags.`{CELL_TAG}` = '{key}'", limit=_LOOKED_AT, metrics=())
        # Not by the client's own search: the user did not ask, and needs no hint that nothing has this tag yet.
        found = client.backend.search_runs(query).runs
    except MlfoundryError:  # no such project yet, or a store that cannot be reached
        return None
    return next((StoredRun(client, record) for record in found if record.created_by == client.user), None)


def remembered(former: StoredRun) -> Former | None:
    """Return what is compared with the next run of the cell; None when it cannot be read."""
    try:
        facts = former.get_facts()
        params = former.get_params()
    except MlfoundryError:
        return None
    source = facts.get("cell.0001.source")
    return Former(former.run_id, former.run_name, source, params, facts.get("packages", ""))


def next_name(request: Request, former: StoredRun | None) -> tuple[str | None, dict[str, str]]:
    """Return the name to ask for and the tags that belong to it.

    The first version of NAME is called NAME, the next ones NAME-v2, NAME-v3, …; when the request gives no name,
    the last run's is kept.
    """
    if request.rerun != "version":
        return request.name, {}
    if former is None:
        return request.name, {VERSION_TAG: "1"}
    told = former.record.tags.get(VERSION_TAG, "1")
    number = int(told) + 1 if told.isdecimal() and len(told) < 9 else 2
    base = request.name or re.sub(r"-v\d+$", "", former.run_name)
    return f"{base}-v{number}", {VERSION_TAG: str(number)}


def close_former(former: Run | None) -> str:
    """End a run of the same cell that is still open; return what to say of it, empty for nothing."""
    if former is None or former.status is not RunStatus.RUNNING:
        return ""
    former.end(RunStatus.KILLED)
    return f"the former run of this cell, {former.run_name}, was still open and has been ended (KILLED)"


def replace_former(run: Run, request: Request, former: StoredRun) -> str:
    """Delete the run that another takes the place of, and take over its name; return what to say of it."""
    wanted = request.name or former.run_name
    try:
        former.delete()
    except MlfoundryError as error:
        return f"{former.run_name} was not replaced: {error}"
    said = f"replaces {former.run_name}, which mlfoundry.get_client().get_run({former.run_id!r}).restore() brings back"
    try:
        if run.flush(2.0) and run.run_name != wanted:
            run.rename(wanted)
    except MlfoundryError as error:
        said += f"; it keeps its own name: {error}"
    return said
