"""A real Chromium, and a small server on loopback that gives it the panels' modules and the pages of tests.

Every page made here is watched: a request that would leave the machine is stopped and fails the test, and so does an
error in the page's console.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import importlib.util
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

HERE = Path(__file__).parent
PANELS = HERE.parents[1] / "mlfoundry" / "panels"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
INNER_SCHEMES = ("blob", "data", "about")
ACTION_MS = 60_000
EXPECT_MS = 30_000
TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".json": "application/json"}


def chromium_path() -> str:
    """Return the browser of this machine; Playwright's own is never downloaded."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found:
            return found
    raise RuntimeError("the browser tests need Chromium, and there is none here: apt-get install chromium")


def plotly_file() -> Path:
    """Return plotly.js as the installed plotly package carries it."""
    spec = importlib.util.find_spec("plotly")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "package_data" / "plotly.min.js"


@contextlib.contextmanager
def running_chromium() -> Iterator[Browser]:
    """Run a browser; one at a time in a process."""
    arguments = ["--disable-dev-shm-usage", "--enable-precise-memory-info"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--no-sandbox")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=arguments)
        yield browser
        browser.close()


class _Files(http.server.SimpleHTTPRequestHandler):
    """Gives /panels/…, /pages/… and /plotly.min.js, and nothing else."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        folder, _, name = path.strip("/").partition("/")
        file = {"panels": PANELS / name, "pages": HERE / "pages" / name, "plotly.min.js": plotly_file()}.get(folder)
        if path == "/favicon.ico":
            self._answer(204, "image/x-icon", b"")
        elif file is None or ".." in name or not file.is_file():
            self._answer(404, "text/plain", f"there is no {path}\n".encode())
        else:
            self._answer(200, TYPES.get(file.suffix, "application/octet-stream"), file.read_bytes())

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # the page went away while it was loading
            self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Say nothing: the tests' output is for tests."""


@pytest.fixture(scope="session")
def panel_server() -> Iterator[str]:
    """The address of the server, without a slash at its end."""
    with serving_panels() as address:
        yield address


@contextlib.contextmanager
def serving_panels() -> Iterator[str]:
    """Serve the panels' modules and the pages of tests; give the address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Files) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=functools.partial(server.serve_forever, 0.05), name="panel-server")
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class Watch:
    """What a page asked of the world, and what went wrong in it.

    Attributes:
        left: Addresses that it asked for outside of this machine; none of them was fetched.
        errors: Messages of its console and exceptions that nobody caught.
        expected: Pieces of text; an error that holds one of them is no error of the test.
    """

    def __init__(self) -> None:
        self.left: list[str] = []
        self.errors: list[str] = []
        self.expected: list[str] = []

    def unexpected(self) -> list[str]:
        """Return the errors that no test said it expects."""
        return [error for error in self.errors if not any(text in error for text in self.expected)]


def watch(page: Page) -> Watch:
    """Begin to watch a page, before it goes anywhere."""
    seen = Watch()

    def decide(route: Any) -> None:
        address = urlsplit(route.request.url)
        if address.scheme in INNER_SCHEMES or address.hostname in LOOPBACK:
            route.continue_()
        else:
            seen.left.append(route.request.url)
            route.abort()

    page.route("**/*", decide)
    page.on("console", lambda message: seen.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    return seen


def _stop_routing(page: Page) -> None:
    if not page.is_closed():
        page.unroute_all(behavior="ignoreErrors")  # a live page may ask in the moment of its end


@contextlib.contextmanager
def watched_pages(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Give a function that opens watched pages; its arguments are those of a browser context. Closes and checks all."""
    expect.set_options(timeout=EXPECT_MS)
    with contextlib.ExitStack() as stack:
        watched: list[Watch] = []

        def make(**settings: Any) -> Page:
            context = browser.new_context(**{"viewport": {"width": 1000, "height": 800}, **settings})
            stack.callback(context.close)
            page = context.new_page()
            stack.callback(_stop_routing, page)
            page.set_default_timeout(ACTION_MS)
            page.watch = watch(page)  # type: ignore[attr-defined]
            watched.append(page.watch)  # type: ignore[attr-defined]
            return page

        yield make
        left = [address for each in watched for address in each.left]
        errors = [error for each in watched for error in each.unexpected()]
    assert left == [], "this page asked for something outside of the machine"
    assert errors == [], "this page has errors in its console"


@pytest.fixture
def new_page(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """A function that opens watched pages."""
    with watched_pages(chromium) as make:
        yield make


@pytest.fixture
def page(new_page: Callable[..., Page]) -> Page:
    """A watched page of 1000 x 800 pixels."""
    return new_page()
