"""What ``mlfoundry doctor`` has found; `examination` fills it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .journals import PendingJournal


@dataclass
class Diagnosis:
    """What was found; see `doctor` for the shape of each part."""

    versions: dict[str, Any] = field(default_factory=dict)
    store: dict[str, Any] = field(default_factory=dict)
    server: dict[str, Any] | None = None
    gpus: dict[str, Any] = field(default_factory=dict)
    journals: list[PendingJournal] = field(default_factory=list)
    hindrances: dict[Path, str] = field(default_factory=dict)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    settings_file: str = ""
    checked: int | None = None
    problems: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def problem(self, problem: str, remedy: str) -> None:
        """Note something that is wrong, and what to do about it."""
        self.problems.append({"problem": problem, "remedy": remedy})

    def document(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        told = {name: value for name, value in asdict(self).items() if name != "hindrances"}
        journals = [{**each.document(), "reason": self.hindrances.get(each.folder)} for each in self.journals]
        return {**told, "journals": journals}
