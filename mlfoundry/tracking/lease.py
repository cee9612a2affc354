"""Runs of which nothing is heard any more: a server cannot see a process die, so it gives a run up after a while.

A running process lets the store hear of its run at least every 15 s (`shipment.HEARTBEAT_S`), whether it logs or not.
When nothing came for the length of the lease, whoever looks next finds the run KILLED, with the time of its last
record. Should its process have been cut off only, the first thing that arrives makes the run RUNNING again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TypeVar

from ..records import LOST
from ..store import lives
from ..store.database import Database, Transaction
from .attempts import done_again

LEASE_S = 120.0
UNHEARD_S = 600.0  # of a store without a lease

Found = TypeVar("Found")


class Lease:
    """Ends the lost runs of a project before somebody looks at it.

    Args:
        database: Where the runs are.
        lease_s: How long nothing may be heard of a run; None for ever, where the death of a process is seen otherwise.
        now_us: The clock: microseconds since 1970.
    """

    def __init__(self, database: Database, lease_s: float | None, now_us: Callable[[], int]) -> None:
        self._database = database
        self._lease_s = lease_s
        self._now_us = now_us

    def look(self, read: Callable[[Transaction], tuple[int, Found]]) -> Found:
        """Return what `read` finds beside the project that it looked at; once more when that had lost runs."""

        def read_one(tx: Transaction) -> tuple[tuple[int], Found]:
            project_id, found = read(tx)
            return (project_id,), found

        return self.look_through(read_one)

    def look_through(self, read: Callable[[Transaction], tuple[Iterable[int], Found]]) -> Found:
        """Return what `read` finds beside the projects that it looked at; once more when one of them had lost runs."""
        with self._database.read() as tx:
            project_ids, found = read(tx)
            lost = [project_id for project_id in project_ids if self._has_lost(tx, project_id)]
        if not lost:
            return found
        for project_id in lost:
            self._end_lost(project_id)
        with self._database.read() as tx:
            return read(tx)[1]

    def _has_lost(self, tx: Transaction, project_id: int) -> bool:
        """Return whether a project has runs to be given up."""
        return self._lease_s is not None and lives.has_unheard(tx, project_id, self._since_us())

    def unheard(self, tx: Transaction, project_id: int, kept: Collection[str]) -> list[str]:
        """Return the running runs of a project, without some, of which nothing was heard for `UNHEARD_S`."""
        found = lives.unheard(tx, project_id, self._now_us() - round(UNHEARD_S * 1e6))
        return [run_id for run_id in found if run_id not in kept]

    def end_unheard(self, project_id: int, some: Collection[str]) -> None:
        """Give up those of some runs of which still nothing was heard."""
        error = f"{LOST}its process is gone, and so is the journal of what it logged last"
        with self._database.write() as tx:
            since_us = self._now_us() - round(UNHEARD_S * 1e6)
            lives.give_up(tx, project_id, since_us, error=error, now_us=self._now_us(), only=some)

    @done_again
    def _end_lost(self, project_id: int) -> None:
        """Give up the runs of a project of which nothing was heard for the length of the lease."""
        assert self._lease_s is not None
        error = f"{LOST}nothing was heard of its process for {self._lease_s:g} s"
        with self._database.write() as tx:
            lives.give_up(tx, project_id, self._since_us(), error=error, now_us=self._now_us())

    def _since_us(self) -> int:
        return self._now_us() - round((self._lease_s or 0) * 1e6)
