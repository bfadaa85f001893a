"""A run's summary, for the console and ``summary.json``."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import numpy as np
from nautilus_trader.model import InstrumentId

from mm_nautilus.config.run import TradingConfig
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.metrics.actor import MetricsActor
from mm_nautilus.metrics.data_types import SymbolMetrics
from mm_nautilus.metrics.ledger import AccountSnapshot, SymbolLedger
from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.pricing.pricing_model import OwnPricing
from mm_nautilus.risk.points_budget import waits_summary
from mm_nautilus.runs.assembly import Parts, fee_rates
from mm_nautilus.runs.fee_model import fee_tiers, fee_warnings
from mm_nautilus.runs.inputs import Inputs
from mm_nautilus.runs.recorder import ExitTotals
from mm_nautilus.system.moments import moment
from mm_nautilus.trading.symbol import SymbolState

_ORDER_COUNTS: Final = ("placed", "amended", "cancelled", "rejected", "denied")
_ODD_COUNTS: Final = ("exits_refused", "old_trades", "repeated_trades", "phantom_fills")


def _number(amount: str) -> float | None:
    """Return the number of an amount such as ``1.25 USDT``, None if it is empty."""
    return float(amount.split(maxsplit=1)[0]) if amount else None


def symbol_summary(
    metrics: SymbolMetrics, symbol: SymbolState, actor: MetricsActor, now_ns: int
) -> dict[str, Any]:
    """Return one symbol's figures.

    Amounts without a unit in their name are in the symbol's quote currency, named under ``currency``; ``exact`` has the
    same amounts as decimal text.
    """
    counts, held_back = symbol.counts, 0.0
    for side in (symbol.bid, symbol.ask):
        held_back += side.stats.to_dict().get(NotQuoting.INVENTORY_CAP.value, {}).get("seconds", 0.0)
    amounts = {
        "pnl": metrics.realized_pnl,
        "realized_pnl": metrics.realized_pnl,
        "unrealized_pnl": metrics.unrealized_pnl,
        "total_pnl": metrics.total_pnl,
        "avg_pnl": metrics.average_pnl,
        "fees": metrics.fees,
        "funding": metrics.funding,
        "total_pnl_report": metrics.total_pnl_report,
        "inventory": metrics.inventory,
    }
    maker_fills, fills = actor.maker_fills(metrics.symbol), metrics.fills
    return {
        **{name: getattr(metrics, name) for name in ("fills", "trades", "wins", "losses", "win_rate")},
        "currency": symbol.spec.quote,
        "price_increment": f"{symbol.spec.price_increment:f}",
        "size_increment": f"{symbol.spec.size_increment:f}",
        "base_currency": symbol.spec.base,
        **{name: _number(amount) for name, amount in amounts.items()},
        "exact": amounts,
        "maker_share_pct": 100.0 * maker_fills / fills if fills else None,
        "average_inventory": symbol.average_inventory(now_ns),
        "seconds_at_cap": held_back,
        **{f"orders_{name}": getattr(counts, name) for name in _ORDER_COUNTS},
        "rate_limited": counts.rate_limited,
        "rate_points": counts.points,
        **waits_summary([side.wait for side in symbol.sides]),
        **{name: getattr(counts, name) for name in _ODD_COUNTS},
        "quotes_per_fill": round((counts.placed + counts.amended) / fills, 2) if fills else None,
        "halted": symbol.is_halted,
        "quoting": {
            side.name: "quoted" if side.stats.current is None else side.stats.current.value
            for side in symbol.sides
        },
        "quote_model": model_summary(symbol),
        "not_quoting": {side.name: side.stats.to_dict() for side in symbol.sides},
    }


def model_summary(symbol: SymbolState) -> dict[str, Any] | None:
    """Return the last logged figures of the quote model, None if it never priced a book."""
    metrics = None if symbol.quote_metrics is None else asdict(symbol.quote_metrics)
    if isinstance(symbol.pricing, OwnPricing):
        metrics = _own_metrics(symbol, symbol.pricing)
    if metrics is None:
        return None
    volatility = symbol.volatility
    return metrics | {
        "volatility_pct": volatility.volatility_pct if volatility.is_known else None,
        "volatility_source": str(volatility.source),
        "volatility_since": moment(volatility.since_ns).isoformat() if volatility.since_ns else None,
        "estimates": symbol.model.estimates,
        "refused_estimates": symbol.model.refused_estimates,
    }


def _own_metrics(symbol: SymbolState, pricing: OwnPricing) -> dict[str, Any] | None:
    """Return the fields of `QuoteMetrics` for the last prices of a custom model, None if there are none."""
    if symbol.name not in pricing.last:
        return None
    market, quote = pricing.last[symbol.name]
    tick_bps = 10_000.0 * symbol.tick / market.mid_price
    half_width_bps = 5_000.0 * (quote.bid_width + quote.ask_width) / market.mid_price
    spread = 10_000.0 * (market.best_ask - market.best_bid) / market.mid_price, "present spread"
    if symbol.calibration is not None:
        spread = symbol.calibration.spread.median_spread_bps, "median spread"
    return {
        "model": pricing.name,
        "source": "its last prices",
        "gamma": None,
        "half_width_bps": half_width_bps,
        "half_width_ticks": half_width_bps / tick_bps,
        "skew_bps": quote.skew_bps,
        "skew_ticks": None if quote.skew_bps is None else quote.skew_bps / tick_bps,
        "maker_fee_bps": 100.0 * (symbol.params.maker_fee_pct or 0.0),
        "spread_bps": spread[0],
        "spread_source": spread[1],
    }


def account_summary(account: AccountSnapshot | None, ledger: SymbolLedger | None) -> dict[str, Any] | None:
    """Return the account's figures in the report currency, None if a price to value it never came."""
    if account is None or ledger is None:
        return None
    amounts = {
        "start": account.start_equity,
        "end": account.equity,
        "change": account.equity - account.start_equity,
        "trading_pnl": account.trading_pnl,
        "revaluation": account.revaluation,
        "funding": account.funding,
    }
    return {
        "currency": account.report_currency,
        **{name: float(amount) for name, amount in amounts.items()},
        "roi_pct": account.roi_pct,
        "max_drawdown_pct": account.max_drawdown_pct,
        "profit_factor": ledger.profit_factor,
        "avg_trade_pnl": ledger.average_trade_pnl,
        "balances": {code: f"{amount:f}" for code, amount in account.balances.items()},
        "exact": {name: f"{amount:f} {account.report_currency}" for name, amount in amounts.items()},
    }


def exit_summary(exits: Mapping[str, ExitTotals]) -> dict[str, Any]:
    """Return counts and results by quote currency of each kind of exit."""
    return {
        reason: {
            "count": totals.count,
            "trades": totals.trades,
            "pnl": {currency: float(amount) for currency, amount in sorted(totals.pnl.items())},
        }
        for reason, totals in sorted(exits.items())
    }


def run_summary(
    inputs: Inputs,
    parts: Parts[Any, Any],
    period: tuple[int, int],
    now_ns: int,
    *,
    status: str,
    events: int,
    elapsed_seconds: float,
) -> dict[str, Any]:
    """Return the figures of a run so far.

    `period` has its first and last moment, `now_ns` is the moment of the figures, nanoseconds since the epoch; `status`
    is ``running``, or how it ended. `elapsed_seconds` is wall time of the engine.
    """
    config = inputs.config
    metrics, account = parts.metrics.figures(now_ns)
    symbols, (start_ns, end_ns) = parts.strategy.symbols, period
    found = {row.symbol: symbol_summary(row, symbols[row.symbol], parts.metrics, now_ns) for row in metrics}
    warnings = [*inputs.warnings, *parts.strategy.run_warnings, *fee_warnings(parts.fees)]
    if status != "running":  # looking through all trades takes long
        for name, figures in found.items():
            if not figures["fills"]:
                figures["taker_reach"] = _taker_reach(
                    parts.strategy.cache, symbols[name].instrument_id, start_ns
                )
    return {
        "name": config.name,
        "status": status,
        "report_currency": config.report_currency,
        "compare_fee_pct": config.output.compare_fee_pct,
        "records": config.output.model_dump(include={"journal", "traces"}),
        "simulated_data": any(spec.simulated for spec in inputs.specs.values()),
        "data_notes": list(inputs.data_notes),
        "venue": assumptions(config, inputs.specs),
        "period": {
            "start": moment(start_ns).isoformat(),
            "end": moment(end_ns).isoformat(),
            "seconds": (end_ns - start_ns) / 1e9,
        },
        "symbols": found,
        "equity": account_summary(account, parts.metrics.ledger),
        "fee_tiers": fee_tiers(parts.fees),
        "exits": exit_summary(parts.recorder.exits),
        "warnings": list(dict.fromkeys(warnings)),
        "orders": sum(symbol.counts.placed for symbol in symbols.values()),
        "events": events,
        "elapsed_seconds": round(elapsed_seconds, 3),
        "events_per_second": round(events / elapsed_seconds) if elapsed_seconds > 0 else 0,
    }


def assumptions(config: TradingConfig, specs: Mapping[str, InstrumentSpec]) -> dict[str, Any]:
    """Return what a run assumes of the venue; `specs` are those of its symbols, whose own fees may hold."""
    venue = config.venue
    has_own_fees = venue.fees is None and venue.fee_schedule is None
    return venue.model_dump(mode="json", exclude={"starting_balances"}) | {
        "starting_balances": [str(amount) for amount in venue.starting_balances],
        "instrument_fees": {
            symbol: {"maker_fee_pct": float(100 * maker), "taker_fee_pct": float(100 * taker)}
            for symbol, (maker, taker) in (fee_rates(venue, specs) if has_own_fees else {}).items()
        },
    }


def _taker_reach(cache: Any, instrument_id: InstrumentId, since_ns: int) -> dict[str, float | int] | None:
    """Return how far takers reached from the last mid before their trade, bps of mid; None without any.

    99 of 100 of the ``trades`` stayed within ``usual_bps``, all within ``most_bps``. The engine's cache has the last
    ten thousand trades and quotes.
    """
    quotes, trades = cache.quotes(instrument_id), cache.trades(instrument_id)
    if not quotes or not trades:
        return None
    quoted_ns = np.array([quote.ts_init for quote in quotes])[::-1]
    mids = np.array([0.5 * (float(quote.bid_price) + float(quote.ask_price)) for quote in quotes])[::-1]
    traded_ns = np.array([trade.ts_init for trade in trades])
    prices = np.array([float(trade.price) for trade in trades])
    rows = np.searchsorted(quoted_ns, traded_ns, side="left") - 1
    kept = (rows >= 0) & (traded_ns >= since_ns)
    if not kept.any():
        return None
    reached = 10_000.0 * np.abs(prices[kept] / mids[rows[kept]] - 1.0)
    return {
        "trades": int(kept.sum()),
        "usual_bps": float(np.percentile(reached, 99.0)),
        "most_bps": float(reached.max()),
    }
