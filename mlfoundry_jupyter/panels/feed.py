"""The one thread that brings all live panels of this process what is new, once a second.

It begins with the first panel and ends with the last. What goes wrong in it is counted and logged at debug
level; nothing of it reaches the user's program. After each cell of IPython it also lets panels settle: their
pictures, which a saved notebook keeps, then show how things stand at the end of the cell.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any, Protocol

from mlfoundry.log import Log

INTERVAL_S = 1.0
FIRST_S = 0.3

_log = Log("mlfoundry")


class Fed(Protocol):
    """What the feed calls: a panel."""

    def pulse(self, now_s: float) -> None:
        """Send what is new; `now_s` is of a clock that never jumps."""

    def settle(self) -> None:
        """Bring the picture up to date: a cell has ended."""


class Feed:
    """The thread and the panels that it feeds; made by `feed`."""

    def __init__(self) -> None:
        self._panels: list[Fed] = []
        self._parting: list[Fed] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._shell: Any = None
        self.pid = os.getpid()
        self.failures = 0
        self.cpu_s = 0.0

    def add(self, panel: Fed) -> None:
        """Feed a panel from now on; adding it twice is a no-op."""
        with self._changed:
            if panel in self._panels:
                return
            self._panels.append(panel)
            self._changed.notify_all()
            thread = None
            if self._thread is None:
                thread = self._thread = threading.Thread(target=self._run, name="mlfoundry-panels", daemon=True)
        if thread is not None:
            # Not while holding the lock: the collector may run in the new thread, and end a widget that needs it.
            thread.start()
        self._watch_cells()

    def remove(self, panel: Fed, *, settles: bool = False) -> None:
        """Feed a panel no longer; one that is not fed is fine.

        Args:
            panel: The panel.
            settles: Whether it is to settle once more, when the cell of this moment or else the next one ends.
        """
        with self._changed:
            for panels in (self._panels, self._parting):
                if panel in panels:
                    panels.remove(panel)
            if settles:
                self._parting.append(panel)
            self._changed.notify_all()
            is_last = not self._panels and not self._parting
        if is_last:
            self._unwatch_cells()

    def stop(self) -> None:
        """Feed nobody any longer, and wait for the thread's end; panels keep the pictures of this moment."""
        for panel in self._fed():
            self._guarded(panel.settle)
        with self._changed:
            thread = self._thread
            self._panels.clear()
            self._parting.clear()
            self._changed.notify_all()
        self._unwatch_cells()
        if thread is not None and thread.ident is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        due = time.monotonic() + FIRST_S
        while True:
            with self._changed:
                while self._panels and (left := due - time.monotonic()) > 0:
                    self._changed.wait(left)
                if not self._panels:
                    self._thread = None
                    return
                panels = list(self._panels)
            began = time.thread_time()
            for panel in panels:
                self._guarded(panel.pulse, time.monotonic())
            self.cpu_s += time.thread_time() - began
            due = max(due + INTERVAL_S, time.monotonic() + INTERVAL_S / 10)

    def _guarded(self, call: Any, *arguments: Any) -> None:
        try:
            call(*arguments)
        except Exception:  # noqa: BLE001  a panel must never disturb the program beside it, whatever happens
            self.failures += 1
            _log.debug("a panel could not be brought up to date", exc_info=True)

    # -- the ends of cells -----------------------------------------------------------------------

    def _watch_cells(self) -> None:
        shell = _shell()
        with self._changed:
            if shell is None or self._shell is not None:
                return
            self._shell = shell
        shell.events.register("post_run_cell", self._cell_has_ended)

    def _unwatch_cells(self) -> None:
        with self._changed:
            shell, self._shell = self._shell, None
        if shell is not None:
            shell.events.unregister("post_run_cell", self._cell_has_ended)

    def _cell_has_ended(self, _: Any) -> None:
        for panel in self._fed():
            self._guarded(panel.settle)

    def _fed(self) -> list[Fed]:
        with self._changed:
            return [*self._panels, *self._parting]


def _shell() -> Any:
    from IPython.core.getipython import get_ipython

    return get_ipython()


_feed = Feed()


def feed() -> Feed:
    """Return the feed of this process; a forked child has none of its parent's panels, threads and locks."""
    global _feed
    if _feed.pid != os.getpid():
        _feed = Feed()
    return _feed
