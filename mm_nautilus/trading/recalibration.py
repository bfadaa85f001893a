"""Recalibrate quote models on schedule, and log what they quote on."""

from typing import Any

from mm_nautilus.calibration.volatility import one_minute_pct
from mm_nautilus.checks.instruments import quote_metric_risks
from mm_nautilus.errors import CalibrationError
from mm_nautilus.pricing.quote_model import QuoteMetrics, quote_metrics, quote_metrics_text
from mm_nautilus.trading.symbol import SymbolState


class ModelReview:
    """Recalibrate models when due; log their parameters, refusals and risks once per change.

    Parameters
    ----------
    warnings
        List to which risks of the estimates are added.
    """

    def __init__(self, log: Any, warnings: list[str]) -> None:
        self._log = log
        self._warnings = warnings
        self._refused: set[str] = set()
        self._reported: set[tuple[str, ...]] = set()

    def review(self, symbol: SymbolState, now_ns: int) -> None:
        """Check one symbol's model, unless it is a custom pricing model."""
        name = symbol.name
        if symbol.pricing is not symbol.model:
            return
        try:
            is_new = _recalibrated(symbol, now_ns)
        except CalibrationError as error:
            state = "still has no figures" if symbol.model.is_waiting else "continues with its last figures"
            self._log.warning(f"MM: {name} {state}: {error}")
            return
        if is_new or _has_new_metrics(symbol):
            self._log_metrics(symbol)
        if symbol.model.refusal is None:
            self._refused.discard(name)
        elif name not in self._refused:
            self._refused.add(name)
            self._log.warning(f"MM: {name} is not quoted: {symbol.model.refusal}")

    def _log_metrics(self, symbol: SymbolState) -> None:
        metrics = _noted_metrics(symbol)
        if metrics is None:
            return
        self._log.info(quote_metrics_text(symbol.name, metrics))
        for risk in quote_metric_risks(symbol.spec, metrics, symbol.mid_price or 0.0):
            if risk.path not in self._reported:
                self._reported.add(risk.path)
                self._log.warning(risk.text())
                self._warnings.append(risk.text())


def _recalibrated(symbol: SymbolState, now_ns: int) -> bool:
    """Recalibrate a quote model if that is due and the feed is not stale; return whether it has new inputs.

    Raises
    ------
    CalibrationError
        If the inputs cannot be estimated or give no valid model; the last ones stay in force.
    """
    waits = symbol.model.rolling is None or symbol.book_guard.is_stale(now_ns)
    limits = None if waits else symbol.sizes.at(symbol.mid_price)
    quotes_at_cap = None if limits is None else symbol.sizes.quotes_at_cap(limits)
    if quotes_at_cap is None:
        return False
    is_new = symbol.model.recalibrate(now_ns, symbol.volatility.volatility_pct, quotes_at_cap)
    if is_new and symbol.model.market is not None:
        symbol.volatility.load_calibrated(one_minute_pct(symbol.model.market.volatility_bps), now_ns)
    symbol.needs_requote = symbol.needs_requote or is_new
    return is_new


def _has_new_metrics(symbol: SymbolState) -> bool:
    """Return whether the quote metrics have not been logged yet with the current source of volatility and maker fee."""
    metrics = symbol.quote_metrics
    return (
        metrics is None
        or symbol.quoted_source is not symbol.volatility.source
        or metrics.maker_fee_bps != 100.0 * (symbol.params.maker_fee_pct or 0.0)
    )


def _noted_metrics(symbol: SymbolState) -> QuoteMetrics | None:
    """Compute and store the quote metrics; return None without a valid book, sizes or a model."""
    touch, limits, volatility_pct = (
        symbol.touch,
        symbol.sizes.at(symbol.mid_price),
        symbol.volatility.volatility_pct,
    )
    quotes_at_cap = None if limits is None else symbol.sizes.quotes_at_cap(limits)
    if touch is None or quotes_at_cap is None or symbol.mid_price is None:
        return None
    if symbol.model.is_waiting or symbol.model.at(volatility_pct, quotes_at_cap) is None:
        return None
    spread = ((touch[1] - touch[0]) / symbol.mid_price * 10_000.0, "present spread")
    if symbol.calibration is not None:
        spread = (symbol.calibration.spread.median_spread_bps, "median spread")
    symbol.quoted_source = symbol.volatility.source
    symbol.quote_metrics = quote_metrics(
        symbol.params,
        symbol.model.market,
        volatility_pct=volatility_pct,
        volatility_source=symbol.volatility.source,
        quotes_at_cap=quotes_at_cap,
        mid_price=symbol.mid_price,
        tick=symbol.tick,
        spread=spread,
    )
    return symbol.quote_metrics
