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
_ADDRESS: Final = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]*)://([^\s/?#]*)(\S*)")
_CLOSING: Final = "'\"`,;:)]}>"
"""What may follow an address in a sentence."""
_READABLE: Final = re.compile(
    "abfss?|adl|az|file|gcs|gs|hdfs|memory|mysql|oss|postgres|postgresql|r2|redis|s3a?|sqlite|wss?"
)
"""Kinds of address whose paths name data; the path of any other may be a secret, as a webhook's is."""


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
    """Return a text with stars for user, password and the query's secrets in addresses, and dots for secret paths.

    These are such as ``https://me:secret@host`` and ``postgresql://host/db?password=secret``. Of a web address, the
    host is kept, as in ``https://host/...``; of a kind that is not one of data, nothing, as in ``tgram://...``.
    """
    text = _SECRET_OF_A_QUERY.sub(r"\1***", _USER_OF_AN_ADDRESS.sub(r"\1***@", text))
    return _ADDRESS.sub(_without_path, text)


def _without_path(found: re.Match[str]) -> str:
    scheme, host, path = found.groups()
    kind = scheme.lower().partition("+")[0]
    if _READABLE.fullmatch(kind):
        return found[0]
    end = found[0][len(found[0].rstrip(_CLOSING)) :]
    if kind not in {"http", "https"}:
        return f"{scheme}://...{end}"
    return f"{scheme}://{host}/...{end}" if path.rstrip(_CLOSING).strip("/") else found[0]
