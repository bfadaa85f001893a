"""Locks that keep other processes away; the system gives them free when a process ends, however it ends."""

import fcntl
import os
import time
from pathlib import Path
from typing import Final

__all__ = ["take_lock"]

_PAUSE_SECONDS: Final = 0.05


def take_lock(path: Path, patience_seconds: float = 0.0, *, flags: int = os.O_RDWR | os.O_CREAT) -> int:
    """Open and lock a file or a folder, and return the handle that holds the lock until it is closed.

    Parameters
    ----------
    path
        What is locked; a file is made, for its owner alone, unless `flags` say otherwise.
    patience_seconds
        How long another process that has it is waited for.
    flags
        How it is opened.

    Raises
    ------
    BlockingIOError
        If another process has it.
    OSError
        If it cannot be opened.
    """
    handle = os.open(path, flags, 0o600)
    deadline = time.monotonic() + patience_seconds
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(_PAUSE_SECONDS)
            else:
                return handle
    except OSError:
        os.close(handle)
        raise
