"""A venue's trading status, of the whole venue or of one pair, and what it allows a market maker."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from mm_nautilus.pricing.not_quoting import NotQuoting


class VenueState(StrEnum):
    """Trading status in Kraken's words.

    ``unknown`` stands for any other word: nothing is sent then, because what it allows is not known.
    """

    ONLINE = "online"
    LIMIT_ONLY = "limit_only"
    POST_ONLY = "post_only"
    REDUCE_ONLY = "reduce_only"
    CANCEL_ONLY = "cancel_only"
    WORK_IN_PROGRESS = "work_in_progress"
    MAINTENANCE = "maintenance"
    DELISTED = "delisted"
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> "VenueState":
        return cls.UNKNOWN

    @property
    def takes_quotes(self) -> bool:
        """Whether the venue accepts post-only orders that increase a position."""
        return self not in _NO_QUOTES

    @property
    def takes_market_orders(self) -> bool:
        """Whether the venue accepts market orders that reduce a position, as exits do."""
        return self in _MARKET_ORDERS


_NO_QUOTES: Final = {
    VenueState.REDUCE_ONLY: NotQuoting.VENUE_REDUCE_ONLY,
    VenueState.CANCEL_ONLY: NotQuoting.VENUE_CANCEL_ONLY,
    VenueState.WORK_IN_PROGRESS: NotQuoting.PAIR_NOT_OPEN,
    VenueState.MAINTENANCE: NotQuoting.VENUE_MAINTENANCE,
    VenueState.DELISTED: NotQuoting.PAIR_DELISTED,
    VenueState.UNKNOWN: NotQuoting.VENUE_STATE_UNKNOWN,
}
_MARKET_ORDERS: Final = frozenset({VenueState.ONLINE, VenueState.REDUCE_ONLY})


def strictest(states: Iterable[VenueState]) -> VenueState:
    """Combine several states: what one of them forbids is forbidden.

    Post-only combined with reduce-only leaves cancel-only.
    """
    known = frozenset(states)
    worst = max(known, key=list(VenueState).index)
    if worst.takes_market_orders and not all(state.takes_market_orders for state in known):
        return VenueState.CANCEL_ONLY
    return worst


def venue_reason(state: VenueState, *, takes: bool) -> NotQuoting | None:
    """Return why a symbol must not be quoted in a venue state, or None.

    Parameters
    ----------
    takes
        Whether the symbol enters by market orders.
    """
    if takes and state.takes_quotes and not state.takes_market_orders:
        return NotQuoting.VENUE_NO_MARKET_ORDERS
    return _NO_QUOTES.get(state)
