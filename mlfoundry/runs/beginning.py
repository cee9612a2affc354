"""How a run begins to be logged to in this process: its journal first, then the run itself, with or without a store."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .. import folders, values
from ..errors import BackendUnavailable
from ..journal import Journal
from ..records import NewRun, RunKey, RunRecord, RunStatus
from ..shipping import recovery
from ..shipping import shipper as shippers
from . import own_runs
from .run import Run

if TYPE_CHECKING:
    from ..client import Client

UNKNOWN = "?"  # this user, while the server that knows the name cannot be asked; no user can have it


def begin(client: Client, new: NewRun) -> Run:
    """Make a run and open it; with a store that cannot be reached it is made later.

    The journal is opened first: a process that dies in between leaves no run without one.
    """
    journal = _journal(client, new, role="owner")
    made: bool | None = None
    try:
        journal.open()
        try:
            record = client.backend.create_run(new)
            made = True
            journal.origin.update(project_id=record.key.project_id, run_name=record.run_name)
        except BackendUnavailable:
            record, made = _offline(client, new), False
        project_id = record.key.project_id if made else None
        journal.write({"kind": "created", "project_id": project_id, "run_name": record.run_name})
        return _opened(client, record, journal, new, owns_end=True, made=made)
    except BaseException as error:
        # What was refused left no run; after an interrupt there may be one, which recovery then ends.
        _give_up(journal, is_empty=made is None and isinstance(error, Exception))
        raise


def join(client: Client, record: RunRecord) -> Run:
    """Open a run that another process made."""
    new = NewRun(
        run_id=record.key.run_id,
        project_name=record.project_name,
        run_name=record.run_name,
        owner=record.owner,
        tags={},
        description="",
        started_at_us=round(record.started_at.timestamp() * 1_000_000),
    )
    journal = _journal(client, new, role="member")
    journal.origin["project_id"] = record.key.project_id
    try:
        journal.open()
        run = _opened(client, record, journal, new, owns_end=False, made=True)
    except BaseException:
        _give_up(journal, is_empty=True)
        raise
    run._params = {name: values.param_text(name, value)[1] for name, value in record.params.items()}
    return run


def _journal(client: Client, new: NewRun, role: str) -> Journal:
    roots = client.settings.journal_roots()
    root = folders.make_one_of(roots)
    backend = client.backend
    origin = recovery.origin(new, user=backend.user_if_known, uri=backend.uri, role=role, pid=os.getpid())
    others = [] if root is None else roots[roots.index(root) + 1 :]  # should the disk of the first be full
    return Journal(root, origin, others)


def _opened(client: Client, record: RunRecord, journal: Journal, new: NewRun, *, owns_end: bool, made: bool) -> Run:
    run = Run(client, record, journal, new, owns_end=owns_end, made=made)
    shippers.shipper().watch(client.backend, client.settings.journal_roots())
    return run


def _give_up(journal: Journal, *, is_empty: bool) -> None:
    """Leave no journal open for a run that nobody has a handle of: it would be RUNNING while this process lives."""
    opened = next((run for run in own_runs.open_runs() if run._journal is journal), None)
    if opened is not None and opened._shipment is not None:
        shippers.shipper().add(opened._shipment)  # the interrupt may have come before that
        opened._end(RunStatus.KILLED, error="", timeout_s=0.0)
        return
    if opened is not None:
        own_runs.leave(opened)
    journal.close(settled=is_empty)


def _offline(client: Client, new: NewRun) -> RunRecord:
    """Return what is known of a run that the store has not made yet."""
    user = client.backend.user_if_known or UNKNOWN
    return RunRecord(
        key=RunKey(0, new.run_id),
        owner=new.owner or user,
        project_name=new.project_name,
        run_name=new.run_name,
        status=RunStatus.RUNNING,
        created_by=user,
        started_at=values.utc(new.started_at_us),
        ended_at=None,
        last_seen_at=values.utc(new.started_at_us),
        description=new.description,
        tags=new.tags,
    )
