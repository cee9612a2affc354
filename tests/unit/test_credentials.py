"""The keys that this account has logged in with: kept whole, also by several who log in at once."""

import stat
import subprocess
import sys
import threading

from mlfoundry.credentials import Credentials

LOGS_IN = """
import sys
from pathlib import Path
from mlfoundry.credentials import Credentials
sys.stdin.readline()
for number in range(20):
    Credentials(Path(sys.argv[1])).keep(f"https://{sys.argv[2]}-{number}", api_key="mlf_x", user=sys.argv[2])
"""


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
