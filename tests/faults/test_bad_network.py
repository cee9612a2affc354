"""Exactly once over a bad network: clients in processes of their own, a server and a PostgreSQL that get killed."""

from __future__ import annotations

import json
import random
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise

import psycopg
import pytest

import mlfoundry
from mlfoundry.errors import BackendUnavailable
from mlfoundry.push import Pushed, push
from mlfoundry.records import Permission, RunStatus
from mlfoundry.store.postgres import PostgresDatabase
from mlfoundry.tracking.accounts import AccountService
from mlfoundry.tracking.http import HttpBackend
from tests.contract.conftest import Pen
from tests.faults import proxy as network
from tests.faults.proxy import Proxy
from tests.postgres import Cluster, free_port

LIMIT_S = 120.0


class Team:
    """A server on a PostgreSQL, with the network in front of it; each part can be killed and started again.

    Attributes:
        cluster: The PostgreSQL.
        uri: Where the team's tables are.
        proxy: The network.
        keys: A key of each user.
    """

    def __init__(self, start, folder, cluster: Cluster) -> None:
        self.cluster = cluster
        schema = f"test_{secrets.token_hex(8)}"
        with psycopg.connect(cluster.uri, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {schema}")
        self.uri = f"{cluster.uri}?options=-csearch_path%3D{schema}"
        self._start, self._folder = start, folder
        self.port = free_port()
        self.proxy = Proxy(self.port)
        accounts_of = PostgresDatabase(self.uri, pool_size=1)
        accounts = AccountService(accounts_of)
        self.keys = {user: accounts.create_first_admin(user) for user in ("ann", "bob")}
        accounts_of.close()
        self.start_server()

    def start_server(self) -> None:
        """Start the server and wait until it listens."""
        self.server = self._start("serves.py", self.uri, self._folder / "server", self.port)
        assert self.server.line() == "listening"

    def environment(self, name: str, user: str = "ann") -> dict[str, str]:
        """Return what a client's process is given: a home of its own, and the server behind the network."""
        home = self._folder / f"home-{name}"
        home.mkdir(exist_ok=True)
        settings = {"HOME": str(home), "HOST": self.proxy.address, "API_KEY": self.keys[user], "END_TIMEOUT": "120"}
        return {f"MLFOUNDRY_{name}": value for name, value in settings.items()}

    def client(self, user: str = "ann"):
        """Return a client that goes around the network."""
        address = f"http://127.0.0.1:{self.port}"
        return mlfoundry.get_client(address, api_key=self.keys[user], home=self._folder / "home-look")

    def close(self) -> None:
        """End the network."""
        self.proxy.close()


@pytest.fixture(scope="module")
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

    def __init__(self, team: Team, start, name: str, *, user: str = "ann", pause_s: float = 0.002, **settings) -> None:
        self.name = name
        environment = team.environment(name, user) | {f"MLFOUNDRY_{name}": value for name, value in settings.items()}
        self.program = start("logs_over_network.py", "ann/p", name, pause_s, environment=environment)

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

    def flush(self) -> dict:
        self.program.say("flush")
        return json.loads(self.program.line(LIMIT_S))

    def wait_for(self, state: str, limit_s: float = LIMIT_S) -> dict:
        """Wait until its health says so."""
        deadline = time.monotonic() + limit_s
        while (told := self.how())["state"] != state:
            assert time.monotonic() < deadline, told
            time.sleep(0.05)
        return told

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
        ended = logger.end()
        assert ended["left"] == 0
        assert ended["took_s"] < 30, ended
        assert_exactly_once(team, logger, told["logged"])


def test_a_batch_whose_commit_nobody_heard_of_is_stored_once(team: Team, start, scale) -> None:
    logger = Logger(team, start, "run", pause_s=0.0005)
    logger.begun()
    logger.program.say("go")
    moments, ended = random.Random(2), 0
    with psycopg.connect(team.cluster.uri, autocommit=True) as admin:
        for _ in range(scale(3000, 150)):
            ended += len(
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
                ).fetchall()
            )
            logger.program.run_for(moments.uniform(0.0, 0.05))
    assert ended > scale(30, 2)
    told = logger.how()
    assert logger.end()["left"] == 0
    assert_exactly_once(team, logger, told["logged"])


def test_log_calls_are_as_fast_without_a_server_as_with_one(team: Team, start, scale) -> None:
    logger = Logger(team, start, "run", pause_s=0.001)
    logger.begun()
    logger.log_for(1.0)  # whatever the first calls cost
    times: dict[str, list[dict]] = {"healthy": [], "silent": []}
    for _ in range(scale(20, 2)):
        team.proxy.heal()
        logger.wait_for("ok")
        times["healthy"].append(logger.log_for(1.5))
        team.proxy.fail(network.HOLE)
        times["silent"].append(logger.log_for(1.5))
    best = {state: {part: min(each[part] for each in told) for part in ("p50", "p99")} for state, told in times.items()}
    assert best["silent"]["p50"] <= 2 * best["healthy"]["p50"] + 20e-6, best
    assert best["silent"]["p99"] <= 3 * best["healthy"]["p99"] + 500e-6, best
    team.proxy.heal()
    told = logger.how()
    assert logger.end()["left"] == 0
    assert_exactly_once(team, logger, told["logged"])


OUTAGES = (
    network.HALF_OPEN,
    network.LIMITED,
    network.CAPTIVE_JSON,
    network.RESET,
    network.TRICKLE,
    network.BROKEN,
    network.LIMITED_UNTIL,
    network.CAPTIVE,
    network.MOVED,
    network.HOLE,
    network.CUT_ANSWER,
)


def test_every_outage_is_said_is_not_hammered_and_ends_within_seconds(team: Team, start, scale) -> None:
    logger = Logger(team, start, "run")
    logger.begun()
    for outage in OUTAGES[: scale(len(OUTAGES), 4)]:
        team.proxy.fail(outage)
        told = logger.log_for(2.0)
        requests = list(team.proxy.times)
        if outage in (network.HALF_OPEN, network.HOLE, network.TRICKLE):
            assert told["state"] in ("behind", "offline"), outage  # the first request may still wait for its answer
        else:
            assert told["state"] == "offline", outage
            assert told["message"], outage
        assert len(requests) <= 10, (outage, requests)  # a broken connection is tried twice
        if outage in (network.LIMITED, network.LIMITED_UNTIL):
            gaps = [later - earlier for earlier, later in pairwise(requests)]
            assert all(gap >= network.RETRY_AFTER_S - 0.1 for gap in gaps), gaps
        team.proxy.heal()
        logger.wait_for("ok", 15.0)
    told = logger.how()
    assert logger.end()["left"] == 0
    assert_exactly_once(team, logger, told["logged"])


def test_a_run_that_begins_without_a_server_is_stored_by_its_own_process_later(team: Team, start) -> None:
    team.server.kill()
    logger = Logger(team, start, "run")
    assert logger.begun()["took_s"] < 10
    logger.log_for(0.5)
    logger.wait_for("offline", 15.0)
    team.start_server()
    logger.wait_for("ok", 15.0)
    told = logger.log_for(0.5)
    assert logger.end()["left"] == 0
    assert_exactly_once(team, logger, told["logged"])


DOCTOR = "import sys; from mlfoundry.cli import main; sys.argv[1:] = ['doctor']; main()"
SYNC = "import sys; from mlfoundry.cli import main; sys.argv[1:] = ['sync']; main()"
ANOTHER = """
import mlfoundry
with mlfoundry.get_client().create_run("p", "another") as run:
    pass
"""


@pytest.mark.parametrize("later", [SYNC, ANOTHER], ids=["mlfoundry sync", "the next run"])
def test_a_run_that_lived_without_a_server_is_stored_by_the_next_process(team: Team, start, later: str) -> None:
    team.server.kill()
    logger = Logger(team, start, "run", END_TIMEOUT="0.5")
    assert logger.begun()["took_s"] < 10
    told = logger.log_for(0.5)
    ended = logger.end()
    assert ended["left"] > 0
    assert ended["took_s"] < 5
    assert "stored as soon as" in logger.program.messages()
    team.start_server()
    program = start("-c", later, environment=team.environment("run"))
    assert program.exit_code(LIMIT_S) == 0, program.messages()
    assert_exactly_once(team, logger, told["logged"])


@pytest.mark.parametrize("how", ["demoted", "removed"])
def test_what_is_logged_after_a_right_was_withdrawn_is_kept_and_stored_when_it_comes_back(
    team: Team, start, how: str
) -> None:
    with team.client() as ann:
        ann.create_run("p", "first").end()
        ann.add_collaborator("p", "bob", "WRITE")
        logger = Logger(team, start, "run", user="bob")
        logger.begun()
        logger.log_for(0.5)
        assert logger.flush() == {"stored": True, "state": "ok"}
        if how == "demoted":
            ann.set_permission("p", "bob", "READ")
        else:
            ann.remove_collaborator("p", "bob")
        before = len(ann.get_run("ann/p/run").get_metrics("value")["value"].values)
        told = logger.log_for(1.0)
        assert logger.flush()["stored"] is False
        told = logger.wait_for("refused")
        assert ("needs WRITE" if how == "demoted" else "there is no run") in told["message"]
        assert "Not stored yet" in logger.program.messages()
        assert len(ann.get_run("ann/p/run").get_metrics("value")["value"].values) == before
        doctor = start("-c", DOCTOR, environment=team.environment("run", "bob"))
        said = doctor.rest(LIMIT_S)
        assert ("has no right to log to the run" if how == "demoted" else "has no right to see it") in said
        assert "run: mlfoundry sync" in said
        if how == "demoted":
            ann.set_permission("p", "bob", Permission.WRITE)
        else:
            ann.add_collaborator("p", "bob", Permission.WRITE)
        assert logger.flush() == {"stored": True, "state": "ok"}
        assert "takes it again" in logger.program.messages()
    assert logger.end()["left"] == 0
    assert_exactly_once(team, logger, told["logged"])


def test_a_batch_of_a_broken_off_push_that_arrives_after_the_next_is_stored_once(
    team: Team, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr("mlfoundry.push.project.TRIES", 1)
    monkeypatch.setenv("MLFOUNDRY_SYSTEM_METRICS", "0")

    def push_it() -> Pushed:
        with closing(HttpBackend(team.proxy.address, team.keys["ann"])) as there:
            return push(here.backend, here.get_project("p"), there)

    def fate(method: str, path: str) -> str:
        nonlocal asked
        asked += method == "POST" and "/journals/" in path
        return network.PASS if asked < 2 else network.GHOST if asked == 2 else network.RESET

    team.proxy.delay_s = 1e6  # until it is healed
    with mlfoundry.get_client(tmp_path / "here", user="ann") as here:
        run = here.create_run("p", "pushed")
        run.end()
        push_it()
        late = Pen(here.backend, here.get_run(run.run_id).record.key, secrets.randbits(62))  # of another process
        late.points("value", [float(value) for value in range(1000)]).send()
        asked, team.proxy.choose = 0, fate
        with pytest.raises(BackendUnavailable):
            push_it()
        assert asked >= 2
        team.proxy.choose = lambda method, path: network.PASS
        assert (push_it().runs, team.proxy.seen["POST", network.GHOST]) == (1, 1)
        team.proxy.close()  # once the late batch has arrived
        values = here.get_run(run.run_id).get_metrics("value")["value"].values.tolist()
    assert len(values) == 1000
    with team.client() as client:
        assert client.get_run(run.run_id).get_metrics("value")["value"].values.tolist() == values
