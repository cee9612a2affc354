"""The server as it is run: how it begins, stops, logs and counts, alone and with several workers."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import requests
from click.testing import CliRunner, Result

import mlfoundry
from mlfoundry.cli import main
from mlfoundry.errors import BackendUnavailable
from mlfoundry.records import RunKey, SeriesQuery
from mlfoundry.tracking.http import HttpBackend
from tests.server.processes import LIMIT_S, ServerProcess, environment, wait_for
from tests.server.scene import batch, batch_bytes, new_run

Begin = Callable[..., ServerProcess]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """``begin(database, "--workers", "2")`` is a running server; it is stopped after the test."""
    made: list[ServerProcess] = []

    def start(database: str | None = None, *words: str, **more: str) -> ServerProcess:
        folder = tmp_path / f"server-{len(made)}"
        folder.mkdir()
        artifacts = ("--artifacts", str(tmp_path / "artifacts"))
        made.append(ServerProcess(database or str(tmp_path / "runs.db"), *artifacts, *words, folder=folder, **more))
        return made[-1].ready()

    yield start
    for each in made:
        each.close()


@pytest.fixture
def cli(home: Path) -> Callable[..., Result]:
    """``cli("server", …)`` is a command that ends by itself, and therefore needs no process of its own."""

    def call(*words: str, code: int = 0, **more: str) -> Result:
        result = CliRunner().invoke(main, words, env=more)
        assert result.exit_code == code, result.output
        return result

    return call


@pytest.fixture
def admin(cli, tmp_path: Path) -> Callable[..., str]:
    """``admin(database)`` makes an admin by the command line and returns the key."""

    def make(database: str | None = None, name: str = "ann") -> str:
        place = database or str(tmp_path / "runs.db")
        made = cli("server", "create-admin", name, "--new", "--json", MLFOUNDRY_SERVER_DATABASE=place)
        key: str = json.loads(made.stdout)["api_key"]
        return key

    return make


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_answer_on_a_kept_alive_connection_is_not_held_back(begin: Begin, workers: str) -> None:
    server = begin(None, "--workers", workers)
    took_s = []
    with requests.Session() as session:
        for _ in range(60):
            began = time.perf_counter()
            session.get(f"{server.address}/healthz", timeout=LIMIT_S)
            took_s.append(time.perf_counter() - began)
    # A connection begins with quick acknowledgements, which hide it; and a busy machine delays some, but not all.
    assert min(took_s[-30:]) < 0.03, "Nagle's algorithm costs every request 40 ms"


# -- beginning -----------------------------------------------------------------------------------


def test_it_says_where_it_listens_and_what_to_do_next(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from mlfoundry.cli import main; main()", "server", "--port", "0"]
    command += ["--database", str(tmp_path / "runs.db")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout is not None
        lines = []
        while not lines or "Ctrl-C" not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], lines
        shown = "".join(lines)
        address = re.search(r"listens at (http://127\.0\.0\.1:\d+)", shown)
        assert address is not None
        assert requests.get(f"{address[1]}/readyz", timeout=LIMIT_S).status_code == 200
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=LIMIT_S)
    assert f"SQLite 3.{shown.split('SQLite 3.')[1].split(',')[0]}, {tmp_path / 'runs.db'}" in shown
    assert "mlfoundry server create-admin NAME" in shown
    assert f"mlfoundry login {address[1]}" in shown
    assert "Stopped" in rest
    assert process.returncode == 0


def test_there_is_no_account_before_one_is_made(begin: Begin, admin: Callable[..., str]) -> None:
    server = begin()
    assert server.told["has_admin"] is False
    assert server.get("/api/v1/users").status_code == 401
    key = admin()
    assert server.get("/api/v1/users", key).json()["users"][0]["user"] == "ann"
    assert begin().told["has_admin"] is True


def test_several_servers_begin_at_once_on_an_empty_postgresql(schema: str, tmp_path: Path, scale) -> None:
    servers: list[ServerProcess] = []
    failed: list[BaseException] = []

    def start(number: int) -> None:
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            servers.append(ServerProcess(schema, "--artifacts", str(tmp_path / "files"), folder=folder))
        except BaseException as error:  # so that the test, and not a thread, fails
            failed.append(error)

    threads = [threading.Thread(target=start, args=(number,)) for number in range(scale(8, 3))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    try:
        assert not failed
        assert len(servers) == len(threads)
        for server in servers:
            server.ready()
        with psycopg.connect(schema) as connection:
            assert len(connection.execute("SELECT version FROM schema_version").fetchall()) == 1
    finally:
        for server in servers:
            server.close()


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--database", "mysql://me:secret@db/x"), 1, "database is 'mysql://…'; give postgresql://"),
        (("--database", "{folder}"), 1, "is a folder; give the file"),
        (("--database", "postgresql://me:secret@127.0.0.1:1/x", "--artifacts", "{folder}"), 5, "cannot be used now"),
        (("--database", "postgresql://db/x"), 2, "Give --artifacts or MLFOUNDRY_SERVER_ARTIFACTS"),
        ((), 2, "Give --database or MLFOUNDRY_SERVER_DATABASE"),
        (("--database", "{folder}/a.db", "--host", "0.0.0.0"), 1, "give the names that they use, like --hosts"),
        (("--database", "{folder}/a.db", "--host", "192.0.2.1", "--hosts", "x"), 1, "cannot listen at 192.0.2.1"),
        (("--database", "{folder}/a.db", "--artifacts", "gs://bucket"), 1, "artifacts is 'gs://…'; give a folder"),
    ],
)
def test_what_it_cannot_begin_with_is_said(cli, tmp_path: Path, words: tuple[str, ...], code: int, told: str) -> None:
    done = cli("server", *(word.format(folder=tmp_path) for word in words), code=code)
    assert told in " ".join(done.stderr.split())
    assert "secret" not in done.stdout + done.stderr.replace("list of processes", "")


def test_a_port_that_is_taken_is_said(cli, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = cli("server", "--database", str(tmp_path / "b.db"), "--port", port, code=1)
    assert f"cannot listen at 127.0.0.1 port {port} (Address already in use)" in done.stderr


def test_a_password_on_the_command_line_is_warned_about(cli) -> None:
    database = "postgresql://me:secret@127.0.0.1:1/x"
    warned = cli("server", "create-admin", "ann", "--database", database, code=5)
    assert "use MLFOUNDRY_SERVER_DATABASE" in warned.stderr
    assert "secret" not in warned.stderr
    quiet = cli("server", "create-admin", "ann", code=5, MLFOUNDRY_SERVER_DATABASE=database)
    assert "MLFOUNDRY_SERVER_DATABASE" not in quiet.stderr


def test_a_file_that_is_not_there_is_taken_for_a_slip_of_the_hand(cli, tmp_path: Path) -> None:
    typo = tmp_path / "rnus.db"
    done = cli("server", "create-admin", "ann", "--database", str(typo), code=1)
    assert f"no server has kept anything in {typo} so far. Is the place right?" in done.stderr
    assert not typo.exists()
    cli("server", "create-admin", "ann", "--new", "--database", str(typo))
    assert typo.exists()


def test_a_proxy_that_is_none_is_said_before_anything_begins(cli, tmp_path: Path) -> None:
    done = cli("server", "--database", str(tmp_path / "runs.db"), "--proxies", "nginx,10.0.0.0/8", code=1)
    assert "--proxies holds 'nginx', which is no address and no network" in done.stderr
    assert not (tmp_path / "runs.db").exists()


def test_a_second_user_of_one_name_is_refused(admin, cli, tmp_path: Path) -> None:
    admin()
    done = cli("server", "create-admin", "ann", "--database", str(tmp_path / "runs.db"), code=1)
    assert "there is a user 'ann' already" in done.stderr


# -- names ---------------------------------------------------------------------------------------


def test_a_request_for_another_name_is_refused(begin: Begin) -> None:
    server = begin(None, "--hosts", "runs.example.org,*.lab.example")
    for name in ("runs.example.org", "RUNS.example.org:443", "a.lab.example", "localhost", "127.0.0.1:80", "[::1]:80"):
        assert server.get("/healthz", headers={"Host": name}).status_code == 200, name
    for name in ("evil.example", "lab.example", "runs.example.org.evil.example", "", "127.0.0.2"):
        refused = server.get("/healthz", headers={"Host": name})
        assert refused.status_code == 421, name
        assert refused.json()["error"]["code"] == "UnknownHost"


# -- stopping ------------------------------------------------------------------------------------


@pytest.fixture
def held_up(schema: str) -> Iterator[Callable[[RunKey], psycopg.Connection]]:
    """``held_up(run)`` locks a run's row, so that whoever writes to it waits until the connection is closed."""
    connection = psycopg.connect(schema)

    def lock(run: RunKey) -> psycopg.Connection:
        connection.execute("SELECT 1 FROM run WHERE run_id = %s FOR UPDATE", (bytes.fromhex(run.run_id),))
        return connection

    yield lock
    connection.close()


def _waiting_statements(schema: str) -> int:
    with psycopg.connect(schema) as connection:
        row = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize(("workers", "number"), [(2, signal.SIGTERM), (1, signal.SIGINT)])
def test_a_stop_answers_what_is_open_and_takes_nothing_new(
    begin: Begin, admin, schema: str, held_up, workers: int, number: int
) -> None:
    server = begin(schema, "--workers", str(workers))
    backend = HttpBackend(server.address, admin(schema))
    run = backend.create_run(new_run("iris")).key
    lock = held_up(run)
    answers = []
    sender = threading.Thread(target=lambda: answers.append(backend.ingest(batch(run, 7))))
    sender.start()
    wait_for(lambda: _waiting_statements(schema) == 1)
    server.process.send_signal(number)
    wait_for(lambda: any(line["message"] == "Shutting down" for line in server.log))
    wait_for(lambda: not _takes_connections(server))
    assert not answers
    lock.close()
    sender.join(LIMIT_S)
    assert answers[0].acked == 3
    assert server.process.wait(LIMIT_S) == 0
    backend.close()


def _takes_connections(server: ServerProcess) -> bool:
    try:
        server.get("/healthz")
    except requests.ConnectionError:
        return False
    return True


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_not_answered_in_time_is_broken_off_and_never_half_done(
    begin: Begin, admin, schema: str, held_up, workers: int
) -> None:
    key, words = admin(schema), ("--stop-timeout", "1", "--workers", str(workers))
    server = begin(schema, *words)
    backend = HttpBackend(server.address, key)
    run = backend.create_run(new_run("iris")).key
    lock = held_up(run)
    failed: list[Exception] = []

    def send() -> None:
        try:
            backend.ingest(batch(run, 7))
        except mlfoundry.MlfoundryError as error:
            failed.append(error)

    sender = threading.Thread(target=send)
    sender.start()
    wait_for(lambda: _waiting_statements(schema) == 1)
    server.process.send_signal(signal.SIGTERM)
    sender.join(LIMIT_S)
    assert [isinstance(error, BackendUnavailable) for error in failed] == [True]
    assert server.process.wait(LIMIT_S) == 0  # though its statement still waits
    lock.close()
    again = HttpBackend(begin(schema).address, key)
    held = again.acked(run, 7)
    assert held in (0, 3)
    assert again.ingest(batch(run, 7)).acked == 3
    assert again.read_series(SeriesQuery(run, ("loss",)))[0].values.tolist() == [0.0, 1.0, 2.0]
    backend.close()
    again.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_servers_that_stop_again_and_again_lose_and_double_nothing(
    begin: Begin, admin, schema: str, tmp_path: Path, scale, number: int, monkeypatch
) -> None:
    monkeypatch.setenv("MLFOUNDRY_SYSTEM_METRICS", "0")
    monkeypatch.setenv("MLFOUNDRY_CAPTURE", "0")
    key = admin(schema)
    server = begin(schema, "--workers", "2")
    port = server.address.rpartition(":")[2]
    client = mlfoundry.get_client(server.address, api_key=key, home=tmp_path / "home", end_timeout_s=60)
    with client.create_run("iris", "long") as logged:
        for number_of_stop in range(scale(10, 1)):
            for step in range(200):
                logged.log_metrics({"loss": float(step)}, step=number_of_stop * 200 + step)
            logged.flush(0.0)
            server.stop(number)
            for each in server.workers() if server.process.poll() is None else ():
                os.kill(each, signal.SIGKILL)
            wait_for(lambda server=server: not _takes_connections(server))
            server = begin(schema, "--workers", "2", "--port", port)
        count = 200 * scale(10, 1)
    loss = client.get_run(logged.run_id).get_metrics("loss")["loss"]
    assert loss.steps.tolist() == list(range(count))
    assert client.get_run(logged.run_id).status is mlfoundry.RunStatus.FINISHED
    client.close()


def test_workers_stop_when_the_first_process_is_killed(begin: Begin) -> None:
    server = begin(None, "--workers", "2")
    workers = server.workers()
    assert len(workers) == 2
    server.process.kill()
    server.process.wait(LIMIT_S)
    wait_for(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    assert not _takes_connections(server)


def test_a_worker_that_dies_is_replaced(begin: Begin, admin) -> None:
    server = begin(None, "--workers", "2")
    first = server.workers()
    os.kill(first[0], signal.SIGKILL)
    wait_for(lambda: len(server.workers()) == 2 and first[0] not in server.workers())
    for _ in range(10):
        assert server.get("/readyz").status_code == 200
    key = admin()
    wait_for(lambda: _counted(server, key, "mlfoundry_workers") == 2)


# -- counting ------------------------------------------------------------------------------------


def _counted(server: ServerProcess, key: str, name: str) -> float:
    text = server.get("/metrics", key).text
    values = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(name)]
    return sum(map(float, values))


def _workers_heard(server: ServerProcess) -> int:
    """Ask once more, over a connection of its own; return how many workers have answered so far."""
    server.get("/api/v1/whoami")
    return len({line["process"] for line in server.log if line["message"] == "request"})


def test_the_counters_are_those_of_all_workers_whichever_is_asked(begin: Begin, admin) -> None:
    workers = 2
    server = begin(None, "--workers", str(workers))
    key = admin()
    backend = HttpBackend(server.address, key)
    run = backend.create_run(new_run("iris")).key
    wait_for(lambda: _workers_heard(server) == workers)
    for number in range(30):
        requests.post(  # each over a connection of its own, so that all workers get some
            f"{server.address}/api/v1/projects/{run.project_id}/runs/{run.run_id}/journals/{number + 1}",
            data=batch_bytes(run, number + 1),
            headers={"Authorization": f"Bearer {key}"},
            timeout=LIMIT_S,
        ).raise_for_status()
    for _ in range(6):
        assert _counted(server, key, "mlfoundry_ingested_batches_total") == 30
        assert _counted(server, key, "mlfoundry_ingested_bytes_total") == 30 * 3 * 32
        assert _counted(server, key, "mlfoundry_workers") == workers
    route = 'mlfoundry_requests_total{method="POST",route="/api/v1/runs",status="200"}'
    assert _counted(server, key, route) == 1
    backend.close()


def test_nobody_makes_the_counters_grow_without_end(begin: Begin, admin) -> None:
    server, key = begin(), admin()
    before = server.get("/metrics", key).text.count("\n")
    seldom = (
        "COPY",
        "LOCK",
        "MKCOL",
        "MOVE",
        "PROPFIND",
        "PURGE",
        "REPORT",
        "UNLOCK",
    )  # others are no HTTP to a server
    for number in range(32):
        requests.request(seldom[number % 8], f"{server.address}/x{number}?{number}", timeout=LIMIT_S)
    after = server.get("/metrics", key).text
    assert after.count("\n") - before < 100
    assert "x3" not in after
    assert not any(method in after for method in seldom)
    assert 'method="other"' in after


# -- logging -------------------------------------------------------------------------------------


def test_the_log_is_json_and_holds_no_secret(begin: Begin, admin) -> None:
    server, key = begin(), admin()
    server.get("/api/v1/keys?user=hidden-in-a-query", key)
    server.get("/api/v1/runs/hidden-in-a-path", key)
    server.get("/api/v1/whoami", key[:-1] + ("0" if key[-1] != "0" else "1"))
    body = {"user": "bob", "hidden-in-a-body": 1}
    requests.post(f"{server.address}/api/v1/users?token={key}", json=body, headers={"Authorization": f"Bearer {key}"},
                  timeout=LIMIT_S)  # fmt: skip
    made = requests.post(f"{server.address}/api/v1/keys", json={}, headers={"Authorization": f"Bearer {key}"},
                         timeout=LIMIT_S).json()  # fmt: skip
    assert server.stop() == 0
    lines = server.log
    asked = [line for line in lines if line["message"] == "request"]
    assert [(line["path"], line["status"], line["user"]) for line in asked] == [
        ("/api/v1/keys", 404, "ann"),
        ("/api/v1/runs/{run_id}", 404, "ann"),
        ("/api/v1/whoami", 401, None),
        ("/api/v1/users", 400, "ann"),
        ("/api/v1/keys", 201, "ann"),
    ]
    assert all(len(line["request_id"]) == 16 and line["took_ms"] > 0 for line in asked)
    text = server.log_text()
    for secret in (key, key[:20], made["key"], "hidden-in", "token="):
        assert secret not in text
    assert {line["level"] for line in lines} == {"info"}


def test_the_log_level_is_heeded(begin: Begin) -> None:
    server = begin(None, "--log-level", "warning")
    server.get("/api/v1/whoami")
    assert server.stop() == 0
    assert server.log_text() == ""


@pytest.mark.parametrize(("words", "client"), [((), "127.0.0.1"), (("--proxies", "127.0.0.1"), "192.0.2.7")])
def test_where_a_request_comes_from_is_believed_of_known_proxies_alone(begin: Begin, words, client: str) -> None:
    server = begin(None, *words)
    server.get("/api/v1/whoami", headers={"X-Forwarded-For": "192.0.2.7"})
    wait_for(lambda: [line["client"] for line in server.log if line["message"] == "request"] == [client])
