"""What a configuration of several levels is told before a run."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from mm_nautilus.checks.instruments import check_instruments, check_run
from mm_nautilus.checks.validation import problems, strategy_risks
from mm_nautilus.config.run import RunConfig
from mm_nautilus.config.strategy import MarketMakerConfig
from mm_nautilus.market.instrument import InstrumentSpec

XRP = InstrumentSpec(
    "XRP/USDT", "KRAKEN", "XRP", "USDT", Decimal("0.0001"), Decimal("0.01"), min_quantity=Decimal(5)
)
MIDS = {"XRP/USDT": 2.0}


def strategy(**changes: Any) -> MarketMakerConfig:
    given = {"position_size": "10 XRP", "max_inventory": "100 XRP", "symbols": {"XRP/USDT": {}}}
    return MarketMakerConfig.model_validate(given | changes)


def test_all_that_is_wrong_with_a_list_of_levels_is_named_at_once():
    levels = [{"width_bps": -1}, {"width_bps": 2, "size": 0}, {"width": 2}, None, [True]]
    found = [problem.located() for problem in problems(strategy().model_dump() | {"levels": levels})]
    assert found == [
        "levels.0.width_bps: width_bps must be between 0 and 500, was -1",
        "levels.1.size: size must be above 0 and at most 100, was 0",
        "levels.2.width_bps: Missing required config: width_bps",
        "levels.2.width: unknown key width (did you mean width_bps?), was 2",
        "levels.3: levels[3] must be a mapping of keys such as {width_bps: 4, size: 2}, was null",
        "levels.4: levels[4] must be a mapping of keys such as {width_bps: 4, size: 2}, was [true]",
    ]


def test_no_level_of_a_number_stands_further_out_than_one_of_a_list_may():
    shape = {"levels": 10, "level_spacing_bps": 500, "level_spacing_ratio": 10}
    (found,) = problems(strategy().model_dump() | shape)
    assert found.located() == (
        "level_spacing_bps: level_spacing_bps must put the furthest of 10 levels at most 500 bps of mid beyond the "
        "first, was 500.0 with level_spacing_ratio 10.0: 5.55556e+10 bps of mid"
    )
    by_volatility = {"levels": 3, "level_spacing_volatility": 40, "symbols": {"XRP/USDT": {"levels": 4}}}
    (found,) = problems(strategy().model_dump() | by_volatility)
    assert found.located() == (
        "symbols.XRP/USDT.levels: level_spacing_volatility must put the furthest of 4 levels at most 100 one-minute "
        "volatilities beyond the first, was 40.0 with level_spacing_ratio 1.0: 120 one-minute volatilities"
    )
    furthest = {"levels": 3, "level_spacing_bps": 250}
    assert not [found for found in problems(strategy().model_dump() | furthest) if not found.is_warning]


def test_levels_in_volatilities_are_bounded_at_the_calibrated_one(calibration_of, symbol_calibration):
    calibration = calibration_of({"XRP/USDT": symbol_calibration(volatility=2.0)})
    config = strategy(levels=3, level_spacing_volatility=20.0)
    (found,) = check_instruments(config, {"XRP/USDT": XRP}, MIDS, calibration=calibration)
    assert found.located() == (
        "symbols.XRP/USDT.level_spacing_volatility: level_spacing_volatility must put the furthest of 3 levels at most "
        "500 bps of mid beyond the first, was 20.0: 619.677 bps at a one-minute volatility of 0.155 %"
    )
    assert check_instruments(config, {"XRP/USDT": XRP}, MIDS) == []


def test_levels_below_the_venues_minimum_are_named_with_their_pair_and_number():
    config = strategy(levels=3, level_spacing_bps=5.0, level_size_ratio=0.6)
    (found,) = check_instruments(config, {"XRP/USDT": XRP}, MIDS)
    assert found.path == ("symbols", "XRP/USDT", "level_size_ratio")
    assert found.message == (
        "level_size_ratio must make level 3 at least 5 XRP (the least size of an order), was 0.6 with "
        "position_size 10 XRP: 3.6 XRP"
    )
    own = strategy(
        levels=3,
        level_spacing_bps=5.0,
        level_size_ratio=0.6,
        symbols={"XRP/USDT": {"position_size": "12 XRP"}},
    )
    (found,) = check_instruments(own, {"XRP/USDT": XRP}, MIDS)
    assert found.message == (
        "level_size_ratio must make level 3 at least 5 XRP (the least size of an order), was 0.6 with "
        "position_size 12 XRP: 4.32 XRP"
    )
    capped = replace(XRP, max_notional=Decimal(60))
    (found,) = check_instruments(
        strategy(levels=[{"width_bps": 0}, {"width_bps": 9, "size": 4}]), {"XRP/USDT": capped}, MIDS
    )
    assert found.message == (
        "levels must make level 2 at most 60 USDT (the largest value of an order), was size 4.0 with "
        "position_size 10 XRP: 80 USDT"
    )


def test_levels_nearer_to_each_other_than_a_tick_are_named():
    config = strategy(levels=3, level_spacing_bps=0.4, level_spacing_ratio=2.0)
    (found,) = check_instruments(config, {"XRP/USDT": XRP}, MIDS)
    assert found.message == (
        "level_spacing_bps must put level 2 at least one tick (0.5 bps of mid) further out than level 1, was 0.4 bps"
    )
    assert check_instruments(config, {"XRP/USDT": XRP}) == []  # no price yet
    by_volatility = strategy(levels=3, level_spacing_volatility=0.01)
    assert check_instruments(by_volatility, {"XRP/USDT": XRP}, MIDS) == []


def test_keys_without_effect_and_levels_without_room_are_risks():
    far = {"take_profit_pct": 1.0}
    texts = [
        each.message for each in strategy_risks(strategy(level_spacing_bps=2.0, level_size_ratio=2.0, **far))
    ]
    assert texts == [
        "level_spacing_bps 2.0 has no effect: levels is 1",
        "level_size_ratio 2.0 has no effect: levels is 1",
    ]
    listed = strategy(levels=[{"width_bps": 0}, {"width_bps": 9, "size": 12}], level_spacing_ratio=2.0, **far)
    assert [each.message for each in strategy_risks(listed)] == [
        "level_spacing_ratio 2.0 has no effect: levels lists each of them",
        "max_inventory 100 XRP has no room for all 2 levels of a side, 130 XRP: the furthest are smaller or not quoted",
    ]
    assert strategy_risks(strategy(levels=5, level_spacing_volatility=0.5, **far)) == []
    hanging = {"hanging_max_distance_bps": 5.0, "hanging_max_age_seconds": 3.0}
    assert [each.message for each in strategy_risks(strategy(**hanging, **far))] == [
        "hanging_max_distance_bps 5.0 has no effect: hanging_orders is false",
        "hanging_max_age_seconds 3.0 has no effect: hanging_orders is false",
    ]
    assert strategy_risks(strategy(hanging_orders=True, **hanging, **far)) == []


def test_a_cash_account_has_no_share_below_nothing():
    given = {
        "catalog": "somewhere",
        "venue": {
            "name": "KRAKEN",
            "starting_balances": ["1000 USDT"],
            "fees": {"maker_fee_pct": 0, "taker_fee_pct": 0},
        },
        "strategy": strategy(symbols={"XRP/USDT": {"inventory_target": "-20 %"}}).model_dump(),
    }
    texts = [problem.message for problem in check_run(RunConfig.model_validate(given), {"XRP/USDT": XRP})]
    assert (
        "inventory_target must be between 0 % and 100 % of a cash account, which holds no short position, was -20 %"
        in texts
    )
    given["venue"] |= {"account_type": "margin"}
    found = check_run(RunConfig.model_validate(given), {"XRP/USDT": XRP})
    assert not any("cash account" in problem.message for problem in found)
