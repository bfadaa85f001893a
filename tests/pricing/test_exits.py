from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.pricing.exits import (
    Exit,
    ExitReason,
    PositionEntry,
    check_exit,
    exit_alerts,
    exit_text,
    trailing_stop_price,
)

SIDES = ["long", "short"]
paths = st.lists(st.floats(0.9, 1.1), min_size=1, max_size=30)


@pytest.fixture
def params():
    return SymbolParams(use_trailing_stop=True)


def followed(side, path, entry_price=1.0):
    """An entry that has seen a path of touches without a spread."""
    entry = PositionEntry.opened(entry_price, side)
    for price in path:
        entry.observe(price, price)
    return entry


# -- Trailing stop price ------------------------------------------------------------------------------


def test_golden_trailing_stop():
    trail = trailing_stop_price(2.35, 2.365, "long", 0.2, 0.15)

    assert trail == pytest.approx(2.3614525, abs=1e-12)
    assert f"{trail:.6f}" == "2.361453"


def test_trailing_stop_of_a_short_lies_above_the_lowest_price():
    assert trailing_stop_price(2.35, 2.33, "short", 0.2, 0.15) == pytest.approx(2.333495, abs=1e-12)


@pytest.mark.parametrize(
    ("side", "extreme", "armed"),
    [
        ("long", 100.0, False),
        ("long", 100.19, False),
        ("long", 100.2, True),
        ("long", 99.0, False),
        ("short", 100.0, False),
        ("short", 99.81, False),
        ("short", 99.8, True),
        ("short", 101.0, False),
    ],
)
def test_trailing_stop_is_none_until_activation(side, extreme, armed):
    assert (trailing_stop_price(100.0, extreme, side, 0.2, 0.15) is not None) == armed


@pytest.mark.parametrize("side", ["LONG", "buy", "", None])
def test_an_unknown_side_is_refused(side):
    with pytest.raises(ValueError, match="side must be 'long' or 'short', was"):
        trailing_stop_price(100.0, 101.0, side, 0.2, 0.15)


@settings(max_examples=150)
@given(
    entry_ticks=st.integers(100, 4000).map(lambda n: n * 1000),
    activation=st.sampled_from(["0.1", "0.2", "0.3", "0.5", "0.7"]),
    tick=st.sampled_from([0.01, 0.0001, 0.00001]),
    off=st.integers(-1, 1),
    side=st.sampled_from(SIDES),
)
def test_activation_is_exact_on_ticks(entry_ticks, activation, tick, off, side):
    sign = 1 if side == "long" else -1
    threshold = entry_ticks * (1 + sign * Fraction(activation) / 100)
    assert threshold.denominator == 1
    extreme_ticks = int(threshold) + off

    trail = trailing_stop_price(entry_ticks * tick, extreme_ticks * tick, side, float(activation), 0.05)

    assert (trail is not None) == (sign * off >= 0)


@settings(max_examples=150)
@given(path=paths)
def test_trailing_stop_only_tightens_as_prices_come_in(path):
    for side, sign in (("long", 1), ("short", -1)):
        entry, last = PositionEntry.opened(1.0, side), None
        for price in path:
            entry.observe(price, price)
            trail = trailing_stop_price(1.0, entry.extreme_price, side, 0.2, 0.15)
            assert last is None or (trail is not None and sign * trail >= sign * last)
            last = trail


# -- Position entry -----------------------------------------------------------------------------------


def test_extremes_start_at_the_entry_price():
    assert PositionEntry.opened(2.35, "long") == PositionEntry(2.35, 2.35, 2.35, "long")


def test_a_long_follows_the_best_bid_and_a_short_the_best_ask():
    long, short = PositionEntry.opened(100.0, "long"), PositionEntry.opened(100.0, "short")

    for entry in (long, short):
        entry.observe(best_bid=101.0, best_ask=103.0)
        entry.observe(best_bid=97.0, best_ask=99.0)

    assert (long.highest_price, long.lowest_price, long.extreme_price) == (101.0, 97.0, 101.0)
    assert (short.highest_price, short.lowest_price, short.extreme_price) == (103.0, 99.0, 99.0)


def test_trailing_stop_is_off_unless_switched_on(params):
    entry = followed("long", [2.365], entry_price=2.35)

    assert entry.trailing_stop(params) == pytest.approx(2.3614525)
    assert entry.trailing_stop(SymbolParams()) is None


# -- Decisions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "price", "reason"),
    [
        ("long", 99.51, None),
        ("long", 99.5, ExitReason.STOP_LOSS),
        ("long", 90.0, ExitReason.STOP_LOSS),
        ("long", 100.0, None),
        ("long", 100.39, None),
        ("long", 100.4, ExitReason.TAKE_PROFIT),
        ("short", 100.49, None),
        ("short", 100.5, ExitReason.STOP_LOSS),
        ("short", 110.0, ExitReason.STOP_LOSS),
        ("short", 100.0, None),
        ("short", 99.61, None),
        ("short", 99.6, ExitReason.TAKE_PROFIT),
    ],
)
def test_stop_loss_and_take_profit_at_their_thresholds(side, price, reason):
    decision = check_exit(followed(side, [price], 100.0), price, price, SymbolParams())

    assert (decision.reason if decision else None) == reason


def test_a_long_is_judged_by_the_bid_and_a_short_by_the_ask():
    params = SymbolParams()
    wide = {"best_bid": 99.0, "best_ask": 101.0}

    long_exit = check_exit(PositionEntry.opened(100.0, "long"), **wide, params=params)
    short_exit = check_exit(PositionEntry.opened(100.0, "short"), **wide, params=params)

    assert long_exit == Exit(ExitReason.STOP_LOSS, pytest.approx(99.5), 99.0)
    assert short_exit == Exit(ExitReason.STOP_LOSS, pytest.approx(100.5), 101.0)


@pytest.mark.parametrize(
    ("side", "peak", "kept", "hit"),
    [("long", 100.3, 100.15, 100.149), ("short", 99.7, 99.849, 99.85)],
)
def test_trailing_stop_fires_when_the_exit_price_comes_back_to_it(params, side, peak, kept, hit):
    entry = followed(side, [peak, kept], 100.0)
    before = check_exit(entry, kept, kept, params)
    entry.observe(hit, hit)

    decision = check_exit(entry, hit, hit, params)

    assert before is None
    assert decision is not None
    assert decision.reason is ExitReason.TRAILING_STOP
    assert decision.trigger_price == entry.trailing_stop(params)


def test_trailing_stop_that_is_off_never_fires():
    entry = followed("long", [100.3, 100.1], 100.0)

    assert check_exit(entry, 100.1, 100.1, SymbolParams()) is None


def test_stop_loss_comes_before_trailing_stop(params):
    entry = followed("long", [100.3, 99.0], 100.0)

    decision = check_exit(entry, 99.0, 99.0, params)

    assert entry.trailing_stop(params) is not None
    assert decision.reason is ExitReason.STOP_LOSS


@pytest.mark.parametrize(("side", "peak", "now"), [("long", 102.0, 101.0), ("short", 98.0, 99.0)])
def test_trailing_stop_comes_before_take_profit(params, side, peak, now):
    entry = followed(side, [peak, now], 100.0)

    decision = check_exit(entry, now, now, params)

    assert check_exit(entry, now, now, SymbolParams()).reason is ExitReason.TAKE_PROFIT
    assert decision.reason is ExitReason.TRAILING_STOP


@settings(max_examples=200)
@given(
    entry_ticks=st.integers(100, 4000).map(lambda n: n * 1000),
    stop=st.sampled_from(["0.3", "0.35", "0.4", "0.5"]),
    profit=st.sampled_from(["0.3", "0.35", "0.4", "0.7"]),
    tick=st.sampled_from([0.01, 0.0001, 0.00001]),
    off=st.integers(-1, 1),
    at_stop=st.booleans(),
    side=st.sampled_from(SIDES),
)
def test_decisions_at_a_threshold_are_those_of_exact_arithmetic(
    entry_ticks, stop, profit, tick, off, at_stop, side
):
    sign = 1 if side == "long" else -1
    stop_ticks = entry_ticks * (1 - sign * Fraction(stop) / 100)
    target_ticks = entry_ticks * (1 + sign * Fraction(profit) / 100)
    ticks = (stop_ticks if at_stop else target_ticks) + off
    assume(ticks.denominator == 1)
    params = SymbolParams(stop_loss_pct=float(stop), take_profit_pct=float(profit))
    expected = None
    if sign * ticks <= sign * stop_ticks:
        expected = ExitReason.STOP_LOSS
    elif sign * ticks >= sign * target_ticks:
        expected = ExitReason.TAKE_PROFIT

    price = int(ticks) * tick
    decision = check_exit(PositionEntry.opened(entry_ticks * tick, side), price, price, params)

    assert (decision.reason if decision else None) == expected


@settings(max_examples=200)
@given(moves=st.lists(st.integers(-150, 150), min_size=1, max_size=20), spread=st.integers(1, 20))
def test_long_and_short_are_mirror_images(moves, spread):
    """A path of a long reflected at the entry price makes a short exit at the same step.

    The trailing distance is relative to the extreme, so only stop loss and take profit mirror exactly.
    """
    params = SymbolParams()
    long, short = PositionEntry.opened(100.0, "long"), PositionEntry.opened(100.0, "short")

    for move in moves:
        bid, ask = 100.0 + move / 100, 100.0 + (move + spread) / 100
        mirrored_bid, mirrored_ask = 200.0 - ask, 200.0 - bid
        long.observe(bid, ask)
        short.observe(mirrored_bid, mirrored_ask)
        decisions = [
            check_exit(long, bid, ask, params),
            check_exit(short, mirrored_bid, mirrored_ask, params),
        ]
        reasons = [decision.reason if decision else None for decision in decisions]
        assert reasons[0] == reasons[1]
        assert long.highest_price - 100.0 == pytest.approx(100.0 - short.lowest_price)


# -- Texts --------------------------------------------------------------------------------------------


def test_golden_text_of_a_trailing_stop():
    entry = followed("long", [2.365], entry_price=2.35)
    decision = Exit(ExitReason.TRAILING_STOP, trailing_stop_price(2.35, 2.365, "long", 0.2, 0.15), 2.3614)

    assert exit_text(entry, decision) == (
        "MM: Trailing stop hit (entry=2.350000, high=2.365000, trail=2.361453)"
    )


def test_text_of_a_short_names_the_low():
    entry = followed("short", [2.33], entry_price=2.35)
    decision = Exit(ExitReason.TRAILING_STOP, trailing_stop_price(2.35, 2.33, "short", 0.2, 0.15), 2.334)

    assert exit_text(entry, decision) == (
        "MM: Trailing stop hit (entry=2.350000, low=2.330000, trail=2.333495)"
    )


def test_text_takes_more_decimals_for_small_prices():
    entry = followed("long", [0.00002412], entry_price=0.00002400)
    decision = Exit(ExitReason.TRAILING_STOP, 0.00002408, 0.00002408)

    text = exit_text(entry, decision, decimals=8)

    assert text == "MM: Trailing stop hit (entry=0.00002400, high=0.00002412, trail=0.00002408)"


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (ExitReason.STOP_LOSS, "MM: Stop loss hit (entry=2.350000, price=2.338000, stop=2.338250)"),
        (ExitReason.TAKE_PROFIT, "MM: Take profit hit (entry=2.350000, price=2.338000, target=2.338250)"),
    ],
)
def test_text_of_stop_loss_and_take_profit(reason, text):
    assert exit_text(PositionEntry.opened(2.35, "long"), Exit(reason, 2.33825, 2.338)) == text


def test_averaging_down_does_not_arm_the_trailing_stop():
    params = SymbolParams(use_trailing_stop=True, trailing_stop_activation=0.2, trailing_stop_distance=0.15)
    entry = PositionEntry.opened(100.0, "long")
    entry.observe(100.1, 100.2)
    entry.observe(99.56, 99.66)
    assert check_exit(entry, 99.56, 99.66, params) is None
    entry.average(99.78)
    entry.observe(99.56, 99.66)
    assert entry.trailing_stop(params) is None
    assert check_exit(entry, 99.56, 99.66, params) is None


def test_averaging_up_a_short_does_not_arm_the_trailing_stop():
    params = SymbolParams(use_trailing_stop=True, trailing_stop_activation=0.2, trailing_stop_distance=0.15)
    entry = PositionEntry.opened(100.0, "short")
    entry.observe(99.8, 99.9)
    entry.average(100.22)
    assert entry.trailing_stop(params) is None


@pytest.mark.parametrize(("side", "better"), [("long", 100.05), ("short", 99.95)])
def test_adds_in_profit_and_partial_exits_keep_the_extremes(side, better):
    entry = PositionEntry.opened(100.0, side)
    entry.observe(100.5, 100.6)
    entry.observe(99.4, 99.5)
    extremes = (entry.highest_price, entry.lowest_price)
    entry.average(better)
    assert (entry.highest_price, entry.lowest_price) == extremes
    assert entry.entry_price == better


SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("age_seconds", "target"), [(0, 100.4), (15, 100.3), (30, 100.2), (60, 100.0), (61, 100.0), (-5, 100.4)]
)
def test_the_profit_that_closes_a_position_falls_with_its_age(age_seconds, target):
    params = SymbolParams(take_profit_pct=0.4, take_profit_decay_seconds=60.0)
    opened = 7_000 * SECOND
    now = opened + age_seconds * SECOND
    long, short = (PositionEntry.opened(100.0, side, opened) for side in SIDES)
    assert long.profit_target(params, now) == pytest.approx(target)
    assert short.profit_target(params, now) == pytest.approx(200.0 - target)
    assert check_exit(long, target - 0.001, target + 1, params, now) is None
    assert check_exit(long, target, target + 1, params, now).reason is ExitReason.TAKE_PROFIT
    assert exit_alerts(long, params, now)[1] == pytest.approx(target)


def test_a_position_is_closed_at_its_greatest_age_unless_a_price_closes_it():
    params = SymbolParams(max_position_seconds=60.0)
    entry = PositionEntry.opened(100.0, "long", 7_000 * SECOND)
    limit = 7_060 * SECOND
    assert check_exit(entry, 100.0, 100.1, params, limit - 1) is None
    late = check_exit(entry, 100.0, 100.1, params, limit)
    assert (late.reason, late.trigger_price) == (ExitReason.TIME_LIMIT, 100.0)
    assert exit_text(entry, late) == "MM: Time limit hit (entry=100.000000, price=100.000000)"
    assert check_exit(entry, 99.0, 99.1, params, limit).reason is ExitReason.STOP_LOSS
    entry.average(100.1, 0.5)
    assert check_exit(entry, 100.0, 100.1, params, limit).reason is ExitReason.TIME_LIMIT


@pytest.mark.parametrize(
    ("changes", "expected_seconds"),
    [
        ({}, 500),
        ({"max_position_seconds": 60.0}, 60),
        ({"max_position_seconds": 600.0}, 500),
        ({"take_profit_decay_seconds": 30.0}, 11),
        ({"take_profit_decay_seconds": 10.0}, 500),
    ],
)
def test_the_next_look_at_a_position_follows_from_its_age(changes, expected_seconds):
    entry = PositionEntry.opened(100.0, "long", 0)
    assert entry.next_ns(SymbolParams(**changes), 10 * SECOND, 500 * SECOND) == expected_seconds * SECOND
