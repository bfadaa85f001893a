"""Place, amend and cancel quotes, close positions, and track the orders' states."""

from collections.abc import Sequence
from typing import Any, Final

from nautilus_trader.model import (
    ClientOrderId,
    OrderAccepted,
    OrderCanceled,
    OrderCancelRejected,
    OrderDenied,
    OrderExpired,
    OrderFilled,
    OrderModifyRejected,
    OrderRejected,
    OrderSide,
    OrderUpdated,
    TimeInForce,
)

from mm_nautilus.calibration.volatility import MINUTE_NS
from mm_nautilus.pricing.exits import ExitReason
from mm_nautilus.pricing.not_quoting import UNSAFE_BOOK, NotQuoting
from mm_nautilus.pricing.quotes import OrderAction, Quote, decide_action, size_is_right
from mm_nautilus.risk.limits import ActionBudget, LogThrottle
from mm_nautilus.risk.rate_limit import Command
from mm_nautilus.system.moments import SECOND_NS
from mm_nautilus.trading.affordability import Affordability, most_ticks
from mm_nautilus.trading.balances import Balances
from mm_nautilus.trading.command_door import CommandDoor
from mm_nautilus.trading.symbol import SymbolState
from mm_nautilus.trading.working_order import ENTRY, QUOTE, OrderState, QuoteSide, WorkingOrder

MAX_AMENDS: Final = 20
"""Amends after which an order is replaced: the engine's cost of an amend grows with the order's history."""

_OUTCOMES: Final = frozenset(
    {
        OrderAccepted,
        OrderUpdated,
        OrderFilled,
        OrderCanceled,
        OrderExpired,
        OrderRejected,
        OrderDenied,
        OrderModifyRejected,
        OrderCancelRejected,
    }
)
"""Order events that answer a command; the other events come while the engine still processes the command."""


class OrderManager:
    """Send a strategy's order commands, as few as possible, and track their outcome.

    Parameters
    ----------
    max_actions_per_second
        Cap on new, amended and cancelled quotes in any second; exits, halts and cancels on an invalid book are
        exempt.
    """

    def __init__(
        self,
        strategy: Any,
        balances: Balances,
        door: CommandDoor,
        *,
        amend_orders: bool,
        max_actions_per_second: int,
    ) -> None:
        self._strategy, self._door = strategy, door
        self._amend_orders = amend_orders
        self._budget = ActionBudget(max_actions_per_second)
        self._rate_cap_log = LogThrottle(MINUTE_NS)
        self._live: dict[ClientOrderId, WorkingOrder] = {}
        self._affordability = Affordability(balances, self._live)

    # -- Quotes -----------------------------------------------------------------------------------------

    @staticmethod
    def in_turn(symbol: SymbolState) -> Sequence[QuoteSide]:
        """Return a symbol's sides in the order in which to align them.

        Of several levels those without an order come first, then the oldest orders, whose commands cost fewest points.
        """
        if len(symbol.sides) == 2:
            return symbol.sides
        return sorted(symbol.sides, key=lambda side: 0 if side.order is None else side.order.grounds.now_ns)

    def align(self, symbol: SymbolState, side: QuoteSide, now_ns: int) -> None:
        """Bring one side's order to its target, or record why it is not quoted; wait for commands in flight."""
        order, target = side.order, side.target
        if order is not None and (order.state is not OrderState.WORKING or order.is_marketable):
            return
        has_levels, side.waits_for_orders = len(symbol.sides) > 2, False
        if symbol.others is not None:
            target = _clear_of_own(symbol, side, target)
        if has_levels:
            target = _within_cap(symbol, side, target, nearer_only=True)
        action = self._decide(symbol, order, target)
        if action is not OrderAction.NOTHING and isinstance(target, Quote):
            wanted = target
            if action is OrderAction.AMEND and order is not None:
                target = self._keeping_size(symbol, order.resting, target)
            if has_levels:
                target = _within_cap(symbol, side, target)
            if isinstance(target, Quote):
                target = self._affordability.limited(symbol, side, target)
            if target is not wanted:
                action = self._decide(symbol, order, target)
            if (
                action is OrderAction.AMEND
                and isinstance(target, Quote)
                and self._affordability.would_deny(symbol, side, target)
            ):
                action = OrderAction.CANCEL
        reason = self._carry_out(action, symbol, side, target, now_ns)
        if reason is not side.stats.current:
            side.set_reason(reason, symbol.report_ns(now_ns))

    def _decide(
        self, symbol: SymbolState, order: WorkingOrder | None, target: Quote | NotQuoting
    ) -> OrderAction:
        return decide_action(
            None if order is None else order.resting,
            target,
            tolerance_ticks=symbol.tolerance_ticks,
            size_tolerance=symbol.size_tolerance,
            may_amend=self._amend_orders and (order is None or order.amends < MAX_AMENDS),
        )

    @staticmethod
    def _keeping_size(symbol: SymbolState, resting: Quote, target: Quote) -> Quote:
        """Return the target with the order's open size if that may stay, so that only the price is amended."""
        if resting.size_lots != target.size_lots and size_is_right(resting, target, symbol.size_tolerance):
            return target._replace(size_lots=resting.size_lots)
        return target

    def _carry_out(
        self,
        action: OrderAction,
        symbol: SymbolState,
        side: QuoteSide,
        target: Quote | NotQuoting,
        now_ns: int,
    ) -> NotQuoting | None:
        """Send the command of `action` and return why the side is not quoted, None if it is."""
        reason = None if isinstance(target, Quote) else target
        if action is not OrderAction.NOTHING and isinstance(target, Quote):
            until_ns, order = self._held_until_ns(action, symbol, side, target, now_ns), side.order
            if until_ns is not None and order is not None and order.resting.size_lots > target.room_lots:
                # An order beyond the inventory cap must not wait; the reserve covers a cancel.
                action = OrderAction.CANCEL
            elif until_ns is not None:
                symbol.next_requote_ns = min(symbol.next_requote_ns, until_ns)
                return NotQuoting.WAITING_FOR_POINTS if order is None else None
        side.wait.end(now_ns)
        if action is OrderAction.NOTHING:
            return reason
        if not self._budget.allows(now_ns) and reason not in UNSAFE_BOOK:
            symbol.next_requote_ns = min(symbol.next_requote_ns, self._budget.next_ns)
            if self._rate_cap_log.begins(now_ns):
                self._strategy.log.warning(f"MM: {symbol.name} reached the cap on order actions per second")
            return reason or NotQuoting.ACTION_RATE_CAP
        if action is OrderAction.CANCEL:
            self._cancel(symbol, side, now_ns)
            return reason
        assert isinstance(target, Quote)  # noqa: S101 - decide_action places and amends only quotes
        if action is OrderAction.AMEND:
            self._amend(symbol, side, target, now_ns)
        elif symbol.params.entry_order == "taker":
            order = self._market_order(symbol, side.is_bid, target.size_lots, ENTRY)
            self._submit(order, symbol, side, ENTRY, target, now_ns)
        else:
            self._place(symbol, side, target, now_ns)
        return None

    def _held_until_ns(
        self, action: OrderAction, symbol: SymbolState, side: QuoteSide, target: Quote, now_ns: int
    ) -> int | None:
        """Return None if a quote may be placed or amended now, else when to try again."""
        order = side.order
        if order is not None and symbol.min_quote_life_ns:
            settled_ns = order.grounds.now_ns + symbol.min_quote_life_ns
            if now_ns < settled_ns and size_is_right(order.resting, target, symbol.size_tolerance):
                return settled_ns
        return self._door.held_until_ns(action, symbol, side, target, now_ns)

    def _place(self, symbol: SymbolState, side: QuoteSide, quote: Quote, now_ns: int) -> None:
        order = self._strategy.order_factory.limit(
            symbol.instrument_id,
            OrderSide.BUY if side.is_bid else OrderSide.SELL,
            symbol.quantity(quote.size_lots),
            symbol.price(quote.price_ticks),
            post_only=True,
            tags=[QUOTE],
        )
        self._submit(order, symbol, side, QUOTE, quote, now_ns)

    def _market_order(
        self, symbol: SymbolState, is_buy: bool, lots: int, purpose: str, **options: Any
    ) -> Any:
        return self._strategy.order_factory.market(
            symbol.instrument_id,
            OrderSide.BUY if is_buy else OrderSide.SELL,
            symbol.quantity(lots),
            time_in_force=TimeInForce.IOC,
            tags=[purpose],
            **options,
        )

    def _submit(  # noqa: PLR0917 - an order and its circumstances
        self,
        order: Any,
        symbol: SymbolState,
        side: QuoteSide | None,
        purpose: str,
        quote: Quote,
        now_ns: int,
    ) -> None:
        order_id, takes = order.client_order_id, purpose != QUOTE
        price_ticks, lots, _ = quote
        grounds = symbol.grounds(None if takes else price_ticks, lots, now_ns)
        most = Quote(most_ticks(symbol) if takes else price_ticks, lots)
        is_buy = order.side == OrderSide.BUY
        live = WorkingOrder(symbol, side, order_id, purpose, is_buy, Quote(price_ticks, lots), grounds, most)
        self._live[order_id] = live
        if side is None:
            symbol.closing.order_id = order_id
        else:
            side.order = live
        symbol.count_at(now_ns).placed += 1
        self._budget.spend(now_ns)
        self._door.submit(order, live, now_ns)

    def _amend(self, symbol: SymbolState, side: QuoteSide, quote: Quote, now_ns: int) -> None:
        order = side.order
        assert order is not None  # noqa: S101 - decide_action amends only what is there
        whole_lots = quote.size_lots + order.filled_lots
        quantity = None if quote.size_lots == order.resting.size_lots else symbol.quantity(whole_lots)
        order.amending(quote, symbol.grounds(quote.price_ticks, whole_lots, now_ns))
        symbol.count_at(now_ns).amended += 1
        self._budget.spend(now_ns)
        self._door.amend(order, quantity, symbol.price(quote.price_ticks), now_ns)

    def _cancel(self, symbol: SymbolState, side: QuoteSide, now_ns: int) -> None:
        order = side.order
        assert order is not None  # noqa: S101 - callers have looked
        if now_ns < order.cancel_again_ns:
            symbol.next_requote_ns = min(symbol.next_requote_ns, order.cancel_again_ns)
            return
        if not self._door.may_send(symbol, Command.CANCEL, order.order_id, now_ns):
            return
        order.cancelling()
        symbol.count_at(now_ns).cancelled += 1
        self._budget.spend(now_ns)
        self._door.cancel(order, now_ns)

    # -- Cancels and exits ------------------------------------------------------------------------------

    def pull(self, symbol: SymbolState, reason: NotQuoting, now_ns: int) -> None:
        """Cancel a symbol's quotes regardless of the rate cap; those in flight are cancelled once confirmed."""
        symbol.reservation_price = None
        for side in symbol.sides:
            order = side.order
            if order is not None and order.state is OrderState.WORKING and not order.is_marketable:
                self._cancel(symbol, side, now_ns)
            side.wait.end(now_ns)
            side.set_reason(reason, symbol.report_ns(now_ns))

    def end_cancelled(self, symbol: SymbolState) -> int:
        """Forget quotes that the engine's cache has as closed, and return when the last one was."""
        ended_ns, cache = 0, self._strategy.cache
        for side in symbol.sides:
            if side.order is not None and cache.is_order_closed(side.order.order_id):
                ended_ns = max(ended_ns, cache.order(side.order.order_id).ts_last)
                self._close(side.order)
        return ended_ns

    def close_position(self, symbol: SymbolState, purpose: ExitReason, now_ns: int) -> None:
        """Send one reduce-only market order for the position, unless an exit order is in flight.

        A position above the venue's largest order is closed by several orders, one after the other. On a cash account
        the order waits until the cancelled quotes have released the balance it needs.
        """
        if (
            symbol.position.lots == 0
            or symbol.closing.order_id is not None
            or now_ns < symbol.closing.retry_ns
            or not self._door.may_send(symbol, Command.ADD, None, now_ns)
        ):
            return
        lots = symbol.closing.piece_of(self._exit_lots(symbol))
        if lots > 0:
            self._send_exit(symbol, purpose, lots, now_ns)

    def close_at_last(self, symbol: SymbolState, now_ns: int) -> None:
        """Send all exit orders of a position at once, because no fills are received while the strategy stops.

        The position is kept if the feed is not trusted.
        """
        if symbol.position.lots == 0:
            return
        doubt = symbol.guards.distrust_reason(now_ns)
        if doubt is not None:
            symbol.closing.kept_for = f"prices are not trusted ({doubt})"
            return
        in_flight = self._live.get(symbol.closing.order_id)
        left = self._exit_lots(symbol) - (0 if in_flight is None else in_flight.sent.size_lots)
        while left > 0:
            if not self._door.may_send(symbol, Command.ADD, None, now_ns):
                symbol.closing.kept_for = "the venue's rate limit is reached"
                return
            piece = symbol.closing.piece_of(left)
            left -= piece
            self._send_exit(symbol, ExitReason.STOP, piece, now_ns)

    def _send_exit(self, symbol: SymbolState, purpose: ExitReason, lots: int, now_ns: int) -> None:
        order = self._market_order(symbol, symbol.position.lots < 0, lots, purpose.value, reduce_only=True)
        self._submit(order, symbol, None, purpose.value, Quote(most_ticks(symbol), lots), now_ns)

    def _exit_lots(self, symbol: SymbolState) -> int:
        """Return the lots that can be closed now; 0 if that is below the venue's minimum order.

        On a cash account the exit waits while quotes still lock balance, then closes as much as the balance allows.
        """
        if not symbol.closing.is_possible or not symbol.guards.venue.takes_market_orders:
            return 0
        lots = abs(symbol.position.lots)
        is_buy = symbol.position.lots < 0
        free = self._affordability.free_lots(symbol, most_ticks(symbol), is_buy=is_buy)
        if free is None or free >= lots:
            return lots
        quotes_gone = all(side.order is None for side in symbol.sides)
        return free if quotes_gone and free >= symbol.closing.least_lots else 0

    # -- Events -----------------------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Whether no order is open or in flight."""
        return not self._live

    def find(self, event: Any) -> WorkingOrder | None:
        """Return the order of an event that answers a command; None for other events and other orders."""
        return self._live.get(event.client_order_id) if type(event) in _OUTCOMES else None

    def on_event(self, event: Any, order: WorkingOrder) -> bool:
        """Update an order from an event; return whether the event confirms a command, so that the side is settled."""
        symbol, now_ns = order.symbol, event.ts_init
        match event:
            case OrderAccepted():
                order.accepted()
                return order.side is not None
            case OrderUpdated():
                if order.side is not None and event.price is not None:
                    order.amended(symbol.ticks(event.price), symbol.lots(event.quantity))
                    return True
            case OrderModifyRejected():
                order.amend_refused()
                self._note_refusal(symbol, now_ns)
                if order.side is not None:
                    order.side.retry_at_ns = _retry_ns(symbol, now_ns)
            case OrderCancelRejected():
                order.cancel_refused(_retry_ns(symbol, now_ns))
            case OrderCanceled() | OrderExpired():
                # The rest of a market order found no liquidity: the next one waits as after a refusal.
                self._close(order, _retry_ns(symbol, now_ns) if order.is_marketable else 0)
            case OrderRejected() | OrderDenied():
                self._note_refusal(symbol, now_ns, denied=isinstance(event, OrderDenied))
                if order.side is None:
                    self._note_refused_exit(order, str(event.reason), now_ns)
                self._close(order, _retry_ns(symbol, now_ns))
        return False

    def on_filled(self, event: OrderFilled, order: WorkingOrder, *, is_closed: bool) -> None:
        """Update an order after a fill."""
        symbol = order.symbol
        for side in symbol.sides if order.side is None else (order.side,):
            if side.is_bid == event.is_buy:
                side.last_fill_ns = event.ts_init
        if order.side is not None:
            order.filled(symbol.lots(event.last_qty))
        if is_closed:
            if symbol.params.hanging_orders and order.side is not None:
                _let_hang(symbol, order.side, event.ts_init)
            self._close(order)

    @staticmethod
    def _note_refusal(symbol: SymbolState, now_ns: int, *, denied: bool = False) -> None:
        counts = symbol.count_at(now_ns)
        counts.denied += denied
        counts.rejected += not denied
        symbol.guards.refusals.add(now_ns)

    def _note_refused_exit(self, order: WorkingOrder, reason: str, now_ns: int) -> None:
        symbol = order.symbol
        if symbol.closing.on_refused(reason, now_ns):
            self._strategy.log.warning(
                f"MM: {symbol.name} cannot be closed ({order.purpose}), retried every "
                f"{symbol.params.retry_after_seconds:g} s: {reason}"
            )

    def _close(self, order: WorkingOrder, retry_ns: int = 0) -> None:
        self._live.pop(order.order_id, None)
        self._door.forget(order)
        symbol, side = order.symbol, order.side
        if side is not None:
            side.order = side.hangs_since_ns = None
            side.retry_at_ns = max(side.retry_at_ns, retry_ns)
        elif symbol.closing.order_id == order.order_id:
            symbol.closing.order_id = None
            symbol.closing.retry_ns = retry_ns


def _retry_ns(symbol: SymbolState, now_ns: int) -> int:
    return now_ns + max(1, round(symbol.params.retry_after_seconds * SECOND_NS))


def _let_hang(symbol: SymbolState, side: QuoteSide, now_ns: int) -> None:
    """Let the opposite order of a filled quote hang; the fill of a hanging order begins nothing new."""
    opposite = symbol.opposite(side)
    order = opposite.order
    if side.hangs_since_ns is None and order is not None and order.state is not OrderState.PENDING_CANCEL:
        opposite.hangs_since_ns = now_ns


def _clear_of_own(symbol: SymbolState, side: QuoteSide, target: Quote | NotQuoting) -> Quote | NotQuoting:
    """Keep a quote from our own orders of the other side, which it would meet at a real venue."""
    if not isinstance(target, Quote):
        return target
    prices = [
        quote.price_ticks
        for other in symbol.sides
        if other.is_bid is not side.is_bid and other.order is not None
        for quote in (other.order.resting, other.order.pending)
        if quote is not None
    ]
    if not prices:
        return target
    ticks = target.price_ticks
    clear = min(ticks, min(prices) - 1) if side.is_bid else max(ticks, max(prices) + 1)
    side.waits_for_orders = clear != ticks
    return target._replace(price_ticks=clear) if clear > 0 else NotQuoting.BELOW_ONE_TICK


def _within_cap(
    symbol: SymbolState, side: QuoteSide, target: Quote | NotQuoting, *, nearer_only: bool = False
) -> Quote | NotQuoting:
    """Shrink a quote so that the position stays within its cap if it and all live orders of its direction are filled.

    What is sent is measured against the orders of all levels, amends and cancels in flight among them; what rests only
    against those of nearer ones, so that the furthest gives way.
    """
    if not isinstance(target, Quote):
        return target
    others = symbol.same_sides(side)
    room = symbol.room_lots(
        (other for other in others if other.level < side.level) if nearer_only else others, is_bid=side.is_bid
    )
    if room >= target.room_lots:
        return target
    limits = symbol.sizes.order_limits
    room = limits.within_max(room, target.price_ticks)
    if room >= target.size_lots:
        return target._replace(room_lots=room)
    side.waits_for_orders = True
    if room < limits.min_lots_at(target.price_ticks):
        return NotQuoting.INVENTORY_CAP
    return target._replace(size_lots=room, room_lots=room)
