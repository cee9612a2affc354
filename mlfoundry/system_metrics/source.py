"""The shape that all sources share: named readings, each of which may fail alone.

Owns the rule "what cannot be read is absent, counted, and tried again": never a zero, never an exception
that takes other series with it. Knows no operating system. The sources build on it, the sampler calls it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from mlfoundry.log import Log

log = Log("mlfoundry.system_metrics")
Reading = Callable[[], Mapping[str, float]]
Pair = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Failure:
    """How often something could not be read.

    Attributes:
        count: Number of failures so far, at least 1.
        last_error: Type and text of the latest one.
    """

    count: int
    last_error: str


def count_failure(failures: dict[str, Failure], name: str, error: BaseException) -> None:
    """Add one failure under a name; the first of each name is also logged, at debug level."""
    text = f"{type(error).__name__}: {error}"[:500]
    before = failures.get(name)
    failures[name] = Failure(1 if before is None else before.count + 1, text)
    if before is None:
        log.debug("no system metric from %s: %s", name, text)


class Counted:
    """A ``with`` block that may fail: an exception ends the block, is counted, and goes no further.

    Interrupts and exits pass. This is the one place where system metrics swallow an exception.

    Attributes:
        error: What ended the block; None while all is well.
    """

    def __init__(self, failures: dict[str, Failure], name: str) -> None:
        self.error: Exception | None = None
        self._failures = failures
        self._name = name

    def __enter__(self) -> Counted:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        if not isinstance(error, Exception):
            return False
        self.error = error
        count_failure(self._failures, self._name, error)
        return True


class Source(ABC):
    """A family of series that are read together.

    Attributes:
        name: What the source is called in ``failures`` and in the catalogue.
        failures: What could not be read, by ``name/reading`` or by the name of a series.
    """

    name: ClassVar[str]

    def __init__(self) -> None:
        self.failures: dict[str, Failure] = {}
        self._at_s = 0.0

    @abstractmethod
    def readings(self) -> Iterable[tuple[str, Reading]]:
        """List the readings of one sample, in order; a generator may decide as it goes."""

    def sample(self, elapsed_s: float | None) -> dict[str, float]:
        """Read everything once.

        Never raises because of a reading: what fails or is not finite is left out and counted.
        Called by one thread at a time.

        Args:
            elapsed_s: Seconds since the former sample; None on the first, and then no rates are given.

        Returns:
            Values by the name of their series; empty when there is nothing to tell.
        """
        self._at_s = 0.0 if elapsed_s is None else self._at_s + elapsed_s
        found: dict[str, float] = {}
        for reading, read in self.readings():
            with Counted(self.failures, f"{self.name}/{reading}"):
                values = read()
                for series, value in values.items():
                    self._keep(found, series, value)
        return found

    def close(self) -> None:  # noqa: B027 - most sources hold nothing
        """Give back what the source holds; it may not be sampled afterwards. Idempotent."""

    def _keep(self, found: dict[str, float], series: str, value: float) -> None:
        with Counted(self.failures, series):
            number = float(value)
            if not math.isfinite(number):
                raise ValueError(f"not a finite number: {number}")
            found[series] = number


class Counters:
    """Pairs of numbers that only grow, and by how much they grew between two readings.

    A reading that was missed makes the next growth longer, never larger per second.
    """

    def __init__(self) -> None:
        self._before: dict[str, Pair] = {}
        self._at_s = math.inf

    def growth(self, now: Mapping[str, Pair], at_s: float) -> tuple[dict[str, Pair], float]:
        """Take a reading.

        Args:
            now: The pairs by key.
            at_s: When, in seconds of the source's own time; not later than before means a fresh start.

        Returns:
            The growth of each key that was there before and did not shrink (a counter that shrank was
            reset), with the seconds that it took. Empty, with 0 seconds, at a start.
        """
        before, self._before = self._before, dict(now)
        seconds, self._at_s = at_s - self._at_s, at_s
        if not 0.0 < seconds < math.inf:
            return {}, 0.0
        grown = {}
        for key, (first, second) in now.items():
            if key in before:
                pair = (first - before[key][0], second - before[key][1])
                if pair[0] >= 0 and pair[1] >= 0:
                    grown[key] = pair
        return grown, seconds

    def per_second(self, now: Mapping[str, Pair], at_s: float) -> Pair | None:
        """Take a reading, and give the growth of all keys together per second; None at a start."""
        grown, seconds = self.growth(now, at_s)
        if not grown:
            return None
        return sum(p[0] for p in grown.values()) / seconds, sum(p[1] for p in grown.values()) / seconds
