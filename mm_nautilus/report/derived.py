"""Figures of a summary that follow from the run's own tables: fees in one currency, and what fills were worth."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mm_nautilus.calibration.fill_quality import OwnFills, fill_quality
from mm_nautilus.calibration.mark_outs import HORIZONS_SECONDS
from mm_nautilus.errors import DataError
from mm_nautilus.market.rates import Rates
from mm_nautilus.report.run_files import RunFiles, numbers, texts, times

__all__ = ["complete_summary", "fill_quality_of", "read_run"]

_LIQUIDITY = {"maker": "MAKER", "taker": "TAKER"}
_NO_ROW = -1


def read_run(folder: Path) -> RunFiles:
    """Read a run with all the figures that its tables have, also one that goes on or was cut off.

    The summary of such a run is up to a minute old, and its tables reach about as far.

    Raises
    ------
    DataError
        If the folder is not a run's, the run has written no figures yet, or a file in it is missing or damaged.
    """
    files = RunFiles.read(folder)
    return files if files.is_complete else replace(files, summary=complete_summary(files))


def complete_summary(files: RunFiles) -> dict[str, Any]:
    """Return a run's summary with the figures that only its tables have.

    Each symbol gets ``fill_quality`` and ``fees_report``, and the equity ``fees`` and ``trading_pnl_before_fees``,
    in the report currency at the run's last mids. Where a mid for the conversion never came they are None, as
    ``fill_quality`` is where the run has no traces.

    Parameters
    ----------
    files
        The run, with the summary as far as it goes.

    Raises
    ------
    DataError
        If a table is missing or damaged.
    """
    summary = files.summary
    currency = summary["report_currency"]
    fees = _fees_report(files, currency)
    symbols = {
        symbol: {
            **figures,
            "fees_report": None if fees[symbol] is None else float(fees[symbol] or 0),
            "exact": {**figures["exact"], "fees_report": _exact(fees[symbol], currency)},
            "fill_quality": fill_quality_of(files, symbol),
        }
        for symbol, figures in summary["symbols"].items()
    }
    return {**summary, "symbols": symbols, "equity": _equity_with_fees(summary["equity"], fees, currency)}


def _exact(amount: Decimal | None, currency: str) -> str:
    return "" if amount is None else f"{amount:f} {currency}"


def _equity_with_fees(
    equity: Mapping[str, Any] | None, fees: Mapping[str, Decimal | None], currency: str
) -> dict[str, Any] | None:
    if equity is None:
        return None
    known = [amount for amount in fees.values() if amount is not None]
    total = sum(known, Decimal(0)) if len(known) == len(fees) else None
    trading = Decimal(equity["exact"]["trading_pnl"].split()[0])
    before = None if total is None else trading + total
    return {
        **equity,
        "fees": None if total is None else float(total),
        "trading_pnl_before_fees": None if before is None else float(before),
        "exact": {
            **equity["exact"],
            "fees": _exact(total, currency),
            "trading_pnl_before_fees": _exact(before, currency),
        },
    }


def _fees_report(files: RunFiles, currency: str) -> dict[str, Decimal | None]:
    """Return each symbol's fees in the report currency, at the last mids."""
    symbols = files.summary["symbols"]
    mids = {symbol: _last_mid(files, symbol) for symbol in symbols}
    pairs = {symbol: (figures["base_currency"], figures["currency"]) for symbol, figures in symbols.items()}
    rates = Rates(pairs, lambda symbol: mids[symbol], Decimal(1))
    found: dict[str, Decimal | None] = {}
    for symbol, figures in symbols.items():
        rate = rates.rate(figures["currency"], currency)
        fees = Decimal(figures["exact"]["fees"].split()[0])
        found[symbol] = None if rate is None else fees * rate
    return found


def _last_mid(files: RunFiles, symbol: str) -> Decimal | None:
    mids = numbers(files.table(files.mids, ["mid_price"], symbol), "mid_price")
    known = mids[~np.isnan(mids)]
    return Decimal(repr(float(known[-1]))) if len(known) else None


def fill_quality_of(files: RunFiles, symbol: str) -> dict[str, list[dict[str, Any]]] | None:
    """Return what one symbol's fills were worth, apart for those that made and those that took liquidity.

    A fill that came while the strategy stopped, which nobody watched, is in neither. A run without traces has none.
    """
    if not files.has_traces:
        return None
    columns = ["ts_event", "side", "price", "quantity", "commission", "liquidity", "trade_id"]
    table = files.table("fills", columns, symbol)
    trade_ids = texts(table, "trade_id")
    mids = _mids(files, symbol, trade_ids)
    sides, liquidity = (np.array(texts(table, name), dtype=object) for name in ("side", "liquidity"))
    fills = OwnFills(
        times(table),
        np.where(sides == "BUY", 1.0, -1.0),
        numbers(table, "price"),
        numbers(table, "quantity"),
        numbers(table, "commission"),
        mids[0.0],
    )
    return {
        name: [
            asdict(quality)
            for quality in fill_quality(
                fills.where(liquidity == code),
                {seconds: mids[seconds][liquidity == code] for seconds in HORIZONS_SECONDS},
            )
        ]
        for name, code in _LIQUIDITY.items()
    }


def _mids(files: RunFiles, symbol: str, trade_ids: list[str | None]) -> dict[float, NDArray[np.float64]]:
    """Return the mids at fills and at each horizon after them, in the order of the fills."""
    table = files.table("mark_outs", ["trade_id", "seconds", "mid_price"], symbol)
    row_of = {trade_id: row for row, trade_id in enumerate(trade_ids)}
    watched = texts(table, "trade_id")
    rows = np.array([row_of.get(trade_id, _NO_ROW) for trade_id in watched], dtype=np.int64)
    # The tables of a run that goes on reach the disk one after the other: only of a complete one they must agree.
    if files.is_complete and (rows == _NO_ROW).any():
        unknown = watched[int(np.argmin(rows))]
        raise DataError(
            f"{files.folder}: mark_outs.parquet has the fill {unknown}, which fills.parquet lacks"
        )
    seconds, mids = numbers(table, "seconds"), numbers(table, "mid_price")
    found = {}
    for horizon in (0.0, *HORIZONS_SECONDS):
        found[horizon] = np.full(len(trade_ids), np.nan)
        at_horizon = (seconds == horizon) & (rows != _NO_ROW)
        found[horizon][rows[at_horizon]] = mids[at_horizon]
    return found
