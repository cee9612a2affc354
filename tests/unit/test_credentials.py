"""The keys that this account has logged in with: kept whole, also by several who log in at once."""

import stat
import subprocess
import sys
import threading

import pytest

from mlfoundry.credentials import Credentials, address
from mlfoundry.errors import InvalidSetting

LOGS_IN = """
import sys
from pathlib import Path
from mlfoundry.credentials import Credentials
sys.stdin.readline()
for number in range(20):
    Credentials(Path(sys.argv[1])).keep(f"https://{sys.argv[2]}-{number}", api_key="mlf_x", user=sys.argv[2])
"""


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("runs.example.org", "https://runs.example.org"),
        ("runs.example.org:8443/team/", "https://runs.example.org:8443/team"),
        ("127.0.0.1:8090", "http://127.0.0.1:8090"),
        ("localhost", "http://localhost"),
        ("[::1]:8090", "http://[::1]:8090"),
        ("localhost.example.org", "https://localhost.example.org"),
        ("HTTP://runs.example.org/", "http://runs.example.org"),
    ],
)
def test_an_address_without_a_scheme_is_encrypted_unless_it_is_this_machine(given, meant):
    assert address(given) == meant


@pytest.mark.parametrize("given", ["", "/data/runs", "./runs", "a b", "ann:secret@runs.example.org", "ftp://x", "x:y"])
def test_what_can_be_no_address_is_refused_and_no_password_repeated(given):
    with pytest.raises(InvalidSetting) as caught:
        address(given, "MLFOUNDRY_HOST")
    assert str(caught.value).startswith("MLFOUNDRY_HOST ")
    assert "secret" not in str(caught.value)


def test_logins_at_once_do_not_take_each_other_away(tmp_path):
    command = [sys.executable, "-c", LOGS_IN, str(tmp_path / "config")]
    running = [subprocess.Popen([*command, name], stdin=subprocess.PIPE, text=True) for name in ("ann", "bob", "eve")]
    for each in running:
        each.stdin.write("go\n")
        each.stdin.flush()
    assert [each.wait(60) for each in running] == [0, 0, 0]
    for each in running:
        each.stdin.close()
    kept = Credentials(tmp_path / "config")
    assert [kept.user(f"https://{name}-{number}") for name in ("ann", "bob", "eve") for number in range(20)] == [
        name for name in ("ann", "bob", "eve") for _ in range(20)
    ]


def test_a_logout_beside_logins_takes_its_own_key_alone(tmp_path):
    kept = Credentials(tmp_path / "config")
    kept.keep("https://old", api_key="mlf_x", user="ann")

    def log_in(name):
        for number in range(30):
            kept.keep(f"https://{name}-{number}", api_key="mlf_x", user=name)

    threads = [threading.Thread(target=log_in, args=(name,)) for name in ("ann", "bob")]
    for thread in threads:
        thread.start()
    assert kept.forget("https://old")
    for thread in threads:
        thread.join(60)
    assert all(kept.key(f"https://{name}-{number}") for name in ("ann", "bob") for number in range(30))
    assert kept.key("https://old") is None


def test_to_forget_what_is_not_kept_makes_nothing(tmp_path):
    assert not Credentials(tmp_path / "config").forget("https://nobody")
    assert not (tmp_path / "config").exists()


def test_all_of_it_is_readable_by_its_account_alone(tmp_path):
    Credentials(tmp_path / "config").keep("https://a", api_key="mlf_x", user="ann")
    files = list((tmp_path / "config").iterdir())
    assert len(files) == 2
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
