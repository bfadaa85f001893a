"""Standard streams that take any text: what their encoding lacks is written in characters that every one has."""

import codecs
import errno
import io
import os
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

_ESCAPED: Final = "mm_nautilus.escaped"
"""Name of the error handler that writes what an encoding lacks in ASCII."""
_KEPT: Final = "mm_nautilus.kept"
"""Name of the one that so writes our own characters, and others as UTF-8."""
_ASCII: Final = "mm_nautilus_ascii"
"""ASCII by another name: typer writes UTF-8 to streams whose encoding is called ASCII."""
_OURS: Final = {"±": "+-", "…": "..."} | dict(zip("▁▂▃▄▅▆▇█", "12345678", strict=True))
"""What stands for characters of our own; others are written as escapes such as ``\\u0416``."""
BYTES_THAT_ARE_NO_TEXT: Final = range(0xDC80, 0xDD00)
"""What stands in texts for bytes that are none, such as those of a path in another encoding."""


def take_any_text() -> None:
    """Make standard output and standard error write what their encoding lacks in characters that it has.

    Where the environment asks for ASCII, tables and signs are written in it although Python would take UTF-8; what is
    not ours, as names of files, a terminal gets escaped and a file or a pipe as it is. Where streams cannot do that,
    nothing changes: one that a test or a caller has put there may be of another kind.
    """
    codecs.register_error(_ESCAPED, _escaped)
    codecs.register_error(_KEPT, _kept)
    codecs.register(_codec)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            encoding = codecs.lookup(stream.encoding).name
            is_reduced = encoding == "utf-8" and _wants_ascii(os.environ)
            stream.reconfigure(
                encoding=_ASCII if is_reduced or encoding == "ascii" else None,
                errors=_KEPT if is_reduced and not stream.isatty() else _ESCAPED,
            )


def _wants_ascii(environment: Mapping[str, str]) -> bool:
    """Return whether a terminal is one of ASCII, unless Python is told an encoding."""
    is_told = "PYTHONIOENCODING" in environment or "PYTHONUTF8" in environment
    return not is_told and (environment.get("LC_ALL") in {"C", "POSIX"} or environment.get("TERM") == "dumb")


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


def _kept(error: UnicodeError) -> tuple[str | bytes, int]:
    """Return what is written for a character that ASCII lacks: UTF-8, unless it is ours."""
    if isinstance(error, UnicodeEncodeError) and not _has_replacement(character := error.object[error.start]):
        return character.encode("utf-8"), error.start + 1
    return _escaped(error)


def _has_replacement(character: str) -> bool:
    return character in _OURS or ord(character) in BYTES_THAT_ARE_NO_TEXT


def _escaped(error: UnicodeError) -> tuple[str | bytes, int]:
    """Return what is written for a character that cannot be encoded, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character = error.object[error.start]
    if ord(character) in BYTES_THAT_ARE_NO_TEXT:
        return bytes((ord(character) - 0xDC00,)), error.start + 1
    plain = _OURS.get(character, character)
    return plain.encode("ascii", "backslashreplace").decode("ascii"), error.start + 1


class _Terminal(io.FileIO):
    """A terminal that takes what is written to it also after it has been closed, and loses it."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return memoryview(data).nbytes


def outlive_terminals() -> None:
    """Let the loss of a terminal that stdout or stderr is break nothing that is printed to it afterwards.

    A file or a pipe in its place still tells what goes wrong.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        with suppress(OSError):  # a stream of a test, without a file
            if stat.S_ISCHR(os.fstat(stream.fileno()).st_mode):
                raw = _Terminal(stream.fileno(), "w", closefd=False)
                lasting = io.TextIOWrapper(
                    io.BufferedWriter(raw),
                    encoding=stream.encoding,
                    errors=stream.errors,
                    line_buffering=True,
                )
                setattr(sys, name, lasting)
