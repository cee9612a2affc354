"""Exactly once over a bad network: clients in processes of their own, a server and a PostgreSQL that get killed."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator

import pytest

import mlfoundry
from mlfoundry.records import RunStatus
from mlfoundry.store.postgres import PostgresDatabase
from mlfoundry.tracking.accounts import AccountService
from tests.faults import proxy as network
from tests.faults.proxy import Proxy
from tests.postgres import Cluster, free_port

LIMIT_S = 120.0


class Team:
    """A server on a PostgreSQL, with the network in front of it; each part can be killed and started again.

    Attributes:
        cluster: The PostgreSQL.
        proxy: The network.
        keys: A key of each user.
    """

    def __init__(self, start, folder, cluster: Cluster) -> None:
        self.cluster = cluster
        self._start, self._folder = start, folder
        self.port = free_port()
        self.proxy = Proxy(self.port)
        accounts_of = PostgresDatabase(cluster.uri, pool_size=1)
        accounts = AccountService(accounts_of)
        self.keys = {user: accounts.create_first_admin(user) for user in ("ann", "bob")}
        accounts_of.close()
        self.start_server()

    def start_server(self) -> None:
        """Start the server and wait until it listens."""
        self.server = self._start("serves.py", self.cluster.uri, self._folder / "server", self.port)
        assert self.server.line() == "listening"

    def environment(self, name: str, user: str = "ann") -> dict[str, str]:
        """Return what a client's process is given: a home of its own, and the server behind the network."""
        home = self._folder / f"home-{name}"
        home.mkdir(exist_ok=True)
        return {"MLFOUNDRY_HOME": str(home), "MLFOUNDRY_HOST": self.proxy.address, "MLFOUNDRY_API_KEY": self.keys[user]}

    def client(self, user: str = "ann"):
        """Return a client that goes around the network."""
        address = f"http://127.0.0.1:{self.port}"
        return mlfoundry.get_client(address, api_key=self.keys[user], home=self._folder / "home-look")

    def close(self) -> None:
        """End the network."""
        self.proxy.close()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    yield made
    made.remove()


@pytest.fixture
def team(start, tmp_path, cluster) -> Iterator[Team]:
    made = Team(start, tmp_path, cluster)
    yield made
    made.close()


def wait_for(condition: Callable[[], object], limit_s: float = LIMIT_S) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Logger:
    """A process that logs to the team's server."""

    def __init__(self, team: Team, start, name: str, *, user: str = "ann", pause_s: float = 0.002) -> None:
        self.name = name
        self.program = start("logs_over_network.py", name, pause_s, environment=team.environment(name, user))

    def begun(self) -> dict:
        self.started = json.loads(self.program.line(LIMIT_S))
        return self.started

    def how(self) -> dict:
        self.program.say("how")
        return json.loads(self.program.line(LIMIT_S))

    def log_for(self, seconds: float) -> dict:
        self.program.say("go")
        self.program.run_for(seconds)
        return self.how()

    def end(self) -> dict:
        self.program.say("end")
        told = json.loads(self.program.line(LIMIT_S))
        assert self.program.exit_code(LIMIT_S) == 0, self.program.messages()
        return told


def assert_exactly_once(team: Team, logger: Logger, logged: int) -> None:
    """Every point that was accepted is there, once and in order, and the run has ended well."""
    with team.client() as client:
        run = client.get_run(f"ann/p/{logger.name}")
        assert run.status is RunStatus.FINISHED
        series = run.get_metrics("value")["value"]
        assert series.values.tolist() == [float(n) for n in range(logged)]
        assert series.steps.tolist() == list(range(logged))


def test_points_are_stored_once_while_network_server_and_database_fail(team: Team, start, scale) -> None:
    loggers = [Logger(team, start, f"run-{number}") for number in range(2)]
    for logger in loggers:
        logger.begun()
        logger.program.say("go")
    faults = random.Random(1)
    team.proxy.choose = lambda method, path: network.PASS if faults.random() < 0.5 else faults.choice(network.QUICK)
    for round_number in range(scale(200, 4)):
        loggers[0].program.run_for(faults.uniform(0.5, 1.5))
        if round_number % 2:
            team.server.kill()
            team.start_server()
        else:
            team.cluster.kill()
            team.cluster.start()
    assert sum(team.proxy.seen[method, fault] for method, fault in team.proxy.seen if fault != network.PASS) > 4
    team.proxy.heal()
    for logger in loggers:
        told = logger.how()
        assert told["logged"] > 100
        assert logger.end() == {"logged": told["logged"], "took_s": pytest.approx(0, abs=LIMIT_S), "left": 0}
        assert_exactly_once(team, logger, told["logged"])
