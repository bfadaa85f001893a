"""A run's figures as Prometheus metrics, read from its state when they are asked for."""

import platform
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Final, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from mm_nautilus.live_view.state import Snapshot, SymbolSnapshot
from mm_nautilus.risk.state import QuotingState
from mm_nautilus.system.moments import SECOND_NS

_PREFIX: Final = "mm_nautilus_"
_NAN: Final = float("nan")
_STATUSES: Final = ("starting", "running", "completed", "interrupted", "failed")


class _Figure(NamedTuple):
    """A figure of `SymbolMetrics`."""

    key: str
    """Its field."""
    name: str
    text: str
    """What it is, with its unit."""


COUNTERS: Final = (
    _Figure("fills", "fills", "Executions."),
    _Figure("trades", "trades", "Executions that reduced a position."),
    _Figure("wins", "wins", "Trades with a profit."),
    _Figure("losses", "losses", "Trades with a loss."),
)
"""Counts that only rise; they continue over restarts with the run's state file."""

QUOTE_AMOUNTS: Final = (
    _Figure("realized_pnl", "realized_pnl", "Realized PnL, net of fees, in quote currency."),
    _Figure("unrealized_pnl", "unrealized_pnl", "Unrealized PnL at mid, in quote currency."),
    _Figure("total_pnl", "total_pnl", "Realized and unrealized PnL, net of fees, in quote currency."),
    _Figure("average_pnl", "average_pnl", "Realized PnL per trade, in quote currency."),
    _Figure("fees", "fees", "Fees charged by the venue, negative for rebates, in quote currency."),
    _Figure("funding", "funding", "Funding payments, negative if paid, in quote currency; no part of a PnL."),
)
REPORT_AMOUNTS: Final = (
    _Figure("realized_pnl_report", "realized_pnl_report", "Realized PnL in the report currency."),
    _Figure("unrealized_pnl_report", "unrealized_pnl_report", "Unrealized PnL in the report currency."),
    _Figure("total_pnl_report", "total_pnl_report", "Total PnL in the report currency; symbols add up."),
    _Figure("funding_report", "funding_report", "Funding payments in the report currency."),
)
BASE_AMOUNTS: Final = (_Figure("inventory", "inventory", "Net position since the start, in base currency."),)
PRICES: Final = (
    _Figure("trailing_stop_price", "trailing_stop_price", "Price at which the position is closed."),
)
MARKET_PRICES: Final = (
    _Figure("mid_price", "mid_price", "Middle of the last sound book, of the moment of the quotes."),
    _Figure("reservation_price", "reservation_price", "Reservation price of the quotes."),
)
"""Of the market beside the quotes (`Market`), not of `SymbolMetrics`, which are published more rarely."""
PERCENTAGES: Final = (
    _Figure("win_rate", "win_ratio", "Wins as a share of trades, 0 to 1."),
    _Figure("volatility_pct", "volatility_ratio", "One-minute volatility of the mid, as a share of it."),
)
MOMENTS: Final = (
    _Figure("volatility_since_ns", "volatility_since_timestamp_seconds", "Start of its measurement."),
    _Figure(
        "ts_event", "symbol_updated_timestamp_seconds", "When these figures of the symbol were published."
    ),
)


class RunCollector(Collector):
    """Turn a run's snapshot into metrics, one snapshot a scrape; nothing is kept between two."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of this moment."""
        snapshot = self._snapshot()
        yield from _run_metrics(snapshot)
        yield from _account_metrics(snapshot)
        yield from _state_metrics(snapshot.symbols)
        yield from _symbol_metrics(snapshot)
        yield from _market_metrics(snapshot.symbols)
        yield from _quote_metrics(snapshot.symbols)


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(_PREFIX + name, text, labels=labels)


def _info(name: str, text: str, values: dict[str, str]) -> InfoMetricFamily:
    return InfoMetricFamily(_PREFIX + name, text, value=values)


# -- The run and its account --------------------------------------------------------------------------------


def _run_metrics(snapshot: Snapshot) -> Iterator[Metric]:
    run = snapshot.run
    versions = {
        "version": metadata.version("mm-nautilus"),
        "nautilus_trader": metadata.version("nautilus-trader"),
        "python": platform.python_version(),
    }
    yield _info("build", "Versions of what runs.", versions)
    about = {
        "name": run.name,
        "venue": run.venue,
        "feed": run.feed,
        "report_currency": run.report_currency,
        "simulated_data": str(run.is_simulated).lower(),
    }
    yield _info("run", "The run; simulated data say nothing about a market.", about)
    status = _gauge("run_status", "1 for the run's status, 0 for the others.", "status")
    for name in _STATUSES:
        status.add_metric([name], float(snapshot.status == name))
    yield status
    start = _gauge("start_timestamp_seconds", "When the run began.")
    start.add_metric([], run.started_ns / SECOND_NS)
    uptime = _gauge("uptime_seconds", "Time since the run began.")
    uptime.add_metric([], snapshot.uptime_seconds)
    connected = _gauge(
        "feed_connected", "1 while the feed is connected, 0 while it is not, NaN before it was."
    )
    connected.add_metric([], _NAN if snapshot.is_connected is None else float(snapshot.is_connected))
    yield from (start, uptime, connected)


def _account_metrics(snapshot: Snapshot) -> Iterator[Metric]:
    account, code = snapshot.account, snapshot.run.report_currency
    figures = {
        "equity": "Value of all balances, marked at mid, in the report currency.",
        "trading_pnl": "Trading profit since the first start, net of fees, in the report currency.",
        "revaluation": "Change in value of the starting balances by prices alone; no trading profit.",
        "funding": "Funding payments of all symbols, negative if paid, in the report currency.",
        "fees": "Fees of all symbols, in the report currency at its last rates.",
    }
    for key, text in figures.items():
        gauge = _gauge(f"account_{key}", text, "currency")
        gauge.add_metric([code], _NAN if account is None else float(getattr(account, key)))
        yield gauge
    shares = {
        "roi_pct": ("account_return_ratio", "Trading PnL as a share of the equity at the start."),
        "max_drawdown_pct": (
            "account_max_drawdown_ratio",
            "Largest fall of trading PnL and funding, as a share of the equity at the start.",
        ),
    }
    for key, (name, text) in shares.items():
        gauge = _gauge(name, text)
        gauge.add_metric([], _NAN if account is None else getattr(account, key) / 100)
        yield gauge
    updated = _gauge("account_updated_timestamp_seconds", "When the account's figures were published.")
    moment_ns = snapshot.account_ts_ns
    updated.add_metric([], _NAN if moment_ns is None else moment_ns / SECOND_NS)
    positions = _gauge("account_open_positions", "Symbols whose net position since the start is not zero.")
    positions.add_metric([], _NAN if account is None else account.open_positions)
    balances = _gauge("account_balance", "Total balance of a currency, in that currency.", "currency")
    for currency, amount in ({} if account is None else account.balances).items():
        balances.add_metric([currency], float(amount))
    yield from (updated, positions, balances)


# -- Symbols ------------------------------------------------------------------------------------------------


def _state_metrics(symbols: tuple[SymbolSnapshot, ...]) -> Iterator[Metric]:
    age = _gauge("feed_age_seconds", "Greatest possible age of the feed's last book event.", "symbol")
    states = _gauge("quoting_state", "1 for the symbol's state, 0 for the others.", "symbol", "state")
    reasons = InfoMetricFamily(
        f"{_PREFIX}quoting", "Why one or both sides are not quoted; empty if both are.", labels=["symbol"]
    )
    for symbol in symbols:
        name = symbol.info.symbol
        age.add_metric([name], _NAN if symbol.feed_age_seconds is None else symbol.feed_age_seconds)
        for state in QuotingState:
            states.add_metric([name, state.value], float(symbol.state == state))
        reasons.add_metric([name], {"reason": _reason(symbol)})
    yield from (age, states, reasons)


def _reason(symbol: SymbolSnapshot) -> str:
    """Return why sides are not quoted, of the moment of the prices; before there are any by metrics and guards."""
    nearest = symbol.quotes.get(1)
    if nearest is None:
        return symbol.reason
    bid, ask = nearest.bid_reason, nearest.ask_reason
    if bid is not None and bid == ask:  # a halt says more of itself
        return symbol.reason if symbol.reason.startswith(f"{bid}:") else bid
    sides = (("bid", bid), ("ask", ask))
    return ", ".join(f"{side}: {reason}" for side, reason in sides if reason is not None)


def _symbol_metrics(snapshot: Snapshot) -> Iterator[Metric]:
    rows = [(symbol.info, symbol.row) for symbol in snapshot.symbols if symbol.row is not None]
    for figure in COUNTERS:
        counter = CounterMetricFamily(_PREFIX + figure.name, figure.text, labels=["symbol"])
        for info, row in rows:
            counter.add_metric([info.symbol], row[figure.key])
        yield counter
    money = (
        (QUOTE_AMOUNTS, lambda info: info.quote),
        (REPORT_AMOUNTS, lambda _info: snapshot.run.report_currency),
        (BASE_AMOUNTS, lambda info: info.base),
    )
    for figures, currency in money:
        for figure in figures:
            gauge = _gauge(figure.name, figure.text, "symbol", "currency")
            for info, row in rows:
                gauge.add_metric([info.symbol, currency(info)], _amount(row[figure.key]))
            yield gauge
    for figure in PRICES:
        gauge = _gauge(figure.name, figure.text, "symbol", "currency")
        for info, row in rows:
            gauge.add_metric([info.symbol, info.quote], row[figure.key])
        yield gauge
    for figure in PERCENTAGES:
        gauge = _gauge(figure.name, figure.text, "symbol")
        for info, row in rows:
            is_known = figure.key != "win_rate" or row["trades"]
            gauge.add_metric([info.symbol], row[figure.key] / 100 if is_known else _NAN)
        yield gauge
    for figure in MOMENTS:
        gauge = _gauge(figure.name, figure.text, "symbol")
        for info, row in rows:
            gauge.add_metric([info.symbol], row[figure.key] / SECOND_NS or _NAN)
        yield gauge


def _amount(text: str) -> float:
    """Return the number of an amount such as ``-0.01250000 USDT``, NaN for an unknown one."""
    return float(text.split(maxsplit=1)[0]) if text else _NAN


def _market_metrics(symbols: tuple[SymbolSnapshot, ...]) -> Iterator[Metric]:
    for figure in MARKET_PRICES:
        gauge = _gauge(figure.name, figure.text, "symbol", "currency")
        for symbol in symbols:
            if symbol.market is not None:
                price = getattr(symbol.market, figure.key)
                gauge.add_metric([symbol.info.symbol, symbol.info.quote], _NAN if price is None else price)
        yield gauge


def _quote_metrics(symbols: tuple[SymbolSnapshot, ...]) -> Iterator[Metric]:
    labels = ("symbol", "side", "level", "currency")
    prices = _gauge(
        "quote_price", "Price of our working order, NaN if there is none; level 1 is nearest.", *labels
    )
    sizes = _gauge("quote_size", "Open size of our working order, in base currency.", *labels)
    for symbol in symbols:
        info = symbol.info
        for level, quotes in symbol.quotes.items():
            for side, price, size in (
                ("bid", quotes.bid_price, quotes.bid_size),
                ("ask", quotes.ask_price, quotes.ask_size),
            ):
                place = [info.symbol, side, str(level)]
                prices.add_metric([*place, info.quote], _NAN if price is None else price)
                sizes.add_metric([*place, info.base], _NAN if size is None else size)
    yield from (prices, sizes)
