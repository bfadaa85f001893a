"""Prices and sizes of several levels, without an engine."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.pricing.levels import ONE_LEVEL, Level, levels_of, priced_levels
from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.pricing.pricing_model import PricedQuote
from mm_nautilus.pricing.quotes import Quote, QuoteInputs, SizeLimits, plan_quotes


@pytest.mark.parametrize(
    ("given", "widths", "sizes"),
    [
        ({}, [0], [1]),
        ({"levels": 3, "level_spacing_bps": 2.0}, [0, 2, 4], [1, 1, 1]),
        ({"levels": 4, "level_spacing_bps": 2.0, "level_spacing_ratio": 3.0}, [0, 2, 8, 26], [1, 1, 1, 1]),
        ({"levels": 3, "level_spacing_bps": 2.0, "level_size_step": 0.5}, [0, 2, 4], [1, 1.5, 2]),
        ({"levels": 3, "level_spacing_bps": 2.0, "level_size_ratio": 0.5}, [0, 2, 4], [1, 0.5, 0.25]),
        ({"levels": 2, "level_spacing_volatility": 0.5}, [0, 0.5], [1, 1]),
        ({"levels": [{"width_bps": 1.0, "size": 2.0}, {"width_bps": 5.0}]}, [1, 5], [2, 1]),
    ],
)
def test_levels_have_the_widths_and_sizes_of_their_shape(given, widths, sizes):
    levels = levels_of(SymbolParams(**given))
    assert [level.width for level in levels] == pytest.approx(widths)
    assert [level.size for level in levels] == pytest.approx(sizes)


def test_widths_are_priced_in_basis_points_or_in_volatilities():
    bps = SymbolParams(levels=2, level_spacing_bps=2.0)
    assert priced_levels(bps, levels_of(bps), 500.0, None)[1].width == pytest.approx(0.1)
    units = SymbolParams(levels=2, level_spacing_volatility=0.5)
    assert priced_levels(units, levels_of(units), 500.0, 0.2)[1].width == pytest.approx(0.5)
    assert priced_levels(units, levels_of(units), 500.0, None) == ONE_LEVEL


@given(
    st.integers(1, 10_000),
    st.integers(1, 20),
    st.integers(-500, 500),
    st.integers(1, 40),
    st.lists(st.tuples(st.floats(0, 3), st.floats(0.1, 3)), min_size=1, max_size=5),
)
def test_levels_never_cross_and_fit_into_the_cap_together(bid, spread, position, smallest, shape):
    inputs = QuoteInputs(bid, bid + spread, 0.01, position, SizeLimits(100, 500, smallest))
    levels = tuple(Level(width, size) for width, size in sorted(shape))
    mid = 0.01 * (bid + 0.5 * spread)
    plan = plan_quotes(SymbolParams(inventory_skew=1.0), inputs, PricedQuote(mid, 0.003, 0.003), levels)
    for direction, targets in ((1, plan.targets[::2]), (-1, plan.targets[1::2])):
        assert len(targets) == len(levels)
        quotes = [target for target in targets if isinstance(target, Quote)]
        for nearer, further in pairwise(quotes):
            assert direction * (nearer.price_ticks - further.price_ticks) >= 1
        assert direction * position + sum(quote.size_lots for quote in quotes) <= 500 or not quotes
        assert all(smallest <= quote.size_lots <= quote.room_lots for quote in quotes)
        if NotQuoting.INVENTORY_CAP in targets:
            assert direction * position + sum(quote.size_lots for quote in quotes) > 500 - smallest
