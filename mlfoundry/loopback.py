"""Which hosts are this machine itself, so that nothing that is sent to them leaves it; imports nothing of ours."""

from __future__ import annotations

import ipaddress

NAMES = ("localhost", "127.0.0.1", "::1")


def is_loopback(host: str) -> bool:
    """Return whether a name or an address can be reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
