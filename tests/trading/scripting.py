"""Scripted markets for the real backtest engine: books, updates and trades in, orders and fills out.

Times are seconds after `T0`, the beginning of a minute; prices and sizes are plain numbers of the symbol's quote
and base currency.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Self

from nautilus_trader.backtest import BacktestEngine, BacktestEngineConfig
from nautilus_trader.common import LoggerConfig
from nautilus_trader.data import DataEngineConfig
from nautilus_trader.execution import ExecutionEngineConfig, MakerTakerFeeModel, StaticLatencyModel
from nautilus_trader.model import (
    AccountType,
    AggressorSide,
    BookAction,
    BookOrder,
    BookType,
    InstrumentId,
    Money,
    OmsType,
    OrderBookDelta,
    OrderBookDeltas,
    OrderBookDepth,
    OrderSide,
    Price,
    Quantity,
    QuoteTick,
    TimeInForce,
    TradeId,
    TradeTick,
    Venue,
)
from nautilus_trader.risk import RiskEngineConfig
from nautilus_trader.trading import Strategy, StrategyConfig

from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.trading.instruments import engine_instrument
from mm_nautilus.trading.strategy import MarketMaker

T0 = 1_765_000_800_000_000_000
SECOND = 1_000_000_000
VENUE = Venue("KRAKEN")
MAKER, TAKER = Decimal("0.001"), Decimal("0.002")
SIDES = {"buy": OrderSide.BUY, "sell": OrderSide.SELL}
TAKERS = {
    "buy": AggressorSide.BUY,
    "sell": AggressorSide.SELL,
    "unknown": AggressorSide.NO_AGGRESSOR,
}


def _spec(symbol: str, tick: str, lot: str, least: str, least_value: str) -> InstrumentSpec:
    base, quote = symbol.split("/")
    numbers = (Decimal(text) for text in (tick, lot, least, least_value))
    return InstrumentSpec(symbol, "KRAKEN", base, quote, *numbers, MAKER, TAKER)


SPECS = {
    spec.symbol: spec
    for spec in (
        _spec("XRP/USDT", "0.00001", "0.000001", "2", "0.5"),
        _spec("BTC/USDT", "0.1", "0.00000001", "0.00005", "0.5"),
        _spec("XRP/BTC", "0.00000001", "0.000001", "2", "0.00002"),
    )
}
PAIRS = {symbol: engine_instrument(spec) for symbol, spec in SPECS.items()}
XRP_USDT, BTC_USDT, XRP_BTC = SPECS


def ns(at: float) -> int:
    """Return a time of the script as nanoseconds since the epoch."""
    return T0 + round(at * SECOND)


def iid(symbol: str) -> InstrumentId:
    """Return the engine's name of a symbol."""
    return PAIRS[symbol].id


def price(symbol: str, value: float) -> Price:
    return Price(value, SPECS[symbol].price_precision)


def size(symbol: str, value: float) -> Quantity:
    return Quantity(value, SPECS[symbol].size_precision)


# -- Market data --------------------------------------------------------------------------------------------


def book(at: float, bids: Any, asks: Any, symbol: str = XRP_USDT) -> OrderBookDeltas:
    """Return a whole book; a side is a price, or ``[(price, size), ...]``, or empty. Bare prices hold 1000."""
    instrument, now = iid(symbol), ns(at)
    deltas = [OrderBookDelta.clear(instrument, 0, now, now)]
    rows = [(OrderSide.BUY, *row) for row in _levels(bids)] + [
        (OrderSide.SELL, *row) for row in _levels(asks)
    ]
    deltas += [_delta(symbol, now, BookAction.ADD, row, snapshot=True) for row in rows]
    return _closed(symbol, deltas)


def around(at: float, mid: float, amount: float = 1000.0) -> OrderBookDeltas:
    """Return a whole book of XRP/USDT, one level a side, ten ticks a hundred wide."""
    return book(at, [(round(mid - 0.0005, 5), amount)], [(round(mid + 0.0005, 5), amount)])


def walk(at: float, start: float, end: float) -> list[OrderBookDeltas]:
    """Return books that move the mid in steps our quotes can follow, twenty a second."""
    steps = round(abs(end - start) / 0.001)
    step = (end - start) / max(1, steps)
    return [around(at + 0.05 * i, start + step * i) for i in range(steps + 1)]


def update(at: float, *rows: tuple[str, float, float], symbol: str = XRP_USDT) -> OrderBookDeltas:
    """Return changes of levels: ``("bid" | "ask", price, size)``, size 0 deletes."""
    sides = {"bid": OrderSide.BUY, "ask": OrderSide.SELL}
    deltas = [
        _delta(
            symbol, ns(at), BookAction.UPDATE if amount else BookAction.DELETE, (sides[side], level, amount)
        )
        for side, level, amount in rows
    ]
    return _closed(symbol, deltas)


def trade(at: float, at_price: float, amount: float, taker: str, symbol: str = XRP_USDT) -> TradeTick:
    """Return a trade whose taker did ``buy`` or ``sell``, or is ``unknown``."""
    side = TAKERS[taker]
    trade_id = TradeId(f"{round(at * 1e6)}-{taker}")
    now = ns(at)
    return TradeTick(iid(symbol), price(symbol, at_price), size(symbol, amount), side, trade_id, now, now)


def depth(at: float, bids: Any, asks: Any, symbol: str = XRP_USDT) -> OrderBookDepth:
    """Return a snapshot of some levels, as `book` takes them."""
    sides = []
    for side, levels in ((OrderSide.BUY, _levels(bids)), (OrderSide.SELL, _levels(asks))):
        sides.append([BookOrder(side, price(symbol, p), size(symbol, q), 0) for p, q in levels])
    counts = [[1] * len(side) for side in sides]
    return OrderBookDepth(iid(symbol), *sides, *counts, 0, 0, ns(at), ns(at))


def quote(at: float, bid: float, ask: float, symbol: str = XRP_USDT, amount: float = 1000.0) -> QuoteTick:
    """Return best quotes."""
    both = (price(symbol, bid), price(symbol, ask), size(symbol, amount), size(symbol, amount))
    return QuoteTick(iid(symbol), *both, ns(at), ns(at))


def restless(seed: int, steps: int = 300, stir: float = 0.0006) -> list[Any]:
    """Return a market that runs both ways, by so much a step, and trades through quotes."""
    draw = random.Random(seed)
    mid, events, drift = 2.35, [], 0.0
    for step in range(steps):
        at = 0.2 * step
        drift = 0.9 * drift + draw.gauss(0, stir)
        mid = round(mid + drift, 5)
        events.append(book(at, [(round(mid - 0.0005, 5), 40.0)], [(round(mid + 0.0005, 5), 40.0)]))
        taker = draw.choice(("buy", "sell"))
        away = 0.002 if taker == "buy" else -0.002
        if draw.random() < 0.4:
            events.append(trade(at + 0.07, round(mid + away, 5), draw.randint(1, 12), taker))
    return events


def _levels(side: Any) -> list[tuple[float, float]]:
    return [(side, 1000.0)] if isinstance(side, int | float) else list(side)


def _delta(symbol: str, now: int, action: BookAction, row: Any, *, snapshot: bool = False) -> OrderBookDelta:
    side, level, amount = row
    order = BookOrder(side, price(symbol, level), size(symbol, amount), 0)
    return OrderBookDelta(iid(symbol), action, order, 32 if snapshot else 0, 0, now, now)


def _closed(symbol: str, deltas: Sequence[OrderBookDelta]) -> OrderBookDeltas:
    """Mark the last change of an event."""
    last = deltas[-1]
    end = OrderBookDelta(
        last.instrument_id, last.action, last.order, last.flags | 128, 0, last.ts_event, last.ts_init
    )
    return OrderBookDeltas(iid(symbol), [*deltas[:-1], end])


# -- Runs ---------------------------------------------------------------------------------------------------


def config(symbol: str = XRP_USDT, **changes: Any) -> dict[str, Any]:
    """Return a strategy's configuration: 10 XRP a side, 50 XRP at most, exits and staleness far away."""
    given = {
        "venue": "KRAKEN",
        "position_size": "10 XRP",
        "max_inventory": "50 XRP",
        "min_spread_pct": 0.1,
        "inventory_skew": 0.0,
        "cooldown_seconds": 0.001,
        "take_profit_pct": 50.0,
        "stop_loss_pct": 50.0,
        "stale_after_seconds": 86_400.0,
        "symbols": {symbol: {}},
    }
    return given | changes


@dataclass
class Fill:
    """One execution as the order's own history has it."""

    at: float
    symbol: str
    side: str
    price: float
    size: float
    liquidity: str
    tag: str
    fee: str


@dataclass
class Outcome:
    """What a run left, read from the engine before it is disposed of."""

    engine: BacktestEngine
    orders: list[Any] = field(default_factory=list)

    def read(self) -> None:
        self.orders = sorted(self.engine.cache.orders(), key=lambda order: (order.ts_init, _number(order)))
        self.positions = {s: self.engine.portfolio.net_position(iid(s)) for s in SPECS if self._has(s)}
        account = self.engine.portfolio.account(venue=VENUE)
        self.balances = {c.code: m.as_decimal() for c, m in account.balances_total().items()}

    def _has(self, symbol: str) -> bool:
        return self.engine.cache.instrument(iid(symbol)) is not None

    def of(self, tag: str) -> list[Any]:
        """Return the orders sent for a purpose."""
        return [order for order in self.orders if order.tags and tag in order.tags]

    @property
    def fills(self) -> list[Fill]:
        found = [
            (
                event.ts_event,
                Fill(
                    (event.ts_event - T0) / SECOND,
                    event.instrument_id.symbol.value,
                    "buy" if event.is_buy else "sell",
                    float(event.last_px),
                    float(event.last_qty),
                    event.liquidity_side.name,
                    order.tags[0] if order.tags else "",
                    str(event.commission),
                ),
            )
            for order in self.orders
            for event in order.events()
            if type(event).__name__ == "OrderFilled"
        ]
        return [fill for _, fill in sorted(found, key=lambda item: item[0])]

    def events(self, name: str) -> list[Any]:
        """Return the order events of a type, for example ``OrderDenied``, in time order."""
        found = [e for order in self.orders for e in order.events() if type(e).__name__ == name]
        return sorted(found, key=lambda event: event.ts_init)

    def open_quotes(self) -> dict[str, tuple[float, float]]:
        """Return price and open size of the working orders, by side."""
        return {
            "bid" if order.side == OrderSide.BUY else "ask": (float(order.price), float(order.leaves_qty))
            for order in self.orders
            if order.is_open
        }


def _number(order: Any) -> int:
    """Return which of its strategy's orders it is."""
    return int(order.client_order_id.value.rsplit("-", 1)[1])


def make_engine(
    symbols: Iterable[str] = SPECS,
    *,
    cash: bool = True,
    balances: Sequence[str] = ("10000 USDT", "10000 XRP", "1 BTC"),
    latency_ms: float | tuple[float, float, float] = 0.0,
    fee_model: Any = None,
    level_one: bool = False,
    risk: RiskEngineConfig | None = None,
    acknowledges: bool = False,
    own_books: bool = False,
    limits: Mapping[str, Decimal] | None = None,
    logging: LoggerConfig | None = None,
) -> BacktestEngine:
    """Return an engine with one venue; the realism switches are on. Latencies are insert, amend, cancel.

    `limits` are what the instruments say of orders besides their own.
    """
    engine = BacktestEngine(
        BacktestEngineConfig(
            logging=logging or LoggerConfig(bypass_logging=True),
            risk_engine=risk,
            exec_engine=ExecutionEngineConfig(manage_own_order_books=True) if own_books else None,
            data_engine=DataEngineConfig(emit_quotes_from_book=True, emit_quotes_from_book_depths=True),
        )
    )
    insert, amend, cancel = latency_ms if isinstance(latency_ms, tuple) else (latency_ms,) * 3
    latency = StaticLatencyModel(0, round(insert * 1e6), round(amend * 1e6), round(cancel * 1e6))
    engine.add_venue(
        VENUE,
        OmsType.NETTING,
        AccountType.CASH if cash else AccountType.MARGIN,
        [Money.from_str(balance) for balance in balances],
        book_type=BookType.L1_MBP if level_one else BookType.L2_MBP,
        fee_model=fee_model or MakerTakerFeeModel(MAKER, TAKER),
        latency_model=latency if any((insert, amend, cancel)) else None,
        queue_position=True,
        liquidity_consumption=True,
        use_market_order_acks=acknowledges,
        bar_execution=False,
    )
    for symbol in symbols:
        engine.add_instrument(engine_instrument(replace(SPECS[symbol], **(limits or {}))))
    return engine


@contextmanager
def engine_runs() -> Iterator[Callable[..., Outcome]]:
    """Yield what runs components over scripted market data, each time in an engine of its own."""
    last: list[Outcome] = []

    def dispose() -> None:
        while last:
            last.pop().engine.dispose()

    def simulate(strategy: Any, data: list[Any], *, actors: Any = (), **venue: Any) -> Outcome:
        dispose()
        outcome = Outcome(make_engine(**venue))
        last.append(outcome)
        for actor in actors:
            outcome.engine.add_actor(actor)
        for each in strategy if isinstance(strategy, list) else [strategy]:
            outcome.engine.add_strategy(each)
        outcome.engine.add_data(data)
        outcome.engine.run()
        outcome.read()
        return outcome

    yield simulate
    dispose()


class Watched(MarketMaker):
    """A market maker that keeps what it would have logged, and looks at its orders at every book event."""

    def __init__(self, config: Any, **options: Any) -> None:
        super().__init__(config, **options)
        self.seen: list[tuple[float, dict[str, tuple[float, float]]]] = []
        self.exit_reasons: list[str] = []
        self.entries: list[tuple[float, dict[str, Any]]] = []

    def on_book_deltas(self, deltas: Any) -> None:
        super().on_book_deltas(deltas)
        self.look(deltas.ts_init)

    def live_orders(self) -> list[Any]:
        """Return what is at the venue or on its way there; an order with an amend in flight is both."""
        both = [*self.cache.orders_open(), *self.cache.orders_inflight()]
        return list({order.client_order_id: order for order in both}.values())

    def look(self, now: int) -> None:
        quotes: dict[str, tuple[float, float]] = {}
        for order in self.live_orders():
            if order.tags and order.tags[0] == "quote":
                key = order.instrument_id.symbol.value + (" bid" if order.side == OrderSide.BUY else " ask")
                assert key not in quotes, f"two live orders at {key}"
                quotes[key] = (float(order.price), float(order.leaves_qty))
        self.seen.append(((now - T0) / SECOND, quotes))
        self.entries.append(((now - T0) / SECOND, self.position_entries))

    def quotes_at(self, at: float, symbol: str = XRP_USDT) -> dict[str, tuple[float, float]]:
        """Return price and open size of the quotes that lived when the book event of that time came."""
        seen = next(quotes for time, quotes in self.seen if time == at)
        return {side: seen[f"{symbol} {side}"] for side in ("bid", "ask") if f"{symbol} {side}" in seen}

    def _requote(self, symbol: Any, now_ns: int) -> None:
        before = symbol.position.exit
        super()._requote(symbol, now_ns)
        if symbol.position.exit is not None and before is None:
            self.exit_reasons.append(symbol.position.exit.reason.value)


class Quoted(Watched):
    """Look at the orders at snapshots and quotes as well."""

    def on_book_depth(self, depth: Any) -> None:
        super().on_book_depth(depth)
        self.look(depth.ts_init)

    def on_quote(self, quote: Any) -> None:
        super().on_quote(quote)
        self.look(quote.ts_init)


class Trader(Strategy):
    """Send given orders at given times: ``script`` maps seconds to functions of the trader.

    Attributes
    ----------
    log_of
        ``[(name of the order, type of event, event), ...]`` in the order they came.
    """

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self:
        return super().__new__(cls, StrategyConfig(order_id_tag="900", log_events=False, log_commands=False))

    def __init__(self, script: dict[float, Any], symbols: Iterable[str] = (XRP_USDT,)) -> None:
        super().__init__()
        self.script, self.symbols = script, list(symbols)
        self.ids: dict[str, Any] = {}
        self.log_of: list[tuple[str, str, Any]] = []

    def on_start(self) -> None:
        for symbol in self.symbols:
            self.subscribe_book_deltas(iid(symbol), BookType.L2_MBP, managed=True)
        for at in self.script:
            self.clock.set_time_alert_ns(str(at), ns(at))

    def on_time_event(self, event: Any) -> None:
        self.script[float(event.name)](self)

    def on_order_event(self, event: Any) -> None:
        kind = type(event).__name__
        if kind not in ("OrderInitialized", "OrderPendingUpdate", "OrderPendingCancel"):
            name = next(name for name, order_id in self.ids.items() if order_id == event.client_order_id)
            self.log_of.append((name, kind, event))

    def limit(
        self, name: str, side: str, at_price: float, amount: float, symbol: str = XRP_USDT, **options: Any
    ) -> None:
        order = self.order_factory.limit(
            iid(symbol),
            SIDES[side],
            size(symbol, amount),
            price(symbol, at_price),
            **{"post_only": True, **options},
        )
        self._send(name, order)

    def market(self, name: str, side: str, amount: float, symbol: str = XRP_USDT, **options: Any) -> None:
        options = {"time_in_force": TimeInForce.IOC, **options}
        self._send(name, self.order_factory.market(iid(symbol), SIDES[side], size(symbol, amount), **options))

    def _send(self, name: str, order: Any) -> None:
        self.ids[name] = order.client_order_id
        self.submit_order(order)

    def amend(self, name: str, at_price: float, amount: float, symbol: str = XRP_USDT) -> None:
        self.modify_order(self.ids[name], price=price(symbol, at_price), quantity=size(symbol, amount))

    def cancel(self, name: str) -> None:
        self.cancel_order(self.ids[name])

    def kinds(self, name: str) -> list[str]:
        """Return the types of an order's events without the word Order."""
        return [kind.removeprefix("Order") for named, kind, _ in self.log_of if named == name]

    def filled(self, name: str) -> list[tuple[float, float]]:
        """Return price and size of an order's fills."""
        return [
            (float(e.last_px), float(e.last_qty))
            for n, kind, e in self.log_of
            if n == name and kind == "OrderFilled"
        ]

    def reason(self, name: str) -> str:
        """Return why an order was refused."""
        return next(e.reason for n, _, e in self.log_of if n == name and hasattr(e, "reason"))
