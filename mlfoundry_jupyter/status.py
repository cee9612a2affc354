"""How things stand with the tracker in this process: where runs are kept, which are open, what is still on its way."""

from __future__ import annotations

from dataclasses import dataclass

import mlfoundry
from mlfoundry import Client, Health, Run, RunStatus, displays
from mlfoundry.displays import Html


@dataclass(frozen=True, slots=True)
class Status:
    """What ``%mlfoundry_status`` shows.

    Attributes:
        place: Where runs are kept.
        user: Under which name.
        runs: (name, status, health) of the runs that are open here, and of the last one.
    """

    place: str
    user: str
    runs: tuple[tuple[str, RunStatus, Health], ...]

    @classmethod
    def of(cls, client: Client, last: Run | None) -> Status:
        """Return how things stand now."""
        shown = mlfoundry.open_runs()
        if last is not None and last not in shown:
            shown.append(last)
        return cls(client.backend.uri, client.user, tuple((run.fqn, run.status, run.health) for run in shown))

    def _rows(self) -> list[list[str]]:
        return [
            [
                displays.status_text(status),
                name,
                f"{health.accepted:,}",
                displays.size(health.pending_bytes) if health.pending_bytes else "nothing",
                f"{health.lost:,}" if health.lost else "nothing",
                health.message or health.state,
            ]
            for name, status, health in self.runs
        ]

    def __repr__(self) -> str:
        head = f"runs are kept in {displays.plain(self.place)}, under the name {displays.plain(self.user)}"
        if not self.runs:
            return f"{head}\nno run is open here"
        return f"{head}\n{displays.text_table(_HEADERS, self._rows())}"

    def _repr_html_(self) -> str:
        caption = f"runs are kept in {self.place}, under the name {self.user}"
        if not self.runs:
            return Html.element("div", caption, "; no run is open here", style="font-size:13px")
        rows = [[displays.html_status(s), *cells[1:]] for (_, s, _), cells in zip(self.runs, self._rows(), strict=True)]
        return displays.html_table(_HEADERS, rows, caption=caption)


_HEADERS = ["status", "run", "records", "on its way", "lost", "tracker"]
