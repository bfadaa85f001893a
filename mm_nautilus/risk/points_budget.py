"""Budget a venue's rate-limit points: requote the worst orders first, keep a reserve for cancels and exits."""

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Final

from mm_nautilus.pricing.quotes import Quote
from mm_nautilus.risk.rate_limit import Command, RateCounter, RateRules
from mm_nautilus.system.moments import SECOND_NS

URGENT: Final = math.inf
"""Worth of a requote to send as soon as the points suffice, because the side has no order."""


_MISSED_WORTH: Final = 0.25
"""Worth of moving a quote nearer to the market, which may miss fills, as a share of that of moving it away."""


def requote_worth(
    working: Quote | None, target: Quote, best_bid: int, best_ask: int, *, is_bid: bool
) -> float:
    """Return how urgent it is to move an order to its target.

    Parameters
    ----------
    best_bid, best_ask
        The market's touch, ticks.

    Returns
    -------
    float
        The price distance in units of the spread or of the target's distance from the mid, whichever is more; a quarter
        of it where the order is too far from the market. The relative difference in size, where that is larger.
    """
    if working is None:
        return URGENT
    unit = max(1.0, best_ask - best_bid, abs(target.price_ticks - 0.5 * (best_bid + best_ask)))
    too_near = (working.price_ticks - target.price_ticks) * (1 if is_bid else -1)
    distance = too_near / unit if too_near > 0 else -_MISSED_WORTH * too_near / unit
    return max(distance, abs(working.size_lots - target.size_lots) / target.size_lots)


class PointsBudget:
    """A venue's rate counter with a reserve for cancels and exits, which decides when a requote may be sent.

    Placing and amending leave enough points to cancel all live orders and to send one exit per pair, so that these are
    never refused. A sufficient reserve stays sufficient, because spent points and costs of cancels fall with time.

    Parameters
    ----------
    exits
        Number of exits in the reserve: one per pair that shares the counter.
    """

    def __init__(self, rules: RateRules, exits: int = 1) -> None:
        self.rules, self.counter = rules, RateCounter(rules)
        self._exit_points = exits * rules.cost(Command.ADD)
        self._since_ns: dict[Hashable, int] = {}

    def cost(self, command: Command, order_id: Hashable, now_ns: int) -> int:
        """Return the points of a command now."""
        return self.rules.cost(command, self._age_ns(order_id, now_ns))

    def take(self, command: Command, order_id: Hashable, now_ns: int, *, rests: bool = True) -> bool:
        """Count a command and return whether the venue accepts it.

        `rests` is whether a new order stays in the book and so may need a cancel.
        """
        is_taken = self.counter.take(command, now_ns, self._age_ns(order_id, now_ns))
        if is_taken and rests and command is not Command.CANCEL:
            self._since_ns[order_id] = now_ns
        return is_taken

    def forget(self, order_id: Hashable) -> None:
        """Remove an order that is closed."""
        self._since_ns.pop(order_id, None)

    def _age_ns(self, order_id: Hashable, now_ns: int) -> int:
        return now_ns - self._since_ns.get(order_id, now_ns)

    def _cancels(self, now_ns: int, except_id: Hashable) -> int:
        """Return the points needed to cancel all live orders but one."""
        cost = self.rules.cost
        return sum(
            cost(Command.CANCEL, now_ns - since_ns)
            for order_id, since_ns in self._since_ns.items()
            if order_id != except_id
        )

    def share(self, order_id: Hashable | None, now_ns: int) -> int:
        """Return the points that a side's next requote needs: its cost and the growth of the reserve."""
        fresh = self.rules.cost(Command.CANCEL)
        if order_id is None:
            return self.rules.cost(Command.ADD) + fresh
        return (
            self.cost(Command.AMEND, order_id, now_ns) + fresh - self.cost(Command.CANCEL, order_id, now_ns)
        )

    def try_again_ns(
        self,
        commands: tuple[Command, ...],
        order_id: Hashable | None,
        worth: float,
        *,
        kept: int,
        now_ns: int,
    ) -> int | None:
        """Return None if commands that place or move a quote may be sent, else when to try again.

        They may be sent if worth * points left >= cost * points spent: with fewer points left, an order must be further
        off its target per point of cost, and a young order, whose amend costs more, waits longer. The next try is when
        the same worth suffices, or when a live order's commands become cheaper.

        Parameters
        ----------
        worth
            Result of `requote_worth`.
        kept
            Points reserved for the other side.
        """
        cost = sum(self.cost(command, order_id, now_ns) for command in commands)
        spent = self.counter.points(now_ns)
        reserve = self._cancels(now_ns, order_id) + self.rules.cost(Command.CANCEL) + self._exit_points
        room = self.rules.threshold - cost - reserve - kept
        left = room - spent
        missing = -left
        if worth < URGENT:
            missing = max(missing, (cost * spent - worth * left) / (worth + cost))
        if missing <= 0:
            return None
        cheaper_ns = self._next_age_ns(now_ns)
        if room < 0:  # decay does not help, only older or fewer orders
            return cheaper_ns
        decays_ns = math.ceil(min(missing, spent) / self.rules.points_per_second * SECOND_NS)
        return min(now_ns + max(1, decays_ns), cheaper_ns)

    def _next_age_ns(self, now_ns: int) -> int:
        found = (
            (since_ns, self.rules.next_age_ns(now_ns - since_ns)) for since_ns in self._since_ns.values()
        )
        return min((since_ns + age_ns for since_ns, age_ns in found if age_ns is not None), default=2**63 - 1)


@dataclass(slots=True)
class PointsWait:
    """Statistics of a side's waits for points.

    Attributes
    ----------
    bps_ns
        Distance from the target times that time, basis points times nanoseconds.
    """

    count: int = 0
    time_ns: int = 0
    bps_ns: float = 0.0
    _since_ns: int | None = field(default=None, init=False)
    _off_bps: float = field(default=0.0, init=False)

    def hold(self, off_bps: float, now_ns: int) -> None:
        """Start or update a wait of an order that is `off_bps` from its target."""
        self.count += self._since_ns is None
        self.end(now_ns)
        self._since_ns, self._off_bps = now_ns, off_bps

    def end(self, now_ns: int) -> None:
        """End the wait."""
        if self._since_ns is not None:
            held_ns = max(0, now_ns - self._since_ns)
            self.time_ns += held_ns
            self.bps_ns += held_ns * self._off_bps
            self._since_ns = None


def waits_summary(waits: Iterable[PointsWait]) -> dict[str, float | int | None]:
    """Return number and seconds of several sides' waits, and the mean distance from the target over that time."""
    found = tuple(waits)
    time_ns = sum(wait.time_ns for wait in found)
    return {
        "points_waits": sum(wait.count for wait in found),
        "points_wait_seconds": time_ns / SECOND_NS,
        "points_wait_bps": sum(wait.bps_ns for wait in found) / time_ns if time_ns else None,
    }
