"""A team server with the project "digits", for all tests of a session, and browsers that have logged in to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import watched_pages
from tests.dashboard.site import Site

REPORTS = "addEventListener('securitypolicyviolation', e => console.error('policy', e.violatedDirective, e.blockedURI))"


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server at an address of its own, with the users ann, bob and root."""
    with Site.running(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture
def open_page(chromium: Browser, site: Site) -> Iterator[Callable[..., Page]]:
    """``open_page(path, user)`` opens a page as a user who has logged in, in a browser of their own."""
    with watched_pages(chromium) as make:

        def visit(path: str = "/", user: str | None = "ann", **settings: Any) -> Page:
            page = make(**{"viewport": {"width": 1440, "height": 900}, **settings})
            page.add_init_script(REPORTS)
            if user is not None:
                page.context.add_cookies([site.cookie(user)])
            page.goto(site.address + path)
            return page

        yield visit
