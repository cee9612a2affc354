"""The numbers of metric keys in a journal, and the steps that each key has reached."""

from __future__ import annotations

import struct
from collections.abc import Callable

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

    def take(self) -> bool:
        """Take over counting from the keys; False when they do not stand at one step."""
        for key in self.keys:
            if key.holder is not None:
                key.holder.release()
        if len({key.next for key in self.keys}) != 1:
            return False
        self.next = self.keys[0].next
        self.holds = True
        for key in self.keys:
            key.holder = self
        return True

    def release(self) -> None:
        """Hand counting back to the keys."""
        self.holds = False
        for key in self.keys:
            key.holder = None
            key.next = self.next
