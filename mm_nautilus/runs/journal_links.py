"""The lines around a fill in the journal: the signal and the order that led to it, and the metrics after it."""

from typing import Any

from mm_nautilus.metrics.data_types import SymbolMetrics, metrics_row
from mm_nautilus.report.journal import Journal
from mm_nautilus.trading.messages import Fill, OrderOrigin


class JournalLinks:
    """Write signals and orders when they are filled, and the metrics of that moment, under the order's id.

    Orders come and go by the thousand, and hardly any is filled: an order's signal is kept with it and written once
    a fill makes it matter, and again only if the order was amended before a later fill.
    """

    def __init__(self, journal: Journal, strategy: str) -> None:
        self._journal, self._strategy = journal, strategy
        self._written: dict[tuple[str, str], OrderOrigin] = {}
        self._awaited: dict[str, tuple[int, str]] = {}

    def on_fill(self, fill: Fill) -> None:
        """Write what led to an execution, unless it was written for the execution before."""
        self._awaited[fill.symbol] = (fill.ts_event, fill.order_id)
        origin, side = fill.origin, (fill.symbol, fill.side)
        if origin is None or self._written.get(side) is origin:
            return
        self._written[side] = origin
        common = {
            "symbol": fill.symbol,
            "side": fill.side,
            "purpose": fill.purpose,
            "price": origin.decision.price,
            "quantity": origin.decision.quantity,
        }
        self._journal.log("signal", _signal(common, origin), self._strategy, fill.order_id)
        order = {
            "ts_event": origin.placed_ns,
            **common,
            "order_type": fill.order_type,
            "amends": origin.amends,
        }
        self._journal.log("order", order, self._strategy, fill.order_id)

    def on_metrics(self, metrics: SymbolMetrics) -> None:
        """Write a symbol's metrics where they are the first after an execution."""
        awaited = self._awaited.pop(metrics.symbol, None)
        if awaited is not None and metrics.ts_event == awaited[0]:  # type: ignore[attr-defined]
            self._journal.log("metrics", metrics_row(metrics), self._strategy, awaited[1])


def _signal(common: dict[str, Any], origin: OrderOrigin) -> dict[str, Any]:
    decision = origin.decision
    return {
        "ts_event": decision.ts_event,
        **common,
        **decision.market._asdict(),
        "volatility_pct": decision.volatility_pct,
        "imbalance": decision.imbalance,
        "trade_flow": decision.trade_flow,
        "trigger_price": decision.trigger_price,
    }
