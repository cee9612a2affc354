"""What this process saw last of projects and names: guesses that save look-ups when a run is made.

A guess may be wrong by the time it is used. The statement that uses it says so, and then is as if there were none.
"""

from __future__ import annotations

LIMIT = 10_000


class Guesses:
    """What was seen; threads may note and ask at once.

    Args:
        limit: How many of each to remember; beyond it all are forgotten.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._projects: dict[tuple[str, str], int] = {}
        self._names: set[tuple[int, str]] = set()

    def project_id(self, owner: str, name: str) -> int | None:
        """Return which project has a name; None when nothing is known."""
        return self._projects.get((owner, name))

    def is_taken(self, project_id: int | None, run_name: str) -> bool:
        """Return whether a project has a run of a name."""
        return (project_id, run_name) in self._names

    def note(self, project_id: int, owner: str, name: str, run_name: str) -> None:
        """Note a project, and a name that a run of it has now."""
        for known in (self._projects, self._names):
            if len(known) >= self._limit:
                known.clear()
        self._projects[owner, name] = project_id
        self._names.add((project_id, run_name))
