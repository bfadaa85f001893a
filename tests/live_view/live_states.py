"""States to show, made by hand."""

from decimal import Decimal
from typing import Any

from mm_nautilus.live_view.state import Fill, LiveState, Market, Quotes, RunInfo, SymbolInfo
from mm_nautilus.metrics.daily import DailyView, DayResult
from mm_nautilus.metrics.ledger import AccountSnapshot

XRP, CROSS = "XRP/USDT", "XRP/BTC"
SECOND_NS = 1_000_000_000
START_NS = 1_765_627_200 * SECOND_NS
"""2025-12-13 12:00 UTC."""
RUN = RunInfo(
    "probe", "runs/probe", "USDT", True, "local", "KRAKEN", "maker 0 %, taker 0.1 % of the value", START_NS
)
INFOS = (SymbolInfo(XRP, "XRP", "USDT", 5), SymbolInfo(CROSS, "XRP", "BTC", 8))
FIGURES = {
    "ts_event": START_NS,
    "symbol": XRP,
    "fills": 3,
    "trades": 2,
    "wins": 1,
    "losses": 1,
    "win_rate": 50.0,
    "realized_pnl": "1.25400000 USDT",
    "total_pnl": "-0.01250000 USDT",
    "average_pnl": "0.62700000 USDT",
    "fees": "0.04000000 USDT",
    "total_pnl_report": "-0.01250000 USDT",
    "inventory": "-8.500000 XRP",
    "mid_price": 2.350005,
    "reservation_price": float("nan"),
    "trailing_stop_price": 2.361453,
    "volatility_pct": 0.0812,
    "volatility_source": "5-second returns",
    "state": "quoting",
    "reason": "bid: cooldown",
    "feed_age_seconds": 0.25,
}
CROSS_FIGURES = FIGURES | {
    "symbol": CROSS,
    "realized_pnl": "0.00000001 BTC",
    "total_pnl": "-0.00000125 BTC",
    "fees": "0.00000002 BTC",
}
FILL = Fill(
    ts_event=START_NS + 5 * SECOND_NS,
    symbol=XRP,
    side="BUY",
    price=Decimal("2.34900"),
    quantity=Decimal("8.500000"),
    liquidity="MAKER",
    purpose="take_profit",
    fee=Decimal("0.01996650"),
    realized_change=Decimal("1.25"),
    trade_pnl=Decimal("1.25"),
    position=Decimal("-8.500000"),
    correlation_id="O-1",
)


DAILY = DailyView(
    (
        DayResult("2025-12-12", Decimal("-0.25"), Decimal("0.02"), 4, 2),
        DayResult("2025-12-13", Decimal("0.75"), Decimal("0.04"), 6, 4),
    )
)


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def made_state(clock: Any = None) -> LiveState:
    """Return the state of a run that has published nothing yet."""
    return LiveState(RUN, INFOS) if clock is None else LiveState(RUN, INFOS, clock)


def account(equity: str = "1000.5", trading_pnl: str = "0.5") -> AccountSnapshot:
    """Return the figures of an account with dollars alone."""
    return AccountSnapshot(
        report_currency="USDT",
        balances={"USDT": Decimal(equity)},
        prices={"USDT": Decimal(1)},
        values={"USDT": Decimal(equity)},
        start_equity=Decimal(1000),
        revaluation=Decimal(0),
        trading_pnl=Decimal(trading_pnl),
        max_drawdown_pct=0.125,
        open_positions=1,
        fees=Decimal("0.04"),
    )


def eventful_state(clock: Any = None) -> LiveState:
    """Return a state with something of everything."""
    state = made_state(clock)
    state.set_status("running")
    for figures in (FIGURES, CROSS_FIGURES):
        state.on_metrics(figures)
    state.on_fill(FILL)
    for seconds, equity in enumerate(("1000.0", "999.0", "1000.5")):
        publish_account(state, START_NS + seconds * SECOND_NS, account(equity))
    return state


def publish_quotes(state: LiveState, symbol: str, quotes: Quotes, level: int = 1, **market: Any) -> None:
    """Do what a run does with quotes of a level."""
    shown = next(each for each in state.snapshot().symbols if each.info.symbol == symbol)
    given = {"mid_price": 2.350005, "feed_age_seconds": 0.25} | market
    state.on_moment(symbol, Market(START_NS, **given), {**shown.quotes, level: quotes})


def publish_account(state: LiveState, ts_ns: int, snapshot: AccountSnapshot) -> None:
    """Do what a run does with the account's figures."""
    state.on_account(ts_ns, snapshot, DAILY)
    state.curves.add(ts_ns, snapshot)
