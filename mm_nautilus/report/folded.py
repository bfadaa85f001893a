"""What the heading of each folded section of a report says, so that nobody has to open it to know."""

from collections.abc import Mapping
from typing import Any

from mm_nautilus.pricing.not_quoting import HALTS
from mm_nautilus.pricing.quote_model import short_number
from mm_nautilus.report.session import fee_words
from mm_nautilus.system.plain_text import counted

type Figures = Mapping[str, Any]


def folded_words(summary: Figures) -> dict[str, str]:
    """Return the main figure of each section of reference, by the section's name in the page."""
    return {
        "orders": _order_words(summary["total"]),
        "not-quoting": _idle_words(summary),
        "model": _model_words(summary["symbols"]),
        "statistics": _statistics_words(summary),
        "venue": fee_words(summary["venue"], summary["report_currency"]),
        "configuration": counted(len(summary["warnings"]), "warning")
        if summary["warnings"]
        else "no warnings",
    }


def _order_words(total: Figures) -> str:
    refused = total["orders_rejected"] + total["orders_denied"]
    words = [f"{total[f'orders_{name}']:,} {name}" for name in ("placed", "amended", "cancelled")]
    per_fill = total["quotes_per_fill"]
    words.append(f"{refused:,} refused")
    return ", ".join(words) + ("" if per_fill is None else f"; {per_fill:.1f} quotes a fill")


def _idle_words(summary: Figures) -> str:
    """Return the side that was without a quote longest and its main reason, and halts."""
    seconds = summary["period"]["seconds"]
    found = []
    halted = set()
    for symbol, figures in summary["symbols"].items():
        for side, reasons in figures["not_quoting"].items():
            if reasons:
                most = max(reasons, key=lambda reason: reasons[reason]["seconds"])
                found.append((sum(entry["seconds"] for entry in reasons.values()), f"{symbol} {side}", most))
            halted |= {symbol for reason in reasons if reason in HALTS}
    words = f"HALTED: {', '.join(sorted(halted))}; " if halted else ""
    if not found:
        return f"{words}both sides were quoted all the time"
    longest, where, reason = max(found)
    share = min(100.0, 100.0 * longest / seconds) if seconds else 0.0
    return f"{words}at most {share:.1f} % of the time ({where}), mostly {reason}"


def _model_words(symbols: Figures) -> str:
    distances = [
        figures["quote_model"]["half_width_bps"]
        for figures in symbols.values()
        if figures["quote_model"] is not None
    ]
    if not distances:
        return "never quoted"
    low, high = short_number(min(distances)), short_number(max(distances))
    return f"quotes {low if low == high else f'{low} to {high}'} bps from their centre"


def _statistics_words(summary: Figures) -> str:
    """Return the Sharpe ratio where there are days enough for one, else the drawdown."""
    equity = summary.get("statistics", {}).get("equity", {})
    sharpe = equity.get("Sharpe Ratio (365 days)")
    if sharpe is not None:
        return f"Sharpe ratio {sharpe:.2f} over {counted(equity['days'], 'day')}"
    return "too few days for ratios"
