"""Give a live node the state of an earlier run, before trading starts: strategy, metrics, balances, open positions.

The engine takes over positions by asking its execution clients at start-up. The simulated client's venue ends with the
process and has none. A second client answers in its place, under the simulated account's id: one filled order a
position, at the saved average price, with the position's realised PnL as its commission. The engine then holds the
positions, so that reduce-only orders, margins, unrealised PnL and reports are right. The balances, which these fills
change, are then set to the saved ones.
"""

import math
from collections.abc import Iterator, Mapping
from decimal import ROUND_FLOOR, Decimal
from typing import Any, Final

from nautilus_trader.live import ExecutionClientConfig
from nautilus_trader.live.clients import ExecutionClient, ExecutionClientFactory
from nautilus_trader.model import (
    FIXED_PRECISION,
    AccountBalance,
    AccountId,
    AccountType,
    ClientOrderId,
    Currency,
    ExecutionMassStatus,
    FillReport,
    InstrumentId,
    LiquiditySide,
    Money,
    OmsType,
    OrderSide,
    OrderStatus,
    OrderStatusReport,
    OrderType,
    PositionSide,
    PositionStatusReport,
    Price,
    Quantity,
    TimeInForce,
    TradeId,
    Venue,
    VenueOrderId,
)

from mm_nautilus.errors import ConfigError, MarketMakingError
from mm_nautilus.market.instrument import InstrumentSpec, decimal_places
from mm_nautilus.metrics.actor import MetricsActor
from mm_nautilus.runs.state_file import METRICS, STRATEGY, StateFile
from mm_nautilus.system.moments import SECOND_NS
from mm_nautilus.trading.fail_fast import GuardedActor
from mm_nautilus.trading.messages import COMMANDS_TOPIC, StartQuoting
from mm_nautilus.trading.saved_account import SavedAccount, SavedPosition
from mm_nautilus.trading.setup import NEVER_NS
from mm_nautilus.trading.strategy import MarketMaker

RESTORED_ORDER: Final = "RESTORED-"
"""Prefix of the ids of orders that stand for restored positions."""
_CLIENT: Final = "RESTORATION"
_TIMER: Final = "account-restorer"
_CHECK_NS: Final = 10_000_000
_SAME_PRICE: Final = 1e-12
_PRICE_STEP: Final = Decimal(1).scaleb(-FIXED_PRECISION)


class RestorationError(MarketMakingError):
    """The engine did not take over the saved account."""


def refuse_coarser_lots(state: StateFile, specs: Mapping[str, InstrumentSpec]) -> None:
    """Refuse saved positions that are no longer whole lots: their remainders could never be traded."""
    problems = []
    for position in () if state.account is None else state.account.positions:
        lot = specs[position.symbol].size_increment
        if position.quantity % lot:
            problems.append(
                f"{state.path}: the position of {position.symbol} must be a multiple of the venue's lot, which is "
                f"{lot:f} {position.base} now, was {position.quantity:f} {position.base}; start with --fresh, "
                f"which keeps this file under another name, and set venue.starting_balances to its balances"
            )
    if problems:
        raise ConfigError(problems)


def restore(
    state: StateFile, strategy: MarketMaker, metrics: MetricsActor, venue: str
) -> "AccountRestorer | None":
    """Load the saved state into strategy and metrics actor.

    Return the actor that starts the strategy once the engine holds the saved positions, None if there are none.
    """
    strategy.load(state.component(STRATEGY))
    metrics.load(state.component(METRICS))
    if state.account is None or not state.account.positions:
        return None
    strategy.conditions.start_ns = NEVER_NS
    return AccountRestorer(state.account, venue)


def simulated_account_id(venue: str) -> AccountId:
    """Return the id of the simulated venue's account, which both clients need."""
    return AccountId(f"{venue}-SANDBOX-001")


def money_before_positions(account: SavedAccount, *, is_cash: bool) -> list[Money]:
    """Return the balances with which the simulated client must start so that `account` can be restored."""
    amounts = account.before_positions(is_cash=is_cash)
    return [Money.from_decimal(amount, Currency.from_str(code)) for code, amount in amounts.items()]


def opening_fills(lots: int, lot: Decimal, average_price: float) -> list[tuple[int, Price]]:
    """Return the fills, one or two pairs of lots and price, that give a position of so many lots its average price.

    The engine keeps prices in steps of 1e-16, and averages of them as binary floats, which are finer below about one
    half. There two fills at neighbouring prices make the average, which is then right within two last bits of a float,
    or within one step if a position has too few lots to divide.
    """
    exact = Decimal(average_price)
    nearest = _price(exact.quantize(_PRICE_STEP))
    if math.ulp(average_price) >= _PRICE_STEP or nearest.as_double() == average_price:
        return [(lots, nearest)]
    low = exact.quantize(_PRICE_STEP, rounding=ROUND_FLOOR)
    upper = round((exact - low) / _PRICE_STEP * lots)
    fills = [(lots - upper, _price(low)), (upper, _price(low + _PRICE_STEP))]
    return [(part, price) for part, price in fills if part > 0]


def _price(value: Decimal) -> Price:
    return Price.from_decimal_dp(value, FIXED_PRECISION)


class RestorationClient(ExecutionClient):
    """Report the saved positions to the engine at start-up; orders never come here."""

    def __init__(self, account: SavedAccount, venue: str, *, is_cash: bool, **parts: Any) -> None:
        super().__init__(
            venue=Venue(_CLIENT),
            account_id=simulated_account_id(venue),
            account_type=AccountType.CASH if is_cash else AccountType.MARGIN,
            oms_type=OmsType.NETTING,
            **parts,
        )
        self._saved, self._at = account, venue
        self._registered = 0

    async def _generate_mass_status(self, lookback_mins: int | None) -> ExecutionMassStatus:
        """Report each position and the order that opened it."""
        del lookback_mins
        now_ns = self.clock.timestamp_ns()
        status = ExecutionMassStatus(self.client_id, self.account_id, Venue(_CLIENT), now_ns)
        for number, position in enumerate(self._saved.positions, start=1):
            order, fills, held = self._reports(number, position, now_ns)
            status.add_order_reports([order])
            status.add_fill_reports(fills)
            status.add_position_reports([held])
        return status

    def _reports(
        self, number: int, position: SavedPosition, now_ns: int
    ) -> tuple[OrderStatusReport, list[FillReport], PositionStatusReport]:
        instrument_id = InstrumentId.from_str(f"{position.symbol}.{self._at}")
        name, is_long = f"{RESTORED_ORDER}{number}", position.quantity > 0
        side = OrderSide.BUY if is_long else OrderSide.SELL
        size = abs(position.quantity)
        decimals = decimal_places(size)
        lot = Decimal(1).scaleb(-decimals)
        quantity = Quantity.from_decimal_dp(size, decimals)
        quote = Currency.from_str(position.quote)
        order = OrderStatusReport(
            self.account_id,
            instrument_id,
            VenueOrderId(name),
            side,
            OrderType.MARKET,
            TimeInForce.GTC,
            OrderStatus.FILLED,
            quantity,
            quantity,
            now_ns,
            now_ns,
            now_ns,
            client_order_id=ClientOrderId(name),
            avg_px=Decimal(position.average_price).quantize(_PRICE_STEP),
        )
        fills = [
            FillReport(
                self.account_id,
                instrument_id,
                VenueOrderId(name),
                TradeId(f"{name}-{part}"),
                side,
                Quantity.from_decimal_dp(lots * lot, decimals),
                price,
                Money.from_decimal(-position.realized if part == 1 else Decimal(0), quote),
                LiquiditySide.MAKER,
                now_ns,
                now_ns,
                client_order_id=ClientOrderId(name),
            )
            for part, (lots, price) in enumerate(
                opening_fills(int(size / lot), lot, position.average_price), start=1
            )
        ]
        held_side = PositionSide.LONG if is_long else PositionSide.SHORT
        held = PositionStatusReport(self.account_id, instrument_id, held_side, quantity, now_ns, now_ns)
        return order, fills, held

    async def _register_external_order(self, *_order: Any) -> None:
        """Set the balances once the engine holds all positions."""
        self._registered += 1
        if self._registered == len(self._saved.positions):
            self._set_balances()

    def _set_balances(self) -> None:
        account: Any = self.cache.account(self.account_id)
        locked = account.balances_locked()
        balances = []
        for currency in account.currencies():
            total = Money.from_decimal(self._saved.balances.get(currency.code, Decimal(0)), currency)
            held = min(locked.get(currency, Money(0, currency)), total)
            balances.append(AccountBalance(total, held, total - held))
        margins = [] if account.is_cash_account() else list(account.margins().values())
        self.generate_account_state(balances, margins, True, self.clock.timestamp_ns())

    async def _do_nothing(self, command: Any = None) -> None: ...

    async def _return_nothing(self, command: Any) -> list[Any]:
        return []

    _connect = _disconnect = _query_account = _query_order = _generate_order_status_report = _do_nothing
    _generate_order_status_reports = _generate_fill_reports = _return_nothing
    _generate_position_status_reports = _return_nothing


def add_restoration_client(builder: Any, account: SavedAccount, venue: str, *, is_cash: bool) -> Any:
    """Let a live node take over an account with open positions.

    The node needs reconciliation at start-up and an `AccountRestorer`, for which the strategy waits; the simulated
    client `money_before_positions` and `simulated_account_id`; the strategy `takes_over`.
    """

    class Factory(ExecutionClientFactory):
        @staticmethod
        def create(**parts: Any) -> RestorationClient:
            return RestorationClient(account, venue, is_cash=is_cash, **parts)

    return builder.add_exec_client(_CLIENT, Factory, ExecutionClientConfig())


class AccountRestorer(GuardedActor):
    """Start the strategies once the engine holds the saved account, or fail the run."""

    actor_name = "RESTORER-001"

    def __init__(self, account: SavedAccount, venue: str, *, patience_seconds: float = 10.0) -> None:
        super().__init__()
        self._account, self._venue = account, Venue(venue)
        self._patience_ns = round(patience_seconds * SECOND_NS)
        self._deadline_ns = 0

    def on_start(self) -> None:
        """Look at the engine every ten milliseconds until it holds the saved account."""
        self._deadline_ns = self.clock.timestamp_ns() + self._patience_ns
        self.clock.set_timer_ns(_TIMER, _CHECK_NS)

    def on_time_event(self, event: Any) -> None:
        """Compare the engine with the saved account."""
        if event.name != _TIMER:
            return
        found = self.differences()
        if not found:
            self.clock.cancel_timer(_TIMER)
            held = ", ".join(str(position) for position in self._account.positions)
            self.log.info(f"MM: restored {held}")
            self.publish_message(COMMANDS_TOPIC, StartQuoting())
        elif event.ts_event >= self._deadline_ns:
            raise RestorationError(f"the engine must hold the saved account: {'; '.join(found)}")

    def differences(self) -> list[str]:
        """Return what the engine does not hold of the saved account, one text an item."""
        return [*self._wrong_positions(), *self._wrong_balances()]

    def _wrong_positions(self) -> Iterator[str]:
        held = {position.instrument_id: position for position in self.cache.positions_open()}
        for saved in self._account.positions:
            position = held.pop(InstrumentId.from_str(f"{saved.symbol}.{self._venue}"), None)
            if position is None:
                yield f"{saved.symbol} must be {saved}, was 0"
                continue
            size = position.quantity.as_decimal() * (1 if position.is_long else -1)
            price = position.avg_px_open
            if size != saved.quantity or abs(price - saved.average_price) > _SAME_PRICE * saved.average_price:
                yield f"{saved.symbol} must be {saved}, was {size} at {price}"
        for instrument_id, position in held.items():
            yield f"{instrument_id} must be 0, was {position.signed_qty}"

    def _wrong_balances(self) -> Iterator[str]:
        account = self.cache.account_for_venue(self._venue)
        if account is None:
            yield f"{self._venue} must have an account, was none"
            return
        totals = {currency.code: money.as_decimal() for currency, money in account.balances_total().items()}
        for code in sorted({*totals, *self._account.balances}):
            amount, saved = totals.get(code, Decimal(0)), self._account.balances.get(code, Decimal(0))
            if amount != saved:
                yield f"{code} must be {saved}, was {amount}"
