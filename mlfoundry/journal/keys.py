"""The numbers of metric keys in a journal, and the steps that each key has reached."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat

from .. import slots


class Key:
    """One metric key.

    Attributes:
        number: What points call it.
        next: The step of its next value that comes without one; valid while `holder` is None.
        holder: The key set that counts for this key just now.
    """

    __slots__ = ("holder", "next", "number")

    def __init__(self, key_number: int) -> None:
        self.number = key_number
        self.next = 0
        self.holder: KeySet | None = None


class KeySpace:
    """The keys and key sets of one kind: those that a user logs, or system metrics.

    Attributes:
        legal: Returns the normal form of a name, or raises.
        keys: Keys by each name that was used for them, and by their normal form.
        sets: Key sets by the names in their order.
    """

    __slots__ = ("keys", "legal", "sets")

    def __init__(self, legal: Callable[[object], str]) -> None:
        self.legal = legal
        self.keys: dict[str, Key] = {}
        self.sets: dict[tuple[str, ...], KeySet] = {}


class KeySet:
    """Keys that are logged together, in one order.

    While all its keys stand at the same step, the set counts for them (`holds`), so that a row of
    20 metrics costs one addition. Whoever logs one of the keys in another way calls `release` first.
    """

    __slots__ = ("count", "holds", "keys", "next", "number", "pack", "taken")

    def __init__(self, set_number: int, keys: list[Key]) -> None:
        self.number = set_number
        self.keys = keys
        self.count = len(keys)
        self.pack = struct.Struct(f"<{len(keys)}d").pack
        self.taken = slots.slots_of(8 * len(keys))
        self.holds = False
        self.next = 0

    def release(self) -> None:
        """Hand counting back to the keys; safe against a signal handler that does the same meanwhile."""
        self.holds = False
        for key in self.keys:
            if key.holder is self:
                key.next = self.next
                key.holder = None


def release(keys: Iterable[Key]) -> None:
    """Make each of the keys count for itself."""
    for key in keys:
        if key.holder is not None:
            key.holder.release()


# Setting an attribute of many keys without running a line of Python in between: no signal handler comes
# between the first and the last.
_set_next: Callable[[Key, int], None] = vars(Key)["next"].__set__
_set_holder: Callable[[Key, KeySet], None] = vars(Key)["holder"].__set__
at_once = deque[None](maxlen=0).extend


def setting_next(keys: Iterable[Key], steps: Iterable[int]) -> Iterator[None]:
    """Return what sets the next step of each key when `at_once` is called with it."""
    return map(_set_next, keys, steps)


def setting_holder(keys: Iterable[Key], holder: KeySet) -> Iterator[None]:
    """Return what makes `holder` count for each key when `at_once` is called with it."""
    return map(_set_holder, keys, repeat(holder))
