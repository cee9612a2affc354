"""Sessions of browsers on several workers over one PostgreSQL: begun on one, known on all, over on all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlfoundry.errors import NotAuthenticated, StoreBusy
from mlfoundry.folders import make_private
from mlfoundry.store import sessions as store_sessions
from mlfoundry.store.database import Database, Transaction
from mlfoundry.tracking.accounts import AccountService
from mlfoundry.tracking.sessions import SessionService
from tests.server.scene import People
from tests.servers import TeamServer


def test_a_session_is_known_to_all_workers_and_ends_on_all_with_its_key(worker: Callable[[], TeamServer]) -> None:
    one, other = worker(), worker()
    people = People(one)
    begin, known = one.app.state.gate, other.app.state.gate
    session = begin.begin(people.keys["writer"])
    assert known.account(session).user == "writer"
    second = begin.begin(people.keys["writer"])
    known.end(second)
    with pytest.raises(NotAuthenticated, match="this session is over"):
        begin.account(second)
    key = next(key for key in people.accounts.list_keys(people.root, "writer") if key.revoked_at is None)
    people.accounts.revoke_key(people.root, "writer", key.key_id)
    with pytest.raises(NotAuthenticated, match="revoked"):
        known.account(session)
    for caller in ("revoked", "expired", "disabled"):
        with pytest.raises(NotAuthenticated):
            known.begin(people.keys[caller])


class GivesWay(Database):
    """A database whose next transaction that writes is undone in favour of another, as many times as it is told."""

    times = 0

    @contextmanager
    def write(self, *, settle: bool = False) -> Iterator[Transaction]:
        with super().write(settle=settle) as tx:
            yield tx
            if self.times:
                self.times -= 1
                raise StoreBusy("a deadlock", gave_way=True)


def test_a_session_begins_and_ends_also_when_the_store_has_it_give_way_first(tmp_path: Path) -> None:
    make_private(tmp_path / "store")
    database = GivesWay(tmp_path / "store" / "mlfoundry.db")
    accounts = AccountService(database)
    sessions = SessionService(database, accounts)
    key = accounts.create_first_admin("ann")
    accounts.authenticate(key)  # notes the use of the key, which is no verb of its own
    database.times = 2
    session = sessions.begin(key)
    assert database.times == 0
    assert sessions.account(session).user == "ann"
    database.times = 2
    sessions.end(session)
    assert database.times == 0
    with pytest.raises(NotAuthenticated, match="this session is over"):
        sessions.account(session)
    database.close()


def test_a_change_of_a_disabled_account_does_not_move_when_it_was_disabled(tmp_path: Path) -> None:
    make_private(tmp_path / "store")
    database = Database(tmp_path / "store" / "mlfoundry.db")
    now = [1_000_000]
    accounts = AccountService(database, now_us=lambda: now[0])
    root = accounts.authenticate(accounts.create_first_admin("root"))
    accounts.create_user(root, "bob")
    disabled = accounts.change_user(root, "bob", is_disabled=True).disabled_at
    assert disabled is not None
    now[0] += 5_000_000
    assert accounts.change_user(root, "bob", is_admin=True).disabled_at == disabled
    assert accounts.change_user(root, "bob", is_disabled=True).disabled_at == disabled
    assert accounts.change_user(root, "bob", is_disabled=False).disabled_at is None
    again = accounts.change_user(root, "bob", is_disabled=True).disabled_at
    assert again is not None
    assert again > disabled
    database.close()


def test_a_key_has_so_many_sessions_and_a_new_one_takes_the_place_of_the_oldest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_sessions, "MOST", 3)
    make_private(tmp_path / "store")
    database = Database(tmp_path / "store" / "mlfoundry.db")
    now = [1_000_000]
    accounts = AccountService(database, now_us=lambda: now[0])
    sessions = SessionService(database, accounts, now_us=lambda: now[0])
    ann, bob = accounts.create_first_admin("ann"), accounts.create_first_admin("bob")
    of_bob, begun = sessions.begin(bob), []
    for _ in range(5):
        now[0] += 1_000_000
        begun.append(sessions.begin(ann))
    for session in begun[:2]:
        with pytest.raises(NotAuthenticated, match="this session is over"):
            sessions.account(session)
    assert [sessions.account(each).user for each in (*begun[2:], of_bob)] == ["ann"] * 3 + ["bob"]
    database.close()
