"""Small files that whoever runs this keeps for himself: read without waiting, and replaced as a whole."""

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import Final

__all__ = ["PRIVATE", "read_at_once", "replace_file"]

PRIVATE: Final = 0o600
"""Permissions: nobody else may read or write."""


def read_at_once(path: Path, most_bytes: int | None = None) -> bytes:
    """Return what is in a regular file; nothing else is opened, as a pipe or a device might never answer.

    Parameters
    ----------
    path
        The file, or a link to one.
    most_bytes
        How much of it is read; None reads all.

    Raises
    ------
    OSError
        If it is not there, is no regular file, or cannot be read.
    """
    _refuse_other_than_regular(path.stat(), path)
    # What stands there may be another thing by now; opening it in this way waits for nobody.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        _refuse_other_than_regular(os.fstat(file.fileno()), path)
        return file.read() if most_bytes is None else file.read(most_bytes)


def _refuse_other_than_regular(status: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "no regular file", str(path))


def replace_file(path: Path, content: bytes, temporary: Path | None = None) -> None:
    """Replace a file as a whole: whatever ends the process or the machine, the old or the new content is there.

    Nobody but its owner may read the new one. The new name itself is left to the file system: after a power cut the
    file may be one or a few replacements old, but never in part. Waiting for the disk takes a fraction of a
    millisecond where it is idle, and some where it is busy.

    Parameters
    ----------
    path
        The file.
    content
        What is to be in it.
    temporary
        Where it is written to first, in the same folder; one name for each that may write at the same time.

    Raises
    ------
    OSError
        If the file cannot be written; the old content is there then.
    """
    temporary = temporary or path.with_name(f"{path.name}.tmp")
    # A new file each time: what has been put under that name, a pipe or a link, is not written to.
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
