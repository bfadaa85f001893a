"""The command line: ``mm-nautilus``.

Only what leaving on a signal needs is imported here: the commands take up to a second to import.
"""

import os
import select
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import Final, NoReturn

from mm_nautilus.system.ending_signals import ending_signals

_PATIENCE_SECONDS: Final = 0.5


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command of some words, by default the process's, and leave the process with its exit code.

    Expected errors are printed to stderr, one line a problem, each starting with ``error: ``; with ``--json`` they are
    one JSON object on one line.
    """
    from mm_nautilus.cli.app import exit_code  # noqa: PLC0415 (see the module)

    sys.exit(exit_code(sys.argv[1:] if arguments is None else arguments))


def process_main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Do as `main` does in a process of its own.

    A signal before a command handles signals itself ends the process at once, without a traceback. After a live run the
    process ends at once, too.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    _leave_on_signals(as_json="--json" in words)
    from mm_nautilus.cli.app import exit_code  # noqa: PLC0415 (see the module)
    from mm_nautilus.cli.frame import leave_at_once, takes_all  # noqa: PLC0415

    code = exit_code(words)
    if words[:1] == ["sandbox"]:
        leave_at_once(code)
    if not takes_all():
        leave_at_once(code or 1)
    sys.exit(code)


def _leave_on_signals(*, as_json: bool) -> None:
    """Let SIGINT, SIGTERM and SIGHUP end the process with 128 + their number until they have another handler.

    An exception instead might be raised within an import, where libraries swallow it or print a traceback.
    """

    def leave(number: int, _frame: FrameType | None) -> None:
        code = 128 + number
        text = f'{{"exit_code": {code}, "errors": ["interrupted"]}}' if as_json else "error: interrupted"
        # The end does not wait for a stopped terminal or an unread pipe.
        with suppress(OSError):
            if select.select([], [2], [], _PATIENCE_SECONDS)[1]:
                os.write(2, f"{text}\n".encode())
        os._exit(code)

    for number in ending_signals():
        signal.signal(number, leave)
