"""How large an order the account's balance allows."""

import math
from collections.abc import Mapping
from typing import Any, Final

from nautilus_trader.model import Currency

from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.pricing.quotes import Quote
from mm_nautilus.trading.balances import Balances
from mm_nautilus.trading.symbol import SymbolState
from mm_nautilus.trading.working_order import OrderState, QuoteSide, WorkingOrder

_LOT_ROUNDING: Final = 1e-9
"""Tolerance for binary rounding when a balance is converted to whole lots, as a share of a lot."""
_SWEEP_SHARE: Final = 0.05
"""Price headroom of a marketable buy on a cash account, as a share of the best ask, for sweeping several levels. A fill
that overdraws a balance ends the whole run."""


def most_ticks(symbol: SymbolState) -> int:
    """Return the highest price assumed for a marketable buy, in ticks: best ask plus headroom."""
    return math.ceil((symbol.book.best_ask_ticks or 1) * (1.0 + _SWEEP_SHARE))


def _fee_share(symbol: SymbolState) -> float:
    """Return the higher of maker and taker fee as a share of value; a rebate counts as 0."""
    return max(0.0, symbol.params.maker_fee_pct or 0.0, symbol.params.taker_fee_pct or 0.0) / 100.0


def _value(symbol: SymbolState, quote: Quote, *, is_buy: bool) -> float:
    """Return the balance an order needs: quote currency for a buy, base currency for a sell."""
    return quote.size_lots * symbol.lot * (quote.price_ticks * symbol.tick if is_buy else 1.0)


def _is_locked(order: WorkingOrder) -> bool:
    """Return whether the account has locked balance for an order: it does so when it accepts a quote."""
    return order.side is not None and not order.is_marketable and order.is_resting


def _claim(order: WorkingOrder, currency: Currency) -> float:
    """Return the amount of a currency an order may need beyond what the account has locked for it.

    The account locks a resting order's value when it accepts the order, but not its fee.
    """
    symbol, is_buy = order.symbol, order.is_buy
    if currency != (symbol.quote_currency if is_buy else symbol.base_currency):
        return 0.0
    if order.side is None or order.is_marketable:
        locked, all_in = 0.0, _value(symbol, order.sent, is_buy=is_buy)
    else:
        resting = order.resting
        locked = _value(symbol, resting, is_buy=is_buy) if order.is_resting else 0.0
        all_in = max(locked, _value(symbol, order.pending or resting, is_buy=is_buy))
    return all_in * (1.0 + (_fee_share(symbol) if is_buy else 0.0)) - locked


class Affordability:
    """Limit order sizes to the free balance of a cash account or the free margin of a margin account."""

    def __init__(self, balances: Balances, live: Mapping[Any, WorkingOrder]) -> None:
        self._balances = balances
        self._live = live

    def limited(self, symbol: SymbolState, side: QuoteSide, quote: Quote) -> Quote | NotQuoting:
        """Shrink a quote to the free balance; return `INSUFFICIENT_BALANCE` below the venue's minimum."""
        if self._is_covered(symbol, side, quote):
            return quote
        takes = symbol.params.entry_order == "taker"
        price_ticks = most_ticks(symbol) if takes else quote.price_ticks
        free = self.free_lots(symbol, price_ticks, is_buy=side.is_bid, own=side)
        if free is None or free >= quote.size_lots:
            return quote
        smallest = symbol.sizes.order_limits.min_lots_at(quote.price_ticks)
        return quote._replace(size_lots=free) if free >= smallest else NotQuoting.INSUFFICIENT_BALANCE

    def _is_covered(self, symbol: SymbolState, side: QuoteSide, quote: Quote) -> bool:
        """Return whether the balance locked by the side's working order is enough for a quote."""
        working = side.working
        if working is None:
            return False
        by_price = side.is_bid or not self._balances.is_cash
        return _value(symbol, quote, is_buy=by_price) <= _value(symbol, working, is_buy=by_price)

    def would_deny(self, symbol: SymbolState, side: QuoteSide, quote: Quote) -> bool:
        """Return whether the engine would deny an amend although its open part is within limits and balance.

        The engine checks the order's total size, including the part already filled.
        """
        filled = 0 if side.order is None else side.order.filled_lots
        if filled == 0:
            return False
        whole = quote.size_lots + filled
        if symbol.sizes.order_limits.within_max(whole, quote.price_ticks) < whole:
            return True
        free = self.free_lots(symbol, quote.price_ticks, is_buy=side.is_bid, own=side)
        return free is not None and free < whole

    def free_lots(
        self, symbol: SymbolState, price_ticks: int, *, is_buy: bool, own: QuoteSide | None = None
    ) -> int | None:
        """Return how many lots the free balance pays for at a price, None if the account sets no limit.

        The balance locked by the working order of the side `own` counts as free, because an amend can reuse it.
        """
        if not self._balances.is_cash:
            return self._free_margin_lots(symbol, price_ticks, is_buy=is_buy, own=own)
        currency = symbol.quote_currency if is_buy else symbol.base_currency
        own_order = None if own is None else own.order
        free = self._balances.free(currency)
        free -= sum(_claim(order, currency) for order in self._live.values() if order is not own_order)
        if own_order is not None and own_order.state is OrderState.WORKING:
            free += _value(symbol, own_order.resting, is_buy=is_buy)
        if is_buy:
            free /= price_ticks * symbol.tick * (1.0 + _fee_share(symbol))
        return max(0, math.floor(free / symbol.lot + _LOT_ROUNDING))

    def _free_margin_lots(
        self, symbol: SymbolState, price_ticks: int, *, is_buy: bool, own: QuoteSide | None
    ) -> int | None:
        """Return how many lots the free margin supports, at least those that reduce the position."""
        rate = symbol.margin_rate / self._balances.leverage
        if rate == 0.0:
            return None
        own_order = None if own is None else own.order
        free = self._balances.free(symbol.quote_currency)
        for order in self._live.values():
            same = order.symbol.quote_currency == symbol.quote_currency
            if order is not own_order and same and not _is_locked(order):
                free -= rate * _value(order.symbol, order.sent, is_buy=True)
        if own_order is not None and own_order.state is OrderState.WORKING:
            free += rate * _value(symbol, own_order.resting, is_buy=True)
        secured = math.floor(
            free / (price_ticks * symbol.tick * (rate + _fee_share(symbol))) / symbol.lot + _LOT_ROUNDING
        )
        reducing = max(0, -symbol.position.lots if is_buy else symbol.position.lots)
        return max(secured, reducing, 0)
