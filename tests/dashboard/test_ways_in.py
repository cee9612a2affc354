"""Who comes in with a browser, what a change must show, and what every answer tells a browser to keep to."""

from __future__ import annotations

import re
import time

import pytest
import requests

from mlfoundry.server.gates import COOKIE, OwnGate
from mlfoundry.server.policy import Needs, declared, routes_of
from mlfoundry.tracking.sessions import SESSION_S, SessionService
from tests.dashboard.site import Site

HTML = {"Accept": "text/html,application/xhtml+xml"}


def log_in(site: Site, secret: str, wanted: str = "/", *, origin: str | None = "own") -> requests.Response:
    return site.ask("POST", "/login", origin=origin, data={"secret": secret, "next": wanted}, headers=HTML)


def session_in(answer: requests.Response) -> str:
    found = re.search(rf"{COOKIE}=([\w-]+)", answer.headers.get("Set-Cookie", ""))
    assert found, answer.headers
    return found[1]


def test_a_key_begins_a_session_that_opens_pages(site: Site) -> None:
    answer = log_in(site, f" {site.keys['ann']}\n", site.digits)
    assert (answer.status_code, answer.headers["Location"]) == (303, site.digits)
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Path=/" in cookie
    assert site.keys["ann"] not in cookie
    assert site.ask("GET", site.digits, session=session_in(answer)).status_code == 200


def test_over_https_the_cookie_is_secure_and_of_this_host_alone(site: Site) -> None:
    # The test server takes the scheme from a proxy on this machine.
    answer = site.ask("POST", "/login", data={"secret": site.keys["ann"]}, headers={"X-Forwarded-Proto": "https"})
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"__Host-{COOKIE}=")
    assert "Secure" in cookie


@pytest.mark.parametrize("secret", ["", "mlf_", "x" * 40, "mlf_" + "a" * 40])
def test_what_is_no_key_begins_none_and_is_told_why(site: Site, secret: str) -> None:
    answer = log_in(site, secret)
    assert answer.status_code == 401
    assert "Set-Cookie" not in answer.headers
    assert "API key" in answer.text


def test_without_a_session_a_page_asks_for_a_key_and_keeps_where_one_wanted_to_go(site: Site) -> None:
    answer = site.ask("GET", f"{site.digits}?sort=-loss", headers=HTML)
    assert answer.status_code == 401
    assert 'name="secret"' in answer.text
    assert f'value="{site.digits}?sort=-loss"' in answer.text
    assert "digits/" not in answer.text


@pytest.mark.parametrize(
    "wanted",
    ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "/\r\nX: y", "evil", ""],
)
def test_nobody_is_sent_elsewhere_after_the_login(site: Site, wanted: str) -> None:
    assert log_in(site, site.keys["ann"], wanted).headers["Location"] == "/"


def test_a_session_ends_with_its_key_at_once(site: Site) -> None:
    key, record = site.accounts.create_key(site.root, "bob")
    session = session_in(log_in(site, key))
    assert site.ask("GET", "/", session=session).status_code == 200
    site.accounts.revoke_key(site.root, "bob", record.key_id)
    answer = site.ask("GET", "/", session=session)
    assert answer.status_code == 401
    assert "revoked" in answer.text


def test_a_session_ends_when_its_user_is_disabled(site: Site) -> None:
    session = session_in(log_in(site, site.add_user("leaver")))
    site.accounts.change_user(site.root, "leaver", is_disabled=True)
    answer = site.ask("GET", "/account", session=session)
    assert answer.status_code == 401
    assert "disabled" in answer.text


def test_a_session_ends_after_two_weeks_and_with_the_logout(site: Site) -> None:
    session = session_in(log_in(site, site.keys["bob"]))
    late = SessionService(site.database, site.accounts, now_us=lambda: int((time.time() + SESSION_S + 1) * 1e6))
    with pytest.raises(Exception, match="this session is over"):
        late.account(session)
    assert site.ask("POST", "/logout", session=session).status_code == 204
    assert site.ask("GET", "/", session=session).status_code == 401


def test_another_worker_knows_a_session_and_its_end(site: Site) -> None:
    session = session_in(log_in(site, site.keys["bob"]))
    other = SessionService(site.database, site.accounts)
    assert other.account(session).user == "bob"
    other.end(session)
    assert site.ask("GET", "/", session=session).status_code == 401


def test_the_store_keeps_no_session_that_could_be_used(site: Site) -> None:
    session = site.session("ann")
    with site.database.read() as tx:
        rows = repr(tx.rows("SELECT * FROM session"))
    assert session not in rows


def changes(site: Site) -> list[tuple[str, str]]:
    """Every route that changes something and needs to know who asks, with a path of "digits"."""
    run = site.runs["cnn-53"]
    ids = {"project_id": run.project_id, "run_id": run.run_id, "journal_id": 7, "sha256": "0" * 64}
    found = []
    for route in routes_of(site.app):
        if declared(route) is Needs.NOTHING:
            continue
        for method in getattr(route, "methods", set()) - {"GET", "HEAD"}:
            found.append((method, getattr(route, "path", "").format(**ids)))
    return found


@pytest.mark.parametrize(
    ("origin", "token"),
    [
        ("https://evil.example", "own"),
        ("null", "own"),
        (None, "own"),
        ("own", ""),
        ("own", "0" * 40),
        ("http://127.0.0.1", "own"),
    ],
)
def test_no_change_is_taken_that_does_not_come_from_a_page_of_the_session(
    site: Site, origin: str | None, token: str
) -> None:
    assert len(changes(site)) > 15
    before = site.tracking.get_project_by_id("ann", site.project_id)
    for method, path in changes(site):
        answer = site.ask(method, path, "ann", origin=origin, token=token, json={})
        assert answer.status_code == 403, (method, path, answer.text)
        assert re.search(r"another site|page of this session", answer.text), answer.text
    assert site.tracking.get_project_by_id("ann", site.project_id) == before


def test_the_token_of_one_session_is_none_of_another(site: Site) -> None:
    from mlfoundry.server.gates import csrf_token

    path = f"/api/v1/projects/{site.project_id}/runs/{site.runs['cnn-53'].run_id}"
    answer = site.ask("PATCH", path, "ann", token=csrf_token(site.session("bob")), json={"description": "x"})
    assert answer.status_code == 403


def test_a_login_from_another_site_is_refused(site: Site) -> None:
    for origin in ("https://evil.example", "null", None):
        answer = log_in(site, site.keys["ann"], origin=origin)
        assert answer.status_code == 403
        assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:80", "169.254.169.254"])
def test_another_host_name_is_not_answered(site: Site, host: str) -> None:
    for path in ("/", "/login", "/static/x/panels/style.css", "/api/v1/whoami"):
        answer = site.ask("GET", path, headers={"Host": host})
        assert answer.status_code == 421, path


def test_pages_tell_browsers_to_run_and_frame_nothing_foreign(site: Site) -> None:
    run = site.runs["cnn-28"].run_id
    for path in (
        "/",
        site.digits,
        f"{site.digits}/people",
        f"{site.digits}/compare?runs={run}",
        f"/r/{run}",
        "/account",
    ):
        answer = site.ask("GET", path, "ann", headers=HTML)
        assert answer.status_code == 200, path
        policy = dict(part.partition(" ")[::2] for part in answer.headers["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == policy["connect-src"] == policy["form-action"] == "'self'"
        assert "unsafe-inline" not in answer.headers["Content-Security-Policy"]
        assert "unsafe-eval" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert not re.search(r"<script(?![^>]*(src=|application/json))|\son\w+=|style=|https?://", answer.text), path
        assert len(answer.content) < 100_000, path


def test_what_is_no_page_is_told_to_be_none(site: Site) -> None:
    for path in ("/api/v1/openapi.json", "/healthz", "/dashboard/projects"):
        policy = site.ask("GET", path, "ann").headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy


def test_scripts_and_styles_are_kept_and_no_other_file_is_given(site: Site) -> None:
    page = site.ask("GET", site.digits, "ann", headers=HTML).text
    files = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    assert len(files) >= 4
    for path in files:
        answer = site.ask("GET", path)
        assert answer.status_code == 200, path
        assert "immutable" in answer.headers["Cache-Control"]
    for name in ("panels/../app.py", "panels/%2e%2e/app.py", "panels/__init__.py", "dashboard/pages.py", "plotly/x.js"):
        assert site.ask("GET", f"/static/x/{name}").status_code == 404, name


def test_the_token_of_one_dashboard_process_opens_no_other() -> None:
    one, other = OwnGate("ann", "one", port=1), OwnGate("ann", "other", port=2)
    assert one.cookie != other.cookie
    session = one.begin("one")
    assert one.account(session).user == "ann"
    for wrong in ("", "on", "onee", "other", "öne"):
        with pytest.raises(Exception, match="not the token"):
            one.begin(wrong)
    with pytest.raises(Exception, match="started anew"):
        other.account(session)


def test_a_page_that_is_not_there_says_so_as_a_page(site: Site) -> None:
    for path, status in (("/p/ann/none", 404), ("/r/" + "0" * 32, 404), ("/nowhere", 404)):
        answer = site.ask("GET", path, "ann", headers=HTML)
        assert answer.status_code == status
        assert answer.headers["Content-Type"].startswith("text/html")
        assert "Not here" in answer.text
        assert site.ask("GET", path, "ann").json()["error"]["message"]


def test_what_bob_may_not_see_looks_like_what_is_not_there(site: Site) -> None:
    hidden = site.ask("GET", site.digits, "bob", headers=HTML)
    gone = site.ask("GET", "/p/ann/gone99", "bob", headers=HTML)
    assert hidden.status_code == gone.status_code == 404

    def plain(answer: requests.Response, name: str) -> str:
        return re.sub(r'data-now="[^"]*"', "", answer.text).replace(name, "NAME")

    assert plain(hidden, "digits") == plain(gone, "gone99")


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("sort=nope", ["This order is not understood"]),
        ("sort=-metrics.", ["This order is not understood"]),
        ("filter=nope", ["This filter is not understood"]),
        ("filter=nope&sort=nope", ["This filter is not understood", "This order is not understood"]),
        ("filter=&sort=", []),
    ],
)
def test_what_cannot_be_read_of_an_address_is_called_what_it_is(site: Site, asked: str, says: list[str]) -> None:
    session = session_in(log_in(site, site.keys["ann"]))
    answer = site.ask("GET", f"{site.digits}?{asked}", session=session, headers=HTML)
    assert answer.status_code == 200
    assert sorted(re.findall(r"This \w+ is not understood", answer.text)) == says
