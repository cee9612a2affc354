"""A run as its page reads it: all of it at first, then only what is new. Keeps nothing between requests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ...names import SYSTEM_PREFIX
from ...panels import frames, limits
from ...records import Permission, RunKey, RunRecord, RunStatus, Series, SeriesQuery
from ...tracking.service import TrackingService
from .bundle import message

Known = Sequence[tuple[str, int]]


class Following:
    """One run, as one user sees it now.

    Args:
        tracking: The rules.
        user: Who asks.
        run: The run.
    """

    def __init__(self, tracking: TrackingService, user: str, run: RunKey) -> None:
        self._tracking = tracking
        self._user = user
        self.facts = tracking.get_facts(user, run)  # first: it refuses a run of another project
        self.record: RunRecord = tracking.get_run(user, run.run_id)
        self.permission: Permission = tracking.permission(user, run.project_id)

    @property
    def has_ended(self) -> bool:
        """Whether the run goes on no longer, as far as can be known: one that was only given up may come back."""
        is_open = self.record.status in (RunStatus.RUNNING, RunStatus.SCHEDULED)
        return not is_open and not self.record.is_lost

    def snapshot(self) -> dict[str, Any]:
        """Return what the run is, as JSON."""
        return frames.run_snapshot(
            self.record,
            self.facts,
            may_write=self.permission >= Permission.WRITE,
            may_admin=self.permission >= Permission.ADMIN,
        )

    def news(self, seen: str, known: Known) -> list[bytes]:
        """Return what a page does not know yet, as frames.

        Args:
            seen: The mark that the last answer gave, empty at first.
            known: Name and number of points of each series that the page holds, in its order; empty at first.
        """
        parts = []
        snapshot = self.snapshot()
        mark = _mark(snapshot)
        if mark != seen:
            parts.append(message("run", run=snapshot, mark=mark))
        points = self._new_points(known) if known else None
        if points is None:
            parts.append(self.whole_points())
        elif points:
            parts.append(points)
        if self.has_ended:
            parts.append(message("ended"))
        return parts

    def whole_points(self) -> bytes:
        """Return all that the run has measured, or an overview of it."""
        held = self._tracking.count_points(self._user, self.record.key)
        logged, system = self._shown(held)
        points = limits.few_points(len(logged) + len(system))
        every = sum(not name.startswith(SYSTEM_PREFIX) for name in held)
        return frames.whole_points(
            self.record.key.run_id,
            self._read(names=logged, max_points=points),
            self._read(names=system, max_points=points),
            left_out=every - len(logged),
        )

    def _shown(self, counts: Mapping[str, int]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the names of the logged and of the system metrics that a page holds."""
        logged = [name for name in counts if not name.startswith(SYSTEM_PREFIX)]
        system = [name for name in counts if name.startswith(SYSTEM_PREFIX)]
        return tuple(logged[: limits.SERIES_MOST]), tuple(system[: limits.SERIES_MOST])

    def _new_points(self, known: Known) -> bytes | None:
        """Return the points that came since, empty without any; None when all must be read again."""
        places = {name: place for place, (name, _) in enumerate(known)}
        counts = dict(known)
        held = self._tracking.count_points(self._user, self.record.key)
        shown = [name for kind in self._shown(held) for name in kind]
        if not places.keys() >= set(shown) or any(held[name] < counts[name] for name in shown):
            return None
        grown = tuple(name for name in shown if held[name] > counts[name])
        most = min(limits.POINTS_MOST, limits.MAX_POINTS * max(1, len(shown)))
        if sum(held[name] - counts[name] for name in grown) > most:
            return None  # somebody logs so fast that an overview is shorter
        if not grown:
            return b""
        # Of all series at once it is one statement; where not all are shown, each of those that grew.
        which = {"system": None} if len(shown) == len(held) else {"names": grown}
        found = self._read(since=counts, **which)
        if not places.keys() >= {each.name for each in found if len(each.values)}:
            return None  # one that is newer than the counts
        new = [(places[each.name], counts[each.name], each) for each in found if len(each.values)]
        return frames.new_points(self.record.key.run_id, new) if new else b""

    def _read(self, **wanted: Any) -> list[Series]:
        return self._tracking.read_series(self._user, SeriesQuery(self.record.key, **wanted))


def _mark(snapshot: dict[str, Any]) -> str:
    """Return what tells two states of a run apart; its points and latest values come by themselves."""
    steady = {name: value for name, value in snapshot.items() if name not in ("metrics", "last_seen_at")}
    steady["metrics"] = list(snapshot["metrics"])
    return hashlib.sha256(json.dumps(steady, sort_keys=True, default=str).encode()).hexdigest()[:16]
