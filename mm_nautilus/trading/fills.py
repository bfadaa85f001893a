"""Publish each execution once, as a complete `Fill`, after its position event."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from nautilus_trader.model import InstrumentId, OrderFilled, PositionAdjustmentType, TradeId
from nautilus_trader.model import Position as EnginePosition

from mm_nautilus.errors import MarketMakingError
from mm_nautilus.pricing.exits import PositionSide
from mm_nautilus.trading.messages import Fill, FundingPayment, MarketSample, OrderOrigin
from mm_nautilus.trading.position import Booked
from mm_nautilus.trading.symbol import SymbolState
from mm_nautilus.trading.working_order import WorkingOrder

_ZERO: Final = Decimal(0)


class AccountingError(MarketMakingError):
    """Two amounts that must be equal differ, or amounts of two currencies would be added."""


@dataclass(frozen=True, slots=True)
class _Noted:
    """An execution whose position event has not come yet."""

    event: OrderFilled
    purpose: str
    before: tuple[float, int] | None
    """Average price and opening, nanoseconds, of the position before it; None while flat."""
    origin: OrderOrigin | None = None
    market: MarketSample | None = None


class FillBook:
    """Match executions with their position events."""

    def __init__(
        self, strategy: Any, symbols: Mapping[InstrumentId, SymbolState], *, flattens_on_stop: bool
    ) -> None:
        self._symbols = symbols
        self._flattens_on_stop = flattens_on_stop
        self._clock = strategy.clock
        self._log = strategy.log
        self._cache = strategy.cache
        self._portfolio = strategy.portfolio
        self._noted: dict[str, _Noted] = {}
        self._last_trade: dict[str, TradeId] = {}

    def note(self, event: OrderFilled, order: WorkingOrder) -> None:
        """Count an execution and store it, with the market at that moment, until its position event comes."""
        symbol = order.symbol
        symbol.position.awaits_event = True
        self._noted[symbol.name] = _Noted(
            event, order.purpose, symbol.position.opening, order.origin(symbol.spec), symbol.sample()
        )
        if symbol.count_fill(event):
            self._log.warning(f"MM: {symbol.name} was filled by an old or repeated trade: {event.last_qty}")
        symbol.hold_position(self._portfolio, event.ts_init)

    def booked(self, symbol: SymbolState, event: Any) -> Fill | None:
        """Process a position event and return the `Fill` it completes, or None."""
        symbol.hold_position(self._portfolio, event.ts_init)
        symbol.follow_position(event)
        booked = symbol.position.book(event.quantity.as_decimal(), event.realized_pnl.as_decimal())
        noted = None if booked is None else self._noted.pop(symbol.name, None)
        return None if booked is None or noted is None else self._fill(symbol, noted, booked)

    def funding(self, symbol: SymbolState, ts_ns: int) -> FundingPayment | None:
        """Book what the venue has paid at a moment, nanoseconds; return None if there was no position."""
        held = self._cache.positions_open(instrument_id=symbol.instrument_id)
        paid = sum((amount for position in held for ts, amount in _payments(position) if ts == ts_ns), _ZERO)
        if not paid:
            return None
        symbol.position.settle(paid)
        return FundingPayment(ts_ns, symbol.instrument_id, symbol.name, paid, symbol.spec.quote)

    def take_over(self, symbol: SymbolState) -> None:
        """Take over the position that the engine already has of a symbol."""
        for position in self._cache.positions_open(instrument_id=symbol.instrument_id):
            symbol.position.take_over(position)
            self._last_trade[symbol.name] = position.last_trade_id

    def catch_up(self) -> Iterator[Fill]:
        """Book executions whose events reached no callback, from the engine's positions, and yield their fills.

        Call it at the end of a run. Such executions happen while the strategy stops, or after a callback has failed.
        """
        now_ns = self._clock.timestamp_ns()
        for symbol in self._symbols.values():
            yield from self._missed(symbol, now_ns)
            closing = symbol.closing
            if self._flattens_on_stop and closing.is_possible:
                text = "its exit order did not reach the venue, or found no liquidity"
                closing.kept_for = closing.kept_for or text

    def _missed(self, symbol: SymbolState, now_ns: int) -> Iterator[Fill]:
        instrument = self._cache.instrument(symbol.instrument_id)
        position = symbol.position
        for held in self._cache.positions(instrument_id=symbol.instrument_id):
            fills = held.events()
            seen = [
                number
                for number, fill in enumerate(fills)
                if fill.trade_id == self._last_trade.get(symbol.name)
            ]
            first_missed = seen[0] + 1 if seen else 0
            if first_missed == len(fills):
                continue
            replayed, payments = EnginePosition(instrument, fills[0]), _payments(held)
            for number, fill in enumerate(fills):
                if number > 0:
                    replayed.apply(fill)
                if number >= first_missed:
                    paid = sum((amount for ts, amount in payments if ts < fill.ts_event), _ZERO)
                    yield self._booked_late(symbol, fill, replayed, now_ns, paid)
        if not self._cache.positions_open(instrument_id=symbol.instrument_id):
            position.entry = position.exit = None

    def _booked_late(
        self, symbol: SymbolState, event: Any, replayed: Any, now_ns: int, paid: Decimal
    ) -> Fill:
        position = symbol.position
        before = position.opening
        quantity = replayed.quantity.as_decimal()
        lots = round(quantity / symbol.spec.size_increment) * (-1 if replayed.is_short else 1)
        position.hold(lots, now_ns)
        side: PositionSide = "short" if replayed.is_short else "long"
        price = float(event.last_px)
        smallest = symbol.sizes.order_limits.min_lots_at(max(1, round(price / symbol.tick)))
        position.follow(side, replayed.avg_px_open, abs(lots), price, smallest, now_ns=event.ts_event)
        booked = position.book(quantity, replayed.realized_pnl.as_decimal() + paid)
        noted = self._noted.pop(symbol.name, None)
        if noted is None or noted.event.trade_id != event.trade_id:
            order = self._cache.order(event.client_order_id)
            purpose = str(order.tags[0]) if order is not None and order.tags else ""
            noted = _Noted(event, purpose, before)
        return self._fill(symbol, noted, booked or Booked())

    def _fill(self, symbol: SymbolState, noted: _Noted, booked: Booked) -> Fill:
        event, spec = noted.event, symbol.spec
        entry_price, opened_ns = noted.before or (None, None)
        symbol.counts.trades += booked.trade_pnl is not None
        self._last_trade[symbol.name] = event.trade_id
        return Fill(
            ts_event=event.ts_event,
            instrument_id=symbol.instrument_id,
            symbol=symbol.name,
            side="BUY" if event.is_buy else "SELL",
            price=event.last_px.as_decimal(),
            quantity=event.last_qty.as_decimal(),
            liquidity=event.liquidity_side.name,
            fee=_fee(event, spec.quote),
            currency=spec.quote,
            purpose=noted.purpose,
            order_id=event.client_order_id.value,
            order_type=event.order_type.name,
            trade_id=event.trade_id.value,
            realized_change=booked.realized_change,
            trade_pnl=booked.trade_pnl,
            open_fees=symbol.position.results.open_fees,
            position=symbol.position.lots * spec.size_increment,
            cycle_pnl=booked.cycle_pnl,
            entry_price=entry_price,
            opened_ns=opened_ns,
            origin=noted.origin,
            market=noted.market,
        )


def _payments(position: Any) -> list[tuple[int, Decimal]]:
    """Return the funding payments of an engine's position, each with its time, nanoseconds."""
    return [
        (adjustment.ts_event, adjustment.pnl_change.as_decimal())
        for adjustment in position.adjustments()
        if adjustment.adjustment_type == PositionAdjustmentType.FUNDING
    ]


def _fee(event: Any, currency: str) -> Decimal:
    """Return an execution's commission; raise `AccountingError` if it is not in the quote currency."""
    commission = event.commission
    if commission is None:
        return _ZERO
    if commission.currency.code != currency:
        raise AccountingError(
            f"the commission of {event.instrument_id} must be in {currency}, was {commission}: "
            "fees in a third currency would add two currencies"
        )
    return Decimal(commission.as_decimal())
