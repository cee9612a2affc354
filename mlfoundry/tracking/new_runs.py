"""How a run is made: in which project, under which name, in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..errors import InvalidInput, shown
from ..names import is_run_id, legal_name
from ..records import NewRun, Permission, RunRecord
from ..store import projects, runs
from ..store.database import Database, Transaction
from ..store.projects import Project
from ..values import in_calendar, plain_text, tag_texts
from . import rights
from .attempts import done_again
from .guesses import Guesses


class NewRuns:
    """Makes runs, and projects with the first of theirs; `user` is always the caller.

    Args:
        database: Where rows are kept.
        settles: As of `TrackingService`.
        now_us: The clock: microseconds since 1970.
    """

    def __init__(self, database: Database, *, settles: bool, now_us: Callable[[], int]) -> None:
        self._database = database
        self._settles = settles
        self._now_us = now_us
        self._guesses = Guesses()

    @done_again
    def make(self, user: str, new: NewRun) -> RunRecord:
        """See `Backend.create_run`."""
        name = legal_name("run name", new.run_name)
        project_name = legal_name("project name", new.project_name)
        owner = user if new.owner is None else legal_name("owner", new.owner)
        if not is_run_id(new.run_id):
            raise InvalidInput(f"{shown(new.run_id)} is no id of a run: it has 32 hex digits (0-9, a-f)")
        tags = {name: text for name, text in tag_texts(new.tags).items() if text is not None}
        plain_text("description", new.description)
        if not in_calendar(new.started_at_us):
            raise InvalidInput(f"started_at_us is {new.started_at_us}, outside of the years 1 to 9999")
        guess = self._guesses.project_id(owner, project_name)
        with self._database.write(settle=self._settles, holding=guess) as tx:
            project, changes = self._locked_for_run(tx, user, owner, project_name, guess)
            first = self._guesses.first_name(project.project_id, name, changes)
            record = runs.make(tx, project, replace(new, run_name=name, tags=tags), user, self._now_us(), first=first)
            if record is None:
                raise InvalidInput(f"run id {new.run_id} is taken by a run of another project")
        self._guesses.note_project(owner, project_name, project.project_id)
        self._guesses.note_name(project.project_id, name, record.run_name, changes)
        return record

    def _locked_for_run(
        self, tx: Transaction, user: str, owner: str, name: str, guess: int | None
    ) -> tuple[Project, int | None]:
        """Return a project that is locked and counts a run that the caller may make; it is made when it may be.

        And how often it has changed, when that is known.
        """
        # The rights are held before the project is locked, as by whoever changes rights.
        wanted = (owner, name, user, Permission.WRITE)
        found = None if guess is None else projects.lock_for_run(tx, guess, *wanted)
        if found is None and (project_id := projects.find(tx, owner, name)) is not None:
            found = projects.lock_for_run(tx, project_id, *wanted)
        if found is not None:
            return found
        if owner == user:
            made = projects.make(tx, owner, name, self._now_us())
            project = rights.require(tx, user, made, Permission.WRITE)
        else:
            project = rights.require_by_name(tx, user, owner, name, Permission.WRITE)
            projects.lock(tx, project.project_id)  # the right was given between the two looks
        projects.count_run(tx, project.project_id)
        return project, None
