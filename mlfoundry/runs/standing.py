"""How what a run logs stands with the store: on its way, refused or lost; and what stores the rest of a run that ended.

Reads the journal, its shipment and its files; changes nothing. `Run.health` and `Run.end` tell it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import displays
from ..errors import JournalUnreadable, MlfoundryError, NotAuthenticated, PermissionDenied, RunDeleted
from ..records import Health
from ..slots import SLOT

if TYPE_CHECKING:
    from ..journal import Journal
    from ..shipping.shipment import Shipment
    from .uploads import Uploads


_NOT_SHIPPING = (
    "a thread that stores what is logged has ended. What is logged is kept in the journal all the same, and the next "
    "process that uses the store, or `mlfoundry sync` after this one, stores it."
)


def health(
    journal: Journal, shipment: Shipment | None, uploads: Uploads, *, tracker_cpu_s: float, is_shipping: bool
) -> Health:
    """Return how the tracker of a run is doing now."""
    acked = (shipment.acked or 0) if shipment is not None else 0
    pending = 0 if journal.closed else max(0, journal.tail - acked)
    files, file_bytes = (0, 0) if journal.closed else uploads.waiting()
    trouble = "" if shipment is None else shipment.trouble
    if files and not trouble:
        trouble = uploads.trouble
    if not is_shipping and not journal.closed:
        trouble = f"{_NOT_SHIPPING} {trouble}".strip()
    state = "behind" if pending or files else "ok"
    if trouble:
        is_refused = (shipment is not None and shipment.refused) or (files > 0 and uploads.is_refused)
        state = "refused" if is_refused else "offline"
    told = []
    if journal.lost:
        state = "losing" if journal.trouble else "lost" if state in ("ok", "behind") else state
        told.append(f"{_count(journal.lost, 'record was', 'records were')} lost")
    told += [journal.trouble or "", trouble]
    if files:
        told.append(f"{_count(files, 'logged file waits', 'logged files wait')} to be stored")
    return Health(
        state=state,
        accepted=journal.accepted,
        pending_bytes=pending * SLOT + file_bytes,
        not_durable_bytes=max(0, journal.tail - max(journal.durable, acked)) * SLOT if not journal.closed else 0,
        in_memory_bytes=journal.in_memory * SLOT,
        lost=journal.lost,
        message=" ".join(map(_sentence, filter(None, told))),
        tracker_cpu_s=tracker_cpu_s,
    )


def _count(number: int, one: str, more: str) -> str:
    return f"{number:,} {one if number == 1 else more}"


def _sentence(text: str) -> str:
    """Return what was said as a sentence of several: names, paths and addresses at its beginning stay as they are."""
    text = text.rstrip(". ")
    first = text.partition(" ")[0]
    return f"{text[:1].upper()}{text[1:]}." if first.isalpha() and first.islower() else f"{text}."


def unstored(journal: Journal, shipment: Shipment, uploads: Uploads) -> str:
    """Return what a run that has ended is told of what is not stored: how much, why, where it is, what stores it."""
    size_bytes = shipment.pending * SLOT + uploads.waiting()[1]
    why = shipment.trouble.rstrip(". ") or "it takes longer than expected"
    kept = f"They are kept in {journal.folder}"
    if journal.in_memory:
        return (
            f"{displays.size(size_bytes)} of it are not stored yet ({why}). "
            f"{displays.size(journal.in_memory * SLOT)} are in memory alone and go with this process."
        )
    if shipment.refusal is None:
        return (
            f"{displays.size(size_bytes)} of it are not stored yet ({why}). {kept} and are stored as soon as "
            f"{shipment.backend.uri} can be used: by this process, by the next that uses it, or by `mlfoundry sync`."
        )
    return f"{displays.size(size_bytes)} of it are not stored ({why}). {kept}. {_remedy(shipment, shipment.refusal)}"


def _remedy(shipment: Shipment, refusal: MlfoundryError) -> str:
    """Return what gets what was logged stored that the backend refuses as things are."""
    if isinstance(refusal, RunDeleted):
        return f"This brings the run back and stores them: mlfoundry restore {shipment.new.run_id}"
    if isinstance(refusal, NotAuthenticated):
        return (
            f"To have them stored, log in again as the same user (mlfoundry login {shipment.backend.uri}, or another "
            "MLFOUNDRY_API_KEY), then run: mlfoundry sync"
        )
    if isinstance(refusal, PermissionDenied):
        return "They can be stored once the right is given back; then run: mlfoundry sync"
    if isinstance(refusal, JournalUnreadable):
        return "They can be stored by a newer version: upgrade MLFoundry where the store is, then run: mlfoundry sync"
    return (
        "The project was deleted, or the right to see it was withdrawn. Where the right is given back, `mlfoundry "
        "sync` stores them; what belongs to a deleted project can be stored no more, and that folder is the only copy."
    )
