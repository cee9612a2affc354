"""What is measured: measurements, the lines of the table that each fills, and the table of all of them.

A measurement is a function that runs in a fresh process and returns its figures by name. Its limit is a function
of the same kind that does the work without a tracker. Both get a `Workplace`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

FAMILIES = (
    "start", "log_calls", "ship", "kill", "read", "runs_list", "disk", "sampling", "memory", "panels", "panels_page",
    "run_page", "http_ingest", "http_runs", "surroundings",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where a measurement works.

    Attributes:
        folder: Empty, and this process's own.
        prepared: What the measurement's `prepare` has made; shared by all its processes, to be read only.
        quick: Whether a rough figure soon is wanted more than a good one later.
    """

    folder: Path
    prepared: Path
    quick: bool

    def count(self, full: int, quick: int) -> int:
        """Return how many there shall be."""
        return quick if self.quick else full


Figures = dict[str, float]
Probe = Callable[[Workplace], Figures]
Prepare = Callable[[Path, bool], None]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table.

    Attributes:
        work: What is done.
        unit: Of the figure and of its limit.
        figure: Its name among the figures of the measurement, and of the limit.
        at_most: What section 9 of the design asks for; None when it asks for nothing.
        at_least: Likewise, for figures of which more is better.
        times_limit: Likewise, as a multiple of the limit.
    """

    work: str
    unit: str
    figure: str
    at_most: float | None = None
    at_least: float | None = None
    times_limit: float | None = None

    @property
    def target(self) -> str:
        """The target as text, empty without one."""
        if self.at_most is not None:
            return f"≤ {self.at_most:g}"
        if self.at_least is not None:
            return f"≥ {self.at_least:g}"
        return "" if self.times_limit is None else f"≤ {self.times_limit:g}×"

    def holds(self, value: float, ratio: float | None) -> bool | None:
        """Return whether the target is met, None when there is none or nothing to judge by."""
        if self.at_most is not None:
            return value <= self.at_most
        if self.at_least is not None:
            return value >= self.at_least
        return None if self.times_limit is None or ratio is None else ratio <= self.times_limit


@dataclass(frozen=True, slots=True)
class Measurement:
    """A measurement and how it is taken.

    Attributes:
        name: What ``--only`` takes.
        probe: The product at work; its docstring says exactly what is measured.
        limit: The machine at the same work; None when there is no such thing.
        lines: What it fills.
        prepare: Makes what both read, once.
        repeats: Processes of each, after one of each that warms up the machine when `warm_up`.
        warm_up: Whether the first round is thrown away.
        in_quick: Whether it is part of a quick run.
    """

    name: str
    probe: Probe
    limit: Probe | None
    lines: tuple[Line, ...]
    prepare: Prepare | None
    repeats: int
    warm_up: bool
    in_quick: bool


_measurements: dict[str, Measurement] = {}


def measure(
    name: str,
    *lines: Line,
    limit: Probe | None = None,
    prepare: Prepare | None = None,
    repeats: int = 5,
    warm_up: bool = True,
    in_quick: bool = True,
) -> Callable[[Probe], Probe]:
    """Enter the function that follows into the table of measurements; see `Measurement`."""

    def enter(probe: Probe) -> Probe:
        _measurements[name] = Measurement(name, probe, limit, lines, prepare, repeats, warm_up, in_quick)
        return probe

    return enter


def measurements() -> dict[str, Measurement]:
    """Return all measurements by name, in the order of the table."""
    for family in FAMILIES:
        importlib.import_module(f"benchmarks.{family}")
    return dict(_measurements)
