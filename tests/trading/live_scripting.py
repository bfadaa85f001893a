"""Scripted markets for a real live node: the same events as a backtest's, each given when the last has settled.

The node's clock is the wall clock, so that scripts tell no times: a book or trade follows as soon as no order is on
its way any more.
"""

import asyncio
import gc
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Self

from nautilus_trader.adapters.sandbox import SandboxExecutionClientConfig, SandboxExecutionClientFactory
from nautilus_trader.common import Environment, LoggerConfig, LogLevel
from nautilus_trader.execution import MakerTakerFeeModel
from nautilus_trader.live import (
    DataClientConfig,
    LiveDataEngineConfig,
    LiveExecutionEngineConfig,
    LiveNode,
    LiveRiskEngineConfig,
    RoutingConfig,
)
from nautilus_trader.live.clients import DataClientFactory, MarketDataClient
from nautilus_trader.model import (
    AccountType,
    BookType,
    Money,
    OmsType,
    OrderBookDelta,
    OrderBookDeltas,
    TraderId,
    TradeTick,
)
from scripting import MAKER, PAIRS, TAKER, VENUE, Watched, iid

from mm_nautilus.metrics.actor import MetricsActor, MetricsActorConfig
from mm_nautilus.runs.restoration import (
    RESTORED_ORDER,
    AccountRestorer,
    add_restoration_client,
    money_before_positions,
    simulated_account_id,
)
from mm_nautilus.trading.fail_fast import CallbackFailure
from mm_nautilus.trading.saved_account import SavedAccount
from mm_nautilus.trading.setup import NEVER_NS

BALANCES = ("10000 USDT", "10000 XRP", "1 BTC")
LOOK = "look"
_LONGEST_WAIT = 60.0
_RATE = "10000/00:00:01"
"""No limit: scripts are played as fast as they settle."""


class LiveWatched(Watched):
    """A watched market maker of a live node."""

    def __init__(self, config: Any, *, takes_over: bool = False) -> None:
        super().__init__(config)
        self.events = self.looks = 0

    def on_start(self) -> None:
        super().on_start()
        for symbol in self.symbols:
            self.subscribe_trades(iid(symbol))

    def on_book_deltas(self, deltas: Any) -> None:
        super().on_book_deltas(deltas)
        self.events += 1

    def on_trade(self, trade: Any) -> None:
        super().on_trade(trade)
        self.events += 1

    def on_time_event(self, event: Any) -> None:
        super().on_time_event(event)
        self.looks += 1

    @property
    def is_quiet(self) -> bool:
        """Whether no command is on its way."""
        return all(
            symbol.closing.order_id is None
            and not symbol.position.awaits_event
            and all(side.is_settled for side in (symbol.bid, symbol.ask))
            for symbol in self.symbols.values()
        )


class _FeedConfig(DataClientConfig):
    def __new__(cls, play: Any) -> Self:
        self = super().__new__(cls)
        self.play = play
        return self


class _Feed(MarketDataClient):
    """Deliver instruments, then whatever the script's player asks for."""

    async def _connect(self) -> None:
        for pair in PAIRS.values():
            self._handle_instrument(pair)
        self.create_task(self.config.play(self), "script")

    async def _disconnect(self) -> None:
        pass

    async def _subscribe_book_deltas(self, _command: Any) -> None:
        pass

    async def _unsubscribe_book_deltas(self, _command: Any) -> None:
        pass

    async def _subscribe_trades(self, _command: Any) -> None:
        pass

    async def _unsubscribe_trades(self, _command: Any) -> None:
        pass

    def deliver(self, event: Any) -> None:
        """Hand an event of a script to the engine, as of now; a trade stays as old as it was when it came."""
        now = self.clock.timestamp_ns()
        if isinstance(event, TradeTick):
            given = (event.instrument_id, event.price, event.size, event.aggressor_side, event.trade_id)
            self._handle_data(TradeTick(*given, now - (event.ts_init - event.ts_event), now))
        else:
            changes = [
                OrderBookDelta(d.instrument_id, d.action, d.order, d.flags, d.sequence, now, now)
                for d in event.deltas
            ]
            self._handle_data(OrderBookDeltas(event.instrument_id, changes))


class _FeedFactory(DataClientFactory):
    @staticmethod
    def create(*, name: str, config: Any, cache: Any, clock: Any) -> _Feed:
        return _Feed(name=name, config=config, cache=cache, clock=clock, venue=VENUE)


@dataclass
class Session:
    """What a live session left, read before its node was disposed of."""

    strategy: Watched
    metrics: MetricsActor
    states: dict[str, dict[str, bytes]] = field(default_factory=dict)
    account: SavedAccount = field(default_factory=lambda: SavedAccount({}))
    balances: dict[str, Decimal] = field(default_factory=dict)
    positions: dict[str, Any] = field(default_factory=dict)
    orders: list[Any] = field(default_factory=list)
    rows: list[Any] = field(default_factory=list)
    snapshot: Any = None

    def of(self, tag: str) -> list[Any]:
        """Return the orders sent for a purpose."""
        return [order for order in self.orders if order.tags and tag in order.tags]


class LiveScript:
    """One session of a live node over a script.

    Parameters
    ----------
    given
        The strategy's configuration.
    script
        Books and trades in order; a function among them is called with this script when its turn comes, and at
        `LOOK` the script goes on after the strategy's next look at what no event tells.
    after
        The session that this one goes on from, or None.
    restores
        Whether there is a client that tells the engine of the positions.
    """

    def __init__(
        self,
        given: Mapping[str, Any],
        script: Sequence[Any],
        *,
        after: Session | None = None,
        cash: bool = True,
        balances: Sequence[str] = BALANCES,
        restores: bool = True,
    ) -> None:
        self._script = script
        self._saved = after.account if after is not None else None
        self._restores = restores
        self._cash = cash
        self._balances = balances
        self.strategy = LiveWatched(given, takes_over=True)
        self.metrics = MetricsActor(MetricsActorConfig(interval_seconds=3600.0))
        self.restorer: AccountRestorer | None = None
        if after is not None:
            self.strategy.load(after.states["strategy"])
            self.metrics.load(after.states["metrics"])
        self._node: Any = None
        self._error: Exception | None = None

    def run(self) -> Session:
        """Play the script on a new node and return what it left."""
        # A second node waits for the first to be forgotten: no other name for it, and no traceback that knows it.
        self._node = self._build()
        try:
            self._node.run()
            if self._error is not None:
                raise self._error
            return self._read()
        finally:
            self._node.dispose()
            self._node = None
            for failure in self._failures:
                failure.error.__traceback__ = None

    def _build(self) -> Any:
        saved = self._saved
        money = [Money.from_str(text) for text in self._balances]
        if saved is not None:
            money = money_before_positions(saved, is_cash=self._cash)
        builder = (
            LiveNode.builder("SCRIPT", TraderId("SCRIPT-001"), Environment.SANDBOX)
            .with_logging(LoggerConfig(stdout_level=LogLevel.ERROR, is_colored=False))
            .with_reconciliation(True)
            .with_delay_post_stop_secs(0)
            .with_data_engine_config(LiveDataEngineConfig(emit_quotes_from_book=True))
            .with_exec_engine_config(
                LiveExecutionEngineConfig(reconciliation=True, manage_own_order_books=True)
            )
            .with_risk_engine_config(
                LiveRiskEngineConfig(max_order_submit_rate=_RATE, max_order_modify_rate=_RATE)
            )
            .add_data_client(
                VENUE.value, _FeedFactory, _FeedConfig(self._play), RoutingConfig(venues=[VENUE.value])
            )
            .add_simulated_exec_client(
                None,
                SandboxExecutionClientFactory(),
                SandboxExecutionClientConfig(
                    venue=VENUE,
                    account_id=simulated_account_id(VENUE.value),
                    starting_balances=money,
                    account_type=AccountType.CASH if self._cash else AccountType.MARGIN,
                    oms_type=OmsType.NETTING,
                    book_type=BookType.L2_MBP,
                    fee_model=MakerTakerFeeModel(MAKER, TAKER),
                    queue_position=True,
                    liquidity_consumption=True,
                    use_random_ids=True,
                ),
            )
        )
        if saved is not None and saved.positions:
            if self._restores:
                builder = add_restoration_client(builder, saved, VENUE.value, is_cash=self._cash)
            self.restorer = AccountRestorer(saved, VENUE.value, patience_seconds=1.0)
            self.strategy.conditions.start_ns = NEVER_NS
        gc.collect()  # a thread has one node at a time, and one of a test before may wait to be collected
        node = builder.build()
        for actor in (self.metrics, self.restorer):
            if actor is not None:
                node.add_actor(actor)
        node.add_strategy(self.strategy)
        return node

    async def _play(self, feed: _Feed) -> None:
        """Give one event after the other; whatever goes wrong ends the session and is raised afterwards."""
        handle = self._node.handle()
        try:
            await self._until(lambda: self.strategy.persistence.is_restored)
            for event in self._script:
                await self._give(feed, event)
        except Exception as error:
            self._error = None if self._failures else error
        finally:
            handle.stop()

    async def _give(self, feed: _Feed, event: Any) -> None:
        if event is LOOK:
            looks = self.strategy.looks
            await self._until(lambda: self.strategy.looks > looks)
        elif callable(event):
            event(self)
        else:
            before = self.strategy.events
            feed.deliver(event)
            await self._until(lambda: self.strategy.events > before)
            for _ in range(2):  # what the event has set going comes out of the engine's queues meanwhile
                await asyncio.sleep(0.002)
            await self._until(lambda: self.strategy.is_quiet)

    @property
    def _failures(self) -> list[CallbackFailure]:
        """What callbacks have failed; the engine shuts down then."""
        parts = (self.strategy, self.metrics, self.restorer)
        return [failure for part in parts if part is not None for failure in part.failures]

    async def _until(self, condition: Callable[[], bool]) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _LONGEST_WAIT
        while not condition():
            if self._failures or loop.time() > deadline:
                raise TimeoutError("the session does not settle")
            await asyncio.sleep(0.002)

    def _read(self) -> Session:
        session = Session(self.strategy, self.metrics)
        session.states = {"strategy": self.strategy.on_save(), "metrics": self.metrics.on_save()}
        session.orders = [
            order
            for order in self._node.cache.orders()
            if not order.client_order_id.value.startswith(RESTORED_ORDER)
        ]
        if self.metrics.ledger is None:
            return session
        deque(self.metrics.catch_up(), maxlen=0)
        session.rows, session.snapshot = self.metrics.figures(0)
        account = self._node.portfolio.account(venue=VENUE)
        session.balances = {c.code: money.as_decimal() for c, money in account.balances_total().items()}
        session.account = SavedAccount(session.balances, tuple(self.strategy.persistence.positions))
        session.positions = {p.instrument_id.symbol.value: p for p in self._node.cache.positions_open()}
        session.states = {"strategy": self.strategy.on_save(), "metrics": self.metrics.on_save()}
        return session
