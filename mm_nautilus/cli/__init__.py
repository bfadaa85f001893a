"""The command line: ``mm-nautilus``.

Nothing but what is needed to leave on a signal is imported before that is possible: the commands take up to a second.
"""

import sys
from collections.abc import Sequence
from typing import NoReturn

from mm_nautilus.cli.leaving import leave_on_signals


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command of some words, by default the process's, and leave the process with its exit code.

    Errors raised on purpose are printed to stderr, one line a problem, each starting with ``error: ``; with ``--json``
    they are one JSON object on one line.
    """
    from mm_nautilus.cli.app import exit_code  # noqa: PLC0415 (see the module)

    sys.exit(exit_code(sys.argv[1:] if arguments is None else arguments))


def process_main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Do as `main` does in a process that has nothing else to do.

    A signal that comes before a command listens to signals itself, or to one that never does, ends the process at once,
    without a traceback. After a live run the process ends at once, too.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    leave_on_signals(as_json="--json" in words)
    from mm_nautilus.cli.app import exit_code  # noqa: PLC0415 (see the module)
    from mm_nautilus.cli.frame import leave_at_once, takes_all  # noqa: PLC0415

    code = exit_code(words)
    if words[:1] == ["sandbox"]:
        leave_at_once(code)
    if not takes_all():
        leave_at_once(code or 1)
    sys.exit(code)
