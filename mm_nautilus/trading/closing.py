"""How a symbol's position is closed: why, by which order, and what stands in the way."""

from typing import Any

from mm_nautilus.calibration.volatility import MINUTE_NS
from mm_nautilus.pricing.exits import ExitReason, check_exit, exit_text
from mm_nautilus.risk.limits import LogThrottle
from mm_nautilus.trading.market import Market
from mm_nautilus.trading.position import Position
from mm_nautilus.trading.sizes import Sizes
from mm_nautilus.trading.working_order import OrderCounts

__all__ = ["Closing"]


class Closing:
    """The exit of one symbol's position.

    Parameters
    ----------
    market, position, sizes, counts
        The symbol's.

    Attributes
    ----------
    flatten
        Why the position is closed whatever its prices say, None while it is not.
    order_id
        The exit order in flight, None while there is none.
    retry_ns
        No exit before this time, after one that was refused or found no liquidity.
    kept_for
        Why the strategy stopped with a position that it was to close, empty where it did not.
    """

    __slots__ = (
        "_counts",
        "_market",
        "_position",
        "_refusal",
        "_refusal_log",
        "_sizes",
        "flatten",
        "kept_for",
        "order_id",
        "retry_ns",
    )

    def __init__(self, market: Market, position: Position, sizes: Sizes, counts: OrderCounts) -> None:
        self._market = market
        self._position = position
        self._sizes = sizes
        self._counts = counts
        self.flatten: ExitReason | None = None
        self.order_id: Any = None
        self.retry_ns = 0
        self.kept_for = ""
        self._refusal, self._refusal_log = "", LogThrottle(MINUTE_NS)

    # -- Why --------------------------------------------------------------------------------------------

    def decide(self, now_ns: int) -> str | None:
        """Decide on an exit once; it stands until the position is closed. Return why, where it is decided now.

        What is left below the venue's smallest order cannot be closed by itself and is quoted on.
        """
        touch, position, market = self._market.touch, self._position, self._market
        if touch is None or position.entry is None or not market.guards.is_feed_believed:
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
        """Why the position is to be closed, None where it is not."""
        decided = self._position.exit
        return self.flatten or (None if decided is None else decided.reason)

    @property
    def is_wanted(self) -> bool:
        """Whether there is a position that is to be closed."""
        return self._position.lots != 0 and (self._position.exit is not None or self.flatten is not None)

    # -- How much ---------------------------------------------------------------------------------------

    @property
    def touch_ticks(self) -> int | None:
        """The best price that an exit could have, in ticks."""
        book = self._market.book
        return book.best_ask_ticks if self._position.lots < 0 else book.best_bid_ticks

    @property
    def least_lots(self) -> int:
        """The smallest exit the venue takes at the touch, in lots."""
        return self._sizes.order_limits.min_lots_at(self.touch_ticks or 1)

    @property
    def is_possible(self) -> bool:
        """Whether there is a touch to exit at and the position is no smaller than the venue's smallest order."""
        return self.touch_ticks is not None and abs(self._position.lots) >= self.least_lots

    def piece_of(self, lots: int) -> int:
        """Return how many of the lots that are to be closed the first order takes, at the dearer side of the book."""
        book = self._market.book
        return self._sizes.order_limits.piece_of(lots, book.best_ask_ticks or book.best_bid_ticks or 1)

    # -- What stands in the way -------------------------------------------------------------------------

    def on_refused(self, reason: str, now_ns: int) -> bool:
        """Note that an exit order was refused, and return whether that is to be logged."""
        self._counts.exits_refused += 1
        self._refusal = reason
        return self._refusal_log.begins(now_ns)

    @property
    def warnings(self) -> list[str]:
        """That the position could not be closed, or was not."""
        name, spec = self._market.name, self._market.spec
        found = []
        if self._refusal:
            found.append(
                f"Warning: {name}: {self._counts.exits_refused} exit orders were refused, the last one: "
                f"{self._refusal}"
            )
        if self.kept_for:
            position = f"{self._position.lots * spec.size_increment:f} {spec.base}"
            found.append(f"Warning: {name}: flatten_on_stop kept the position of {position}: {self.kept_for}")
        return found
