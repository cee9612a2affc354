"""A server below a path of a host that has other things as well, as a proxy passes requests on to it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner
from playwright.sync_api import Browser, expect

import mlfoundry
from mlfoundry.cli import main
from mlfoundry.errors import InvalidSetting
from mlfoundry.records import RunKey
from mlfoundry.server.app import create_app, require_base
from mlfoundry.store.artifacts import ArtifactFolder
from mlfoundry.wire import frames
from mlfoundry.wire.requests import new_run_json
from tests.browser.conftest import watched_pages
from tests.dashboard.site import Site
from tests.server.scene import batch_bytes, new_run

BASE = "/tools/mlfoundry"
MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def below(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site.running(tmp_path_factory.mktemp("below"), base_path=BASE) as site:
        yield site


def test_a_person_logs_in_looks_at_a_run_and_its_files_and_out_again(below: Site, chromium: Browser) -> None:
    with watched_pages(chromium) as new_page:
        page = new_page(viewport={"width": 1280, "height": 900})
        page.watch.expected.append("401")  # type: ignore[attr-defined]
        page.goto(below.address + below.digits)
        page.get_by_label("API key").fill(below.keys["ann"])
        page.get_by_role("button", name="log in").click()
        expect(page.get_by_role("grid")).to_be_visible()
        assert page.url == below.address + below.digits
        page.locator(".mlf-tr:not([hidden])").filter(has_text="mlp-58").get_by_role("link").click()
        page.wait_for_url(f"{below.address}/r/*")
        expect(page.locator(".scatterlayer .trace").first).to_be_attached()
        page.get_by_role("tab", name="Files").click()
        expect(page.get_by_text("No files yet.")).to_be_visible()
        page.get_by_role("link", name="MLFoundry").click()
        expect(page.get_by_role("link", name="Open ann/digits")).to_be_visible()
        page.get_by_title("your account").click()
        page.get_by_role("button", name="log out").click()
        expect(page.get_by_label("API key")).to_be_visible()
        assert page.url == f"{below.address}/login"


def test_a_program_logs_to_it(below: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFOUNDRY_API_KEY", below.keys["bob"])
    with mlfoundry.get_client(below.address) as client:
        with client.create_run("mine", log_system_metrics=False, capture=False) as run:
            run.log_metrics({"loss": 0.5})
        assert client.get_run(run.run_id).get_metrics()["loss"].values.tolist() == [0.5]
        assert run.dashboard_link == f"{below.address}/r/{run.run_id}"


def test_a_proxy_may_take_the_path_off(below: Site) -> None:
    root = below.address.removesuffix(BASE)
    for address in (root, below.address):
        page = requests.get(f"{address}/login", headers={"Accept": "text/html"}, timeout=30)
        assert page.status_code == 200
        assert f'action="{BASE}/login"' in page.text
        assert f'href="{BASE}/static/' in page.text
    assert "API key" in requests.get(below.address, headers={"Accept": "text/html"}, timeout=30).text


@pytest.mark.parametrize("is_taken_off", [False, True])
def test_what_may_be_sent_is_the_same_as_at_the_root(below: Site, is_taken_off: bool) -> None:
    address = below.address.removesuffix(BASE) if is_taken_off else below.address
    journal_id = 8 if is_taken_off else 7
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {below.keys['bob']}"
        new = new_run_json(new_run("mine", "large"))
        made = session.post(f"{address}/api/v1/runs", json=new, timeout=30).json()
        run = RunKey(made["project_id"], made["run_id"])
        place = f"{address}/api/v1/projects/{run.project_id}/runs/{run.run_id}"
        large = batch_bytes(run, journal_id, 250_000)
        assert len(large) > 2 * MEBIBYTE
        headers = {"Content-Type": frames.BATCH_TYPE}
        sent = session.post(f"{place}/journals/{journal_id}", data=large, headers=headers, timeout=60)
        assert sent.json() == {"acked": 250_000, "settled": 0}
        content = bytes(2 * MEBIBYTE)
        blob = f"{place}/blobs/{hashlib.sha256(content).hexdigest()}"
        part = session.put(blob, params={"size": len(content), "offset": 0}, data=content, timeout=60)
        assert part.status_code == 200, part.text
    login = requests.post(f"{address}/login", data=b"key=" + b"a" * 5000, timeout=30)
    assert login.status_code == 413
    assert "4,096 bytes" in login.text


@pytest.mark.parametrize("base", ["mlfoundry", "//evil.example", "/a/../b", "/a b", "/<b>", "/é"])
def test_what_is_no_path_is_refused_with_what_to_give(base: str) -> None:
    told = CliRunner().invoke(main, ["server", "--database", "runs.db", "--base-path", base])
    assert told.exit_code == 2
    assert "is no path; give one like /mlfoundry" in told.output


def test_a_base_that_begins_as_an_address_of_the_server_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    place = tmp_path / "runs.db"
    for base in ("/api", "/api/v1", "/dashboard", "/static", "/p", "/r/x", "/login", "/favicon.ico", "/healthz"):
        told = CliRunner().invoke(main, ["server", "--database", str(place), "--base-path", base])
        assert told.exit_code == 1, told.output
        assert f"the base path is '{base}', and the server's own addresses begin with it" in told.output
        assert "like /mlfoundry" in told.output
    assert not place.exists()


def test_every_route_is_one_that_a_base_may_not_begin_as(below: Site, tmp_path: Path) -> None:
    firsts = {route.path.split("/")[1] for route in below.app.routes} - {""}  # type: ignore[attr-defined]
    assert {"api", "p", "r", "static", "login"} <= firsts
    for first in firsts:
        with pytest.raises(InvalidSetting, match="begin with it"):
            require_base(f"/{first}/below")
        with pytest.raises(InvalidSetting, match="begin with it"):
            create_app(below.database, ArtifactFolder(tmp_path), base_path=f"/{first}")
        require_base(f"/tools/{first}")
        require_base(f"/{first}s-own")
