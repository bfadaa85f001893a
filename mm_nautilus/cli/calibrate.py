"""The `calibrate` command."""

import re
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from mm_nautilus.cli.console import ending_on_signals, print_json, progress_bar

if TYPE_CHECKING:
    from mm_nautilus.core.calibration import Calibration
    from mm_nautilus.runs.calibration import CalibrationOutcome

__all__ = ["calibrate_command"]

_FOLDER: Final = Path("calibration")
_WIDTH_WITHOUT_TERMINAL: Final = 160
_UNIT_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


def calibrate_command(
    *,
    catalog: Annotated[Path, typer.Argument(help="The catalog's folder.")],
    symbols: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="Symbols such as XRP/USDT,BTC/USDT; all if not given."),
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(metavar="LENGTH", help="Use the last 90s, 30m, 2h or 1d of the data only."),
    ] = None,
    start: Annotated[
        str | None, typer.Option(metavar="MOMENT", help="First moment used, such as 2026-01-01T00:05:00Z.")
    ] = None,
    end: Annotated[str | None, typer.Option(metavar="MOMENT", help="Last moment used.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="File to write.", show_default="calibration/<the catalog folder's name>.yaml"
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write plots into one HTML page too.")
    ] = None,
    maker_fee_pct: Annotated[
        float | None, typer.Option(metavar="PCT", help="Maker fee, % of value, for the instruments' own.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the figures as JSON, and nothing else.")
    ] = False,
) -> None:
    """Estimate volatility, order arrivals, micro-price and mark-outs from a catalog, and write them to a file.

    Example: mm-nautilus calibrate catalog --symbols XRP/USDT --window 20m --out calibration/xrp.yaml
    """
    names = None if symbols is None else _names(symbols)
    last_seconds = None if window is None else _seconds(window)
    first, last = _moment("--start", start), _moment("--end", end)
    file = out or _FOLDER / f"{catalog.resolve().name}.yaml"
    _refuse_targets(file, plot, force=force)
    with ending_on_signals("the calibration was interrupted; nothing was written"):
        from mm_nautilus.runs.calibration import calibrate_catalog  # noqa: PLC0415 (keeps --help fast)

        with progress_bar("calibrating") as on_progress:
            outcome = calibrate_catalog(
                catalog,
                symbols=names,
                last_seconds=last_seconds,
                start=first,
                end=last,
                maker_fee_pct=maker_fee_pct,
                on_progress=on_progress,
            )
        texts = _texts(outcome.calibration, file, plot)
    with ending_on_signals("interrupted while writing; each file is whole or absent"):
        for path, text in texts.items():
            _write_whole(path, text)
    _print(outcome, list(texts), as_json=as_json)


def _names(text: str) -> list[str]:
    from mm_nautilus.errors import ConfigError  # noqa: PLC0415

    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise ConfigError(f"--symbols must be symbols with commas between them, was {text!r}")
    return names


def _seconds(text: str) -> float:
    """Return a length of time such as ``90s``, ``30m``, ``1.5h`` or ``1d`` in seconds."""
    from mm_nautilus.errors import ConfigError  # noqa: PLC0415

    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([smhd])", text.strip())
    seconds = 0.0 if match is None else float(match[1]) * _UNIT_SECONDS[match[2]]
    if seconds <= 0:
        raise ConfigError(
            f"--window must be a number above 0 and s, m, h or d behind it, such as 2h, was {text!r}"
        )
    return seconds


def _moment(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415

    from mm_nautilus.core.config_types import Moment  # noqa: PLC0415
    from mm_nautilus.errors import ConfigError  # noqa: PLC0415

    try:
        moment: datetime = TypeAdapter(Moment).validate_python(text)
    except ValidationError:
        raise ConfigError(
            f"{option} must be a date and time from 1970 to 2261 with a UTC offset such as "
            f"2025-12-13T00:00:00Z, was {text!r}"
        ) from None
    return moment


def _refuse_targets(file: Path, plot: Path | None, *, force: bool) -> None:
    """Check the files to be written before the work begins."""
    from mm_nautilus.errors import ConfigError  # noqa: PLC0415

    problems = []
    for option, path in (("--out", file), ("--plot", plot)):
        if path is None:
            continue
        if path.is_dir():
            problems.append(f"{option} must be a file, was the folder {path}")
        elif path.exists() and not force:
            problems.append(f"{path} exists; --force replaces it, {option} names another file")
    if plot is not None and plot.absolute() == file.absolute():
        problems.append(f"--plot must be another file than the calibration's, was {plot}")
    if problems:
        raise ConfigError(problems)


def _texts(calibration: "Calibration", file: Path, plot: Path | None) -> dict[Path, str]:
    from mm_nautilus.core.calibration_file import dump_calibration  # noqa: PLC0415

    texts = {file: dump_calibration(calibration)}
    if plot is not None:
        from mm_nautilus.report.calibration_plot import calibration_page  # noqa: PLC0415

        texts[plot] = calibration_page(calibration)
    return texts


def _write_whole(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all; one of that name is replaced."""
    from mm_nautilus.errors import MarketMakingError  # noqa: PLC0415

    aside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            aside.write_text(text, encoding="utf-8")
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise MarketMakingError(f"{path} cannot be written: {error}") from error


def _print(outcome: "CalibrationOutcome", paths: list[Path], *, as_json: bool) -> None:
    for symbol, text in outcome.failures.items():
        typer.echo(f"warning: {symbol} is not in the file: {text}", err=True)
    for note in outcome.notes:
        typer.echo(f"note: {note}", err=True)
    for path in paths:
        typer.echo(f"written to {path}", err=True)
    if as_json:
        document = outcome.calibration.model_dump(mode="json")
        print_json(document | {"failures": outcome.failures, "notes": list(outcome.notes)})
        return
    from rich.console import Console  # noqa: PLC0415

    from mm_nautilus.report.calibration import print_calibration  # noqa: PLC0415

    width = None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL
    print_calibration(outcome.calibration, Console(width=width))
