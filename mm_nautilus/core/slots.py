"""The life of one side's order: at most one is live, and those in flight count."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mm_nautilus.core.quoting import Quote

__all__ = ["QuoteSlot", "SlotState"]


class SlotState(StrEnum):
    """Where a side's order is."""

    EMPTY = "empty"
    PENDING_NEW = "pending new"
    WORKING = "working"
    PENDING_AMEND = "pending amend"
    PENDING_CANCEL = "pending cancel"


@dataclass(slots=True)
class QuoteSlot:
    """One side's only order and what was last asked of it.

    Attributes
    ----------
    state
        Where the order is.
    order_id
        The engine's id of the order, or None.
    price_ticks, open_lots
        Price in ticks and unfilled size in lots, as last confirmed.
    filled_lots
        Filled size in lots.
    pending
        Price and size of an insert or amend in flight, or None.
    amends
        How often the order has been amended.
    retry_at_ns
        No new order before this time, after a refusal.
    """

    state: SlotState = SlotState.EMPTY
    order_id: Any = None
    price_ticks: int = 0
    open_lots: int = 0
    filled_lots: int = 0
    pending: Quote | None = None
    amends: int = 0
    retry_at_ns: int = 0

    @property
    def is_settled(self) -> bool:
        """Whether no command is in flight."""
        return self.state in (SlotState.EMPTY, SlotState.WORKING)

    @property
    def is_resting(self) -> bool:
        """Whether the venue has confirmed an order that is not known to be gone."""
        return self.state not in (SlotState.EMPTY, SlotState.PENDING_NEW)

    @property
    def working(self) -> Quote | None:
        """The settled order, or None."""
        return Quote(self.price_ticks, self.open_lots) if self.state is SlotState.WORKING else None

    @property
    def worst_case_lots(self) -> int:
        """The most that may still be filled, whichever of the commands in flight arrives first."""
        return max(self.open_lots, self.pending.size_lots if self.pending else 0)

    def placed(self, order_id: Any, quote: Quote) -> None:
        """Note that an insert was sent."""
        self.state, self.order_id, self.pending = SlotState.PENDING_NEW, order_id, quote
        self.price_ticks, self.open_lots = quote.price_ticks, quote.size_lots

    def amending(self, quote: Quote) -> None:
        """Note that an amend was sent; its size is the open size wanted."""
        self.state, self.pending = SlotState.PENDING_AMEND, quote
        self.amends += 1

    def cancelling(self) -> None:
        """Note that a cancel was sent."""
        self.state = SlotState.PENDING_CANCEL

    def accepted(self) -> None:
        """Note that the venue confirmed the insert."""
        if self.state is SlotState.PENDING_NEW:
            self.state, self.pending = SlotState.WORKING, None

    def amended(self, price_ticks: int, total_lots: int) -> None:
        """Note that the venue confirmed an amend; `total_lots` includes what has been filled."""
        self.price_ticks, self.open_lots = price_ticks, max(0, total_lots - self.filled_lots)
        self.pending = None
        if self.state is SlotState.PENDING_AMEND:
            self.state = SlotState.WORKING

    def amend_refused(self, retry_at_ns: int) -> None:
        """Note that the venue refused an amend; the order stands as it was."""
        self.pending, self.retry_at_ns = None, retry_at_ns
        if self.state is SlotState.PENDING_AMEND:
            self.state = SlotState.WORKING

    def cancel_refused(self) -> None:
        """Note that the venue refused a cancel of an order that is still open."""
        if self.state is SlotState.PENDING_CANCEL:
            self.state = SlotState.PENDING_AMEND if self.pending is not None else SlotState.WORKING

    def filled(self, lots: int) -> None:
        """Note that lots were filled; an order that is done is closed by its caller."""
        self.filled_lots += lots
        self.open_lots = max(0, self.open_lots - lots)
        if self.pending is not None:
            # The venue counts what is filled since then against the size in flight.
            self.pending = self.pending._replace(size_lots=max(0, self.pending.size_lots - lots))

    def closed(self, retry_at_ns: int = 0) -> None:
        """Note that the order is gone: cancelled, expired, refused or filled."""
        self.state, self.order_id, self.pending = SlotState.EMPTY, None, None
        self.price_ticks = self.open_lots = self.filled_lots = self.amends = 0
        self.retry_at_ns = max(self.retry_at_ns, retry_at_ns)
