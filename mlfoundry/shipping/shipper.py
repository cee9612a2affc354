"""The threads that bring journals to the disk and into backends, and the table of what is on its way.

One `Shipper` a process, made with the first run. Its *disk* thread forces journals to the disk before a
second is over, which keeps the promise "durable at most 1 s later" also while a backend is slow. Each
backend has a *lane* with a thread of its own, which gives it what is new; a failure backs off and tries
again for ever, and nothing of it reaches the program that logs, nor what goes to another backend.

After a fork the child has a shipper of its own, once it logs.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ..tracking.backend import Backend
from .lane import Lane
from .shipment import Shipment

SHIP_S = 0.5
SYNC_S = 0.8
SWEEP_S = 5.0
# What begins beside a program that makes a run (imports above all) takes the interpreter from it for 5 ms at a time.
BEGIN_LATER_S = 0.02
LATE_PAUSE_S = 0.05

_log = logging.getLogger("mlfoundry")


class Shipper:
    """The threads of this process that sync and ship; made by `shipper`."""

    def __init__(self) -> None:
        self._lanes: dict[str, Lane] = {}
        self._changed = threading.Condition()
        self._wanted = threading.Event()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._later: list[Callable[[], object]] = []
        self._is_late = False  # no thread can begin any more
        self._syncing_s = 0.0
        self._heard: dict[str, threading.Thread] = {}

    @property
    def cpu_s(self) -> float:
        """Seconds of a processor that the threads have taken so far."""
        return self._syncing_s + sum(lane.cpu_s for lane in list(self._lanes.values()))

    def add(self, shipment: Shipment) -> None:
        """Take a journal in, unless it is in; begin the threads with the first."""
        with self._changed:
            shipments = self._lane(shipment.backend).shipments
            if shipment not in shipments:
                shipments.append(shipment)
        self._begin()

    def watch(self, backend: Backend, roots: list[Path]) -> None:
        """Adopt from now on what dead processes leave in these folders for this backend."""
        with self._changed:
            self._lane(backend).watch(backend, roots)
        self._begin()

    def _lane(self, backend: Backend) -> Lane:
        if backend.uri not in self._lanes:
            lane = Lane(backend.uri, self._changed, self._stopping, pause_s=SHIP_S, sweep_s=SWEEP_S)
            self._lanes[backend.uri] = lane
            self._later.append(lambda: self._start_lane(lane))
            self._wanted.set()
        return self._lanes[backend.uri]

    def later(self, begin: Callable[[], object]) -> None:
        """Call `begin` in a thread of this shipper soon, when the program that makes a run has gone on.

        Starting a thread waits until it runs; beside threads that import modules that takes milliseconds,
        which the program should not pay.
        """
        with self._changed:
            self._later.append(begin)
        self._begin()
        self._wanted.set()

    def _begin(self) -> None:
        with self._changed:
            if not self._threads and not self._stopping.is_set():
                self._start("mlfoundry-disk", self._disk)

    def _start_lane(self, lane: Lane) -> None:
        lane.has_thread = self._start("mlfoundry-shipper", lane.run)

    def _start(self, name: str, body: Callable[[], None]) -> bool:
        """Begin a thread; return whether that could be done."""
        thread = threading.Thread(target=body, name=name, daemon=True)
        self._threads.append(thread)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is ending: whoever waits for what is shipped ships it
            self._threads.remove(thread)
            with self._changed:
                self._is_late = True
                self._changed.notify_all()
            return False
        return True

    # -- waiting ---------------------------------------------------------------------------------

    def wait(
        self, until: Callable[[], bool], timeout_s: float, *, backend: Backend | None = None, sweep: bool = False
    ) -> bool:
        """Ship at once and wait until `until` holds; return whether it does within the time.

        Args:
            until: Asked after each round of shipping.
            timeout_s: How long to wait at most.
            backend: Whose journals are meant, all when None.
            sweep: Look for journals of processes that died meanwhile first.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            lanes = self._lanes_of(backend)
            swept = [lane.hurry(sweep=sweep) for lane in lanes]
        while True:
            with self._changed:
                if until() and all(is_over() for is_over in swept):
                    return True
                left = deadline - time.monotonic()
                if left <= 0 or not (self._threads or self._is_late):
                    return until()
                for lane in lanes:
                    lane.wake()
                idle = [lane for lane in lanes if not lane.has_thread] if self._is_late else []
                if not idle:
                    self._changed.wait(min(left, 0.5))
            for lane in idle:  # a turn that a server holds up may take longer than `timeout_s`
                lane.turn()
            if idle and not until():
                time.sleep(min(left, LATE_PAUSE_S))

    def _lanes_of(self, backend: Backend | None) -> list[Lane]:
        lanes = list(self._lanes.values())  # other threads add theirs meanwhile
        return [lane for lane in lanes if backend is None or lane.uri == backend.uri]

    def adopted(self, backend: Backend | None = None) -> list[Shipment]:
        """Return what dead processes left and is on its way, for one backend or for all."""
        with self._changed:
            return [shipment for lane in self._lanes_of(backend) for shipment in lane.adopted()]

    def reconsider(self, backend: Backend) -> None:
        """Let the next sweep look also at journals of dead processes that were not taken a moment ago."""
        for lane in self._lanes_of(backend):
            lane.reconsider()

    def count_left(self, backend: Backend, roots: list[Path]) -> int:
        """Return how many journals of dead processes are not stored: on their way, or left where they lie."""
        return sum(lane.count_left(roots) for lane in self._lanes_of(backend))

    def away_s(self, backend: Backend) -> float:
        """Return for how long a backend could not be reached, 0 when it could the last time."""
        since = [lane.away_since for lane in self._lanes_of(backend) if lane.away_since is not None]
        return time.monotonic() - min(since) if since else 0.0

    def stop(self, timeout_s: float = 1.0) -> None:
        """End the threads; what is not shipped stays in the journals. Twice is a no-op."""
        self._stopping.set()
        self._wanted.set()
        lanes = list(self._lanes.values())
        for lane in lanes:
            lane.wake()
        deadline = time.monotonic() + timeout_s
        sending = [lane.sending for lane in lanes if lane.sending is not None]
        for thread in [*self._threads, *sending, *self._heard.values()]:
            thread.join(max(0.0, deadline - time.monotonic()))
        for shipment in [shipment for lane in lanes for shipment in lane.shipments]:
            if not shipment.done.is_set():
                shipment.journal.close(settled=False)
        self._lanes.clear()
        self._threads.clear()

    # -- the thread that is about this machine ---------------------------------------------------

    def _disk(self) -> None:
        """Begin what is to begin in a thread, and force journals to the disk: the body of the disk thread."""
        sync_at = time.monotonic() + SYNC_S
        while not self._stopping.is_set():
            if self._later:
                self._stopping.wait(BEGIN_LATER_S)
            began = time.thread_time()
            while self._later:
                try:
                    self._later.pop(0)()
                except Exception:
                    _log.warning("something that was to begin could not", exc_info=True)
            if time.monotonic() >= sync_at:
                self._sync_all()
                self._keep_heard()
                sync_at = time.monotonic() + SYNC_S
            self._syncing_s += time.thread_time() - began
            self._wanted.wait(max(0.0, sync_at - time.monotonic()))
            self._wanted.clear()

    def _keep_heard(self) -> None:
        """Begin a thread for each lane that is held up, unless it has one."""
        self._heard = {uri: thread for uri, thread in self._heard.items() if thread.is_alive()}
        for uri, lane in list(self._lanes.items()):
            if lane.is_held_up and uri not in self._heard and not self._stopping.is_set():
                thread = threading.Thread(target=lane.keep_heard, name="mlfoundry-heartbeat", daemon=True)
                with suppress(RuntimeError):  # the interpreter is ending
                    thread.start()
                    self._heard[uri] = thread

    def _sync_all(self) -> None:
        for shipment in [shipment for lane in list(self._lanes.values()) for shipment in list(lane.shipments)]:
            try:
                shipment.journal.sync()
            except Exception:
                _log.warning("a journal could not be forced to the disk; trying again", exc_info=True)


_shipper: Shipper | None = None
_forked: list[Callable[[], None]] = []
_making = threading.Lock()


def shipper() -> Shipper:
    """Return this process's shipper; make it when there is none."""
    global _shipper
    with _making:
        if _shipper is None:
            _shipper = Shipper()
        return _shipper


def current() -> Shipper | None:
    """Return this process's shipper, None when none was needed so far."""
    return _shipper


def stop(timeout_s: float = 1.0) -> None:
    """End this process's shipper, when there is one; the next run begins another.

    What is not shipped stays in the journals, for the next process.
    """
    global _shipper
    with _making:
        ended, _shipper = _shipper, None
    if ended is not None:
        ended.stop(timeout_s)


def after_fork(restart: Callable[[], None]) -> None:
    """Call `restart` in each forked child, after the child's copy of the shipper is gone."""
    _forked.append(restart)


def _in_child() -> None:
    global _shipper, _making
    _making = threading.Lock()
    _shipper = None
    for restart in _forked:
        restart()


os.register_at_fork(after_in_child=_in_child)
# Here and not with the first shipper: what is registered first is called last, after the ends of the runs that are
# open, in forked children as well, whose shipper is made after those were registered.
atexit.register(stop)
