"""Which cells IPython executes now, one inside of another: ``%%capture`` and ``%run`` execute cells of their own."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cells import CellRun


@dataclass(slots=True)
class Execution:
    """One cell that IPython executes now.

    Attributes:
        info: What IPython says of it.
        depth: How many executions it stands inside of.
        own: The run of this cell alone, if it began one.
    """

    info: Any
    depth: int
    own: CellRun | None = None


class Executions(threading.local):
    """The cells of each thread, the innermost last: a kernel may execute cells in several threads."""

    def __init__(self) -> None:
        self.stack: list[Execution] = []

    @property
    def innermost(self) -> Execution | None:
        """The cell that this thread executes now."""
        return self.stack[-1] if self.stack else None

    def begin(self, info: Any) -> Execution:
        """Note that IPython executes a cell; it may still turn out to be no Python."""
        execution = Execution(info, len(self.stack))
        self.stack.append(execution)
        return execution

    def end(self, result: Any) -> list[Execution]:
        """Note that a cell has ended; return it as the last, after those inside of it whose end was never told.

        Empty for a cell that never began, such as one without any text.
        """
        place = self._place(getattr(result, "info", None))
        if place is None:
            return []
        ended = self.stack[place:]
        del self.stack[place:]
        return ended[::-1]

    def _place(self, info: Any) -> int | None:
        if not self.stack:
            return None
        if info is None:
            return len(self.stack) - 1
        places = range(len(self.stack) - 1, -1, -1)
        own = next((place for place in places if self.stack[place].info is info), None)
        if own is not None or not info.raw_cell:
            return own
        # IPython describes a cell anew that was interrupted outside of the user's code.
        return next((place for place in places if self.stack[place].info.raw_cell == info.raw_cell), None)
