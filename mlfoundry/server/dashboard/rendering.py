"""How pages become HTML: the one template environment, what every page knows, and the policy that keeps it safe."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import jinja2
from fastapi import Request
from starlette.responses import HTMLResponse, Response

from ... import __version__, displays
from ...records import Account
from ..gates import csrf_token, gate_of
from . import assets

# plotly.js makes a <style> that is empty, and fills it through the DOM, and sets empty style attributes; this is the
# hash of nothing at all, which must be said to hold for attributes as well.
_EMPTY_STYLE = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
PAGE_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        f"style-src 'self' 'unsafe-hashes' {_EMPTY_STYLE}",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "frame-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)


@functools.cache
def _templates() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("mlfoundry.server.dashboard"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        ago=displays.age,
        cut=displays.shortened,
        figure=displays.figure,
        grouped="{:,}".format,
        plain=displays.plain,
        prose=_prose,
        segment=lambda text: quote(text, safe=""),
        size=displays.size,
        span=displays.span,
        stamp=_stamp,
    )
    made.globals.update(sign=displays.STATUS_SIGNS, version=__version__)
    return made


def page(
    request: Request, template: str, *, title: str, status: int = 200, headers: Mapping[str, str] = {}, **told: Any
) -> Response:
    """Return a page.

    Args:
        request: What it answers.
        template: Name of the template, without its ending.
        title: What stands in the browser's tab.
        status: The status of HTTP.
        headers: Further headers.
        **told: What the template knows besides.
    """
    session = getattr(request.state, "session", None)
    account: Account | None = getattr(request.state, "account", None)
    base = base_of(request)
    known: dict[str, Any] = {
        "account": account,
        "base": base,
        "csrf": "" if session is None else csrf_token(session),
        "has_users": gate_of(request).takes_keys,
        "now_s": time.time(),
        "path": path_of(request),
        "plotly_styles": " ".join(assets.plotly_styles()),
        "plotly": f"{base}/static/{assets.plotly_version()}/plotly/plotly.min.js",
        "static": f"{base}/static/{assets.version()}",
        "title": title,
    }
    html = _templates().get_template(f"{template}.html").render(known | told)
    return HTMLResponse(html, status, headers={"Content-Security-Policy": PAGE_POLICY, **headers})


def base_of(request: Request) -> str:
    """Return below which path the application answers, as a proxy may have it; empty for none."""
    return str(request.scope.get("root_path", "")).rstrip("/")


def path_of(request: Request) -> str:
    """Return the path of a request as this application knows it."""
    base, path = base_of(request), request.url.path
    return path[len(base) :] if base and path.startswith(f"{base}/") else path


def error_page(request: Request, status: int, message: str, headers: Mapping[str, str]) -> Response | None:
    """Return an error as a page, or the way in where the error is that nobody is known; None where JSON is wanted."""
    if "text/html" not in request.headers.get("accept", ""):
        return None
    if status == 401:
        return login_page(request, status=401, headers=headers)
    return page(request, "error", title=f"{status}", status=status, headers=headers, message=message, code=status)


def login_page(
    request: Request, *, status: int = 200, message: str = "", wanted: str = "", headers: Mapping[str, str] = {}
) -> Response:
    """Return the page on which a person shows who they are, and from which they go on to where they wanted."""
    # With no-referrer, browsers do not say where a form comes from, and the way in asks for it.
    headers = {**headers, "Referrer-Policy": "same-origin"}
    query = request.url.query
    wanted = wanted or path_of(request) + (f"?{query}" if query else "")
    return page(request, "login", title="Log in", status=status, headers=headers, message=message, wanted=wanted)


def _prose(text: str) -> str:
    """Return a text of several lines, each without characters that would steer anything."""
    return "\n".join(displays.plain(line) for line in text.splitlines())


def _stamp(at: datetime | None) -> str:
    return "" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
