"""Reading a run as it grows: the messages that bring a view up to date. No widget, no thread.

Whole frames come at growing intervals, so that a page that missed something recovers also while the kernel
cannot hear it; in between come new points alone, read by cursors. It reads what is stored, so it follows runs
of other processes just as well as those of this one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mlfoundry import Run, RunStatus, StoredRun
from mlfoundry.errors import MlfoundryError
from mlfoundry.names import SYSTEM_PREFIX
from mlfoundry.panels import frames, limits
from mlfoundry.records import Health, Permission, RunRecord, Series, SeriesQuery

FIRST_WHOLE_S = 1.0
WHOLE_TIMES = 4
LOOK_S = 2.0
LOOK_OWN_S = 5.0  # at a run of this process, of which nothing has changed: its end and its cells' ends are told anyhow
HEALTH_LOOK_S = 2.0
HEALTH_S = 5.0

Message = tuple[dict[str, Any], tuple[bytes, ...]]


class Following:
    """What a panel knows of a run, and what its views were told of it.

    Attributes:
        run: The run; a `Run` when this process logs to it.
        record: As it was last seen in the store.
        facts: Likewise.
        has_ended: Whether the store holds all of the run, and its end.
    """

    def __init__(self, run: StoredRun) -> None:
        self.run = run
        self.record: RunRecord = run.record
        self.facts: dict[str, str] = {}
        self.has_ended = False
        self._permission: Permission | None = None
        self._places: dict[str, int] = {}
        self._counts: dict[str, int] = {}
        self._left_out = 0
        self._began_s: float | None = None
        self._whole_at_s = self._look_at_s = self._health_look_at_s = self._health_at_s = 0.0
        self._told: tuple[Any, ...] = ()
        self._told_health: tuple[Any, ...] = ()

    # -- messages --------------------------------------------------------------------------------

    def new(self, now_s: float, *, looks: bool = False) -> list[Message]:
        """Return what is new since the last call, and a whole frame whenever one is due.

        Args:
            now_s: The time, of a clock that never jumps.
            looks: Whether to look at once at what else the run is than points.
        """
        if self._began_s is None:
            self._began_s = now_s
        messages: list[Message] = []
        if looks or now_s >= self._look_at_s or self._local_has_ended():
            self.look()
            messages += self._snapshot()
            self._look_at_s = now_s + (LOOK_S if messages or not isinstance(self.run, Run) else LOOK_OWN_S)
        if looks or now_s >= self._health_look_at_s or self.has_ended:
            self._health_look_at_s = now_s + HEALTH_LOOK_S
            messages += self._health(now_s)
        is_whole_due = now_s >= self._whole_at_s
        delta = None if is_whole_due or self.has_ended else self._new_points()
        if delta is None:
            if is_whole_due:
                # 1, 4, 16, 64 … s after the beginning: all of them together hold a third of the run's points again.
                self._whole_at_s = now_s + max(FIRST_WHOLE_S, (WHOLE_TIMES - 1) * (now_s - self._began_s))
            messages.append(self._whole_points())
        else:
            messages += delta
        if self.has_ended:
            messages.append(({"kind": "ended"}, ()))
        return messages

    def whole(self) -> list[Message]:
        """Return all that a view needs which knows nothing yet."""
        self.look()
        self._told = ()
        self._told_health = ()
        messages = [*self._snapshot(), *self._health(0.0), self._whole_points()]
        if self.has_ended:
            messages.append(({"kind": "ended"}, ()))
        return messages

    def look(self) -> None:
        """Read again what the run is: its status, values and facts.

        Raises:
            MlfoundryError: The store cannot be read now.
        """
        try:
            self.record = self.run.client.backend.get_run(self.run.run_id)
        except MlfoundryError:
            if not isinstance(self.run, Run):
                raise
            self.record = self.run.record  # not stored yet: what this process knows of it
            return
        self.facts = self.run.client.backend.get_facts(self.record.key)
        self.has_ended = self.record.has_ended

    def _local_has_ended(self) -> bool:
        return isinstance(self.run, Run) and self.run.status is not RunStatus.RUNNING

    @property
    def health(self) -> Health | None:
        """How the tracker does; None for a run of another process."""
        return self.run.health if isinstance(self.run, Run) else None

    @property
    def permission(self) -> Permission:
        """What this user may do in the run's project."""
        if self._permission is None:
            project = self.run.client.backend.get_project(self.record.owner, self.record.project_name)
            self._permission = project.permission
        return self._permission

    def snapshot(self) -> dict[str, Any]:
        """Return what the run is, as JSON."""
        try:
            permission = self.permission
        except MlfoundryError:
            permission = Permission.READ
        return frames.run_snapshot(
            self.record,
            self.facts,
            health=self.health,
            dashboard_link=self.run.dashboard_link,
            may_write=permission >= Permission.WRITE,
            may_admin=permission >= Permission.ADMIN,
        )

    def _snapshot(self) -> list[Message]:
        # The last values of metrics come with their points; a snapshot goes out when anything else changes.
        record = self.record
        params = repr(record.params)  # as text, for NaN is equal to no NaN
        named = (record.run_name, record.description, params, record.tags, list(record.metrics))
        steady = (record.key, record.status, record.error, record.started_at, record.ended_at, *named, self.facts)
        if steady == self._told:
            return []
        self._told = steady
        return [({"kind": "run", "run": self.snapshot()}, ())]

    def _health(self, now_s: float) -> list[Message]:
        health = self.health
        if health is None:
            return []
        # Beside the state only the tracker's own cost changes: once in a while is enough.
        told = (health.state, health.message, health.lost, health.pending_bytes > 0)
        if told == self._told_health and now_s < self._health_at_s:
            return []
        self._told_health, self._health_at_s = told, now_s + HEALTH_S
        return [({"kind": "health", "health": frames.health_json(health)}, ())]

    # -- points ----------------------------------------------------------------------------------

    def series(self, max_points: int = limits.MAX_POINTS) -> tuple[list[Series], list[Series]]:
        """Return metrics and system metrics with their points, or an overview of them; none before it is stored.

        Of more metrics than a page is sent they are the first by name.
        """
        if self.record.key.project_id == 0:
            return [], []
        names = sorted(self.record.metrics)
        if len(names) > limits.SERIES_MOST:
            few = min(max_points, limits.few_points(limits.SERIES_MOST))
            shown = SeriesQuery(self.record.key, tuple(names[: limits.SERIES_MOST]), max_points=few)
            return self._read(shown), self._read(SeriesQuery(self.record.key, system=True, max_points=few))
        few = min(max_points, limits.few_points(len(names)))
        every = self._read(SeriesQuery(self.record.key, system=None, max_points=few))
        is_system = [series.name.startswith(SYSTEM_PREFIX) for series in every]
        logged = [series for series, system in zip(every, is_system, strict=True) if not system]
        return logged, [series for series, system in zip(every, is_system, strict=True) if system]

    def _whole_points(self) -> Message:
        logged, system = self.series()
        every = [*logged, *system]
        self._places = {series.name: place for place, series in enumerate(every)}
        self._counts = {series.name: series.count for series in every}
        self._left_out = max(0, len(self.record.metrics) - len(logged))
        total = {"logged": len(logged) + self._left_out, "system": len(system)}
        whole = frames.whole_points(self.run.run_id, logged, system, told={"total": total})
        return {"kind": "frame"}, (whole,)

    def _new_points(self) -> list[Message] | None:
        """Return the points that came since; None when the views need a whole frame for them."""
        if self.record.key.project_id == 0:
            return []
        new: list[tuple[int, int, Series]] = []
        for series in self._read(SeriesQuery(self.record.key, system=None, since=self._counts)):
            if series.name not in self._places:
                if self._left_out:
                    continue
                return None
            if len(series.values):
                new.append((self._places[series.name], self._counts[series.name], series))
        if sum(len(series.values) for _, _, series in new) > limits.MAX_POINTS * max(1, len(self._places)):
            return None  # somebody logs so fast that an overview is shorter
        self._counts.update((series.name, series.count) for _, _, series in new)
        return [({"kind": "frame"}, (frames.new_points(self.run.run_id, new),))] if new else []

    def _read(self, query: SeriesQuery) -> list[Series]:
        return self.run.client.backend.read_series(query)


def total_bytes(messages: Iterable[Message]) -> int:
    """Return how many bytes of frames messages carry."""
    return sum(len(frame) for _, carried in messages for frame in carried)
