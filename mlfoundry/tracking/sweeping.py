"""Removing bytes that no run names any more: of files that were replaced, of uploads that were given up.

Safe beside servers that work: bytes that came a moment ago are left alone, and bytes are removed while nobody can name
them. Who was told that they are there and then names them is refused, because `RunFiles.name` looks for them once more
when it may name them, and sends them again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import InvalidInput
from ..store import artifact_rows, projects
from ..store.artifacts import ArtifactStore
from ..store.database import Database
from .attempts import done_again

GRACE_S = 86_400.0
AT_ONCE = 100  # for so many others who change the project wait


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep found.

    Attributes:
        files: How many files' bytes no run names.
        size_bytes: How many bytes those are.
        strange_projects: How many of the projects that they lie in the database does not know: those were deleted, or
            belong to another server that keeps its files in the same place.
    """

    files: int
    size_bytes: int
    strange_projects: int = 0


class Sweep:
    """One look through all bytes of a server.

    Args:
        database: Where rows are.
        files: Where bytes are.
        grace_s: Bytes that were written since are left alone.
        now_s: The clock: seconds since 1970.
    """

    def __init__(
        self,
        database: Database,
        files: ArtifactStore,
        *,
        grace_s: float = GRACE_S,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._database, self._files = database, files
        self._grace_s, self._now_s = grace_s, now_s

    def run(self, *, removes: bool = True) -> Swept:
        """Look through it and remove what is found; with `removes` False only say what it is.

        Raises:
            InvalidInput: The database knows none of the projects whose bytes lie there; nothing is removed.
            BackendUnavailable: The database or the place of the bytes cannot be used; what is removed is removed.
        """
        count = size = strange = 0
        known = self._known(self._files.projects())
        if known and not any(known.values()):
            raise InvalidInput(
                f"the database knows none of the {len(known)} projects whose files lie there: these are not the "
                "database and the artifacts of one server. Nothing was removed."
            )
        for project_id, is_known in known.items():
            old = self._files.written_before(project_id, self._now_s() - self._grace_s)
            with self._database.read() as tx:
                named = artifact_rows.hashes(tx, project_id)
            loose = {sha256: bytes_ for sha256, bytes_ in old.items() if sha256 not in named}
            names = list(loose)
            if removes:
                names = [
                    each
                    for start in range(0, len(names), AT_ONCE)
                    for each in self._removed(project_id, names[start : start + AT_ONCE])
                ]
            count += len(names)
            size += sum(loose[each] for each in names)
            strange += bool(names) and not is_known
        return Swept(count, size, strange)

    def _known(self, project_ids: list[int]) -> dict[int, bool]:
        with self._database.read() as tx:
            return {project_id: projects.get(tx, project_id) is not None for project_id in project_ids}

    @done_again
    def _removed(self, project_id: int, some: list[str]) -> list[str]:
        with self._database.write() as tx:
            tx.hold_rights(project_id, alone=True)  # whoever names bytes holds them, and looks for the bytes after that
            named = artifact_rows.hashes(tx, project_id)
            gone = [sha256 for sha256 in some if sha256 not in named]
            for sha256 in gone:
                self._files.remove(project_id, sha256)
        return gone
