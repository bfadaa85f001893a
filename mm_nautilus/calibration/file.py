"""The calibration file: read, checked against what a configuration takes from it, and written."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mm_nautilus.calibration.figures import Calibration
from mm_nautilus.calibration.model_inputs import calibrated_inputs
from mm_nautilus.config.problems import Problem, check_model
from mm_nautilus.config.run import as_yaml_values
from mm_nautilus.config.strategy import MarketMakerConfig
from mm_nautilus.config.yaml_file import read_mapping, yaml_text
from mm_nautilus.errors import CalibrationError, ConfigError
from mm_nautilus.system.near_names import known_names

_LARGEST_FILE: Final = 20_000_000
_MOST_VALUES: Final = 400_000
_HEADER: Final = """\
# What `mm-nautilus calibrate` measured of each symbol, and what quoting models take from it. Configurations name this
# file as `strategy.calibration`. Depths, spreads and volatilities are in basis points of the mid (kappa: one per basis
# point), volatility is per square root of a second, arrivals are per second. Re-estimate it instead of editing it.
"""


def load_calibration(path: Path) -> Calibration:
    """Read a calibration file; a ConfigError has a line for each problem, with file, line and path of the key."""
    read = read_mapping(path, "calibration", largest=_LARGEST_FILE, most_values=_MOST_VALUES)
    calibration, found = check_model(Calibration, read.values)
    texts = [f"{read.place(problem.path)}: {problem.located()}" for problem in found]
    if read.problems or calibration is None:
        raise ConfigError([*read.problems, *texts])
    return calibration


def dump_calibration(calibration: Calibration) -> str:
    """Return a calibration as YAML with a comment before it, which `load_calibration` reads back as an equal one."""
    return _HEADER + yaml_text(as_yaml_values(calibration.model_dump()), compact=True)


def configured_calibration(config: MarketMakerConfig) -> tuple[Calibration | None, list[Problem]]:
    """Read the calibration that a configuration names, and look for what the configuration takes from it.

    The calibration is None where none is named or something is wrong; the problems are at the key ``calibration``.
    """
    if config.calibration is None:
        return None, []
    try:
        calibration = load_calibration(config.calibration)
    except ConfigError as error:
        return None, [Problem(("calibration",), text) for text in error.problems]
    lacking = [
        Problem(("calibration",), f"{config.calibration}: {text}")
        for symbol in config.symbols
        for text in _lacking(config, calibration, symbol)
    ]
    return None if lacking else calibration, lacking


def _lacking(config: MarketMakerConfig, calibration: Calibration, symbol: str) -> Iterator[str]:
    """Yield what a symbol's parameters need from a calibration and do not find there."""
    params = config.for_symbol(symbol)
    if not (params.is_calibrated or params.fair_price == "microprice" or params.volatility_regimes):
        return
    figures = calibration.symbols.get(symbol)
    if figures is None:
        known = known_names(symbol, sorted(calibration.symbols))
        yield f"a symbol that takes figures from a calibration must be in it ({known}), was {symbol}"
        return
    if params.fair_price == "microprice" and figures.microprice is None:
        yield (
            f"{symbol} must have a micro-price table for fair_price: microprice (none is estimated where the touch "
            "changes too rarely), was null"
        )
    if params.volatility_regimes and not figures.volatility.quantiles:
        yield (
            f"{symbol} must have the distribution of its volatility for volatility_regimes (calibrate measures it "
            "from 80 minutes of data on), was empty"
        )
    if params.is_calibrated:
        try:
            calibrated_inputs(figures, "")
        except CalibrationError as error:
            yield f"{symbol}: {error}"
