"""What a journal gives a store, and what the store says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .runs import RunKey


@dataclass(frozen=True, slots=True)
class Batch:
    """A stretch of one journal on its way into a store.

    Attributes:
        run: The run.
        journal_id: The journal; offsets count its slots.
        start: First slot.
        stop: Slot after the last one.
        data: The slots, ``32 * (stop - start)`` bytes (see `slots`).
        names: Key numbers to names, at least those that `data` uses and does not define itself.
        settle: Whether the store should answer only when this would survive a power cut.
    """

    run: RunKey
    journal_id: int
    start: int
    stop: int
    data: bytes
    names: Mapping[int, tuple[str, ...]]
    settle: bool = False


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What a store holds of a journal.

    Attributes:
        acked: Slot up to which it is committed.
        settled: Slot up to which it would survive a power cut of the store's machine.
        kept: Names of params of the batch that the run has with another value, which it keeps.
    """

    acked: int
    settled: int
    kept: tuple[str, ...] = ()
