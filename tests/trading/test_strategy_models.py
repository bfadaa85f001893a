"""Calibrated models, fair prices and targets as the venue sees them: the same market, other quotes."""

import math
import random
from pathlib import Path

import numpy as np
import pytest
from nautilus_trader.model import Bar, BarType, Price, Quantity, QuoteTick
from scripting import (
    BTC_USDT,
    SECOND,
    T0,
    XRP_USDT,
    Quoted,
    Watched,
    book,
    config,
    depth,
    iid,
    ns,
    price,
    size,
    trade,
    update,
)

from mm_nautilus.calibration.intensity import fit_intensity, market_orders
from mm_nautilus.calibration.realised_volatility import volatility_figures
from mm_nautilus.calibration.touches import TouchSeries, spread_figures
from mm_nautilus.calibration.volatility import VolatilitySource, volatility_pct
from mm_nautilus.market.rows import Side, TradeBlock
from mm_nautilus.pricing.models import (
    avellaneda_stoikov_skew,
    avellaneda_stoikov_width,
    glft_half_width,
    glft_skew,
)
from mm_nautilus.pricing.not_quoting import NotQuoting

CALM = (2.3495, 2.3505)
MID, TICK = 2.35, 0.00001
EXACT = {"requote_tolerance_bps": 0.0, "min_spread_pct": 0.001, "maker_fee_pct": 0.0}
MODELS = ("avellaneda_stoikov", "glft")


class Counting(Quoted):
    """Count what books made the strategy do."""

    observed = 0

    def _requote(self, symbol, now_ns) -> None:
        self.observed += 1
        super()._requote(symbol, now_ns)


@pytest.fixture
def calibration(calibration_file, symbol_calibration) -> Path:
    return calibration_file({XRP_USDT: symbol_calibration(a=0.5, kappa=0.8, volatility=1.5)})


def modelled(calibration: Path | None, model: str, **changes):
    given = {"use_reservation_price": True, "reservation_model": model, **EXACT}
    if calibration is not None:
        given["calibration"] = str(calibration)
    return config(**given | changes)


def expected_bps(model: str, gamma: float = 0.1) -> tuple[float, float]:
    """Return half-width and skew of one quote by the models' own formulas."""
    sigma, kappa, a = 1.5, 0.8, 0.5
    if model == "glft":
        return glft_half_width(gamma, sigma, kappa, a), glft_skew(gamma, sigma, kappa, a)
    return (
        avellaneda_stoikov_width(gamma, sigma, kappa, 30.0) / 2,
        avellaneda_stoikov_skew(gamma, sigma, 30.0),
    )


def prices_at(mm: Watched, at: float) -> tuple[float, float]:
    quotes = mm.quotes_at(at)
    return quotes["bid"][0], quotes["ask"][0]


# -- Models -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_flat_quotes_stand_at_the_models_distance(run, calibration, model):
    mm = Watched(modelled(calibration, model))
    run(mm, [book(0, *CALM), book(1, *CALM)])
    half_width = expected_bps(model)[0] / 10_000 * MID
    bid, ask = prices_at(mm, 1)
    assert bid == pytest.approx(math.floor((MID - half_width) / TICK) * TICK, abs=1e-9)
    assert ask == pytest.approx(math.ceil((MID + half_width) / TICK) * TICK, abs=1e-9)


@pytest.mark.parametrize("model", MODELS)
def test_a_position_moves_the_quotes_by_the_models_skew(run, calibration, model):
    mm = Watched(modelled(calibration, model))
    outcome = run(mm, [book(0, *CALM), trade(1, 2.34, 10, "sell"), book(2, *CALM), book(3, *CALM)])
    assert outcome.positions[XRP_USDT] == 10, "one full quote"
    half_width, skew = expected_bps(model)
    reservation = MID * (1 - skew / 10_000)
    bid, ask = prices_at(mm, 3)
    assert bid == pytest.approx(math.floor((reservation - half_width / 10_000 * MID) / TICK) * TICK, abs=1e-9)
    assert ask == pytest.approx(
        max(math.ceil((reservation + half_width / 10_000 * MID) / TICK) * TICK, 2.34951), abs=1e-9
    )
    assert mm.indicators[XRP_USDT]["reservation_price"] == pytest.approx(reservation, rel=1e-12)


def test_each_model_makes_other_fills_of_the_same_market(run, calibration):
    random.seed(5)
    events, mid = [book(0, *CALM)], MID
    for at in range(1, 240):
        mid += random.choice((-0.0002, 0.0, 0.0002))
        events.append(book(at, mid - 0.0003, mid + 0.0003))
        taker = random.choice(("buy", "sell"))
        reach = 0.0003 + random.expovariate(1 / 0.0006)
        events.append(trade(at + 0.5, mid + (reach if taker == "buy" else -reach), 10, taker))
    fills = {}
    for model in ("simplified", *MODELS):
        mm = Watched(modelled(calibration, model, gamma=0.3))
        outcome = run(mm, events)
        fills[model] = [(fill.at, fill.side, fill.price) for fill in outcome.fills]
        assert len(fills[model]) > 5
    assert len({tuple(each) for each in fills.values()}) == 3


@pytest.mark.parametrize("model", ["simplified", *MODELS])
def test_a_given_skew_moves_the_reservation_price_by_its_share(run, calibration, model):
    mm = Watched(modelled(calibration, model, skew_bps_at_max_inventory=20.0, min_spread_pct=0.5))
    run(mm, [book(0, *CALM), trade(1, 2.33, 10, "sell"), book(2, *CALM), book(3, *CALM)])
    assert mm.indicators[XRP_USDT]["reservation_price"] == pytest.approx(
        MID * (1 - 0.2 * 20 / 10_000), rel=1e-12
    )


def test_a_cap_in_another_currency_is_counted_in_full_quotes_to_two_digits(run, calibration):
    mm = Watched(modelled(calibration, "glft", max_inventory=100))
    run(mm, [book(0, *CALM), book(2, *CALM)])
    skew = expected_bps("glft")[1]
    assert mm.symbols[XRP_USDT].quote_metrics.skew_bps == pytest.approx(4.26 * skew, rel=1e-12), (
        "100 / 2.35 / 10"
    )


def test_a_maker_fee_is_added_to_each_side(run, calibration):
    prices = []
    for fee in (0.0, 0.01):
        mm = Watched(modelled(calibration, "avellaneda_stoikov", maker_fee_pct=fee))
        run(mm, [book(0, *CALM), book(1, *CALM)])
        prices.append(prices_at(mm, 1))
    assert prices[0][0] - prices[1][0] == pytest.approx(MID * 1e-4, abs=2 * TICK)
    assert prices[1][1] - prices[0][1] == pytest.approx(MID * 1e-4, abs=2 * TICK)


def test_a_model_too_wide_for_the_present_volatility_is_not_quoted_until_it_calms(run, calibration):
    mids = (MID, 2.3735, MID, MID)
    storm = [book(60 * i, mid - 0.0005, mid + 0.0005) for i, mid in enumerate(mids)]
    calm = [book(60 * i, *CALM) for i in range(4, 8)]
    mm = Watched(modelled(calibration, "avellaneda_stoikov", gamma=1.0, volatility_lookback=2))
    run(mm, [*storm, book(181, *CALM), book(182, *CALM), *calm, book(421, *CALM)])
    symbol = mm.symbols[XRP_USDT]
    assert mm.quotes_at(120) != {}
    assert mm.quotes_at(182) == {}
    assert symbol.bid.stats.counts[NotQuoting.MODEL_REFUSED] == 1
    assert mm.quotes_at(421) != {}
    assert symbol.model.refusal is None


def test_a_fee_that_the_market_cannot_pay_is_not_quoted(run, calibration):
    mm = Watched(modelled(calibration, "glft", maker_fee_pct=0.25))
    outcome = run(mm, [book(0, *CALM), book(1, *CALM), book(2, *CALM)])
    symbol = mm.symbols[XRP_USDT]
    assert outcome.orders == []
    assert symbol.bid.stats.counts == symbol.ask.stats.counts == {NotQuoting.MODEL_REFUSED: 1}
    assert "the full width of glft must be at most 5 % of mid" in symbol.model.refusal
    assert symbol.quote_metrics is None


def test_figures_of_the_start_are_kept_and_taken_anew_once_the_volatility_is_measured(run, calibration):
    mm = Watched(modelled(calibration, "glft", volatility_lookback=2))
    run(mm, [book(0, *CALM), book(5, *CALM)])
    first = mm.symbols[XRP_USDT].quote_metrics
    assert first is not None
    half_width, skew = expected_bps("glft")
    assert (first.model, first.spread_source, first.spread_bps) == ("glft", "median spread", 1.15)
    assert first.half_width_bps == pytest.approx(half_width, rel=1e-12)
    assert first.skew_bps == pytest.approx(5 * skew, rel=1e-12)
    assert first.half_width_ticks == pytest.approx(half_width / 10_000 * MID / TICK, rel=1e-12)

    again = Watched(modelled(calibration, "glft", volatility_lookback=2))
    mids = (MID, 2.351, MID, MID)
    run(again, [book(60 * i, mid - 0.0005, mid + 0.0005) for i, mid in enumerate(mids)] + [book(185, *CALM)])
    later = again.symbols[XRP_USDT].quote_metrics
    assert "(one-minute returns)" in later.source
    assert "(calibration)" in first.source
    volatility_bps = again.symbols[XRP_USDT].volatility.volatility_pct * 100 / math.sqrt(60)
    assert later.skew_bps == pytest.approx(first.skew_bps * volatility_bps / 1.5, rel=1e-9)


def test_without_a_calibration_the_present_spread_stands_in(run):
    mm = Watched(config())
    run(mm, [book(0, *CALM), book(5, *CALM)])
    figures = mm.symbols[XRP_USDT].quote_metrics
    assert (figures.model, figures.skew_bps, figures.spread_source) == ("none", 0.0, "present spread")
    assert figures.spread_bps == pytest.approx(0.001 / MID * 10_000)
    assert figures.half_width_bps == 5.0
    assert figures.maker_fee_bps == 10.0, "the instrument's"


def test_a_reservation_price_that_moves_less_than_a_tick_is_told_once_prices_are_known(run):
    mm = Watched(config(use_reservation_price=True, skew_bps_at_max_inventory=0.01))
    run(mm, [book(0, *CALM), book(1, *CALM), book(5, *CALM)])
    told = [text for text in mm.config_warnings if "less than one tick" in text]
    assert len(told) == 1
    assert told[0].startswith(
        "Warning: XRP/USDT: the reservation price moves 2.35e-06 USDT at full inventory"
    )


@pytest.mark.parametrize(
    ("changes", "symbol", "text"),
    [
        ({}, BTC_USDT, "a symbol that takes figures from a calibration must be in it (XRP/USDT"),
        ({"calibration": "absent.yaml"}, XRP_USDT, "absent.yaml: the calibration must be an existing file"),
        ({"calibration": None}, XRP_USDT, "calibration or recalibrate_minutes must be given"),
    ],
)
def test_a_strategy_without_usable_figures_says_so_and_does_not_quote(
    run, calibration, changes, symbol, text
):
    given = modelled(
        calibration, "glft", symbols={symbol: {}}, position_size="0.001 BTC", max_inventory="0.005 BTC"
    )
    if symbol == XRP_USDT:
        given |= {"position_size": "10 XRP", "max_inventory": "50 XRP"}
    mm = Watched(given | changes)
    outcome = run(mm, [book(0, *CALM, symbol=XRP_USDT), book(1, *CALM, symbol=XRP_USDT)])
    assert any(text in warning for warning in mm.config_warnings), mm.config_warnings
    assert outcome.orders == []
    assert mm.failures == []


# -- Targets ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("target", "q"), [("-50 XRP", 1.0), ("25 XRP", -0.5), (0, 0.0), (58.75, -0.5)])
def test_flat_quotes_lean_towards_the_target(run, target, q):
    lean = {"use_reservation_price": True, "skew_bps_at_max_inventory": 10.0, "max_inventory": "50 XRP"}
    mm = Watched(config(**EXACT | lean, inventory_target=target))
    run(mm, [book(0, *CALM), book(1, *CALM)])
    assert mm.indicators[XRP_USDT]["reservation_price"] == pytest.approx(
        MID * (1 - q * 10 / 10_000), rel=1e-9
    )


def test_sizes_lean_towards_the_target_and_the_cap_stays_around_zero(run):
    mm = Watched(config(inventory_skew=1.0, inventory_target="-25 XRP", requote_size_tolerance_pct=0.0))
    run(mm, [book(0, *CALM), book(1, *CALM)])
    assert mm.quotes_at(1) == {"bid": (2.34882, 5.0), "ask": (2.35118, 10.0)}
    assert mm.symbols[XRP_USDT].sizes.at(2.35).target_lots == -25_000_000


# -- Fair prices ------------------------------------------------------------------------------------------

HEAVY_BID = ([(2.3495, 9000.0)], [(2.3505, 1000.0)])
HEAVY_ASK = ([(2.3495, 1000.0)], [(2.3505, 9000.0)])


def touch(at: float, bid_size: float, ask_size: float) -> QuoteTick:
    prices = (price(XRP_USDT, 2.3495), price(XRP_USDT, 2.3505))
    sizes = (size(XRP_USDT, bid_size), size(XRP_USDT, ask_size))
    return QuoteTick(iid(XRP_USDT), *prices, *sizes, ns(at), ns(at))


FEEDS = {
    "deltas": (lambda at, sides: book(at, *sides), {}),
    "depth": (lambda at, sides: depth(at, *sides), {}),
    "quotes": (lambda at, sides: touch(at, sides[0][0][1], sides[1][0][1]), {"level_one": True}),
}


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize(
    ("fair", "shift_ticks"), [("mid", 0.0), ("weighted_mid", 40.0), ("microprice", 30.0)]
)
def test_fair_prices_move_quotes_towards_the_light_side(run, calibration, feed, fair, shift_ticks):
    event, venue = FEEDS[feed]
    mm = Counting(
        config(
            **EXACT | {"min_spread_pct": 0.1}, book_data=feed, fair_price=fair, calibration=str(calibration)
        )
    )
    data = [event(0, HEAVY_BID), event(1, HEAVY_BID), event(2, HEAVY_ASK), event(3, HEAVY_ASK)]
    run(mm, data, **venue)
    for at, sign in ((1, 1), (3, -1)):
        reservation = 235_000 + sign * shift_ticks
        bid, ask = prices_at(mm, at)
        assert bid == pytest.approx(math.floor(reservation - 117.5) * TICK, abs=1e-9)
        assert ask == pytest.approx(math.ceil(reservation + 117.5) * TICK, abs=1e-9)


def test_exits_and_marks_stay_on_touch_and_mid(run, calibration):
    mm = Watched(config(fair_price="weighted_mid", stop_loss_pct=1.0, cooldown_seconds=3600.0))
    sides = ([(2.3495, 9000.0)], [(2.3505, 1.0)])
    run(mm, [book(0, *sides), trade(1, 2.34, 10, "sell"), book(2, *sides), book(3, *sides)])
    symbol = mm.symbols[XRP_USDT]
    assert symbol.mid_price == pytest.approx(MID)
    assert float(symbol.last_mid) == pytest.approx(MID)
    assert mm.indicators[XRP_USDT]["reservation_price"] == pytest.approx(2.3505, abs=1e-6)


@pytest.mark.parametrize(("fair", "extra"), [("mid", 0), ("weighted_mid", 3)])
def test_a_size_at_the_touch_counts_only_where_the_fair_price_takes_it(run, fair, extra):
    mm = Counting(config(fair_price=fair))
    resized = [update(1 + i, ("bid", 2.3495, 500.0 + i)) for i in range(3)]
    deeper = [update(4 + i / 4, ("bid", 2.3400, 500.0 + i)) for i in range(3)]
    run(mm, [book(0, *CALM), book(0.5, *CALM), *resized, *deeper])
    seen = mm.observed
    baseline = Counting(config(fair_price=fair))
    run(baseline, [book(0, *CALM), book(0.5, *CALM)])
    assert seen - baseline.observed == extra


# -- Estimates during a run -------------------------------------------------------------------------------


def lively_market(seconds: int, seed: int = 1):
    """Return books every tenth of a second, trades of exponential reach, and both as the estimators take them."""
    draw = np.random.default_rng(seed)
    mid, events, touches, trades = 235_000, [], [], []
    for step in range(seconds * 10):
        at = step / 10 + 0.05 if step else 0.0
        mid += int(draw.choice((-8, 0, 8)))
        lots = draw.integers(500, 1500, 2) * 1_000_000
        bid, ask = mid - 10, mid + 10
        sides = ([(bid * TICK, lots[0] / 1e6)], [(ask * TICK, lots[1] / 1e6)])
        events.append(book(round(at, 3), *sides))
        touches.append((ns(round(at, 3)), bid, ask, int(lots[0]), int(lots[1])))
        if draw.random() < 0.4:
            is_buy, reach = bool(draw.random() < 0.5), 10 + int(draw.exponential(40))
            level, when = mid + (reach if is_buy else -reach), round(at + 0.02, 3)
            events.append(trade(when, level * TICK, 3, "buy" if is_buy else "sell"))
            trades.append((ns(when), level, 3_000_000, Side.BID if is_buy else Side.ASK))
    return events, np.array(touches), np.array(trades)


def offline(touches, trades, start: float, end: float):
    """Estimate from the part of a lively market between two times, without the strategy."""
    start_ns, end_ns = ns(start), ns(end)
    first = max(int(np.searchsorted(touches[:, 0], start_ns, "right")) - 1, 0)
    part = touches[first : int(np.searchsorted(touches[:, 0], end_ns, "right"))].copy()
    part[0, 0] = max(part[0, 0], start_ns)
    series = TouchSeries(*part.T, end_ns)
    inside = trades[(trades[:, 0] >= start_ns) & (trades[:, 0] <= end_ns)]
    times, levels, lots, sides = inside.T
    orders = market_orders(TradeBlock(times, times, levels, lots, sides, [""] * len(times)), series)
    tick_bps = spread_figures(series, TICK, market_orders=0, trades=0).tick_bps
    fit = fit_intensity(orders.depth_bps, series.seconds, sides=2, tick_bps=tick_bps)
    return volatility_figures(series).volatility_bps, fit.a_per_second, fit.kappa_per_bps


def test_a_model_without_a_calibration_waits_for_its_first_estimate(run):
    events, touches, trades = lively_market(130)
    mm = Watched(modelled(None, "glft", recalibrate_minutes=2.0, recalibrate_window_minutes=2.0))
    run(mm, events)
    symbol = mm.symbols[XRP_USDT]
    assert mm.quotes_at(119.95) == {}
    assert mm.quotes_at(120.15) != {}
    assert symbol.bid.stats.counts[NotQuoting.WARMING_UP] == 1
    found = (
        symbol.model.market.volatility_bps,
        symbol.model.market.a_per_second,
        symbol.model.market.kappa_per_bps,
    )
    assert found == pytest.approx(offline(touches, trades, 0.0, 120.0), rel=1e-12)
    assert (symbol.model.estimates, symbol.model.refused_estimates) == (1, 0)
    assert "from the 2 min up to 2025-12-06T06:02:00+00:00" in symbol.quote_metrics.source


@pytest.mark.parametrize("fair", [pytest.param("mid", marks=pytest.mark.long), "weighted_mid"])
def test_estimates_replace_each_other_and_change_the_quotes(run, calibration, fair):
    events, touches, trades = lively_market(190)
    kept, renewed = (
        Watched(modelled(calibration, "glft", fair_price=fair, **changes))
        for changes in ({}, {"recalibrate_minutes": 1.0, "recalibrate_window_minutes": 1.0})
    )
    quotes = []
    for mm in (kept, renewed):
        run(mm, events)
        quotes.append([mm.quotes_at(at) for at in (50.05, 185.05)])
    assert quotes[0][0] == quotes[1][0]
    assert quotes[0][1] != quotes[1][1]
    model = renewed.symbols[XRP_USDT].model
    assert model.estimates == 3
    found = (model.market.volatility_bps, model.market.a_per_second, model.market.kappa_per_bps)
    assert found == pytest.approx(offline(touches, trades, 120.0, 180.0), rel=1e-12)


def test_a_refused_estimate_keeps_the_calibration(run, calibration):
    mm = Watched(modelled(calibration, "glft", recalibrate_minutes=0.5, recalibrate_window_minutes=1.0))
    run(mm, [book(at, *CALM) for at in range(100)])
    model = mm.symbols[XRP_USDT].model
    assert (model.estimates, model.refused_estimates) == (0, 3)
    assert model.market.source == "from calibration.yaml"
    assert mm.quotes_at(99) != {}


def test_books_that_are_not_sound_are_no_part_of_an_estimate(run, calibration):
    mm = Watched(modelled(calibration, "glft", recalibrate_minutes=1.0, resume_after_seconds=0.0))
    books = [book(0, *CALM), book(1, [], 2.3505), book(2, 2.3510, 2.3505), book(3, 2.3496, 2.3505)]
    run(mm, [*books, book(4, 2.3496, [])])
    touches = mm.symbols[XRP_USDT].model.rolling.touches(ns(5))
    assert touches.ts_ns.tolist() == [ns(0), ns(3)]
    assert touches.bid_ticks.tolist() == [234_950, 234_960]
    assert mm.failures == []


def test_trades_are_only_asked_for_where_they_count(run, calibration):
    for changes, expected in (({}, False), ({"recalibrate_minutes": 1.0}, True)):
        mm = Watched(modelled(calibration, "glft", **changes))
        run(mm, [book(0, *CALM), trade(1, 2.35, 1, "buy"), book(2, *CALM)])
        assert (mm.symbols[XRP_USDT].flow.value != 0) == expected
    assert T0 % (60 * SECOND) == 0


# -- Bars from before the start ---------------------------------------------------------------------------


class Remembering(Watched):
    """Is given the venue's one-minute bars when it starts, as a live node asks for them."""

    closes: tuple[tuple[int, float], ...] = ()

    def on_start(self):
        super().on_start()
        now_ns = self.clock.timestamp_ns()
        minute_ns = 60_000_000_000
        kind = BarType.from_str(f"{self.symbols[XRP_USDT].instrument_id}-1-MINUTE-LAST-EXTERNAL")
        bars = []
        for minutes_ago, close in self.closes:
            at_ns = (now_ns // minute_ns - minutes_ago) * minute_ns
            price = Price.from_str(f"{close:.5f}")
            bars.append(Bar(kind, price, price, price, price, Quantity.from_str("1.000000"), at_ns, at_ns))
        self.on_historical_bars(bars)


@pytest.mark.parametrize(
    ("closes", "expected"),
    [
        (((4, 2.35), (3, 2.36), (2, 2.35), (1, 2.37), (0, 9.0)), [2.35, 2.36, 2.35, 2.37]),
        (((4, 2.35), (3, 2.36), (1, 2.37)), [2.35, 2.36, 2.36, 2.37]),
        (((4, 2.35), (3, 2.36), (2, 2.37)), [2.35, 2.36, 2.37, 2.37]),
        (((3, 2.36), (2, 2.35), (1, 2.37)), None),
        (((14, 2.35), (13, 2.36), (12, 2.35), (11, 2.37)), None),
        ((), None),
    ],
    ids=["enough", "a minute without a trade", "none in the last one", "too few", "too old", "none"],
)
def test_a_volatility_is_taken_from_bars_that_reach_up_to_the_start(run, closes, expected):
    mm = Remembering(config(volatility_lookback=3))
    mm.closes = closes
    run(mm, [book(0, *CALM), book(1, *CALM)])
    found = mm.symbols[XRP_USDT].volatility
    if expected is None:
        assert not found.is_known
    else:
        assert found.source is VolatilitySource.HISTORY
        assert found.volatility_pct == volatility_pct(expected, 3)
