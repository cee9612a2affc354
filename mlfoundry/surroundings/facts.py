"""Facts, all text by name, of which those are absent that cannot be found out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

Facts = dict[str, str]


def or_nothing(probe: Callable[[], Facts]) -> Facts:
    """Return what a probe finds out, nothing when it raises."""
    try:
        return dict(probe())
    except Exception:  # a fact that cannot be had is absent, whatever the reason
        return {}


def found(probes: dict[str, Callable[[], object]]) -> Facts:
    """Return what each probe finds out, under its name."""
    facts: Facts = {}
    for name, probe in probes.items():
        with suppress(Exception):  # as above
            facts[name] = str(probe() or "")
    return {name: value for name, value in facts.items() if value}
