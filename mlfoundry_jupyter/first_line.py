"""The input transformer behind ``%%mlfoundry_run``: its line becomes a line magic, the body stays an ordinary cell.

So tracebacks and their line numbers, ``await``, the last expression, interrupts and the end of "Run All" at the first
error stay IPython's own. A magic that runs the body itself loses them.
"""

from __future__ import annotations

import re

from IPython.core.inputtransformer2 import cell_magic

MAGIC = "mlfoundry_run"
_HEAD = re.compile(rf"%%{MAGIC}(?:\s+(?P<arguments>.*))?$", re.DOTALL)
_HELP = re.compile(rf"%%{MAGIC}\s*(\?\??)$")
_WANTS_HELP = re.compile(r"(?:^|\s)(?:--help|-h)(?:\s|$)")


def to_line_magic(lines: list[str]) -> list[str]:
    r"""Rewrite a cell that begins with ``%%mlfoundry_run``, perhaps after empty lines and comments; any other stays.

    Every other line keeps its number. Below other cell magics, such as ``%%time``, IPython calls this for their body.

    >>> to_line_magic(["%%mlfoundry_run demo --name a\n", "1 / 0\n"])
    ["get_ipython().run_line_magic('mlfoundry_run', '--cell demo --name a')\n", '1 / 0\n']
    """
    place = next((i for i, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")), None)
    if place is None or not lines[place].startswith(f"%%{MAGIC}"):
        return lines
    before, body = lines[:place], lines[place + 1 :]
    head = lines[place].strip()
    if asked := _HELP.match(head):
        return [*before, f"%%{MAGIC}{asked[1]}\n"] if place == 0 else [*before, f"%{MAGIC}{asked[1]}\n"]
    continued = 0
    while head.endswith("\\") and continued < len(body):
        head = f"{head[:-1]} {body[continued].strip()}"
        continued += 1
    found = _HEAD.match(head)
    if found is None:
        return lines
    arguments = f"--cell {found['arguments'] or ''}".strip()
    call = f"get_ipython().run_line_magic({MAGIC!r}, {arguments!r})\n"
    if _WANTS_HELP.search(arguments):
        return [*before, call]  # who asks for help does not want the body to run without a run
    return [*before, call, *["\n"] * continued, *_body(body[continued:])]


def is_run(source: str) -> bool:
    """Return whether a cell is a run by its first line."""
    lines = source.splitlines(keepends=True)
    return to_line_magic(lines) != lines


# Else IPython's terminal would take a cell as complete after its first line.
to_line_magic.has_side_effects = True  # type: ignore[attr-defined]


def _body(lines: list[str]) -> list[str]:
    """Return the body, in which another cell magic may come first."""
    first = next((i for i, line in enumerate(lines) if line.strip()), None)
    if first is None or not lines[first].startswith("%%"):
        return lines
    rewritten = to_line_magic(lines[first:])
    return [*lines[:first], *(rewritten if rewritten != lines[first:] else _as_call(lines[first:]))]


def _as_call(lines: list[str]) -> list[str]:
    rewritten: list[str] = cell_magic(lines)  # type: ignore[no-untyped-call]
    return rewritten
