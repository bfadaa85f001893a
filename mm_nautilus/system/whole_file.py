"""Files that are there whole or not at all, and what is told where one cannot be written."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["failure_text", "naming", "reason", "remove_unfinished", "whole_file", "write_whole"]

_UNFINISHED: Final = ".{name}.part"
"""What a file is called until it is whole."""
_HINTS: Final = dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "; free some there, or give another folder")
"""What to do, by the number of the error."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield the path to write a file to, which takes the place of `path` at the end of the block.

    Where the block fails, what was written is removed and what was there before stays.

    Parameters
    ----------
    path
        The file, which may exist; its folder has to.

    Raises
    ------
    OSError
        If it cannot be written, with its name.
    """
    unfinished = path.with_name(_UNFINISHED.format(name=path.name))
    with naming(path):
        try:
            yield unfinished
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a text to a file, as `whole_file` does."""
    with whole_file(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give errors of the system within the block the name of the file that they are about.

    Raises
    ------
    OSError
        In place of one that has another name or, as those of a full disk, none.
    """
    try:
        yield
    except OSError as error:
        reason = str(error) if error.errno is None else os.strerror(error.errno)
        raise OSError(error.errno or errno.EIO, reason, str(path)) from error


def remove_unfinished(folder: Path) -> None:
    """Remove what was not brought to its end of files in a folder, which nobody writes any more."""
    for left in folder.glob(_UNFINISHED.format(name="*")):
        left.unlink()


def failure_text(error: OSError) -> str:
    """Return what is told of an error of the system: the file, the reason and, of a full disk, what to do."""
    return f"{'' if error.filename is None else f'{error.filename}: '}{reason(error)}"


def reason(error: OSError) -> str:
    """Return why the system refused and, of a full disk, what to do."""
    return f"{error.strerror or error}{_HINTS.get(error.errno or 0, '')}"
