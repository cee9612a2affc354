"""Batches of slots as a shipper gives them to a backend, written without a journal on the disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from mlfoundry.records import Batch, RunKey

START_US = 1_700_000_000_000_000


class Writing:
    """Writes the slots of one journal of a run; `batch` gives away what is new.

    Args:
        run: The run.
        journal_id: Of the journal.
        names: Of its metrics, in the order of their numbers.
    """

    def __init__(self, run: RunKey, journal_id: int, names: Iterable[str]) -> None:
        from mlfoundry import slots

        self._run = run
        self._journal_id = journal_id
        self._names = {number: (name,) for number, name in enumerate(names, start=1)}
        self._seed = slots.seed(journal_id)
        self._start = 0
        self._new = bytearray()

    @property
    def _place(self) -> int:
        return (self._seed + self._start + len(self._new) // 32) & 0xFFFF_FFFF

    def point(self, number: int, step: int, at_us: int, value: float) -> None:
        """Write a point of the metric of this number."""
        from mlfoundry import slots

        body = slots.POINT.pack(number, step, at_us, value)
        self._new += crc32(body, self._place).to_bytes(4, "little") + body

    def document(self, content: Mapping[str, object], at_us: int) -> None:
        """Write a document."""
        from mlfoundry import slots

        self._new += slots.document(content, at_us, self._place)

    def batch(self) -> Batch:
        """Return what was written since the batch before."""
        from mlfoundry.records import Batch

        start, data = self._start, bytes(self._new)
        self._start += len(data) // 32
        self._new.clear()
        return Batch(self._run, self._journal_id, start, self._start, data, self._names, settle=False)


def of_points(writing: Writing, keys: int, rows: int, values: Iterable[float], *, first_step: int) -> Batch:
    """Return a batch of `rows` steps, at each of which all `keys` metrics have a value, 10 ms apart."""
    given = iter(values)
    for step in range(first_step, first_step + rows):
        for number in range(1, keys + 1):
            writing.point(number, step, START_US + 10_000 * step + 7 * number, next(given))
    return writing.batch()
