"""One symbol's net position: size, entry price and realised PnL."""

import math
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from mm_nautilus.pricing.exits import Exit, PositionEntry, PositionSide

_ZERO: Final = Decimal(0)
_SAME_PRICE: Final = 1e-9
"""Relative difference up to which the engine's average price counts as the saved one."""


@dataclass(slots=True)
class PositionResults:
    """Split a position's cumulative realised PnL into results of trades.

    An execution that opens a position or adds to it realises only its fee. That fee is charged to the executions
    that reduce the position, in proportion to the size they close. A trade's result is thus net of both fees, and
    the results of a closed position add up exactly to its realised PnL.
    """

    decimals: int
    quantity: Decimal = _ZERO
    open_fees: Decimal = _ZERO
    _cycle_realized: Decimal = field(default=_ZERO)

    def settle(self, amount: Decimal) -> None:
        """Leave a funding payment out of the results of trades."""
        self._cycle_realized += amount

    def resume(self, quantity: Decimal, cycle_realized: Decimal, open_fees: Decimal) -> None:
        """Continue with a position that was open before a restart."""
        self.quantity, self._cycle_realized, self.open_fees = quantity, cycle_realized, open_fees

    def on_position(self, quantity: Decimal, cycle_realized: Decimal) -> Decimal | None:
        """Process a position event and return the result of the trade, if it was one.

        Parameters
        ----------
        quantity
            Unsigned size of the position after the event, in base currency; 0 when it closed.
        cycle_realized
            Realised PnL of the position since it opened, net of fees, in quote currency.

        Returns
        -------
        Decimal or None
            The trade's result in quote currency, or None if the event opened or increased the position.
        """
        change = cycle_realized - self._cycle_realized
        before, self.quantity, self._cycle_realized = self.quantity, quantity, cycle_realized
        # After a restart a position may close without having been seen open; that is a trade too.
        if quantity >= before and quantity > 0:
            self.open_fees -= change
            return None
        charged = self._charge(before - quantity, before)
        self.open_fees -= charged
        if quantity == 0:
            self._cycle_realized = _ZERO
        return change - charged

    def _charge(self, closed: Decimal, before: Decimal) -> Decimal:
        if closed == before:
            return self.open_fees
        return (self.open_fees * closed / before).quantize(Decimal(1).scaleb(-self.decimals))


@dataclass(slots=True)
class Booked:
    """Effect of the executions since the last complete booking, in quote currency.

    Parameters
    ----------
    realized_change
        Change of realised PnL, net of fees.
    trade_pnl
        Result of the trade, None if no position was reduced.
    cycle_pnl
        Realised PnL of the position that was closed, None if none was.
    """

    realized_change: Decimal = _ZERO
    trade_pnl: Decimal | None = None
    cycle_pnl: Decimal | None = None


class Position:
    """A symbol's net position, kept from the engine's position events.

    Attributes
    ----------
    lots
        Signed size since the start, in lots.
    entry
        Average price and extremes, None while flat.
    entry_lots
        Unsigned size at which `entry` was last updated, in lots.
    exit
        The exit in force, or None.
    realized, cycle_realized
        Realised PnL net of fees in quote currency: since the first start, and of the open position alone, there with
        its funding.
    funding
        Funding payments since the start, in quote currency, negative if paid.
    results
        Splits realised PnL into results of trades.
    awaits_event
        Whether an execution still waits for its position event.
    """

    def __init__(self, decimals: int) -> None:
        self.lots = 0
        self.entry: PositionEntry | None = None
        self.entry_lots = 0
        self.exit: Exit | None = None
        self.realized = self.cycle_realized = self.funding = _ZERO
        self.results = PositionResults(decimals)
        self.awaits_event = False
        self._booked = Booked()
        self._held_lot_ns = self._since_ns = 0
        self._first_ns: int | None = None

    def hold(self, lots: int, now_ns: int) -> None:
        """Set the net size from `now_ns` on."""
        if self._first_ns is None:
            self._first_ns = self._since_ns = now_ns
        self._held_lot_ns += abs(self.lots) * (now_ns - self._since_ns)
        self._since_ns = now_ns
        self.lots = lots

    @property
    def opening(self) -> tuple[float, int] | None:
        """Average price of the open position and when it was opened, nanoseconds since the epoch; None while flat."""
        return None if self.entry is None else (self.entry.entry_price, self.entry.opened_ns)

    def average_lots(self, now_ns: int) -> float:
        """Return the time-weighted mean of the absolute size, in lots."""
        if self._first_ns is None or now_ns <= self._first_ns:
            return 0.0
        held = self._held_lot_ns + abs(self.lots) * (now_ns - self._since_ns)
        return held / (now_ns - self._first_ns)

    def follow(
        self,
        side: PositionSide,
        average_price: float,
        lots: int,
        last_price: float,
        smallest_lots: int,
        *,
        now_ns: int,
    ) -> None:
        """Update the entry after an execution; a flip, or an add to an unclosable remainder, starts a new entry.

        Parameters
        ----------
        average_price, last_price
            Its average price and the execution's, in quote currency.
        lots
            Its unsigned size; 0 if closed.
        now_ns
            Time of the execution, nanoseconds since the epoch.
        """
        before, self.entry_lots = self.entry_lots, lots
        if lots == 0:
            self.entry = self.exit = None
        elif self.entry is None or self.entry.side != side:
            self.entry, self.exit = PositionEntry.opened(average_price, side, now_ns), None
        elif before < smallest_lots <= lots:
            self.entry = PositionEntry.grown_from_remainder(average_price, side, last_price, now_ns)
            self.exit = None
        else:
            self.entry.average(average_price, min(1.0, before / lots))

    def book(self, quantity: Decimal, cycle_realized: Decimal) -> Booked | None:
        """Process a position event: unsigned size, and realised PnL since the position opened, in quote currency.

        Between an execution and its position event, entry and PnL are still the old ones. An execution that flips the
        position has two position events, and only the second completes it.

        Returns
        -------
        Booked or None
            The effect of the execution, None until it is complete.
        """
        is_flat, booked = quantity == 0, self._booked
        change = cycle_realized - self.cycle_realized
        self.realized += change
        self.cycle_realized = _ZERO if is_flat else cycle_realized
        booked.realized_change += change
        result = self.results.on_position(quantity, cycle_realized)
        booked.trade_pnl = booked.trade_pnl if result is None else result
        booked.cycle_pnl = cycle_realized if is_flat else booked.cycle_pnl
        if is_flat != (self.lots == 0):
            return None
        self.awaits_event, self._booked = False, Booked()
        return booked

    def settle(self, amount: Decimal) -> None:
        """Book a funding payment, in quote currency, apart from what trading realised."""
        self.funding += amount
        self.cycle_realized += amount
        self.results.settle(amount)

    def pnl_at(self, mid_price: float, lot: float) -> float:
        """Return realised plus unrealised PnL at a mid price and funding, net of fees, in quote currency."""
        unrealized = 0.0 if self.entry is None else self.lots * lot * (mid_price - self.entry.entry_price)
        return float(self.realized + self.funding) + unrealized

    def take_over(self, position: Any) -> None:
        """Take over an open position of the engine for which no event has come, as after a restart.

        A restored entry with the same price keeps its extreme prices and takes the engine's exact price: a price
        lower by rounding would count as an add at a loss and reset the extremes.
        """
        realized = position.realized_pnl
        self.cycle_realized = _ZERO if realized is None else realized.as_decimal()
        self.results.resume(position.quantity.as_decimal(), self.cycle_realized, self.results.open_fees)
        self.entry_lots = abs(self.lots)
        entry, price = self.entry, position.avg_px_open
        if (
            entry is not None
            and (entry.side == "long") == position.is_long
            and math.isclose(entry.entry_price, price, rel_tol=_SAME_PRICE)
        ):
            entry.entry_price = price
            entry.opened_ns = entry.opened_ns or position.ts_opened
        else:
            side: PositionSide = "long" if position.is_long else "short"
            self.follow(side, price, self.entry_lots, price, 0, now_ns=position.ts_opened)
