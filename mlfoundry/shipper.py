"""The threads that bring journals to the disk and into a backend, and the table of what is on its way.

One `Shipper` a process, made with the first run. Its *disk* thread forces journals to the disk before a
second is over, which keeps the promise "durable at most 1 s later" also while a backend is slow. Its
*shipping* thread gives what is new to the backends; a failure backs off and tries again for ever, and
nothing of it reaches the program that logs. Journals that dead processes left are adopted here as
well and go the same way (see `recovery`).

After a fork the child has a shipper of its own, once it logs.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from . import forks, recovery
from .errors import BackendUnavailable, MlfoundryError, NotFound, RunDeleted
from .journal.reader import LeftJournal
from .shipment import Shipment
from .tracking.backend import Backend

SHIP_S = 0.5
SYNC_S = 0.8
SWEEP_S = 5.0

_log = logging.getLogger("mlfoundry")


class Shipper:
    """The threads of this process that sync and ship; made by `shipper`."""

    def __init__(self) -> None:
        self._shipments: list[Shipment] = []
        self._sweeps: dict[tuple[str, str], tuple[Backend, list[Path]]] = {}
        self._swept_at = 0.0
        self._changed = threading.Condition()
        self._ship_now = threading.Event()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._later: list[Callable[[], object]] = []
        self._sweeps_wanted = self._sweeps_begun = self._sweeps_done = 0
        self._sweeping = threading.Lock()
        self.cpu_s = 0.0

    def add(self, shipment: Shipment) -> None:
        """Take a journal in; begin the threads with the first."""
        with self._changed:
            self._shipments.append(shipment)
        self._begin()

    def watch(self, backend: Backend, roots: list[Path]) -> None:
        """Adopt from now on what dead processes leave in these folders for this backend."""
        with self._changed:
            self._sweeps[backend.uri, backend.user_if_known or ""] = (backend, roots)
        self._begin()

    def later(self, begin: Callable[[], object]) -> None:
        """Call `begin` in the shipping thread soon.

        Starting a thread waits until it runs; beside threads that import modules that takes milliseconds,
        which the program that makes a run should not pay.
        """
        with self._changed:
            self._later.append(begin)
        self._begin()
        self._ship_now.set()

    def _begin(self) -> None:
        with self._changed:
            if not self._threads and not self._stopping.is_set():
                self._start("mlfoundry-shipper", self._ship)

    def _start(self, name: str, body: Callable[[], None]) -> None:
        thread = threading.Thread(target=body, name=name, daemon=True)
        self._threads.append(thread)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is ending; the next process ships what is here
            self._threads.remove(thread)

    # -- waiting ---------------------------------------------------------------------------------

    def wait(self, until: Callable[[], bool], timeout_s: float, *, sweep: bool = False) -> bool:
        """Ship at once and wait until `until` holds; return whether it does within the time.

        Args:
            until: Asked after each round of shipping.
            timeout_s: How long to wait at most.
            sweep: Look for journals of processes that died meanwhile first.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            swept = self._sweeps_begun + 1 if sweep else 0
            self._sweeps_wanted = max(self._sweeps_wanted, swept)
            for shipment in self._shipments:
                shipment.retry_at = 0.0
                shipment.is_awaited = True
            while not until() or (self._sweeps and self._sweeps_done < swept):
                left = deadline - time.monotonic()
                if left <= 0 or not self._threads:
                    return until()
                self._ship_now.set()
                self._changed.wait(min(left, 0.5))
        return True

    def adopted(self) -> list[Shipment]:
        """Return what dead processes left and is on its way."""
        with self._changed:
            return [each for each in self._shipments if isinstance(each.journal, LeftJournal)]

    def stop(self, timeout_s: float = 1.0) -> None:
        """End the threads; what is not shipped stays in the journals. Twice is a no-op."""
        self._stopping.set()
        self._ship_now.set()
        for thread in self._threads:
            thread.join(timeout_s)
        for shipment in self._shipments:
            if not shipment.done.is_set():
                shipment.journal.close(settled=False)
        self._shipments.clear()
        self._threads.clear()

    # -- the threads -----------------------------------------------------------------------------

    def _disk(self) -> None:
        while not self._stopping.wait(SYNC_S):
            began = time.thread_time()
            for shipment in list(self._shipments):
                try:
                    shipment.journal.sync()
                except Exception:
                    _log.warning("a journal could not be forced to the disk; trying again", exc_info=True)
            self.cpu_s += time.thread_time() - began

    def _ship(self) -> None:
        with forks.held_up():
            import numpy  # noqa: F401  what shipping needs: a child must not be forked while it is imported

            from .store import points  # noqa: F401
        self._start("mlfoundry-disk", self._disk)
        while not self._stopping.is_set():
            began = time.thread_time()
            try:
                self._round()
            except Exception:
                _log.warning("shipping was disturbed and goes on", exc_info=True)
            with self._changed:
                self._shipments = [shipment for shipment in self._shipments if not shipment.done.is_set()]
                self._changed.notify_all()
            self.cpu_s += time.thread_time() - began
            self._ship_now.wait(SHIP_S)
            self._ship_now.clear()

    def _round(self) -> None:
        while self._later:
            self._later.pop(0)()
        try:
            self._sweep()
        except Exception:
            _log.warning("what dead processes left could not be looked through", exc_info=True)
        now = time.monotonic()
        for shipment in list(self._shipments):
            if shipment.is_due(now) and not self._stopping.is_set():
                shipment.ship()
                if shipment.gone and isinstance(shipment.journal, LeftJournal):
                    parked = shipment.journal.park()
                    _log.warning("What a dead process logged to it is kept in %s: %s", parked, shipment.trouble)
                    shipment.done.set()

    def _sweep(self) -> None:
        """Adopt what dead processes left, now and then and when somebody waits for it."""
        with self._changed:
            is_wanted = self._sweeps_wanted > self._sweeps_begun
            if not is_wanted and self._swept_at and time.monotonic() - self._swept_at < SWEEP_S:
                return
            self._sweeps_begun += 1
            begun = self._sweeps_begun
        try:
            self._adopt_all()
        finally:
            self._swept_at = time.monotonic()
            self._sweeps_done = begun

    def _adopt_all(self) -> None:
        with self._sweeping:
            for backend, roots in list(self._sweeps.values()):
                for left in recovery.left_behind(roots):
                    shipment = self._adopted(left, backend)
                    if shipment is not None:
                        with self._changed:
                            self._shipments.append(shipment)

    def count_left(self, roots: list[Path]) -> int:
        """Return how many journals of dead processes are not stored: on their way, or left where they lie."""
        with self._sweeping:
            return len(self.adopted()) + sum(map(recovery.count_dead, roots))

    def _adopted(self, left: LeftJournal, backend: Backend) -> Shipment | None:
        try:
            found = recovery.prepare(left, backend)
        except BackendUnavailable:
            left.close(settled=False)  # the next sweep tries again
        except (NotFound, RunDeleted) as error:
            _log.warning("What a dead process logged is kept in %s: %s", left.park(), error)
        except MlfoundryError as error:
            left.close(settled=False)
            _log.warning("The journal %s is left where it is: %s", left.folder, error)
        except Exception:
            left.close(settled=False)
            _log.warning("The journal %s could not be recovered", left.folder, exc_info=True)
        else:
            return None if found is None else Shipment(left, found.backend, found.new, run=found.run, last=True)
        return None


_shipper: Shipper | None = None
_forked: list[Callable[[], None]] = []
_making = threading.Lock()


def shipper() -> Shipper:
    """Return this process's shipper; make it when there is none."""
    global _shipper
    with _making:
        if _shipper is None:
            _shipper = Shipper()
            atexit.register(stop)
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
        atexit.unregister(stop)
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
