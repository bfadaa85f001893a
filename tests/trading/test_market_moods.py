"""Each mood, switched on, changes a market made for it as it should, and leaves a neutral one alone."""

import pytest
from scripting import BTC_USDT, XRP_USDT, Watched, around, book, config, ns, restless, trade

from mm_nautilus.calibration.figures import VolatilityQuantile
from mm_nautilus.config.moods import SessionHours
from mm_nautilus.pricing.not_quoting import NotQuoting

MID = 2.35
HALF_WIDTH = 0.0005 * MID
QUANTILES = [VolatilityQuantile(quantile=q, volatility_pct=v) for q, v in ((0.0, 0.0), (1.0, 0.1))]


def flat(end, step=5.0):
    """A market that stands still but for a tick, so that every book is an event of its own."""
    return [around(at * step, MID + 0.00001 * (at % 2)) for at in range(round(end / step) + 1)]


def size_of(quotes):
    return {side: size for side, (_, size) in quotes.items()}


def width_of(quotes):
    return quotes["ask"][0] - quotes["bid"][0]


def played(run, data, **changes):
    mm = Watched(config(**changes))
    return mm, run(mm, data)


@pytest.fixture
def calibrated(calibration_file, symbol_calibration):
    """Return what writes a calibration of a volatility in bps per square root of a second."""

    def write(volatility):
        made = symbol_calibration(volatility=volatility)
        figures = made.volatility.model_copy(update={"quantiles": QUANTILES})
        return str(calibration_file({XRP_USDT: made.model_copy(update={"volatility": figures})}))

    return write


WIDE = [{"above_quantile": 0.5, "width": 2.0, "size": 0.5}]


@pytest.mark.parametrize(("volatility", "factor"), [(0.8, 2.0), (0.5, 1.0)])
def test_a_regime_of_high_volatility_widens_and_shrinks_quotes(run, calibrated, volatility, factor):
    """0.8 bps a square root of a second are 0.062 % a minute, above the median of 0.05 %; 0.5 are 0.039 %."""
    mm, _ = played(run, flat(10), volatility_regimes=WIDE, calibration=calibrated(volatility))
    quotes = mm.quotes_at(10)
    assert width_of(quotes) == pytest.approx(2 * HALF_WIDTH * factor, abs=3e-5)
    assert size_of(quotes) == {"bid": 10 / factor, "ask": 10 / factor}


@pytest.mark.parametrize(("volatility", "reason"), [(0.8, NotQuoting.EXTREME_VOLATILITY), (0.5, None)])
def test_extreme_volatility_pauses(run, calibrated, volatility, reason):
    regimes = [{"above_quantile": 0.5, "pause": True}]
    mm, outcome = played(run, flat(10), volatility_regimes=regimes, calibration=calibrated(volatility))
    assert (mm.symbols[XRP_USDT].bid.stats.current is NotQuoting.EXTREME_VOLATILITY) is (reason is not None)
    assert (outcome.orders == []) is (reason is not None)


def test_a_session_changes_width_and_size_from_its_first_to_its_last_minute(run):
    assert ns(0) // 60_000_000_000 % 1440 == SessionHours(start="06:00", end="06:01", width=3.0).minutes[0]
    hours = [{"start": "06:01", "end": "06:02", "width": 3.0, "size": 0.5}]
    mm, _ = played(run, flat(180), session_hours=hours, requote_size_tolerance_pct=10)
    for at, factor, size in ((55, 1, 10.0), (65, 3, 5.0), (115, 3, 5.0), (125, 1, 10.0)):
        quotes = mm.quotes_at(at)
        assert width_of(quotes) == pytest.approx(2 * HALF_WIDTH * factor, abs=3e-5)
        assert size_of(quotes) == {"bid": size, "ask": size}


TREND = {"trend_threshold_bps": 6.0, "trend_window_seconds": 15.0, "trend_confirmations": 2}


def moving(way):
    """The mid moves by 1 bps each 5 seconds, 12 bps a minute."""
    return [around(at * 5.0, round(MID * (1 + way * at * 1e-4), 5)) for at in range(20)]


@pytest.mark.parametrize(("way", "stopped", "left"), [(1, "ask", "bid"), (-1, "bid", "ask")])
def test_a_trend_stops_the_side_that_leans_against_it(run, way, stopped, left):
    mm, _ = played(run, moving(way), **TREND)
    assert set(mm.quotes_at(10)) == {"bid", "ask"}
    assert set(mm.quotes_at(90)) == {left}
    symbol = mm.symbols[XRP_USDT]
    assert getattr(symbol, stopped).stats.current is NotQuoting.AGAINST_TREND
    without, _ = played(run, moving(way))
    assert set(without.quotes_at(90)) == {"bid", "ask"}


@pytest.mark.parametrize("way", [1, -1])
def test_a_trend_leaves_the_side_that_reduces_the_position(run, way):
    fill = trade(2, MID - way * 0.002, 10, "sell" if way > 0 else "buy")  # a long before a rise
    mm, outcome = played(run, sorted([*moving(way), fill], key=lambda event: event.ts_init), **TREND)
    assert outcome.positions[XRP_USDT] == way * 10
    assert set(mm.quotes_at(90)) == {"bid", "ask"}


def test_a_market_without_a_trend_is_traded_as_without_the_filter(run):
    data = sorted(
        [*flat(90), trade(22, 2.348, 10, "sell"), trade(52, 2.352, 10, "buy")], key=lambda e: e.ts_init
    )
    fills = [played(run, data, **changes)[1].fills for changes in ({}, TREND)]
    assert fills[0] == fills[1]
    assert len(fills[0]) == 2


PAIRS = {XRP_USDT: {}, BTC_USDT: {"position_size": "0.001 BTC", "max_inventory": "0.01 BTC"}}


def together(way):
    """Both pairs move from minute to minute, in one direction (1) or in opposite ones (-1); we buy bitcoin."""
    data = []
    for half in range(16):
        step = (half // 2 * 7 % 5 - 2) * 1e-4
        data += [
            book(
                30 * half,
                [(round(MID * (1 + step) - 0.0005, 5), 1000.0)],
                [(round(MID * (1 + step) + 0.0005, 5), 1000.0)],
            ),
            book(
                30 * half + 1,
                round(95_000 * (1 + way * step) - 10, 1),
                round(95_000 * (1 + way * step) + 10, 1),
                BTC_USDT,
            ),
        ]
    return [*data, trade(452, 94_900, 0.001, "sell", BTC_USDT), around(465, 2.35), around(470, 2.3501)]


@pytest.mark.parametrize(("way", "left"), [(1, {"ask"}), (-1, {"bid"})])
def test_a_position_in_a_correlated_pair_stops_the_side_that_adds_to_its_risk(run, way, left):
    pause = {"correlation_pause": {"symbol": BTC_USDT, "above": 0.9}}
    common = {"symbols": PAIRS, "volatility_lookback": 5}
    mm, outcome = played(run, together(way), **common, **pause)
    assert outcome.positions[BTC_USDT] > 0
    assert set(mm.quotes_at(450)) == {"bid", "ask"}
    assert set(mm.quotes_at(470)) == left
    without, _ = played(run, together(way), **common)
    assert set(without.quotes_at(470)) == {"bid", "ask"}


HOURS = {"start": "07:00", "end": "05:59", "width": 3.0, "size": 0.5}
NEUTRAL = {
    "regime": {"volatility_regimes": WIDE},
    "pause": {"volatility_regimes": [{"above_quantile": 0.9, "pause": True}]},
    "session": {"session_hours": [HOURS]},
    "trend": {"trend_threshold_bps": 500.0, "trend_window_seconds": 60.0},
    "correlation": {"correlation_pause": {"symbol": BTC_USDT, "above": 0.5}},
    "profit decay": {"take_profit_decay_seconds": 86_400.0},
    "time limit": {"max_position_seconds": 3_600.0},
}
"""Moods that never hold in a market of two minutes at six o'clock, one pair of which never trades."""


@pytest.mark.parametrize(
    "names", [NEUTRAL.keys() - {"correlation"}, {"correlation"}], ids=["one pair", "two"]
)
def test_a_mood_that_does_not_hold_leaves_every_order_as_it_was(run, calibrated, names):
    calibration = {"symbols": PAIRS} if names == {"correlation"} else {"calibration": calibrated(0.2)}
    common = calibration | {"stop_loss_pct": 0.3, "take_profit_pct": 0.3}
    data = [book(0, 94_999.0, 95_001.0, BTC_USDT), *restless(5, stir=0.0002)]

    def orders(**changes):
        mm, outcome = played(run, data, **common, **changes)
        assert mm.failures == []
        return [
            (
                type(event).__name__,
                event.ts_init,
                str(getattr(event, "price", "")),
                str(getattr(event, "quantity", "")),
            )
            for order in outcome.orders
            for event in order.events()
        ]

    plain = orders()
    assert sum(kind == "OrderFilled" for kind, *_ in plain) > 5
    for name in names:
        assert orders(**NEUTRAL[name]) == plain, name
