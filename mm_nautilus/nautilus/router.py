"""Turn wanted quotes and exits into order commands, and order events back into the desks' slots."""

import math
from dataclasses import dataclass, field
from typing import Any, Final

from nautilus_trader.model import ClientOrderId, Currency, OrderSide, TimeInForce

from mm_nautilus.core.exits import ExitReason
from mm_nautilus.core.guards import SECOND_NS, ActionBudget, Spell
from mm_nautilus.core.quoting import UNSAFE_BOOK, NotQuoting, OrderAction, Quote, decide_action, size_is_right
from mm_nautilus.core.slots import QuoteSlot, SlotState
from mm_nautilus.core.volatility import MINUTE_NS
from mm_nautilus.nautilus.balances import Balances
from mm_nautilus.nautilus.desk import SideDesk, SymbolDesk
from mm_nautilus.nautilus.order_trail import OrderTrail, grounds_of

__all__ = ["ENTRY", "MAX_AMENDS", "QUOTE", "OrderRouter"]

MAX_AMENDS: Final = 20
"""An order is replaced after this many amends: the engine's cost of an amend grows with the order's history."""
QUOTE: Final = "quote"
"""Purpose of a passive quote."""
ENTRY: Final = "entry"
"""Purpose of a marketable order that the signal rule sends."""
_LOT_ROUNDING: Final = 1e-9
"""Share of a lot by which a balance may miss it through binary rounding and still pay for it."""
_SWEEP_SHARE: Final = 0.05
"""Headroom of a marketable buy on a cash account: what sweeping the book may cost above the best ask. A balance
that a fill would overdraw ends the whole run."""


@dataclass(frozen=True, slots=True)
class _LiveOrder:
    """An order that is not closed yet: a side's quote or entry, or an exit where `side` is None.

    `sent` is the order as it was sent; a marketable one is priced at what it may cost at most.
    """

    desk: SymbolDesk
    side: SideDesk | None
    purpose: str
    is_buy: bool
    sent: Quote
    trail: OrderTrail = field(default_factory=OrderTrail)

    @property
    def is_marketable(self) -> bool:
        """Whether the order takes liquidity at once, or what is left of it is cancelled."""
        return self.purpose != QUOTE

    @property
    def is_locked(self) -> bool:
        """Whether the account already sets something aside for the order: from its acceptance on."""
        return (
            self.side is not None
            and not self.is_marketable
            and self.side.slot.state is not SlotState.PENDING_NEW
        )

    def claim(self, currency: Currency) -> float:
        """Return what the order will still take of a balance beyond what the account has locked for it.

        The account locks a resting order's value, from the moment it is accepted, without its fee.
        """
        desk = self.desk
        if currency != (desk.quote_currency if self.is_buy else desk.base_currency):
            return 0.0
        if self.side is None or self.is_marketable:
            locked, all_in = 0.0, _value(desk, self.sent, is_buy=self.is_buy)
        else:
            slot = self.side.slot
            resting = Quote(slot.price_ticks, slot.open_lots)
            locked = 0.0 if slot.state is SlotState.PENDING_NEW else _value(desk, resting, is_buy=self.is_buy)
            pending = slot.pending or resting
            all_in = max(locked, _value(desk, pending, is_buy=self.is_buy))
        return all_in * (1.0 + (desk.fee_share if self.is_buy else 0.0)) - locked


def _value(desk: SymbolDesk, quote: Quote, *, is_buy: bool) -> float:
    """Return what an order needs of its balance: quote currency for a bid, base currency for an ask."""
    return quote.size_lots * desk.lot * (quote.price_ticks * desk.tick if is_buy else 1.0)


class OrderRouter:
    """Send order commands for a strategy's desks, as few as possible, and follow their fate.

    Parameters
    ----------
    strategy
        The strategy that owns the orders.
    balances
        The account's balances.
    amend_orders
        Whether working orders are amended rather than cancelled and replaced.
    max_actions_per_second
        Cap on new, amended and cancelled quotes in any second; exits, halts and cancels because of an unsound
        book pass it.
    """

    def __init__(
        self, strategy: Any, balances: Balances, *, amend_orders: bool, max_actions_per_second: int
    ) -> None:
        self._strategy = strategy
        self._balances = balances
        self._amend_orders = amend_orders
        self.budget = ActionBudget(max_actions_per_second)
        self._rate_caps = Spell(MINUTE_NS)
        self._live: dict[ClientOrderId, _LiveOrder] = {}

    # -- Quotes -----------------------------------------------------------------------------------------

    def align(self, desk: SymbolDesk, side: SideDesk, target: Quote | NotQuoting, now_ns: int) -> None:
        """Bring one side's order to its target, or note why there is none."""
        slot = side.slot
        if not slot.is_settled or self._is_taking(side):
            return
        action = self._decide(desk, slot, target)
        if action is not OrderAction.NOTHING and isinstance(target, Quote):
            target = self._affordable(desk, side, self._keeping_size(desk, slot, target, action))
            action = self._decide(desk, slot, target)
            if (
                action is OrderAction.AMEND
                and isinstance(target, Quote)
                and self._would_deny(desk, side, target)
            ):
                action = OrderAction.CANCEL
        reason = self._carry_out(action, desk, side, target, now_ns)
        side.set_reason(reason, desk.told_ns(now_ns))

    def _is_taking(self, side: SideDesk) -> bool:
        """Return whether a side's order is a marketable one, which is never amended or cancelled."""
        live = self._live.get(side.slot.order_id)
        return live is not None and live.is_marketable

    def _decide(self, desk: SymbolDesk, slot: QuoteSlot, target: Quote | NotQuoting) -> OrderAction:
        return decide_action(
            slot.working,
            target,
            tolerance_ticks=desk.tolerance_ticks,
            size_tolerance=desk.params.requote_size_tolerance_pct / 100.0,
            may_amend=self._amend_orders and slot.amends < MAX_AMENDS,
        )

    @staticmethod
    def _keeping_size(desk: SymbolDesk, slot: QuoteSlot, target: Quote, action: OrderAction) -> Quote:
        """Amend a price alone where the order's size may stay."""
        working, tolerance = slot.working, desk.params.requote_size_tolerance_pct / 100.0
        if action is OrderAction.AMEND and working is not None and size_is_right(working, target, tolerance):
            return target._replace(size_lots=working.size_lots)
        return target

    def _carry_out(
        self, action: OrderAction, desk: SymbolDesk, side: SideDesk, target: Quote | NotQuoting, now_ns: int
    ) -> NotQuoting | None:
        """Send what `action` asks for and return why the side is not quoted, if it is not."""
        reason = None if isinstance(target, Quote) else target
        if action is OrderAction.NOTHING:
            return reason
        if not self.budget.allows(now_ns) and reason not in UNSAFE_BOOK:
            desk.due_ns = min(desk.due_ns, self.budget.next_ns)
            if self._rate_caps.begins(now_ns):
                self._strategy.log.warning(
                    f"MM: {desk.spec.symbol} held back: the cap on order actions a second"
                )
            return reason or NotQuoting.ACTION_RATE_CAP
        if action is OrderAction.CANCEL:
            self._cancel(desk, side, now_ns)
            return reason
        assert isinstance(target, Quote)  # noqa: S101 - decide_action places and amends only quotes
        if action is OrderAction.AMEND:
            self._amend(desk, side, target, now_ns)
        else:
            self._place(desk, side, target, now_ns)
        return None

    def _place(self, desk: SymbolDesk, side: SideDesk, quote: Quote, now_ns: int) -> None:
        if desk.params.entry_order == "taker":
            self._enter(desk, side, quote, now_ns)
            return
        order = self._strategy.order_factory.limit(
            desk.instrument_id,
            OrderSide.BUY if side.is_bid else OrderSide.SELL,
            desk.quantity(quote.size_lots),
            desk.price(quote.price_ticks),
            post_only=True,
            tags=[QUOTE],
        )
        self._submit(order, _LiveOrder(desk, side, QUOTE, side.is_bid, quote), quote, now_ns)

    def _enter(self, desk: SymbolDesk, side: SideDesk, quote: Quote, now_ns: int) -> None:
        order = self._strategy.order_factory.market(
            desk.instrument_id,
            OrderSide.BUY if side.is_bid else OrderSide.SELL,
            desk.quantity(quote.size_lots),
            time_in_force=TimeInForce.IOC,
            tags=[ENTRY],
        )
        sent = quote._replace(price_ticks=_most_ticks(desk))
        self._submit(order, _LiveOrder(desk, side, ENTRY, side.is_bid, sent), quote, now_ns)

    def _submit(self, order: Any, live: _LiveOrder, quote: Quote, now_ns: int) -> None:
        assert live.side is not None  # noqa: S101 - exits are submitted elsewhere
        self._live[order.client_order_id] = live
        live.side.slot.placed(order.client_order_id, quote)
        price_ticks = None if live.is_marketable else quote.price_ticks
        live.trail.placed(grounds_of(live.desk, price_ticks, quote.size_lots, now_ns))
        live.desk.counts.placed += 1
        self.budget.spend(now_ns)
        self._strategy.submit_order(order)

    def _amend(self, desk: SymbolDesk, side: SideDesk, quote: Quote, now_ns: int) -> None:
        slot = side.slot
        whole_lots = quote.size_lots + slot.filled_lots
        quantity = None if quote.size_lots == slot.open_lots else desk.quantity(whole_lots)
        self._live[slot.order_id].trail.amending(grounds_of(desk, quote.price_ticks, whole_lots, now_ns))
        slot.amending(quote)
        desk.counts.amended += 1
        self.budget.spend(now_ns)
        self._strategy.modify_order(slot.order_id, quantity=quantity, price=desk.price(quote.price_ticks))

    def _cancel(self, desk: SymbolDesk, side: SideDesk, now_ns: int) -> None:
        side.slot.cancelling()
        desk.counts.cancelled += 1
        self.budget.spend(now_ns)
        self._strategy.cancel_order(side.slot.order_id)

    def _affordable(self, desk: SymbolDesk, side: SideDesk, quote: Quote) -> Quote | NotQuoting:
        """Shrink a quote to the free balance of a cash account; below the venue's minimum there is none."""
        if self._is_covered(desk, side, quote):
            return quote
        takes = desk.params.entry_order == "taker"
        free = self._free_lots(
            desk, _most_ticks(desk) if takes else quote.price_ticks, is_buy=side.is_bid, own=side.slot
        )
        if free is None or free >= quote.size_lots:
            return quote
        smallest = desk.min_lots_at(quote.price_ticks)
        return quote._replace(size_lots=free) if free >= smallest else NotQuoting.INSUFFICIENT_BALANCE

    def _is_covered(self, desk: SymbolDesk, side: SideDesk, quote: Quote) -> bool:
        """Return whether a quote takes no more of its balance than the side's settled order has locked already."""
        working = side.slot.working
        if working is None:
            return False
        by_price = side.is_bid or not self._balances.is_cash
        return _value(desk, quote, is_buy=by_price) <= _value(desk, working, is_buy=by_price)

    def _would_deny(self, desk: SymbolDesk, side: SideDesk, quote: Quote) -> bool:
        """Return whether the engine would refuse an amend whose open part is neither too large nor too dear.

        It judges the whole order, also the part that is filled already.
        """
        filled = side.slot.filled_lots
        if filled == 0:
            return False
        whole = quote.size_lots + filled
        if desk.order_limits.within_max(whole, quote.price_ticks) < whole:
            return True
        free = self._free_lots(desk, quote.price_ticks, is_buy=side.is_bid, own=side.slot)
        return free is not None and free < whole

    def _free_lots(
        self, desk: SymbolDesk, price_ticks: int, *, is_buy: bool, own: QuoteSlot | None = None
    ) -> int | None:
        """Return how many lots the free balance pays for at a price, None where nothing limits them.

        What the order in the slot `own` has locked is free for its amendment.
        """
        if not self._balances.is_cash:
            return self._free_margin_lots(desk, price_ticks, is_buy=is_buy, own=own)
        currency = desk.quote_currency if is_buy else desk.base_currency
        free = self._balances.free(currency)
        own_id = None if own is None else own.order_id
        free -= sum(live.claim(currency) for order_id, live in self._live.items() if order_id != own_id)
        if own is not None and own.working is not None:
            free += _value(desk, own.working, is_buy=is_buy)
        if is_buy:
            free /= price_ticks * desk.tick * (1.0 + desk.fee_share)
        return max(0, math.floor(free / desk.lot + _LOT_ROUNDING))

    def _free_margin_lots(
        self, desk: SymbolDesk, price_ticks: int, *, is_buy: bool, own: QuoteSlot | None
    ) -> int | None:
        """Return how many lots a margin account's free balance secures, besides those that reduce the position."""
        rate = desk.margin_rate / self._balances.leverage
        if rate == 0.0:
            return None
        own_id = None if own is None else own.order_id
        free = self._balances.free(desk.quote_currency)
        for order_id, live in self._live.items():
            if order_id != own_id and live.desk.quote_currency == desk.quote_currency and not live.is_locked:
                free -= rate * _value(live.desk, live.sent, is_buy=True)
        if own is not None and own.working is not None:
            free += rate * _value(desk, own.working, is_buy=True)
        secured = math.floor(
            free / (price_ticks * desk.tick * (rate + desk.fee_share)) / desk.lot + _LOT_ROUNDING
        )
        reducing = max(0, -desk.position_lots if is_buy else desk.position_lots)
        return max(secured, reducing, 0)

    # -- Cancels and exits ------------------------------------------------------------------------------

    def pull_quotes(self, desk: SymbolDesk, reason: NotQuoting, now_ns: int) -> None:
        """Cancel a symbol's settled quotes whatever the action rate; those in flight follow when confirmed."""
        for side in (desk.bid, desk.ask):
            if side.slot.state is SlotState.WORKING and not self._is_taking(side):
                self._cancel(desk, side, now_ns)
            side.set_reason(reason, desk.told_ns(now_ns))

    def close_position(self, desk: SymbolDesk, purpose: ExitReason, now_ns: int) -> None:
        """Send one reduce-only marketable order over the position, or a first piece of it, unless one is in flight.

        On a cash account the order waits until the cancelled quotes have released the balance it needs.
        """
        if desk.position_lots == 0 or desk.exit_order_id is not None or now_ns < desk.exit_retry_ns:
            return
        lots = desk.exit_piece(self._exit_lots(desk))
        if lots > 0:
            self._send_exit(desk, purpose, lots, now_ns)

    def close_at_last(self, desk: SymbolDesk, now_ns: int) -> None:
        """Send all the pieces that close the position at once: nobody hears of fills while the strategy stops."""
        in_flight = self._live.get(desk.exit_order_id)
        left = self._exit_lots(desk) - (0 if in_flight is None else in_flight.sent.size_lots)
        while left > 0:
            piece = desk.exit_piece(left)
            left -= piece
            self._send_exit(desk, ExitReason.STOP, piece, now_ns)

    def _send_exit(self, desk: SymbolDesk, purpose: ExitReason, lots: int, now_ns: int) -> None:
        is_buy = desk.position_lots < 0
        order = self._strategy.order_factory.market(
            desk.instrument_id,
            OrderSide.BUY if is_buy else OrderSide.SELL,
            desk.quantity(lots),
            time_in_force=TimeInForce.IOC,
            reduce_only=True,
            tags=[purpose.value],
        )
        desk.exit_order_id = order.client_order_id
        sent = Quote(_most_ticks(desk), lots)
        live = _LiveOrder(desk, None, purpose.value, is_buy, sent)
        live.trail.placed(grounds_of(desk, None, lots, now_ns))
        self._live[order.client_order_id] = live
        desk.counts.placed += 1
        self.budget.spend(now_ns)
        self._strategy.submit_order(order)

    def _exit_lots(self, desk: SymbolDesk) -> int:
        """Return how much of the position can be closed now; 0 while that is nothing a venue would take.

        A cash account may lack the balance: as long as quotes hold some of it, the exit waits for their cancel,
        then it closes what there is balance for.
        """
        if not desk.is_closable or not desk.guards.venue.takes_market_orders:
            return 0
        lots = abs(desk.position_lots)
        free = self._free_lots(desk, _most_ticks(desk), is_buy=desk.position_lots < 0)
        if free is None or free >= lots:
            return lots
        quotes_gone = desk.bid.slot.state is SlotState.EMPTY and desk.ask.slot.state is SlotState.EMPTY
        return free if quotes_gone and free >= desk.least_exit_lots else 0

    # -- Events -----------------------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Whether no order is working or on its way."""
        return not self._live

    def find(self, event: Any) -> _LiveOrder | None:
        """Return the live order an event belongs to, or None if it is not one of ours."""
        return self._live.get(event.client_order_id)

    def on_accepted(self, live: _LiveOrder) -> None:
        """Note that the venue took a new order."""
        if live.side is not None:
            live.side.slot.accepted()

    def on_updated(self, live: _LiveOrder, event: Any) -> None:
        """Note that the venue confirmed an amend (or clamped a reduce-only exit)."""
        live.trail.amended()
        if live.side is not None and event.price is not None:
            live.side.slot.amended(live.desk.ticks(event.price), live.desk.lots(event.quantity))

    def on_amend_refused(self, live: _LiveOrder, now_ns: int) -> None:
        """Note that the venue refused an amend; the order stands as it was."""
        live.trail.amend_refused()
        live.desk.counts.rejected += 1
        live.desk.guards.refusals.add(now_ns)
        if live.side is not None:
            live.side.slot.amend_refused(self._retry_ns(live.desk, now_ns))

    def on_cancel_refused(self, live: _LiveOrder) -> None:
        """Note that the venue refused a cancel, mostly because a fill was faster."""
        if live.side is not None:
            live.side.slot.cancel_refused()

    def on_filled(self, live: _LiveOrder, event: Any, now_ns: int, *, is_closed: bool) -> None:
        """Note that one of our orders was executed."""
        desk = live.desk
        side = live.side or (desk.bid if event.is_buy else desk.ask)
        side.last_fill_ns = now_ns
        if live.side is not None:
            live.side.slot.filled(desk.lots(event.last_qty))
        if is_closed:
            self._close(event.client_order_id, live)

    def on_closed(self, event: Any, live: _LiveOrder) -> None:
        """Note that an order ended without being refused: cancelled or expired.

        What is left of a marketable order found no liquidity: the next one waits as after a refusal.
        """
        retry_ns = self._retry_ns(live.desk, event.ts_init) if live.is_marketable else 0
        self._close(event.client_order_id, live, retry_ns)

    def on_refused(self, event: Any, live: _LiveOrder, now_ns: int, *, denied: bool) -> None:
        """Note that an order was refused: rejected by the venue, or denied by the engine's risk checks."""
        counts = live.desk.counts
        counts.denied += denied
        counts.rejected += not denied
        live.desk.guards.refusals.add(now_ns)
        if live.side is None:
            self._note_refused_exit(live, str(event.reason), now_ns)
        self._close(event.client_order_id, live, self._retry_ns(live.desk, now_ns))

    def _note_refused_exit(self, live: _LiveOrder, reason: str, now_ns: int) -> None:
        desk = live.desk
        desk.counts.exits_refused += 1
        desk.exit_refusal = reason
        if desk.exit_refusals.begins(now_ns):
            self._strategy.log.warning(
                f"MM: {desk.spec.symbol} cannot be closed ({live.purpose}), tried again every "
                f"{desk.params.retry_after_seconds:g} s: {reason}"
            )

    def _close(self, order_id: ClientOrderId, live: _LiveOrder, retry_ns: int = 0) -> None:
        self._live.pop(order_id, None)
        if live.side is not None:
            live.side.slot.closed(retry_ns)
        elif live.desk.exit_order_id == order_id:
            live.desk.exit_order_id = None
            live.desk.exit_retry_ns = retry_ns

    @staticmethod
    def _retry_ns(desk: SymbolDesk, now_ns: int) -> int:
        return now_ns + max(1, round(desk.params.retry_after_seconds * SECOND_NS))


def _most_ticks(desk: SymbolDesk) -> int:
    """Return the price a marketable buy is reckoned with, in ticks."""
    return math.ceil((desk.book.best_ask_ticks or 1) * (1.0 + _SWEEP_SHARE))
