"""The `calibrate` command."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from mm_nautilus.cli.console import (
    ending_on_signals,
    output_console,
    print_json,
    print_line,
    progress_bar,
    refuse_targets,
    write_target,
)
from mm_nautilus.cli.options import (
    AsJson,
    CatalogFolder,
    EndMoment,
    Force,
    GapSeconds,
    StartMoment,
    SymbolList,
    moment_value,
    symbol_names,
)
from mm_nautilus.errors import ConfigError
from mm_nautilus.system.moments import GAP_SECONDS

if TYPE_CHECKING:
    from mm_nautilus.calibration.figures import Calibration
    from mm_nautilus.runs.calibration import CalibrationOutcome

_FOLDER: Final = Path("calibration")
_UNIT_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


def calibrate_command(
    *,
    catalog: CatalogFolder,
    symbols: SymbolList = None,
    window: Annotated[
        str | None, typer.Option(metavar="LENGTH", help="Use the last 90s, 30m, 2h or 1d only.")
    ] = None,
    start: StartMoment = None,
    end: EndMoment = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File to write.", show_default="calibration/CATALOG.yaml"),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write plots as an HTML page.")
    ] = None,
    gap_seconds: GapSeconds = GAP_SECONDS,
    maker_fee_pct: Annotated[
        float | None, typer.Option(metavar="PCT", help="Maker fee, %, for the instruments'.")
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Estimate volatility, arrivals, micro-price, mark-outs.

    From a catalog to a file that configurations name.

    Example: mm-nautilus calibrate catalog --symbols XRP/USDT --window 20m
    """
    names = symbol_names(symbols)
    last_seconds = None if window is None else _seconds(window)
    first, last = moment_value("--start", start), moment_value("--end", end)
    file = out or _FOLDER / f"{catalog.resolve().name}.yaml"
    refuse_targets({"--out": file, "--plot": plot}, force=force)
    with ending_on_signals("the calibration was interrupted; nothing was written"):
        from mm_nautilus.runs.calibration import calibrate_catalog  # noqa: PLC0415 (keeps --help fast)

        with progress_bar("calibrating") as on_progress:
            outcome = calibrate_catalog(
                catalog,
                symbols=names,
                last_seconds=last_seconds,
                start=first,
                end=last,
                gap_seconds=gap_seconds,
                maker_fee_pct=maker_fee_pct,
                on_progress=on_progress,
            )
        texts = _texts(outcome.calibration, file, plot)
    with ending_on_signals("interrupted while writing; each file is complete or absent"):
        for path, text in texts.items():
            write_target(path, text)
    _print(outcome, list(texts), as_json=as_json)


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([smhd])", text.strip())
    seconds = 0.0 if match is None else float(match[1]) * _UNIT_SECONDS[match[2]]
    if seconds <= 0:
        raise ConfigError(
            f"--window must be a number above 0 followed by s, m, h or d, such as 2h, was {text!r}"
        )
    return seconds


def _texts(calibration: "Calibration", file: Path, plot: Path | None) -> dict[Path, str]:
    from mm_nautilus.calibration.file import dump_calibration  # noqa: PLC0415

    texts = {file: dump_calibration(calibration)}
    if plot is not None:
        from mm_nautilus.report.calibration_plot import calibration_page  # noqa: PLC0415

        texts[plot] = calibration_page(calibration)
    return texts


def _print(outcome: "CalibrationOutcome", paths: list[Path], *, as_json: bool) -> None:
    for symbol, text in outcome.failures.items():
        print_line(f"warning: {symbol} is not in the file: {text}", err=True)
    for note in outcome.notes:
        print_line(f"note: {note}", err=True)
    for path in paths:
        print_line(f"written to {path}", err=True)
    if as_json:
        document = outcome.calibration.model_dump(mode="json")
        print_json(document | {"failures": outcome.failures, "notes": list(outcome.notes)})
        return
    from mm_nautilus.report.calibration import calibration_view  # noqa: PLC0415

    output_console().print(calibration_view(outcome.calibration))
