"""Measure what the venue's assumptions are worth on the sample, and write the table into docs/limits.md.

Run by hand from the repository's folder: ``.venv/bin/python docs/measure_switches.py``.
"""

import re
import tempfile
from pathlib import Path
from typing import Any, Final

from mm_nautilus.checks.config_source import load_config
from mm_nautilus.runs.backtest import run_backtest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "limits.md"

_QUEUE, _CONSUMPTION = "venue.queue_position=false", "venue.liquidity_consumption=false"
_NO_LATENCY: Final = [f"venue.latency.{name}_ms=0" for name in ("insert", "amend", "cancel")]
_NO_FEES: Final = ["venue.fees.maker_fee_pct=0", "venue.fees.taker_fee_pct=0"]
CASES: Final[dict[str, list[str]]] = {
    "as shipped": [],
    "queue position off": [_QUEUE],
    "liquidity consumption off": [_CONSUMPTION],
    "both off": [_QUEUE, _CONSUMPTION],
    "latency 0": _NO_LATENCY,
    "no fees": _NO_FEES,
    "no fees, both off": [*_NO_FEES, _QUEUE, _CONSUMPTION],
}


def summary_of(overrides: list[str]) -> dict[str, Any]:
    """Run the shipped configuration with changes, into a folder that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        loaded = load_config(ROOT / "configs" / "v1_4.yaml", [*overrides, f"output.directory={folder}"])
        return run_backtest(loaded.config).summary


def table() -> str:
    """Return the measured table as Markdown."""
    summaries = {name: summary_of(overrides) for name, overrides in CASES.items()}
    symbols = list(summaries["as shipped"]["symbols"])
    lines = [
        f"| | fills | {' | '.join(f'{symbol} fills' for symbol in symbols)} | trading PnL, USDT |",
        "|---" * (len(symbols) + 3) + "|",
    ]
    for name, summary in summaries.items():
        fills = [summary["symbols"][symbol]["fills"] for symbol in symbols]
        cells = [name, str(sum(fills)), *map(str, fills), f"{summary['equity']['trading_pnl']:+.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def with_table(page: str, rows: str) -> str:
    """Return the page with its table replaced."""
    return re.sub(
        r"(<!-- switches: begin -->\n).*?(\n<!-- switches: end -->)",
        lambda match: match[1] + rows + match[2],
        page,
        flags=re.DOTALL,
    )


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), table()), encoding="utf-8")
