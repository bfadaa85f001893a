"""A venue's rate limit on order commands: the cost of each command, and the counter of points.

Kraken counts points per pair, for all connections together ("Spot Trading Limits" in its API guides). An
order's age is the time since it was "created or amended". The fixed part of a cost "is always applied on receipt of the
transaction (even if the transaction fails validation)", so a refused order or amend costs its one point and a refused
cancel none. The refusal reads ``EOrder:Rate limit exceeded``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from mm_nautilus.system.moments import SECOND_NS
from mm_nautilus.system.plain_text import counted


class Command(StrEnum):
    """Kinds of order command."""

    ADD = "add"
    AMEND = "amend"
    CANCEL = "cancel"


type _AgeCosts = Mapping[Command, tuple[tuple[int, int], ...]]


@dataclass(frozen=True, slots=True)
class RateRules:
    """Costs of commands and the limit on their sum.

    Parameters
    ----------
    threshold
        Largest number of points on the counter.
    decay_points, decay_ns
        The counter falls evenly by `decay_points` in `decay_ns` nanoseconds.
    fixed
        Points of a command regardless of the order's age.
    counts_refused
        Whether a refused command costs its fixed points.
    by_age
        Extra points for an order younger than an age in nanoseconds, youngest first.
    is_per_pair
        Whether each pair has a counter of its own.
    refusal
        The venue's text of a refusal.
    """

    name: str
    threshold: int
    decay_points: int
    decay_ns: int
    fixed: Mapping[Command, int]
    by_age: _AgeCosts
    counts_refused: bool
    is_per_pair: bool
    refusal: str

    def cost(self, command: Command, age_ns: int = 0) -> int:
        """Return the points of a command to an order of age `age_ns`, 0 for a new order."""
        added = (points for below_ns, points in self.by_age.get(command, ()) if age_ns < below_ns)
        return self.fixed.get(command, 0) + next(added, 0)

    def cost_refused(self, command: Command) -> int:
        """Return the points of a refused command."""
        return self.fixed.get(command, 0) if self.counts_refused else 0

    def next_age_ns(self, age_ns: int) -> int | None:
        """Return the next age at which a command becomes cheaper, nanoseconds, or None."""
        bounds = [below for costs in self.by_age.values() for below, _ in costs if below > age_ns]
        return min(bounds, default=None)

    @property
    def points_per_second(self) -> float:
        """Decay of the counter, points per second."""
        return self.decay_points * SECOND_NS / self.decay_ns


KRAKEN_TIERS: Final[Mapping[str, tuple[int, int]]] = {
    "starter": (60, 100),
    "intermediate": (125, 234),
    "pro": (180, 375),
}
"""Threshold in points, and decay in points per 100 seconds, as published."""

_KRAKEN_FIXED: Final = {Command.ADD: 1, Command.AMEND: 1}
_KRAKEN_BY_AGE: Final = {
    Command.AMEND: ((5 * SECOND_NS, 3), (10 * SECOND_NS, 2), (15 * SECOND_NS, 1)),
    Command.CANCEL: (
        (5 * SECOND_NS, 8),
        (10 * SECOND_NS, 6),
        (15 * SECOND_NS, 5),
        (45 * SECOND_NS, 4),
        (90 * SECOND_NS, 2),
        (300 * SECOND_NS, 1),
    ),
}


def kraken_rules(tier: str) -> RateRules:
    """Return the rules of one of `KRAKEN_TIERS`, with one counter per pair."""
    threshold, decay = KRAKEN_TIERS[tier]
    return RateRules(
        f"Kraken's tier {tier}",
        threshold,
        decay,
        100 * SECOND_NS,
        _KRAKEN_FIXED,
        _KRAKEN_BY_AGE,
        counts_refused=True,
        is_per_pair=True,
        refusal="EOrder:Rate limit exceeded",
    )


def action_rules(actions: int, seconds: float) -> RateRules:
    """Return a token bucket of `actions` commands for all pairs together, refilled evenly in `seconds`.

    A refused command takes no token.
    """
    return RateRules(
        f"{counted(actions, 'action')} in {seconds:g} s",
        actions,
        actions,
        round(seconds * SECOND_NS),
        dict.fromkeys(Command, 1),
        {},
        counts_refused=False,
        is_per_pair=False,
        refusal="Too many order commands",
    )


def rate_rules(
    kraken: str | None = None, actions: int | None = None, seconds: float | None = None
) -> RateRules:
    """Return the rules that a configuration's `RateLimitConfig` names."""
    if kraken is not None:
        return kraken_rules(kraken)
    if actions is None or seconds is None:
        raise ValueError(f"actions and seconds must be given without kraken, was {actions} and {seconds}")
    return action_rules(actions, seconds)


@dataclass(slots=True)
class RateCounter:
    """Points spent of a limit, stored as whole numbers so that boundaries are exact."""

    rules: RateRules
    _units: int = field(default=0, init=False)  # points times `decay_ns`
    _at_ns: int = field(default=0, init=False)

    def points(self, now_ns: int) -> float:
        """Return the points at a time in nanoseconds since the epoch."""
        return self._units_at(now_ns) / self.rules.decay_ns

    def would_take(self, cost: int, now_ns: int) -> bool:
        """Return whether `cost` more points stay within the threshold."""
        return (
            self._units_at(now_ns) + cost * self.rules.decay_ns <= self.rules.threshold * self.rules.decay_ns
        )

    def take(self, command: Command, now_ns: int, age_ns: int = 0) -> bool:
        """Count a command to an order of age `age_ns` and return whether the venue accepts it."""
        cost = self.rules.cost(command, age_ns)
        is_taken = self.would_take(cost, now_ns)
        counted = cost if is_taken else self.rules.cost_refused(command)
        self._units, self._at_ns = (
            self._units_at(now_ns) + counted * self.rules.decay_ns,
            max(self._at_ns, now_ns),
        )
        return is_taken

    def _units_at(self, now_ns: int) -> int:
        return max(0, self._units - self.rules.decay_points * max(0, now_ns - self._at_ns))
