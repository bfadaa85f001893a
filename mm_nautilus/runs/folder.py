"""The folder of one run."""

from datetime import UTC, datetime
from pathlib import Path

__all__ = ["new_run_folder"]


def new_run_folder(parent: Path, name: str, now: datetime | None = None) -> Path:
    """Make and return a new folder ``<parent>/<time>-<name>``; the time is UTC.

    Two runs that start in the same second get folders of their own.

    Raises
    ------
    OSError
        If the folder cannot be made.
    """
    stamp = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    count = 1
    while True:
        folder = parent / (f"{stamp}-{name}" if count == 1 else f"{stamp}-{name}-{count}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            count += 1
        else:
            return folder
