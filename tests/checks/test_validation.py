from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from mm_nautilus.checks.fees import Fees, check_fees, configured_fees
from mm_nautilus.checks.instruments import check_instruments, check_run
from mm_nautilus.checks.validation import problems, validate
from mm_nautilus.config.problems import Problem, describe
from mm_nautilus.config.run import RunConfig
from mm_nautilus.config.strategy import MarketMakerConfig, SymbolParams
from mm_nautilus.market.instrument import InstrumentSpec

DEFAULTS: dict[str, Any] = {
    "position_size_usd": 20,
    "max_inventory": 100,
    "stop_loss_pct": 0.5,
    "take_profit_pct": 0.4,
    "cooldown_seconds": 5,
}


HUGE = pytest.param(10**5000, id="huge")


def flat(**changes: Any) -> dict[str, Any]:
    return {**DEFAULTS, **changes}


def nested(*symbols: str, **changes: Any) -> dict[str, Any]:
    return {"symbols": {symbol: {} for symbol in symbols or ("XRP/USDT",)}, **changes}


# -- v1.4.0's texts -----------------------------------------------------------------------------------


def test_defaults_of_v1_4_pass_with_no_message():
    assert validate(DEFAULTS) == []


def test_empty_configuration_misses_the_five_required_keys():
    names = ["position_size_usd", "max_inventory", "stop_loss_pct", "take_profit_pct", "cooldown_seconds"]
    assert validate({}) == [f"Missing required config: {name}" for name in names]


@pytest.mark.parametrize("name", DEFAULTS)
def test_each_required_key_is_missed_alone(name):
    config = flat()
    del config[name]
    assert validate(config) == [f"Missing required config: {name}"]
    assert validate(flat(**{name: None})) == [f"Missing required config: {name}"]


@pytest.mark.parametrize("name", DEFAULTS)
@pytest.mark.parametrize("value", [-5, 0, -0.5])
def test_required_keys_must_be_positive(name, value):
    assert validate(flat(**{name: value})) == [f"{name} must be positive, got {value}"]


@pytest.mark.parametrize(
    ("name", "low", "high", "outside"),
    [("gamma", 0.01, 1.0, (0.001, 5.0)), ("inventory_skew", 0, 1.0, (-0.1, 1.5))],
)
def test_ranges_of_v1_4(name, low, high, outside):
    assert [validate(flat(**{name: value})) for value in (low, 0.5, 1, high)] == [[]] * 4
    for value in outside:
        assert validate(flat(**{name: value})) == [f"{name} must be between {low} and {high}, got {value}"]


@pytest.mark.parametrize(
    ("take_profit", "stop_loss", "expected"),
    [
        (0.45, 1.0, ["Warning: Poor R:R ratio (0.45:1), requires 69% win rate"]),
        (0.5, 1.0, []),
        (0.15, 0.3, []),
        (0.1, 1.0, ["Warning: Poor R:R ratio (0.10:1), requires 91% win rate"]),
    ],
)
def test_poor_reward_to_risk_is_a_warning(take_profit, stop_loss, expected):
    assert validate(flat(take_profit_pct=take_profit, stop_loss_pct=stop_loss)) == expected


# -- Beyond v1.4.0 ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), True, "0.2", [0.2], {"a": 1}, Decimal("sNaN"), HUGE]
)
@pytest.mark.parametrize("name", ["gamma", "position_size_usd", "volatility_lookback", "max_inventory"])
def test_values_that_are_no_finite_number_are_errors(name, value):
    texts = validate(flat(**{name: value}))
    assert len(texts) == 1
    assert texts[0].startswith(f"{name} must be ")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"Gamma": 0.1}, "unknown key Gamma (did you mean gamma?), was 0.1"),
        ({"use_trailing_stop": "no"}, "use_trailing_stop must be true or false, was 'no'"),
        ({"min_spread_pct": 7}, "min_spread_pct must be above 0 and at most 5, was 7"),
    ],
)
def test_other_errors_name_key_value_and_what_is_allowed(changes, text):
    assert validate(flat(**changes)) == [text]


def test_taker_entries_are_allowed_with_signal_quoting():
    assert validate(flat(entry_order="taker", quoting="signal")) == []


def test_amount_replaces_the_size_in_usd():
    config = flat(position_size="25 XRP", max_inventory="150 XRP")
    del config["position_size_usd"]
    assert validate(config) == []


def test_what_rests_on_a_missing_key_is_not_reported():
    assert validate({"position_size_usd": 500, "take_profit_pct": 0.1}) == [
        "Missing required config: max_inventory",
        "Missing required config: stop_loss_pct",
        "Missing required config: cooldown_seconds",
    ]


def test_a_size_that_fills_the_cap_at_once_is_allowed():
    assert validate(flat(position_size_usd=100)) == []


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"reservation_model": "glft"},
            "reservation_model glft moves no price while use_reservation_price is false",
        ),
        (
            {"skew_bps_at_max_inventory": 5},
            "skew_bps_at_max_inventory 5.0 moves no price while use_reservation_price is false",
        ),
        (
            {"inventory_target": "-5 XRP"},
            "inventory_target -5 XRP moves no price while use_reservation_price is false; sizes lean towards it by "
            "inventory_skew",
        ),
        (
            {"recalibrate_minutes": 5, "use_reservation_price": True},
            "recalibrate_minutes 5.0 has no effect: no model that takes its figures from the market is in force "
            "(reservation_model simplified, use_reservation_price true)",
        ),
    ],
)
def test_what_has_no_effect_is_a_warning(changes, text):
    assert validate(flat(**changes)) == [f"Warning: {text}"]


@pytest.mark.parametrize(
    "changes",
    [
        {"reservation_model": "glft", "use_reservation_price": True, "recalibrate_minutes": 5},
        {"skew_bps_at_max_inventory": 5, "use_reservation_price": True},
        {"inventory_target": -5, "use_reservation_price": True},
        {"inventory_target": 0, "fair_price": "weighted_mid"},
    ],
)
def test_what_has_an_effect_is_none(changes):
    assert validate(flat(**changes)) == []


def test_all_problems_of_keys_are_reported_at_once():
    config = flat(gamma=5, cooldown_seconds=True, trailing_stop_distance=3, colour="red")
    texts = validate(config)
    assert len(texts) == 3
    assert sum(name in text for text in texts for name in ("gamma", "cooldown", "colour")) == 3


def test_contradictions_are_looked_for_once_each_key_is_valid():
    assert len(validate(flat(trailing_stop_distance=3, max_inventory=10, entry_order="taker"))) == 3
    assert len(validate(flat(trailing_stop_distance=3, gamma=5))) == 1


@pytest.mark.parametrize("config", [None, [], 5, "text", [DEFAULTS], object()])
def test_what_is_no_mapping_is_reported(config):
    texts = validate(config)
    assert len(texts) == 1
    assert texts[0].startswith("a configuration must be a mapping of keys, was ")


@pytest.mark.parametrize("value", [np.float64(-2.0), np.float32(-2.0), np.int64(-2), Decimal(-2)])
def test_numbers_of_other_kinds_are_numbers(value):
    assert validate(flat(max_inventory=value)) == [f"max_inventory must be positive, got {value}"]
    assert validate(flat(max_inventory=-value * 100, gamma=np.float64(0.5))) == []


def test_keys_that_are_no_texts_are_reported():
    assert "a key must be text, was 1" in validate({1: 2})
    assert any("a key must be text" in text for text in validate({"\ud800": 2}))


def test_a_configuration_that_contains_itself_is_reported():
    config = nested()
    config["gamma"] = config
    assert len(validate(config)) == 1


# -- Several symbols ----------------------------------------------------------------------------------


def test_merged_parameters_of_each_symbol_are_checked():
    config = nested("XRP/USDT", "BTC/USDT")
    config["symbols"]["BTC/USDT"] = {"trailing_stop_distance": 0.2}
    assert validate(config) == [
        "BTC/USDT: trailing_stop_distance must be below trailing_stop_activation (0.2), was 0.2",
    ]


def test_a_problem_of_all_symbols_is_reported_once():
    symbols = ("XRP/USDT", "BTC/USDT", "XRP/BTC")
    for changes, text in (
        ({"gamma": 5.0}, "gamma must be between 0.01 and 1.0, got 5.0"),
        (
            {"entry_order": "taker"},
            "entry_order must be maker with quoting: two_sided (taker needs signal), was taker",
        ),
        ({"take_profit_pct": 0.1}, "Warning: Poor R:R ratio (0.20:1), requires 83% win rate"),
    ):
        assert validate(nested(*symbols, **changes)) == [text]


def test_what_every_symbol_overrides_is_not_checked_against_the_rest():
    config = nested("XRP/USDT", max_inventory=10)
    config["symbols"]["XRP/USDT"] = {"position_size_usd": 5}
    assert validate(config) == []


def test_paths_lead_to_the_key_of_the_symbol_where_it_is_given():
    config = nested("XRP/USDT", stop_loss_pct=2.0, take_profit_pct=1.5)
    config["symbols"]["XRP/USDT"] = {"take_profit_pct": 0.2}
    message = "Poor R:R ratio (0.10:1), requires 91% win rate"
    expected = Problem(("symbols", "XRP/USDT", "take_profit_pct"), message, is_warning=True)
    assert problems(config) == [expected]
    assert validate(config) == [f"Warning: XRP/USDT: {message}"]


def test_a_contradiction_with_a_default_leads_to_the_key_that_is_given():
    assert problems(nested(position_size_usd=500))[0].path == ("position_size_usd",)
    config = {"symbols": {"XRP/USDT": {"position_size_usd": 500}}}
    assert problems(config)[0].path == ("symbols", "XRP/USDT", "position_size_usd")


def test_null_for_a_required_key_is_missing():
    assert validate(nested(stop_loss_pct=None)) == ["Missing required config: stop_loss_pct"]
    assert validate(nested(position_size_usd=None)) == ["Missing required config: position_size_usd"]


def test_symbols_must_be_there():
    assert validate({"venue": "KRAKEN"}) == ["Missing required config: symbols"]
    expected = "symbols must be a mapping of symbols with at least one of them, was {}"
    assert validate({"symbols": {}}) == [expected]


def test_a_symbol_without_parameters_takes_those_of_all():
    assert validate({"symbols": {"XRP/USDT": None}}) == []


def test_other_mappings_than_dict_are_read():
    overrides = MappingProxyType({"gamma": 5})
    config = MappingProxyType({"symbols": MappingProxyType({"XRP/USDT": overrides})})
    assert validate(config) == ["XRP/USDT: gamma must be between 0.01 and 1.0, got 5"]


def test_a_dumped_configuration_is_valid():
    config = MarketMakerConfig.model_validate(nested(position_size="25 XRP", max_inventory="150 XRP"))
    assert validate(config.model_dump()) == []
    assert validate(config.model_dump(exclude_unset=True)) == []


# -- One source of truth ------------------------------------------------------------------------------

JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["25 XRP", "0 XRP", "-3 XRP", "signal", "taker", "1e3 XRP", 10**400]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
PLAUSIBLE = (
    st.floats(0.001, 5) | st.integers(1, 30) | st.sampled_from(["25 XRP", "two_sided", "signal", True])
)
NAMES = st.sampled_from([*SymbolParams.model_fields, "min_spred_pct"])
PARAMETERS = st.dictionaries(NAMES, PLAUSIBLE | JUNK, max_size=4)


def accepted(model: type[BaseModel], config: Any) -> bool:
    try:
        model.model_validate(config)
    except ValidationError:
        return False
    return True


def has_errors(texts: list[str]) -> bool:
    assert all(isinstance(text, str) and text and text.isprintable() for text in texts)
    return any(not text.startswith("Warning:") for text in texts)


@settings(max_examples=150)
@given(PARAMETERS)
def test_validate_and_the_model_agree_on_flat_configurations(changes):
    config = flat(**changes)
    missing = [name for name in DEFAULTS if config[name] is None]
    if missing == ["position_size_usd"] and config.get("position_size") is not None:
        missing = []
    assert has_errors(validate(config)) == (bool(missing) or not accepted(SymbolParams, config))


@settings(max_examples=150)
@given(PARAMETERS, PARAMETERS | JUNK, JUNK)
def test_validate_and_the_model_agree_on_nested_configurations(changes, overrides, venue):
    config = {**changes, "symbols": {"XRP/USDT": overrides, "BTC/USDT": {}}, "venue": venue}
    assert has_errors(validate(config)) == (not accepted(MarketMakerConfig, config))


@settings(max_examples=100)
@given(
    st.dictionaries(st.text(max_size=5) | st.integers() | NAMES | st.just("symbols"), JUNK, max_size=4) | JUNK
)
def test_validate_never_raises(config):
    has_errors(validate(config))


@pytest.mark.parametrize("name", SymbolParams.model_fields)
def test_every_limit_of_the_model_is_enforced_and_shown(name):
    description = describe(SymbolParams, (name,))
    for limit in description.metadata:
        for attribute, step in (("ge", -1), ("le", 1), ("gt", 0), ("lt", 0)):
            if hasattr(limit, attribute):
                bound = getattr(limit, attribute)
                texts = validate(flat(**{name: bound + step}))
                assert len(texts) == 1
                assert name in texts[0]


# -- Instruments --------------------------------------------------------------------------------------


def spec(symbol: str, **changes: Any) -> InstrumentSpec:
    base, quote = symbol.split("/")
    return replace(
        InstrumentSpec(symbol, "KRAKEN", base, quote, Decimal("0.0001"), Decimal("0.01")), **changes
    )


XRP = spec("XRP/USDT", price_increment=Decimal("0.00001"), min_quantity=Decimal(10), min_notional=Decimal(5))
BTC = spec("BTC/USDT", price_increment=Decimal("0.1"), size_increment=Decimal("0.00000001"))
CROSS = spec("XRP/BTC", price_increment=Decimal("0.00000001"), min_quantity=Decimal(10))
ALL = {"XRP/USDT": XRP, "BTC/USDT": BTC, "XRP/BTC": CROSS}
MIDS = {"XRP/USDT": 2.0, "BTC/USDT": 100_000.0, "XRP/BTC": 0.00002}


def strategy(*symbols: str, overrides: dict[str, Any] | None = None, **changes: Any) -> MarketMakerConfig:
    config = nested(*symbols, **changes)
    config["symbols"].update(overrides or {})
    return MarketMakerConfig.model_validate(config)


def texts(found: list[Problem]) -> list[str]:
    return [problem.text() for problem in found]


def test_sound_configuration_has_no_problem_with_its_instruments():
    assert check_instruments(strategy(*ALL, position_size_usd=20), ALL, MIDS) == []


def test_unknown_symbol_names_the_nearest_and_what_there_is():
    assert texts(check_instruments(strategy("XRP/USDC"), ALL)) == [
        "XRP/USDC: a symbol must be one of those with data (BTC/USDT, XRP/BTC, XRP/USDT; did you mean "
        "XRP/USDT?), was XRP/USDC"
    ]


def test_an_empty_catalog_is_said_to_be_empty():
    assert "there is none" in check_instruments(strategy("XRP/USDT"), {})[0].message


def test_size_below_the_least_quantity_needs_a_mid_unless_it_is_in_base_currency():
    dollars = strategy("XRP/USDT", position_size_usd=10)
    assert check_instruments(dollars, ALL) == []
    assert texts(check_instruments(dollars, ALL, MIDS)) == [
        "XRP/USDT: position_size_usd must be at least 10 XRP (the least size of an order), "
        "was 10 USDT, worth 5 XRP"
    ]
    coins = strategy("XRP/USDT", position_size="9 XRP")
    assert texts(check_instruments(coins, ALL)) == [
        "XRP/USDT: position_size must be at least 10 XRP (the least size of an order), was 9 XRP"
    ]


def test_size_below_the_least_value_needs_no_mid_in_quote_currency():
    found = check_instruments(strategy("XRP/USDT", position_size_usd=4.5), ALL)
    assert texts(found) == [
        "XRP/USDT: position_size_usd must be at least 5 USDT (the least value of an order), was 4.5 USDT"
    ]


def test_size_above_the_largest_order_is_refused():
    limits = {"XRP/USDT": replace(XRP, max_quantity=Decimal(12), max_notional=Decimal(30))}
    assert check_instruments(strategy("XRP/USDT", position_size_usd=24), limits, MIDS) == []
    found = check_instruments(strategy("XRP/USDT", position_size_usd=31), limits, MIDS)
    assert [problem.path for problem in found] == [("symbols", "XRP/USDT", "position_size_usd")] * 2
    assert texts(found) == [
        "XRP/USDT: position_size_usd must be at most 12 XRP (the largest size of an order), "
        "was 31 USDT, worth 15.5 XRP",
        "XRP/USDT: position_size_usd must be at most 30 USDT (the largest value of an order), was 31 USDT",
    ]
    coins = strategy("XRP/USDT", position_size="13 XRP")
    assert texts(check_instruments(coins, limits)) == [
        "XRP/USDT: position_size must be at most 12 XRP (the largest size of an order), was 13 XRP"
    ]


def test_size_below_one_lot_is_refused():
    coarse = {"XRP/USDT": replace(XRP, size_increment=Decimal(50), min_quantity=None, min_notional=None)}
    found = check_instruments(strategy("XRP/USDT"), coarse, MIDS)
    assert "at least 50 XRP" in found[0].message


def test_cap_below_one_quote_is_refused_once_prices_tell():
    config = strategy("XRP/USDT", position_size="100 XRP", max_inventory=150)
    assert check_instruments(config, ALL) == []
    assert texts(check_instruments(config, ALL, MIDS)) == [
        "XRP/USDT: max_inventory must be at least one quote (100 XRP, worth 200 USDT), was 150 USDT"
    ]


def test_amounts_must_be_convertible_through_the_configured_pairs():
    sizes = {"XRP/BTC": {"position_size": "25 XRP", "max_inventory": "150 XRP"}}
    alone = check_instruments(strategy("XRP/BTC", report_currency="BTC", overrides=sizes), ALL)
    assert alone == []
    dollars = texts(check_instruments(strategy("XRP/BTC"), ALL))
    assert [text.split(" must ")[0] for text in dollars] == [
        "XRP/BTC: position_size_usd",
        "XRP/BTC: max_inventory",
        "report_currency",
    ]
    assert check_instruments(strategy("XRP/BTC", "BTC/USDT"), ALL, MIDS) == []


def test_a_mid_that_is_no_price_is_no_price():
    config = strategy("XRP/USDT", position_size_usd=10)
    assert check_instruments(config, ALL, {"XRP/USDT": 0.0}) == []
    assert check_instruments(config, ALL, {"XRP/USDT": float("nan")}) == []


def test_reservation_price_that_moves_less_than_a_tick_is_a_risk():
    config = strategy(*ALL, use_reservation_price=True)
    assert check_instruments(config, ALL) == []
    measured = check_instruments(config, ALL, MIDS, dict.fromkeys(ALL, 1.0) | {"XRP/BTC": 0.1})
    assert [problem.path for problem in measured] == [("symbols", "XRP/BTC", "use_reservation_price")]
    assert measured[0].is_warning
    assert "2e-10 BTC at full inventory, less than one tick of 0.00000001 BTC" in measured[0].message
    assert "volatility 0.1 %, one-minute returns" in measured[0].message


def test_volatility_that_is_not_known_is_said_to_be_assumed():
    config = strategy(*ALL, use_reservation_price=True)
    found = texts(check_instruments(config, ALL, MIDS))
    assert len(found) == 1
    assert "volatility 0.5 %, base_volatility_pct, as none is measured yet" in found[0]


# -- Fees ---------------------------------------------------------------------------------------------


def warnings(fees: Fees, **changes: Any) -> list[str]:
    return texts(check_fees(strategy("XRP/USDT", **changes), {"XRP/USDT": fees}))


def test_no_fees_are_no_risk():
    assert warnings(Fees(0.0, 0.0)) == []
    assert check_fees(strategy("XRP/USDT"), {}) == []


def test_reward_to_risk_net_of_fees():
    assert warnings(Fees(0.02, 0.1), min_spread_pct=0.2) == [
        "Warning: XRP/USDT: Poor R:R ratio net of fees (0.45:1), requires 69% win rate: take_profit_pct 0.4 "
        "% and stop_loss_pct 0.5 % against a round trip's fees of 0.12 % (maker 0.02 % in, taker 0.1 % out)"
    ]


def test_take_profit_that_only_pays_the_fees():
    found = warnings(Fees(0.25, 0.40), min_spread_pct=1)
    assert len(found) == 1
    assert "take_profit_pct 0.4 % is no more than a round trip's fees of 0.65 %" in found[0]


def test_width_below_two_maker_fees_unless_an_edge_is_asked_for():
    fees = Fees(0.1, 0.0)
    expected = "min_spread_pct 0.1 % is below two maker fees of 0.1 % each (0.2 % in all)"
    assert any(expected in text for text in warnings(fees))
    assert not any("below two maker fees" in text for text in warnings(fees, min_edge_bps=0))
    assert not any("below two maker fees" in text for text in warnings(fees, min_spread_pct=0.2))
    taking = warnings(fees, quoting="signal", entry_order="taker")
    assert not any("below two maker fees" in text for text in taking)


def test_trailing_stop_that_locks_in_less_than_the_fees():
    changes = {"trailing_stop_activation": 0.15, "trailing_stop_distance": 0.1, "take_profit_pct": 2}
    fees = Fees(0.02, 0.04)
    assert warnings(fees, **changes) == []
    found = warnings(fees, use_trailing_stop=True, **changes)
    assert len(found) == 1
    assert "0.1 % away locks in 0.0498 %, no more than a round trip's fees of 0.06 %" in found[0]
    assert warnings(Fees(0.0, 0.04), use_trailing_stop=True, **changes) == []


def test_entries_that_take_pay_the_taker_fee():
    changes = {"quoting": "signal", "entry_order": "taker", "take_profit_pct": 0.2}
    assert any("(taker 0.1 % in, taker 0.1 % out)" in text for text in warnings(Fees(0.0, 0.1), **changes))


def test_fees_come_from_the_instrument_where_the_configuration_has_none():
    charged = {"XRP/USDT": replace(XRP, maker_fee_rate=Decimal("0.0025"), taker_fee_rate=Decimal("0.004"))}
    found = texts(check_instruments(strategy("XRP/USDT"), charged))
    assert any("0.65 %" in text for text in found)
    assert check_instruments(strategy("XRP/USDT", maker_fee_pct=0, taker_fee_pct=0), charged) == []


# -- Runs ---------------------------------------------------------------------------------------------

FREE = {"maker_fee_pct": 0, "taker_fee_pct": 0}


def run(
    venue: dict[str, Any] | None = None, symbols: tuple[str, ...] = tuple(ALL), **changes: Any
) -> RunConfig:
    given_venue = {"name": "KRAKEN", "starting_balances": ["1000 USDT", "500 XRP", "0.01 BTC"], "fees": FREE}
    return RunConfig.model_validate(
        {
            "catalog": "catalog",
            "venue": {**given_venue, **(venue or {})},
            "strategy": nested(*symbols),
            **changes,
        }
    )


def test_sound_run_has_no_problem():
    assert check_run(run(), ALL, MIDS) == []


def test_venue_must_be_the_one_of_the_catalog():
    found = check_run(run({"name": "BINANCE"}), ALL)
    assert [problem.located() for problem in found] == [
        "venue.name: name must be KRAKEN, the venue of XRP/BTC, was BINANCE"
    ]


def test_fees_must_come_from_somewhere():
    found = check_run(run({"fees": None}, symbols=("XRP/USDT", "BTC/USDT")), ALL)
    expected = "venue.fees: fees must be given as the instrument of {} names none, was null"
    assert [problem.located() for problem in found][:2] == [
        expected.format("XRP/USDT"),
        expected.format("BTC/USDT"),
    ]
    symbol_fees = dict.fromkeys(ALL, FREE)
    assert check_run(run({"fees": None, "symbol_fees": symbol_fees}), ALL) == []


def test_fees_of_a_symbol_come_before_those_of_the_venue():
    config = run({"symbol_fees": {"XRP/USDT": {"maker_fee_pct": 0.25, "taker_fee_pct": 0.4}}})
    assert configured_fees(config)["XRP/USDT"] == Fees(0.25, 0.4)
    assert configured_fees(config)["BTC/USDT"] == Fees(0, 0)
    found = check_run(config, ALL)
    assert {problem.path[:3] for problem in found} == {("strategy", "symbols", "XRP/USDT")}
    assert all(problem.is_warning for problem in found)


def test_balances_must_be_convertible_into_the_report_currency():
    found = check_run(run({"starting_balances": ["1000 USDT", "5 EUR", "1 XRP"]}), ALL)
    assert [problem.located() for problem in found] == [
        "venue.starting_balances.1: starting_balances[1] must be in a currency that the configured pairs "
        "convert into the report currency USDT, was 5 EUR"
    ]


def test_cash_account_that_can_quote_nothing_is_refused():
    found = check_run(run({"starting_balances": ["0 USDT"]}), ALL)
    assert [problem.is_warning for problem in found] == [False]
    assert "must hold a currency of at least one pair of a cash account, was 0 USDT" in found[0].message


def test_pair_that_cannot_quote_yet_is_a_risk():
    found = check_run(run({"starting_balances": ["1000 USDT"]}), ALL)
    assert [(problem.is_warning, "XRP/BTC cannot quote" in problem.message) for problem in found] == [
        (True, True)
    ]


def test_margin_account_needs_every_currency_that_pairs_settle_in():
    found = check_run(run({"starting_balances": ["1000 USDT", "0 BTC"], "account_type": "margin"}), ALL)
    assert [problem.located() for problem in found] == [
        "venue.starting_balances: starting_balances of a margin account must hold some BTC, in which pairs settle, "
        "was 1000 USDT, 0 BTC"
    ]
    assert (
        check_run(run({"starting_balances": ["1000 USDT", "0.1 BTC"], "account_type": "margin"}), ALL) == []
    )


def test_problems_of_the_strategy_are_below_strategy():
    found = check_run(run(symbols=("XRP/USDC",)), ALL)
    assert found[0].path == ("strategy", "symbols", "XRP/USDC")
