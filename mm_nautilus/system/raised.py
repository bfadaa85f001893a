"""Describe an exception of a user's code in one line."""

import sysconfig
import traceback
from pathlib import Path
from typing import Final

_LONGEST: Final = 300
_OF_OTHERS: Final = (Path(__file__).parents[1], Path(sysconfig.get_path("stdlib")))
"""Folders of this package and of Python."""
_INSTALLED: Final = "site-packages"
_COMPILED: Final = {".pyx", ".pxd", ".pxi"}
"""Sources of compiled libraries, whose names do not say where they are installed."""


def raised_text(error: BaseException, file: str | None = None) -> str:
    """Return an exception's type, place and text, such as ``ValueError at my_module.py:3: no width``.

    The place is the last line of the user's own code on the way to the exception, or else where it was raised; the
    catching frame is none, and `file` is reported where there is no other.
    """
    frames = _frames(error)
    frames = [each for each in frames if _is_users(each)] or frames
    place, reason = file, str(error)
    if isinstance(error, SyntaxError) and error.filename is not None:
        place, reason = f"{error.filename}:{error.lineno}", error.msg
    elif frames:
        place = f"{frames[-1].filename}:{frames[-1].lineno}"
    words = one_line(reason)
    return f"{type(error).__name__}{'' if place is None else f' at {place}'}{': ' if words else ''}{words}"


def is_in_users_code(error: BaseException) -> bool:
    """Return whether an exception came through a user's own code."""
    return any(map(_is_users, _frames(error)))


def _frames(error: BaseException) -> list[traceback.FrameSummary]:
    return [each for each in traceback.extract_tb(error.__traceback__)[1:] if each.filename[:1] != "<"]


def _is_users(frame: traceback.FrameSummary) -> bool:
    file = Path(frame.filename)
    return not (file.suffix in _COMPILED or _INSTALLED in file.parts) and not any(
        map(file.is_relative_to, _OF_OTHERS)
    )


def one_line(text: str) -> str:
    """Return the beginning of a text, on one line."""
    return " ".join(text.split())[:_LONGEST]
