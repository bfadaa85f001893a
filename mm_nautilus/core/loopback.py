"""Which addresses, and which names in requests, only this machine has."""

import ipaddress
from typing import Final
from urllib.parse import urlsplit

__all__ = ["is_loopback", "names_loopback"]

_LOOPBACK_NAME: Final = "localhost"


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address or a host's name."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == _LOOPBACK_NAME


def names_loopback(header: str | None) -> bool:
    """Return whether a request's ``Host`` is a loopback address or name, with any port, as through a tunnel.

    A site of the internet whose name points to this machine sends its own name.
    """
    try:
        name = urlsplit(f"//{header or ''}").hostname
    except ValueError:
        return False
    return name is not None and is_loopback(name)
