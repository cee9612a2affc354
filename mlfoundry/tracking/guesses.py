"""What this process saw last of projects and names: guesses that save look-ups when a run is made.

A guess may be wrong by the time it is used. The statement that uses it says so, and then is as if there were none.
"""

from __future__ import annotations

from .. import names
from ..store.runs import FIRST_BEYOND

LIMIT = 10_000


class Guesses:
    """What was seen; threads may note and ask at once.

    Args:
        limit: How many of each to remember; beyond it all are forgotten.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._projects: dict[tuple[str, str], int] = {}
        self._names: dict[tuple[int, str], tuple[int | None, int]] = {}

    def project_id(self, owner: str, name: str) -> int | None:
        """Return which project has a name; None when nothing is known."""
        return self._projects.get((owner, name))

    def first_name(self, project_id: int, wish: str, changes: int | None) -> str | None:
        """Return which name to try first for a run; None when the wish is taken, and what comes next is not known.

        Args:
            project_id: The project.
            wish: The wished name.
            changes: How often the project has changed, this making of a run included; None when that is not known.
        """
        known = self._names.get((project_id, wish))
        if known is None:
            return wish
        at, number = known  # nothing has changed since, and there was no gap before that number
        is_next = at is not None and changes == at + 1 and number >= FIRST_BEYOND
        return names.numbered(wish, number + 1) if is_next else None

    def note_project(self, owner: str, name: str, project_id: int) -> None:
        """Note a project."""
        if len(self._projects) >= self._limit:
            self._projects.clear()
        self._projects[owner, name] = project_id

    def note_name(self, project_id: int, wish: str, given: str, changes: int | None) -> None:
        """Note which name was given for a wish when a project had changed so often."""
        if len(self._names) >= self._limit:
            self._names.clear()
        self._names[project_id, wish] = changes, names.number_of(given, wish) or 1
