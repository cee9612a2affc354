"""Which proxies are believed, and who counts as one caller: addresses and networks, however they are written."""

from __future__ import annotations

import pytest

from mlfoundry.errors import InvalidSetting
from mlfoundry.server.addresses import Proxies, home_of
from mlfoundry.server.limits import caller_of


@pytest.mark.parametrize(
    ("given", "address", "is_believed"),
    [
        ("10.0.0.7", "10.0.0.7", True),
        ("10.0.0.7", "10.0.0.77", False),
        ("10.0.0.7", "::ffff:10.0.0.7", True),
        ("10.0.0.0/8", "10.255.1.2", True),
        ("10.0.0.0/8", "::ffff:10.255.1.2", True),
        ("10.0.0.0/8", "11.0.0.1", False),
        ("10.0.0.0/8", "1.0.0.0", False),
        ("fd00::/8", "fd12:3456::1", True),
        ("fd00::/8", "fe80::1", False),
        ("2001:db8::1", "2001:0DB8:0:0:0:0:0:1", True),
        ("::1", "127.0.0.1", False),
        ("*", "203.0.113.9", True),
        ("10.0.0.7", "", False),
        ("10.0.0.7", "10.0.0", False),
    ],
)
def test_an_address_is_believed_by_what_it_is_and_not_by_its_text(given: str, address: str, is_believed: bool) -> None:
    assert (address in Proxies([given])) is is_believed
    assert address not in Proxies([])


def test_uvicorn_is_told_the_same() -> None:
    from uvicorn.middleware.proxy_headers import _TrustedHosts

    trusted = _TrustedHosts(Proxies(["10.0.0.0/8", "fd00::/8", "192.0.2.7"]).for_uvicorn())
    assert all(each in trusted for each in ("10.1.2.3", "::ffff:10.1.2.3", "fd00::5", "192.0.2.7", "::ffff:192.0.2.7"))
    assert not any(each in trusted for each in ("11.1.2.3", "::ffff:11.1.2.3", "fe80::5", "192.0.2.8", ""))
    assert Proxies(["*"]).for_uvicorn() == ["*"]


@pytest.mark.parametrize("text", ["proxy.example.org", "10.0.0.1/8", "10.0.0.0/33", "10.0.0", "fd00::/129", "'"])
def test_what_is_no_address_is_refused_with_what_is_one(text: str) -> None:
    with pytest.raises(InvalidSetting, match="no address and no network") as refused:
        Proxies(["127.0.0.1", text])
    assert "10.0.0.0/8" in str(refused.value)


def test_who_has_one_address_of_ipv6_counts_as_all_of_its_network() -> None:
    assert home_of("2001:db8:1:2:a::1") == home_of("2001:db8:1:2:ffff::9") == "2001:db8:1:2::/64"
    assert home_of("2001:db8:1:3::1") != home_of("2001:db8:1:2::1")
    assert home_of("::ffff:192.0.2.1") == home_of("192.0.2.1") == "192.0.2.1"
    assert home_of("192.0.2.2") != home_of("192.0.2.1")
    assert home_of("::1") == "::/64"
    assert home_of("") == ""
    assert caller_of({"client": ("2001:db8:1:2::7", 1)}) == caller_of({"client": ("2001:db8:1:2::8", 2)})
    assert caller_of({"client": ("a name from a proxy", 1)}) == "a name from a proxy"
    assert caller_of({}) == "nobody"
