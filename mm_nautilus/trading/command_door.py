"""Send order commands within the venue's rate limit: count their cost and simulate its refusals."""

from collections.abc import Iterable
from typing import Any

from nautilus_trader.core import UUID4
from nautilus_trader.model import OrderCancelRejected, OrderModifyRejected, OrderRejected

from mm_nautilus.config.rate_limit import RateLimitConfig
from mm_nautilus.pricing.quotes import OrderAction, Quote
from mm_nautilus.risk.points_budget import PointsBudget, requote_worth
from mm_nautilus.risk.rate_limit import Command, rate_rules
from mm_nautilus.trading.symbol import SymbolState
from mm_nautilus.trading.working_order import QuoteSide, WorkingOrder

_COMMANDS = {
    OrderAction.PLACE: (Command.ADD,),
    OrderAction.AMEND: (Command.AMEND,),
    OrderAction.CANCEL: (Command.CANCEL, Command.ADD),
}
"""Commands of an action; a cancel is followed by a new order."""


class CommandDoor:
    """Send a strategy's order commands, and refuse those beyond the venue's rate limit as the venue would.

    The engine's simulated exchange has no rate limit and no hook for one. A refused command is not sent to it; the
    strategy receives the engine's rejection event after `answer_ns`.

    Parameters
    ----------
    spends_wisely
        Whether points are budgeted, so that nothing is refused.
    answer_ns
        Delay of a refusal, nanoseconds.
    """

    def __init__(
        self,
        strategy: Any,
        symbols: Iterable[SymbolState],
        limit: RateLimitConfig | None,
        *,
        spends_wisely: bool,
        answer_ns: int,
    ) -> None:
        self._strategy, self._spends_wisely, self._answer_ns = strategy, spends_wisely, max(1, answer_ns)
        self._budgets: dict[Any, PointsBudget] = {}
        self._refused = 0
        if limit is not None:
            rules = rate_rules(limit.kraken, limit.actions, limit.seconds)
            ids = [symbol.instrument_id for symbol in symbols]
            shared = PointsBudget(rules, exits=len(ids))
            self._budgets = {key: PointsBudget(rules) if rules.is_per_pair else shared for key in ids}

    # -- When -------------------------------------------------------------------------------------------

    def held_until_ns(
        self, action: OrderAction, symbol: SymbolState, side: QuoteSide, target: Quote, now_ns: int
    ) -> int | None:
        """Return None if a quote may be placed or amended now, else record its wait and return when to try again."""
        budget = self._budgets.get(symbol.instrument_id)
        if budget is None or not self._spends_wisely:
            return None
        order, other = side.order, symbol.opposite(side)
        resting = None if order is None else order.resting
        until_ns = budget.try_again_ns(
            _COMMANDS[action],
            None if order is None else order.order_id,
            requote_worth(
                resting,
                target,
                symbol.book.best_bid_ticks or 0,
                symbol.book.best_ask_ticks or 0,
                is_bid=side.is_bid,
            ),
            kept=budget.share(None if other.order is None else other.order.order_id, now_ns),
            now_ns=now_ns,
        )
        if until_ns is not None and resting is not None:
            off_bps = 10_000.0 * abs(resting.price_ticks - target.price_ticks) / target.price_ticks
            side.wait.hold(off_bps, symbol.report_ns(now_ns))
        return until_ns

    def may_send(self, symbol: SymbolState, command: Command, order_id: Any, now_ns: int) -> bool:
        """Return whether to send a protective command now; with budgeted points, not if it would be refused."""
        budget = self._budgets.get(symbol.instrument_id)
        if budget is None or not self._spends_wisely:
            return True
        return budget.counter.would_take(budget.cost(command, order_id, now_ns), now_ns)

    # -- Commands ---------------------------------------------------------------------------------------

    def submit(self, order: Any, live: WorkingOrder, now_ns: int) -> None:
        """Send a new order."""
        if self._takes(Command.ADD, live, now_ns):
            self._strategy.submit_order(order)
        else:
            account = self._strategy.portfolio.account(venue=live.symbol.instrument_id.venue)
            self._refuse(OrderRejected, live, account_id=account.id)

    def amend(self, live: WorkingOrder, quantity: Any, price: Any, now_ns: int) -> None:
        """Send an amend."""
        if self._takes(Command.AMEND, live, now_ns):
            self._strategy.modify_order(live.order_id, quantity=quantity, price=price)
        else:
            self._refuse(OrderModifyRejected, live)

    def cancel(self, live: WorkingOrder, now_ns: int) -> None:
        """Send a cancel."""
        if self._takes(Command.CANCEL, live, now_ns):
            self._strategy.cancel_order(live.order_id)
        else:
            self._refuse(OrderCancelRejected, live)

    def forget(self, live: WorkingOrder) -> None:
        """Record that an order is closed."""
        budget = self._budgets.get(live.symbol.instrument_id)
        if budget is not None:
            budget.forget(live.order_id)

    def _takes(self, command: Command, live: WorkingOrder, now_ns: int) -> bool:
        budget = self._budgets.get(live.symbol.instrument_id)
        if budget is None:
            return True
        counts = live.symbol.count_at(now_ns)
        cost = budget.cost(command, live.order_id, now_ns)
        is_taken = budget.take(command, live.order_id, now_ns, rests=not live.is_marketable)
        counts.points += cost if is_taken else budget.rules.cost_refused(command)
        counts.rate_limited += not is_taken
        return is_taken

    def _refuse(self, event: type, live: WorkingOrder, **more: Any) -> None:
        """Schedule the engine's rejection event, which is processed like any refusal of the venue."""
        strategy, symbol = self._strategy, live.symbol
        self._refused += 1
        reason = self._budgets[symbol.instrument_id].rules.refusal
        strategy.log.warning(f"MM: {symbol.name} {event.__name__} {live.order_id}: {reason}")
        at_ns = strategy.clock.timestamp_ns() + self._answer_ns
        rejected = event(
            strategy.trader_id,
            strategy.strategy_id,
            symbol.instrument_id,
            live.order_id,
            reason=reason,
            event_id=UUID4(),
            ts_event=at_ns,
            ts_init=at_ns,
            reconciliation=False,
            **more,
        )
        strategy.clock.set_time_alert_ns(
            f"rate-limit-{self._refused}", at_ns, lambda _event: strategy.on_order_event(rejected)
        )
