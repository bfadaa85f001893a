"""The signals that end a process in order."""

import signal

__all__ = ["ending_signals"]


def ending_signals() -> tuple[signal.Signals, ...]:
    """Return SIGINT, SIGTERM and SIGHUP, which a terminal that is closed sends.

    SIGHUP is left out where it is ignored, as under ``nohup``: whoever started the process so wants it to outlive its
    terminal.
    """
    always = (signal.SIGINT, signal.SIGTERM)
    return always if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (*always, signal.SIGHUP)
