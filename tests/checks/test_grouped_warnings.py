import pytest

from mm_nautilus.checks.grouped_warnings import grouped_warnings
from mm_nautilus.checks.validation import strategy_risks
from mm_nautilus.config.problems import Problem
from mm_nautilus.config.strategy import MarketMakerConfig


def risk(message, symbol=None, key="take_profit_pct"):
    path = () if symbol is None else ("symbols", symbol, key)
    return Problem(path, message, is_warning=True)


def by_text(*risks, place=""):
    return {f"{each.text()}{place}": each for each in risks}


def poor(symbol, ratio, rate):
    words = f"Poor R:R ratio net of fees ({ratio}:1), requires {rate}% win rate"
    return risk(f"{words}: take_profit_pct {ratio} % is little", symbol)


def test_one_line_a_rule_with_the_range_of_its_figures_and_the_pairs():
    narrow = risk("min_spread_pct 0.03 % is below two maker fees", "BTC/USDT")
    given = [poor("XRP/USDT", 0.29, 78), narrow, poor("BTC/USDT", 0.27, 79), poor("XRP/BTC", 0.17, 86)]

    assert grouped_warnings(by_text(*given)) == [
        "Warning: Poor R:R ratio net of fees (0.17 to 0.29:1), requires 78 to 86% win rate "
        "(XRP/USDT, BTC/USDT, XRP/BTC)",
        "Warning: BTC/USDT: min_spread_pct 0.03 % is below two maker fees",
    ]


def test_a_figure_that_all_share_is_told_once():
    assert grouped_warnings(by_text(poor("A/B", 0.3, 77), poor("C/D", 0.3, 77))) == [
        "Warning: Poor R:R ratio net of fees (0.3:1), requires 77% win rate (A/B, C/D)"
    ]


def test_places_keep_no_rule_apart():
    found = grouped_warnings(
        by_text(poor("A/B", 0.3, 77), place=" (--set)")
        | by_text(poor("C/D", 0.3, 77), place=" (configs/my run.yaml:12)")
    )
    assert found == ["Warning: Poor R:R ratio net of fees (0.3:1), requires 77% win rate (A/B, C/D)"]


@pytest.mark.parametrize(
    "given",
    [
        risk("Poor R:R ratio (0.45:1), requires 69% win rate", "XRP/USDT"),
        risk("the feed names no margin rates: nothing but max_inventory limits what an account holds"),
        risk("Poor R:R ratio (0.45:1), requires 69% win rate"),
    ],
)
def test_what_stands_alone_stays_as_it_is(given):
    assert grouped_warnings(by_text(given, place=" (--set)")) == [f"{given.text()} (--set)"]


def test_exponents_and_signs_are_numbers_too():
    moves = "the reservation price moves {} USDT at full inventory"
    given = by_text(risk(moves.format("2.35e-06"), "A/B"), risk(moves.format("0.5"), "C/D"))
    assert grouped_warnings(given) == [
        "Warning: the reservation price moves 2.35e-06 to 0.5 USDT at full inventory (A/B, C/D)"
    ]


def test_rules_of_other_words_are_not_mixed():
    given = by_text(risk("1 fill came late", "A/B"), risk("2 fills came late", "C/D"))
    assert grouped_warnings(given) == list(given)


def test_what_validation_itself_finds_is_grouped():
    settings = {
        "position_size": "10 A",
        "symbols": {"A/B": {"take_profit_pct": 0.1}, "C/D": {"take_profit_pct": 0.2}},
        "stop_loss_pct": 1.0,
    }
    found = strategy_risks(MarketMakerConfig.model_validate(settings))
    assert (
        "Warning: Poor R:R ratio (0.10 to 0.20:1), requires 83 to 91% win rate (A/B, C/D)"
        in grouped_warnings(by_text(*found))
    )
