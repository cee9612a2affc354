"""The installed packages that this process can import."""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path


def packages() -> str:
    """Return the installed packages that this process can import, as the fact ``packages`` has them."""
    return _packages(_search_path())


def _search_path() -> tuple[tuple[str, int], ...]:
    """Return where packages are looked for and when each place last changed: ``%pip install`` counts."""

    def changed(place: str) -> int:
        try:
            return Path(place).stat().st_mtime_ns
        except (OSError, ValueError):
            return 0

    return tuple((place, changed(place)) for place in sys.path)


@lru_cache(maxsize=1)
def _packages(search_path: tuple[tuple[str, int], ...]) -> str:
    """Return the packages of a search path, one a line."""
    from importlib.metadata import distributions

    found: dict[str, str] = {}
    for distribution in distributions(path=[place for place, _ in search_path]):
        # .name and .version parse the whole file as an e-mail, ten times slower than its two lines.
        name = version = ""
        text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
        for line in text.splitlines():
            if line.startswith("Name:"):
                name = line[5:].strip()
            elif line.startswith("Version:"):
                version = line[8:].strip()
            elif not line:
                break
        normal = name.lower().replace("_", "-").replace(".", "-")
        if name and version and normal not in found:  # the first on the path is the one that is imported
            found[normal] = f"{name}=={version}"
    return "\n".join(found[normal] for normal in sorted(found))
