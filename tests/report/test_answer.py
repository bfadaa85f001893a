"""The three lines of an answer from plain values: parts that add up, and rules that speak or keep still."""

import re
from decimal import Decimal, localcontext
from pathlib import Path

import pytest

from mm_nautilus.report.advice import RULES
from mm_nautilus.report.answer import answer
from mm_nautilus.report.run_facts import AnswerFill, RunFacts, SymbolFacts, Valuation

HOUR_NS = 3_600_000_000_000
RULE = {rule.__name__: rule for rule in RULES}
MODEL = {
    "model": "glft",
    "half_width_bps": 5.0,
    "maker_fee_bps": 2.0,
    "volatility_pct": 0.08,
    "volatility_source": "one-minute returns",
}


def fill(side="BUY", price="99", quantity="2", fee="0.1", mid="100", hour=12):
    amounts = (Decimal(value) for value in (price, quantity, fee))
    return AnswerFill(hour * HOUR_NS, side == "BUY", *amounts, None if mid is None else Decimal(mid))


def symbol(
    fills=(),
    /,
    *,
    value="98",
    quote="1",
    move_pct=0.0,
    trailing=False,
    lever="gamma",
    pnl="-2.1",
    **figures,
):
    """Return a symbol with a fill or more, whose base currency is worth `value` at the end."""
    standard = {
        "fills": 1,
        "trades": 0,
        "wins": 0,
        "currency": "USDT",
        "quote_model": MODEL,
        "not_quoting": {"bid": {}, "ask": {}},
        "seconds_at_cap": 0.0,
        "exact": {"total_pnl_report": f"{pnl} USDT"},
    }
    valuation = Valuation(Decimal(quote), Decimal(value))
    return SymbolFacts(standard | figures, tuple(fills), valuation, move_pct, trailing, lever)


def run(*symbols, seconds=1_800.0, trading_pnl="-2.1", fees="0.1", **changes):
    names = ("XRP/USDT", "BTC/USDT", "XRP/BTC")
    return RunFacts(
        "USDT",
        seconds,
        dict(zip(names, symbols, strict=False)),
        trading_pnl=None if trading_pnl is None else Decimal(trading_pnl),
        fees=None if fees is None else Decimal(fees),
        **changes,
    )


def amounts(found):
    """Return result and parts as exact amounts, by name."""
    return {name: Decimal(text.split()[0]) for name, text in found["exact"].items() if text}


# -- Where the result is from ---------------------------------------------------------------------------------


def test_a_result_is_spread_captured_move_and_fees():
    # Bought 2 at 99 with the mid at 100, which is at 98 in the end: 2 of spread, 4 of move against us.
    found = answer(run(symbol([fill()])))

    assert amounts(found) == {
        "result": Decimal("-2.1"),
        "spread_captured": 2,
        "market_move": -4,
        "fees": Decimal("-0.1"),
        "unattributed": 0,
        "turnover": 198,
    }
    assert found["lines"][0] == (
        "Result: -$2.10 = +$2.00 spread captured -$4.00 adverse move -$0.10 fees; "
        "in bps of $198.00 turnover: -106.1 = +101.0 -202.0 -5.1"
    )


def test_a_result_and_its_parts_add_up_as_they_are_written():
    bought = symbol([fill(quantity="1", mid="101.1634", fee="0.0981")], value="100.3041")
    found = answer(
        run(bought, trading_pnl="1.206", fees="0.0981"),
    )

    assert found["lines"][0] == (
        "Result: +$1.21 = +$2.16 spread captured -$0.86 adverse move -$0.10 fees +$0.01 rounding; "
        "in bps of $99.00 turnover: +121.8 = +218.5 -86.8 -9.9"
    )


def test_shares_of_turnover_have_a_digit_more_where_they_add_up_with_it():
    bought = symbol([fill(price="100", quantity="10", mid="100.0243", fee="0.011")], value="100.0147")
    found = answer(run(bought, trading_pnl="0.136", fees="0.011"))

    assert found["lines"][0].endswith("in bps of $1000.00 turnover: +1.36 = +2.43 -0.96 -0.11")


@pytest.mark.parametrize(("fee", "result"), [("0", "-2"), ("0.0004", "-2.0004")])
def test_a_share_of_turnover_whose_digits_are_all_zero_has_no_sign(fee, result):
    found = answer(run(symbol([fill(fee=fee)]), trading_pnl=result, fees=fee))

    assert found["lines"][0].endswith("turnover: -101.0 = +101.0 -202.0 0.0")


def test_digits_that_a_small_part_needs_are_those_of_all():
    found = answer(run(symbol([fill(fee="0.0041")]), trading_pnl="-2.0041", fees="0.0041"))

    assert (
        "Result: -$2.0041 = +$2.0000 spread captured -$4.0000 adverse move -$0.0041 fees; "
        in found["lines"][0]
    )


def test_a_move_may_be_in_our_favour_and_fees_a_rebate():
    found = answer(run(symbol([fill("SELL")]), trading_pnl="2.2", fees="-0.2"))

    assert "-$2.00 spread captured +$4.00 favourable move +$0.20 rebates" in found["lines"][0]


def test_amounts_of_other_currencies_are_converted_before_they_are_added():
    of_bitcoin = symbol(
        [fill(price="0.00002", quantity="100", fee="0.000001", mid="0.000021")], quote="100000", value="2"
    )
    found = answer(run(symbol([fill()]), of_bitcoin, trading_pnl="-2.2", fees="0.2"))

    assert amounts(found)["spread_captured"] == 2 + 10
    assert amounts(found)["market_move"] == -4 - 10
    assert amounts(found)["turnover"] == 198 + 200


def test_parts_add_up_to_the_last_digit_whatever_the_rates_are():
    with localcontext() as context:
        context.prec = 28
        third = str(Decimal(1) / 3)
    found = answer(
        run(symbol([fill(fee="0.077")], quote=third, value="97.00000001"), trading_pnl=third, fees="0.013")
    )

    exact = amounts(found)
    with localcontext() as context:
        context.prec = 100
        parts = ("spread_captured", "market_move", "fees", "unattributed")
        assert sum((exact[name] for name in parts), Decimal(0)) == exact["result"]


def test_a_fill_that_nobody_watched_is_a_part_of_its_own():
    found = answer(run(symbol([fill(), fill(mid=None)]), trading_pnl="-4.2", fees="0.2"))

    assert amounts(found)["spread_captured"] == 2
    assert amounts(found)["unattributed"] == -2
    assert "-$2.00 not attributed" in found["lines"][0]
    assert found["lines"][0].endswith("; 1 fill came without a mid, while the strategy stopped")


def test_without_traces_spread_and_move_are_not_told_apart():
    found = answer(run(symbol([fill(mid=None)]), has_traces=False))

    assert found["parts"]["spread_captured"] is found["parts"]["market_move"] is None
    assert found["lines"][0] == (
        "Result: -$2.10 = -$0.10 fees -$2.00 not attributed; in bps of $198.00 turnover: -106.1 = -5.1 -101.0; "
        "spread and move are known only with output.traces: true"
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"is_resumed": True}, "earlier sessions' fills are in their own folders"),
        (
            {"status": "running"},
            "this run has not ended, and its tables may be a minute away from its figures",
        ),
        ({"status": "interrupted"}, "this run was interrupted"),
        ({"status": "failed"}, "this run failed"),
    ],
)
def test_what_is_missing_is_said(changes, words):
    found = answer(run(symbol([fill()]), **changes))

    assert words in found["missing"]
    assert found["lines"][0].endswith(words)


def test_a_share_of_turnover_that_only_earlier_sessions_know_is_not_told():
    found = answer(run(symbol([fill()]), is_resumed=True))

    assert found["turnover"] is None
    assert set(found["bps"].values()) == {None}
    assert "turnover" not in found["lines"][0]


def test_a_result_without_a_price_is_not_known():
    without = SymbolFacts(symbol([fill()]).figures | {"exact": {"total_pnl_report": ""}}, (fill(),), None)
    found = answer(run(without, trading_pnl=None, fees=None))

    assert found["lines"][0] == "Result: not known in USDT; a price that converts the result never came"
    assert set(found["parts"].values()) == {None}


def test_a_run_without_a_fill_or_a_symbol_has_an_answer():
    idle = answer(run(symbol(fills=0), trading_pnl="0", fees="0"))
    empty = answer(run(trading_pnl=None, fees=None))

    assert idle["lines"][:2] == ["Result: $0.00, nothing was filled", "Made most: there was no fill"]
    assert len(empty["lines"]) == 3


# -- What made or lost most -----------------------------------------------------------------------------------


def test_the_pair_the_side_and_the_hour_that_lost_most():
    one = symbol([fill(), fill("SELL", price="101", hour=13)], pnl="1.8")
    other = symbol([fill(price="100")], pnl="-4.1")

    found = answer(run(one, other, trading_pnl="-2.3", fees="0.3"))

    assert found["lines"][1] == (
        "Lost most: BTC/USDT -$4.10, buys -$6.20 (sells +$5.90), 12:00 to 13:00 UTC -$6.20"
    )
    assert found["by"]["hour"] == {"12:00 to 13:00 UTC": -6.2, "13:00 to 14:00 UTC": 5.9}


def test_a_profit_names_what_made_most():
    found = answer(run(symbol(pnl="1"), symbol(pnl="3"), trading_pnl="4"))
    assert found["lines"][1] == "Made most: BTC/USDT +$3.00"


def test_an_hour_of_a_run_of_days_is_that_of_every_day():
    found = answer(run(symbol([fill(), fill(hour=25)]), trading_pnl="-4.2", seconds=200_000.0))
    assert found["lines"][1].endswith("(that hour of every day)")


# -- What to try next -----------------------------------------------------------------------------------------


def idle(**changes):
    return symbol(**({"fills": 0, "taker_reach": None} | changes))


REACH = {"trades": 500, "usual_bps": 2.0, "most_bps": 3.0}
HELD = {"bid": {"insufficient balance": {"count": 3, "seconds": 900.0}}, "ask": {}}
UNQUOTED = {
    "bid": {name: {"count": 1, "seconds": 810.0} for name in ("warming up", "stale book")},
    "ask": {"insufficient balance": {"count": 1, "seconds": 1640.0}},
}
HALTED = {"bid": {"halted after a loss streak": {"count": 1, "seconds": 18.0}}, "ask": {}}
LOSING = {"stop_loss": {"count": 2, "trades": 2, "pnl": {"USDT": -3.0}}}
WINNING = {**LOSING, "take_profit": {"count": 1, "trades": 1, "pnl": {"USDT": 4.0}}}
NARROW = MODEL | {"maker_fee_bps": 10.0}
TRENDING = [fill(), fill()]

SPEAK = {
    "no_fills": (
        run(idle(taker_reach=REACH)),
        "XRP/USDT had no fill: its quotes stood 5.00 bps out, and takers reached 2.00 bps in 99 of 100 trades, "
        "3.00 bps at most; quote nearer, about 0.0400 % wide",
    ),
    "limits_exhausted": (
        run(symbol(not_quoting=HELD)),
        "insufficient balance left XRP/USDT bid without a quote for up to 50 % of the time; start with larger",
    ),
    "fees_above_width": (
        run(symbol(quote_model=NARROW), symbol(), symbol(quote_model=NARROW | {"half_width_bps": 1.0})),
        "fees are above the width: a round trip pays 20 bps between quotes 2 to 10 bps apart (XRP/USDT, XRP/BTC); ",
    ),
    "exits_lose": (run(symbol(), exits=LOSING), "exits lose: 2 exits by stop loss made -$3.00; "),
    "inventory_at_cap": (
        run(symbol(), symbol(seconds_at_cap=900.0)),
        "inventory was at its cap 50 % of the time (BTC/USDT); for aggressive inventory reduction raise gamma, ",
    ),
    "trend": (
        run(symbol(TRENDING, move_pct=-1.0)),
        "XRP/USDT trended by -1.00 %, 2.3 times what its volatility makes likely; use_trailing_stop=true ",
    ),
    "low_win_rate": (run(symbol(trades=20, wins=10)), "50 % of 20 trades won, under 55 %; "),
    "volatility_warming": (
        run(symbol(quote_model=MODEL | {"volatility_source": "5-second returns"})),
        "volatility of XRP/USDT is not yet measured from one-minute returns (so far: 5-second returns); ",
    ),
}
STILL = {
    "no_fills": [run(symbol())],
    "limits_exhausted": [
        run(symbol(not_quoting={"bid": {"insufficient balance": {"count": 1, "seconds": 170.0}}})),
        run(symbol(not_quoting={"bid": {"cooldown": {"count": 1, "seconds": 900.0}}})),
    ],
    "fees_above_width": [
        run(symbol(quote_model=MODEL | {"maker_fee_bps": 5.0})),
        run(symbol(quote_model=None)),
    ],
    "exits_lose": [
        run(symbol(), exits=WINNING),
        run(symbol(), exits={"stop": LOSING["stop_loss"]}),
        run(symbol()),
    ],
    "inventory_at_cap": [run(symbol(seconds_at_cap=179.0))],
    "trend": [
        run(symbol(TRENDING, move_pct=-0.8)),
        run(symbol(TRENDING, move_pct=-1.0, trailing=True)),
        run(symbol([fill("SELL")], move_pct=-1.0)),
        run(symbol(TRENDING, move_pct=-1.0), seconds=300.0),
    ],
    "low_win_rate": [run(symbol(trades=20, wins=11)), run(symbol(trades=19, wins=0))],
    "volatility_warming": [
        run(symbol(quote_model=MODEL | {"volatility_source": "calibration"})),
        run(symbol(quote_model=None)),
    ],
}


@pytest.mark.parametrize("name", RULE)
def test_a_rule_speaks(name):
    facts, words = SPEAK[name]
    assert RULE[name](facts).startswith(words)
    assert name in {entry["rule"] for entry in answer(facts)["next"]}


@pytest.mark.parametrize("name", RULE)
def test_a_rule_keeps_still(name):
    assert [RULE[name](facts) for facts in STILL[name]] == [None] * len(STILL[name])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"quote_model": None}, "had no fill and was never quoted"),
        ({"taker_reach": None}, "5.00 bps out, and no trade of a taker was seen"),
        ({"taker_reach": REACH | {"usual_bps": 6.0}}, "others were ahead in the queue"),
        (
            {"quote_model": None, "not_quoting": HELD},
            "never quoted; not quoted 50 % of the time: insufficient balance",
        ),
        ({"not_quoting": HELD, "taker_reach": REACH | {"usual_bps": 6.0}}, "its quotes stood 5.00 bps out"),
        (
            {"not_quoting": UNQUOTED, "taker_reach": REACH},
            "XRP/USDT had no fill and was hardly ever quoted; not quoted 91 % of the time: insufficient balance",
        ),
    ],
)
def test_why_there_was_no_fill(changes, words):
    text = RULE["no_fills"](run(idle(**changes)))
    assert words in text
    assert ("quotes stood" in text) == ("quoted" not in words)


def test_a_halt_comes_before_a_limit_that_held_for_longer():
    text = RULE["limits_exhausted"](run(symbol(not_quoting=HELD), symbol(not_quoting=HALTED)))
    assert text.startswith(
        "halted after a loss streak left BTC/USDT bid without a quote for up to 1 % of the time"
    )


@pytest.mark.parametrize("rule", ["low_win_rate", "exits_lose", "inventory_at_cap"])
@pytest.mark.parametrize(
    ("lever", "words"),
    [
        ("use_reservation_price", " use_reservation_price=true"),
        ("gamma", " raise gamma"),
        ("skew_bps_at_max_inventory", " raise skew_bps_at_max_inventory"),
        ("pricing", " let pricing lean further against inventory"),
    ],
)
def test_what_reduces_inventory_is_the_parameter_in_force(rule, lever, words):
    text = RULE[rule](run(symbol(trades=20, seconds_at_cap=900.0, lever=lever), exits=LOSING))
    assert re.search(f"{words}[,;]", text)


def test_pairs_with_different_parameters_are_named():
    pairs = [symbol(trades=20), symbol(lever="skew_bps_at_max_inventory")]
    text = RULE["low_win_rate"](run(*pairs))
    assert "; raise gamma (XRP/USDT) and raise skew_bps_at_max_inventory (BTC/USDT), or widen" in text
    assert "; use_reservation_price=true, or" in RULE["low_win_rate"](
        run(*pairs, symbol(lever="use_reservation_price"))
    )


def test_the_third_line_has_the_gravest_and_counts_the_others():
    facts = run(idle(taker_reach=REACH), symbol(trades=20, quote_model=NARROW))
    found = answer(facts)

    assert [entry["rule"] for entry in found["next"]] == ["no_fills", "fees_above_width", "low_win_rate"]
    assert found["lines"][2] == f"Try next: {found['next'][0]['text']} (2 more in the report)"


def test_no_rule_may_speak():
    assert answer(run(symbol()))["lines"][2] == (
        "Try next: no rule applies; change one value with --set, run again and mm-nautilus compare both"
    )


def test_the_user_guide_has_every_rule_in_the_order_they_are_asked():
    guide = (Path(__file__).parents[2] / "docs" / "user-guide.md").read_text(encoding="utf-8")
    section = guide.partition("### The answer")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(RULE)
