"""The read side of a journal whose process is gone.

`adopt` takes the lock that a dead owner no longer holds; the `LeftJournal` it gives reads exactly
the records that check, says what it had to skip, and never adds to them on the disk: what recovery has
to add (that the run was killed) is appended in memory, behind all that the store holds, so a recovery that dies
half-way is simply done again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import documents, slots
from .folder import parse_folder, put_aside
from .segment import PREAMBLE_SLOT, Segment
from .spool import Spool


class LeftJournal:
    """A journal that nobody writes any more, with its lock held by this process.

    Attributes:
        folder: Where it lies.
        run_id: The run, from the folder's name; 32 hex digits.
        journal_id: From the folder's name.
        origin: Where the run belongs; empty when every copy of it is damaged.
        names: Key numbers to names, as far as they are known.
        documents: All documents, in order.
        tail: Slot number after the last record (and what `append` added).
        damage: (first slot, number of slots) of what does not check or is missing.
        last_at_us: When the last record was written, None when there is none. Users may give points times of
            their own: one that lies after the last change of the file is not believed.
    """

    def __init__(self, folder: Path, run_id: str, journal_id: int, lock_fd: int) -> None:
        self.folder = folder
        self.run_id = run_id
        self.journal_id = journal_id
        self.origin: dict[str, Any] = {}
        self.names: dict[int, tuple[str, ...]] = {}
        self.documents: list[slots.Document] = []
        self.damage: list[tuple[int, int]] = []
        self.last_at_us: int | None = None
        self._lock_fd = lock_fd
        self._files: list[tuple[Path, int, int, int]] = []  # path, preamble slots, first, stop
        self._added = b""
        self._scan()
        _adopted.add(self)

    def _scan(self) -> None:
        """Read all files, of several for one place the youngest."""
        found: dict[int, tuple[int, int, Path]] = {}
        for path in self.folder.iterdir():
            parsed = Segment.parse_name(path.name)
            if parsed and path.is_file() and self._is_ours(path, *parsed):
                base, generation, preamble = parsed
                found[base] = max(found.get(base, (-1, 0, path)), (generation, preamble, path))
        bases = sorted(found)
        self.first = self.written = bases[0] if bases else 0
        for index, base in enumerate(bases):
            _, preamble, path = found[base]
            stop = bases[index + 1] if index + 1 < len(bases) else None
            self._scan_file(path, preamble, base, stop)
            changed_us = path.stat().st_mtime_ns // 1000
        started_us = self.origin.get("started_at_us", 0)
        if self.last_at_us is not None and not started_us <= self.last_at_us <= changed_us + 1_000_000:
            self.last_at_us = changed_us

    def _is_ours(self, path: Path, base: int, generation: int, preamble: int) -> bool:
        """Return whether anything in a file checks as this journal's at the place that the file's name says."""
        data = path.read_bytes()
        head = slots.decode(data[: preamble * slots.SLOT], journal_id=self.journal_id, first=PREAMBLE_SLOT)
        if head.documents:
            return True
        body = slots.decode(data[preamble * slots.SLOT :], journal_id=self.journal_id, first=base)
        if body.end == base and any(data):
            self.damage.append((base, len(data) // slots.SLOT))
        return body.end > base and generation >= 0

    def _scan_file(self, path: Path, preamble: int, base: int, stop: int | None) -> None:
        """Take in what a file holds, up to the slot `stop` where the next begins, and what of it is damaged."""
        data = path.read_bytes()
        head = slots.decode(data[: preamble * slots.SLOT], journal_id=self.journal_id, first=PREAMBLE_SLOT)
        body = data[preamble * slots.SLOT :]
        if stop is not None:
            body = body[: (stop - base) * slots.SLOT]
        decoded = slots.decode(body, journal_id=self.journal_id, first=base)
        for document in head.documents + decoded.documents:
            if documents.is_sound(document):
                self.names.update(documents.names_of(document))
        for document in head.documents:
            if document.content["kind"] == "origin" and documents.is_sound(document):
                self.origin = document.content
        self.documents += decoded.documents
        self.damage += decoded.damage
        self.last_at_us = max(filter(None, (self.last_at_us, decoded.last_at_us)), default=None)
        end = decoded.end
        if stop is not None and end < stop:
            self.damage = [each for each in self.damage if not end <= each[0] < stop]
            self.damage.append((end, stop - end))
            end = stop
        self._files.append((path, preamble, base, end))
        self.written = end

    @property
    def tail(self) -> int:
        """Slot number after the last record."""
        return self.written + len(self._added) // slots.SLOT

    @property
    def durable(self) -> int:
        """All of it: what a dead process left is on the disk or was never there."""
        return self.tail

    @property
    def needs_room(self) -> bool:
        """Whether a file could go if its records were settled."""
        return len(self._files) > 1

    def is_quiet(self, acked: int) -> bool:
        """Return False: what a dead process left is stored at once."""
        return acked < 0

    def skip_to(self, acked: int) -> None:
        """Begin behind what the store holds: records that were only in memory may have been stored."""
        if not self._added:
            self.written = max(self.written, acked)

    def append(self, content: Mapping[str, Any], at_us: int) -> None:
        """Add a document after the last record, in memory alone."""
        start = slots.seed(self.journal_id) + self.tail
        self._added += slots.document(content, at_us, start)

    def sync(self) -> int:
        """Do nothing; return `durable`."""
        return self.durable

    def read(self, start: int) -> tuple[bytes, int]:
        """Return slots from `start` on, as they lie on the disk, and the slot after them.

        Damaged slots are part of it (whoever decodes them skips them); missing ones come as zeros.
        """
        if start < self.first:
            return bytes((self.first - start) * slots.SLOT), self.first
        for path, preamble, base, stop in self._files:
            if base <= start < stop:
                with path.open("rb") as file:
                    file.seek((preamble + start - base) * slots.SLOT)
                    data = file.read((stop - start) * slots.SLOT)
                return data.ljust((stop - start) * slots.SLOT, b"\0"), stop
        if self.written <= start < self.tail:
            return self._added[(start - self.written) * slots.SLOT :], self.tail
        return b"", start

    def acknowledge(self, settled: int) -> None:
        """Delete files whose records the store holds on its own disk, but for the last."""
        while len(self._files) > 1 and self._files[1][2] <= settled:
            self._files.pop(0)[0].unlink(missing_ok=True)

    def park(self) -> Path:
        """Put the journal aside, where no recovery looks, and release the lock; return where it lies.

        Moving it back into the folder of journals makes the next recovery try again. Where it cannot be moved it
        stays where it is: one journal must not hold up those after it.
        """
        with contextlib.suppress(OSError):
            self.folder = put_aside(self.folder, self.folder.parent, self.folder.name)
        self.close(settled=False)
        return self.folder

    def close(self, *, settled: bool) -> None:
        """Release the lock; delete the journal when all of it is settled."""
        if self._lock_fd >= 0:
            if settled and Spool(self.folder).rescue():
                shutil.rmtree(self.folder, ignore_errors=True)
            os.close(self._lock_fd)
            self._lock_fd = -1


def is_dead(folder: Path) -> bool:
    """Return whether a folder is a journal that nobody owns."""
    return parse_folder(folder.name) is not None and _is_free(folder)


def _is_free(folder: Path) -> bool:
    """Return whether a folder's lock can be taken, or is missing because its deletion was interrupted."""
    try:
        fd = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return folder.is_dir()
    except OSError:  # links and what may not be opened are not ours to adopt
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # its owner lives, or nobody can tell: then it is left alone
        return False
    finally:
        os.close(fd)
    return True


def adopt(folder: Path) -> LeftJournal | None:
    """Take over the journal in `folder`; None when its owner lives or somebody else took it.

    Raises:
        OSError: The folder cannot be read.
    """
    parsed = parse_folder(folder.name)
    if parsed is None:
        return None
    try:
        # A living journal always has its lock; where it is missing, a deletion was interrupted.
        fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(fd).st_nlink == 0:  # deleted by another recovery between open and flock
            raise BlockingIOError
    except BlockingIOError:
        os.close(fd)
        return None
    try:
        return LeftJournal(folder, *parsed, fd)
    except BaseException:  # an interrupt as well: the lock would stay held until the process ends
        os.close(fd)
        raise


_adopted: weakref.WeakSet[LeftJournal] = weakref.WeakSet()


def _in_child() -> None:
    for left in list(_adopted):
        left.close(settled=False)  # the child's copy of the lock, which its parent holds


os.register_at_fork(after_in_child=_in_child)
