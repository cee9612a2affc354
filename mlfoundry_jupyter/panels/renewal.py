"""When the picture of a run is renewed in the midst of a cell: soon at first, then ever more rarely. Draws nothing.

A kernel that is killed leaves in the notebook's file what stood there last, so a long cell's picture must not be
that of its beginning. Between cells nothing changes in the file: it was as it should be when the last one ended.
"""

from __future__ import annotations

import math

FIRST_S = 3.0
GROWTH = 3.0  # 3, 9, 27 … s after the cell began
RAREST_S = 60.0  # JupyterLab saves every 120 s
SHARE = 0.005  # of the time at most goes into pictures while a cell runs, however much there is to draw
CHEAP_S = 0.05  # nobody feels it at the end of a cell


class Renewal:
    """The times of one picture; all times are of a clock that never jumps."""

    def __init__(self) -> None:
        self._cell: object = None
        self._began_s = 0.0
        self._due_s = math.inf
        self._rests_until_s = -math.inf
        self._cost_s = 0.0

    def is_due(self, now_s: float, cell: object) -> bool:
        """Return whether to draw now.

        Args:
            now_s: The time.
            cell: What stands for the cell that is executed now; None between cells.
        """
        if cell is not self._cell:
            self._cell, self._began_s = cell, now_s
            if cell is not None:
                self._due_s = min(self._due_s, now_s + FIRST_S)
        return now_s >= max(self._due_s, self._rests_until_s)

    def is_due_at_end(self, now_s: float) -> bool:
        """Return whether to draw now that a cell has ended; when it is dear and too soon, `is_due` says so later."""
        self._cell, self._due_s = None, now_s
        return self._cost_s <= CHEAP_S or now_s >= self._rests_until_s

    def drawn(self, now_s: float, cpu_s: float) -> None:
        """Take note that it was drawn, and what that took."""
        pause_s = min((GROWTH - 1) * max(now_s - self._began_s, FIRST_S), RAREST_S)
        self._due_s = math.inf if self._cell is None else now_s + pause_s
        self._rests_until_s = now_s + cpu_s / SHARE
        self._cost_s = cpu_s
