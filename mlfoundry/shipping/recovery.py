"""Journals whose process is gone: whose they are, and how their runs truthfully ended.

The origin of a journal, restated in each of its segments, is a JSON object::

    run_id, project_name, run_name, owner, tags, description, started_at_us   the run as it was asked for
    user, uri            under whose name it goes where
    role                 "owner" made the run and ends it; "member" only logs to it
    project_id           once the backend has made the run; also in a document of kind "created"
    pid                  of the process, for messages
    boot                 which start of the machine it ran in, empty where that cannot be told

An owner that died without saying how its run ended was killed: so it is recorded, with the time of the
last record. Nothing is written to a journal of a dead process, so a recovery that dies is done again.

What belongs to a run that is deleted is put aside, and taken up again when the run is back. A run that a power cut
made the store forget, in its first moments, is made again from what its journal says.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..documents import is_sound
from ..errors import BackendUnavailable, MlfoundryError, NotFound
from ..journal.folder import clear_unfinished, is_unfinished, parked_in, parse_folder, take_back
from ..journal.reader import LeftJournal, adopt, is_dead
from ..log import Log
from ..records import NewRun, RunKey, RunStatus
from ..tracking.backend import Backend

UNFINISHED_S = 600.0  # making one takes a moment, but a loaded machine may stop between any two steps
FORGETTABLE_S = 60.0  # the first batch of a run is settled within a second, and the run with it

_log = Log("mlfoundry")
_told: set[Path] = set()


def origin(new: NewRun, *, user: str | None, uri: str, role: str, pid: int) -> dict[str, Any]:
    """Return the origin of a journal for a run."""
    return {
        "run_id": new.run_id,
        "project_name": new.project_name,
        "run_name": new.run_name,
        "owner": new.owner,
        "tags": dict(new.tags),
        "description": new.description,
        "started_at_us": new.started_at_us,
        "user": user,
        "uri": uri,
        "role": role,
        "pid": pid,
        "boot": boot_id(),
    }


def boot_id() -> str:
    """Return what tells this start of the machine from others; empty where nothing does."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def count_dead(root: Path) -> int:
    """Return how many journals in a folder have no owner: their process is gone and nobody adopted them."""
    try:
        return sum(is_dead(folder) for folder in root.iterdir())
    except OSError:  # no such folder, so that nothing can be left in it
        return 0


def folders_in(roots: list[Path]) -> Iterator[Path]:
    """Yield what lies in these folders, and clear what was never shown there."""
    for root in roots:
        try:
            folders = sorted(root.iterdir())
        except OSError:  # as above
            continue
        _clear_unfinished(folders)
        yield from folders


def take(folder: Path) -> LeftJournal | None:
    """Adopt the journal in a folder when nobody owns it any more; None when there is none to adopt."""
    try:
        return adopt(folder)
    except Exception as error:  # noqa: BLE001  one journal must not keep all others from being stored
        if folder not in _told:
            _told.add(folder)
            _log.warning("The journal %s cannot be read (%s: %s)", folder, type(error).__name__, error)
        return None


def take_up_parked(backend: Backend, roots: list[Path], run_id: str | None = None) -> int:
    """Let recovery see the journals again that were put aside and whose runs can take them; return how many.

    Args:
        backend: Where the runs are looked for.
        roots: Folders of journals.
        run_id: Only journals of this run; all when None.

    Raises:
        BackendUnavailable: It cannot be asked now.
    """
    taken = 0
    for root in roots:
        for owner_id, folder in parked_in(root, run_id):
            try:
                is_back = backend.get_run(owner_id).deleted_at is None
            except BackendUnavailable:
                raise
            except MlfoundryError:
                continue
            taken += is_back and take_back(folder)
    return taken


def end_unheard(backend: Backend, roots: list[Path]) -> int:
    """End as lost the runs of which nothing is heard and no journal is left; return how many.

    In the first moment of a run the power may take its journal and leave its row in the store. And where no file could
    be made for a journal, it was gone with its process.
    """
    kept: set[str] = set()
    for root in roots:
        with suppress(OSError):  # no such folder
            kept.update(run_id for run_id, _ in filter(None, map(_named, root.iterdir())))
        kept.update(run_id for run_id, _ in parked_in(root))
    return backend.end_unheard(kept)


def _named(folder: Path) -> tuple[str, int] | None:
    """Return whose journal a folder is, also one that was not shown yet."""
    return parse_folder(folder.name.removeprefix("."))


def can_be_asked(backend: Backend, folder: Path) -> bool:
    """Ask the backend for the run of a journal without reading that, which may take long; False when it lives.

    Raises:
        BackendUnavailable: The backend still cannot be reached.
    """
    parsed = parse_folder(folder.name)
    if parsed is None or not is_dead(folder):
        return False
    try:
        backend.get_run(parsed[0])
    except BackendUnavailable:
        raise
    except MlfoundryError:
        pass
    return True


def _clear_unfinished(folders: list[Path]) -> None:
    """Remove folders whose process died before it could show them: nothing was ever logged there."""
    for folder in filter(is_unfinished, folders):
        try:
            is_old = time.time() - folder.lstat().st_mtime > UNFINISHED_S
        except OSError:  # another process was first
            continue
        if is_old:
            clear_unfinished(folder)


@dataclass(frozen=True, slots=True)
class Recovered:
    """An adopted journal's destination.

    Attributes:
        new: The run as it was asked for.
        run: Where it lies, None when it must be made first.
        backend: Where it goes, under the name that the dead process worked under.
    """

    new: NewRun
    run: RunKey | None
    backend: Backend


def prepare(left: LeftJournal, backend: Backend) -> Recovered | None:
    """Say where an adopted journal goes, and add the end that its process could not write.

    Returns:
        None for a journal that needs nothing more; it is deleted then.
    """
    told = left.origin
    if isinstance(told.get("user"), str):
        backend = backend.on_behalf_of(told["user"])
    run = _home(left, backend)
    if left.tail == left.first and (run is None or not told):
        left.close(settled=True)  # its process died before the run was made, or while it deleted the journal
        return None
    if run is None and not told:
        _log.warning("It is not known where the journal belongs; its records are kept in %s.", left.park())
        return None
    acked = 0
    if run is not None:
        try:
            acked = backend.acked(run, left.journal_id)
        except NotFound:
            if not (backend.may_forget and may_be_forgotten(left)):
                raise
            run = None
    if acked < left.first:
        left.damage.insert(0, (acked, left.first - acked))
    if left.damage:
        slots = sum(count for _, count in left.damage)
        _log.warning(
            "The journal %s is damaged from slot %d on (%d of its %d slots cannot be read); the rest is stored.",
            left.folder,
            left.damage[0][0],
            slots,
            left.tail,
        )
    left.skip_to(acked)
    ended = any(document.content["kind"] == "end" and is_sound(document) for document in left.documents)
    if not ended and _ends_run(left):
        at_us = left.last_at_us or int(told.get("started_at_us", 0))
        left.append({"kind": "end", "status": RunStatus.KILLED.value}, at_us)
    return Recovered(_asked_for(left), run, backend)


def _ends_run(left: LeftJournal) -> bool:
    """Return whether the journal's process was to end the run; when it cannot be read, whether nobody else lives."""
    if left.origin:
        return left.origin.get("role") == "owner"
    others = [folder for folder in left.folder.parent.glob(f"{left.run_id}.*") if folder != left.folder]
    return all(is_dead(folder) for folder in others)


def may_be_forgotten(left: LeftJournal) -> bool:
    """Return whether a power cut may have made the store forget the run, which was not deleted then.

    The embedded store does not wait for the disk when it makes a run (see `TrackingService`): what it had answered may
    be gone with the machine's power, but only until the first batch was settled.
    """
    is_same_boot = left.origin.get("boot", "") == boot_id() != ""
    if is_same_boot or not left.origin or left.first:
        return False
    lived_us = (left.last_at_us or 0) - int(left.origin.get("started_at_us", 0))
    return lived_us < FORGETTABLE_S * 1_000_000


def _home(left: LeftJournal, backend: Backend) -> RunKey | None:
    """Return where the run lies, None when the backend has never made it."""
    made = [each.content for each in left.documents if each.content["kind"] == "created" and is_sound(each)]
    for content in [left.origin, *made]:
        if content.get("project_id") is not None:
            return RunKey(content["project_id"], left.run_id)
    try:
        return backend.get_run(left.run_id).key
    except NotFound:
        return None


def _asked_for(left: LeftJournal) -> NewRun:
    """Return the run as its process asked for it."""
    told = dict(left.origin)
    for each in left.documents:  # the name that it had got, should it have to be made again
        if each.content["kind"] == "created" and is_sound(each) and "run_name" in each.content:
            told["run_name"] = each.content["run_name"]
    try:
        return NewRun(
            run_id=left.run_id,
            project_name=str(told.get("project_name", "recovered")),
            run_name=str(told.get("run_name", "recovered")),
            owner=told.get("owner"),
            tags=told.get("tags", {}),
            description=str(told.get("description", "")),
            started_at_us=int(told.get("started_at_us", left.last_at_us or 0)),
        )
    except (TypeError, ValueError) as error:
        raise MlfoundryError(f"its origin cannot be read ({error})") from error
