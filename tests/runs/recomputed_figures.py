"""Every figure of a report from the run's Parquet files alone, in another way than the package computes it."""

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from whole_runs import FinishedRun

HORIZONS = (0.0, 1.0, 5.0, 30.0)


def pointer(*keys: str) -> str:
    return "/" + "/".join(str(key).replace("~", "~0").replace("/", "~1") for key in keys)


def recomputed_figures(run: FinishedRun) -> dict[str, Any]:
    """Return figures by where they stand in the summary."""
    found: dict[str, Any] = {}
    results = {}
    for symbol in run.table("market").symbol.unique():
        figures, results[symbol] = _symbol_figures(run, symbol)
        found |= {pointer("symbols", symbol, key): value for key, value in figures.items()}
        found |= _quality_figures(run, symbol)
        found |= _reason_figures(run, symbol)
    found |= _exit_figures(run, results)
    found |= _equity_figures(run, results, found)
    found |= _total_figures(run, found)
    found |= _answer_figures(run, found)
    return found


def _of(run: FinishedRun, name: str, symbol: str) -> pd.DataFrame:
    rows = run.table(name)
    return rows[rows.symbol == symbol].reset_index(drop=True)


def _trades(fills: pd.DataFrame) -> tuple[pd.DataFrame, float, float]:
    """Return the result of every execution that reduced a position, what was realised, and the average entry."""
    position = average = open_fees = realized = 0.0
    rows = []
    for fill in fills.itertuples():
        price, quantity, fee = (float(value) for value in (fill.price, fill.quantity, fill.commission))
        signed = quantity if fill.side == "BUY" else -quantity
        closed = min(abs(position), quantity) if position * signed < 0 else 0.0
        closing_fee = fee * closed / quantity
        if closed:
            gross = closed * (price - average) * np.sign(position)
            charged = open_fees * closed / abs(position)
            rows.append((fill.ts_event, fill.client_order_id, gross - charged - closing_fee))
            realized += gross - closing_fee
            open_fees -= charged
        opened = quantity - closed
        after = round(position + signed, 12)
        if opened > 1e-12:
            kept = abs(after) - opened
            average = (average * kept + price * opened) / abs(after)
            realized -= fee - closing_fee
            open_fees += fee - closing_fee
        position = after
    columns = ["ts_event", "client_order_id", "result"]
    return pd.DataFrame(rows, columns=columns), realized, average if position else 0.0


def _symbol_figures(run: FinishedRun, symbol: str) -> tuple[dict[str, Any], pd.DataFrame]:
    fills, actions, market = (_of(run, name, symbol) for name in ("fills", "actions", "market"))
    trades, realized, average = _trades(fills)
    results = trades.result.round(8)
    signed = fills.quantity.where(fills.side == "BUY", -fills.quantity)
    inventory = float(signed.sum())
    mid = market.mid_price.iloc[-1]
    counts = actions[["placed", "amended", "cancelled", "rejected", "denied"]].sum()
    turnover = float((fills.price * fills.quantity).sum())
    total = realized + (inventory * (mid - average) if inventory else 0.0)
    return {
        "fills": len(fills),
        "trades": len(trades),
        "wins": int((results > 0).sum()),
        "losses": int((results < 0).sum()),
        "win_rate": round(100 * int((results > 0).sum()) / len(trades), 1) if len(trades) else 0.0,
        "realized_pnl": realized,
        "total_pnl": total,
        "avg_pnl": realized / len(trades) if len(trades) else 0.0,
        "fees": float(fills.commission.sum()),
        "funding": 0.0,  # of pairs
        "turnover": turnover,
        "pnl_turnover_bps": 1e4 * total / turnover if turnover else None,
        "maker_share_pct": 100 * (fills.liquidity == "MAKER").mean() if len(fills) else None,
        "inventory": inventory,
        "average_inventory": _average_inventory(fills, signed, market),
        "seconds_at_cap": sum(
            _held(run, symbol, side).get("inventory cap", (0.0, 0))[0] for side in ("bid", "ask")
        ),
        **{f"orders_{name}": int(counts[name]) for name in counts.index},
        "rate_limited": int(actions["rate_limited"].sum()),
        "rate_points": int(actions["points"].sum()),
        "quotes_per_fill": round(int(counts.placed + counts.amended) / len(fills), 2) if len(fills) else None,
    }, trades


def _average_inventory(fills: pd.DataFrame, signed: pd.Series, market: pd.DataFrame) -> float:
    """Integrate the size of the position over time."""
    moments = pd.concat([market.ts_event.iloc[:1], fills.ts_event, market.ts_event.iloc[-1:]])
    held = np.concatenate([[0.0], np.abs(np.cumsum(signed.astype(float)))])
    widths = np.diff(moments.astype("int64")) / 1e9
    return float((held * widths).sum() / widths.sum())


def _held(run: FinishedRun, symbol: str, side: str) -> dict[str, tuple[float, int]]:
    """Return how long and how often each reason kept a side without a quote."""
    rows = _of(run, "quotes", symbol)
    reasons = rows[f"{side}_reason"].astype(object).fillna("")
    changes = reasons[reasons.ne(reasons.shift())]
    # An order's event may carry an earlier moment than what was done before it was heard of: time goes forward.
    since = rows.ts_event[changes.index].cummax()
    seconds = since.shift(-1, fill_value=max(rows.ts_event.iloc[-1], since.iloc[-1])).sub(since)
    return {
        reason: (float(seconds[changes == reason].dt.total_seconds().sum()), int((changes == reason).sum()))
        for reason in changes[changes != ""].unique()
    }


def _reason_figures(run: FinishedRun, symbol: str) -> dict[str, Any]:
    found = {}
    for side in ("bid", "ask"):
        for reason, (seconds, count) in _held(run, symbol, side).items():
            where = ("symbols", symbol, "not_quoting", side, reason)
            found[pointer(*where, "seconds")], found[pointer(*where, "count")] = seconds, count
    return found


def _quality_figures(run: FinishedRun, symbol: str) -> dict[str, Any]:
    fills = _of(run, "fills", symbol)
    marks = _of(run, "mark_outs", symbol).pivot_table(index="trade_id", columns="seconds", values="mid_price")
    fills = fills.join(marks.reindex(columns=list(HORIZONS)), on="trade_id")
    found: dict[str, Any] = {}
    for kind in ("maker", "taker"):
        of_kind = fills[fills.liquidity == kind.upper()]
        for index, seconds in enumerate(HORIZONS):
            rows = of_kind[of_kind[seconds].notna()]
            sign = np.where(rows.side == "BUY", 1.0, -1.0)
            price, size = rows.price.astype(float), rows.quantity.astype(float)
            value = (price * size).sum()
            parts = {
                "spread": (sign * (rows[0.0] - price) * size).sum(),
                "adverse": (sign * (rows[0.0] - rows[seconds]) * size).sum(),
                "mark_out": (sign * (rows[seconds] - price) * size).sum(),
                "fees": rows.commission.astype(float).sum(),
            }
            parts["net"] = parts["mark_out"] - parts["fees"]
            where = ("symbols", symbol, "fill_quality", kind, str(index))
            found[pointer(*where, "fills")] = len(rows)
            found[pointer(*where, "net")] = parts["net"]
            for name, amount in parts.items():
                found[pointer(*where, f"{name}_bps")] = 1e4 * amount / value if value else None
            gains = (1e4 * sign * (rows[seconds] - price) / price).to_numpy()
            found[pointer(*where, "standard_error_bps")] = _error(
                rows, gains, (price * size).to_numpy(), seconds
            )
    return found


def _error(rows: pd.DataFrame, gains: np.ndarray, weights: np.ndarray, seconds: float) -> float | None:
    if seconds == 0 or rows.empty:
        return None
    ends = rows.ts_event.astype("int64") + round(seconds * 1e9)
    mean = np.average(gains, weights=weights)
    sums = pd.Series(weights * (gains - mean)).groupby((ends // round(2e9 * seconds)).to_numpy()).sum()
    if len(sums) < 2:
        return None
    return float(np.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum()) / weights.sum())


def _exit_figures(run: FinishedRun, results: dict[str, pd.DataFrame]) -> dict[str, Any]:
    fills = run.table("fills")
    found: dict[str, Any] = {}
    # An exit that takes several orders is one exit: its executions follow each other.
    begins = fills.purpose != fills.groupby("symbol").purpose.shift()
    for reason, rows in fills[~fills.purpose.isin(["quote", "entry"])].groupby("purpose"):
        pnl: dict[str, float] = {}
        trades = 0
        for symbol, of_symbol in results.items():
            closing = of_symbol[of_symbol.client_order_id.isin(rows.client_order_id)]
            trades += len(closing)
            if len(closing):
                currency = symbol.partition("/")[2]
                pnl[currency] = pnl.get(currency, 0.0) + closing.result.sum()
        found[pointer("exits", reason, "count")] = int(begins[rows.index].sum())
        found[pointer("exits", reason, "trades")] = trades
        found |= {pointer("exits", reason, "pnl", currency): value for currency, value in pnl.items()}
    return found


def _rate_at(run: FinishedRun, currency: str, moments: pd.Series) -> np.ndarray:
    """Return the value of a currency in USDT: the mid of its own pair."""
    if currency == "USDT":
        return np.ones(len(moments))
    market = _of(run, "market", f"{currency}/USDT").dropna(subset=["mid_price"])
    rows = market.ts_event.searchsorted(moments, side="right") - 1
    return market.mid_price.to_numpy()[rows]


def _equity_figures(
    run: FinishedRun, results: dict[str, pd.DataFrame], symbols: dict[str, Any]
) -> dict[str, Any]:
    rows = run.table("equity")
    last = rows.iloc[-1]
    start = float(rows.equity.iloc[0] - rows.trading_pnl.iloc[0] - rows.revaluation.iloc[0])
    trading = rows.trading_pnl.astype(float)
    end = pd.Series([last.ts_event])
    fees = 0.0
    trades = []
    for symbol, of_symbol in results.items():
        currency = symbol.partition("/")[2]
        fees += symbols[pointer("symbols", symbol, "fees")] * _rate_at(run, currency, end)[0]
        trades.append(of_symbol.result.round(8) * _rate_at(run, currency, of_symbol.ts_event))
    every = pd.concat(trades)
    losses = -every[every < 0].sum()
    figures = {
        "trading_pnl": float(last.trading_pnl),
        "trading_pnl_before_fees": float(last.trading_pnl) + fees,
        "fees": fees,
        "roi_pct": 100 * float(last.trading_pnl) / start,
        "max_drawdown_pct": 100 * (trading.cummax().clip(lower=0) - trading).max() / start,
        "start": start,
        "end": float(last.equity),
        "revaluation": float(last.revaluation),
        "funding": 0.0,
        "profit_factor": every[every > 0].sum() / losses if losses else None,
        "avg_trade_pnl": every.mean() if len(every) else 0.0,
    }
    return {pointer("equity", key): value for key, value in figures.items()}


def _last_rate(run: FinishedRun, currency: str) -> float:
    return float(_rate_at(run, currency, run.table("equity").ts_event.iloc[-1:])[0])


def _total_figures(run: FinishedRun, found: dict[str, Any]) -> dict[str, Any]:
    """Add up over symbols, in USDT."""
    symbols = list(run.summary["symbols"])

    def added(name: str) -> float:
        return sum(found[pointer("symbols", symbol, name)] for symbol in symbols)

    def converted(name: str) -> float:
        return sum(
            found[pointer("symbols", symbol, name)] * _last_rate(run, symbol.partition("/")[2])
            for symbol in symbols
        )

    fills, trades, turnover = added("fills"), added("trades"), converted("turnover")
    pnl = found[pointer("equity", "trading_pnl")]
    liquidity = run.table("fills").liquidity
    counts = ("fills", "trades", "wins", "losses", "rate_limited", "rate_points")
    figures = {name: added(name) for name in counts}
    figures |= {
        f"orders_{name}": added(f"orders_{name}")
        for name in ("placed", "amended", "cancelled", "rejected", "denied")
    }
    figures |= {name: converted(name) for name in ("realized_pnl", "fees", "funding", "turnover")}
    figures |= {
        "win_rate": round(100 * figures["wins"] / trades, 1) if trades else 0.0,
        "total_pnl": pnl,
        "avg_pnl": figures["realized_pnl"] / max(1, trades),
        "pnl_turnover_bps": 1e4 * pnl / turnover if turnover else None,
        "maker_share_pct": 100 * (liquidity == "MAKER").mean() if fills else None,
        "quotes_per_fill": (
            round((figures["orders_placed"] + figures["orders_amended"]) / fills, 2) if fills else None
        ),
    }
    return {pointer("total", name): value for name, value in figures.items()}


def _answer_figures(run: FinishedRun, found: dict[str, Any]) -> dict[str, Any]:
    """Recompute the parts of the result, in all and of each pair, from fills, mids around them and last mids."""
    marks = run.table("mark_outs")
    fills = run.table("fills").merge(marks[marks.seconds == 0], on="trade_id", suffixes=("", "_mark"))
    later = fills.trade_id.map(marks[marks.seconds == 30].set_index("trade_id").mid_price)
    signed = fills.quantity.astype(float) * np.where(fills.side == "BUY", 1.0, -1.0)
    symbols = list(run.summary["symbols"])
    quote = fills.symbol.map({symbol: _last_rate(run, symbol.partition("/")[2]) for symbol in symbols})
    base = fills.symbol.map({symbol: _value_of_base(run, symbol) for symbol in symbols})
    mid, price = fills.mid_price * quote, fills.price.astype(float)
    met = (later * quote).fillna(base)  # no gap in these runs: the others' horizon ends after the run
    moves = {
        "spread_captured": signed * (mid - price * quote),
        "adverse_selection": signed * (met - mid),
        "inventory_revaluation": signed * (base - met),
    }
    figures: dict[str, Any] = {}
    for symbol in (None, *symbols):
        rows = fills.symbol.notna() if symbol is None else fills.symbol == symbol
        parts = {name: float(amounts[rows].sum()) for name, amounts in moves.items()}
        for kind in ("maker", "taker"):
            paid = rows & (fills.liquidity == kind.upper())
            parts[f"{kind}_fees"] = -float((fills.commission.astype(float) * quote)[paid].sum())
        turnover = float((price * quote * fills.quantity.astype(float))[rows].sum())
        if symbol is None:
            where: tuple[str, ...] = ("answer",)
            result = found[pointer("equity", "trading_pnl")]
        else:
            where = ("answer", "pairs", symbol)
            rate = _last_rate(run, symbol.partition("/")[2])
            result = rate * found[pointer("symbols", symbol, "total_pnl")]
        parts["unattributed"] = result - sum(parts.values())
        figures |= {pointer(*where, "parts", name): value for name, value in parts.items()}
        figures |= {
            pointer(*where, "bps", name): 1e4 * value / turnover if turnover else None
            for name, value in {"result": result, **parts}.items()
        }
        figures[pointer(*where, "result")] = result
    return figures


def _value_of_base(run: FinishedRun, symbol: str) -> float:
    """Return what a position is worth a unit: on a cash account as the balance that it is."""
    base, _, quote = symbol.partition("/")
    if run.summary["venue"]["account_type"] == "cash":
        return _last_rate(run, base)
    return float(_of(run, "market", symbol).mid_price.iloc[-1]) * _last_rate(run, quote)


def exact(text: str) -> Decimal:
    return Decimal(text.split(maxsplit=1)[0])
