"""Measure what each mood of the market changes on simulated data, and write the table into docs/moods.md.

Run by hand from the repository's folder: ``.venv/bin/python docs/measure_moods.py``.
"""

import json
import re
import tempfile
from pathlib import Path
from typing import Any, Final

from mm_nautilus.calibration.file import dump_calibration
from mm_nautilus.checks.config_source import load_config
from mm_nautilus.data.simulator import SimulationConfig, write_sample
from mm_nautilus.runs.backtest import run_backtest
from mm_nautilus.runs.calibration import calibrate_catalog

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "moods.md"
HOURS: Final = 4
CASES: Final[dict[str, dict[str, Any]]] = {
    "none": {},
    "regime above 0.75: width 2, size 0.5": {
        "volatility_regimes": [{"above_quantile": 0.75, "width": 2.0, "size": 0.5}]
    },
    "pause above 0.9": {"volatility_regimes": [{"above_quantile": 0.9, "pause": True}]},
    "session 13:00 to 14:00: width 1.5": {
        "session_hours": [{"start": "13:00", "end": "14:00", "width": 1.5}]
    },
    "trend of 5 bps a minute": {"trend_threshold_bps": 5.0},
    "correlation with BTC/USDT above 0.6": {"correlation_pause": {"symbol": "BTC/USDT", "above": 0.6}},
    "profit falls to 0 in 300 s": {"take_profit_decay_seconds": 300.0},
    "positions of at most 300 s": {"max_position_seconds": 300.0},
}


def summary_of(folder: Path, changes: dict[str, Any]) -> dict[str, Any]:
    """Run the shipped first configuration on the folder's catalog, with changes of the strategy."""
    sets = [f"strategy.{key}={json.dumps(value)}" for key, value in changes.items()]
    shared = [
        f"catalog={folder / 'catalog'}",
        f"output.directory={folder / 'runs'}",
        "venue.rate_limit=null",
        f"strategy.calibration={folder / 'calibration.yaml'}",
    ]
    return run_backtest(load_config(ROOT / "configs" / "backtest.yaml", [*shared, *sets]).config).summary


def table() -> str:
    """Return the measured table as Markdown."""
    rows = [
        "| | fills | exits | trading PnL, USDT | largest drawdown, % |",
        "|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_sample(folder / "catalog", SimulationConfig(duration_seconds=HOURS * 3600, activity=0.3))
        (folder / "calibration.yaml").write_text(
            dump_calibration(calibrate_catalog(folder / "catalog").calibration)
        )
        for case, changes in CASES.items():
            summary = summary_of(folder, changes)
            exits = sum(reason["count"] for reason in summary["exits"].values())
            equity = summary["equity"]
            rows.append(
                f"| {case} | {summary['total']['fills']} | {exits} | {equity['trading_pnl']:+.2f} "
                f"| {equity['max_drawdown_pct']:.3f} |"
            )
    return "\n".join(rows)


if __name__ == "__main__":
    measured = table()
    page = re.sub(
        r"(<!-- moods: begin -->\n).*?(\n<!-- moods: end -->)",
        lambda match: match[1] + measured + match[2],
        PAGE.read_text(encoding="utf-8"),
        flags=re.DOTALL,
    )
    PAGE.write_text(page, encoding="utf-8")
