"""Several ES modules as one script, so that a page asks once and not forty times: each becomes a function of its own.

Only what our modules use is known: imports by name or of a whole module, and exports of declarations. Anything
else is refused, so that no page ever gets half a script.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

_IMPORT = re.compile(r'^import\s*(\{[^}]*\}|\*\s*as\s+[\w$]+)\s*from\s*"([^"]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async function|function\*?|class|const|let)\s+([\w$]+))", re.MULTILINE)
_OTHER = re.compile(r"^(?:import|export)\b.*$", re.MULTILINE)


def linked(entry: str, sources: Mapping[str, str]) -> str:
    """Return a module and all that it needs as one module without imports.

    Args:
        entry: Path of the module, such as ``dashboard/runs.js``.
        sources: The text of each module by its path.

    Raises:
        ValueError: A module needs one that is not there, or is written in a way that is not known here.
    """
    order: list[str] = []
    _visit(entry, sources, order, ())
    return "\n".join(_wrapped(path, sources[path], order) for path in order)


def _visit(path: str, sources: Mapping[str, str], order: list[str], above: tuple[str, ...]) -> None:
    if path in order:
        return
    if path in above or path not in sources:
        raise ValueError(f"{path} is {'imported in a circle' if path in above else 'not there'}: {' > '.join(above)}")
    for _, other in _IMPORT.findall(sources[path]):
        _visit(_resolved(path, other), sources, order, (*above, path))
    order.append(path)


def _resolved(path: str, other: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), other))


def _wrapped(path: str, text: str, order: list[str]) -> str:
    imports = [
        f"const {names.removeprefix('* as ').replace(' as ', ': ')} = $m{order.index(_resolved(path, other))};"
        for names, other in _IMPORT.findall(text)
    ]
    body = _IMPORT.sub("", text)
    exports = _EXPORT.findall(body)
    body = _EXPORT.sub("", body)
    if left := _OTHER.search(body):
        raise ValueError(f"{path}: {left[0]!r} cannot be linked")
    parts = [f"// {path}", f"const $m{order.index(path)} = (() => {{", *imports, body.rstrip()]
    return "\n".join([*parts, f"return {{ {', '.join(exports)} }};", "})();"])
