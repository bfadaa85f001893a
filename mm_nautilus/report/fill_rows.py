"""One symbol's executions as rows of the page: what each was worth, and the trade that it was."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mm_nautilus.report.attribution import HORIZON_SECONDS
from mm_nautilus.report.derived import mids_of_fills
from mm_nautilus.report.figures import pack
from mm_nautilus.report.money import amount_decimals, is_dollar, shared_decimals, unsigned_amount
from mm_nautilus.report.run_files import RunFiles, numbers, recorded_times, texts, times

type Floats = NDArray[np.float64]
type Ints = NDArray[np.int64]

MOST_ROWS: Final = 20_000
"""Fills that the page carries of one symbol."""
_MOST_DIGITS: Final = 12
_SMALL_SHARE: Final = 0.1
"""Share of a column's amounts that may be too small for its digits; those are written with two significant ones."""
_BPS: Final = 10_000.0
_BPS_UNIT: Final = 1e-3
_NS_PER_MS: Final = 1_000_000
_TABLE: Final = (
    *("ts_event", "side", "price", "quantity", "commission", "liquidity", "purpose", "trade_id"),
    *("trade_pnl", "open_fees", "position", "entry_price", "ts_opened"),
)


@dataclass(frozen=True, slots=True)
class FillRows:
    """Executions of one symbol in time order, one row each; NaN where a figure is not known."""

    symbol: str
    ts_ns: Ints
    trade_ids: list[str | None]
    direction: Floats
    """1 where we bought, -1 where we sold."""
    is_maker: NDArray[np.bool_]
    purposes: list[str]
    """``quote``, ``entry`` or the exit."""
    price: Floats
    quantity: Floats
    fee: Floats
    mid: Floats
    later_mid: Floats
    """The mid at the fill and `HORIZON_SECONDS` after it; not known without traces."""
    trade_pnl: Floats
    """Result of the trade, quote currency, net of the fees of both ends; NaN where no position was reduced."""
    closed: Floats
    """By how much the position was reduced, base currency."""
    entry_price: Floats
    """Average price of the position before the fill."""
    opened_ns: Ints
    """When that position was opened; 0 while flat."""
    open_fees: float
    """Fees of the position that was open at the end, which are in no trade's result yet, quote currency."""

    @property
    def spread_bps(self) -> Floats:
        """Distance of the price from the mid at the fill in our favour, bps of the price."""
        return _BPS * self.direction * (self.mid - self.price) / self.price

    @property
    def mark_out_bps(self) -> Floats:
        """What closing at the later mid would have made, before fees, bps of the price."""
        return _BPS * self.direction * (self.later_mid - self.price) / self.price

    @property
    def is_trade(self) -> NDArray[np.bool_]:
        """Whether the execution reduced a position."""
        return ~np.isnan(self.trade_pnl)

    @property
    def move_bps(self) -> Floats:
        """How far the price had moved from the entry in the position's favour, bps of the entry, before fees."""
        return -self.direction * _BPS * (self.price / self.entry_price - 1.0)


def fill_rows(files: RunFiles, symbol: str) -> FillRows:
    """Read a symbol's executions; a DataError says that a table is missing, damaged or of an earlier version."""
    table = files.table("fills", _TABLE, symbol)
    trade_ids = texts(table, "trade_id")
    unknown = np.full(len(trade_ids), np.nan)
    mids = mids_of_fills(files, symbol, trade_ids) if files.has_traces else {}
    direction = np.array([1.0 if side == "BUY" else -1.0 for side in texts(table, "side")], dtype=np.float64)
    quantity, after = numbers(table, "quantity"), numbers(table, "position")
    before = np.round(np.abs(after - direction * quantity), _MOST_DIGITS)
    trade_pnl, open_fees = numbers(table, "trade_pnl"), numbers(table, "open_fees")
    return FillRows(
        symbol=symbol,
        ts_ns=times(table),
        trade_ids=trade_ids,
        direction=direction,
        is_maker=np.array([code == "MAKER" for code in texts(table, "liquidity")], dtype=np.bool_),
        purposes=[purpose or "" for purpose in texts(table, "purpose")],
        price=numbers(table, "price"),
        quantity=quantity,
        fee=numbers(table, "commission"),
        mid=mids.get(0.0, unknown),
        later_mid=mids.get(HORIZON_SECONDS, unknown),
        trade_pnl=trade_pnl,
        closed=np.where(np.isnan(trade_pnl), np.nan, np.minimum(quantity, before)),
        entry_price=numbers(table, "entry_price"),
        opened_ns=recorded_times(table, "ts_opened"),
        open_fees=float(open_fees[-1]) if len(open_fees) else 0.0,
    )


def kept_rows(rows: FillRows, most: int = MOST_ROWS) -> Ints:
    """Return the fills that a page carries: all, or the last ones with the best and the worst trades before them."""
    count = len(rows.ts_ns)
    if count <= most:
        return np.arange(count)
    last = np.arange(count - most // 2, count)
    earlier = np.flatnonzero(rows.is_trade[: count - most // 2])
    ranked = earlier[np.argsort(rows.trade_pnl[earlier], kind="stable")]
    chosen = np.concatenate([ranked[: most // 4], ranked[most // 4 :][-most // 4 :], last])
    return np.unique(chosen)


def fill_view(
    rows: FillRows, figures: dict[str, Any], report_currency: str, start_ns: int, decimals: int
) -> dict[str, Any]:
    """Return what the page's script makes tables and marks of.

    `figures` are the symbol's in the summary, `start_ns` the start of what is drawn, nanoseconds since the epoch,
    `decimals` those of a mid. ``rate`` makes amounts of several currencies comparable: their value in the report
    currency at the run's last mids, None where that is not known. ``digits`` write an amount in full, ``shown_digits``
    as it is read beside the others of its column.
    """
    kept = kept_rows(rows)
    names = tuple(sorted(set(rows.purposes)))
    codes = {name: float(code) for code, name in enumerate(names)}
    digits = amount_digits(figures["currency"], rows.fee, rows.trade_pnl, np.array([rows.open_fees]))
    size, amount, tick = float(figures["size_increment"]), 10.0**-digits, 10.0 ** (1 - decimals)
    opened = np.where(rows.opened_ns == 0, np.nan, (rows.opened_ns - start_ns) / _NS_PER_MS)
    columns = {
        "t": ((rows.ts_ns - start_ns) / _NS_PER_MS, 1.0),
        "is_buy": (rows.direction > 0, 1.0),
        "is_maker": (rows.is_maker, 1.0),
        "purpose": (np.array([codes[name] for name in rows.purposes], dtype=np.float64), 1.0),
        "price": (rows.price, tick),
        "quantity": (rows.quantity, size),
        "fee": (rows.fee, amount),
        "mid": (rows.mid, tick / 2.0),
        "spread": (rows.spread_bps, _BPS_UNIT),
        "mark_out": (rows.mark_out_bps, _BPS_UNIT),
        "pnl": (rows.trade_pnl, amount),
        "closed": (rows.closed, size),
        "entry": (rows.entry_price, tick / 100.0),
        "move": (np.where(rows.is_trade, rows.move_bps, np.nan), _BPS_UNIT),
        "opened": (opened, 1.0),
    }
    turnover, value = figures["turnover"], figures["turnover_report"]
    return {
        "symbol": rows.symbol,
        "base": figures["base_currency"],
        "quote": figures["currency"],
        "is_dollar": is_dollar(figures["currency"]),
        "decimals": decimals,
        "digits": digits,
        "shown_digits": {
            "fee": shown_digits(figures["currency"], rows.fee),
            "pnl": shown_digits(figures["currency"], rows.trade_pnl),
        },
        "report_currency": report_currency,
        "is_report_dollar": is_dollar(report_currency),
        "rate": value / turnover if turnover and value is not None else None,
        "open_fees": rows.open_fees,
        "open_fees_text": unsigned_amount(rows.open_fees, figures["currency"]),
        "mark_out_seconds": HORIZON_SECONDS,
        "purposes": [reason_name(name) for name in names],
        "start_ms": start_ns // _NS_PER_MS,
        "rows": len(rows.ts_ns),
        "trades": int(rows.is_trade.sum()),
        "left_out": len(rows.ts_ns) - len(kept),
        "fills": pack({name: (values[kept], unit) for name, (values, unit) in columns.items()}),
    }


_REASONS: Final = {"quote": "quote fill", "entry": "signal"}


def reason_name(purpose: str) -> str:
    """Return an order's purpose as the reason of a trade."""
    return _REASONS.get(purpose, purpose.replace("_", " "))


def shown_digits(currency: str, column: Floats) -> int:
    """Return the digits after the decimal point that amounts of a column share: enough for nine in ten of them."""
    sizes = np.abs(column[~np.isnan(column) & (column != 0)])
    return shared_decimals([float(np.quantile(sizes, _SMALL_SHARE))] if len(sizes) else [], currency)


def amount_digits(currency: str, *columns: Floats) -> int:
    """Return the digits after the decimal point with which amounts of a currency are written in full."""
    values = np.concatenate(columns)
    values = values[~np.isnan(values)]
    least = amount_decimals(currency)
    whole = range(least, _MOST_DIGITS)
    return next(
        (n for n in whole if np.allclose(np.round(values, n), values, 0, 10.0 ** (-n - 3))), _MOST_DIGITS
    )
