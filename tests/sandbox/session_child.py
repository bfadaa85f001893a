"""The process of a sandbox run that tells what it is doing when it is asked: its configuration, then values to set.

Signals are listened to before anything is imported that starts a thread, as the command does it.
"""

import sys
from importlib import import_module
from pathlib import Path

from mm_nautilus.cli.frame import leave_at_once
from mm_nautilus.runs.signals import SignalListener

if __name__ == "__main__":
    with SignalListener() as listener:
        code = import_module("session_probe").run_session(Path(sys.argv[1]), sys.argv[2:], listener)
    leave_at_once(code)
