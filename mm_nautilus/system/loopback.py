"""Recognise addresses and host names that only this machine can reach."""

import ipaddress
from typing import Final
from urllib.parse import urlsplit

_LOOPBACK_NAME: Final = "localhost"


def is_loopback(host: str) -> bool:
    """Return whether an address or host name can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == _LOOPBACK_NAME


def names_loopback(header: str | None) -> bool:
    """Return whether a request's ``Host`` header is a loopback address or name, with any port.

    This refuses requests through a foreign host name that resolves to this machine (DNS rebinding).
    """
    try:
        name = urlsplit(f"//{header or ''}").hostname
    except ValueError:
        return False
    return name is not None and is_loopback(name)
