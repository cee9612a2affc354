"""``mlfoundry ui`` as a person runs it: a process, its link, who gets in, and the links that lead there."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from click.testing import CliRunner

import mlfoundry
from mlfoundry.cli import main
from mlfoundry.tracking.own_address import FILE_NAME, find_address

HTML = {"Accept": "text/html"}
RUN = "from mlfoundry.cli import main; main()"


@dataclass
class Ui:
    """A running ``mlfoundry ui``."""

    process: subprocess.Popen[str]
    address: str
    link: str

    def get(self, path: str, **given) -> requests.Response:
        return requests.get(self.address + path, allow_redirects=False, timeout=60, headers=HTML, **given)


@pytest.fixture
def client(home) -> mlfoundry.Client:
    return mlfoundry.get_client(home, user="ann")


@pytest.fixture
def ui(home: Path, client: mlfoundry.Client) -> Iterator[Ui]:
    with client.create_run("demo", "first", log_system_metrics=False, capture=False) as run:
        run.log_metrics({"loss": 0.5})
    command = [sys.executable, "-c", RUN, "ui", "--no-browser", "--json", "--user", "ann"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    assert process.stdout is not None
    assert process.stderr is not None
    text = ""
    while not text.rstrip().endswith("}"):
        line = process.stdout.readline()
        assert line, process.stderr.read()
        text += line
    told = json.loads(text)
    yield Ui(process, told["address"], told["link"])
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    process.wait(30)
    process.stdout.close()
    process.stderr.close()


def test_the_link_opens_the_store_and_whoever_lacks_it_gets_nothing(
    ui: Ui, client: mlfoundry.Client, home: Path
) -> None:
    run = client.get_run("demo/first")
    pages = ["/", "/p/ann/demo", f"/r/{run.run_id}", "/account", "/dashboard/projects", "/api/v1/projects", "/metrics"]
    for path in pages:
        answer = ui.get(path)
        assert answer.status_code == 401, path
        assert "demo" not in answer.text.replace(path, "")
    for wrong in ("x", "", ui.link.rpartition("=")[2][:-1]):
        assert "Set-Cookie" not in ui.get("/login", params={"token": wrong}).headers
    assert ui.get("/", cookies={"mlfoundry_session": "x"}).status_code == 401

    session = requests.Session()
    answer = session.get(ui.link, timeout=60, headers=HTML)
    assert answer.url == f"{ui.address}/"
    assert "ann/demo" in answer.text
    assert "token" not in answer.text
    runs = session.get(f"{ui.address}/p/ann/demo", timeout=60, headers=HTML).text
    assert "first" in runs
    assert f'"store": "{home}"' in runs  # where a project without runs says that they will be kept
    assert session.get(f"{ui.address}/metrics", timeout=60).status_code == 200

    # It listens on this machine alone, and answers to no other name.
    assert ui.address.startswith("http://127.0.0.1:")
    with pytest.raises(OSError, match=r"refused|unreachable|timed out"):
        socket.create_connection((_other_address(), int(ui.address.rpartition(":")[2])), timeout=5).close()
    assert session.get(ui.address, headers={**HTML, "Host": "rebound.example"}, timeout=60).status_code == 421

    # Links lead there while it runs; they hold no token, and neither does the file that they are known from.
    assert run.dashboard_link == f"{ui.address}/r/{run.run_id}"
    file = home / FILE_NAME
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert ui.link.rpartition("=")[2] not in file.read_text()

    ui.process.send_signal(signal.SIGINT)
    assert ui.process.wait(30) == 0
    assert run.dashboard_link is None


def test_a_run_whose_process_was_killed_is_not_shown_as_running(ui: Ui, client: mlfoundry.Client) -> None:
    code = (
        "import mlfoundry, os, sys; run = mlfoundry.get_client(user='ann').create_run('demo', 'lost', "
        "log_system_metrics=False, capture=False); run.log_metrics({'loss': 1}); run.flush(); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == -9
    session = requests.Session()
    session.get(ui.link, timeout=60)
    deadline = time.monotonic() + 60
    while "killed" not in (text := session.get(f"{ui.address}/p/ann/demo", timeout=60, headers=HTML).text):
        assert time.monotonic() < deadline, text
        time.sleep(0.2)


def test_a_port_that_is_taken_is_said_and_another_is_found_unasked(home: Path, client: mlfoundry.Client) -> None:
    client.backend.make()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = CliRunner().invoke(main, ["ui", "--no-browser", "--port", str(port)])
    assert done.exit_code == 1
    assert f"port {port} is taken" in done.output
    assert "give another --port" in done.output
    from mlfoundry.server import own

    with own.bind(None) as one, own.bind(None) as other:
        assert one.getsockname()[1] != other.getsockname()[1]


def test_a_server_has_a_dashboard_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFOUNDRY_API_KEY", "mlf_" + "a" * 32 + "00000000")
    done = CliRunner().invoke(main, ["ui", "--uri", "https://tracking.example", "--no-browser"])
    assert done.exit_code == 1
    assert "https://tracking.example is a server with a dashboard of its own" in done.output


@pytest.mark.parametrize("text", ["", "{", "[]", '{"address": "https://evil.example"}', '{"address": 5}', '{"a": 1}'])
def test_an_address_that_is_none_of_ours_is_not_taken_from_the_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / FILE_NAME
    path.write_text(text)
    assert find_address(tmp_path) is None  # nobody holds it
    with path.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert find_address(tmp_path) is None
    path.unlink()
    (tmp_path / "elsewhere").write_text('{"address": "http://127.0.0.1:1"}')
    path.symlink_to(tmp_path / "elsewhere")
    assert find_address(tmp_path) is None


def _other_address() -> str:
    """An address of this machine beside loopback; one that nobody has where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.2"
        return str(probe.getsockname()[0])


def test_it_asks_for_its_link_and_for_no_api_key(ui: Ui) -> None:
    for headers in ({}, {"Authorization": "Bearer mlf_x"}, {"Authorization": "Basic eDp5"}):
        answer = requests.get(f"{ui.address}/api/v1/projects", headers=headers, timeout=60)
        assert answer.status_code == 401
        assert answer.json()["error"]["message"].endswith("open the link that mlfoundry ui printed")


def test_it_has_the_bounds_of_a_server(ui: Ui) -> None:
    place = urlsplit(ui.address)
    with socket.create_connection((place.hostname or "", place.port or 0), timeout=60) as peer:
        peer.sendall(b"nonsense\r\n\r\n")
        assert b'"this is no HTTP/1.1' in peer.recv(4096)
