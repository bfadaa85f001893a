"""Several quotes a side: how much further out than the model's quote each stands, and how large it is."""

from typing import Final, NamedTuple

from mm_nautilus.config.levels import spaced_widths
from mm_nautilus.config.strategy import SymbolParams


class Level(NamedTuple):
    """One quote of a side.

    Attributes
    ----------
    width
        How much further out than the model's quote it stands: in basis points of mid, in one-minute volatilities
        (`level_spacing_volatility`), or, where prices are planned, in quote currency.
    size
        Its size as a multiple of a full quote.
    """

    width: float
    size: float


ONE_LEVEL: Final = (Level(0.0, 1.0),)
"""The model's quote alone."""


def levels_of(params: SymbolParams) -> tuple[Level, ...]:
    """Return the levels of a side, nearest first."""
    if not isinstance(params.levels, int):
        return tuple(Level(level.width_bps, level.size) for level in params.levels)
    gap = params.level_spacing_bps or params.level_spacing_volatility or 0.0
    return tuple(
        Level(width, (1.0 + number * params.level_size_step) * params.level_size_ratio**number)
        for number, width in enumerate(spaced_widths(params.levels, gap, params.level_spacing_ratio))
    )


def follows_volatility(params: SymbolParams) -> bool:
    """Return whether the levels' widths are in units of the one-minute volatility."""
    return (
        isinstance(params.levels, int) and params.levels > 1 and params.level_spacing_volatility is not None
    )


def priced_levels(
    params: SymbolParams,
    levels: tuple[Level, ...],
    mid_price: float,
    volatility_pct: float | None,
    width_factor: float = 1.0,
) -> tuple[Level, ...]:
    """Return levels with their widths in quote currency; the first alone while its unit is not known.

    Parameters
    ----------
    volatility_pct
        One-minute volatility, %; None while it is not known.
    width_factor
        What market moods multiply all widths by.
    """
    if levels is ONE_LEVEL:
        return levels
    if not follows_volatility(params):
        unit = mid_price / 10_000.0
    elif volatility_pct is None:
        return levels[:1]
    else:
        unit = mid_price * volatility_pct / 100.0
    unit *= width_factor
    return tuple(Level(level.width * unit, level.size) for level in levels)
