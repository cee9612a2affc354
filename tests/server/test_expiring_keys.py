"""A key that expires leaves nothing behind: no key that it makes outlives it, by whatever way."""

from datetime import timedelta

import pytest

from mlfoundry.errors import PermissionDenied
from mlfoundry.tracking.accounts import AccountService
from mlfoundry.tracking.http import HttpBackend
from mlfoundry.tracking.people import People
from mlfoundry.tracking.sessions import SessionService

HOUR_S = 3600.0


@pytest.fixture
def as_admin(server):
    return People(HttpBackend(server.address, server.key("root")))


@pytest.fixture
def expiring(server, as_admin):
    """The people as an admin sees them whose key expires in an hour, and what is kept of the key."""
    key, record = as_admin.create_key(label="ci", expires_in_s=HOUR_S)
    return People(HttpBackend(server.address, key)), record


@pytest.mark.parametrize("asked_s", [None, 10 * HOUR_S], ids=["for ever", "for longer"])
def test_a_key_never_makes_one_that_outlives_it(as_admin, expiring, asked_s):
    people, own = expiring
    as_admin.create_user("bob")
    for user in (None, "bob"):
        assert people.create_key(user, expires_in_s=asked_s)[1].expires_at == own.expires_at


def test_a_key_makes_one_that_expires_before_it(expiring):
    people, own = expiring
    made = people.create_key(expires_in_s=60.0)[1]
    assert made.expires_at < own.expires_at - timedelta(minutes=58)


def test_a_key_takes_the_place_of_none_that_would_outlive_it(as_admin, expiring):
    people, own = expiring
    _, lasting = as_admin.create_key(label="production")
    with pytest.raises(PermissionDenied, match=r"would outlive yours, which expires at 20\d\d-.* UTC; use one that"):
        people.rotate_key(lasting.key_id)
    assert [key.revoked_at for key in as_admin.list_keys() if key.key_id == lasting.key_id] == [None]
    assert people.rotate_key(own.key_id)[1].expires_at == own.expires_at


def test_a_key_that_never_expires_makes_and_replaces_all(as_admin, expiring):
    _, own = expiring
    assert as_admin.create_key()[1].expires_at is None
    assert as_admin.rotate_key(own.key_id)[1].expires_at == own.expires_at


def test_a_session_that_began_with_a_key_makes_none_that_outlives_it_either(server, as_admin):
    key, own = as_admin.create_key(expires_in_s=HOUR_S)
    accounts = AccountService(server.database)
    sessions = SessionService(server.database, accounts)
    caller = sessions.account(sessions.begin(key))
    assert accounts.create_key(caller, "root")[1].expires_at == own.expires_at
