"""Addresses of the network: which are believed as proxies, and which count as one caller; IPv4 and IPv6."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterable

from ..errors import InvalidSetting, quoted

ANY = "*"
HOME_PREFIX = 64  # of IPv6: whoever has one address has all that begin like it
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Proxies:
    """Those whose word is taken for where a request comes from.

    Args:
        given: Addresses (``10.0.0.7``), networks (``10.0.0.0/8``, ``fd00::/8``), or ``*`` for everybody.

    Raises:
        InvalidSetting: One of them is neither.
    """

    def __init__(self, given: Iterable[str]) -> None:
        texts = tuple(given)
        self._any = ANY in texts
        self._networks = [_network(text) for text in texts if text != ANY]
        self._finds = functools.lru_cache(maxsize=4096)(self._find)

    def __contains__(self, address: str) -> bool:
        """Return whether an address is one of theirs, however it is written."""
        return self._any or self._finds(address)

    def for_uvicorn(self) -> list[str]:
        """Return them as ``forwarded_allow_ips``; a socket of IPv6 sees those of IPv4 as ``::ffff:…``."""
        if self._any:
            return [ANY]
        mapped = [
            f"::ffff:{network.network_address}/{96 + network.prefixlen}"
            for network in self._networks
            if network.version == 4
        ]
        return [str(network) for network in self._networks] + mapped

    def _find(self, address: str) -> bool:
        try:
            found = plain(ipaddress.ip_address(address))
        except ValueError:  # no address: a socket of this machine has none
            return False
        return any(found in network for network in self._networks)


@functools.lru_cache(maxsize=16)
def known_proxies(given: tuple[str, ...]) -> Proxies:
    """Return the same proxies for the same texts: each connection asks."""
    return Proxies(given)


def plain(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return an address in its own family: a socket of IPv6 shows those of IPv4 as ``::ffff:…``."""
    return getattr(address, "ipv4_mapped", None) or address


@functools.lru_cache(maxsize=4096)
def home_of(address: str) -> str:
    """Return for whom an address counts: itself, or the network of IPv6 that it is one of many of."""
    try:
        found = plain(ipaddress.ip_address(address))
    except ValueError:  # a socket of this machine has no address
        return address
    return str(found) if found.version == 4 else str(ipaddress.IPv6Network((int(found), HOME_PREFIX), strict=False))


def _network(text: str) -> _Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise InvalidSetting(
            f"--proxies holds {quoted(text)}, which is no address and no network ({error}). Give addresses like "
            "10.0.0.7, networks like 10.0.0.0/8, or '*' for any."
        ) from error
