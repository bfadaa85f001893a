"""Whether the wall clock can be reckoned with, told without a network."""

import ctypes
import ctypes.util
import sys
import time
from dataclasses import dataclass
from typing import Final

__all__ = ["ClockSynchronisation", "clock_step_seconds", "clock_synchronisation"]

_WATCH_SECONDS: Final = 0.2
_UNSYNCHRONISED: Final = 0x40
"""``STA_UNSYNC`` of Linux' timex.h."""


@dataclass(frozen=True, slots=True)
class ClockSynchronisation:
    """What the kernel says of its clock.

    Parameters
    ----------
    is_synchronised
        Whether something, mostly NTP, keeps it right.
    largest_error_seconds
        The kernel's bound on its error.
    """

    is_synchronised: bool
    largest_error_seconds: float


def clock_step_seconds(watch_seconds: float = _WATCH_SECONDS) -> float:
    """Return by how much more the wall clock went on than the monotonic one while it was watched, seconds.

    Parameters
    ----------
    watch_seconds
        How long to watch.
    """
    wall, steady = time.time(), time.monotonic()
    time.sleep(watch_seconds)
    return (time.time() - wall) - (time.monotonic() - steady)


class _Timex(ctypes.Structure):
    """Linux' ``struct timex``, up to the fields that are read and with room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("frequency", ctypes.c_long),
        ("maximum_error_us", ctypes.c_long),
        ("estimated_error_us", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_long * 32),
    )


def clock_synchronisation() -> ClockSynchronisation | None:
    """Return what the kernel says of its clock, None where it cannot be asked."""
    if not sys.platform.startswith("linux"):
        return None
    answer = _Timex()
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(answer))
    except (OSError, AttributeError):
        return None
    if state < 0:
        return None
    return ClockSynchronisation(
        is_synchronised=not answer.status & _UNSYNCHRONISED,
        largest_error_seconds=answer.maximum_error_us / 1e6,
    )
