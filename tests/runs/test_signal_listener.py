"""Signals that arrive whatever the main thread does; most in a process of its own, which has no other threads."""

import os
import signal
import time

import pytest
from processes import python

from mm_nautilus.runs.signals import SignalListener

START = "import os, signal, subprocess, sys, time\nfrom mm_nautilus.runs.signals import SignalListener\n"


def said(code: str) -> str:
    """Run a program and return what it printed."""
    done = python("-c", START + code)
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stdout.strip()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_first_signal_is_noted_while_the_main_thread_is_in_native_code(number: int, code: int) -> None:
    program = f"""
import hashlib, threading
with SignalListener() as signals:
    threading.Timer(0.2, lambda: os.kill(os.getpid(), {int(number)})).start()
    digest = hashlib.pbkdf2_hmac("sha256", b"a", b"b", 1_500_000)
    while signals.received is None:
        time.sleep(0.01)
    os.kill(os.getpid(), {int(signal.SIGTERM + signal.SIGINT - number)})
    time.sleep(0.3)
    print(signals.received, signals.exit_code, signals.received_at < time.monotonic())
"""
    assert said(program) == f"{int(number)} {code} True"


def test_handler_of_somebody_else_is_never_called() -> None:
    program = """
with SignalListener() as signals:
    signal.signal(signal.SIGINT, lambda *_: print("called"))
    os.kill(os.getpid(), signal.SIGINT)
    while signals.received is None:
        time.sleep(0.01)
    print(signals.received)
"""
    assert said(program) == "2"


def test_signal_in_the_last_moment_is_noted_and_handlers_are_put_back() -> None:
    program = """
before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
with SignalListener() as signals:
    os.kill(os.getpid(), signal.SIGTERM)
print(signals.received, before == (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)))
print(signal.pthread_sigmask(signal.SIG_BLOCK, []))
"""
    assert said(program).splitlines() == ["15 True", "set()"]


def test_threads_inherit_the_block_and_children_do_not() -> None:
    program = """
with SignalListener() as signals:
    import numpy
    masks = {open(f"/proc/self/task/{task}/status").read().split("SigBlk:")[1].split()[0]
             for task in os.listdir("/proc/self/task")}
    print(len(os.listdir("/proc/self/task")) > 2, all(int(mask, 16) & 0x4002 == 0x4002 for mask in masks))
    with signals.unblocked():
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
    child.terminate()
    print(child.wait(60))
"""
    assert said(program).splitlines() == ["True True", "-15"]


def test_a_repeated_signal_does_not_replace_the_exit_code_while_the_process_leaves() -> None:
    program = """
with SignalListener(ends_process=True) as signals:
    os.kill(os.getpid(), signal.SIGINT)
    while signals.received is None:
        time.sleep(0.01)
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(0.2)
print(signals.exit_code)
"""
    assert said(program) == "130"


def test_the_kill_signal_is_counted_and_ends_nothing() -> None:
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
