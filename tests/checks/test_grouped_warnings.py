import pytest

from mm_nautilus.checks.grouped_warnings import grouped_warnings
from mm_nautilus.checks.validation import validate


def poor(symbol, ratio, rate, place=""):
    return (
        f"Warning: {symbol}: Poor R:R ratio net of fees ({ratio}:1), requires {rate}% win rate: "
        f"take_profit_pct {ratio} % is little{place}"
    )


def test_one_line_a_rule_with_the_range_of_its_figures_and_the_pairs():
    narrow = "Warning: BTC/USDT: min_spread_pct 0.03 % is below two maker fees"
    warnings = [poor("XRP/USDT", 0.29, 78), narrow, poor("BTC/USDT", 0.27, 79), poor("XRP/BTC", 0.17, 86)]

    assert grouped_warnings(warnings) == [
        "Warning: Poor R:R ratio net of fees (0.17 to 0.29:1), requires 78 to 86% win rate "
        "(XRP/USDT, BTC/USDT, XRP/BTC)",
        narrow,
    ]


def test_a_figure_that_all_share_is_told_once():
    assert grouped_warnings([poor("A/B", 0.3, 77), poor("C/D", 0.3, 77)]) == [
        "Warning: Poor R:R ratio net of fees (0.3:1), requires 77% win rate (A/B, C/D)"
    ]


def test_places_keep_no_rule_apart():
    found = grouped_warnings(
        [poor("A/B", 0.3, 77, " (--set)"), poor("C/D", 0.3, 77, " (configs/my run.yaml:12)")]
    )
    assert found == ["Warning: Poor R:R ratio net of fees (0.3:1), requires 77% win rate (A/B, C/D)"]


@pytest.mark.parametrize(
    "text",
    [
        "Warning: XRP/USDT: Poor R:R ratio (0.45:1), requires 69% win rate (--set)",
        "Warning: the feed names no margin rates: nothing but max_inventory limits what an account holds",
        "Warning: Poor R:R ratio (0.45:1), requires 69% win rate",
        "something else: 1",
    ],
)
def test_what_stands_alone_stays_as_it_is(text):
    assert grouped_warnings([text, text]) == [text]


def test_exponents_and_signs_are_numbers_too():
    moves = "Warning: {}: the reservation price moves {} USDT at full inventory"
    assert grouped_warnings([moves.format("A/B", "2.35e-06"), moves.format("C/D", "0.5")]) == [
        "Warning: the reservation price moves 2.35e-06 to 0.5 USDT at full inventory (A/B, C/D)"
    ]


def test_rules_of_other_words_are_not_mixed():
    texts = ["Warning: A/B: 1 fill came late", "Warning: C/D: 2 fills came late"]
    assert grouped_warnings(texts) == texts


def test_what_validation_itself_returns_is_not_changed():
    settings = {
        "symbols": {"A/B": {"take_profit_pct": 0.1}, "C/D": {"take_profit_pct": 0.2}},
        "stop_loss_pct": 1.0,
    }
    warnings = validate(settings)
    assert len(warnings) == 2
    assert grouped_warnings(warnings) == [
        "Warning: Poor R:R ratio (0.10 to 0.20:1), requires 83 to 91% win rate (A/B, C/D)"
    ]
