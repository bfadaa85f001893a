"""Bring one part of a running recording into its catalog, in a process of its own.

Turning an hour of logs into files takes seconds of work. A thread would share the interpreter with the engine
and make it wait; a process of low priority does not, and its memory is gone with it. It ends with the process
that began it, in whatever way that ends.
"""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

from mm_nautilus.data.recording_folder import RecoveryReport, join_days, promote_part

__all__ = ["Promotion"]

_NICENESS: Final = 10


class Promotion:
    """A part that is being brought into the catalog.

    Parameters
    ----------
    catalog
        The catalog.
    part
        The part's folder, whose logs are closed.
    lock
        Descriptor of the recording's lock; the process holds it too, so that no other begins before it has ended.

    Raises
    ------
    OSError
        If no process can be started.
    """

    def __init__(self, catalog: Path, part: Path, lock: int) -> None:
        paths = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(  # noqa: S603 (our own module, with paths of our own)
            [sys.executable, "-m", __name__, str(catalog), str(part)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": paths},
            pass_fds=(lock,),
            # Signals of the terminal are meant for the run, which waits for this process.
            start_new_session=True,
        )

    def is_done(self) -> bool:
        """Return whether it has ended.

        Raises
        ------
        OSError
            If it has failed; the message says why, and the logs are still there.
        """
        if self._process.poll() is None:
            return False
        self.wait()
        return True

    def wait(self) -> None:
        """Wait for its end.

        Raises
        ------
        OSError
            As for `is_done`.
        """
        with self._process as process:
            errors = process.stderr.read() if process.stderr is not None else ""
        if process.returncode != 0:
            reason = (errors.splitlines() or [f"it ended with code {process.returncode}"])[-1]
            raise OSError(f"what was recorded could not be brought into the catalog: {reason}")


def _end_with_parent() -> None:
    """End this process when the other end of its standard input is gone."""
    sys.stdin.read()
    os._exit(1)


def _main(catalog: Path, part: Path) -> None:
    os.nice(_NICENESS)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    promote_part(catalog, part, RecoveryReport(catalog))
    join_days(catalog)


if __name__ == "__main__":
    _main(*map(Path, sys.argv[1:]))
