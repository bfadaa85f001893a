"""The figures of a summary as rows of tables: one wording and one form for the terminal, the page and comparisons."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from mm_nautilus.pricing.quote_model import short_number
from mm_nautilus.report.money import (
    adding_decimals,
    decimal_text,
    shared_decimals,
    signed_amount,
    unsigned_amount,
)
from mm_nautilus.system.plain_text import counted

type Figures = Mapping[str, Any]

NONE: Final = "-"
"""Stands for a missing figure."""


class Row(NamedTuple):
    """One row of a table."""

    name: str
    keys: tuple[str, ...]
    """Keys of the figures it shows."""
    text: Callable[[Figures], str]
    """Writes them, with their unit."""
    is_result: bool = False
    """Whether it is money made or lost, or a share of it, whose sign is worth a colour."""
    hides_zero: bool = False
    """Whether it is not worth a row on a terminal while it is 0: faults, and what only some runs have."""
    is_money: bool = False
    """Whether it is an amount, in the figures' ``currency``, with at least as many ``decimals`` as these ask for."""


def _count(name: str, key: str, *, hides_zero: bool = False) -> Row:
    return Row(name, (key,), lambda figures: f"{figures[key]:,}", hides_zero=hides_zero)


def _money(name: str, key: str, write: Callable[[float, str, int], str] = signed_amount) -> Row:
    def text(figures: Figures) -> str:
        if figures.get(key) is None:  # also where an earlier version has written them
            return NONE
        return write(figures[key], figures["currency"], figures.get("decimals", 0))

    return Row(name, (key,), text, is_result=write is signed_amount, is_money=True)


def texts(row: Row, found: Sequence[Figures | None], finer: int = 0) -> list[str]:
    """Return what a row shows side by side: amounts of one currency with the same digits, a dash for no figures.

    `finer` is how many digits after the decimal point more than usual there are, where the row can have more.
    """
    if row.is_money:
        (key,) = row.keys
        decimals: dict[str, int] = {}
        for figures in found:
            if figures is not None and figures.get(key) is not None:
                currency = figures["currency"]
                needed = shared_decimals([figures[key]], currency), figures.get("decimals", 0)
                decimals[currency] = max(*needed, decimals.get(currency, 0))
        found = [
            None if figures is None else {**figures, "decimals": decimals.get(figures["currency"], 0) + finer}
            for figures in found
        ]
    elif finer:
        found = [None if figures is None else {**figures, "finer": finer} for figures in found]
    return [NONE if figures is None else row.text(figures) for figures in found]


def with_decimals(equity: Figures) -> Figures:
    """Return an account's figures with the digits with which the trading PnL and its parts add up as written."""
    currency, pnl = equity["currency"], [equity[key] for key in ("trading_pnl_before_fees", "fees")]
    amounts = [row.keys[0] for row in EQUITY_ROWS if row.is_money and row.keys != ("avg_trade_pnl",)]
    least = shared_decimals([equity[key] for key in amounts if equity.get(key) is not None], currency)
    if None not in pnl:
        least = max(least, adding_decimals(equity["trading_pnl"], [pnl[0], -pnl[1]], currency))
    return {**equity, "decimals": least}


def _number(name: str, key: str, unit: str, decimals: int = 1) -> Row:
    def text(figures: Figures) -> str:
        digits = _digits(figures, decimals)
        return NONE if figures.get(key) is None else f"{figures[key]:z,.{digits}f}{unit}"

    return Row(name, (key,), text)


def _digits(figures: Figures, decimals: int) -> int:
    """Return with how many digits after the decimal point a figure that is no amount is written."""
    digits: int = max(decimals + figures.get("finer", 0), figures.get("least", 0))
    return digits


def size_text(size: float) -> str:
    """Return a size with up to eight decimals and never with an exponent."""
    return f"{size:z,.8f}".rstrip("0").rstrip(".")


def _inventory_text(figures: Figures) -> str:
    return f"{size_text(figures['inventory'])} {figures['base_currency']}"


def _mean_size_text(figures: Figures) -> str:
    """Return a mean size with the four digits that mean something."""
    size = figures["average_inventory"]
    shown = size_text(round(size) if size >= 1_000 else float(f"{size:.4g}"))
    return f"{shown} {figures['base_currency']}"


def _waited(figures: Figures) -> str:
    return f"{counted(figures['points_waits'], 'time')}, {figures['points_wait_seconds']:,.1f} s"


def _pair(name: str, one: str, two: str) -> Row:
    return Row(name, (one, two), lambda figures: f"{figures[one]:,} / {figures[two]:,}", hides_zero=True)


def _bps(name: str, key: str, sign: Literal["+", "-"] = "+") -> Row:
    return Row(
        name,
        (key,),
        lambda figures: (
            NONE if figures[key] is None else f"{decimal_text(figures[key], _digits(figures, 2), sign)} bps"
        ),
        is_result=sign == "+",
    )


SYMBOL_ROWS: Final[tuple[Row, ...]] = (
    _count("fills", "fills"),
    _count("trades", "trades"),
    _count("wins", "wins"),
    _count("losses", "losses"),
    _number("win rate", "win_rate", " %"),
    _money("realized PnL, net of fees", "realized_pnl"),
    _money("total PnL, net of fees", "total_pnl"),
    _money("average PnL per trade", "avg_pnl"),
    _money("fees", "fees", unsigned_amount),
    _money("funding", "funding")._replace(hides_zero=True),
    _money("turnover", "turnover", unsigned_amount),
    _bps("total PnL, of turnover", "pnl_turnover_bps"),
    _number("maker share of fills", "maker_share_pct", " %"),
    Row("inventory at the end", ("inventory",), _inventory_text),
    Row("average inventory, absolute", ("average_inventory",), _mean_size_text),
    _number("time at the inventory cap", "seconds_at_cap", " s"),
    _count("orders placed", "orders_placed"),
    _count("amended", "orders_amended"),
    _count("cancelled", "orders_cancelled"),
    _pair("refused by venue / engine", "orders_rejected", "orders_denied"),
    _count("refused by the rate limit", "rate_limited", hides_zero=True),
    _count("points of the rate limit", "rate_points", hides_zero=True),
    Row("waited for points", ("points_waits", "points_wait_seconds"), _waited, hides_zero=True),
    _bps("off target meanwhile", "points_wait_bps", "-")._replace(hides_zero=True),
    _count("refused exits", "exits_refused", hides_zero=True),
    _pair("trades left out: old / repeated", "old_trades", "repeated_trades"),
    _count("fills by trades left out", "phantom_fills", hides_zero=True),
    _number("quotes per fill", "quotes_per_fill", "", 2),
)
"""Of each symbol."""


def _distance(name: str, key: str) -> Row:
    def text(model: Figures) -> str:
        if model[f"{key}_bps"] is None:
            return NONE
        return f"{short_number(model[f'{key}_bps'])} bps ({short_number(model[f'{key}_ticks'])} ticks)"

    return Row(name, (f"{key}_bps", f"{key}_ticks"), text)


def _spread_text(model: Figures) -> str:
    return f"{short_number(model['spread_bps'])} bps ({model['spread_source'].removesuffix(' spread')})"


def _volatility_text(model: Figures) -> str:
    return NONE if model["volatility_pct"] is None else f"{short_number(model['volatility_pct'])} %"


def _volatility_since_text(model: Figures) -> str:
    return NONE if model["volatility_since"] is None else f"{model['volatility_since'][11:19]}"


MODEL_ROWS: Final[tuple[Row, ...]] = (
    Row("model", ("model",), lambda model: str(model["model"])),
    _distance("distance from the centre", "half_width"),
    _distance("moved by full inventory", "skew"),
    Row("maker fee", ("maker_fee_bps",), lambda model: f"{model['maker_fee_bps']:g} bps"),
    Row("one-minute volatility", ("volatility_pct",), _volatility_text),
    Row("volatility measured from", ("volatility_source",), lambda model: str(model["volatility_source"])),
    Row("volatility since, UTC", (), _volatility_since_text),
    Row("the market's spread", ("spread_bps", "spread_source"), _spread_text),
)
"""Of a symbol's quote model."""


def _mark_out_text(quality: Figures) -> str:
    if quality["mark_out_bps"] is None:
        return NONE
    error, digits = quality["standard_error_bps"], _digits(quality, 2)
    return f"{quality['mark_out_bps']:+z.{digits}f} bps" + ("" if error is None else f" ± {error:.{digits}f}")


FILL_ROWS: Final[tuple[Row, ...]] = (
    _count("fills", "fills"),
    _bps("spread captured", "spread_bps"),
    _bps("adverse selection", "adverse_bps")._replace(is_result=False),  # positive is against us
    Row("mark-out", ("mark_out_bps", "standard_error_bps"), _mark_out_text, is_result=True),
    _bps("fees", "fees_bps", "-"),
    _bps("net of fees", "net_bps"),
    _money("net of fees, amount", "net"),
)
"""Of fills at one horizon; the currency has to be put beside them."""

EQUITY_ROWS: Final[tuple[Row, ...]] = (
    _money("trading PnL, net of fees", "trading_pnl"),
    _money("trading PnL before fees", "trading_pnl_before_fees"),
    _money("fees", "fees", unsigned_amount),
    _number("trading PnL, % of the equity at the start", "roi_pct", " %", 3),
    _number("largest drawdown", "max_drawdown_pct", " %", 3),
    _money("equity at the start", "start", unsigned_amount),
    _money("equity at the end", "end", unsigned_amount),
    _money("revaluation of the starting balances", "revaluation"),
    _money("funding", "funding")._replace(hides_zero=True),
    _number("profit factor of the trades", "profit_factor", "", 2),
    _money("average result of a trade, at the rates of its time", "avg_trade_pnl"),
)
"""Of the account, in the report currency."""


def maker_quality(symbol: Figures, seconds: float) -> dict[str, Any] | None:
    """Return what a symbol's fills that made liquidity were worth at a horizon, with the currency of its amounts.

    Of a run without traces it is None.
    """
    if symbol["fill_quality"] is None:
        return None
    found = next(quality for quality in symbol["fill_quality"]["maker"] if quality["seconds"] == seconds)
    return {**found, "currency": symbol["currency"]}
