"""What keeps a journal on this machine from being stored, and what helps.

Looks at the journal and at the store as they are now, and changes neither. No remedy is to delete what may be
the only copy of data.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .. import documents, slots
from ..errors import JournalUnreadable, MlfoundryError, NotAuthenticated, NotFound
from ..journal.reader import LeftJournal
from ..names import is_run_id
from ..records import Permission
from ..shipping import recovery
from .journals import PendingJournal

if TYPE_CHECKING:
    from ..records import RunKey
    from ..store.database import Transaction
    from ..tracking.backend import Backend

LONG_S = 60.0  # a living process tells the store every 15 s that it lives


@dataclass(frozen=True)
class Hindrance:
    """Why journals are not stored, and what helps.

    Attributes:
        reason: What is in the way.
        remedy: What to do about it.
        is_mended: Whether the journals can be stored once that is done.
    """

    reason: str
    remedy: str
    is_mended: bool = True

    def whole_remedy(self) -> str:
        """Return the remedy with the steps after it."""
        return f"{self.remedy}, then run: mlfoundry sync" if self.is_mended else self.remedy


_KEEP = (
    "Keep the folder while the data may be wanted: it is the only copy. To hear no more of it, move it to where you "
    "keep backups."
)
DELETED = Hindrance("the run was deleted", "Restore the run (mlfoundry restore RUN)")
GONE = Hindrance("the run is not in this store: its project was deleted, or the store was replaced", _KEEP, False)
DENIED = Hindrance(
    "whoever logged has no right to log to the run", "Have the right given back (mlfoundry collaborators --help)"
)
NEWER = Hindrance("there are records that only a newer version can read", "Upgrade MLFoundry")
HOMELESS = Hindrance("where the records belong cannot be read, for all copies of that are damaged", _KEEP, False)
STORE = Hindrance("the store cannot be read now", "Mend the store first; the data is kept meanwhile", False)
HIDDEN = Hindrance(
    "the run is not on the server any more, or whoever logged has no right to see it",
    "Have the right given back (mlfoundry collaborators --help), or the run's project restored from a backup",
)
OTHERS = Hindrance("another user logged it", "Log in as the user who logged it (mlfoundry login)")
AWAY = Hindrance(
    "the server cannot be asked now", "The data is kept, and stored once the server can be used: mlfoundry sync", False
)
KEYLESS = Hindrance(
    "the server does not take the key that is used", "Log in as the user who logged it (mlfoundry login)"
)
SILENT = Hindrance(
    "the process is stopped or cannot reach the store",
    "Look at what that process says (run.health); the data is kept, and stored as soon as it can be.",
    False,
)


def hindrance(journal: PendingJournal, tx: Transaction | None, *, has_store: bool) -> Hindrance | None:
    """Return what keeps a journal from being stored; None when nothing does.

    Args:
        journal: The journal.
        tx: Reads the store; None when it cannot be read, or is not there.
        has_store: Whether there is one.
    """
    try:
        if not journal.living:
            os.close(os.open(journal.folder / "lock", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW))
    except FileNotFoundError:  # its deletion was interrupted, or it is read-only
        pass
    except OSError as error:
        return _unreadable(error)
    left = _opened(journal)
    if not isinstance(left, LeftJournal):
        return left
    if tx is None and has_store:
        return STORE
    if journal.living:
        return SILENT if _waits(journal, left, tx) else None
    if not all(map(_is_known, left.documents)):
        return NEWER
    return _in_store(journal, left, tx)


def _opened(journal: PendingJournal) -> LeftJournal | Hindrance | None:
    """Return what a journal holds, what keeps it from being read, or None when it is gone."""
    try:
        return LeftJournal(journal.folder, journal.run_id, journal.journal_id, -1)
    except FileNotFoundError:  # it is being stored this very moment
        return None
    except OSError as error:
        return _unreadable(error)


def hindrance_on_server(journal: PendingJournal, backend: Backend) -> Hindrance | None:
    """Return what keeps a journal from being stored on a server; None when nothing does.

    Args:
        journal: The journal.
        backend: The way to the server.
    """
    left = _opened(journal)
    if not isinstance(left, LeftJournal):
        return left
    if not all(map(_is_known, left.documents)):
        return NEWER
    try:
        if left.origin.get("user") not in (None, backend.user):
            return OTHERS
        run = backend.get_run(journal.run_id)
        permission = backend.get_project(run.owner, run.project_name).permission
    except NotFound:
        return HIDDEN if _was_made(left) else None
    except NotAuthenticated:
        return KEYLESS
    except MlfoundryError:
        return None if journal.living else AWAY
    if run.deleted_at is not None:
        return DELETED
    return DENIED if permission < Permission.WRITE else None


def _unreadable(error: OSError) -> Hindrance:
    where = f": {error.filename}" if error.filename else ""
    return Hindrance(f"it cannot be read ({error.strerror or error}{where})", "Mend that; the data is kept meanwhile")


def _is_known(document: slots.Document) -> bool:
    try:
        documents.why_refused(document)
    except JournalUnreadable:
        return False
    return True


def _in_store(journal: PendingJournal, left: LeftJournal, tx: Transaction | None) -> Hindrance | None:
    """Return what keeps a journal that can be read from being stored in a folder."""
    from ..store import runs
    from ..tracking import rights

    run = _home(journal, tx)
    if run is None or tx is None:
        if _was_made(left):
            return None if recovery.may_be_forgotten(left) else GONE
        return None if left.origin else HOMELESS
    if not runs.is_open(tx, run):
        return DELETED
    if not isinstance(left.origin.get("user"), str):
        return None
    try:
        rights.require_open(tx, left.origin["user"], run)
    except MlfoundryError:
        return DENIED
    return None


def _home(journal: PendingJournal, tx: Transaction | None) -> RunKey | None:
    from ..store import runs

    return runs.home(tx, journal.run_id) if tx is not None and is_run_id(journal.run_id) else None


def _was_made(left: LeftJournal) -> bool:
    told = [left.origin, *(each.content for each in left.documents if each.content["kind"] == "created")]
    return any(content.get("project_id") is not None for content in told)


def _waits(journal: PendingJournal, left: LeftJournal, tx: Transaction | None) -> bool:
    """Return whether a living process has something to store and the store has not heard of it for long."""
    from ..store import journals, lives

    run = _home(journal, tx)
    if run is None or tx is None:
        with suppress(OSError):
            return time.time() - (journal.folder / "lock").stat().st_mtime > LONG_S  # made with it, never changed
        return False
    seen_us = lives.last_seen_us(tx, run)
    is_silent = seen_us is not None and time.time() - seen_us / 1_000_000 > LONG_S
    return is_silent and journals.acked(tx, run, journal.journal_id) < left.tail
