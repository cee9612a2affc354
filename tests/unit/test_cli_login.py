"""``login``, ``logout``, ``whoami``, ``users`` and ``keys``: what they keep, print, change and refuse."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest
from click.testing import CliRunner, Result

import mlfoundry
from mlfoundry import login
from mlfoundry.cli import main
from mlfoundry.tracking.http import HttpBackend
from tests.server.processes import PROGRAM, environment
from tests.servers import Servers, TeamServer, on_sqlite

Cli = Callable[..., Result]


@pytest.fixture
def server(servers: Servers, tmp_path: Path) -> Iterator[TeamServer]:
    made = on_sqlite(servers, tmp_path / "server")
    yield made
    made.close()


@pytest.fixture
def cli(home: Path) -> Cli:
    def call(*words: str, code: int = 0, text: str | None = None, **more: str) -> Result:
        result = CliRunner().invoke(main, words, input=text, env=more)
        assert result.exit_code == code, result.output
        return result

    return call


@pytest.fixture
def ann(server: TeamServer, cli: Cli) -> str:
    """Ann, an admin, is logged in; this is her key."""
    key = server.key("ann")
    cli("login", server.address, text=f"{key}\n")
    return key


def _credentials(home: Path) -> Path:
    return home / "credentials.json"


# -- login ---------------------------------------------------------------------------------------


def test_a_key_from_standard_input_is_checked_kept_and_used(server: TeamServer, cli: Cli, home: Path) -> None:
    told = cli("login", server.address + "/", text=server.key("ann") + "\n")
    assert f"Logged in to {server.address} as ann, an admin of the server." in told.stdout
    assert server.key("ann") not in told.output
    assert stat.S_IMODE(_credentials(home).stat().st_mode) == 0o600
    client = mlfoundry.get_client()
    assert (client.user, client.backend.uri) == ("ann", server.address)
    client.close()


def test_the_key_is_asked_for_without_echo_on_a_terminal(server: TeamServer, home: Path) -> None:
    command = ["-c", PROGRAM, "login", server.address]
    child = pexpect.spawn(__import__("sys").executable, command, env=environment(MLFOUNDRY_HOME=str(home)), timeout=60)
    child.expect("API key for http")
    child.waitnoecho()
    child.sendline(server.key("ann"))
    child.expect("Logged in to")
    child.expect(pexpect.EOF)
    assert server.key("ann").encode() not in child.before
    child.close()
    assert child.exitstatus == 0
    assert login.kept().key(server.address) == server.key("ann")


def test_a_key_that_the_server_does_not_take_is_not_kept(server: TeamServer, cli: Cli, home: Path) -> None:
    key = server.key("ann")
    for wrong, told in (
        (key[:-1] + ("0" if key[-1] != "0" else "1"), "ends with a check that holds"),
        ("hunter2", "this is no API key"),
        (f"{key} {key}", "this is no API key"),
        ("mlf_clé", "this is no API key"),
    ):
        assert told in cli("login", server.address, text=wrong + "\n", code=4).stderr
    assert "standard input holds no key" in cli("login", server.address, text="\n", code=1).stderr
    assert not _credentials(home).exists()


def test_a_connection_is_closed_also_when_the_request_on_it_failed(
    server: TeamServer, cli: Cli, ann: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[HttpBackend] = []
    closed: list[HttpBackend] = []
    begin, close = HttpBackend.__init__, HttpBackend.close
    monkeypatch.setattr(
        HttpBackend, "__init__", lambda self, *given, **more: (made.append(self), begin(self, *given, **more))[1]
    )
    monkeypatch.setattr(HttpBackend, "close", lambda self: (closed.append(self), close(self))[1])
    wrong = "mlf_" + "0" * 36
    cli("login", server.address, text=f"{wrong}\n", code=4)
    assert closed == made
    cli("doctor", code=1, MLFOUNDRY_API_KEY=wrong)
    assert set(closed) == set(made)
    assert len(made) > 1


def test_a_failed_login_leaves_the_earlier_one(server: TeamServer, cli: Cli, ann: str) -> None:
    cli("login", server.address, text="mlf_wrong\n", code=4)
    assert login.kept().key(server.address) == ann


def test_a_server_that_cannot_be_reached_is_said(cli: Cli) -> None:
    told = cli("login", "http://127.0.0.1:1", text="mlf_x\n", code=5)
    assert "http://127.0.0.1:1 cannot be reached now" in told.stderr


def test_an_address_without_a_scheme_is_https(cli: Cli) -> None:
    assert (
        "https://mlfoundry.invalid cannot be reached"
        in cli("login", "mlfoundry.invalid", text="mlf_x\n", code=5).stderr
    )


@pytest.mark.parametrize(
    ("host", "is_open"),
    [
        ("http://runs.example.org", True),
        ("http://192.0.2.1:8090", True),
        ("http://127.0.0.1.example.org", True),
        ("http://127.0.0.1:8090", False),
        ("http://localhost", False),
        ("http://[::1]:8090", False),
        ("https://runs.example.org", False),
    ],
)
def test_a_way_that_others_can_read_is_known(host: str, is_open: bool) -> None:
    assert login.is_open_to_others(host) is is_open


def test_a_way_that_others_can_read_is_warned_about_before_the_key_is_sent(cli: Cli) -> None:
    told = cli("login", "http://mlfoundry.invalid", text="mlf_x\n", code=5)
    assert told.stderr.index("is not encrypted") < told.stderr.index("cannot be reached")


@pytest.mark.parametrize("host", ["ftp://x", "https://me:secret@x", "https://x/?key=1", "https://", "a b"])
def test_what_is_no_address_is_refused(cli: Cli, host: str) -> None:
    assert cli("login", host, text="mlf_x\n", code=1).stderr.startswith("Error: ")


def test_on_this_machine_an_address_needs_no_scheme_in_a_login_or_a_variable(server: TeamServer, cli: Cli) -> None:
    bare, key = server.address.removeprefix("http://"), server.key("bob")
    assert f"Logged in to {server.address} as bob" in cli("login", bare, text=key).stdout
    assert "bob" in cli("whoami", MLFOUNDRY_HOST=bare).stdout


def test_a_server_without_tls_that_was_asked_for_it_is_said_to_be_one(server: TeamServer, cli: Cli) -> None:
    encrypted = server.address.replace("http://", "https://")
    told = cli("login", encrypted, text=server.key("bob"), code=5).stderr
    assert f"what answers at {encrypted} does not speak https://." in told
    assert f"its address is {server.address}; what goes there can be read on its way" in told
    assert "certificate" not in told


def test_without_an_address_the_known_server_is_meant(server: TeamServer, cli: Cli, ann: str) -> None:
    assert "no server is known" in cli("login", code=1, MLFOUNDRY_HOME="/nowhere").stderr
    assert f"Logged in to {server.address} as bob" in cli("login", text=server.key("bob")).stdout


def test_a_variable_that_counts_more_is_pointed_out(server: TeamServer, cli: Cli) -> None:
    told = cli("login", server.address, text=server.key("ann"), MLFOUNDRY_API_KEY="mlf_other")
    assert "MLFOUNDRY_API_KEY is set and counts more" in told.stderr
    assert "mlf_other" not in told.output


def test_login_and_whoami_as_json(server: TeamServer, cli: Cli) -> None:
    told = json.loads(cli("login", server.address, "--json", text=server.key("ann")).stdout)
    assert told == {"host": server.address, "user": "ann", "is_admin": True, "expires_at": None}
    who = json.loads(cli("whoami", "--json").stdout)
    assert (who["user"], who["is_server"], who["is_admin"], who["place"]) == ("ann", True, True, server.address)
    assert who["key"]["state"] == "active"
    assert server.key("ann") not in json.dumps(who)


def test_whoami_in_a_folder_is_ones_own_word(cli: Cli, home: Path) -> None:
    assert json.loads(cli("whoami", "--json", "--user", "eve").stdout)["user"] == "eve"
    assert str(home) in cli("whoami").stdout


def test_logout_forgets_and_can_revoke(server: TeamServer, cli: Cli, ann: str) -> None:
    assert "the server still takes it elsewhere" in cli("logout").stdout
    assert login.kept().key(server.address) is None
    assert "was not logged in" in cli("logout", server.address).stdout
    cli("login", server.address, text=ann)
    assert "is revoked and forgotten" in cli("logout", "--revoke").stdout
    assert "was revoked" in cli("login", server.address, text=ann, code=4).stderr


# -- keys ----------------------------------------------------------------------------------------


def test_a_key_is_shown_once_with_what_to_do_with_it(server: TeamServer, cli: Cli, ann: str) -> None:
    told = cli("keys", "create", "--label", "laptop", "--expires", "90d").stdout
    key = next(word for word in told.split() if word.startswith("mlf_"))
    assert f"mlfoundry login {server.address}" in told
    assert "(90.0 days from now)" in told
    assert "It cannot be shown again" in told
    listed = cli("keys", "list").stdout
    assert "laptop" in listed
    assert "2 keys" in listed
    assert key not in listed
    assert (
        f"as ann, an admin of the server.\nThe key expires on {time.strftime('%Y')[:2]}"
        in cli("login", server.address, text=key).stdout
    )


def test_keys_are_named_by_their_first_digits(cli: Cli, ann: str) -> None:
    made = [json.loads(cli("keys", "create", "--json").stdout)["key"] for _ in range(2)]
    number = str(made[0]["key_id"])
    shortest = next(n for n in range(1, 20) if not str(made[1]["key_id"]).startswith(number[:n]))
    own = json.loads(cli("whoami", "--json").stdout)["key"]["key_id"]
    digits = next(n for n in range(shortest, 20) if not str(own).startswith(number[:n]))
    assert json.loads(cli("keys", "revoke", number[:digits], "--json").stdout) == {"revoked": made[0]["key_id"]}
    listed = json.loads(cli("keys", "list", "--all", "--json").stdout)["keys"]
    assert {key["key_id"]: key["state"] for key in listed}[made[0]["key_id"]] == "revoked"
    assert "1 not taken any more, --all shows them" in cli("keys", "list").stdout
    assert "keys that begin with" in cli("keys", "revoke", "", code=1).stderr
    assert "you have no key 'x'" in cli("keys", "revoke", "x", code=1).stderr
    shown = cli("keys", "revoke", made[1]["api_key"], code=1).stderr
    assert "and not the key itself" in shown
    assert made[1]["api_key"] not in shown


def test_ones_own_key_is_rotated_and_the_new_one_kept(server: TeamServer, cli: Cli, ann: str) -> None:
    told = cli("keys", "rotate").stdout
    assert "is a new one now, and is kept in" in told
    new = login.kept().key(server.address)
    assert new is not None
    assert new not in (ann, told)
    assert "ann" in cli("whoami").stdout
    assert "was revoked" in cli("whoami", code=4, MLFOUNDRY_API_KEY=ann).stderr
    assert "give the KEY to rotate" in cli("keys", "rotate", code=1, MLFOUNDRY_API_KEY=server.key("bob")).stderr


def test_another_key_is_rotated_and_the_new_one_shown(cli: Cli, ann: str) -> None:
    made = json.loads(cli("keys", "create", "--label", "ci", "--json").stdout)["key"]
    new = json.loads(cli("keys", "rotate", str(made["key_id"]), "--json").stdout)["key"]
    assert new["api_key"] != made["api_key"]
    assert new["label"] == "ci"
    assert "was revoked" in cli("whoami", code=4, MLFOUNDRY_API_KEY=made["api_key"]).stderr
    assert "Give the KEY of --of USER" in cli("keys", "rotate", "--of", "bob", code=2).stderr


@pytest.mark.parametrize("wrong", ["90", "d", "0d", "-1d", "1.5d", "1month", "99999y"])
def test_a_time_that_is_none_is_refused(cli: Cli, ann: str, wrong: str) -> None:
    code = 1 if wrong == "99999y" else 2  # the server knows what is too long
    assert (
        "ten years" in cli("keys", "create", "--expires", wrong, code=code).stderr
        or "such as 90d" in cli("keys", "create", "--expires", wrong, code=code).stderr
    )


# -- users ---------------------------------------------------------------------------------------


def test_a_user_is_added_with_a_key_disabled_and_enabled(server: TeamServer, cli: Cli, ann: str) -> None:
    made = json.loads(cli("users", "add", "bob", "--key", "--json").stdout)
    key = made["key"]["api_key"]
    assert made["user"]["is_admin"] is False
    assert "bob" in cli("whoami", MLFOUNDRY_API_KEY=key).stdout
    assert "none of their keys is taken" in cli("users", "disable", "bob").stdout
    assert "'bob' is disabled" in cli("whoami", code=4, MLFOUNDRY_API_KEY=key).stderr
    assert "bob   " in (listed := cli("users", "list").stdout)
    assert "disabled" in listed
    assert "bob is enabled again" in cli("users", "enable", "bob").stdout
    cli("whoami", MLFOUNDRY_API_KEY=key)


def test_admins_are_made_and_unmade_but_never_the_last(cli: Cli, ann: str) -> None:
    cli("users", "add", "bob")
    assert "is the server's last admin" in cli("users", "demote", "ann", "--yes", code=1).stderr
    assert "bob is an admin of the server now" in cli("users", "promote", "bob").stdout
    assert "give --yes to demote yourself" in cli("users", "demote", "ann", "--json", code=2).stderr
    assert "nobody answered" in cli("users", "demote", "ann", code=1).stderr
    assert "ann is no admin of the server any more" in cli("users", "demote", "ann", "--yes").stdout
    assert "this needs one" in cli("users", "add", "carl", code=4).stderr


def test_what_cannot_be_done_with_users_and_keys_is_said(server: TeamServer, cli: Cli, ann: str) -> None:
    assert "there is a user 'ann' already" in cli("users", "add", "ann", code=1).stderr
    assert "this server has no user 'nobody'" in cli("users", "disable", "nobody", code=3).stderr
    cli("users", "add", "bob")
    bob = json.loads(cli("keys", "create", "--of", "bob", "--json").stdout)["key"]["api_key"]
    assert "these are keys of 'ann'" in cli("keys", "list", "--of", "ann", code=4, MLFOUNDRY_API_KEY=bob).stderr
    assert "is no admin of this server" in cli("users", "list", code=4, MLFOUNDRY_API_KEY=bob).stderr


def test_a_folder_has_neither_users_nor_keys(cli: Cli, home: Path) -> None:
    for words in (("users", "list"), ("keys", "create")):
        assert f"runs are kept in the folder {home}, which has neither" in cli(*words, code=1).stderr


# -- doctor --------------------------------------------------------------------------------------


def test_the_doctor_looks_at_the_server(server: TeamServer, cli: Cli, ann: str) -> None:
    told = json.loads(cli("doctor", "--json").stdout)
    assert told["server"] == {
        "address": server.address,
        "answers": True,
        "version": mlfoundry.__version__,
        "user": "ann",
        "is_admin": True,
        "expires_at": None,
    }
    assert told["problems"] == []
    assert told["settings"]["tracking_uri"]["source"] == told["settings"]["api_key"]["source"] == "login"
    assert "ann, an admin of the server" in (text := cli("doctor").stdout)
    assert "All is well." in text
    assert ann not in text


def test_the_doctor_says_what_is_wrong_with_the_server(server: TeamServer, cli: Cli, ann: str) -> None:
    gone = cli("doctor", "--uri", "http://127.0.0.1:1", code=1, MLFOUNDRY_API_KEY=ann).stdout
    assert "The server does not answer" in gone
    assert "runs go on, and what they log waits in journals" in gone
    keyless = cli("doctor", "--uri", "http://127.0.0.1:1", code=1).stdout
    assert "Run: mlfoundry login http://127.0.0.1:1" in keyless
    cli("logout", "--revoke")
    revoked = cli("doctor", "--uri", server.address, code=1, MLFOUNDRY_API_KEY=ann).stdout
    assert "The server takes no key of yours: the API key was revoked" in revoked
    short = server.key("bob")
    made = cli("keys", "create", "--expires", "2d", "--json", MLFOUNDRY_HOST=server.address, MLFOUNDRY_API_KEY=short)
    key = json.loads(made.stdout)["key"]["api_key"]
    soon = cli("doctor", MLFOUNDRY_HOST=server.address, MLFOUNDRY_API_KEY=key).stdout
    assert "The key expires on" in soon
