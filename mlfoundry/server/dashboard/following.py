"""A run as its page reads it: all of it at first, then only what is new. Keeps nothing between requests.

A page tells what it has: a mark of the run's state, and how many points of each series, in the order that it was told.
That order has a mark of its own, so that no names travel while none is new.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, repeat
from typing import Any

import numpy as np

from ...names import SYSTEM_PREFIX
from ...panels import frames, limits
from ...records import Permission, RunKey, RunRecord, Series, SeriesQuery
from ...tracking.service import TrackingService
from .bundle import message


@dataclass(frozen=True, slots=True)
class Known:
    """What a page has of a run.

    Attributes:
        seen: The mark of the state that it was told last; empty at first.
        order: The mark of the series that it holds; empty at first.
        counts: How many points it has of each of them, in their order: counts, each with how often it stands there.
        names: Their names, where they were asked for; empty else.
    """

    seen: str = ""
    order: str = ""
    counts: Sequence[tuple[int, int]] = ()
    names: Sequence[str] = ()

    def each_count(self) -> list[int]:
        """Return one count for each series."""
        return list(chain.from_iterable(repeat(count, times) for count, times in self.counts))


NOTHING = Known()


class _Shown:
    """The series of a run that a page holds, of all that it has.

    Attributes:
        counts: How many points each has in the store, by name: logged ones, then those of the machine.
        names: The same names in the order that pages hold them.
        logged: How many of them are logged.
        told: What a whole frame says of all.
    """

    def __init__(self, held: Mapping[str, int]) -> None:
        kinds: tuple[list[str], list[str]] = ([], [])
        for name in held:
            kinds[name.startswith(SYSTEM_PREFIX)].append(name)
        logged, system = kinds
        self.is_whole = max(len(logged), len(system)) <= limits.SERIES_MOST
        self.logged = min(len(logged), limits.SERIES_MOST)
        self.names = (*logged[: limits.SERIES_MOST], *system[: limits.SERIES_MOST])
        self.counts = {name: held[name] for name in self.names}
        total = {"logged": len(logged), "system": len(system)}
        self.told = {"order": _short(repr((self.names, total))), "total": total}

    @property
    def order(self) -> str:
        """The mark of the names in their order, and of how many there are besides."""
        return str(self.told["order"])


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

    def news(self, known: Known = NOTHING) -> list[bytes]:
        """Return what a page does not know yet, as frames; one of kind ``names`` where it must say what it holds."""
        shown = _Shown(self._tracking.count_points(self._user, self.record.key))
        parts = self._state(known, shown)
        if not known.order:
            parts.append(self._whole(shown))
        elif known.order == shown.order:
            parts += self._grown(shown, dict(zip(shown.names, known.each_count(), strict=False)))
        elif not known.names:
            return [message("names")]
        else:
            parts += self._joined(shown, dict(zip(known.names, known.each_count(), strict=False)))
        if self.record.has_ended:
            parts.append(message("ended"))
        return parts

    def _state(self, known: Known, shown: _Shown) -> list[bytes]:
        """Return what the run is, where that has changed."""
        record = self.record
        # A page has the latest values of the series that it holds from their points.
        adds = bool(known.order) and not self.record.has_ended
        if adds:
            record = replace(
                record, metrics={name: record.metrics[name] for name in record.metrics if name not in shown.counts}
            )
        snapshot = frames.run_snapshot(
            record,
            self.facts,
            may_write=self.permission >= Permission.WRITE,
            may_admin=self.permission >= Permission.ADMIN,
        )
        mark = _mark(snapshot, shown)
        return [] if mark == known.seen else [message("run", run=snapshot, mark=mark, adds=adds)]

    # -- points ----------------------------------------------------------------------------------

    def _whole(self, shown: _Shown) -> bytes:
        """Return the points of all series that are shown, or an overview of them."""
        return self._series_frame(shown, self._overviews(shown, shown.names), shown.told)

    def _joined(self, shown: _Shown, known: Mapping[str, int]) -> list[bytes]:
        """Return the series that a page does not hold yet, and what came to those that it does."""
        fresh = self._overviews(shown, tuple(name for name in shown.names if name not in known))
        empty = np.empty(0, np.int64)
        held = {name: Series(name, empty, empty, np.empty(0), known[name]) for name in shown.names if name not in fresh}
        counts = {name: each.count for name, each in (fresh | held).items()}
        return [
            self._series_frame(shown, fresh | held, {**shown.told, "adds": True}),
            *self._grown(shown, counts),
        ]

    def _grown(self, shown: _Shown, known: Mapping[str, int]) -> list[bytes]:
        """Return the points that came since to the series that a page holds; an overview of all where that is less."""
        if known.keys() != shown.counts.keys() or any(shown.counts[name] < count for name, count in known.items()):
            return [self._whole(shown)]
        grown = tuple(name for name in shown.names if shown.counts[name] > known[name])
        came = sum(shown.counts[name] - known[name] for name in grown)
        if came > min(limits.POINTS_MOST, limits.MAX_POINTS * max(1, len(shown.names))):
            return [self._whole(shown)]  # somebody logs so fast that an overview is shorter
        if not grown:
            return []
        # Of all series at once it is one statement; where not all are shown, each of those that grew.
        which: dict[str, Any] = {"system": None} if shown.is_whole else {"names": grown}
        places = {name: place for place, name in enumerate(shown.names)}
        found = self._read(since=known, **which)  # one that began after the counting is left to the next time
        new = [
            (places[each.name], known[each.name], each) for each in found if each.name in places and len(each.values)
        ]
        return [frames.new_points(self.record.key.run_id, new)] if new else []

    def _overviews(self, shown: _Shown, names: tuple[str, ...]) -> dict[str, Series]:
        """Return some series by name, each with as many points as it may have beside all others."""
        found = self._read(names=names, max_points=limits.few_points(len(shown.names))) if names else []
        return {each.name: each for each in found}

    def _series_frame(self, shown: _Shown, found: Mapping[str, Series], told: Mapping[str, Any]) -> bytes:
        every = [found[name] for name in shown.names]
        return frames.whole_points(self.record.key.run_id, every[: shown.logged], every[shown.logged :], told=told)

    def _read(self, **wanted: Any) -> list[Series]:
        return self._tracking.read_series(self._user, SeriesQuery(self.record.key, **wanted))


def _mark(snapshot: Mapping[str, Any], shown: _Shown) -> str:
    """Return what tells two states of a run apart; its points and latest values come by themselves."""
    steady = {name: value for name, value in snapshot.items() if name not in ("metrics", "last_seen_at")}
    beside = None if shown.is_whole else shown.told["total"]
    return _short(json.dumps([steady, beside], sort_keys=True, default=str))


def _short(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
