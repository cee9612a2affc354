"""docs/server.md is true: its commands, its proxy and its backup, with the programs that it names."""

from __future__ import annotations

import configparser
import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import pytest
import requests
from click.testing import CliRunner

import mlfoundry
from mlfoundry.cli import main
from mlfoundry.records import RunStatus
from mlfoundry.tracking.accounts import AccountService
from tests.postgres import free_port, program
from tests.server.processes import LIMIT_S, ServerProcess, wait_for
from tests.servers import TeamServer

PAGE = (Path(__file__).parents[2] / "docs" / "server.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)


def blocks(language: str, word: str = "") -> list[str]:
    """Return the blocks of a language that hold a word."""
    return [text for kind, text in BLOCKS if kind == language and word in text]


# -- what it names is there ----------------------------------------------------------------------


def named_commands() -> list[str]:
    found = re.findall(r"`(mlfoundry [^`\n]+)`", PAGE)
    lines = [line for text in blocks("sh") for line in text.splitlines()]
    found += [line[line.index("mlfoundry ") :] for line in lines if re.search(r"(^|/bin/)mlfoundry ", line)]
    unit = configparser.ConfigParser(strict=False)
    unit.read_string(blocks("ini", "[Service]")[0])
    found.append(unit["Service"]["ExecStart"].rpartition("/")[2])
    return sorted(
        {command[command.rindex("mlfoundry ", 0, 60) :] if "/bin/" in command else command for command in found}
    )


@pytest.mark.parametrize("text", named_commands())
def test_every_command_that_it_names_is_one(text: str) -> None:
    words = shlex.split(text)[1:]
    command: click.Command = main
    for word in words:
        if word.startswith("-"):
            assert word in [option for param in command.params for option in param.opts], text
        elif isinstance(command, click.Group) and word in command.commands:
            command = command.commands[word]
    assert command is not main


def test_the_metrics_that_it_names_are_those_that_there_are(server: TeamServer) -> None:
    key = server.key("prometheus")
    text = requests.get(f"{server.address}/metrics", headers={"Authorization": f"Bearer {key}"}, timeout=30).text
    there = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    there = {name for name in there if not name.endswith("_created")}
    named = set(re.findall(r"`(mlfoundry_[a-z_]+)`", PAGE)) - {"mlfoundry_jupyter"}
    assert named == there


def test_any_user_may_read_the_metrics_and_nobody_else(server: TeamServer) -> None:
    accounts = AccountService(server.database)
    root = accounts.authenticate(server.key("root"))
    accounts.create_user(root, "prometheus")
    key, _ = accounts.create_key(root, "prometheus")
    assert requests.get(f"{server.address}/metrics", timeout=30).status_code == 401
    answer = requests.get(f"{server.address}/metrics", headers={"Authorization": f"Bearer {key}"}, timeout=30)
    assert answer.status_code == 200
    assert "prometheus" not in answer.text


# -- PostgreSQL, backup and restore --------------------------------------------------------------


@pytest.fixture
def machine(tmp_path: Path, postgres_uri: str) -> Iterator[Any]:
    """A machine as the page supposes it: ``machine(block)`` executes a block of commands on it."""
    name = f"team_{secrets.token_hex(6)}"
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("createuser", "createdb", "pg_dump", "pg_restore", "psql", "dropdb", "dropuser"):
        (tools / tool).symlink_to(program(tool))
    sudo = tools / "sudo"
    sudo.write_text('#!/bin/sh\n[ "$1" = -u ] && shift 2\nexec "$@"\n')
    sudo.chmod(0o755)
    parts = urlsplit(postgres_uri)
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}
    environment |= {"PGHOST": str(parts.hostname), "PGPORT": str(parts.port), "PGUSER": str(parts.username)}

    def execute(block: str) -> None:
        text = re.sub(r"(?<=[ =])mlfoundry(?=[ \n])", name, block).replace("/var/lib/mlfoundry", str(tmp_path / "lib"))
        subprocess.run(["/bin/sh", "-euc", text], check=True, env=environment, cwd=tmp_path, timeout=LIMIT_S)

    execute.database = f"postgresql://{name}@{parts.hostname}:{parts.port}/{name}"  # type: ignore[attr-defined]
    execute.folder = tmp_path / "lib"  # type: ignore[attr-defined]
    yield execute
    execute("dropdb --if-exists --force mlfoundry \ndropuser --if-exists mlfoundry \n")


def test_the_database_is_made_backed_up_and_restored_as_it_says(machine: Any, tmp_path: Path) -> None:
    (createdb,) = blocks("sh", "createuser")
    (dump,) = blocks("sh", "pg_dump")
    (restore,) = blocks("sh", "pg_restore")
    machine.folder.mkdir()
    artifacts = ("--artifacts", str(machine.folder / "artifacts"))
    machine(createdb)
    environment = {"MLFOUNDRY_SERVER_DATABASE": machine.database}
    made = CliRunner().invoke(main, ["server", "create-admin", "ann", "--json"], env=environment)
    key = json.loads(made.stdout)["api_key"]
    server = ServerProcess(machine.database, *artifacts, folder=tmp_path).ready()
    try:
        client = mlfoundry.get_client(server.address, api_key=key, home=tmp_path / "home")
        with client.create_run("iris", "kept", log_system_metrics=False, capture=False) as run:
            run.log_metrics({"loss": 0.25})
            run.log_text("weights", "model.txt")
        machine(dump)  # while the server runs
        client.close()
    finally:
        server.close()
    machine("dropdb mlfoundry \n")
    shutil.rmtree(machine.folder / "artifacts")
    machine(restore)
    server = ServerProcess(machine.database, *artifacts, folder=tmp_path).ready()
    try:
        client = mlfoundry.get_client(server.address, api_key=key, home=tmp_path / "home")
        kept = client.get_run("iris/kept")
        assert kept.get_metrics("loss")["loss"].values.tolist() == [0.25]
        (path,) = [client.backend.open_artifact(kept.record.key, "model.txt")]
        with path:
            assert path.read() == b"weights"
        with client.create_run("iris", "kept", log_system_metrics=False, capture=False) as more:
            more.log_metrics({"loss": 0.5})
        assert more.run_name == "kept-2"
        client.close()
    finally:
        server.close()


# -- nginx ---------------------------------------------------------------------------------------


class Nginx:
    """A real nginx with the page's configuration, in front of some servers; names, ports and places are the test's."""

    def __init__(self, folder: Path, ports: list[str]) -> None:
        self._folder = folder
        self.port = free_port()
        self.certificate = folder / "cert.pem"
        words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost "
        words += f"-addext subjectAltName=DNS:localhost -keyout {folder / 'key.pem'} -out {self.certificate}"
        subprocess.run(["openssl", *words.split()], check=True, capture_output=True)
        (folder / "nginx.conf").write_text(self._configuration(ports))
        found = shutil.which("nginx") or "/usr/sbin/nginx"
        command = [found, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE)

    def _configuration(self, ports: list[str]) -> str:
        site, *_ = blocks("nginx", "listen 443")
        (another,) = blocks("nginx", "127.0.0.1:8091")
        lines = "".join(another.replace("8091", port) for port in ports[1:])
        site = site.replace("    server 127.0.0.1:8090;\n", f"    server 127.0.0.1:{ports[0]};\n{lines}")
        site = site.replace("listen 443 ssl", f"listen 127.0.0.1:{self.port} ssl").replace(
            "server_name runs.example.org", "server_name localhost"
        )
        site = re.sub(r"/etc/ssl/certs/\S+;", f"{self.certificate};", site)
        site = re.sub(r"/etc/ssl/private/\S+;", f"{self._folder / 'key.pem'};", site)
        user = "user root;" if os.getuid() == 0 else ""
        places = "".join(
            f"{kind}_temp_path {self._folder / kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        return (
            f"{user} daemon off; worker_processes 1; pid {self._folder / 'pid'}; "
            f"events {{}} http {{ access_log off; {places}\n{site}\n}}"
        )

    @property
    def address(self) -> str:
        return f"https://localhost:{self.port}"

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(LIMIT_S)
        assert self.process.stderr is not None
        self.process.stderr.close()


@pytest.fixture
def behind_nginx(tmp_path: Path, schema: str, monkeypatch) -> Iterator[tuple[Nginx, list[ServerProcess]]]:
    """nginx and two servers on one PostgreSQL."""
    servers = []
    for number in range(2):
        folder = tmp_path / f"server-{number}"
        folder.mkdir()
        words = ("--artifacts", str(tmp_path / "artifacts"), "--hosts", "localhost", "--proxies", "127.0.0.1")
        servers.append(ServerProcess(schema, *words, folder=folder))
    proxy = Nginx(tmp_path, [server.address.rpartition(":")[2] for server in servers])
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(proxy.certificate))
    try:
        wait_for(lambda: requests.get(f"{proxy.address}/readyz", timeout=LIMIT_S).status_code == 200)
        yield proxy, servers
    finally:
        proxy.close()
        for server in servers:
            server.close()


def _key_of(schema: str, user: str = "ann") -> str:
    made = CliRunner().invoke(
        main, ["server", "create-admin", user, "--json"], env={"MLFOUNDRY_SERVER_DATABASE": schema}
    )
    key: str = json.loads(made.stdout)["api_key"]
    return key


def test_behind_nginx_people_log_in_log_and_notice_no_server_that_stops(
    behind_nginx: tuple[Nginx, list[ServerProcess]], schema: str, tmp_path: Path
) -> None:
    proxy, servers = behind_nginx
    logged_in = CliRunner().invoke(main, ["login", proxy.address], input=_key_of(schema))
    assert logged_in.exit_code == 0, logged_in.output
    assert "not encrypted" not in logged_in.output
    client = mlfoundry.get_client(end_timeout_s=LIMIT_S)
    large = tmp_path / "large.bin"
    large.write_bytes(secrets.token_bytes(20 * 1024 * 1024))  # several parts
    with client.create_run("iris", "svm", log_system_metrics=False, capture=False) as run:
        for step in range(500):
            run.log_metrics({"loss": 1 / (1 + step)}, step=step)
        run.log_artifact(large)
        assert run.flush()
        assert servers[0].stop() == 0
        for step in range(500, 1000):
            run.log_metrics({"loss": 1 / (1 + step)}, step=step)
    stored = client.get_run(run.run_id)
    assert stored.status is RunStatus.FINISHED
    assert stored.get_metrics("loss")["loss"].steps.tolist() == list(range(1000))
    stored.download_artifact(dest=tmp_path / "back")
    assert (tmp_path / "back" / "large.bin").read_bytes() == large.read_bytes()
    client.close()


def test_nginx_passes_on_what_matters_and_nothing_that_a_client_claims(
    behind_nginx: tuple[Nginx, list[ServerProcess]], schema: str
) -> None:
    proxy, servers = behind_nginx
    key = {"Authorization": f"Bearer {_key_of(schema)}"}
    claimed = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "http", **key}
    answer = requests.get(f"{proxy.address}/api/v1/whoami", headers=claimed, timeout=30)
    assert answer.json()["user"] == "ann"
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    asked = [line for server in servers for line in server.log if line["message"] == "request"]
    assert {line["client"] for line in asked} == {"127.0.0.1"}
    assert requests.get(f"{proxy.address}/metrics", headers=key, timeout=30).status_code == 403
    assert requests.get(f"{proxy.address}/healthz", headers={"Host": "evil.example"}, timeout=30).status_code == 421
    huge = requests.post(f"{proxy.address}/api/v1/runs", data=b"x" * (18 << 20), headers=key, timeout=30)
    assert huge.status_code == 413
