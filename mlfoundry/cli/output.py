"""How things are printed: safe text, tables, colours, progress, JSON.

Names, tags and error texts are strangers' text: whatever goes to a terminal goes through `safe` or through
the tables of `displays`. Colours are for terminals alone, and not where NO_COLOR is set.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import click

from .. import displays
from ..records import RunStatus
from . import layout

LEAST_WIDTH = 40  # on a narrower terminal lines are broken by the terminal itself
_STATUS_COLOURS = {
    RunStatus.RUNNING: "blue",
    RunStatus.SCHEDULED: "bright_black",
    RunStatus.FINISHED: "green",
    RunStatus.FAILED: "red",
    RunStatus.KILLED: "yellow",
}


def prepare() -> None:
    """Let standard output and error show what they can of any text instead of failing on it."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            with suppress(ValueError, OSError):
                reconfigure(errors="backslashreplace")


def safe(text: object) -> str:
    """Return text on one line that a terminal shows and does not obey."""
    return displays.plain(text).encode("utf-8", "backslashreplace").decode()


def lines(text: object) -> str:
    """Return text like `safe`, keeping its lines."""
    return "\n".join(safe(line) for line in str(text).split("\n"))


# -- text ----------------------------------------------------------------------------------------


def counted(number: int, noun: str) -> str:
    """Return a number of things in words: ``1 run``, ``2,000 runs``."""
    return f"{number:,} {noun}{'s' if number != 1 else ''}"


def width() -> int | None:
    """Return how many cells a line of standard output has; None where it is no terminal, and nothing is cut."""
    if not sys.stdout.isatty():
        return None
    return max(LEAST_WIDTH, shutil.get_terminal_size().columns)


def coloured(text: str, **style: Any) -> str:
    """Return text with a style; `echo` takes it off where it does not belong."""
    return click.style(text, **style)


def echo(text: str = "", *, err: bool = False) -> None:
    """Print text that is safe already."""
    colours = False if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else None
    click.echo(text, err=err, color=colours)


def caption(text: str) -> None:
    """Print a line of text, broken where the terminal ends."""
    echo(layout.wrapped(safe(text), width()))


def error(text: str) -> None:
    """Print an error; `text` is safe already."""
    echo(f"{coloured('Error:', fg='red', bold=True)} {text}", err=True)


def warn(message: str) -> None:
    """Print a warning."""
    echo(f"{coloured('Warning:', fg='yellow')} {safe(message)}", err=True)


def status_coloured(table: str) -> str:
    """Return a table whose first column is a run's status with that in colour."""
    return "\n".join(map(_status_coloured, table.split("\n")))


def _status_coloured(line: str) -> str:
    for status, colour in _STATUS_COLOURS.items():
        text = displays.status_text(status)
        if line.startswith(text):
            return coloured(text, fg=colour) + line[len(text) :]
    return line


def section(title: str, body: str) -> None:
    """Print a heading and what stands below it, with an empty line before."""
    echo(f"\n{coloured(title, bold=True)}\n{body}")


def pairs(facts: Sequence[tuple[str, str]]) -> str:
    """Return names and values in two columns; a value of several lines stays below itself."""
    return layout.pairs(facts, width(), safe)


def indented(text: str) -> str:
    """Return text with its lines moved to the right."""
    return "\n".join(f"  {line}" for line in text.split("\n"))


# -- JSON ----------------------------------------------------------------------------------------


def json_text(document: Any) -> str:
    """Return strict JSON in ASCII: nothing in it can steer a terminal."""
    return json.dumps(document, ensure_ascii=True, allow_nan=False, indent=2)


def json_data(document: Any) -> None:
    """Print the one document of a command."""
    click.echo(json_text(document))


def json_error(document: Any) -> None:
    """Print the one document that standard error gets."""
    click.echo(json.dumps(document, ensure_ascii=True, allow_nan=False), err=True)


# -- progress ------------------------------------------------------------------------------------


class Progress(Protocol):
    """Where long work says how far it is.

    Attributes:
        length: How many steps it takes.
    """

    length: int | None

    def update(self, n_steps: int, /) -> None:
        """Move on by some steps."""


class _Unseen:
    length: int | None = None

    def update(self, n_steps: int, /) -> None:
        """Show nothing."""


@contextmanager
def progress(label: str, length: int, *, quiet: bool) -> Iterator[Progress]:
    """Show a bar on standard error where that is a terminal.

    Args:
        label: What is done.
        length: How many steps it takes; at least 1 is assumed.
        quiet: Whether nothing is shown at all.
    """
    if quiet or not sys.stderr.isatty():
        yield _Unseen()
        return
    with click.progressbar(length=max(1, length), label=label, file=sys.stderr) as bar:
        yield bar
