"""Output to a terminal that may be closed under the process."""

import errno
import io
import os
import stat
import sys
from contextlib import suppress
from typing import Any


class _Terminal(io.FileIO):
    """A terminal that takes what is written to it also after it has been closed, and loses it."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return memoryview(data).nbytes


def outlive_terminals() -> None:
    """Let the loss of a terminal that stdout or stderr is break nothing that is printed to it afterwards.

    A file or a pipe in its place still tells what goes wrong.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        with suppress(OSError):  # a stream of a test, without a file
            if stat.S_ISCHR(os.fstat(stream.fileno()).st_mode):
                raw = _Terminal(stream.fileno(), "w", closefd=False)
                lasting = io.TextIOWrapper(
                    io.BufferedWriter(raw),
                    encoding=stream.encoding,
                    errors=stream.errors,
                    line_buffering=True,
                )
                setattr(sys, name, lasting)
