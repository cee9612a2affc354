"""Figures of many processes, and the table and the JSON that are made of them."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.registry import Figures, Line, Measurement

HEADERS = ("work", "unit", "limit", "measured", "least – most", "of limit", "target", "holds")


@dataclass(slots=True)
class Result:
    """What one measurement gave.

    Attributes:
        measurement: Which one.
        product: The figures of each of its processes.
        limit: Those of the limit, round by round; empty without one.
        load: The machine's load before it and after it.
        took_s: How long all of it took.
        failure: Why there are no figures, empty when there are.
    """

    measurement: Measurement
    product: list[Figures] = field(default_factory=list)
    limit: list[Figures] = field(default_factory=list)
    load: tuple[float, float] = (math.nan, math.nan)
    took_s: float = 0.0
    failure: str = ""

    def values(self, line: Line) -> list[float]:
        """Return the figure of a line from each process."""
        return [figures[line.figure] for figures in self.product if line.figure in figures]

    def limits(self, line: Line) -> list[float]:
        """Return the limit of a line from each round."""
        return [figures[line.figure] for figures in self.limit if line.figure in figures]

    def ratio(self, line: Line) -> float | None:
        """Return the median over the rounds of figure / limit; rounds are compared with themselves."""
        pairs = [(value, limit) for value, limit in zip(self.values(line), self.limits(line), strict=False) if limit]
        return median(value / limit for value, limit in pairs) if pairs else None

    def holds(self, line: Line) -> bool | None:
        """Return whether the target of a line is met."""
        values = self.values(line)
        return line.holds(median(values), self.ratio(line)) if values else None


def take(measurement: Measurement, run: Callable[[str], Figures], *, rounds: int, load: Callable[[], float]) -> Result:
    """Take a measurement and its limit in turns.

    Args:
        measurement: Which one.
        run: Runs a function of the measurement's module in a fresh process.
        rounds: How often.
        load: Asked before and after.
    """
    result = Result(measurement)
    before, began = load(), time.monotonic()
    skipped = 1 if measurement.warm_up else 0
    for number in range(rounds + skipped):
        limit = None if measurement.limit is None else run(measurement.limit.__name__)
        product = run(measurement.probe.__name__)
        if number >= skipped:
            result.product.append(product)
            if limit is not None:
                result.limit.append(limit)
    result.load, result.took_s = (before, load()), time.monotonic() - began
    return result


def figure(value: float) -> str:
    """Return a figure with three significant digits, thousands set apart."""
    if not math.isfinite(value):
        return str(value)
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def table(results: Iterable[Result]) -> str:
    """Return the table: a line a figure."""
    rows: list[tuple[str, ...]] = [HEADERS]
    for result in results:
        if result.failure:
            rows.append((result.measurement.name, "", "", "failed", result.failure.splitlines()[-1][:60], "", "", ""))
            continue
        rows += [_row(result, line) for line in result.measurement.lines if result.values(line)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADERS))]
    lines = [_aligned(row, widths) for row in rows]
    return "\n".join([lines[0], "─" * len(lines[0]), *lines[1:]])


def _row(result: Result, line: Line) -> tuple[str, ...]:
    values, limits, ratio = result.values(line), result.limits(line), result.ratio(line)
    holds = {True: "yes", False: "NO", None: ""}[result.holds(line)]
    return (
        line.work,
        line.unit,
        figure(median(limits)) if limits else "",
        figure(median(values)),
        f"{figure(min(values))} – {figure(max(values))}",
        "" if ratio is None else f"{figure(ratio)}×",
        line.target,
        holds,
    )


def _aligned(row: tuple[str, ...], widths: list[int]) -> str:
    cells = [
        cell.ljust(width) if at < 2 else cell.rjust(width)
        for at, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def write_json(path: Path, results: Iterable[Result], *, about: dict[str, Any]) -> None:
    """Write every figure of every process, with the machine and the load that they were taken on."""
    taken = [
        {
            "name": result.measurement.name,
            "load": result.load,
            "took_s": round(result.took_s, 1),
            "failure": result.failure,
            "product": result.product,
            "limit": result.limit,
            "lines": [
                {
                    "work": line.work,
                    "unit": line.unit,
                    "figure": line.figure,
                    "target": line.target,
                    "median": median(result.values(line)) if result.values(line) else None,
                    "ratio": result.ratio(line),
                    "holds": result.holds(line),
                }
                for line in result.measurement.lines
            ],
        }
        for result in results
    ]
    path.write_text(json.dumps({**about, "measurements": taken}, indent=1) + "\n", encoding="utf-8")
