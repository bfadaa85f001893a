from dataclasses import replace

import numpy as np
import pytest
from unpacked import unpack

from mm_nautilus.report.symbol_view import OuterQuotes, SymbolTraces, reason_shares, symbol_view

SECOND_NS = 1_000_000_000
START_NS = 1_765_627_200 * SECOND_NS


def traces_of(*, seconds=10, reasons=((0, -1, -1),), fills=()):
    """Return a market that rises by a tick a second; rows of reasons: second, bid's code, ask's code."""
    rise = 2.0 + 0.01 * np.arange(seconds + 1)
    rows = np.array(reasons, dtype=np.int64)
    made = np.array(fills, dtype=np.float64).reshape(-1, 6)
    names = ("price", "quantity", "commission", "is_buy", "is_maker")
    return SymbolTraces(
        symbol="XRP/USDT",
        base="XRP",
        quote="USDT",
        tick=0.01,
        decimals=3,
        market={
            "best_bid": rise - 0.01,
            "best_ask": rise + 0.01,
            "mid_price": rise,
            "reservation_price": rise * 1.0001,
            "inventory": np.full(seconds + 1, 5.0),
            "inventory_cap": np.full(seconds + 1, 40.0),
            "trailing_stop_price": np.full(seconds + 1, np.nan),
        },
        market_ns=START_NS + np.arange(seconds + 1) * SECOND_NS,
        quotes={
            name: np.full(len(rows), price)
            for name, price in (
                ("bid_price", 1.9),
                ("bid_size", 1.0),
                ("ask_price", 2.5),
                ("ask_size", np.nan),
            )
        },
        quotes_ns=START_NS + rows[:, 0] * SECOND_NS,
        bid_reasons=rows[:, 1],
        ask_reasons=rows[:, 2],
        reasons=("cooldown", "inventory cap"),
        fills=dict(zip(names, made[:, 1:].T, strict=True)),
        fills_ns=START_NS + (made[:, 0] * SECOND_NS).astype(np.int64),
    )


def drawn(view, key):
    return next(trace for trace in view["figure"]["data"] if trace["meta"]["key"] == key)


def view_of(traces, seconds=10):
    return symbol_view(traces, START_NS, START_NS + seconds * SECOND_NS)


def test_shares_of_reasons_are_of_both_sides_and_each_stretch():
    traces = traces_of(reasons=((0, 0, -1), (2, -1, -1), (5, 1, 1), (10, -1, -1)))

    shares = reason_shares(traces, START_NS, START_NS + 10 * SECOND_NS, 5)

    np.testing.assert_allclose(shares, [[50, 0, 0, 0, 0], [0, 0, 50, 100, 100]], atol=1e-9)


def test_without_quotes_or_time_there_are_no_shares():
    traces = traces_of()

    assert reason_shares(traces, START_NS, START_NS, 3).tolist() == [[0.0] * 3] * 2


def test_packed_columns_hold_what_was_recorded():
    traces = traces_of(fills=[(1.5, 2.01, 7.25, 0.0145, 1, 1), (2.5, 2.02, 1e-8, -1e-10, 0, 0)])

    view = view_of(traces)
    market, fills = unpack(view["market"]), unpack(view["fills"])

    np.testing.assert_allclose(market["mid"], traces.market["mid_price"], rtol=1e-12)
    np.testing.assert_allclose(market["shift"], 1.0, atol=1e-4)
    np.testing.assert_allclose(market["inventory"], 5.0, rtol=1e-6)
    assert market["t"].tolist() == [1000.0 * second for second in range(11)]
    assert fills["t"].tolist() == [1500.0, 2500.0]
    np.testing.assert_allclose(fills["quantity"], [7.25, 1e-8], rtol=1e-9)
    np.testing.assert_allclose(fills["fee"], [0.0145, -1e-10], rtol=1e-9)
    assert np.isnan(unpack(view["quotes"])["bid"]).sum() == 0


def test_each_level_is_a_line_of_its_own_and_goes_with_the_nearest():
    moments, gap = START_NS + np.array([0, 3]) * SECOND_NS, np.array([2.6, np.nan])
    outer = tuple(OuterQuotes(level, moments, np.array([1.8, 1.81]), gap) for level in (2, 3))
    one, view = view_of(traces_of()), view_of(replace(traces_of(), outer=outer))

    lines = [trace for trace in view["figure"]["data"] if trace["name"].startswith("our ")]
    assert [trace["name"] for trace in lines] == [
        *("our bid", "our ask"),
        *("our bid 2", "our ask 2", "our bid 3", "our ask 3"),
    ]
    assert [trace["legendgroup"] for trace in lines] == ["bid", "ask"] * 3
    assert [trace.get("showlegend", True) for trace in lines] == [True] * 2 + [False] * 4
    assert lines[-1]["meta"] == {"key": "ask", "level": 3}
    assert lines[-1]["y"] == [2.6, None]
    assert unpack(view["outer"][0])["bid"].tolist() == pytest.approx([1.8, 1.81])
    assert unpack(view["outer"][1])["t"].tolist() == [0.0, 3000.0]
    assert one["outer"] == []
    assert len(one["figure"]["data"]) == len(view["figure"]["data"]) - 4


def test_the_overview_draws_few_points_and_keeps_extremes():
    traces = traces_of(seconds=20_000)

    mid = drawn(view_of(traces, 20_000), "mid")

    assert len(mid["x"]) < 2_500
    assert max(mid["y"]) == pytest.approx(2.0 + 200)


def test_fills_say_their_size_fee_and_kind():
    traces = traces_of(fills=[(1.5, 2.01, 7.25, 0.0145, 1, 1), (2.5, 2.02, 3.0, 0.01, 1, 0)])

    bought = drawn(view_of(traces), "buys")

    assert bought["customdata"] == [[7.25, 0.0145, "made liquidity"], [3.0, 0.01, "took liquidity"]]
    assert bought["marker"]["symbol"] == ["triangle-up", "triangle-up-open"]
    assert "XRP" in bought["hovertemplate"]
    assert "USDT" in bought["hovertemplate"]
    assert drawn(view_of(traces), "sells")["x"] == []


def test_many_fills_are_thinned_and_smaller():
    fills = [(second / 100, 2.0, 1.0, 0.0, 1, 1) for second in range(999)]

    bought = drawn(view_of(traces_of(fills=fills)), "buys")

    assert len(bought["x"]) == 400
    assert bought["marker"]["size"] < 9


def test_a_run_of_weeks_is_thinned_and_says_how_much_is_left_out():
    view = view_of(traces_of(seconds=300_000), 300_000)

    assert view["left_out"]["market"] == 300_001 - 130_000
    assert view["market"]["columns"][0]["rows"] == 130_000


def test_every_tooltip_has_a_unit():
    for trace in view_of(traces_of(fills=[(1, 2, 1, 0, 1, 1), (1, 2, 1, 0, 0, 1)]))["figure"]["data"]:
        assert any(unit in trace["hovertemplate"] for unit in ("USDT", "XRP", "bps", "%")), trace["name"]
