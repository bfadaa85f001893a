"""Storms of refused orders."""

from collections import deque
from dataclasses import dataclass

__all__ = ["RefusalGuard", "RefusalLimits"]


@dataclass(frozen=True, slots=True)
class RefusalLimits:
    """When refused orders are a storm, and what follows.

    Parameters
    ----------
    most
        Refused orders in the window that are still none; None never makes a storm.
    window_ns
        Length of the window, nanoseconds.
    pause_ns
        How long no order is sent after a storm, nanoseconds.
    most_pauses
        Pauses in a row before the next storm is one too many; None allows any number.
    """

    most: int | None
    window_ns: int
    pause_ns: int
    most_pauses: int | None


class RefusalGuard:
    """Pause after a storm of refused orders, and give up after several of them in a row.

    Orders that are refused again and again, whatever the reason, are the mark of something that trying does not mend:
    a suspended pair, a wrong precision, prices that are far behind the venue's. A storm continues a row where it
    comes no later than one pause after the last pause.

    Parameters
    ----------
    limits
        When refusals are a storm, and what follows.

    Attributes
    ----------
    pauses
        Pauses in the present row.
    """

    __slots__ = ("_limits", "_resume_at_ns", "_times_ns", "pauses")

    def __init__(self, limits: RefusalLimits) -> None:
        self._limits = limits
        self._times_ns: deque[int] = deque(maxlen=(limits.most or 0) + 1)
        self._resume_at_ns = 0
        self.pauses = 0

    @property
    def resume_at_ns(self) -> int:
        """When the present or last pause ends."""
        return self._resume_at_ns

    def reset(self) -> None:
        """Forget everything."""
        self._times_ns.clear()
        self._resume_at_ns = self.pauses = 0

    def add(self, now_ns: int) -> bool:
        """Count one refused order and return whether a pause begins with it."""
        limits = self._limits
        if limits.most is None or self.is_paused(now_ns):
            return False
        self._times_ns.append(now_ns)
        is_storm = len(self._times_ns) > limits.most and now_ns - self._times_ns[0] < limits.window_ns
        if is_storm:
            continues = self.pauses > 0 and now_ns <= self._resume_at_ns + limits.pause_ns
            self.pauses = self.pauses + 1 if continues else 1
            self._resume_at_ns = now_ns + limits.pause_ns
            self._times_ns.clear()
        return is_storm

    def is_paused(self, now_ns: int) -> bool:
        """Return whether no order is to be sent now."""
        return now_ns < self._resume_at_ns

    @property
    def is_exhausted(self) -> bool:
        """Whether there have been more pauses in a row than allowed."""
        return self._limits.most_pauses is not None and self.pauses > self._limits.most_pauses
