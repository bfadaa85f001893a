"""Compare the quoting models at one width on the sample and on recordings; write the table into docs/maths.md.

Run by hand from the repository's folder: ``.venv/bin/python docs/measure_models.py``. The recordings are used where
the environment variable MM_REALDATA names their folder, and their rows are left as they were where it does not.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mm_nautilus.calibration.mark_outs import mark_outs
from mm_nautilus.calibration.touches import TouchSeries
from mm_nautilus.checks.config_source import load_config
from mm_nautilus.config.amount import Amount
from mm_nautilus.config.run import RunConfig
from mm_nautilus.data.book_tops import replay_touches
from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.catalog_files import DataKind
from mm_nautilus.runs.backtest import run_backtest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "maths.md"

_CAP_SHARE: Final = 0.9
"""Share of the cap from which on a position counts as at the cap."""
_STEP_NS: Final = 1_000_000_000
_RESERVATION: Final = "strategy.use_reservation_price=true"

MODELS: Final[dict[str, list[str]]] = {
    "mid": [],
    "simplified, gamma 1": [_RESERVATION, "strategy.gamma=1.0"],
    "avellaneda_stoikov, gamma 0.1": [
        _RESERVATION,
        "strategy.reservation_model=avellaneda_stoikov",
        "strategy.horizon_seconds=10",
    ],
    "glft, gamma 1": [_RESERVATION, "strategy.reservation_model=glft", "strategy.gamma=1.0"],
}
_SHARED: Final = [
    # Fees are charged, but the models do not widen for them: all have the width of their market.
    "strategy.maker_fee_pct=0",
    "strategy.requote_tolerance_bps=0.1",
    "strategy.volatility_threshold_mult=1",
]
_PER_SYMBOL: Final = {"take_profit_pct": 5, "stop_loss_pct": 5, "cooldown_seconds": 1, "inventory_skew": 0}
"""No exits and no smaller sizes: only the models keep the position small."""


@dataclass(frozen=True, slots=True)
class Market:
    """One data set with the settings all models share.

    Parameters
    ----------
    name
        As in the table.
    config
        The configuration that is changed.
    overrides
        Changes that all models get.
    catalog
        The catalog.
    calibration
        The catalog's calibration file.
    """

    name: str
    config: Path
    overrides: tuple[str, ...]
    catalog: Path
    calibration: Path


@dataclass(frozen=True, slots=True)
class Row:
    """Figures of one symbol under one model.

    Parameters
    ----------
    width_bps, skew_bps
        Full width of the quotes, and how far a full position moves them, bps of mid; as of the last estimate.
    fills, pnl, fees
        Executions; total PnL net of fees, and fees, in quote currency.
    inventory_std_pct
        Standard deviation over time of the position, % of the cap.
    at_cap_pct
        Share of the time with at least nine tenths of the cap, %.
    mark_outs_bps
        Mean mark-out of our own maker fills by seconds after, bps before fees.
    """

    width_bps: float
    skew_bps: float
    fills: int
    pnl: str
    fees: str
    inventory_std_pct: float
    at_cap_pct: float
    mark_outs_bps: dict[float, float]


def sample() -> Market:
    """Return the shipped sample; the widths lie between the pairs' median spreads and three times as much."""
    widths = {"XRP/USDT": 0.03, "BTC/USDT": 0.02, "XRP/BTC": 0.08}
    return Market(
        "The sample (SIMULATED, 30 minutes)",
        ROOT / "configs" / "v1_4.yaml",
        _settings(widths),
        ROOT / "catalog",
        ROOT / "calibration" / "sample.yaml",
    )


def recordings(folder: Path, realdata: Path) -> Market:
    """Import and calibrate the recordings in a folder of their own."""
    catalog = folder / "catalog"
    for raw in ("btcusdt", "ethusdt"):
        files = sorted(str(path) for path in realdata.glob(f"binance_spot_*_{raw.upper()}.csv.gz"))
        definition = ROOT / "configs" / "instruments" / f"binance_{raw}.yaml"
        _command(
            "data", "import", "tardis", *files, "--catalog", str(catalog), "--instrument", str(definition)
        )
    file = folder / "calibration.yaml"
    _command("calibrate", str(catalog), "--out", str(file))
    widths = {"BTC/USDT": 0.04, "ETH/USDT": 0.04}
    return Market(
        "Binance spot, 2024-08-08 23:54 to 2024-08-09 00:05 UTC",
        ROOT / "configs" / "binance.yaml",
        (f"catalog={catalog}", *_settings(widths)),
        catalog,
        file,
    )


def _settings(widths_pct: dict[str, float]) -> tuple[str, ...]:
    """Return the overrides that give each symbol its width and all the settings they share."""
    keys = {symbol: _PER_SYMBOL | {"min_spread_pct": width} for symbol, width in widths_pct.items()}
    each = [
        f"strategy.symbols.{symbol}.{key}={value}" for symbol in keys for key, value in keys[symbol].items()
    ]
    return (*_SHARED, *each)


def _command(*words: str) -> None:
    subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "mm_nautilus.cli", *words], cwd=ROOT, check=True, capture_output=True
    )


def rows_of(market: Market, model: str) -> Iterator[tuple[str, Row]]:
    """Run one model on one market and yield each symbol's figures."""
    with tempfile.TemporaryDirectory() as folder:
        overrides = [
            *market.overrides,
            *MODELS[model],
            f"strategy.calibration={market.calibration}",
            f"output.directory={folder}",
        ]
        loaded = load_config(market.config, overrides)
        outcome = run_backtest(loaded.config)
        fills = pq.read_table(outcome.folder / "fills.parquet").to_pandas()
        for symbol, figures in outcome.summary["symbols"].items():
            own = fills[fills["symbol"] == symbol]
            yield symbol, _row(market, loaded.config, symbol, figures, own)


def _row(market: Market, config: RunConfig, symbol: str, figures: dict[str, Any], fills: pd.DataFrame) -> Row:
    reader = CatalogReader(market.catalog)
    spec = next(spec for spec in reader.instruments() if spec.symbol == symbol)
    first, last = reader.bounds(spec.instrument_id, DataKind.DELTAS) or (0, 0)
    touches = replay_touches(reader.iter_deltas(spec.instrument_id), first, last).touches
    tick = float(spec.price_increment)
    times = fills["ts_event"].to_numpy("datetime64[ns]").astype(np.int64)
    signs = np.where(fills["side"] == "BUY", 1.0, -1.0)
    changes = pd.Series(signs * fills["quantity"].astype(float).to_numpy(), index=times)
    cap = config.strategy.for_symbol(symbol).inventory_cap(config.report_currency)
    share = _cap_share(cap, symbol, touches, tick, changes)
    makers = (fills["liquidity"] == "MAKER").to_numpy()
    ticks = np.rint(fills["price"].astype(float).to_numpy() / tick).astype(np.int64)
    outs = mark_outs(times[makers], ticks[makers], signs[makers] < 0, touches)
    model = figures["quote_model"]
    return Row(
        2.0 * model["half_width_bps"],
        model["skew_bps"],
        len(fills),
        figures["total_pnl"],
        figures["fees"],
        100.0 * float(share.std()),
        100.0 * float((np.abs(share) >= _CAP_SHARE).mean()),
        {out.seconds: out.mark_out_bps for out in outs},
    )


def _cap_share(
    cap: Amount, symbol: str, touches: TouchSeries, tick: float, changes: pd.Series
) -> NDArray[np.float64]:
    """Return the position as a share of its cap at every second of the data."""
    grid = np.arange(touches.ts_ns[0], touches.end_ns, _STEP_NS)
    held = np.searchsorted(changes.index.to_numpy(), grid, side="right")
    position = np.concatenate(([0.0], changes.cumsum().to_numpy()))[held]
    value = 1.0 if cap.currency == symbol.partition("/")[0] else touches.mid_at(grid) * tick
    return np.asarray(position * value / float(cap.value))


def table(market: Market) -> str:
    """Return the market's table as Markdown."""
    lines = [
        f"**{market.name}**",
        "",
        "| symbol | model | width, bps | skew, bps | fills | PnL net of fees | fees | position's std, % of cap "
        "| at the cap, % of time | mark-out 1 s, bps | 5 s | 30 s |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    found = [(symbol, model, row) for model in MODELS for symbol, row in rows_of(market, model)]
    for symbol, model, row in sorted(found, key=lambda item: item[0]):
        outs = " | ".join(f"{row.mark_outs_bps[seconds]:+.2f}" for seconds in (1.0, 5.0, 30.0))
        lines.append(
            f"| {symbol} | {model} | {row.width_bps:.1f} | {row.skew_bps:.2f} | {row.fills} | {row.pnl} | {row.fees} "
            f"| {row.inventory_std_pct:.0f} | {row.at_cap_pct:.0f} | {outs} |"
        )
    return "\n".join(lines)


def with_table(page: str, mark: str, text: str) -> str:
    """Return the page with one marked table replaced."""
    pattern = rf"(<!-- models {mark}: begin -->\n).*?(\n<!-- models {mark}: end -->)"
    return re.sub(pattern, lambda match: match[1] + text + match[2], page, flags=re.DOTALL)


def main() -> None:
    """Measure and write."""
    page = with_table(PAGE.read_text(encoding="utf-8"), "sample", table(sample()))
    realdata = os.environ.get("MM_REALDATA")
    if realdata is not None:
        with tempfile.TemporaryDirectory() as folder:
            page = with_table(page, "recordings", table(recordings(Path(folder), Path(realdata))))
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
