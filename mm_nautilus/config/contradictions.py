"""Parameters of one symbol that contradict each other."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel

from mm_nautilus.config.levels import FURTHEST_BPS, FURTHEST_VOLATILITIES, level_count, spaced_widths
from mm_nautilus.config.problems import MISSING

if TYPE_CHECKING:
    from mm_nautilus.config.strategy import SymbolParams


@dataclass(frozen=True, slots=True)
class Finding:
    """Parameters of one symbol that contradict each other, or that are a risk together."""

    names: tuple[str, ...]
    """The parameters; the finding is reported at the one given for the symbol, or else at the first."""
    message: str
    """The text for the user, without a path."""


def level_findings(level: BaseModel) -> Iterator[Finding]:
    """Refuse alternatives given at the same level; `level` is a `SymbolParams` or a `SymbolOverrides`."""
    for name, other in (
        ("position_size", "position_size_usd"),
        ("skew_bps_at_max_inventory", "gamma"),
        ("level_spacing_bps", "level_spacing_volatility"),
    ):
        value, second = getattr(level, name, None), getattr(level, other, None)
        if value is not None and second is not None and other in level.model_fields_set:
            text = f"{name} and {other} must not be given together, was {value} and {second}"
            yield Finding((name, other), text)


def parameter_findings(params: "SymbolParams", report_currency: str) -> Iterator[Finding]:
    """Yield the contradictions between one symbol's merged parameters, each of which is valid by itself."""
    size_name = "position_size_usd" if params.position_size is None else "position_size"
    if params.position_size is None and params.position_size_usd is None:
        yield Finding(("position_size_usd", "position_size"), f"{MISSING}: position_size_usd")
    if params.entry_order == "taker" and params.quoting != "signal":
        text = f"entry_order must be maker with quoting: {params.quoting} (taker needs signal), was taker"
        yield Finding(("entry_order", "quoting"), text)
    distance, activation = params.trailing_stop_distance, params.trailing_stop_activation
    if distance >= activation:
        text = f"trailing_stop_distance must be below trailing_stop_activation ({activation}), was {distance}"
        yield Finding(("trailing_stop_distance", "trailing_stop_activation"), text)
    yield from _contradictions_of_levels(params)
    cap = params.inventory_cap(report_currency)
    if getattr(params, size_name) is not None:
        size = params.size(report_currency)
        if size.currency == cap.currency and size.value > cap.value:
            text = f"max_inventory must be at least one quote ({size_name} {size}), was {cap}"
            yield Finding(("max_inventory", size_name), text)
    target = params.target(report_currency)
    if target.currency == cap.currency and abs(target.value) > cap.value:
        text = f"inventory_target must be at most max_inventory ({cap}) in either direction, was {target}"
        yield Finding(("inventory_target", "max_inventory"), text)
    quantiles = [regime.above_quantile for regime in params.volatility_regimes or ()]
    if len(set(quantiles)) < len(quantiles):
        text = f"volatility_regimes must have different above_quantile values, was {quantiles}"
        yield Finding(("volatility_regimes",), text)
    interval, window = params.recalibrate_minutes, params.recalibrate_window_minutes
    if interval is not None and window < interval:
        text = f"recalibrate_window_minutes must be at least recalibrate_minutes ({interval}), was {window}"
        yield Finding(("recalibrate_window_minutes", "recalibrate_minutes"), text)


def _contradictions_of_levels(params: "SymbolParams") -> Iterator[Finding]:
    levels, count = params.levels, level_count(params.levels)
    if count > 1 and params.quoting != "two_sided":
        text = f"levels must be 1 with quoting: {params.quoting} (several need two_sided), was {count}"
        yield Finding(("levels", "quoting"), text)
    if isinstance(levels, int):
        if count > 1 and params.level_spacing_bps is None and params.level_spacing_volatility is None:
            keys = "level_spacing_bps or level_spacing_volatility"
            text = f"{keys} must be given with levels: {levels}, was null for both"
            yield Finding(("level_spacing_bps", "levels"), text)
        yield from _too_far(params, levels)
        return
    for index in range(1, count):
        nearer, width = levels[index - 1].width_bps, levels[index].width_bps
        if width <= nearer:
            text = (
                f"levels[{index}].width_bps must be above that of the level before ({nearer}), was {width}: "
                f"levels {index} and {index + 1} cross"
            )
            yield Finding(("levels",), text)


def _too_far(params: "SymbolParams", count: int) -> Iterator[Finding]:
    """Bound the distance of the furthest of a number of levels as that of each of a list is bounded."""
    ratio = params.level_spacing_ratio
    for name, most, unit in (
        ("level_spacing_bps", FURTHEST_BPS, "bps of mid"),
        ("level_spacing_volatility", FURTHEST_VOLATILITIES, "one-minute volatilities"),
    ):
        spacing = getattr(params, name)
        if spacing is None or (furthest := spaced_widths(count, spacing, ratio)[-1]) <= most:
            continue
        text = (
            f"{name} must put the furthest of {count} levels at most {most} {unit} beyond the first, was {spacing} "
            f"with level_spacing_ratio {ratio}: {furthest:.6g} {unit}"
        )
        yield Finding((name, "level_spacing_ratio", "levels"), text)


def calibration_findings(params: "SymbolParams") -> Iterator[Finding]:
    """Refuse a calibrated model or fair price without a calibration."""
    if params.is_calibrated and params.recalibrate_minutes is None:
        text = (
            f"calibration or recalibrate_minutes must be given with reservation_model: "
            f"{params.reservation_model}, was null for both"
        )
        yield Finding(("reservation_model", "recalibrate_minutes"), text)
    if params.fair_price == "microprice":
        text = "calibration must be given with fair_price: microprice, which takes its table from there, was null"
        yield Finding(("fair_price",), text)
    if params.volatility_regimes:
        text = (
            "calibration must be given with volatility_regimes, whose quantiles are measured there, was null"
        )
        yield Finding(("volatility_regimes",), text)
