"""Text from outside as it may be printed."""

import re
from typing import Final

__all__ = ["printable", "without_passwords"]

_USER_OF_AN_ADDRESS: Final = re.compile(r"(:/{1,2})\S*@")
"""User and password in an address, also where it was taken for a path; a password may have slashes of its own."""


def printable(text: str) -> str:
    """Return a text whose control characters, terminal escapes and line breaks are written as Python escapes.

    Whatever is read from a file, a catalog or a venue goes through here before it reaches a terminal or a log.
    """
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def without_passwords(text: str) -> str:
    """Return a text with stars for users and passwords that stand in addresses, such as ``https://me:secret@host``."""
    return _USER_OF_AN_ADDRESS.sub(r"\1***@", text)
