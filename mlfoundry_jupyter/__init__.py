"""The IPython extension of MLFoundry: ``%load_ext mlfoundry_jupyter`` is the way in."""

from __future__ import annotations

from typing import Any


def load_ipython_extension(shell: Any) -> None:
    """Register magics, the input transformer and hooks; IPython calls it."""
    from .extension import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Take all of it back; IPython calls it."""
    from .extension import unload

    unload(shell)
