"""Completion of our magics' options, their choices and the names of projects.

Never in the way: names come from memory, and a thread fetches them anew when they are older than some seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from mlfoundry.errors import MlfoundryError

if TYPE_CHECKING:
    from .cells import Cells

FRESH_S = 10.0
PATIENCE_S = 0.15
_LINE = re.compile(r"^\s*%{1,2}(mlfoundry_\w+)\s(?P<words>.*)$", re.DOTALL)
_WORD = re.compile(r"(\S*)$")


class Completion:
    """Completes the lines of our magics.

    Args:
        shell: IPython's shell.
        cells: Gives what has the client that is asked for projects.
        parsers: The parser of each magic by name.
    """

    def __init__(self, shell: Any, cells: Callable[[], Cells], parsers: dict[str, argparse.ArgumentParser]) -> None:
        self._shell = shell
        self._cells = cells
        self._parsers = parsers
        self._projects: list[str] = []
        self._fetched_s = -FRESH_S
        self._fetching: threading.Thread | None = None

    def matches(self, line: str) -> tuple[str, list[str]] | None:
        """Return what is being written and what it may become; None when the line is none of ours.

        Args:
            line: The line up to the cursor.
        """
        found = _LINE.match(line)
        parser = self._parsers.get(found[1]) if found else None
        if found is None or parser is None:
            return None
        text = found["words"]
        fragment = (_WORD.search(text) or [""])[0]
        words = text[: len(text) - len(fragment)].split()
        return fragment, sorted({word for word in self._offered(parser, words, fragment) if word.startswith(fragment)})

    def _offered(self, parser: argparse.ArgumentParser, words: list[str], fragment: str) -> Iterable[str]:
        actions = {option: action for action in parser._actions for option in action.option_strings}
        before = actions.get(words[-1]) if words else None
        if before is not None and before.nargs != 0:
            return [str(choice) for choice in before.choices or ()] or self._variables(before.dest)
        if fragment.startswith("-"):
            return [option for option in actions if option.startswith("--")]
        positionals = [action.dest for action in parser._actions if not action.option_strings]
        return self.projects() if "project" in positionals and not _given(words, actions) else ()

    def _variables(self, what: str) -> Iterator[str]:
        if what in ("metric", "client"):
            for name, value in list(self._shell.user_ns.items()):
                is_number = isinstance(value, (int, float)) or hasattr(value, "dtype")
                is_client = type(value).__name__ == "Client"
                if not name.startswith("_") and (is_number if what == "metric" else is_client):
                    yield name

    def projects(self) -> list[str]:
        """Return the names of projects, as far as they are known within a moment."""
        if time.monotonic() - self._fetched_s >= FRESH_S and (self._fetching is None or not self._fetching.is_alive()):
            self._fetching = threading.Thread(target=self._fetch, name="mlfoundry-completion", daemon=True)
            self._fetching.start()
        if self._fetching is not None:
            self._fetching.join(PATIENCE_S)
        return self._projects

    def _fetch(self) -> None:
        with contextlib.suppress(MlfoundryError):
            client = self._cells().client()
            found = client.list_projects()
            self._projects = [
                project.name if project.owner == client.user else f"{project.owner}/{project.name}" for project in found
            ]
        self._fetched_s = time.monotonic()

    def matcher(self) -> Any:
        """Return what IPython's completer calls."""
        from IPython.core.completer import SimpleCompletion, context_matcher

        @context_matcher(identifier="mlfoundry")  # type: ignore[untyped-decorator]
        def complete(context: Any) -> dict[str, Any]:
            found = self.matches(context.line_with_cursor[: context.cursor_position])
            if found is None:
                return {"completions": []}
            fragment, words = found
            return {
                "completions": [SimpleCompletion(text=word, type="magic") for word in words],
                "matched_fragment": fragment,
                "suppress": bool(words),
            }

        return complete


def _given(words: list[str], actions: dict[str, argparse.Action]) -> bool:
    """Return whether a project stands among the words already."""
    takes_value = False
    for word in words:
        if takes_value:
            takes_value = False
        elif word.startswith("-"):
            action = actions.get(word)
            takes_value = action is not None and action.nargs != 0
        else:
            return True
    return False
