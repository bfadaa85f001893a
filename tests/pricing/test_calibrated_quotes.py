"""The quote model that a symbol's parameters and its market's figures make, and where it is refused."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_nautilus.calibration.model_inputs import ModelInputs, calibrated_inputs
from mm_nautilus.calibration.volatility import volatility_bps
from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.errors import CalibrationError
from mm_nautilus.pricing.models import avellaneda_stoikov_quotes, full_width_pct, glft_quotes
from mm_nautilus.pricing.pricing_model import MarketView, PositionView
from mm_nautilus.pricing.quote_model import (
    LARGEST_MODEL_WIDTH_PCT,
    quote_metrics,
    quote_metrics_text,
    quote_model,
)

MARKET = ModelInputs(volatility_bps=0.8, a_per_second=0.5, kappa_per_bps=1.0, source="from a test")
MODELS = ("avellaneda_stoikov", "glft")
both_models = pytest.mark.parametrize("name", MODELS)


def params_of(name="glft", **changes):
    given = {
        "use_reservation_price": True,
        "reservation_model": name,
        "min_spread_pct": 1e-6,
        "maker_fee_pct": 0.0,
    }
    return SymbolParams(**given | changes)


def model_of(name="glft", *, market=MARKET, volatility_pct=0.0, quotes_at_cap=5.0, **changes):
    return quote_model(
        params_of(name, **changes), market, volatility_pct=volatility_pct, quotes_at_cap=quotes_at_cap
    )


def absolute_quotes(name, mid, q, params, market, sigma_bps):
    """The models' own quotes with every length in quote currency."""
    unit = mid / 10_000
    gamma, sigma, kappa = params.gamma / unit, sigma_bps * unit, market.kappa_per_bps / unit
    fee = params.maker_fee_pct / 100 * mid
    if name == "glft":
        return glft_quotes(mid, q, gamma, sigma, kappa, market.a_per_second, fee=fee)
    return avellaneda_stoikov_quotes(mid, q, gamma, sigma, kappa, params.horizon_seconds, fee=fee)


# -- Width and skew ---------------------------------------------------------------------------------------


@settings(max_examples=100)
@given(
    name=st.sampled_from(MODELS),
    mid=st.sampled_from([0.00002, 2.35, 100_000.0]),
    gamma=st.floats(0.01, 1.0),
    kappa=st.floats(0.3, 3.0),
    a=st.floats(0.1, 2.0),
    sigma=st.floats(0.2, 3.0),
    fee_pct=st.sampled_from([-0.005, 0.0, 0.02]),
    share=st.floats(-1, 1),
)
def test_bps_and_full_quotes_give_the_models_own_quotes_in_money(
    name, mid, gamma, kappa, a, sigma, fee_pct, share
):
    market = ModelInputs(sigma, a, kappa, "")
    params = params_of(name, gamma=gamma, maker_fee_pct=fee_pct)
    quotes_at_cap, cap_lots = 8.0, 1000
    position = round(share * cap_lots)
    model = quote_model(params, market, volatility_pct=0.0, quotes_at_cap=quotes_at_cap)
    tick = mid / 1e6
    market_view = MarketView("XRP/USDT", 999_999 * tick, 1_000_001 * tick, mid, mid, 0.0)
    position_view = PositionView(0.0, 0.0, 0.0, position / cap_lots, quotes_at_cap)

    reservation = model.priced(market_view, position_view).reservation_price
    half_width = model.model_width_pct / 200 * mid

    bid, ask = absolute_quotes(name, mid, quotes_at_cap * position / cap_lots, params, market, sigma)
    assert reservation - half_width == pytest.approx(bid, rel=1e-11)
    assert reservation + half_width == pytest.approx(ask, rel=1e-11)


@both_models
def test_a_width_is_the_wider_of_model_and_parameter(name):
    narrow, wide = model_of(name, min_spread_pct=0.0001), model_of(name, min_spread_pct=1.0)
    assert narrow.full_width_pct == narrow.model_width_pct > 0.01
    assert (wide.full_width_pct, wide.model_width_pct) == (1.0, narrow.model_width_pct)
    assert wide.skew_bps == narrow.skew_bps


def test_volatility_scales_the_width_and_the_fee_floor_comes_last():
    changes = {"volatility_threshold_mult": 3.0, "base_volatility_pct": 0.03, "maker_fee_pct": 0.01}
    scaled = model_of(volatility_pct=0.06, **changes)
    assert scaled.full_width_pct == pytest.approx(2 * scaled.model_width_pct, rel=1e-12)
    floored = model_of(volatility_pct=0.06, min_edge_bps=50.0, **changes)
    assert floored.full_width_pct == full_width_pct(scaled.model_width_pct, 2.0, 0.01, 50.0) == 0.52


@both_models
def test_the_present_volatility_comes_before_the_calibrated_one(name):
    calm, calibrated = model_of(name, volatility_pct=0.03), model_of(name)
    same = model_of(name, volatility_pct=0.8 * math.sqrt(60) / 100)
    assert calm.skew_bps < calibrated.skew_bps == pytest.approx(same.skew_bps, rel=1e-12)
    assert calm.model_width_pct < calibrated.model_width_pct
    assert volatility_bps(0.06) == pytest.approx(0.7745966692)


@both_models
def test_a_full_inventory_moves_the_centre_by_its_number_of_quotes(name):
    assert model_of(name, quotes_at_cap=10.0).skew_bps == pytest.approx(
        2 * model_of(name).skew_bps, rel=1e-12
    )
    assert model_of(name, quotes_at_cap=10.0).model_width_pct == model_of(name).model_width_pct


@both_models
def test_a_maker_fee_moves_each_quote_out(name):
    free, charged = model_of(name), model_of(name, maker_fee_pct=0.02)
    extra_bps = (charged.model_width_pct - free.model_width_pct) * 50
    assert extra_bps == pytest.approx(2.0) if name == "avellaneda_stoikov" else extra_bps > 2.0
    assert (charged.skew_bps > free.skew_bps) == (name == "glft"), "its skew sees fewer arrivals"


def test_a_longer_horizon_moves_the_quotes_of_avellaneda_and_stoikov_more():
    short, long = (model_of("avellaneda_stoikov", horizon_seconds=seconds) for seconds in (30.0, 60.0))
    assert long.skew_bps == pytest.approx(2 * short.skew_bps, rel=1e-12)


# -- A skew instead of gamma ------------------------------------------------------------------------------


@settings(max_examples=60)
@given(
    name=st.sampled_from(["simplified", *MODELS]),
    skew=st.floats(0.1, 15.0),
    volatility=st.sampled_from([0.0, 0.02, 0.3]),
    quotes_at_cap=st.floats(1.0, 30.0),
)
def test_the_centre_moves_by_the_given_skew_whatever_the_volatility(name, skew, volatility, quotes_at_cap):
    model = model_of(
        name, skew_bps_at_max_inventory=skew, volatility_pct=volatility, quotes_at_cap=quotes_at_cap
    )
    assert model.skew_bps == skew


@both_models
def test_the_gamma_of_the_width_follows_from_the_skew_at_the_calibrated_volatility(name):
    by_gamma = model_of(name, gamma=0.2)
    by_skew = model_of(name, skew_bps_at_max_inventory=by_gamma.skew_bps)
    assert by_skew.gamma == pytest.approx(0.2, rel=1e-9)
    assert by_skew.model_width_pct == pytest.approx(by_gamma.model_width_pct, rel=1e-9)
    stormy = model_of(name, skew_bps_at_max_inventory=by_gamma.skew_bps, volatility_pct=0.3)
    assert stormy.gamma == by_skew.gamma
    assert stormy.model_width_pct > by_skew.model_width_pct


def test_the_simplified_model_takes_no_figures_and_sets_no_width():
    model = model_of("simplified", market=None, volatility_pct=0.5, gamma=0.3)
    assert model.skew_bps == pytest.approx(7.5)
    assert (model.model_width_pct, model.full_width_pct, model.gamma) == (0.0, 1e-6, 0.3)
    assert model_of("simplified", market=None, skew_bps_at_max_inventory=4.0).gamma is None


def test_without_a_reservation_price_nothing_is_moved():
    model = model_of("glft", market=None, use_reservation_price=False, min_spread_pct=0.1)
    assert (model.skew_bps, model.full_width_pct, model.gamma) == (0.0, 0.1, None)


# -- Refusals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kappa_per_bps": 4255.0}, "kappa_per_bps must be between 0.001 and 100 per basis point of mid"),
        ({"kappa_per_bps": 1e-5}, "was 1e-05"),
        ({"kappa_per_bps": math.nan}, "was nan"),
        ({"a_per_second": 0.0}, "a_per_second must be positive and finite"),
        ({"a_per_second": math.inf}, "was inf"),
        ({"volatility_bps": 250.0}, "volatility_bps must be between 0 and 100 basis points"),
        ({"volatility_bps": -1.0}, "was -1"),
    ],
)
@both_models
def test_figures_that_only_wrong_units_explain_are_refused(name, change, words):
    with pytest.raises(CalibrationError, match="must be") as refused:
        model_of(name, market=replace(MARKET, **change))
    assert words in str(refused.value)


@both_models
def test_a_width_above_five_percent_is_refused_in_words(name):
    flat = replace(MARKET, kappa_per_bps=0.001, volatility_bps=10.0)
    with pytest.raises(CalibrationError) as refused:
        model_of(name, market=flat, gamma=0.01)
    text = str(refused.value)
    assert text.startswith(f"the full width of {name} must be at most 5 % of mid, was ")
    assert "volatility 10 bps per square root of a second, A 0.5 per second, kappa 0.001 per bps" in text
    assert "volatility 12.9 bps" in refused_at(name, flat, 1.0), "the one that was measured"


def refused_at(name, market, volatility_pct):
    with pytest.raises(CalibrationError) as refused:
        model_of(name, market=market, gamma=0.01, volatility_pct=volatility_pct)
    return str(refused.value)


def test_a_market_that_cannot_pay_the_fee_is_named_as_such():
    with pytest.raises(
        CalibrationError, match=r"orders reach the maker fee of 25 bps 6\.9e-12 times a second"
    ):
        model_of("glft", maker_fee_pct=0.25)
    assert model_of("avellaneda_stoikov", maker_fee_pct=0.25).model_width_pct < 1


def test_missing_figures_and_a_skew_without_volatility_are_refused():
    with pytest.raises(CalibrationError, match="glft needs volatility and order arrivals, was given none"):
        model_of("glft", market=None)
    still = replace(MARKET, volatility_bps=0.0)
    for name in MODELS:
        with pytest.raises(CalibrationError, match=f"{name} cannot be computed: no gamma"):
            model_of(name, market=still, skew_bps_at_max_inventory=3.0)
    assert model_of("glft", market=still).skew_bps == 0.0


@settings(max_examples=150)
@given(
    name=st.sampled_from(MODELS),
    market=st.builds(
        ModelInputs, st.floats(0, 100), st.floats(1e-300, 1e300), st.floats(0.001, 100), st.just("")
    ),
    volatility=st.sampled_from([0.0, 1e-6, 0.1, 50.0]),
    gamma=st.floats(0.01, 1.0),
    fee_pct=st.floats(-5, 5),
    skew=st.none() | st.floats(0.001, 500),
    ratio=st.floats(1e-3, 1e9),
)
def test_any_figures_give_a_width_of_at_most_five_percent_or_are_refused(
    name, market, volatility, gamma, fee_pct, skew, ratio
):
    lean = {"gamma": gamma} if skew is None else {"skew_bps_at_max_inventory": skew}
    try:
        model = model_of(
            name, market=market, volatility_pct=volatility, quotes_at_cap=ratio, maker_fee_pct=fee_pct, **lean
        )
    except CalibrationError:
        return
    assert model.model_width_pct <= LARGEST_MODEL_WIDTH_PCT
    assert math.isfinite(model.skew_bps)
    assert model.skew_bps >= 0
    assert 1e-6 <= model.full_width_pct < 50


def test_figures_of_a_calibration_are_its_fit_to_both_sides(symbol_calibration):
    market = calibrated_inputs(symbol_calibration(a=0.6, kappa=1.5, volatility=1.1), "from there")
    assert market == ModelInputs(1.1, 0.6, 1.5, "from there")


@pytest.mark.parametrize(
    ("factor", "words"), [(0.04, "within a factor of 3"), (50.0, "within a factor of 3")]
)
def test_a_fit_that_misses_its_own_counts_is_refused(symbol_calibration, factor, words):
    sound = symbol_calibration()
    fit = sound.intensity.model_copy(update={"kappa_per_bps": factor})
    with pytest.raises(CalibrationError, match=words):
        calibrated_inputs(sound.model_copy(update={"intensity": fit}), "")


# -- Figures that are told --------------------------------------------------------------------------------


def figures_of(name="glft", *, market=MARKET, volatility_pct=0.0, spread=(1.15, "median spread"), **changes):
    return quote_metrics(
        params_of(name, **changes),
        market,
        volatility_pct=volatility_pct,
        quotes_at_cap=5.0,
        mid_price=2.0,
        tick=0.0001,
        spread=spread,
    )


def test_figures_are_the_models_in_bps_and_ticks():
    model, figures = model_of(maker_fee_pct=0.02), figures_of(maker_fee_pct=0.02)
    assert (figures.half_width_bps, figures.skew_bps) == (model.half_width_bps, model.skew_bps)
    assert figures.half_width_ticks == pytest.approx(2 * figures.half_width_bps), (
        "a tick is half a basis point"
    )
    assert figures.skew_ticks == pytest.approx(2 * figures.skew_bps)
    assert (figures.maker_fee_bps, figures.model, figures.gamma) == (2.0, "glft", 0.1)
    assert figures.source.endswith("A 0.5 per second, kappa 1 per bps, from a test")


@pytest.mark.parametrize(
    ("changes", "source"),
    [
        (
            {"volatility_pct": 0.06},
            "gamma 0.1, volatility 0.775 bps per square root of a second (one-minute returns), A",
        ),
        (
            {"name": "simplified", "market": None},
            "one-minute volatility 0.5 %, base_volatility_pct, as none is",
        ),
        (
            {"name": "simplified", "volatility_pct": 0.06},
            "gamma 0.1, one-minute volatility 0.06 %, one-minute returns",
        ),
        ({"name": "simplified", "skew_bps_at_max_inventory": 3.0}, "skew_bps_at_max_inventory 3"),
        ({"skew_bps_at_max_inventory": 3.0}, "skew_bps_at_max_inventory 3, gamma 0."),
        ({"use_reservation_price": False}, "no reservation price"),
    ],
)
def test_the_source_says_what_figures_rest_on(changes, source):
    assert source in figures_of(**changes).source


def test_a_line_tells_width_skew_fee_spread_and_model():
    text = quote_metrics_text(
        "XRP/USDT", figures_of("simplified", market=None, min_spread_pct=0.05, maker_fee_pct=0.02)
    )
    assert text == (
        "MM: XRP/USDT quotes stand 2.50 bps (5.00 ticks) from the reservation price, which full inventory moves by "
        "2.50 bps (5.00 ticks); maker fee 2 bps, median spread 1.15 bps; model simplified: gamma 0.1, one-minute "
        "volatility 0.5 %, base_volatility_pct, as none is measured yet"
    )
    assert "median spread not known" in quote_metrics_text(
        "XRP/USDT", figures_of(spread=(None, "median spread"))
    )
