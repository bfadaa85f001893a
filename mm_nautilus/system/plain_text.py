"""Words for people: counts with their nouns, and text from outside made safe to print."""

import re
import textwrap
from typing import Final

_USER_OF_AN_ADDRESS: Final = re.compile(r"(:/{1,2})\S*@")
"""User and password in an address, also in one with a single slash; a password may contain slashes."""
_SECRET_OF_A_QUERY: Final = re.compile(
    r"([?&][^=&\s]*(?:passw|pwd|secret|token)[^=&\s]*=)[^&\s]*", re.IGNORECASE
)
"""A value in an address that is secret by its name, such as ``?password=``."""


def counted(number: int, one: str, several: str | None = None) -> str:
    """Return a number with its words, such as ``1 fill``; `several` is `one` with an s where it is not given."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def wrapped(text: str, width: int) -> str:
    """Return a text in lines of a width, broken between words; one that is longer, as a path, stays whole."""
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)


def printable(text: str) -> str:
    """Return a text with control characters, terminal escapes and line breaks as Python escapes.

    Everything read from a file, a catalog or a venue passes through here before it is printed or logged.
    """
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def without_passwords(text: str) -> str:
    """Return a text with stars for user, password and the query's secrets in addresses.

    These are such as ``https://me:secret@host`` and ``postgresql://host/db?password=secret``.
    """
    return _SECRET_OF_A_QUERY.sub(r"\1***", _USER_OF_AN_ADDRESS.sub(r"\1***@", text))
