"""The lines of an answer from plain values: parts that add up, and rules that speak or keep still."""

import re
from decimal import Decimal, localcontext
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_nautilus.report.advice import RULES
from mm_nautilus.report.answer import answer
from mm_nautilus.report.attribution import AnswerFill, Valuation
from mm_nautilus.report.run_facts import RunFacts, SymbolFacts
from mm_nautilus.report.stretches import Stretches

HOUR_NS = 3_600_000_000_000
FEES = ("maker_fees", "taker_fees", "other_fees")
PARTS = ("spread_captured", "adverse_selection", "inventory_revaluation", *FEES, "unattributed")
RULE = {rule.__name__: rule for rule in RULES}
MODEL = {
    "model": "glft",
    "half_width_bps": 5.0,
    "maker_fee_bps": 2.0,
    "volatility_pct": 0.08,
    "volatility_source": "one-minute returns",
}


def fill(side="BUY", price="99", quantity="2", fee="0.1", mid="100", later=None, meets_end=True, kind=True):
    amounts = (Decimal(value) for value in (price, quantity, fee))
    mids = (None if value is None else Decimal(value) for value in (mid, later))
    return AnswerFill(12 * HOUR_NS, side == "BUY", *amounts, *mids, meets_end, kind)


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
    fees="0.1",
    quality=None,
    takes=False,
    pays=True,
    params=None,
    **figures,
):
    """Return a symbol with a fill or more, whose base currency is worth `value` at the end; its fills pay all fees."""
    if fills:
        first, *others = fills
        rest = Decimal(fees) - sum(one.fee for one in others)
        fills = [first._replace(fee=rest), *others] if pays else fills
    standard = {
        "fills": 1,
        "trades": 0,
        "wins": 0,
        "currency": "USDT",
        "quote_model": MODEL,
        "not_quoting": {"bid": {}, "ask": {}},
        "seconds_at_cap": 0.0,
        "exact": {"total_pnl_report": f"{pnl} USDT", "fees": f"{fees} USDT"},
    }
    valuation = Valuation(Decimal(quote), Decimal(value))
    return SymbolFacts(
        standard | figures,
        tuple(fills),
        valuation,
        move_pct,
        trailing,
        lever,
        quality or {},
        params or {},
        takes,
    )


def run(*symbols, seconds=1_800.0, trading_pnl="-2.1", **changes):
    names = ("XRP/USDT", "BTC/USDT", "XRP/BTC")
    return RunFacts(
        "USDT",
        seconds,
        dict(zip(names, symbols, strict=False)),
        trading_pnl=None if trading_pnl is None else Decimal(trading_pnl),
        **changes,
    )


def amounts(found):
    """Return result and parts as exact amounts, by name."""
    return {name: Decimal(text.split()[0]) for name, text in found["exact"].items() if text}


# -- Where the result is from ---------------------------------------------------------------------------------


def test_a_result_is_spread_captured_adverse_selection_revaluation_and_fees():
    # Bought 2 at 99 with the mid at 100, at 99.5 half a minute later and at 98 in the end.
    found = answer(run(symbol([fill(later="99.5")])))

    assert amounts(found) == {
        "result": Decimal("-2.1"),
        "spread_captured": 2,
        "adverse_selection": -1,
        "inventory_revaluation": -3,
        "maker_fees": Decimal("-0.1"),
        "taker_fees": 0,
        "other_fees": 0,
        "unattributed": 0,
        "turnover": 198,
    }
    assert found["lines"][0] == "Result: -$2.10, -106.06 bps of $198.00 turnover"
    assert found["lines"][2] == (
        "Why: the inventory lost value as the market moved on (inventory revaluation -$3.00), against +$2.00 of spread "
        "captured: -$2.10 = +$2.00 spread captured -$1.00 adverse selection -$3.00 inventory revaluation "
        "-$0.10 maker fees"
    )


@pytest.mark.parametrize(
    ("changes", "adverse", "revaluation"),
    [
        ({"later": "101"}, 2, -6),
        ({"later": None, "meets_end": True}, -4, 0),
        ({"later": None, "meets_end": False}, 0, -4),
    ],
    ids=["known", "the run ends before", "in a gap"],
)
def test_a_move_is_adverse_selection_up_to_the_horizon_and_revaluation_after_it(
    changes, adverse, revaluation
):
    found = amounts(answer(run(symbol([fill(**changes)]))))

    assert (found["adverse_selection"], found["inventory_revaluation"]) == (adverse, revaluation)
    assert found["spread_captured"] == 2


def test_a_sale_has_the_other_signs():
    found = amounts(answer(run(symbol([fill("SELL", price="101", later="100.5")]))))

    assert (found["spread_captured"], found["adverse_selection"]) == (2, -1)
    assert found["inventory_revaluation"] == 5


AMOUNTS = st.decimals("0.01", "1000", places=4)
FILLS = st.builds(
    AnswerFill,
    ts_ns=st.just(0),
    is_buy=st.booleans(),
    price=AMOUNTS,
    quantity=AMOUNTS,
    fee=AMOUNTS,
    mid_price=st.none() | AMOUNTS,
    later_mid=st.none() | AMOUNTS,
    meets_end=st.booleans(),
    is_maker=st.sampled_from([True, False, None]),
)
PAIRS = st.lists(
    st.tuples(st.lists(FILLS, max_size=5), AMOUNTS, AMOUNTS, st.decimals("-1000", "1000", places=8)),
    min_size=1,
    max_size=3,
)


@given(PAIRS, st.decimals("-1e-8", "1e-8", places=9))
def test_parts_add_up_to_the_result_and_pairs_to_the_total_to_the_last_digit(pairs, rounded):
    symbols = [
        symbol(fills, quote=str(quote), value=str(base), pnl=f"{pnl:f}", fees="0.5", pays=False)
        for fills, quote, base, pnl in pairs
    ]
    found = answer(run(*symbols, trading_pnl=str(sum(pnl for *_, pnl in pairs) + rounded)))

    with localcontext() as context:
        context.prec = 100
        each = [amounts(pair) for pair in found["pairs"].values()]
        whole = amounts(found)
        for parts in (whole, *each):
            assert sum((parts[name] for name in PARTS), Decimal(0)) == parts["result"]
        for name in PARTS[:-1]:
            assert sum(pair[name] for pair in each) == whole[name]
        assert sum(pair["unattributed"] for pair in each) + rounded == whole["unattributed"]
        moves = (
            one.signed * (base - one.mid_price * quote)
            for fills, quote, base, _ in pairs
            for one in fills
            if one.mid_price is not None
        )
        move = whole["adverse_selection"] + whole["inventory_revaluation"]
        assert abs(sum(moves, Decimal(0)) - move) <= 3 * Decimal("1e-12")


def test_a_result_and_its_parts_add_up_as_they_are_written():
    bought = symbol([fill(quantity="1", mid="101.1634")], value="100.3041", fees="0.0981")
    found = answer(run(bought, trading_pnl="1.206"))

    assert found["lines"][2].endswith(
        ": +$1.21 = +$2.16 spread captured -$0.86 adverse selection no inventory revaluation -$0.10 maker fees "
        "+$0.01 rounding"
    )


@pytest.mark.parametrize(("result", "share"), [("0.00004", "0.00"), ("-1", "-50.51"), ("1", "+50.51")])
def test_a_share_of_turnover_whose_digits_are_all_zero_has_no_sign(result, share):
    assert (
        f", {share} bps of $198.00 turnover" in answer(run(symbol([fill()]), trading_pnl=result))["lines"][0]
    )


def test_digits_that_a_small_part_needs_are_those_of_all():
    found = answer(run(symbol([fill()], fees="0.0041"), trading_pnl="-2.0041"))

    assert "-$2.0041 = +$2.0000 spread captured -$4.0000 adverse selection" in found["lines"][2]
    assert found["lines"][2].endswith("-$0.0041 maker fees")


def test_amounts_of_other_currencies_are_converted_before_they_are_added():
    of_bitcoin = symbol(
        [fill(price="0.00002", quantity="100", mid="0.000021")], quote="100000", value="2", fees="0.000001"
    )
    found = answer(run(symbol([fill()]), of_bitcoin, trading_pnl="-2.2"))

    assert amounts(found)["spread_captured"] == 2 + 10
    assert amounts(found)["adverse_selection"] == -4 - 10
    assert amounts(found)["maker_fees"] == Decimal("-0.2")
    assert amounts(found)["turnover"] == 198 + 200
    assert amounts(found["pairs"]["BTC/USDT"])["spread_captured"] == 10


def test_parts_add_up_to_the_last_digit_whatever_the_rates_are():
    with localcontext() as context:
        context.prec = 28
        third = str(Decimal(1) / 3)
    found = answer(run(symbol([fill()], quote=third, value="97.00000001"), trading_pnl=third))

    exact = amounts(found)
    with localcontext() as context:
        context.prec = 100
        assert sum((exact[name] for name in PARTS), Decimal(0)) == exact["result"]


def test_the_result_is_a_share_of_the_equity_and_has_its_funding_beside_it():
    found = answer(run(symbol([fill()]), equity_start=Decimal(1000), funding=Decimal("-0.5")))

    assert found["lines"][0] == (
        "Result: -$2.10, -106.06 bps of $198.00 turnover, -0.210 % of the equity at the start, "
        "with -$0.50 of funding -$2.60"
    )
    assert found["funding"] == -0.5


def test_a_fill_that_nobody_watched_is_a_part_of_its_own():
    found = answer(run(symbol([fill(), fill(mid=None)], fees="0.2"), trading_pnl="-4.2"))

    assert amounts(found)["spread_captured"] == 2
    assert amounts(found)["unattributed"] == -2
    assert "-$2.00 not attributed" in found["lines"][2]
    assert found["lines"][0].endswith("; 1 fill came without a mid, while the strategy stopped")


def test_a_run_that_goes_on_has_mids_that_are_not_on_the_disk_yet():
    found = answer(run(symbol([fill(), fill(mid=None)]), status="running"))
    assert found["missing"][0] == "the mids of 1 fill are not on the disk yet"


def test_without_traces_only_fees_are_told_apart():
    found = answer(run(symbol([fill(mid=None)]), has_traces=False))

    assert {found["parts"][name] for name in PARTS[:3]} == {None}
    words = "spread, adverse selection and inventory are known only with output.traces: true"
    assert found["lines"][2] == (
        f"Why: most of it is not attributed: -$2.10 = -$0.10 maker fees -$2.00 not attributed ({words})"
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


@pytest.mark.parametrize(("result", "rest"), [("-9", "-5.9"), ("9", "12.1")])
def test_what_earlier_sessions_paid_and_made_is_in_no_part_of_this_ones_fills(result, rest):
    # 7 of fees since the state began, 0.1 of them for this session's fill, which was worth 1 half a minute later.
    found = answer(
        run(
            symbol([fill(later="99.5")], pnl=result, fees="7", pays=False),
            trading_pnl=result,
            is_resumed=True,
        )
    )

    assert amounts(found)["maker_fees"] == Decimal("-0.1")
    assert amounts(found)["unattributed"] == Decimal(rest) - 1
    assert found["lines"][2].startswith("Why: most of it is not attributed")
    assert "quote_wider" not in {entry["rule"] for entry in found["next"]}


def test_a_share_of_turnover_that_only_earlier_sessions_know_is_not_told():
    found = answer(run(symbol([fill()]), is_resumed=True))

    assert found["turnover"] is None
    assert {*found["bps"].values(), *found["pairs"]["XRP/USDT"]["bps"].values()} == {None}
    assert "turnover" not in found["lines"][0]


def test_a_result_without_a_price_is_not_known():
    figures = symbol([fill()]).figures | {"exact": {"total_pnl_report": "", "fees": "0.1 BTC"}}
    found = answer(run(SymbolFacts(figures, (fill(),), None), trading_pnl=None))

    assert found["lines"][0] == "Result: not known in USDT; a price that converts the result never came"
    assert found["lines"][1:3] == [
        "Where: not known, as the result is not",
        "Why: not known, as the result is not",
    ]
    assert set(found["parts"].values()) == {None}


def test_a_run_without_a_fill_or_a_symbol_has_an_answer():
    idle = answer(run(symbol(fills=0), trading_pnl="0"))
    empty = answer(run(trading_pnl=None))

    assert idle["lines"][:3] == [
        "Result: $0.00, nothing was filled",
        "Where: there was no fill",
        "Why: without a fill nothing is won or lost",
    ]
    assert len(empty["lines"]) == 4


# -- Why ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fills", "value", "fees", "result", "words"),
    [
        # A spread of 2, less than the fees of 3.
        (
            [fill(later="100")],
            "100",
            "3",
            "-1",
            "maker fees -$3.00, against +$2.00 of spread captured",
        ),
        # Worth 10 half a minute later, 4 of which are lost to the end.
        (
            [fill(later="104")],
            "102",
            "7",
            "-1",
            "maker fees -$7.00 and the inventory lost value as the market moved on (inventory revaluation -$4.00), "
            "against +$8.00 of moves in favour of the fills",
        ),
        (
            [fill(later="98.9")],
            "98.9",
            "4",
            "-4.2",
            "maker fees -$4.00 and mids moved against the fills within 30 s (adverse selection -$2.20), against +$2.00",
        ),
        (
            [fill(later="98")],
            "98",
            "0",
            "-2",
            "mids moved against the fills within 30 s (adverse selection -$4.00), against +$2.00 of spread captured",
        ),
        ([fill(mid="98", later="98")], "98", "0", "-2", "fills paid the spread in place of earning it"),
        ([fill(later="100")], "100", "0", "2", "the spread captured was more than all costs"),
        ([fill(mid="99.1", later="101")], "100.5", "0", "3", "mids moved in favour of the fills within 30 s"),
        (
            [fill(later="100")],
            "104",
            "3",
            "7",
            "the market moved in favour of the inventory, more than 30 s after the fills, which may be chance, while "
            "quoting lost $1.00 net of fees",
        ),
        ([fill("SELL", mid="99", later="99")], "99", "-0.2", "0.2", "the rebates made it"),
        # A spread of 4, of which 5 were lost at once; 2 of inventory make it a profit.
        (
            [fill(mid="101", later="98.5")],
            "99.5",
            "0",
            "1",
            "the market moved in favour of the inventory, more than 30 s after the fills, which may be chance, while "
            "quoting lost $1.00 net of fees",
        ),
        # A spread of 2, a move of 1 in favour, 1.5 of inventory and 1 of fees lost.
        ([fill(later="100.5")], "99.75", "1", "0.5", "the spread captured made most of it"),
    ],
)
def test_the_largest_cost_or_gain_is_named(fills, value, fees, result, words):
    found = answer(run(symbol(fills, value=value, fees=fees, pnl=result), trading_pnl=result))

    assert abs(amounts(found)["unattributed"]) == 0
    assert found["lines"][2].startswith(f"Why: {words}")


def test_one_or_two_costs_are_named_with_their_fees_by_liquidity():
    # 4 of adverse selection, 3.5 of maker fees and 0.5 of taker fees.
    pair = symbol(
        [
            fill(later="98", kind=True),
            fill("SELL", price="100", fee="0.5", later=None, kind=False, meets_end=False),
        ],
        value="100",
        fees="4",
    )

    assert answer(run(pair, trading_pnl="-2", exits=LOSING))["lines"][2] == (
        "Why: mids moved against the fills within 30 s (adverse selection -$4.00) and maker fees -$3.50, against "
        "+$4.00 of inventory that gained value: -$2.00 = +$2.00 spread captured -$4.00 adverse selection +$4.00 "
        "inventory revaluation -$3.50 maker fees -$0.50 taker fees"
    )


def test_the_pair_that_lost_is_named_where_its_costs_are_others_than_those_of_all():
    # The loser by its inventory, 4; all of them by adverse selection, 8.
    held = symbol([fill(later="100")], pnl="-2", fees="0")
    others = [symbol([fill(mid="103", later="99")], value="99.5", pnl="1", fees="0") for _ in range(1)]

    found = answer(run(held, *others, trading_pnl="-1"))

    assert found["why"] == (
        "in XRP/USDT the inventory lost value as the market moved on (inventory revaluation -$4.00), against "
        "+$2.00 of spread captured"
    )
    assert found["lines"][2].startswith(f"Why: {found['why']}: -$1.00 = ")


def test_fees_of_earlier_sessions_are_told_apart():
    found = answer(run(symbol([fill()], fees="3", pays=False), trading_pnl="-5"))
    assert {name: amounts(found)[name] for name in FEES} == {
        "maker_fees": Decimal("-0.1"),
        "taker_fees": 0,
        "other_fees": Decimal("-2.9"),
    }


def test_trades_are_told_by_what_closed_them_where_that_says_more_than_the_pairs():
    exits = {**LOSING, "trailing_stop": {"count": 3, "trades": 4, "pnl": {"USDT": -1.0}}}
    pairs = [
        symbol(
            pnl=pnl,
            trades=4,
            exact={"total_pnl_report": f"{pnl} USDT", "realized_pnl": f"{pnl} USDT", "fees": "0"},
        )
        for pnl in ("-1.9", "-1.5")
    ]
    assert answer(run(*pairs, trading_pnl="-3.4", exits=exits))["lines"][1] == (
        "Where: XRP/USDT -$1.90 (BTC/USDT -$1.50); 2 trades closed by stop loss -$3.00, 4 trades closed by trailing "
        "stop -$1.00, 2 trades closed by fills of the quotes +$0.60"
    )


# -- Where ----------------------------------------------------------------------------------------------------


def by_time(*amounts, minutes=5):
    starts = [(12 * 60 + minutes * number) * 60_000_000_000 for number in range(len(amounts))]
    return Stretches(minutes, starts, [Decimal(amount) for amount in amounts], {}, Decimal(0))


def test_the_pair_and_the_time_that_lost_most():
    pairs = symbol([fill()], pnl="1.8"), symbol([fill()], pnl="-4.1")

    found = answer(run(*pairs, trading_pnl="-2.3", stretches=by_time("0.2", "-3", "0.5")))

    assert found["lines"][1] == (
        "Where: BTC/USDT -$4.10 (XRP/USDT +$1.80); all pairs: worst of the 5-minute stretches 12:05 to 12:10 UTC -$3.00"
    )
    assert found["by_time"]["total"] == ["0.2", "-3", "0.5"]
    assert found["by_time"]["starts"][1] == "1970-01-01T12:05:00Z"


def test_a_profit_names_what_made_most():
    found = answer(
        run(symbol(pnl="1"), symbol(pnl="3"), trading_pnl="4", stretches=by_time("1", "3", minutes=60))
    )
    assert (
        found["lines"][1]
        == "Where: BTC/USDT +$3.00 (XRP/USDT +$1.00); all pairs: best of the hours 13:00 to 14:00 UTC +$3.00"
    )


def test_one_pair_made_all_of_it_and_one_stretch_is_not_named():
    assert (
        answer(run(symbol([fill()]), stretches=by_time("-2.1")))["lines"][1] == "Where: all of it in XRP/USDT"
    )


def test_the_hour_of_a_run_of_days_has_its_day():
    found = answer(run(symbol([fill()]), seconds=200_000.0, stretches=by_time("1", "-3.1", minutes=60)))
    assert "; worst of the hours 1970-01-01 13:00 to 14:00 UTC -$3.10" in found["lines"][1]


def sides(buys, sells, *, error=1.0, fills=30):
    return {
        name: {"fills": fills, "net_bps": net, "standard_error_bps": error}
        for name, net in (("buys", buys), ("sells", sells))
    }


def test_a_side_is_named_where_it_lost_and_the_other_did_not():
    found = answer(run(symbol([fill()], quality=sides(-3.0, 1.5), move_pct=-0.5)))
    assert found["lines"][1].endswith(
        "; there buys -3.00 bps after 30 s net of fees, sells +1.50, while the mid moved -0.50 %"
    )


@pytest.mark.parametrize(
    "quality",
    [
        sides(-3.0, -1.0, error=0.1),
        sides(-1.0, 1.0),
        sides(-3.0, 3.0, fills=9),
        sides(-3.0, 3.0, error=None),
        {},
    ],
    ids=["both lost", "chance", "few fills", "no error known", "no traces"],
)
def test_a_side_is_not_named_without_reason(quality):
    # The fills of one side alone may have lost everything because the market went one way.
    assert answer(run(symbol([fill()], quality=quality)))["lines"][1] == "Where: all of it in XRP/USDT"


def test_a_side_is_not_named_for_the_markets_drift():
    # 60 bps in half an hour are 1 bp in half a minute, as much as the sides lost and made.
    found = answer(run(symbol([fill()], quality=sides(-0.9, 0.9, error=0.1), move_pct=-0.6)))
    assert found["lines"][1] == "Where: all of it in XRP/USDT"


# -- What to change -------------------------------------------------------------------------------------------


def idle(**changes):
    return symbol(**({"fills": 0, "taker_reach": None} | changes))


REACH = {"trades": 500, "usual_bps": 2.5, "most_bps": 3.0}
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


def worth(spread, adverse, *, error=0.5, fills=30):
    """Return what a symbol's fills were worth, in bps of their value."""
    return {"maker": {"net_bps": spread - adverse, "fills": fills, "standard_error_bps": error}}


TOXIC = [fill(later="98.5")]
HELD_DOWN = [fill(later="100")]
TRAILING = {"trailing_stop_activation": 0.04, "trailing_stop_distance": 0.03}
TRAILED = {"trailing_stop": {"count": 3, "trades": 4, "pnl": {"USDT": -1.0}}}
EXITED = [fill(fee="0"), fill("SELL", price="100", fee="0.2", kind=False)]

SPEAK = {
    "halted": (
        run(symbol(not_quoting=HALTED, params={"max_consecutive_losses": 4})),
        "halted after a loss streak left XRP/USDT bid without a quote for up to 1 % of the time, at "
        "max_consecutive_losses 4. Mend what lost before mm-nautilus resume",
    ),
    "quote_wider": (
        run(symbol(), symbol(TOXIC, quality=worth(2.0, 4.5), fees="2")),
        "quote BTC/USDT wider: strategy.symbols.BTC/USDT.min_spread_pct=3.2 (now 0.1, % between bid and ask). Its "
        "quotes captured 101.01 bps and must pay 151.52 bps of moves within 30 s and 101.01 bps of fees",
    ),
    "trailing_stop_in_fees": (
        run(symbol(EXITED, params=TRAILING), exits=TRAILED),
        "let the trailing stop lock in more than fees: strategy.trailing_stop_activation=0.16 (now 0.04, %). It locks "
        "in 0.01 % against 0.12 % of fees for a round trip, and the 4 trades it closed made -$1.00",
    ),
    "inventory_loses": (
        run(symbol(HELD_DOWN, move_pct=-2.0, params={"max_inventory": 600.0, "position_size_usd": 60.0})),
        "hold less of XRP/USDT: strategy.symbols.XRP/USDT.max_inventory=300 (now 600). Holding it lost $4.00 while its "
        "mid moved -2.00 %, and half of the inventory loses about half",
    ),
    "one_pair_loses": (
        run(symbol(pnl="-1"), symbol(pnl="3"), symbol(pnl="0.5")),
        "XRP/USDT lost $1.00, the other pairs made +$3.50. To leave it out, delete it under strategy.symbols",
    ),
    "no_fills": (
        run(idle(taker_reach=REACH)),
        "XRP/USDT had no fill: its quotes stood 5.00 bps out, and takers reached 2.50 bps in 99 of 100 trades, "
        "3.00 bps at most; quote nearer, about 0.0500 % wide",
    ),
    "limits_exhausted": (
        run(symbol(not_quoting=HELD)),
        "insufficient balance left XRP/USDT bid without a quote for up to 50 % of the time; start with larger",
    ),
    "takes_liquidity": (
        run(symbol(takes=True, quote_model=NARROW)),
        "entries of XRP/USDT pay the spread and the taker fee; strategy.entry_order=maker (now taker) waits",
    ),
    "fees_above_width": (
        run(symbol(quote_model=NARROW), symbol(), symbol(quote_model=NARROW | {"half_width_bps": 1.0})),
        "fees are above the width: a round trip pays 20 bps between quotes 2 to 10 bps apart (XRP/USDT, XRP/BTC). "
        "strategy.min_edge_bps=0 (now unset) widens them to the fees",
    ),
    "exits_lose": (
        run(symbol(params={"stop_loss_pct": 0.2}), exits=LOSING),
        "2 trades closed by stop loss made -$3.00. To lose less by it, strategy.stop_loss_pct=0.4 (now 0.2): ",
    ),
    "inventory_at_cap": (
        run(symbol(), symbol(seconds_at_cap=900.0)),
        "inventory was at its cap 50 % of the time (BTC/USDT). For aggressive inventory reduction raise gamma",
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
    "halted": [run(symbol(not_quoting=HELD))],
    "quote_wider": [
        run(symbol(TOXIC, fees="2", quality=worth(2.0, 4.5, error=1.3))),
        run(symbol(TOXIC, fees="2", quality=worth(2.0, 4.5, fills=19))),
        run(symbol(TOXIC, fees="2", quality=worth(2.0, 4.5, error=None))),
        run(symbol(TOXIC, fees="2")),
        run(symbol(HELD_DOWN, quality=worth(2.0, 4.5))),
        run(symbol(TOXIC, fees="2", quality=worth(2.0, 4.5), lever="pricing")),
    ],
    "trailing_stop_in_fees": [
        run(symbol(EXITED, params=TRAILING | {"trailing_stop_activation": 0.5}), exits=TRAILED),
        run(symbol(EXITED, params=TRAILING), exits=WINNING),
        run(symbol(params=TRAILING), exits=TRAILED),
    ],
    "inventory_loses": [
        run(symbol(HELD_DOWN, fees="20")),
        run(symbol(HELD_DOWN, value="101"), trading_pnl="1"),
    ],
    "one_pair_loses": [
        run(symbol(pnl="-1"), symbol(pnl="4.1")),
        run(symbol(pnl="-1"), symbol(pnl="0.2")),
        run(symbol(pnl="-1"), symbol(pnl="-2")),
        run(symbol(pnl="-1")),
    ],
    "no_fills": [run(symbol())],
    "limits_exhausted": [
        run(symbol(not_quoting={"bid": {"insufficient balance": {"count": 1, "seconds": 170.0}}})),
        run(symbol(not_quoting={"bid": {"cooldown": {"count": 1, "seconds": 900.0}}})),
        run(symbol(not_quoting=HALTED)),
    ],
    "takes_liquidity": [
        run(symbol()),
        run(symbol(takes=True), trading_pnl="1"),
        run(symbol(takes=True, fills=0)),
    ],
    "fees_above_width": [
        run(symbol(takes=True, quote_model=NARROW)),
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
            {"taker_reach": REACH | {"usual_bps": 1.5}},
            "bps at most; quotes in their reach earn no more than the maker fee of 2.00 bps, so pay less",
        ),
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


def test_a_halt_comes_after_what_lost_and_before_what_did_not():
    pair = symbol(
        TOXIC, fees="2", quality=worth(2.0, 4.5), not_quoting=HALTED, params={"max_consecutive_losses": 4}
    )
    found = answer(run(symbol(not_quoting=HELD, pnl="0"), pair, trading_pnl="-4"))

    assert [entry["rule"] for entry in found["next"]] == ["quote_wider", "halted", "limits_exhausted"]
    assert (
        ". Also, halted after a loss streak left BTC/USDT bid without a quote for up to 1 % of the time, at max_"
        in (found["lines"][3])
    )


@pytest.mark.parametrize("rule", ["low_win_rate", "inventory_at_cap"])
@pytest.mark.parametrize(
    ("lever", "words"),
    [
        ("use_reservation_price", " use_reservation_price=true"),
        ("gamma", " raise gamma"),
        ("skew_bps_at_max_inventory", " raise skew_bps_at_max_inventory"),
        ("pricing", " let pricing lean further against inventory"),
        ("largest gamma", " gamma=null and skew_bps_at_max_inventory, as gamma is at its largest"),
    ],
)
def test_what_reduces_inventory_is_the_parameter_in_force(rule, lever, words):
    text = RULE[rule](run(symbol(trades=20, seconds_at_cap=900.0, lever=lever)))
    assert re.search(f"{words}(,|$)", text)


def test_keys_that_a_function_for_prices_replaces_are_not_advised():
    own = {"lever": "pricing", "quality": worth(2.0, 4.5)}
    texts = [
        RULE["quote_wider"](run(symbol(TOXIC, fees="2", **own))) or "",
        RULE["fees_above_width"](run(symbol(quote_model=NARROW, **own))),
        RULE["trend"](run(symbol(TRENDING, move_pct=-1.0, **own))),
    ]
    assert not [text for text in texts if re.search("min_spread_pct|min_edge_bps|fair_price|use_res", text)]


def test_pairs_with_different_parameters_are_named():
    pairs = [symbol(trades=20), symbol(lever="skew_bps_at_max_inventory")]
    text = RULE["low_win_rate"](run(*pairs))
    assert "; raise gamma (XRP/USDT) and raise skew_bps_at_max_inventory (BTC/USDT), or widen" in text
    assert "; use_reservation_price=true, or" in RULE["low_win_rate"](
        run(*pairs, symbol(lever="use_reservation_price"))
    )


def test_what_the_largest_cost_asks_for_comes_first():
    narrow = symbol([fill(later="98.9")], value="98.9", fees="4", quote_model=NARROW, trades=20)
    inventory = symbol(HELD_DOWN, fees="3", quote_model=NARROW, trades=20)

    of_fees = answer(run(idle(taker_reach=REACH), narrow, trading_pnl="-4.2"))
    of_inventory = answer(run(inventory, trading_pnl="-5"))

    assert [entry["rule"] for entry in of_fees["next"]] == ["fees_above_width", "no_fills"]
    assert of_fees["lines"][3] == f"Change: {of_fees['next'][0]['text']}"
    assert [entry["rule"] for entry in of_inventory["next"]] == [*("inventory_loses", "fees_above_width")]


def test_where_nothing_was_filled_the_reason_comes_first():
    found = answer(
        run(idle(taker_reach=REACH, quote_model=NARROW | {"half_width_bps": 5.0}), trading_pnl="0")
    )
    assert [entry["rule"] for entry in found["next"]] == ["no_fills", "fees_above_width"]


def test_it_is_said_that_nothing_stands_out():
    assert answer(run(symbol()))["lines"][3] == (
        "Change: nothing stands out; change one value with --set, run again and mm-nautilus compare both"
    )


def test_the_user_guide_has_every_rule_in_the_order_they_are_asked():
    guide = (Path(__file__).parents[2] / "docs" / "user-guide.md").read_text(encoding="utf-8")
    section = guide.partition("### The answer")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(RULE)
