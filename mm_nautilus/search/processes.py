"""Processes that share a search's folder: only one asks at a time, and each knows which others live."""

import math
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from mm_nautilus.system.file_lock import take_lock

_LOCK: Final = ".lock"
_WORKERS: Final = ".workers"
"""Folder of a search's folder with a locked file for each process that runs its trials."""


@contextmanager
def only_process(folder: Path) -> Iterator[None]:
    """Wait until no other process asks or writes in a search's folder, and keep others waiting in the block."""
    handle = take_lock(folder / _LOCK, math.inf)
    try:
        yield
    finally:
        os.close(handle)


@contextmanager
def registered_worker(folder: Path) -> Iterator[str]:
    """Hold a locked file in a search's folder while this process runs its trials, and yield its name."""
    name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    path = folder / _WORKERS / name
    path.parent.mkdir(exist_ok=True)
    handle = take_lock(path)
    try:
        yield name
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def is_worker_alive(folder: Path, worker: str) -> bool:
    """Return whether the process of a name may still run trials; one of another machine may."""
    if worker.rsplit("-", 2)[0] != socket.gethostname():
        return bool(worker)
    path = folder / _WORKERS / worker
    if not path.exists():
        return False
    try:
        os.close(take_lock(path))
    except BlockingIOError:
        return True
    path.unlink(missing_ok=True)
    return False
