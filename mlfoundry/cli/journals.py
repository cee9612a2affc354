"""The journals that lie on this machine and are not wholly stored: whose they are and whether their process lives.

Reads only: no journal is adopted, no lock is kept, nothing is made.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import documents, slots
from ..journal.folder import PARKED, parse_folder
from ..journal.segment import PREAMBLE_SLOT, Segment

BEGINNING_SLOTS = 64  # of a segment: the run is made before anything is logged to it


@dataclass(frozen=True)
class PendingJournal:
    """A journal on the disk.

    Attributes:
        folder: Where it lies.
        run_id: The run.
        journal_id: The journal.
        living: Whether some process holds it; None when that cannot be told.
        size_bytes: What its files take.
        parked: Whether it was put aside, because the store did not take it as things were.
        origin: What it says of itself (see `recovery`), with the name that the run got; empty when that cannot be read.
    """

    folder: Path
    run_id: str
    journal_id: int
    living: bool | None
    size_bytes: int
    parked: bool = False
    origin: dict[str, Any] = field(default_factory=dict)

    @property
    def run(self) -> str:
        """The run as the user knows it, as far as the journal tells."""
        if "run_name" not in self.origin:
            return self.run_id
        owner = self.origin.get("owner") or self.origin.get("user")
        names = [*([owner] if owner else []), self.origin.get("project_name", "?"), self.origin["run_name"]]
        return "/".join(names)

    def document(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "folder": str(self.folder),
            "run_id": self.run_id,
            "run": self.run,
            "living": self.living,
            "parked": self.parked,
            "pid": self.origin.get("pid"),
            "size_bytes": self.size_bytes,
        }


def pending(roots: list[Path]) -> list[PendingJournal]:
    """Return all journals in these folders, and those put aside there."""
    found = []
    for place in [*roots, *(root / PARKED for root in roots)]:
        try:
            folders = sorted(place.iterdir())
        except OSError:  # `unreadable` says which
            continue
        for folder in folders:
            parsed = parse_folder(folder.name)
            if parsed is not None and folder.is_dir():
                found.append(_look(folder, *parsed))
    return found


def unreadable(roots: list[Path]) -> list[tuple[Path, str]]:
    """Return the folders of journals that are there and cannot be looked into, with the reason."""
    found = []
    for place in [*roots, *(root / PARKED for root in roots)]:
        try:
            next(place.iterdir(), None)
        except FileNotFoundError:
            pass
        except NotADirectoryError:
            if place.parent.is_dir():
                found.append((place, "it is no folder"))
        except OSError as error:
            found.append((place, error.strerror or str(error)))
    return found


def other_things(roots: list[Path]) -> list[Path]:
    """Return what was put aside and is no journal: files of runs that can never be stored."""
    found = []
    for root in roots:
        with suppress(OSError):
            found += [path for path in sorted((root / PARKED).iterdir()) if parse_folder(path.name) is None]
    return found


def _look(folder: Path, run_id: str, journal_id: int) -> PendingJournal:
    size, origin = 0, dict[str, Any]()
    with suppress(OSError):
        for path in sorted(folder.rglob("*")):
            size += path.stat().st_size if path.is_file() else 0
            parsed = Segment.parse_name(path.name)
            if parsed and path.is_file():
                origin |= _origin(path, parsed[0], parsed[2], journal_id)
    parked = folder.parent.name == PARKED
    return PendingJournal(folder, run_id, journal_id, _lives(folder), size, parked, origin)


def _origin(path: Path, base: int, preamble_slots: int, journal_id: int) -> dict[str, Any]:
    """Return what stands before the first slot of a segment, and the name that the run was made under, if it is near.

    Both are readable alone, also while the journal's process writes.
    """
    with path.open("rb") as file:
        head = slots.decode(file.read(preamble_slots * slots.SLOT), journal_id=journal_id, first=PREAMBLE_SLOT)
        begun = slots.decode(file.read(BEGINNING_SLOTS * slots.SLOT), journal_id=journal_id, first=base)
    found = [each for each in head.documents if each.content["kind"] == "origin" and documents.is_sound(each)]
    if not found:
        return {}
    made = [each for each in begun.documents if each.content["kind"] == "created" and documents.is_sound(each)]
    return dict(found[0].content) | ({"run_name": made[-1].content["run_name"]} if made else {})


def _lives(folder: Path) -> bool | None:
    """Return whether a process holds the journal's lock; asks with a shared lock that is given back at once."""
    try:
        fd = os.open(folder / "lock", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:  # it has no lock that can be looked at
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks tells nothing
        return None
    finally:
        os.close(fd)
    return False
