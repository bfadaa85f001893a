"""Standard streams that take any text: what their encoding lacks is written in characters that every one has."""

import codecs
import io
import sys
from typing import Final

__all__ = ["BYTES_THAT_ARE_NO_TEXT", "take_any_text"]

_HANDLER: Final = "mm_nautilus.plain"
"""Name of the error handler that writes what an encoding lacks."""
_ASCII: Final = "mm_nautilus_ascii"
"""ASCII by another name: typer writes UTF-8 to streams whose encoding is called ASCII."""
_PLAIN: Final = {"±": "+-", "…": "..."} | dict(zip("▁▂▃▄▅▆▇█", "12345678", strict=True))
"""What stands for characters of our own; others are written as escapes such as ``\\u0416``."""
BYTES_THAT_ARE_NO_TEXT: Final = range(0xDC80, 0xDD00)
"""What stands in texts for bytes that are none, such as those of a path in another encoding."""


def take_any_text() -> None:
    """Make standard output and standard error write what their encoding lacks in characters that it has.

    Where they cannot, nothing changes: a stream that a test or a caller has put there may be of another kind.
    """
    codecs.register_error(_HANDLER, _written_plainly)
    codecs.register(_codec)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            is_ascii = codecs.lookup(stream.encoding).name == "ascii"
            stream.reconfigure(encoding=_ASCII if is_ascii else None, errors=_HANDLER)


def _codec(name: str) -> codecs.CodecInfo | None:
    if name != _ASCII:
        return None
    known = codecs.lookup("ascii")
    return codecs.CodecInfo(
        known.encode,
        known.decode,
        incrementalencoder=known.incrementalencoder,
        incrementaldecoder=known.incrementaldecoder,
        name=_ASCII,
    )


def _written_plainly(error: UnicodeError) -> tuple[str | bytes, int]:
    """Return what is written for characters that cannot be encoded, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character = error.object[error.start]
    if ord(character) in BYTES_THAT_ARE_NO_TEXT:
        return bytes((ord(character) - 0xDC00,)), error.start + 1
    plain = _PLAIN.get(character, character)
    return plain.encode("ascii", "backslashreplace").decode("ascii"), error.start + 1
