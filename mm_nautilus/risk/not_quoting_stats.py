"""Counts and durations of the reasons for not quoting."""

from dataclasses import dataclass, field

from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.system.moments import SECOND_NS


@dataclass(slots=True)
class NotQuotingStats:
    """Counts and durations of one side's reasons for not quoting.

    Attributes
    ----------
    counts
        How often each reason began.
    times_ns
        Total duration of each reason, nanoseconds.
    """

    counts: dict[NotQuoting, int] = field(default_factory=dict)
    times_ns: dict[NotQuoting, int] = field(default_factory=dict)
    current: NotQuoting | None = None
    _since_ns: int = 0

    def set(self, reason: NotQuoting | None, now_ns: int) -> None:
        """Set the reason from `now_ns` on; None while the side is quoted."""
        if reason is self.current:
            return
        self.close(now_ns)
        self.current = reason
        if reason is not None:
            self.counts[reason] = self.counts.get(reason, 0) + 1

    def close(self, now_ns: int) -> None:
        """Add the duration of the current reason up to `now_ns`."""
        if self.current is not None:
            held_ns = max(0, now_ns - self._since_ns)
            self.times_ns[self.current] = self.times_ns.get(self.current, 0) + held_ns
        self._since_ns = max(self._since_ns, now_ns)

    def to_dict(self) -> dict[str, dict[str, float]]:
        """Return ``{reason: {count, seconds}}``, ordered by reason."""
        return {
            reason.value: {
                "count": self.counts.get(reason, 0),
                "seconds": self.times_ns.get(reason, 0) / SECOND_NS,
            }
            for reason in sorted(self.counts)
        }
