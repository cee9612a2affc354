"""The tables of the documentation that are made from the code; run it to write them anew.

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``. The tests hold the pages to it.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from mlfoundry.settings import SETTINGS
from mlfoundry.system_metrics.catalogue import SERIES
from mlfoundry_jupyter.magics import MlfoundryMagics

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/system-metrics.md")
_PLACE = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def settings_table() -> str:
    """Return the table of settings."""
    rows = []
    for name, (variable, default, meaning) in SETTINGS.items():
        shown = "" if default is None else f"`{_plain(default)}`"
        rows.append((f"`{name}`", f"`{variable}`", shown, meaning))
    return _table(("name", "variable", "default", "meaning"), rows)


def system_metrics_table() -> str:
    """Return the table of system metrics."""
    rows = [(f"`{s.pattern}`", s.unit, s.description, s.needs) for s in SERIES]
    return _table(("name", "unit", "meaning", "needs"), rows)


def run_options_table() -> str:
    """Return the table of the options of ``%%mlfoundry_run``."""
    parser: argparse.ArgumentParser = vars(MlfoundryMagics.run)["parser"]
    rows = []
    for action in parser._actions:
        if not action.option_strings or action.dest == "help":
            continue
        choices = "|".join(map(str, action.choices or ()))
        value = "" if action.nargs == 0 else f" {action.metavar or choices or action.dest.upper()}"
        forms = ", ".join(f"`{option}{value}`" for option in action.option_strings)
        rows.append((forms, (action.help or "").replace("%%", "%")))
    return _table(("option", "meaning"), rows)


TABLES = {"settings": settings_table, "system-metrics": system_metrics_table, "run-options": run_options_table}


def with_tables(page: str) -> str:
    """Return a page with its tables made anew."""
    return _PLACE.sub(lambda place: f"{place[1]}\n{TABLES[place[2]]()}\n{place[3]}", page)


def _plain(default: object) -> str:
    if isinstance(default, bool):
        return "1" if default else "0"
    return f"{default:g}" if isinstance(default, float) else str(default)


def _table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


if __name__ == "__main__":
    for page in PAGES:
        path = ROOT / page
        path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")
