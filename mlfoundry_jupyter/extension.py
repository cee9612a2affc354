"""What ``%load_ext mlfoundry_jupyter`` registers in a shell, and ``%unload_ext`` takes back."""

from __future__ import annotations

import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from . import first_line
from .completion import Completion
from .executions import Executions
from .magics import MlfoundryMagics

if TYPE_CHECKING:
    from .cells import Cells


class Extension:
    """Everything of ours in one shell. Loading it imports neither the client nor the store.

    Args:
        shell: IPython's shell.
    """

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.executions = Executions()
        self.magics = MlfoundryMagics(shell, lambda: self.cells)
        parsers = {name: magic.parser for name, magic in self.magics.magics["line"].items()}
        self.matcher = Completion(shell, lambda: self.cells, parsers).matcher()

    @cached_property
    def cells(self) -> Cells:
        """What is known of the shell's cells and runs, from the first magic on."""
        from .cells import Cells

        return Cells(self.shell, self.executions)

    def _cell_begins(self, info: Any) -> None:
        execution = self.executions.begin(info)
        if "cells" in vars(self):
            self.cells.cell_begins(execution)

    def _cell_ended(self, result: Any) -> None:
        ended = self.executions.end(result)
        if "cells" in vars(self):
            self.cells.cell_ended(ended, result)

    def load(self) -> None:
        """Register all of it."""
        shell = self.shell
        shell.register_magics(self.magics)
        shell.input_transformers_cleanup.append(first_line.to_line_magic)
        shell.events.register("pre_run_cell", self._cell_begins)
        shell.events.register("post_run_cell", self._cell_ended)
        running = getattr(shell.displayhook, "exec_result", None)
        if running is not None:  # this cell began before anybody could tell us
            self.executions.begin(running.info)
        completer = getattr(shell, "Completer", None)
        if completer is not None:
            completer.custom_matchers.append(self.matcher)

    def unload(self) -> None:
        """Take all of it back; runs that are open are ended, since nobody would end them later."""
        shell = self.shell
        shell.input_transformers_cleanup.remove(first_line.to_line_magic)
        shell.events.unregister("pre_run_cell", self._cell_begins)
        shell.events.unregister("post_run_cell", self._cell_ended)
        for kind, registered in self.magics.magics.items():
            for name in registered:
                shell.magics_manager.magics[kind].pop(name, None)
        shell.magics_manager.registry.pop(type(self.magics).__name__, None)
        if self.magics in shell.configurables:
            shell.configurables.remove(self.magics)
        completer = getattr(shell, "Completer", None)
        if completer is not None and self.matcher in completer.custom_matchers:
            completer.custom_matchers.remove(self.matcher)
        if "cells" in vars(self) and (ended := self.cells.end_all()):
            from .notices import Notice

            names = ", ".join(f"{run.run_name} ({run.status.value})" for run in ended)
            Notice((f"the extension is unloaded, so its open runs have been ended: {names}",)).show()
        feeding = sys.modules.get(f"{__package__}.panels.feed")
        if feeding is not None:
            feeding.feed().stop()  # after the ends of runs, which panels still have to picture


_loaded: WeakKeyDictionary[Any, Extension] = WeakKeyDictionary()


def load(shell: Any) -> None:
    """Load the extension into a shell, once."""
    if shell not in _loaded:
        extension = Extension(shell)
        extension.load()
        _loaded[shell] = extension


def unload(shell: Any) -> None:
    """Unload the extension from a shell."""
    extension = _loaded.pop(shell, None)
    if extension is not None:
        extension.unload()
