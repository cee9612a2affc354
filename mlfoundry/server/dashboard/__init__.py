"""The dashboard: pages that a server renders, and the same ES modules that notebooks use, fed over HTTP.

`pages` holds the routes of pages, `feeds` those that feed the modules, `previews` those that show what users stored;
`rendering` makes HTML and its policy, `assets` gives scripts and styles.
"""

from __future__ import annotations

from fastapi import FastAPI

from . import assets, feeds, pages, previews
from .rendering import error_page

__all__ = ["add_dashboard", "error_page"]


def add_dashboard(app: FastAPI) -> None:
    """Add the pages and what they ask for to an application."""
    for room in (pages, feeds, previews, assets):
        app.router.routes += room.router.routes
