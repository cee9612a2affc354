"""The one thread that brings all live panels of this process what is new, once a second.

It begins with the first panel and ends with the last. What goes wrong in it is counted and logged at debug
level; nothing of it reaches the user's program. After each cell of IPython it also lets panels settle: their
pictures, which a saved notebook keeps, then show how things stand at the end of the cell. The cell's end waits for
that, but not for a server that does not answer.
"""

from __future__ import annotations

import os
import threading
import time
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any, Protocol

from mlfoundry.log import Log

INTERVAL_S = 1.0
FIRST_S = 0.3
SETTLE_S = 2.0  # how long the end of a cell waits for the pictures

_log = Log("mlfoundry")


class Fed(Protocol):
    """What the feed calls: a panel."""

    def pulse(self, now_s: float) -> None:
        """Send what is new; `now_s` is of a clock that never jumps."""

    def settle(self) -> None:
        """Bring the picture up to date: a cell has ended."""


@dataclass(frozen=True, slots=True)
class _CellEnd:
    """The end of a cell that panels are to settle for.

    Attributes:
        context: In which what is displayed counts as the cell's output.
        settled: Set when they have.
    """

    context: Context = field(default_factory=copy_context)
    settled: threading.Event = field(default_factory=threading.Event)


class Feed:
    """The thread and the panels that it feeds; made by `feed`."""

    def __init__(self) -> None:
        self._panels: list[Fed] = []
        self._parting: list[Fed] = []
        self._cell_ends: list[_CellEnd] = []
        self._awaited: _CellEnd | None = None
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
            thread = self._told()
        if thread is not None:
            # Not while holding the lock: the collector may run in the new thread, and end a widget that needs it.
            thread.start()
        self._watch_cells()

    def _told(self) -> threading.Thread | None:
        """Let the thread see what there is to do; return it when it has yet to be started."""
        self._changed.notify_all()
        if self._thread is not None:
            return None
        self._thread = threading.Thread(target=self._run, name="mlfoundry-panels", daemon=True)
        return self._thread

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
        self._settle()
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
                while self._panels and not self._cell_ends and (left := due - time.monotonic()) > 0:
                    self._changed.wait(left)
                cell_ends, self._cell_ends = self._cell_ends, []
                panels = list(self._panels)
                if not panels and not cell_ends:
                    self._thread = None
                    return
            if cell_ends:
                cell_ends[-1].context.run(self._settle)
                for each in cell_ends:
                    each.settled.set()
                continue
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
        if not self._fed() or self.pid != os.getpid():
            return
        end = _CellEnd()
        with self._changed:
            self._cell_ends.append(end)
            thread = self._told()
        if thread is not None:
            thread.start()
        # While the last cell's pictures are still on their way, no cell waits for its own.
        if self._awaited is None or self._awaited.settled.is_set():
            self._awaited = end
            end.settled.wait(SETTLE_S)

    def _settle(self) -> None:
        for panel in self._fed():
            self._guarded(panel.settle)

    def _fed(self) -> list[Fed]:
        with self._changed:
            return [*self._panels, *self._parting]


def executed_cell() -> object:
    """Return what stands for the cell that IPython executes now; None between cells."""
    result = getattr(getattr(_shell(), "displayhook", None), "exec_result", None)
    return getattr(result, "info", None)  # not the result itself, which may hold much


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
