"""What instruments, prices and a calibration show of a symbol's quote model before a run."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from mm_nautilus.checks.fees import Fees, check_fees
from mm_nautilus.checks.instruments import check_instruments, model_inputs, quote_metric_risks
from mm_nautilus.config.strategy import MarketMakerConfig
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.pricing.quote_model import quote_metrics

XRP = InstrumentSpec(
    "XRP/USDT", "KRAKEN", "XRP", "USDT", Decimal("0.0001"), Decimal("0.01"), maker_fee_rate=Decimal(0)
)
BTC = replace(
    XRP, symbol="BTC/USDT", base="BTC", price_increment=Decimal("0.1"), size_increment=Decimal("0.00001")
)
ALL = {"XRP/USDT": XRP, "BTC/USDT": BTC}
MIDS = {"XRP/USDT": 2.0, "BTC/USDT": 100_000.0}


def strategy(**changes: Any) -> MarketMakerConfig:
    given: dict[str, Any] = {
        "calibration": "folder/measured.yaml",
        "use_reservation_price": True,
        "reservation_model": "glft",
        "symbols": {"XRP/USDT": {}},
    }
    return MarketMakerConfig.model_validate(given | changes)


@pytest.fixture
def check(calibration_of, symbol_calibration):
    def run(config, mids=MIDS, specs=ALL, **figures):
        calibration = calibration_of({"XRP/USDT": symbol_calibration(**figures)})
        return check_instruments(config, specs, mids, calibration=calibration)

    return run


def test_a_sound_model_has_no_problem(check):
    assert check(strategy(skew_bps_at_max_inventory=5)) == []
    assert check(strategy(gamma=1.0)) == []


@pytest.mark.parametrize("model", ["simplified", "avellaneda_stoikov", "glft"])
def test_a_centre_that_moves_less_than_a_tick_is_a_risk_in_every_model(check, model):
    config = strategy(reservation_model=model, skew_bps_at_max_inventory=0.4)
    (risk,) = check(config)
    assert risk.is_warning
    assert risk.path == ("symbols", "XRP/USDT", "use_reservation_price")
    assert risk.message.startswith(
        "the reservation price moves 8e-05 USDT at full inventory, less than one tick of 0.0001 USDT "
        "(skew_bps_at_max_inventory 0.4"
    )
    assert ("from measured.yaml" in risk.message) == (model != "simplified")
    assert check(config.model_copy(update={"use_reservation_price": False})) == []
    assert check(config, mids=None) == []


def test_the_calibrations_volatility_and_not_the_configured_one_moves_a_calibrated_model(check):
    config = strategy(gamma=0.1, base_volatility_pct=0.001)
    assert check(config, volatility=3.0) == []
    (risk,) = check(config, volatility=0.05)
    assert "volatility 0.05 bps per square root of a second" in risk.message


def test_a_width_above_five_percent_is_an_error_at_the_model(check):
    (error,) = check(strategy(gamma=0.01), kappa=0.0015, a=0.01, volatility=10.0)
    assert not error.is_warning
    assert error.path == ("symbols", "XRP/USDT", "reservation_model")
    assert error.message.startswith("the full width of glft must be at most 5 % of mid, was ")


@pytest.mark.parametrize(("fee_pct", "errors"), [(None, 1), (0.25, 1), (0.0, 0)])
def test_the_instruments_fee_counts_unless_the_strategy_reckons_with_another(check, fee_pct, errors):
    charged = {"XRP/USDT": replace(XRP, maker_fee_rate=Decimal("0.0025")), "BTC/USDT": BTC}
    found = check(strategy(maker_fee_pct=fee_pct), specs=charged, kappa=2.0, volatility=3.0)
    assert len([problem for problem in found if not problem.is_warning]) == errors


def test_a_symbol_that_waits_for_its_first_estimate_has_no_figures_yet(check):
    config = strategy(recalibrate_minutes=5, symbols={"BTC/USDT": {}})
    assert check(config) == []


def test_figures_of_a_calibration_are_only_for_models_that_take_them(calibration_of, symbol_calibration):
    calibration = calibration_of({"XRP/USDT": symbol_calibration(kappa=1.5)})
    taken = model_inputs(strategy(), calibration, "XRP/USDT")
    assert taken is not None
    assert (taken.kappa_per_bps, taken.source) == (1.5, "from measured.yaml")
    assert model_inputs(strategy(reservation_model="simplified"), calibration, "XRP/USDT") is None
    assert model_inputs(strategy(symbols={"BTC/USDT": {}}), calibration, "BTC/USDT") is None
    assert model_inputs(strategy(), None, "XRP/USDT") is None


def test_risks_of_figures_are_the_same_wherever_they_are_computed(check):
    config = strategy(skew_bps_at_max_inventory=0.4, reservation_model="simplified")
    params = config.for_symbol("XRP/USDT").model_copy(update={"maker_fee_pct": 0.0})
    figures = quote_metrics(
        params, None, volatility_pct=0.0, quotes_at_cap=5.0, mid_price=2.0, tick=0.0001, spread=(1.0, "")
    )
    assert list(quote_metric_risks(XRP, figures, 2.0)) == check(config)


# -- Targets in other currencies --------------------------------------------------------------------------


@pytest.mark.parametrize(("target", "problems"), [("49 XRP", 0), ("-51 XRP", 1), (-100, 0), ("0 EUR", 0)])
def test_a_target_is_compared_with_the_cap_once_prices_tell(target, problems):
    config = strategy(inventory_target=target, reservation_model="simplified", gamma=1.0)
    found = [problem for problem in check_instruments(config, ALL, MIDS) if not problem.is_warning]
    assert len(found) == problems
    for problem in found:
        assert problem.path == ("symbols", "XRP/USDT", "inventory_target")
        assert problem.message == (
            "inventory_target must be at most max_inventory (100 USDT, worth 50 XRP) in either direction, was -51 XRP"
        )
    assert check_instruments(config, ALL) == []


def test_a_target_must_be_convertible():
    (problem,) = check_instruments(
        strategy(inventory_target="5 EUR", gamma=1.0, reservation_model="simplified"), ALL
    )
    assert problem.message.startswith(
        "inventory_target must be in XRP, USDT or a currency that the configured"
    )


# -- Fees -------------------------------------------------------------------------------------------------


def test_a_width_that_has_the_fees_in_it_is_no_risk():
    config = strategy(take_profit_pct=5)
    simplified = strategy(take_profit_pct=5, reservation_model="simplified")
    fees = {"XRP/USDT": Fees(0.2, 0.2)}
    assert check_fees(config, fees) == []
    (risk,) = check_fees(simplified, fees)
    assert "is below two maker fees" in risk.message
