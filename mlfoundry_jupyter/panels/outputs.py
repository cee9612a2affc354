"""Which panels stand in the output of which cell: when the cell is executed again, its former ones are told.

Knows cells by the ids that the front end gives them; where it gives none, as in a terminal, nothing is kept.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, Protocol
from weakref import WeakSet


class Shown(Protocol):
    """What stands in outputs: a panel."""

    def replaced(self) -> None:
        """Take note that another execution of the only cell that showed it has replaced its output."""


@dataclass(slots=True)
class _Cell:
    execution: str
    panels: WeakSet[Any] = field(default_factory=WeakSet)


class Outputs:
    """The outputs of one process."""

    def __init__(self) -> None:
        self._cells: dict[str, _Cell] = {}
        self._lock = threading.Lock()

    def note(self, panel: Shown) -> None:
        """Take note that a panel is shown in the cell that is executed now."""
        place = _place()
        if place is None:
            return
        cell_id, execution = place
        with self._lock:
            former = self._cells.get(cell_id)
            if former is None or former.execution != execution:
                self._cells[cell_id] = _Cell(execution)
            self._cells[cell_id].panels.add(panel)
            gone = [] if former is None or former.execution == execution else list(former.panels)
            left = [each for each in gone if not any(each in cell.panels for cell in self._cells.values())]
        for each in left:
            each.replaced()


def _place() -> tuple[str, str] | None:
    """Return the id of the cell that is executed now, and that of its execution; None where nobody tells."""
    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()
    if not hasattr(shell, "get_parent"):
        return None
    parent = shell.get_parent() or {}
    cell_id = parent.get("metadata", {}).get("cellId")
    execution = parent.get("header", {}).get("msg_id")
    return (cell_id, execution) if cell_id and execution else None


outputs = Outputs()
