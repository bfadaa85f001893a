"""Write files completely or not at all, and describe why one cannot be written."""

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_UNFINISHED: Final = ".{name}.part"
"""Name of a file until it is complete."""
_HINTS: Final = dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "; free some there, or give another folder")
"""Advice for the user, by error number."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which replaces it at the end of the block.

    If the block fails, the temporary file is removed and `path` is unchanged. An `OSError` names the file.
    """
    unfinished = path.with_name(_UNFINISHED.format(name=path.name))
    with naming(path):
        try:
            yield unfinished
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a text to a file atomically, see `whole_file`."""
    with whole_file(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def write_files(folder: Path, files: Mapping[Path, bytes]) -> None:
    """Write files to a folder, each atomically, by their paths in it; folders on their way are made."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with whole_file(folder / name) as unfinished:
            unfinished.write_bytes(content)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name the file in OS errors within the block that name another file or, as for a full disk, none."""
    try:
        yield
    except OSError as error:
        reason = str(error) if error.errno is None else os.strerror(error.errno)
        raise OSError(error.errno or errno.EIO, reason, str(path)) from error


def remove_unfinished(folder: Path) -> None:
    """Remove unfinished files in a folder; call it only when no process writes there."""
    for left in folder.glob(_UNFINISHED.format(name="*")):
        left.unlink()


def failure_text(error: OSError) -> str:
    """Return the text of an OS error: file, reason and, for a full disk, advice."""
    return f"{'' if error.filename is None else f'{error.filename}: '}{reason(error)}"


def reason(error: OSError) -> str:
    """Return the reason of an OS error and, for a full disk, advice."""
    return f"{error.strerror or error}{_HINTS.get(error.errno or 0, '')}"
