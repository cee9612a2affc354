"""``%mlfoundry_login`` in a real kernel: the key is asked for, and is found nowhere afterwards."""

from __future__ import annotations

import json
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.notebooks.kernel import LIMIT_S, Kernel
from tests.servers import Servers, TeamServer, on_sqlite


@pytest.fixture
def server(servers: Servers, tmp_path: Path) -> Iterator[TeamServer]:
    made = on_sqlite(servers, tmp_path / "server")
    yield made
    made.close()


@pytest.fixture(scope="module")
def kernel(tmp_path_factory) -> Iterator[Kernel]:
    started = Kernel(tmp_path_factory.mktemp("kernel"))
    yield started
    started.close()


def _cell(kernel: Kernel, code: str, typed: str | None = None) -> tuple[dict, dict | None]:
    """Execute a cell in a front end where somebody types; return its reply and how the kernel asked."""
    asked = None

    def answer(message: dict) -> None:
        nonlocal asked
        asked = message["content"]
        kernel.client.input(typed)

    shown: list[str] = []

    def output(message: dict) -> None:
        content = message["content"]
        shown.append(content.get("text") or content.get("data", {}).get("text/plain") or content.get("evalue") or "")

    reply = kernel.client.execute_interactive(
        code, allow_stdin=typed is not None, stdin_hook=answer, output_hook=output, timeout=LIMIT_S, store_history=True
    )
    return {**reply["content"], "shown": "\n".join(filter(None, shown))}, asked


def test_the_key_is_typed_into_a_hidden_field_and_found_nowhere_afterwards(kernel: Kernel, server: TeamServer) -> None:
    key = server.key("ann")
    reply, asked = _cell(kernel, f"%mlfoundry_login {server.address}", key)
    assert asked is not None
    assert asked["password"] is True
    assert f"logged in to {server.address} as ann, an admin of the server; runs go there from now on" in reply["shown"]
    run = """%%mlfoundry_run iris --name from-the-server
run.log_metrics({"loss": 1.0})"""
    reply, _ = _cell(kernel, run)
    assert reply["status"] == "ok", reply
    reply, _ = _cell(kernel, "print(run.client.backend.uri, run.status, run.get_facts().keys())")
    assert f"{server.address} FINISHED" in reply["shown"]
    kept = kernel.folder / "store" / "credentials.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert json.loads(kept.read_text())["hosts"][server.address]["api_key"] == key
    reply, _ = _cell(kernel, "%history -n\nIn, Out, get_ipython().user_ns.keys()")
    assert key not in str(reply)
    _cell(kernel, "get_ipython().history_manager.writeout_cache()")
    holders = [path for path in kernel.folder.rglob("*") if path.is_file() and key.encode() in path.read_bytes()]
    assert holders == [kept]
    (history,) = kernel.folder.rglob("history.sqlite")
    with sqlite3.connect(f"file:{history}?mode=ro", uri=True) as known:
        lines = [line for (line,) in known.execute("SELECT source FROM history")]
    known.close()
    assert any("mlfoundry_login" in line for line in lines)
    assert not [line for line in lines if "mlf_" in line]


def test_a_key_in_the_cell_is_refused_and_not_used(kernel: Kernel, server: TeamServer) -> None:
    key = server.key("ann")
    for line in (f"%mlfoundry_login {key}", f"%mlfoundry_login {server.address} --key={key}"):
        reply, asked = _cell(kernel, line, "")
        assert "takes no key: it asks for it" in reply["shown"]
        assert "revoke it" in reply["shown"]
        assert key not in reply["shown"]
        assert asked is None


def test_a_key_that_is_no_key_leaves_the_earlier_login(kernel: Kernel, server: TeamServer) -> None:
    reply, _ = _cell(kernel, f"%mlfoundry_login {server.address}", "hunter2")
    assert "this is no API key" in reply["shown"]
    assert "hunter2" not in reply["shown"]
    reply, _ = _cell(kernel, f"%mlfoundry_login {server.address}", "")
    assert "no key was given; nothing is kept" in reply["shown"]
    kept = kernel.folder / "store" / "credentials.json"
    assert not kept.exists() or server.address not in json.loads(kept.read_text())["hosts"]


def test_where_nobody_can_be_asked_it_says_what_to_do(kernel: Kernel, server: TeamServer) -> None:
    reply, _ = _cell(kernel, f"%mlfoundry_login {server.address}")
    assert "nobody can be asked for the key here; set MLFOUNDRY_API_KEY" in reply["shown"]


def test_a_key_that_stands_in_a_recorded_cell_is_masked() -> None:
    from mlfoundry.tracking.accounts import new_key
    from mlfoundry_jupyter.masking import MASK, masked

    key = new_key()
    source, count = masked(f"print('{key}')  # {key}")
    assert source == f"print('{MASK}')  # {MASK}"
    assert count == 2


def test_a_way_that_others_can_read_is_warned_about_before_the_key_is_asked_for(kernel: Kernel) -> None:
    reply, asked = _cell(kernel, "%mlfoundry_login http://mlfoundry.invalid", "mlf_x")
    assert asked is not None
    assert "http://mlfoundry.invalid is not encrypted" in reply["shown"]
    assert "cannot be reached" in reply["shown"]
