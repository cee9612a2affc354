"""The source of a run's cells, and what changed in it since the run before of the same cell."""

from __future__ import annotations

import difflib
from typing import Any

from ...errors import NotFound
from ...panels import frames
from ...records import RunKey
from ...tracking.service import TrackingService

LINES_MOST = 2000
SOURCE_MOST = 200_000
REPEATED_MOST = 20


def code_json(tracking: TrackingService, user: str, run: RunKey) -> dict[str, Any]:
    """Return the source of each cell of a run as JSON, and the differences to the run before.

    ``since`` is that run (None when there is none that this user may see), ``summary`` what changed in a line, and
    ``diff`` of a cell a list of ``[sign, line]`` with the signs ``" "``, ``"-"``, ``"+"`` and ``"@"``.
    """
    facts = tracking.get_facts(user, run)
    cells = frames.cells(tracking.get_run(user, run.run_id), facts)
    before, since = _former(tracking, user, facts.get("changes.since", ""))
    told = []
    for place, cell in enumerate(cells):
        source = str(cell["source"])
        former = before[place] if place < len(before) else None
        diff = None if former is None or not source else _diff(former, source)
        told.append({"n": cell["n"], "source": source, "diff": diff})
    changed = {name.removeprefix("changes."): facts[name] for name in facts if name.startswith("changes.")}
    git = {name.removeprefix("git."): facts[name] for name in facts if name.startswith("git.")}
    return {
        "since": since,
        "summary": changed.get("summary", ""),
        "params": changed.get("params", ""),
        "packages": changed.get("packages", ""),
        "kept_diff": changed.get("source", "") if since is None else "",
        "git": git,
        "cells": told,
    }


def _former(tracking: TrackingService, user: str, run_id: str) -> tuple[list[str], dict[str, str] | None]:
    """Return the sources of the cells of the run before, and which run that is."""
    if not run_id:
        return [], None
    try:
        record = tracking.get_run(user, run_id)
        cells = frames.cells(record, tracking.get_facts(user, record.key))
    except NotFound:
        return [], None
    return [str(cell["source"]) for cell in cells], {"run_id": run_id, "run_name": record.run_name}


def _diff(before: str, now: str) -> list[list[str]]:
    """Return a diff by lines; empty where nothing differs."""
    # Comparing takes time by the square of the lines, and anybody who may log chooses them.
    old, new = before[:SOURCE_MOST].splitlines()[:LINES_MOST], now[:SOURCE_MOST].splitlines()[:LINES_MOST]
    if len(set(old)) * REPEATED_MOST < len(old) or len(set(new)) * REPEATED_MOST < len(new):
        return [["@", "the lines repeat too often to be compared"]]
    lines = difflib.unified_diff(old, new, lineterm="", n=3)
    kept = list(lines)[2 : LINES_MOST + 2]
    return [["@", line] if line.startswith("@@") else [line[0], line[1:]] for line in kept]
