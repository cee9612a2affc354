"""What the end of a run is: its status, its time, and what is said to whom comes after it."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

from ..documents import ENDS
from ..errors import InvalidInput, RunEnded, shown
from ..log import Log
from ..records import RunRecord, RunStatus

_log = Log("mlfoundry")


def terminal(status: RunStatus | str) -> RunStatus:
    """Return a status that a run can end with.

    Raises:
        InvalidInput: It is none.
    """
    name = str(status).upper()
    if name not in ENDS:
        raise InvalidInput(f"a run cannot end as {shown(status)}; give one of {', '.join(ENDS)}")
    return RunStatus(name)


def steady_us() -> int:
    """Return microseconds by a clock that neither jumps nor stops while the machine sleeps."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime_ns(clock) // 1000


def ended_record(record: RunRecord, status: RunStatus, error: str, elapsed_us: int) -> RunRecord:
    """Return the record of a run that has ended so long after its start."""
    ended_at = record.started_at + timedelta(microseconds=elapsed_us)
    return replace(record, status=status, error=error, ended_at=ended_at)


def has_ended(record: RunRecord, verb: str, *, owns_end: bool) -> RunEnded:
    """Return the error for what comes after the end.

    Args:
        record: The run.
        verb: What was asked of it.
        owns_end: Whether it is the run that has ended, and not only a handle that joined it.
    """
    fqn = record.fqn
    if owns_end:
        is_known = record.status is not RunStatus.RUNNING  # else another thread is ending it just now
        return RunEnded(
            f"{fqn} has ended{f' ({record.status.value})' if is_known else ''}; it takes no {verb} any more. Start a "
            "new run with client.create_run, or log before end()."
        )
    return RunEnded(
        f"this handle of {fqn} has ended; it takes no {verb} any more. Use client.join_run for another one, or log "
        "before end()."
    )


def warn_late(record: RunRecord, status: RunStatus) -> None:
    """Say that an end comes too late when it was meant to be another than the first; none said is FINISHED."""
    is_known = record.status is not RunStatus.RUNNING  # else another thread is ending it just now
    if is_known and status not in (RunStatus.FINISHED, record.status):
        _log.warning(
            "%s has ended as %s already, and stays so; %s comes too late. A tag can still say it: set_tags.",
            record.fqn,
            record.status.value,
            status.value,
        )
