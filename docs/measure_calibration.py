"""Write the tables of docs/calibration.md: the shipped file's figures, and those of recordings.

Run by hand from the repository's folder: ``.venv/bin/python docs/measure_calibration.py``. The recordings are used
where the environment variable MM_REALDATA names their folder; their table is left as it was where it does not.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from mm_nautilus.calibration.figures import Calibration, IntensityFit, MarkOut, SymbolCalibration
from mm_nautilus.calibration.file import load_calibration
from mm_nautilus.runs.calibration import calibrate_catalog

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "calibration.md"
SAMPLE = ROOT / "calibration" / "sample.yaml"
RECORDED = ("btcusdt", "ethusdt")

_TINY_RATE = 0.001


def table(calibration: Calibration) -> str:
    """Return a calibration's main figures as Markdown, one column a symbol."""
    columns = [_cells(symbol) for symbol in calibration.symbols.values()]
    lines = [f"| | {' | '.join(calibration.symbols)} |", "|---" * (len(columns) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(column[name] for column in columns)} |" for name in columns[0]]
    return "\n".join(lines)


def _cells(symbol: SymbolCalibration) -> dict[str, str]:
    spread, volatility, both, fees = symbol.spread, symbol.volatility, symbol.intensity, symbol.fees
    reach = 1 / both.kappa_per_bps
    cells = {
        "length, s": f"{symbol.seconds:,.0f}",
        "tick, bps": f"{spread.tick_bps:.3g}",
        "median spread, bps (ticks)": f"{spread.median_spread_bps:.3g} ({spread.median_spread_ticks:g})",
        "trades (market orders)": f"{spread.trades:,} ({spread.market_orders:,})",
        "volatility, bps per √s (interval)": (
            f"{volatility.volatility_bps:.2f} ± {volatility.standard_error_bps:.2f} "
            f"({volatility.interval_seconds:g} s)"
        ),
        "one-minute volatility, %": "-"
        if volatility.one_minute_pct is None
        else f"{volatility.one_minute_pct:.3f}",
        "volatility in event time, bps": f"{volatility.event_time_bps:.2f}",
        "A, a second, each side": f"{both.a_per_second:.2f} ± {both.a_standard_error:.2f}",
        "A, bids": _a(symbol.intensity_bid),
        "A, asks": _a(symbol.intensity_ask),
        "kappa, 1/bps": f"{both.kappa_per_bps:.2f} ± {both.kappa_standard_error:.2f}",
        "kappa, bids": _kappa(symbol.intensity_bid),
        "kappa, asks": _kappa(symbol.intensity_ask),
        "1/kappa, bps (ticks)": f"{reach:.2f} ({reach / spread.tick_bps:.3g})",
        "fitted depths, bps": f"{both.fitted_from_bps:.3g} to {both.fitted_to_bps:.3g}",
        "R², chi² per degree": f"{_r_squared(both)}, {_optional(both.chi_squared_per_degree)}",
    }
    cells |= {f"mark-out after {mark.seconds:g} s, bps": _mark_out(mark) for mark in symbol.mark_outs}
    if fees is not None:
        cells |= {
            "maker fee, bps": f"{fees.maker_fee_bps:g}",
            "best distance, bps": f"{fees.best_half_width_bps:.3g}",
            "fills there, an hour, each side": _rate(fees.best_fills_per_hour),
            "can pay the fee": "yes" if fees.pays else "no",
        }
    return cells


def _a(fit: IntensityFit | None) -> str:
    return "-" if fit is None else f"{fit.a_per_second:.2f} ± {fit.a_standard_error:.2f}"


def _kappa(fit: IntensityFit | None) -> str:
    return "-" if fit is None else f"{fit.kappa_per_bps:.2f} ± {fit.kappa_standard_error:.2f}"


def _mark_out(mark: MarkOut) -> str:
    return f"{mark.mark_out_bps:+.2f} ± {mark.standard_error_bps:.2f}"


def _r_squared(fit: IntensityFit) -> str:
    return "-" if fit.r_squared is None else f"{fit.r_squared:.3f}"


def _optional(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}"


def _rate(value: float) -> str:
    return f"{value:.2g}" if value >= _TINY_RATE else f"below {_TINY_RATE}"


def recordings(folder: Path) -> Calibration:
    """Import the Binance recordings into a catalog that is thrown away, and calibrate it."""
    with tempfile.TemporaryDirectory() as parent:
        catalog = Path(parent) / "catalog"
        for name in RECORDED:
            files = sorted(str(path) for path in folder.glob(f"binance_spot_*_{name.upper()}.csv.gz"))
            definition = ROOT / "configs" / "instruments" / f"binance_{name}.yaml"
            command = [sys.executable, "-m", "mm_nautilus.cli", "data", "import", "tardis", *files]
            command += ["--catalog", str(catalog), "--instrument", str(definition)]
            subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)  # noqa: S603 - our own
        return calibrate_catalog(catalog).calibration


def with_table(page: str, name: str, text: str) -> str:
    """Return the page with what stands between the marks of that name replaced."""
    before, begin, rest = page.partition(f"<!-- {name}: begin -->\n")
    _, end, after = rest.partition(f"\n<!-- {name}: end -->")
    if not (begin and end):
        raise ValueError(f"{PAGE.name} must have the marks of {name}")
    return "".join((before, begin, text, end, after))


def main() -> None:
    """Write the page anew."""
    page = with_table(PAGE.read_text(encoding="utf-8"), "sample", table(load_calibration(SAMPLE)))
    folder = os.environ.get("MM_REALDATA")
    if folder:
        found = recordings(Path(folder))
        dated = f"Measured {found.created.date().isoformat()}.\n\n{table(found)}"
        page = with_table(page, "recordings", dated)
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
