"""Figures of a summary that follow from the run's tables: money in one currency, what fills were worth, the answer."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mm_nautilus.calibration.mark_outs import HORIZONS_SECONDS, OwnFills, fill_quality
from mm_nautilus.config.strategy import LARGEST_GAMMA, merge_symbol
from mm_nautilus.errors import DataError
from mm_nautilus.market.rates import Rates
from mm_nautilus.report.answer import answer
from mm_nautilus.report.attribution import HORIZON_SECONDS, AnswerFill, Valuation, known_sum, turnover_of
from mm_nautilus.report.run_facts import RunFacts, SymbolFacts
from mm_nautilus.report.run_files import RunFiles, exact_amount, numbers, texts, times
from mm_nautilus.report.stretches import profit_by_stretch
from mm_nautilus.report.summary_check import refuse_damaged
from mm_nautilus.system.moments import SECOND_NS, nanoseconds

_LIQUIDITY = {"maker": "MAKER", "taker": "TAKER"}
_NO_ROW = -1
_BPS = 10_000
_ADDED = (
    *("fills", "trades", "wins", "losses"),
    *("orders_placed", "orders_amended", "orders_cancelled", "orders_rejected", "orders_denied"),
    *("rate_limited", "rate_points"),
    *("exits_refused", "old_trades", "repeated_trades", "phantom_fills"),
)
"""Counts of symbols that are added up."""
_CONVERTED = ("realized_pnl", "fees", "funding", "turnover")
"""Amounts of symbols that are added up in the report currency."""


def read_run(folder: Path) -> RunFiles:
    """Read a run with all the figures that its tables have, also one that is running or was interrupted.

    The summary of such a run is up to a minute old, and its tables reach about as far. Errors are those of
    `RunFiles.read`, `refuse_damaged` and `complete_summary`.
    """
    files = RunFiles.read(folder)
    refuse_damaged(files.summary, folder)
    is_whole = files.is_complete and "maker_fees" in files.summary.get("answer", {}).get("parts", {})
    return files if is_whole else replace(files, summary=complete_summary(files))


def complete_summary(files: RunFiles) -> dict[str, Any]:
    """Return a run's summary with the figures that only its tables have.

    Each symbol gets ``fill_quality``, ``fees_report``, ``turnover``, ``turnover_report``, ``average_inventory_report``
    and ``pnl_turnover_bps``, the equity ``fees`` and ``trading_pnl_before_fees``, and the summary ``total``, what is
    added up over symbols, and ``answer``. Money is converted at the run's last mids. Where a mid for the conversion
    never came it is None, as ``fill_quality`` is where the run has no traces, and as a share of turnover is where
    earlier sessions had fills of their own. A DataError says that a table is missing or damaged.
    """
    summary, currency = files.summary, files.summary["report_currency"]
    is_resumed = bool(summary.get("start", {}).get("is_resumed", False))
    tables = {symbol: _fills(files, symbol) for symbol in summary["symbols"]}
    facts = _facts(files, tables)
    fees = {symbol: found.fees for symbol, found in facts.items()}
    symbols = {
        symbol: _with_turnover(found, is_resumed=is_resumed)
        | {
            "fees_report": None if fees[symbol] is None else float(fees[symbol] or 0),
            "fill_quality": _fill_quality(*tables[symbol]) if files.has_traces else None,
        }
        for symbol, found in facts.items()
    }
    for symbol, figures in symbols.items():
        figures["exact"] |= {"fees_report": _exact(fees[symbol], currency)}
    equity = _equity_with_fees(summary["equity"], fees, currency)
    exact = {} if equity is None else equity["exact"]
    run = RunFacts(
        currency=currency,
        seconds=summary["period"]["seconds"],
        symbols=facts,
        exits=summary["exits"],
        trading_pnl=exact_amount(exact.get("trading_pnl", "")),
        equity_start=exact_amount(exact.get("start", "")),
        funding=exact_amount(exact.get("funding", "")) or None,
        stretches=profit_by_stretch(files),
        is_resumed=is_resumed,
        has_traces=files.has_traces,
        status=summary["status"],
        compare_fee_pct=summary.get("compare_fee_pct"),
    )
    total = _total(symbols, facts, equity, currency)
    return {**summary, "symbols": symbols, "total": total, "equity": equity, "answer": answer(run)}


def _with_turnover(facts: SymbolFacts, *, is_resumed: bool) -> dict[str, Any]:
    """Return a symbol's figures with the value of this run's fills, and its PnL as a share of it."""
    figures = facts.figures
    turnover, total = turnover_of(facts.fills), exact_amount(figures["exact"]["total_pnl"])
    held, value = figures["average_inventory"], facts.valuation
    bps = float(_BPS * total / turnover) if turnover and total is not None and not is_resumed else None
    return {
        **figures,
        "exact": figures["exact"] | {"turnover": _exact(turnover, figures["currency"])},
        "turnover": float(turnover),
        "turnover_report": None if value is None else float(turnover * value.quote),
        "average_inventory_report": None if value is None else held * float(value.base),
        "pnl_turnover_bps": bps,
    }


def _total(
    symbols: Mapping[str, Mapping[str, Any]],
    facts: Mapping[str, SymbolFacts],
    equity: Mapping[str, Any] | None,
    currency: str,
) -> dict[str, Any]:
    """Return what can be added up over symbols, amounts in the report currency; None where one is not known there."""
    counts = {name: sum(figures[name] for figures in symbols.values()) for name in _ADDED}
    amounts: dict[str, Decimal | None] = {
        name: known_sum(
            _converted(found, symbols[symbol]["exact"].get(name, "")) for symbol, found in facts.items()
        )
        for name in _CONVERTED
    }
    amounts["total_pnl"] = None if equity is None else exact_amount(equity["exact"]["trading_pnl"])
    trades, fills = counts["trades"], counts["fills"]
    realized, turnover, pnl = amounts["realized_pnl"], amounts["turnover"], amounts["total_pnl"]
    amounts["avg_pnl"] = None if realized is None else realized / max(1, trades)
    is_shared = all(
        figures["pnl_turnover_bps"] is not None or not figures["fills"] for figures in symbols.values()
    )
    maker = sum((figures["maker_share_pct"] or 0.0) * figures["fills"] for figures in symbols.values())
    return {
        **counts,
        "currency": currency,
        "win_rate": round(100.0 * counts["wins"] / trades, 1) if trades else 0.0,
        "maker_share_pct": maker / fills if fills else None,
        "quotes_per_fill": round((counts["orders_placed"] + counts["orders_amended"]) / fills, 2)
        if fills
        else None,
        "pnl_turnover_bps": float(_BPS * pnl / turnover)
        if pnl is not None and turnover and is_shared
        else None,
        **{name: None if amount is None else float(amount) for name, amount in amounts.items()},
        "exact": {name: _exact(amount, currency) for name, amount in amounts.items()},
    }


def _converted(facts: SymbolFacts, text: str) -> Decimal | None:
    """Return an amount of a symbol's quote currency in the report currency, at the last mids; an unknown one as 0."""
    return None if facts.valuation is None else (exact_amount(text) or 0) * facts.valuation.quote


def _exact(amount: Decimal | None, currency: str) -> str:
    return "" if amount is None else f"{amount:f} {currency}"


def _equity_with_fees(
    equity: Mapping[str, Any] | None, fees: Mapping[str, Decimal | None], currency: str
) -> dict[str, Any] | None:
    if equity is None:
        return None
    total = known_sum(fees.values())
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


type _Fills = tuple[pa.Table, dict[float, NDArray[np.float64]]]
"""A symbol's fills, and the mids at each and at each horizon after it; NaN where there is none."""


def _fills(files: RunFiles, symbol: str) -> _Fills:
    columns = ["ts_event", "side", "price", "quantity", "commission", "liquidity", "trade_id"]
    table = files.table("fills", columns, symbol)
    trade_ids = texts(table, "trade_id")
    nowhere = dict.fromkeys((0.0, HORIZON_SECONDS), np.full(len(trade_ids), np.nan))
    return table, mids_of_fills(files, symbol, trade_ids) if files.has_traces else nowhere


def _facts(files: RunFiles, tables: Mapping[str, _Fills]) -> dict[str, SymbolFacts]:
    """Return what the tables have of each symbol, up to the moment of the summary's figures."""
    summary, symbols = files.summary, files.summary["symbols"]
    paths = {symbol: _mid_path(files, symbol) for symbol in symbols}
    lasts = {symbol: path[-1] if path else None for symbol, path in paths.items()}
    pairs = {symbol: (figures["base_currency"], figures["currency"]) for symbol, figures in symbols.items()}
    rates = Rates(pairs, lambda symbol: lasts[symbol], Decimal(1))
    is_cash = summary["venue"]["account_type"] == "cash"
    params = merged_params(files)
    found = {}
    for symbol, figures in symbols.items():
        base, quote = (
            rates.rate(figures[name], summary["report_currency"]) for name in ("base_currency", "currency")
        )
        path = paths[symbol]
        if not is_cash:  # its positions are marked at their own mid, in quote currency
            base = path[-1] * quote if path and quote is not None else None
        found[symbol] = SymbolFacts(
            figures=figures,
            fills=_answer_fills(files, symbol, *tables[symbol]),
            valuation=None if base is None or quote is None else Valuation(quote, base),
            move_pct=float(100 * (path[-1] / path[0] - 1)) if path else None,
            uses_trailing_stop=bool(params[symbol].get("use_trailing_stop")),
            inventory_lever=_inventory_lever(params[symbol]),
            quality=_side_quality(*tables[symbol]) if files.has_traces else {},
            takes_entries=params[symbol].get("entry_order") == "taker",
            params=params[symbol],
        )
    return found


def _mid_path(files: RunFiles, symbol: str) -> tuple[Decimal, Decimal] | None:
    """Return the first and the last mid of a symbol, None where it had none."""
    mids = numbers(files.table(files.mids, ["mid_price"], symbol), "mid_price")
    known = mids[~np.isnan(mids)]
    if not len(known):
        return None
    half_tick = Decimal(files.summary["symbols"][symbol]["price_increment"]) / 2
    return _on_grid(known[0], half_tick), _on_grid(known[-1], half_tick)


def _on_grid(mid: float, half_tick: Decimal) -> Decimal:
    """Return a mid exactly: it is the mean of two prices, which are whole ticks."""
    return round(Decimal(repr(float(mid))) / half_tick) * half_tick


def _answer_fills(
    files: RunFiles, symbol: str, table: pa.Table, mids: Mapping[float, NDArray[np.float64]]
) -> tuple[AnswerFill, ...]:
    half_tick = Decimal(files.summary["symbols"][symbol]["price_increment"]) / 2
    end_ns = nanoseconds(datetime.fromisoformat(files.summary["period"]["end"]))
    amounts = (table[name].to_pylist() for name in ("price", "quantity", "commission"))
    near, far = ([_known_mid(mid, half_tick) for mid in mids[at].tolist()] for at in (0.0, HORIZON_SECONDS))
    kinds = ({"MAKER": True, "TAKER": False}.get(code or "") for code in texts(table, "liquidity"))
    rows = zip(times(table).tolist(), texts(table, "side"), *amounts, near, far, kinds, strict=True)
    is_ended = files.summary["status"] not in {"starting", "running"}
    horizon_ns = round(HORIZON_SECONDS * SECOND_NS)
    return tuple(
        AnswerFill(ts_ns, side == "BUY", price, quantity, fee, mid, later, ts_ns + horizon_ns > end_ns, kind)
        for ts_ns, side, price, quantity, fee, mid, later, kind in rows
        if is_ended or ts_ns <= end_ns
    )


def _known_mid(mid: float, half_tick: Decimal) -> Decimal | None:
    return None if np.isnan(mid) else _on_grid(mid, half_tick)


def merged_params(files: RunFiles) -> dict[str, dict[str, Any]]:
    """Return each symbol's parameters, as far as the run's configuration has them."""
    strategy = files.config.get("strategy", {})
    own = strategy.get("symbols") or {}
    return {symbol: merge_symbol(strategy, own.get(symbol) or {}) for symbol in files.summary["symbols"]}


def _inventory_lever(params: Mapping[str, Any]) -> str:
    if params.get("pricing") is not None:
        return "pricing"
    if not params.get("use_reservation_price"):
        return "use_reservation_price"
    if params.get("skew_bps_at_max_inventory") is not None:
        return "skew_bps_at_max_inventory"
    return "gamma" if (params.get("gamma") or 0.0) < LARGEST_GAMMA else "largest gamma"


def _fill_quality(
    table: pa.Table, mids: Mapping[float, NDArray[np.float64]]
) -> dict[str, list[dict[str, Any]]]:
    """Return what one symbol's fills were worth, apart for those that made and those that took liquidity.

    A fill that came while the strategy stopped, whose mid is not known, is in neither.
    """
    fills, liquidity = _own_fills(table, mids), _array(table, "liquidity")
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


def _side_quality(table: pa.Table, mids: Mapping[float, NDArray[np.float64]]) -> dict[str, dict[str, Any]]:
    """Return what one symbol's fills of each side, and those that made liquidity, were worth at the horizon."""
    fills = _own_fills(table, mids)
    maker = _array(table, "liquidity") == _LIQUIDITY["maker"]
    chosen = {"maker": maker, "buys": fills.direction > 0, "sells": fills.direction < 0}
    return {
        name: asdict(fill_quality(fills.where(kept), {HORIZON_SECONDS: mids[HORIZON_SECONDS][kept]})[1])
        for name, kept in chosen.items()
    }


def _own_fills(table: pa.Table, mids: Mapping[float, NDArray[np.float64]]) -> OwnFills:
    price, quantity, fee = (numbers(table, name) for name in ("price", "quantity", "commission"))
    direction = np.where(_array(table, "side") == "BUY", 1.0, -1.0)
    return OwnFills(times(table), direction, price, quantity, fee, mids[0.0])


def _array(table: pa.Table, name: str) -> NDArray[np.object_]:
    return np.array(texts(table, name), dtype=object)


def mids_of_fills(
    files: RunFiles, symbol: str, trade_ids: list[str | None]
) -> dict[float, NDArray[np.float64]]:
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
