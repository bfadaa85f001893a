"""Close a symbol's position: the reason, the exit order, and refused exits."""

from typing import Any

from mm_nautilus.calibration.volatility import MINUTE_NS
from mm_nautilus.pricing.exits import ExitReason, check_exit, exit_text
from mm_nautilus.risk.limits import LogThrottle
from mm_nautilus.system.plain_text import counted
from mm_nautilus.trading.market import Market
from mm_nautilus.trading.position import Position
from mm_nautilus.trading.sizes import Sizes
from mm_nautilus.trading.working_order import OrderCounts


class Closing:
    """The exit of one symbol's position.

    Attributes
    ----------
    flatten
        Why the position is closed regardless of price (a halt or a stop), or None.
    order_id
        The exit order in flight, None while there is none.
    retry_ns
        Earliest time of the next exit order, after one that was refused or found no liquidity; ns since the epoch.
    kept_for
        Why `flatten_on_stop` left the position open; empty if it did not.
    """

    def __init__(self, market: Market, position: Position, sizes: Sizes, counts: OrderCounts) -> None:
        self._market, self._position, self._sizes, self._counts = market, position, sizes, counts
        self.flatten: ExitReason | None = None
        self.order_id: Any = None
        self.retry_ns = 0
        self.kept_for = ""
        self._refusal, self._refusal_log = "", LogThrottle(MINUTE_NS)

    # -- Why --------------------------------------------------------------------------------------------

    def decide(self, now_ns: int) -> str | None:
        """Check the exit rules and return the log line of a new exit, or None.

        An exit stays in force until the position is closed. A remainder below the venue's minimum order cannot be
        closed by itself, so quoting goes on.
        """
        touch, position, market = self._market.touch, self._position, self._market
        if touch is None or position.entry is None or not market.guards.is_feed_trusted:
            return None
        if not self.is_possible:
            position.exit = None if self.order_id is None else position.exit
            return None
        if position.exit is None:
            position.exit = check_exit(position.entry, *touch, market.params, now_ns)
            if position.exit is not None:
                words = exit_text(position.entry, position.exit, max(6, market.spec.price_precision))
                return f"{words} [{market.name}]"
        return None

    @property
    def purpose(self) -> ExitReason | None:
        """The reason of the exit in force, None without one."""
        decided = self._position.exit
        return self.flatten or (None if decided is None else decided.reason)

    @property
    def is_wanted(self) -> bool:
        """Whether a position is open and an exit is in force."""
        return self._position.lots != 0 and (self._position.exit is not None or self.flatten is not None)

    @property
    def has_part_to_close(self) -> bool:
        """Whether a position is open that an exit can close now, or once the side to exit at has a price."""
        return self._position.lots != 0 and (self.touch_ticks is None or self.is_possible)

    # -- How much ---------------------------------------------------------------------------------------

    @property
    def touch_ticks(self) -> int | None:
        """The touch an exit would trade against, in ticks: best ask of a short position, else best bid."""
        book = self._market.book
        return book.best_ask_ticks if self._position.lots < 0 else book.best_bid_ticks

    @property
    def least_lots(self) -> int:
        """The venue's minimum order size at the touch, in lots."""
        return self._sizes.order_limits.min_lots_at(self.touch_ticks or 1)

    @property
    def is_possible(self) -> bool:
        """Whether the side to exit at has a price and the position is at least the venue's minimum order."""
        return self.touch_ticks is not None and abs(self._position.lots) >= self.least_lots

    def piece_of(self, lots: int) -> int:
        """Return the size of the first of the exit orders for `lots`, priced at the best ask, in lots."""
        book = self._market.book
        return self._sizes.order_limits.piece_of(lots, book.best_ask_ticks or book.best_bid_ticks or 1)

    # -- Refusals ---------------------------------------------------------------------------------------

    def on_refused(self, reason: str, now_ns: int) -> bool:
        """Count a refused exit order and return whether to log it: the first within a minute."""
        self._counts.exits_refused += 1
        self._refusal = reason
        return self._refusal_log.begins(now_ns)

    @property
    def warnings(self) -> list[str]:
        """Texts about refused exits and about a position that stayed open at the stop."""
        name, spec = self._market.name, self._market.spec
        found = []
        if self._refusal:
            found.append(
                f"Warning: {name}: {counted(self._counts.exits_refused, 'exit order')} refused, the last one: "
                f"{self._refusal}"
            )
        if self.kept_for:
            position = f"{self._position.lots * spec.size_increment:f} {spec.base}"
            found.append(f"Warning: {name}: flatten_on_stop kept the position of {position}: {self.kept_for}")
        return found
