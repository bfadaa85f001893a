"""The end of a run's log, read from its file by whoever shows it."""

import os
from pathlib import Path
from typing import Final

_PATTERN: Final = "run_*.log"
_LINES: Final = 50
_BYTES: Final = 32_768
_LONGEST_LINE: Final = 400


class LogTail:
    """Read the last lines of the newest log in a run's folder.

    Parameters
    ----------
    folder
        The run's folder.
    lines
        How many lines are wanted.
    """

    def __init__(self, folder: Path, lines: int = _LINES) -> None:
        self._folder = folder
        self._lines = lines
        self._seen: tuple[Path, int, int] | None = None
        self._tail: tuple[str, ...] = ()

    def read(self) -> tuple[str, ...]:
        """Return the last lines, the same object as long as the file has not changed; none where it cannot be read."""
        try:
            newest = max(
                ((path, path.stat()) for path in self._folder.glob(_PATTERN)),
                key=lambda found: found[1].st_mtime_ns,
                default=None,
            )
            if newest is None:
                return ()
            path, status = newest
            seen = (path, status.st_size, status.st_mtime_ns)
            if seen != self._seen:
                self._tail, self._seen = self._last_lines(path, status.st_size), seen
        except OSError as error:
            return (f"the log cannot be read: {error}",)
        return self._tail

    def _last_lines(self, path: Path, size: int) -> tuple[str, ...]:
        with path.open("rb") as file:
            file.seek(max(0, size - _BYTES), os.SEEK_SET)
            text = file.read(_BYTES).decode("utf-8", errors="replace")
        lines = text.splitlines()[1 if size > _BYTES else 0 :]
        return tuple(line[:_LONGEST_LINE] for line in lines[-self._lines :])
