"""End the process at once on a signal, while nothing has been begun that has to be ended in order."""

import os
import select
import signal
from contextlib import suppress
from types import FrameType
from typing import Final

from mm_nautilus.system.ending_signals import ending_signals

_PATIENCE_SECONDS: Final = 0.5


def leave_on_signals(*, as_json: bool) -> None:
    """Let SIGINT, SIGTERM and SIGHUP end the process with 128 + their number until somebody else listens to them.

    An exception in their place may come out of the middle of an import, where libraries swallow it or tell it with a
    traceback. What is told on stderr is a JSON object where every other error is.
    """

    def leave(number: int, _frame: FrameType | None) -> None:
        code = 128 + number
        text = f'{{"exit_code": {code}, "errors": ["interrupted"]}}' if as_json else "error: interrupted"
        # Where a terminal is stopped, or nobody reads, the end does not wait for it.
        with suppress(OSError):
            if select.select([], [2], [], _PATIENCE_SECONDS)[1]:
                os.write(2, f"{text}\n".encode())
        os._exit(code)

    for number in ending_signals():
        signal.signal(number, leave)
