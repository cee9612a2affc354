"""What changed since a cell's last run: its source, its params, the packages."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlfoundry import displays

LONGEST_DIFF = 20_000
MOST_COMPARED = 1_000  # lines that differ: difflib takes time by their square, and the kernel waits for it
_CONTEXT = 2
_TOLD = 4
_HUNK = re.compile(r"([-+])(\d+)")


@dataclass(frozen=True, slots=True)
class Former:
    """The last run of a cell.

    Attributes:
        run_id: Its id.
        run_name: Its name when it was looked up.
        source: The source that was kept of the cell; None when none was.
        params: Its params.
        packages: The packages that were installed, one a line; empty when they were not captured.
    """

    run_id: str
    run_name: str
    source: str | None
    params: Mapping[str, Any]
    packages: str = ""


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs between a cell's run and its last one.

    Attributes:
        since: The last one.
        source: A unified diff, empty when the source is the same or was not kept.
        added: Lines that are new.
        removed: Lines that are gone.
        params: (name, before, now); None where it was or is absent.
        packages: (name, version before, version now); None where it was or is absent.
    """

    since: Former
    source: str = ""
    added: int = 0
    removed: int = 0
    params: list[tuple[str, str | None, str | None]] = field(default_factory=list)
    packages: list[tuple[str, str | None, str | None]] = field(default_factory=list)

    def summary(self) -> str:
        """Return it in one line."""
        parts = [_told(self.params)] if self.params else []
        if self.source:
            parts.append(
                f"source +{self.added} −{self.removed} {'line' if self.added + self.removed == 1 else 'lines'}"
            )
        if self.packages:
            parts.append(_told(self.packages))
        return "; ".join(parts) or "nothing changed"

    def facts(self) -> dict[str, str]:
        """Return it as facts of the run."""
        told = {"changes.since": self.since.run_id, "changes.summary": self.summary(), "changes.source": self.source}
        for name, changed in (("changes.params", self.params), ("changes.packages", self.packages)):
            told[name] = "\n".join(f"{n}: {_or_absent(before)} → {_or_absent(now)}" for n, before, now in changed)
        return {name: text for name, text in told.items() if text}


def compare(former: Former, *, source: str | None, params: Mapping[str, Any], packages: str) -> Changes:
    """Return what changed from a cell's last run to this one.

    Args:
        former: The last run.
        source: The cell's source now, masked as the former's; None when it is not to be compared.
        params: All params now.
        packages: All packages now; empty when they are not known.
    """
    diff: list[str] = []
    if source is not None and former.source is not None:
        diff = _diff(former.source.splitlines(), source.splitlines())
    text = "\n".join(diff)
    known = packages if former.packages else ""
    return Changes(
        since=former,
        source=text if len(text) <= LONGEST_DIFF else f"{text[:LONGEST_DIFF]}\n…",
        added=sum(line.startswith("+") for line in diff[2:]),
        removed=sum(line.startswith("-") for line in diff[2:]),
        params=_differing({n: str(v) for n, v in former.params.items()}, {n: str(v) for n, v in params.items()}),
        packages=_differing(_versions(former.packages), _versions(known)) if known else [],
    )


def _diff(before: list[str], now: list[str]) -> list[str]:
    """Return a unified diff; of sources that differ over many lines, the whole stretch as removed and added."""
    alike = 0
    while alike < min(len(before), len(now)) and before[alike] == now[alike]:
        alike += 1
    end = 0
    while end < min(len(before), len(now)) - alike and before[-1 - end] == now[-1 - end]:
        end += 1
    old, new = before[alike : len(before) - end], now[alike : len(now) - end]
    if max(len(old), len(new)) > MOST_COMPARED:
        where = f"@@ -{_range(alike, len(old))} +{_range(alike, len(new))} @@"
        return ["--- before", "+++ now", where, *(f"-{line}" for line in old), *(f"+{line}" for line in new)]
    first, rest = max(0, alike - _CONTEXT), max(0, end - _CONTEXT)
    old, new = before[first : len(before) - rest], now[first : len(now) - rest]
    return [
        _HUNK.sub(lambda found: f"{found[1]}{int(found[2]) + first}", line) if line.startswith("@@") else line
        for line in difflib.unified_diff(old, new, "before", "now", lineterm="", n=_CONTEXT)
    ]


def _range(start: int, count: int) -> str:
    """Return a stretch of lines as a unified diff names it, from its first line on, or the line before an empty one."""
    return f"{start + (count > 0)},{count}"


def _differing(before: Mapping[str, str], now: Mapping[str, str]) -> list[tuple[str, str | None, str | None]]:
    names = [*now, *(name for name in before if name not in now)]
    return [(name, before.get(name), now.get(name)) for name in names if before.get(name) != now.get(name)]


def _versions(packages: str) -> dict[str, str]:
    return {line.partition("==")[0]: line.partition("==")[2] for line in packages.splitlines()}


def _told(changed: list[tuple[str, str | None, str | None]]) -> str:
    parts = []
    for name, before, now in changed[:_TOLD]:
        if before is None:
            parts.append(f"{name} {displays.shortened(now, 24)} (new)")
        elif now is None:
            parts.append(f"{name} gone")
        else:
            parts.append(f"{name} {displays.shortened(before, 24)} → {displays.shortened(now, 24)}")
    more = len(changed) - _TOLD
    return ", ".join(parts) + (f" and {more} more" if more > 0 else "")


def _or_absent(value: str | None) -> str:
    return displays.ABSENT if value is None else value
