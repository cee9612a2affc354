"""A key that is revoked, a right that is withdrawn, a project that is deleted while a run goes on: nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner

import mlfoundry
from mlfoundry.cli import main
from mlfoundry.client import Client
from mlfoundry.shipping import shipper as shippers
from mlfoundry.tracking.accounts import AccountService
from tests.servers import TeamServer


@pytest.fixture
def client(server: TeamServer) -> Iterator[Client]:
    """Anna's client."""
    with mlfoundry.get_client(server.address, api_key=server.key("anna"), end_timeout_s=5.0) as client:
        yield client


def _revoke(server: TeamServer) -> Callable[[], Client]:
    """Revoke Anna's key; return what gives her another and a client with it."""
    accounts = AccountService(server.database)
    anna, root = (accounts.authenticate(server.key(user)) for user in ("anna", "root"))
    (key,) = accounts.list_keys(anna, "anna")
    accounts.revoke_key(anna, "anna", key.key_id)
    return lambda: mlfoundry.get_client(server.address, api_key=accounts.create_key(root, "anna")[0])


def test_what_is_logged_with_a_revoked_key_is_kept_files_too_and_stored_with_another(
    server: TeamServer, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    client.create_run("demo", "r", log_system_metrics=False, capture=False).end()
    run = client.create_run("demo", "r", log_system_metrics=False, capture=False)
    run.log_metrics({"loss": 1.0})
    assert run.flush()
    renew = _revoke(server)
    run.log_text("weights", "model/weights.txt")
    run.log_metrics({"loss": 0.5})
    assert run.flush(10.0) is False
    health = run.health
    assert (health.state, health.lost) == ("refused", 0)
    assert "1 logged file waits to be stored" in health.message
    run.end()
    assert f"log in again as the same user (mlfoundry login {server.address}" in caplog.text
    assert "as soon as" not in caplog.text
    shippers.stop(10.0)  # as when this process ends
    key = {"MLFOUNDRY_HOST": server.address, "MLFOUNDRY_API_KEY": str(client.settings.api_key)}
    told = " ".join(CliRunner().invoke(main, ["doctor"], env=key).stdout.split())
    assert "cannot be stored: the server does not take the key that is used (anna/demo/r-2)" in told
    assert "cannot be asked" not in told
    with renew() as later:
        assert later.sync(30.0) == 0
        stored = later.get_run(run.run_id)
        assert (stored.status, stored.get_metrics("loss")["loss"].values.tolist()) == ("FINISHED", [1.0, 0.5])
        assert [each.path for each in stored.list_artifacts()] == ["model/weights.txt"]


def test_the_end_of_a_run_whose_project_was_deleted_promises_nothing(
    server: TeamServer, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    run = client.create_run("demo", "r", log_system_metrics=False, capture=False)
    assert run.flush()
    client.delete_project("demo")
    run.log_text("weights", "model.txt")
    run.log_metrics({"loss": 0.5})
    run.end()
    assert "what belongs to a deleted project can be stored no more" in caplog.text
    assert "as soon as" not in caplog.text
    assert str(run._journal.folder) in caplog.text
