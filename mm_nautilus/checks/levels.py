"""Risks of several levels a side that are visible without market data."""

from collections.abc import Iterator
from typing import Final

from mm_nautilus.config.contradictions import Finding
from mm_nautilus.config.strategy import REPORT_CURRENCY, SymbolParams
from mm_nautilus.pricing.levels import levels_of

_OF_A_NUMBER: Final = (
    "level_spacing_bps",
    "level_spacing_volatility",
    "level_spacing_ratio",
    "level_size_step",
    "level_size_ratio",
)
"""Keys that shape a number of levels."""


def risks_of_levels(params: SymbolParams) -> Iterator[Finding]:
    """Yield keys of levels that have no effect, and levels that the inventory cap has no room for."""
    levels = levels_of(params)
    for name in _OF_A_NUMBER:
        value, default = getattr(params, name), SymbolParams.model_fields[name].default
        if value != default and (not isinstance(params.levels, int) or len(levels) == 1):
            why = "levels is 1" if isinstance(params.levels, int) else "levels lists each of them"
            yield Finding((name, "levels"), f"{name} {value} has no effect: {why}")
    if len(levels) == 1:
        return
    size, cap = params.size(REPORT_CURRENCY), params.inventory_cap(REPORT_CURRENCY)
    total = float(size.value) * sum(level.size for level in levels)
    if size.currency == cap.currency and total > float(cap.value):
        text = (
            f"max_inventory {cap} has no room for all {len(levels)} levels of a side, {total:.6g} {size.currency}: the "
            "furthest are smaller or not quoted"
        )
        yield Finding(("max_inventory", "levels"), text)
