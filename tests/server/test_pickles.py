"""What is pickled of a server's runs holds no key; whoever unpickles it takes the one that they have."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

import mlfoundry
from mlfoundry import settings
from mlfoundry.errors import NotAuthenticated
from tests.server.processes import environment
from tests.servers import TeamServer

LOGS = "import pickle, sys; run = pickle.load(sys.stdin.buffer); run.log_metrics({'loss': 0.5}); run.end()"
READS = "import pickle, sys; print(pickle.load(sys.stdin.buffer).get_params())"


def run_of(client: mlfoundry.Client) -> mlfoundry.Run:
    return client.create_run("iris", "svm", capture=False, log_system_metrics=False)


@pytest.fixture
def client(server: TeamServer) -> Iterator[mlfoundry.Client]:
    made = mlfoundry.get_client(server.address, api_key=server.key("ann"))
    yield made
    made.close()


def elsewhere(code: str, pickled: bytes, folder: Path, **more: str) -> subprocess.CompletedProcess[bytes]:
    """Run code in a process that has nothing of this one, with something pickled on its standard input."""
    environ = environment(MLFOUNDRY_HOME=str(folder), **more)
    return subprocess.run(
        [sys.executable, "-c", code], input=pickled, capture_output=True, timeout=120, check=False, env=environ
    )


def test_a_key_is_in_nothing_that_is_pickled_and_another_process_brings_its_own(
    client: mlfoundry.Client, server: TeamServer, tmp_path: Path
) -> None:
    key = server.key("ann").encode()
    with run_of(client) as run:
        run.log_params({"C": 1})
        run.flush()
        stored = client.get_run(run.run_id)
        for each, code in ((run, LOGS), (stored, READS)):
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
                assert key not in pickle.dumps(each, protocol)
                assert key[4:20] not in pickle.dumps(each, protocol)
            without = elsewhere(code, pickle.dumps(each), tmp_path / "nobody")
            assert without.returncode == 1
            assert b"NotAuthenticated: there is no API key for " in without.stderr
            assert b"MLFOUNDRY_API_KEY. What was pickled elsewhere never brings one" in without.stderr
            done = elsewhere(code, pickle.dumps(each), tmp_path / "ann", MLFOUNDRY_API_KEY=server.key("ann"))
            assert done.returncode == 0, done.stderr
    assert client.get_run(run.run_id).get_metrics("loss")["loss"].values.tolist() == [0.5]


def _told(run: Any) -> tuple[str, dict[str, Any]]:
    told = run.run_id, run.get_params()
    run.client.close()
    return told


def test_a_process_that_is_forked_and_a_copy_keep_the_key(client: mlfoundry.Client) -> None:
    with run_of(client) as run:
        run.log_params({"C": 1})
        run.flush()
        stored = client.get_run(run.run_id)
        with get_context("fork").Pool(1) as pool:
            assert pool.map(_told, [stored]) == [(run.run_id, {"C": 1})]
        for again in (copy.copy(stored), copy.deepcopy(stored), pickle.loads(pickle.dumps(stored))):
            assert _told(again) == (run.run_id, {"C": 1})


def test_of_two_users_of_one_server_in_one_process_each_keeps_its_own_key(server: TeamServer) -> None:
    clients = [mlfoundry.get_client(server.address, api_key=server.key(user)) for user in ("ann", "bob")]
    for user, client in zip(("ann", "bob"), clients, strict=True):
        with run_of(client) as run:
            run.flush()
            stored = client.get_run(run.run_id)
        again = pickle.loads(pickle.dumps(stored))
        assert again.client.settings.api_key == server.key(user)
        again.client.close()
        client.close()


def test_a_key_that_is_kept_or_set_is_taken_where_it_is_read(
    server: TeamServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "_given_keys", {})
    monkeypatch.setenv("MLFOUNDRY_API_KEY", server.key("ann"))
    client = mlfoundry.get_client(server.address)
    with run_of(client) as run:
        pickled = pickle.dumps(client.get_run(run.run_id))
    assert server.key("ann").encode() not in pickled
    monkeypatch.setenv("MLFOUNDRY_API_KEY", server.key("bob"))
    assert pickle.loads(pickled).client.settings.api_key == server.key("bob")
    monkeypatch.delenv("MLFOUNDRY_API_KEY")
    with pytest.raises(NotAuthenticated, match="there is no API key"):
        pickle.loads(pickled)
    client.close()
