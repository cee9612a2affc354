"""What ``mlfoundry doctor`` finds out about journals: which are not stored, and what keeps them from it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from .. import displays
from ..errors import MlfoundryError
from ..settings import Settings
from . import output
from .diagnosis import Diagnosis
from .hindrances import Hindrance, hindrance, hindrance_on_server
from .journals import PendingJournal, other_things, pending, unreadable
from .session import Session

if TYPE_CHECKING:
    from ..store.database import Database


def examine_journals(found: Diagnosis, session: Session, settings: Settings, database: Database) -> None:
    """Look at the journals of this store, and of this account's others."""
    roots = settings.journal_roots()
    for place, reason in unreadable(roots):
        found.problem(
            f"The folder of journals {place} cannot be looked into: {reason}.",
            "Mend that, so that what lies there can be stored: mlfoundry sync",
        )
    found.journals = pending(roots)
    for (standing, why), journals in _by_hindrance(found, session, database).items():
        _journal_problem(found, standing, why, journals)
    if things := other_things(roots):
        found.problem(
            f"Files that cannot be stored are kept in {', '.join(map(str, things[:5]))}{', …' if things[5:] else ''}",
            "Look at what it is: beside each file a .json says which artifact it was to be. Log again what is wanted, "
            "then move the rest to where you keep backups.",
        )
    elsewhere = [journal for journal in found.journals if roots[0] not in journal.folder.parents]
    if elsewhere:
        found.notes.append(
            f"{output.counted(len(elsewhere), 'journal')} {'lies' if len(elsewhere) == 1 else 'lie'} in {roots[1]}, "
            "because the store's folder could not be written then."
        )
    strangers = [journal for journal in pending(settings.journal_roots_of_others()) if not journal.living]
    for uri in sorted({str(journal.origin.get("uri", "?")) for journal in strangers}):
        theirs = [journal for journal in strangers if str(journal.origin.get("uri", "?")) == uri]
        found.notes.append(
            f"{output.counted(len(theirs), 'journal')} of another store of yours, {uri}, "
            f"{'waits' if len(theirs) == 1 else 'wait'} in {theirs[0].folder.parent}, because that store could not be "
            f"written then. When it can: mlfoundry --uri {shlex.quote(uri)} sync"
        )


def _by_hindrance(
    found: Diagnosis, session: Session, database: Database
) -> dict[tuple[str, Hindrance | None], list[PendingJournal]]:
    """Return the journals that are not stored and should be, by how they stand and what hinders them."""
    groups: dict[tuple[str, Hindrance | None], list[PendingJournal]] = {}
    for journal, why in _looked_at(found, session, database):
        if why is not None:
            found.hindrances[journal.folder] = why.reason
        standing = "parked" if journal.parked else "living" if journal.living else "left"
        if standing != "living" or why is not None:
            groups.setdefault((standing, why), []).append(journal)
    return groups


def _looked_at(
    found: Diagnosis, session: Session, database: Database
) -> Iterator[tuple[PendingJournal, Hindrance | None]]:
    if session.settings.is_server:
        if found.journals and session.settings.api_key:  # without a key that is what is said
            backend = session.client.backend
            yield from ((journal, hindrance_on_server(journal, backend)) for journal in found.journals)
        return
    has_store = database.path.exists()
    with ExitStack() as stack:
        tx = None
        if found.store["journal_mode"] is not None:
            with suppress(MlfoundryError):
                tx = stack.enter_context(database.read())
        yield from ((journal, hindrance(journal, tx, has_store=has_store)) for journal in found.journals)


def _journal_problem(found: Diagnosis, standing: str, why: Hindrance | None, journals: list[PendingJournal]) -> None:
    size = displays.size(sum(journal.size_bytes for journal in journals))
    what = f"{output.counted(len(journals), 'journal')} ({size} on the disk)"
    runs = ", ".join(sorted({journal.run for journal in journals})[:5])
    if standing == "parked":
        reason = why.reason if why else "nothing is in the way of storing it any more"
        remedy = why.whole_remedy() if why else "Store them: mlfoundry sync"
        found.problem(f"{what} put aside in {journals[0].folder.parent}: {reason} ({runs})", remedy)
    elif why is None:
        found.problem(f"{what} of processes that are gone are not stored yet: {runs}", "Store them: mlfoundry sync")
    else:
        whose = "living processes" if standing == "living" else "processes that are gone"
        found.problem(f"{what} of {whose} cannot be stored: {why.reason} ({runs})", why.whole_remedy())
