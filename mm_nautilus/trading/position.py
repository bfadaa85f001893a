"""One symbol's position since the start: its size, its entry, and what it has realised."""

import math
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from mm_nautilus.pricing.exits import Exit, PositionEntry, PositionSide

__all__ = ["Position", "PositionResults"]

_ZERO: Final = Decimal(0)
_SAME_PRICE: Final = 1e-9
"""Share of a price by which the engine's average may miss the saved one and still be the same position's."""


@dataclass(slots=True)
class PositionResults:
    """Split a position's cumulative realised PnL into results of trades.

    An execution that opens or adds realises only its fee. That fee is carried with the position and charged
    to the executions that reduce it, in proportion to the size they close, so that a trade's result is net of
    the fees on both ends and the results of a closed position add up to its realised PnL to the last digit.

    Parameters
    ----------
    decimals
        Digits the quote currency is kept with.
    """

    decimals: int
    quantity: Decimal = _ZERO
    open_fees: Decimal = _ZERO
    _cycle_realized: Decimal = field(default=_ZERO)

    def resume(self, quantity: Decimal, cycle_realized: Decimal, open_fees: Decimal) -> None:
        """Go on with a position that was open before, as it is now."""
        self.quantity, self._cycle_realized, self.open_fees = quantity, cycle_realized, open_fees

    def on_position(self, quantity: Decimal, cycle_realized: Decimal) -> Decimal | None:
        """Take in a position event.

        Parameters
        ----------
        quantity
            Unsigned size of the position after the event, in base currency; 0 when it closed.
        cycle_realized
            Realised PnL of the position since it opened, net of fees, in quote currency.

        Returns
        -------
        Decimal or None
            The trade's result in quote currency, or None where the event opened or added.
        """
        change = cycle_realized - self._cycle_realized
        before, self.quantity, self._cycle_realized = self.quantity, quantity, cycle_realized
        # A position that closes without having been seen open, after a restart, still is a trade.
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
    """What the executions since the last complete booking did, in quote currency.

    Parameters
    ----------
    realized_change
        Change of realised PnL, net of fees.
    trade_pnl
        Result of the trade, None where nothing was reduced.
    cycle_pnl
        Realised PnL of the position that was closed, None where none was.
    """

    realized_change: Decimal = _ZERO
    trade_pnl: Decimal | None = None
    cycle_pnl: Decimal | None = None


class Position:
    """A symbol's net position, kept from the engine's position events.

    Parameters
    ----------
    decimals
        Digits the quote currency is kept with.

    Attributes
    ----------
    lots
        Signed size since the start, in lots.
    entry
        Average price and extremes, None while flat.
    entry_lots
        Unsigned size that `entry` is of.
    exit
        The decision to close it, None while there is none.
    realized, cycle_realized
        Realised PnL net of fees in quote currency: since the first start, and of the open position alone.
    results
        What splits realised PnL into trades.
    awaits_event
        Whether an execution's position event is still to come.
    """

    __slots__ = (
        "_booked",
        "_first_ns",
        "_held_lot_ns",
        "_since_ns",
        "awaits_event",
        "cycle_realized",
        "entry",
        "entry_lots",
        "exit",
        "lots",
        "realized",
        "results",
    )

    def __init__(self, decimals: int) -> None:
        self.lots = 0
        self.entry: PositionEntry | None = None
        self.entry_lots = 0
        self.exit: Exit | None = None
        self.realized = self.cycle_realized = _ZERO
        self.results = PositionResults(decimals)
        self.awaits_event = False
        self._booked = Booked()
        self._held_lot_ns = self._since_ns = 0
        self._first_ns: int | None = None

    def hold(self, lots: int, now_ns: int) -> None:
        """Note a new net size and the time the last one was held."""
        if self._first_ns is None:
            self._first_ns = self._since_ns = now_ns
        self._held_lot_ns += abs(self.lots) * (now_ns - self._since_ns)
        self._since_ns = now_ns
        self.lots = lots

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
        """Follow the entry after an execution; a flip, and an add to what could not be closed, begin anew.

        Parameters
        ----------
        side
            The position's side.
        average_price, last_price
            Its average price and the execution's, in quote currency.
        lots
            Its unsigned size, 0 where it is closed.
        smallest_lots
            The venue's smallest exit.
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
        """Take in a position event: unsigned size, and realised PnL since the position opened, in quote currency.

        Between an execution and the position event that says what it did, entry and PnL are still the old ones;
        an execution that flips the position has two events, of which only the second completes it.

        Returns
        -------
        Booked or None
            What the execution did, once that is complete.
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

    def pnl_at(self, mid_price: float, lot: float) -> float:
        """Return the total PnL, net of fees, with what is open marked at a mid; all in quote currency.

        Parameters
        ----------
        mid_price
            The mid.
        lot
            Size of a lot in base currency.
        """
        unrealized = 0.0 if self.entry is None else self.lots * lot * (mid_price - self.entry.entry_price)
        return float(self.realized) + unrealized

    def take_over(self, position: Any) -> None:
        """Follow a position that the engine has open although no event has come of it.

        A restored entry that is this position's keeps its extremes and takes the engine's price, to the last bit: a
        lower one would count as an add at a loss, which begins the extremes anew.
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
