"""The ways that lead to the dashboard: `run.dashboard_link`, and what `%mlfoundry_dashboard` shows."""

from __future__ import annotations

import fcntl
import json

import pytest

import mlfoundry
from mlfoundry.displays import Html
from mlfoundry.tracking.own_address import FILE_NAME
from mlfoundry_jupyter.dashboard import DashboardLink
from tests.servers import on_sqlite


def test_a_run_of_the_embedded_store_has_a_link_while_the_dashboard_runs(home):
    client = mlfoundry.get_client(home, user="ann")
    with client.create_run("demo", "one", log_system_metrics=False, capture=False) as run:
        assert run.dashboard_link is None
        path = home / FILE_NAME
        path.write_text(json.dumps({"address": "http://127.0.0.1:8642"}))
        with path.open() as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            assert run.dashboard_link == f"http://127.0.0.1:8642/r/{run.run_id}"
            assert client.get_run(run.run_id).dashboard_link == run.dashboard_link
        assert run.dashboard_link is None


def test_a_run_on_a_server_leads_to_the_server(servers, tmp_path):
    server = on_sqlite(servers, tmp_path / "server")
    client = mlfoundry.get_client(server.address, api_key=server.key("ann"))
    with client.create_run("demo", "one", log_system_metrics=False, capture=False) as run:
        assert run.dashboard_link == f"{server.address}/r/{run.run_id}"
    client.close()
    server.close()


def test_the_magic_shows_the_way_or_how_to_have_one():
    found = DashboardLink("http://127.0.0.1:8642/r/1", "ann/<b>/run", "/store")
    assert repr(found) == "ann/<b>/run in the dashboard: http://127.0.0.1:8642/r/1"
    assert 'href="http://127.0.0.1:8642/r/1"' in found._repr_html_()
    assert "&lt;b&gt;" in found._repr_html_()
    none = DashboardLink(None, "ann/demo/run", "/store")
    for told in (repr(none), none._repr_html_()):
        assert "no dashboard serves this store now" in told
        assert "mlfoundry ui --uri /store" in told


@pytest.mark.parametrize("address", ["javascript:xss()", "data:text/html,x", "//evil.example", ""])
def test_a_link_leads_to_http_alone(address):
    with pytest.raises(ValueError, match="no address of http or https"):
        Html.link(address, "x")
    assert "<a " not in DashboardLink(address, "x", "/store")._repr_html_()
