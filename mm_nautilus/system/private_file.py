"""Small files readable by their owner only: read without blocking and replaced atomically."""

import errno
import os
import stat
from pathlib import Path
from typing import Final

PRIVATE: Final = 0o600
"""Permissions: read and write for the owner only."""


def read_at_once(path: Path, most_bytes: int | None = None) -> bytes:
    """Return the content of a regular file, at most so many bytes of it, or raise an `OSError`.

    Pipes and devices are refused, because they might block.
    """
    _refuse_other_than_regular(path.stat(), path)
    # The path may have been replaced since the check; opening it this way does not block.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        _refuse_other_than_regular(os.fstat(file.fileno()), path)
        return file.read() if most_bytes is None else file.read(most_bytes)


def _refuse_other_than_regular(status: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "no regular file", str(path))


def replace_file(path: Path, content: bytes, temporary: Path | None = None) -> None:
    """Replace a file atomically: after any crash it has the old or the new content. An `OSError` leaves the old.

    Only its owner may read the new file. The content is synced to disk, but not the folder: after a power cut the file
    may be a few replacements old, but never partial. The sync takes less than a millisecond on an idle disk. The
    temporary file must be in the same folder; concurrent writers need different names of it.
    """
    temporary = temporary or path.with_name(f"{path.name}.tmp")
    # A new file each time, so that a pipe or link placed under that name is never written to.
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
