"""Spend a venue's points where they move orders furthest, and keep enough to cancel every order and to exit."""

import math
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final

from mm_nautilus.pricing.quotes import Quote
from mm_nautilus.risk.rate_limit import Command, RateCounter, RateRules
from mm_nautilus.system.moments import SECOND_NS

URGENT: Final = math.inf
"""Worth of what is sent as soon as the points suffice: a quote where a side has none."""


def requote_worth(working: Quote | None, target: Quote, spread_ticks: int) -> float:
    """Return what it is worth to bring an order to its target.

    Parameters
    ----------
    working
        The order, None where there is none.
    target
        The wanted quote.
    spread_ticks
        The market's spread.

    Returns
    -------
    float
        The distance in spreads, or the share of the size that is wrong where that is more.
    """
    if working is None:
        return URGENT
    distance = abs(working.price_ticks - target.price_ticks) / max(1, spread_ticks)
    return max(distance, abs(working.size_lots - target.size_lots) / target.size_lots)


class PointsBudget:
    """A venue's counter, the orders that it would cost points to cancel, and when a requote may be sent.

    Whatever is not protective leaves enough to cancel all live orders and to send one exit a pair, so that pulls and
    exits are never refused. Cancels of older orders and points fall with time, so that what once was enough stays so.

    Parameters
    ----------
    rules
        The venue's rules.
    exits
        How many exits are kept points for: one a pair that shares the counter.
    """

    def __init__(self, rules: RateRules, exits: int = 1) -> None:
        self.rules, self.counter = rules, RateCounter(rules)
        self._exit_points = exits * rules.cost(Command.ADD)
        self._since_ns: dict[Hashable, int] = {}

    def cost(self, command: Command, order_id: Hashable, now_ns: int) -> int:
        """Return the points of a command now."""
        return self.rules.cost(command, self._age_ns(order_id, now_ns))

    def take(self, command: Command, order_id: Hashable, now_ns: int, *, rests: bool = True) -> bool:
        """Count a command and return whether the venue takes it.

        `rests` says whether a new order may have to be cancelled.
        """
        is_taken = self.counter.take(command, now_ns, self._age_ns(order_id, now_ns))
        if is_taken and rests and command is not Command.CANCEL:
            self._since_ns[order_id] = now_ns
        return is_taken

    def forget(self, order_id: Hashable) -> None:
        """Note that an order is no longer live."""
        self._since_ns.pop(order_id, None)

    def _age_ns(self, order_id: Hashable, now_ns: int) -> int:
        return now_ns - self._since_ns.get(order_id, now_ns)

    def _cancels(self, now_ns: int, except_id: Hashable) -> int:
        """Return the points that it takes to cancel all live orders but one."""
        cost = self.rules.cost
        return sum(
            cost(Command.CANCEL, now_ns - since_ns)
            for order_id, since_ns in self._since_ns.items()
            if order_id != except_id
        )

    def share(self, order_id: Hashable | None, now_ns: int) -> int:
        """Return the points that the next requote of a side takes: what its cost and the reserve grow by."""
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
        """Return None where commands that place or move a quote may be sent, else when it is worth to ask again.

        They may where their worth times the points left is at least their cost times the points spent: the fewer points
        are left, the further an order has to be off for each point that moving it costs, and the costlier a young order
        is, the longer it waits. The moment is that at which the same worth suffices, or an order's command becomes
        cheaper.

        Parameters
        ----------
        commands
            What is to be sent.
        order_id
            The order, None for a new one.
        worth
            See `requote_worth`.
        kept
            Points left to the other side.
        now_ns
            The time, nanoseconds since the epoch.
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
        if room < 0:  # which no decay mends, but older orders, or fewer of them
            return cheaper_ns
        decays_ns = math.ceil(min(missing, spent) / self.rules.points_per_second * SECOND_NS)
        return min(now_ns + max(1, decays_ns), cheaper_ns)

    def _next_age_ns(self, now_ns: int) -> int:
        """Return when a live order's commands become cheaper next."""
        found = (
            (since_ns, self.rules.next_age_ns(now_ns - since_ns)) for since_ns in self._since_ns.values()
        )
        return min((since_ns + age_ns for since_ns, age_ns in found if age_ns is not None), default=2**63 - 1)


@dataclass(slots=True)
class PointsWait:
    """How often, how long and how far off its target a side's order waited for points.

    Attributes
    ----------
    count
        Waits.
    time_ns
        Time in them, nanoseconds.
    """

    count: int = 0
    time_ns: int = 0
    _bps_ns: float = 0.0
    _since_ns: int | None = field(default=None, init=False)
    _off_bps: float = field(default=0.0, init=False)

    def hold(self, off_bps: float, now_ns: int) -> None:
        """Note that an order so far off its target waits from now on."""
        self.count += self._since_ns is None
        self.end(now_ns)
        self._since_ns, self._off_bps = now_ns, off_bps

    def end(self, now_ns: int) -> None:
        """Note that nothing waits any more."""
        if self._since_ns is not None:
            held_ns = max(0, now_ns - self._since_ns)
            self.time_ns += held_ns
            self._bps_ns += held_ns * self._off_bps
            self._since_ns = None

    def to_dict(self) -> dict[str, float | int | None]:
        """Return count, seconds and the mean distance from the target over that time, None without any."""
        mean_off_bps = self._bps_ns / self.time_ns if self.time_ns else None
        return {"count": self.count, "seconds": self.time_ns / SECOND_NS, "mean_off_bps": mean_off_bps}
