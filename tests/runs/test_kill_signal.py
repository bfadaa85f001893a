"""SIGUSR1 halts a live run; it is no wish to end."""

import os
import signal
import time

from mm_nautilus.runs.signals import SignalListener


def test_the_kill_signal_is_counted_and_ends_nothing():
    before = signal.getsignal(signal.SIGUSR1)
    with SignalListener() as signals:
        for expected in (1, 2):
            os.kill(os.getpid(), signal.SIGUSR1)
            deadline = time.monotonic() + 120.0
            while signals.kills < expected and time.monotonic() < deadline:
                time.sleep(0.01)
            assert signals.kills == expected
        assert signals.received is None
    assert signal.getsignal(signal.SIGUSR1) is before
