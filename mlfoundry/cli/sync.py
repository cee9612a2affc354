"""``mlfoundry sync``: store what dead processes left on this machine."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from .. import displays
from . import output
from .session import Session, StoreCommand

if TYPE_CHECKING:
    from .journals import PendingJournal

_ROUND_S = 0.5


@dataclass(frozen=True)
class _Left:
    """A journal that is still there, and why."""

    journal: PendingJournal
    reason: str

    def document(self) -> dict[str, Any]:
        return {**self.journal.document(), "reason": self.reason}


@click.command(cls=StoreCommand)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0.0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the store at most.",
)
@click.pass_obj
def sync(session: Session, timeout_s: float) -> None:
    """Store what dead processes left.

    Their runs get their true end. Every client does this by the way; here you see it happen, and why something
    stays. What was put aside for a deleted run is stored when the run is back. Journals of processes that live are
    theirs and are not touched. Exit code 1 when something is still there.

    JSON: {"stored": journals, "left": [{folder, run_id, run, living, parked, pid, size_bytes, reason}],
    "living": journals of processes that live}
    """
    from ..shipping import recovery
    from .journals import pending

    if session.is_new:
        _tell(session, stored=0, left=[], living=0)
        return
    client = session.client
    roots = client.settings.journal_roots()
    if any(journal.living is not True for journal in pending(roots)):
        client.backend.list_projects()  # a store that cannot be reached is said at once
        recovery.take_up_parked(client.backend, roots)
    begun = [journal for journal in pending(roots) if journal.living is not True and not journal.parked]
    if begun:
        _store(session, begun, time.monotonic() + timeout_s)
    left = [_Left(journal, _reason(session, journal)) for journal in begun if journal.folder.exists()]
    left = [each for each in left if each.journal.folder.exists()]
    aside = [journal for journal in pending(roots) if journal.parked]
    left += [_Left(journal, _why_parked(session, journal)) for journal in aside]
    ours = {each.journal.folder for each in left}  # some of them held by this very process now
    living = sum(journal.living is True and journal.folder not in ours for journal in pending(roots))
    stays = {each.journal.folder.name for each in left}
    stored = sum(journal.folder.name not in stays for journal in begun)
    _tell(session, stored=stored, left=left, living=living)
    if left:
        click.get_current_context().exit(1)


def _store(session: Session, begun: list[PendingJournal], deadline: float) -> None:
    """Let the client store journals until none is left, none can be, or the time is up."""
    from ..shipping import shipper as shippers

    waiting = list(begun)
    total = sum(journal.size_bytes for journal in begun)
    with output.progress("Storing", total, quiet=session.json) as bar:
        while waiting:
            session.client.sync(max(0.0, min(_ROUND_S, deadline - time.monotonic())))
            for journal in [journal for journal in waiting if not journal.folder.exists()]:
                waiting.remove(journal)
                bar.update(journal.size_bytes)
            adopted = shippers.shipper().adopted()
            if not adopted or all(each.refused for each in adopted) or time.monotonic() >= deadline:
                return


def _reason(session: Session, journal: PendingJournal) -> str:
    """Return why a journal is still there."""
    from ..errors import MlfoundryError
    from ..journal.reader import adopt
    from ..shipping import recovery
    from ..shipping import shipper as shippers

    for shipment in shippers.shipper().adopted():
        if getattr(shipment.journal, "folder", None) == journal.folder:
            return shipment.trouble or "the time was up; it goes on with the next command or client"
    try:
        left = adopt(journal.folder)
    except OSError as error:
        return f"it cannot be read ({error.strerror or error})"
    if left is None:
        return "another process is storing it"
    try:
        recovery.prepare(left, session.client.backend)
    except MlfoundryError as error:
        return str(error)
    finally:
        left.close(settled=False)
    return "the time was up; it goes on with the next command or client"


def _why_parked(session: Session, journal: PendingJournal) -> str:
    """Return why a journal that was put aside stays there."""
    from ..errors import MlfoundryError
    from .hindrances import GONE, HIDDEN

    try:
        run = session.client.backend.get_run(journal.run_id)
    except MlfoundryError:
        why = HIDDEN if session.settings.is_server else GONE
        return f"{why.reason}. {why.whole_remedy()}"
    if run.deleted_at is not None:
        return f"its run was deleted; this brings it back and stores what it logged: mlfoundry restore {run.key.run_id}"
    return "the store did not take it, see above; mlfoundry doctor says what helps"


def _tell(session: Session, *, stored: int, left: list[_Left], living: int) -> None:
    if session.json:
        output.json_data({"stored": stored, "left": [each.document() for each in left], "living": living})
        return
    if stored or not left:
        output.echo(
            f"{output.counted(stored, 'journal')} stored."
            if stored
            else "Nothing was left by dead processes: all is stored."
        )
    if living:
        output.echo(f"{output.counted(living, 'journal')} of processes that live; they store them themselves.")
    for each in left:
        size = displays.size(each.journal.size_bytes)
        output.warn(f"still here: {each.journal.run} ({size}, {each.journal.folder}): {each.reason}")
