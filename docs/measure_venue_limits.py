"""Measure what Kraken's rate limits leave of runs, and write the tables into docs/venue-limits.md.

Run by hand from the repository's folder: ``.venv/bin/python docs/measure_venue_limits.py [CATALOG]``. The catalog is
one of Binance recordings for configs/binance.yaml; without it the table of recordings stays as it is.
"""

import re
import sys
import tempfile
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from mm_nautilus.checks.config_source import load_config
from mm_nautilus.risk.rate_limit import KRAKEN_TIERS
from mm_nautilus.runs.backtest import run_backtest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "venue-limits.md"

_HORIZON_SECONDS: Final = 5.0
_WITHOUT_END: Final = {"pro": (10**9, KRAKEN_TIERS["pro"][1])}
"""A tier that refuses nothing: its counter says what a run without a limit would have spent."""
_ALL: Final = "strategy.rate_limit_policy=ignore"
CASES: Final[dict[str, list[str]]] = {
    "unlimited": ["venue.rate_limit={kraken: pro}", _ALL],
    **{tier: [f"venue.rate_limit={{kraken: {tier}}}"] for tier in ("pro", "intermediate", "starter")},
    **{
        f"{tier}, all sent": [f"venue.rate_limit={{kraken: {tier}}}", _ALL]
        for tier in ("pro", "intermediate", "starter")
    },
}
_HEADINGS: Final = (
    *("limit", "fills", "PnL before fees, USDT", "mark-out after 5 s, bps"),
    *("actions", "points", "refused", "waited, s", "off target, bps"),
)


def summary_of(config: Path, overrides: list[str], *, is_unlimited: bool) -> dict[str, Any]:
    """Run a shipped configuration with changes, into a folder that is thrown away."""
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.dict(KRAKEN_TIERS, _WITHOUT_END if is_unlimited else {}),  # type: ignore[arg-type] # it is a dict
    ):
        loaded = load_config(config, [*overrides, f"output.directory={folder}"])
        return run_backtest(loaded.config).summary


def row(name: str, summary: dict[str, Any]) -> str:
    """Return one run's line of the table."""
    symbols = summary["symbols"].values()

    def total(*names: str) -> int:
        return sum(figures[key] for figures in symbols for key in names)

    maker = [
        entry
        for figures in symbols
        for entry in figures["fill_quality"]["maker"]
        if entry["seconds"] == _HORIZON_SECONDS and entry["fills"]
    ]
    mark_out = sum(e["fills"] * e["mark_out_bps"] for e in maker) / max(1, sum(e["fills"] for e in maker))
    waits = [(f["points_wait_seconds"], f["points_wait_bps"]) for f in symbols if f["points_wait_seconds"]]
    seconds = sum(wait for wait, _ in waits)
    off_bps = sum(wait * bps for wait, bps in waits) / seconds if waits else None
    cells = (
        name,
        f"{total('fills'):,}",
        f"{summary['equity']['trading_pnl_before_fees']:+.2f}",
        f"{mark_out:+.2f}",
        f"{total('orders_placed', 'orders_amended', 'orders_cancelled'):,}",
        f"{total('rate_points'):,}",
        f"{total('rate_limited'):,}",
        f"{seconds:,.0f}",
        "" if off_bps is None else f"{off_bps:.2f}",
    )
    return f"| {' | '.join(cells)} |"


def table(config: str, overrides: list[str]) -> str:
    """Return the measured table of a configuration as Markdown."""
    lines = [f"| {' | '.join(_HEADINGS)} |", "|---" * len(_HEADINGS) + "|"]
    for name, case in CASES.items():
        summary = summary_of(ROOT / "configs" / config, [*overrides, *case], is_unlimited=name == "unlimited")
        lines.append(row(name, summary))
    return "\n".join(lines)


def with_table(page: str, name: str, rows: str) -> str:
    """Return the page with one of its tables replaced."""
    return re.sub(
        rf"(<!-- {name}: begin -->\n).*?(\n<!-- {name}: end -->)",
        lambda match: match[1] + rows + match[2],
        page,
        flags=re.DOTALL,
    )


def main(catalogs: list[str]) -> None:
    """Measure all tables that there is data for."""
    runs = [("backtest.yaml", []), ("v1_4.yaml", [])]
    runs += [("binance.yaml", [f"catalog={catalog}"]) for catalog in catalogs]
    text = PAGE.read_text(encoding="utf-8")
    for config, overrides in runs:
        text = with_table(text, config, table(config, overrides))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:2])
