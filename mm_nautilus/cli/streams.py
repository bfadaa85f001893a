"""Standard streams that take any text: characters that their encoding lacks are written in ASCII."""

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
"""Error handler that writes characters that an encoding lacks in ASCII."""
_KEPT: Final = "mm_nautilus.kept"
"""Error handler that does so with our own characters, and writes others as UTF-8."""
_ASCII: Final = "mm_nautilus_ascii"
"""ASCII by another name: typer writes UTF-8 to streams whose encoding is called ASCII."""
_OURS: Final = {"±": "+-", "…": "..."} | dict(zip("▁▂▃▄▅▆▇█", "12345678", strict=True))
"""Replacements of our own characters; others are written as escapes such as ``\\u0416``."""
BYTES_THAT_ARE_NO_TEXT: Final = range(0xDC80, 0xDD00)
"""Characters that stand for bytes that are no text, such as those of a path in another encoding."""


def take_any_text() -> None:
    """Make standard output and standard error write characters that their encoding lacks in ASCII.

    If the environment asks for ASCII, tables and signs are written in it although Python would use UTF-8; other text,
    such as names of files, is escaped on a terminal and unchanged in a file or a pipe. Streams of another class, as of
    a test, are left alone.
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
    """Return whether the environment asks for ASCII and gives Python no encoding."""
    is_given = "PYTHONIOENCODING" in environment or "PYTHONUTF8" in environment
    return not is_given and (environment.get("LC_ALL") in {"C", "POSIX"} or environment.get("TERM") == "dumb")


def _codec(name: str) -> codecs.CodecInfo | None:
    if name != _ASCII:
        return None
    known = codecs.lookup("ascii")
    encoder, decoder = known.incrementalencoder, known.incrementaldecoder
    return codecs.CodecInfo(
        known.encode, known.decode, incrementalencoder=encoder, incrementaldecoder=decoder, name=_ASCII
    )


def _kept(error: UnicodeError) -> tuple[str | bytes, int]:
    if isinstance(error, UnicodeEncodeError):
        character = error.object[error.start]
        if character not in _OURS and ord(character) not in BYTES_THAT_ARE_NO_TEXT:
            return character.encode("utf-8"), error.start + 1
    return _escaped(error)


def _escaped(error: UnicodeError) -> tuple[str | bytes, int]:
    """Return the output for a character that cannot be encoded, and the next position."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character = error.object[error.start]
    if ord(character) in BYTES_THAT_ARE_NO_TEXT:
        return bytes((ord(character) - 0xDC00,)), error.start + 1
    plain = _OURS.get(character, character)
    return plain.encode("ascii", "backslashreplace").decode("ascii"), error.start + 1


class _Terminal(io.FileIO):
    """A terminal that drops output after it was closed."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return memoryview(data).nbytes


def outlive_terminals() -> None:
    """Let printing to stdout or stderr go on after their terminal is lost; a file or a pipe still raises errors."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        with suppress(OSError):  # a stream of a test, without a file
            if stat.S_ISCHR(os.fstat(stream.fileno()).st_mode):
                raw = io.BufferedWriter(_Terminal(stream.fileno(), "w", closefd=False))
                options = {"encoding": stream.encoding, "errors": stream.errors}
                setattr(sys, name, io.TextIOWrapper(raw, **options, line_buffering=True))
