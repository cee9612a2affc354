"""pandas, which is imported when somebody asks for a table of it."""

from __future__ import annotations

from typing import Any

from .errors import MissingExtra


def pandas() -> Any:
    """Return the pandas module.

    Raises:
        MissingExtra: It is not installed.
    """
    try:
        import pandas as module
    except ImportError as error:
        raise MissingExtra("pandas", "to_pandas()") from error
    return module
