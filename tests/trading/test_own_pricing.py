"""A pricing model of one's own in the place of the configured one."""

import math
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scripting import XRP_USDT, Watched, around, config, restless, trade
from test_kept_plans import fact

from mm_nautilus import MarketMaker
from mm_nautilus.config.problems import shown
from mm_nautilus.pricing import MarketView, NotQuoting, PositionView, PricedQuote

EXACT = {"requote_tolerance_bps": 0.0, "position_size": "10 XRP", "max_inventory": "40 XRP"}
TICK = 0.00001
WHO = "the pricing model test_own_pricing:<lambda> of XRP/USDT"


def leaning(market: MarketView, position: PositionView, _params: Any) -> PricedQuote:
    """Stand further below the mid than above it, and lower with inventory."""
    reservation = market.mid_price - 0.004 * position.share
    return PricedQuote(reservation, bid_width=0.004, ask_width=0.002)


def test_its_prices_are_those_of_the_orders(run: Any) -> None:
    mm = Watched(config(**EXACT), pricing=leaning)
    moved = [around(at, 2.351) for at in (1, 2)]
    run(mm, [around(0, 2.35), *moved, trade(2.5, 2.347, 10, "sell"), around(3, 2.351), around(4, 2.351)])
    assert mm.failures == []
    for at, reservation in ((1, 2.35), (2, 2.351), (4, 2.35)):
        prices = {side: price for side, (price, _) in mm.quotes_at(at).items()}
        assert prices == pytest.approx(
            {"bid": reservation - 0.004, "ask": reservation + 0.002}, abs=1.01 * TICK
        )


@pytest.mark.parametrize("skew_bps", [None, 20.0])
def test_it_is_asked_at_every_touch_unless_it_says_how_it_moves(run: Any, skew_bps: float | None) -> None:
    asked: list[float] = []

    def proportional(market: MarketView, position: PositionView, _params: Any) -> PricedQuote:
        asked.append(market.mid_price)
        reservation = market.fair_price * (1.0 - position.share * 0.002)
        return PricedQuote(reservation, 0.001 * market.mid_price, 0.001 * market.mid_price, skew_bps)

    given = config(requote_tolerance_bps=3.0, max_inventory="35 XRP", cooldown_seconds=0.1)
    market = restless(11, 120, stir=0.0002)
    mm = Watched(given, pricing=proportional)
    outcome = run(mm, market, symbols=[XRP_USDT])
    configured = Watched(
        given
        | {
            "min_spread_pct": 0.2,
            "use_reservation_price": True,
            "skew_bps_at_max_inventory": 20.0,
            "maker_fee_pct": 0.0,
        }
    )
    sent = [fact(order, event) for order in outcome.orders for event in order.events()]
    outcome = run(configured, market, symbols=[XRP_USDT])
    assert sent == [fact(order, event) for order in outcome.orders for event in order.events()]
    assert mm.failures == configured.failures == []
    mids = [mid for before, mid in zip([0.0, *asked], asked, strict=False) if mid != before]
    assert (len(mids) < 70) is (skew_bps is not None), len(mids)


def test_a_reason_in_place_of_prices_leaves_both_sides_without_quotes(run: Any) -> None:
    mm = Watched(config(), pricing=lambda *_: NotQuoting.WARMING_UP)
    outcome = run(mm, [around(0, 2.35), around(1, 2.36)])
    assert (outcome.orders, mm.failures) == ([], [])
    assert NotQuoting.WARMING_UP in mm.symbols[XRP_USDT].bid.stats.counts


PRICE = "reservation_price must be a finite positive number, was "
BID, ASK = (f"{side}_width must be a finite number of at least 0, was " for side in ("bid", "ask"))
SKEW = "skew_bps must be a finite number or None, was "
MOST = "must be at most 10 times the mid of 2.35, was "


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (PricedQuote(math.nan, 0.1, 0.1), f"{PRICE}nan of type float"),
        (PricedQuote(2.35, math.inf, 0.1), f"{BID}inf of type float"),
        (PricedQuote(2.35, 0.1, -0.1), f"{ASK}-0.1 of type float"),
        (PricedQuote(23.6, 0.1, 0.1), f"reservation_price {MOST}23.6 of type float"),
        (PricedQuote(0.0, 0.1, 0.1), f"{PRICE}0.0 of type float"),
        (PricedQuote(2.35, 1e300, 0.1), f"bid_width {MOST}1e+300 of type float"),
        (PricedQuote(2.35, 0.1, 24), f"ask_width {MOST}24 of type int"),
        (PricedQuote(2.35, 0.1, True), f"{ASK}true of type bool"),
        (PricedQuote(Decimal("2.35"), 0.1, 0.1), f"{PRICE}2.35 of type Decimal"),  # type: ignore[arg-type]
        (PricedQuote(2.35, Decimal("sNaN"), 0.1), f"{BID}sNaN of type Decimal"),  # type: ignore[arg-type]
        (PricedQuote(2.35, 0.1, np.False_), f"{ASK}false of type bool"),  # type: ignore[arg-type]
        (PricedQuote(2.35, np.array([0.1]), 0.1), f"{BID}array([0.1]) of type ndarray"),  # type: ignore[arg-type]
        (PricedQuote(2.35 + 0j, 0.1, 0.1), f"{PRICE}(2.35+0j) of type complex"),  # type: ignore[arg-type]
        (PricedQuote(2.35, 0.1, 0.1, 10**400), f"{SKEW}{shown(10**400)} of type int"),
        (PricedQuote("2.35", 0.1, 0.1), f"{PRICE}'2.35' of type str"),  # type: ignore[arg-type]
        (PricedQuote(2.35, 0.1, 0.1, math.nan), f"{SKEW}nan of type float"),
        (PricedQuote(2.35, 0.1, 0.1, math.inf), f"{SKEW}inf of type float"),
        (PricedQuote(2.35, 0.1, 0.1, "x"), f"{SKEW}'x' of type str"),  # type: ignore[arg-type]
    ],
)
def test_prices_that_are_none_end_the_run(run: Any, wrong: PricedQuote, told: str) -> None:
    mm = Watched(config(), pricing=lambda *_: wrong)
    outcome = run(mm, [around(0, 2.35), around(1, 2.36)])
    assert outcome.orders == []
    (failure,) = mm.failures
    assert str(failure.error) == f"{WHO} returned a wrong quote: {told}"
    assert len(told) < 120


def test_numbers_of_any_type_are_quoted_as_floats(run: Any) -> None:
    given = PricedQuote(np.float64(2.35), np.float32(0.125), Fraction(1, 8), np.int64(0))  # type: ignore[arg-type]
    mm = Watched(config(), pricing=lambda *_: given)
    run(mm, [around(0, 2.35), around(1, 2.35)])
    assert mm.failures == []
    ((_, priced),) = mm._pricing[XRP_USDT].last.values()
    assert priced == (2.35, 0.125, 0.125, 0.0)
    assert {type(number) for number in priced} == {float}


@pytest.mark.parametrize(
    "change",
    [
        lambda market, _position, _params: setattr(market, "mid_price", 1.0),
        lambda _market, position, _params: setattr(position, "size", 1.0),
        lambda _market, _position, params: setattr(params, "gamma", 0.5),
        lambda _market, _position, params: params.pricing_parameters.update(width=1),
        lambda _market, _position, params: params.pricing_parameters.clear(),
    ],
)
@pytest.mark.parametrize("given", [{}, {"pricing_parameters": {"width": 2}}])
def test_a_model_cannot_change_what_it_is_given(run: Any, change: Any, given: dict[str, Any]) -> None:
    mm = Watched(config(**given), pricing=change)
    assert run(mm, [around(0, 2.35), around(1, 2.36)]).orders == []
    (failure,) = mm.failures
    assert failure.text.startswith(f"{WHO} raised ")
    assert f" at {__file__}:" in failure.text


@pytest.mark.parametrize("wrong", [None, (2.35, 0.1, 0.1), {"reservation_price": 2.35}, "2.35"], ids=str)
def test_what_is_no_priced_quote_ends_the_run(run: Any, wrong: Any) -> None:
    mm = Watched(config(), pricing=lambda *_: wrong)
    assert run(mm, [around(0, 2.35), around(1, 2.36)]).orders == []
    (failure,) = mm.failures
    assert str(failure.error) == f"{WHO} must return a PricedQuote or a NotQuoting, was {wrong!r}"


def test_what_cannot_be_called_is_refused_at_once() -> None:
    with pytest.raises(
        TypeError, match="pricing must be a function of market, position and parameters, was 5"
    ):
        MarketMaker(config(), pricing=5)  # type: ignore[arg-type]


def test_it_is_not_asked_by_whoever_looks_at_its_price(run: Any) -> None:
    asked: list[PricedQuote] = []

    def counting(market: MarketView, position: PositionView, params: Any) -> PricedQuote:
        asked.append(leaning(market, position, params))
        return asked[-1]

    mm = Watched(config(), pricing=counting)
    run(mm, [around(0, 2.35), around(1, 2.36)])
    seen = len(asked)
    assert mm.indicators[XRP_USDT]["reservation_price"] == asked[-1].reservation_price
    assert len(asked) == seen


def test_a_model_named_in_the_configuration_is_imported_by_a_node_of_ones_own(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "lean.py").write_text(
        "from mm_nautilus.pricing import PricedQuote\n"
        "def leaning(market, position, params):\n"
        "    return PricedQuote(market.mid_price, 0.004, params.pricing_parameters['ask_width'])\n"
    )
    named = config(**EXACT, pricing="lean:leaning", pricing_parameters={"ask_width": 0.002})
    mm = Watched(named)
    run(mm, [around(0, 2.35), around(1, 2.35)])
    assert mm.failures == []
    prices = {side: price for side, (price, _) in mm.quotes_at(1).items()}
    assert prices == pytest.approx({"bid": 2.346, "ask": 2.352}, abs=1.01 * TICK)
    assert mm.config_warnings == Watched(config(**EXACT)).config_warnings

    lost = Watched(config(pricing="lean:nothing"))
    assert run(lost, [around(0, 2.35), around(1, 2.35)]).orders == []
    assert any("pricing must be a name that" in text for text in lost.config_warnings)


def test_a_model_that_is_given_is_not_judged_as_the_one_it_replaces(run: Any) -> None:
    needs_calibration = config(use_reservation_price=True, reservation_model="glft", min_spread_pct=0.01)
    mm = Watched(needs_calibration, pricing=leaning)
    assert len(run(mm, [around(0, 2.35), around(1, 2.36)]).orders) > 0
    assert mm.failures == []
    told = [text for text in mm.config_warnings if "Poor R:R" not in text]
    assert told == [
        "Warning: use_reservation_price true, reservation_model glft have no effect: pricing test_own_pricing:leaning "
        "replaces the reservation model"
    ]
