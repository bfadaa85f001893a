"""Describe an exception of a user's code in one line."""

import traceback
from typing import Final

_LONGEST: Final = 300


def raised_text(error: BaseException, file: str | None = None) -> str:
    """Return an exception's type, place and text, such as ``ValueError at my_module.py:3: no width``.

    The catching frame is not its place; `file` is reported where it has no other.
    """
    frames = [each for each in traceback.extract_tb(error.__traceback__)[1:] if each.filename[:1] != "<"]
    place, reason = file, str(error)
    if isinstance(error, SyntaxError) and error.filename is not None:
        place, reason = f"{error.filename}:{error.lineno}", error.msg
    elif frames:
        place = f"{frames[-1].filename}:{frames[-1].lineno}"
    words = " ".join(reason.split())[:_LONGEST]
    return f"{type(error).__name__}{'' if place is None else f' at {place}'}{': ' if words else ''}{words}"
