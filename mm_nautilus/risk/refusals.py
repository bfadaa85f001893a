"""Pause a symbol after too many refused orders, and give up after several pauses."""

from collections import deque


class RefusalGuard:
    """Pause after too many refused orders, and give up after several pauses in a row.

    Repeated refusals have a cause that retrying does not fix: a suspended pair, a wrong precision, prices far behind
    the venue's. A pause counts as in a row if it begins within one pause's length after the last one's end.

    Parameters
    ----------
    most
        Most refused orders tolerated in the window; None sets no limit.
    most_pauses
        Most pauses in a row; None allows any number.

    Attributes
    ----------
    pauses
        Pauses in a row so far.
    resume_at_ns
        End of the current or last pause, nanoseconds since the epoch.
    """

    def __init__(self, most: int | None, *, window_ns: int, pause_ns: int, most_pauses: int | None) -> None:
        self._most, self._window_ns = most, window_ns
        self._pause_ns, self._most_pauses = pause_ns, most_pauses
        self._times_ns: deque[int] = deque(maxlen=(most or 0) + 1)
        self.resume_at_ns = self.pauses = 0

    def reset(self) -> None:
        """Clear all counts and the pause."""
        self._times_ns.clear()
        self.resume_at_ns = self.pauses = 0

    def add(self, now_ns: int) -> bool:
        """Count one refused order and return whether it starts a pause."""
        if self._most is None or self.is_paused(now_ns):
            return False
        self._times_ns.append(now_ns)
        is_storm = len(self._times_ns) > self._most and now_ns - self._times_ns[0] < self._window_ns
        if is_storm:
            continues = self.pauses > 0 and now_ns <= self.resume_at_ns + self._pause_ns
            self.pauses = self.pauses + 1 if continues else 1
            self.resume_at_ns = now_ns + self._pause_ns
            self._times_ns.clear()
        return is_storm

    def is_paused(self, now_ns: int) -> bool:
        """Return whether a pause is in progress."""
        return now_ns < self.resume_at_ns

    @property
    def is_exhausted(self) -> bool:
        """Whether there have been more pauses in a row than allowed."""
        return self._most_pauses is not None and self.pauses > self._most_pauses
