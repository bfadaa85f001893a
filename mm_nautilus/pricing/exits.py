"""Exit rules of a position, checked in this order: stop loss, trailing stop, take profit, time limit."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, Self

from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.system.moments import SECOND_NS

type PositionSide = Literal["long", "short"]

_PRICE_ROUNDING: Final = 1e-12
"""Tolerance for binary rounding when a price reaches a threshold, as a share of the price."""

_ALERT_MARGIN: Final = 1e-9
"""Distance of an alert before its rule's price, as a share of the price; wider than any rounding error."""


class ExitReason(StrEnum):
    """Why a position was closed by a marketable order."""

    STOP_LOSS = "stop_loss"
    TRAILING_STOP = "trailing_stop"
    TAKE_PROFIT = "take_profit"
    TIME_LIMIT = "time_limit"
    HALT = "halt"
    STOP = "stop"


def trailing_stop_price(
    entry_price: float, extreme_price: float, side: str, activation_pct: float, distance_pct: float
) -> float | None:
    """Return the trailing stop, or None while the best price since entry has not armed it.

    Parameters
    ----------
    entry_price
        The position's average price, in quote currency.
    extreme_price
        Best exit price since entry: the highest best bid of a long position, the lowest
        best ask of a short one.
    side
        ``long`` or ``short``.
    activation_pct
        Profit that arms the stop, % from entry.
    distance_pct
        Distance of the stop from the extreme, %.

    Raises
    ------
    ValueError
        If `side` is neither ``long`` nor ``short``.
    """
    if side == "long":
        armed = _has_reached(1.0, extreme_price, entry_price * (1.0 + activation_pct / 100.0))
        return extreme_price * (1.0 - distance_pct / 100.0) if armed else None
    if side == "short":
        armed = _has_reached(-1.0, extreme_price, entry_price * (1.0 - activation_pct / 100.0))
        return extreme_price * (1.0 + distance_pct / 100.0) if armed else None
    raise ValueError(f"side must be 'long' or 'short', was {side!r}")


def _has_reached(direction: float, price: float, threshold: float) -> bool:
    """Return whether a rising (`direction` 1) or falling (-1) price has reached its threshold."""
    return direction * (price - threshold) >= -_PRICE_ROUNDING * threshold


@dataclass(slots=True)
class PositionEntry:
    """An open position as the exit rules need it.

    Parameters
    ----------
    entry_price
        Average price of the open position, in quote currency.
    highest_price, lowest_price
        Highest and lowest exit price since entry, starting at the reference price.
    carried_over
        Reference price minus entry price, in quote currency: not 0 if a part of the position is the remainder of an
        earlier one that was below the venue's minimum order.
    """

    entry_price: float
    highest_price: float
    lowest_price: float
    side: PositionSide
    carried_over: float = 0.0
    opened_ns: int = 0

    @classmethod
    def opened(cls, entry_price: float, side: PositionSide, opened_ns: int = 0) -> Self:
        """Return the entry of a new position."""
        return cls(entry_price, entry_price, entry_price, side, opened_ns=opened_ns)

    @classmethod
    def grown_from_remainder(
        cls, entry_price: float, side: PositionSide, add_price: float, opened_ns: int = 0
    ) -> Self:
        """Return a new entry after an add to a remainder below the venue's minimum order.

        Exits treat the whole position as opened by the add, whatever the stops of the remainder were.

        Parameters
        ----------
        entry_price
            Average price of remainder and add, in quote currency.
        add_price
            Price of the add, in quote currency.
        """
        return cls(entry_price, add_price, add_price, side, add_price - entry_price, opened_ns)

    @property
    def reference_price(self) -> float:
        """Base of stop, activation and profit percentages: entry price, with a remainder valued at its add's price."""
        return self.entry_price + self.carried_over

    def observe(self, best_bid: float, best_ask: float) -> float:
        """Update the extremes with the exit price, best bid of a long or best ask of a short position; return it."""
        price = best_bid if self.side == "long" else best_ask
        self.highest_price = max(self.highest_price, price)
        self.lowest_price = min(self.lowest_price, price)
        return price

    def average(self, entry_price: float, share_before: float = 1.0) -> None:
        """Update the position's average price after an add or a partial exit.

        An add at a loss resets the extremes, because the better average did not exist at earlier prices: profit that
        the position never had must not arm its trailing stop.

        Parameters
        ----------
        entry_price
            The new average price, in quote currency.
        share_before
            Share of the position that existed before the add, in (0, 1].
        """
        before = self.reference_price
        self.entry_price = entry_price
        self.carried_over *= share_before
        if self.side == "long" and self.reference_price < before:
            self.highest_price = self.reference_price
        elif self.side == "short" and self.reference_price > before:
            self.lowest_price = self.reference_price

    def to_dict(self) -> dict[str, float | str]:
        """Return v1.4.0's ``position_entries`` of one symbol; prices in quote currency."""
        return {
            "entry_price": self.entry_price,
            "highest_price": self.highest_price,
            "lowest_price": self.lowest_price,
            "side": self.side,
        }

    @property
    def extreme_price(self) -> float:
        """The best exit price since entry."""
        return self.highest_price if self.side == "long" else self.lowest_price

    def trailing_stop(self, params: SymbolParams) -> float | None:
        """Return the trailing stop's price, or None while it is switched off or not armed."""
        if not params.use_trailing_stop:
            return None
        return trailing_stop_price(
            self.reference_price,
            self.extreme_price,
            self.side,
            params.trailing_stop_activation,
            params.trailing_stop_distance,
        )

    def profit_target(self, params: SymbolParams, now_ns: int) -> float:
        """Return the take-profit price in quote currency; it decays to the reference price with the position's age."""
        share = 1.0
        if params.take_profit_decay_seconds is not None:
            age_seconds = (now_ns - self.opened_ns) / SECOND_NS
            share = min(1.0, max(0.0, 1.0 - age_seconds / params.take_profit_decay_seconds))
        sign = 1.0 if self.side == "long" else -1.0
        return self.reference_price * (1.0 + sign * share * params.take_profit_pct / 100.0)

    def expires_ns(self, params: SymbolParams) -> float:
        """Return when `max_position_seconds` is reached, nanoseconds since the epoch; infinity without that limit."""
        limit = params.max_position_seconds
        return math.inf if limit is None else self.opened_ns + limit * SECOND_NS

    def next_ns(self, params: SymbolParams, now_ns: int, due_ns: int) -> int:
        """Return the next time at which the position's age alone may cause an exit, at most `due_ns`."""
        decay = params.take_profit_decay_seconds
        if decay is None and params.max_position_seconds is None:
            return due_ns
        if decay is not None and now_ns - self.opened_ns < decay * SECOND_NS:
            due_ns = min(due_ns, now_ns + SECOND_NS)
        return math.ceil(min(due_ns, max(now_ns, self.expires_ns(params))))


@dataclass(frozen=True, slots=True)
class Exit:
    """A decision to close the whole position.

    Parameters
    ----------
    exit_price
        Best bid of a long or best ask of a short position when it fired.
    """

    reason: ExitReason
    trigger_price: float
    exit_price: float


def check_exit(
    entry: PositionEntry, best_bid: float, best_ask: float, params: SymbolParams, now_ns: int = 0
) -> Exit | None:
    """Return the first exit rule that the touch has triggered, or None.

    Parameters
    ----------
    entry
        The position; call `observe` with this touch before.
    best_bid, best_ask
        The market's touch, in quote currency.
    params
        Stop, trailing and profit parameters, in % of price; greatest age in seconds.
    """
    sign = 1.0 if entry.side == "long" else -1.0
    price = best_bid if entry.side == "long" else best_ask
    stop = entry.reference_price * (1.0 - sign * params.stop_loss_pct / 100.0)
    if _has_reached(-sign, price, stop):
        return Exit(ExitReason.STOP_LOSS, stop, price)
    trail = entry.trailing_stop(params)
    if trail is not None and _has_reached(-sign, price, trail):
        return Exit(ExitReason.TRAILING_STOP, trail, price)
    target = entry.profit_target(params, now_ns)
    if _has_reached(sign, price, target):
        return Exit(ExitReason.TAKE_PROFIT, target, price)
    return Exit(ExitReason.TIME_LIMIT, price, price) if now_ns >= entry.expires_ns(params) else None


def exit_alerts(entry: PositionEntry, params: SymbolParams, now_ns: int = 0) -> tuple[float, float]:
    """Return the open interval of exit prices in which no rule can fire and no trailing stop can move.

    Parameters
    ----------
    now_ns
        Nanoseconds since the epoch. `PositionEntry.next_ns` covers exits by age.
    """
    sign = 1.0 if entry.side == "long" else -1.0
    losing = entry.reference_price * (1.0 - sign * params.stop_loss_pct / 100.0)
    winning = entry.profit_target(params, now_ns)
    if params.use_trailing_stop:
        trail = entry.trailing_stop(params)
        if trail is not None:
            losing = max(losing, trail) if sign > 0 else min(losing, trail)
        winning = min(winning, entry.extreme_price) if sign > 0 else max(winning, entry.extreme_price)
    lowest, highest = sorted((losing, winning)) if sign * (winning - losing) > 0 else (math.inf, -math.inf)
    return lowest * (1.0 + _ALERT_MARGIN), highest * (1.0 - _ALERT_MARGIN)


def exit_text(entry: PositionEntry, decision: Exit, decimals: int = 6) -> str:
    """Return v1.4.0's log line of an exit."""

    def price(value: float) -> str:
        return f"{value:.{decimals}f}"

    start = f"entry={price(entry.reference_price)}"
    if decision.reason is ExitReason.TRAILING_STOP:
        name = "high" if entry.side == "long" else "low"
        extreme = price(entry.extreme_price)
        return f"MM: Trailing stop hit ({start}, {name}={extreme}, trail={price(decision.trigger_price)})"
    if decision.reason is ExitReason.TIME_LIMIT:
        return f"MM: Time limit hit ({start}, price={price(decision.exit_price)})"
    label, level = {
        ExitReason.STOP_LOSS: ("Stop loss", "stop"),
        ExitReason.TAKE_PROFIT: ("Take profit", "target"),
    }[decision.reason]
    reached = f"price={price(decision.exit_price)}, {level}={price(decision.trigger_price)}"
    return f"MM: {label} hit ({start}, {reached})"
