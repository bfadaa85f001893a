"""File locks between processes; the operating system releases them when the process ends in any way."""

import fcntl
import os
import time
from pathlib import Path
from typing import Final

_PAUSE_SECONDS: Final = 0.05


def take_lock(path: Path, patience_seconds: float = 0.0, *, flags: int = os.O_RDWR | os.O_CREAT) -> int:
    """Open and lock a file or a folder, and return the handle that holds the lock until it is closed.

    A missing file is created with permissions for its owner only, unless `flags` (of `os.open`) differ. A
    `BlockingIOError` says that another process holds the lock, and still does after `patience_seconds`; another
    `OSError` says that the path cannot be opened.
    """
    handle = os.open(path, flags, 0o600)
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if not isinstance(error, BlockingIOError) or time.monotonic() >= deadline:
                os.close(handle)
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return handle
