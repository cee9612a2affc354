"""Sessions of browsers on several workers over one PostgreSQL: begun on one, known on all, over on all at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mlfoundry.errors import NotAuthenticated
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
