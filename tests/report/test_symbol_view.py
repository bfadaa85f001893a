from dataclasses import replace

import numpy as np
import pytest
from unpacked import unpack

from mm_nautilus.report.fill_rows import FillRows
from mm_nautilus.report.symbol_view import (
    MarketTrades,
    OuterQuotes,
    SymbolTraces,
    opening_span,
    opening_window,
    symbol_view,
)

SECOND_NS = 1_000_000_000
START_NS = 1_765_627_200 * SECOND_NS


def no_fills():
    none = np.zeros(0)
    return FillRows(
        symbol="XRP/USDT",
        ts_ns=none.astype(np.int64),
        trade_ids=[],
        direction=none,
        is_maker=none.astype(np.bool_),
        purposes=[],
        price=none,
        quantity=none,
        fee=none,
        mid=none,
        later_mid=none,
        trade_pnl=none,
        closed=none,
        entry_price=none,
        opened_ns=none.astype(np.int64),
        open_fees=0.0,
    )


def traces_of(*, seconds=10, reasons=((0, -1, -1),), trades=(), moves_quotes=True):
    """Return a market that rises by a tick a second; rows of reasons: second, bid's code, ask's code."""
    rise = 2.0 + 0.01 * np.arange(seconds + 1)
    rows = np.array(reasons, dtype=np.int64)
    traded = np.array(trades, dtype=np.float64).reshape(-1, 4)
    return SymbolTraces(
        symbol="XRP/USDT",
        base="XRP",
        quote="USDT",
        tick=0.01,
        lot=1e-6,
        decimals=3,
        market={
            "best_bid": rise - 0.01,
            "best_ask": rise + 0.01,
            "inventory": np.full(seconds + 1, 5.0),
            "inventory_cap": np.full(seconds + 1, 40.0),
            "trailing_stop_price": np.full(seconds + 1, np.nan),
        },
        market_ns=START_NS + np.arange(seconds + 1) * SECOND_NS,
        quotes={
            name: np.full(len(rows), price)
            for name, price in (
                ("bid_price", 1.9),
                ("ask_price", 2.5),
                ("best_bid", 1.99),
                ("best_ask", 2.01),
                ("reservation_price", 2.0002),
            )
        },
        quotes_ns=START_NS + rows[:, 0] * SECOND_NS,
        bid_reasons=rows[:, 1],
        ask_reasons=rows[:, 2],
        reasons=("cooldown", "inventory cap"),
        trades=MarketTrades(START_NS + (traded[:, 0] * SECOND_NS).astype(np.int64), *traded[:, 1:].T),
        left_out_trades=0,
        fills=no_fills(),
        moves_quotes=moves_quotes,
    )


def view_of(traces, seconds=10):
    span = (START_NS, START_NS + seconds * SECOND_NS)
    return symbol_view(traces, *span, span)


def test_packed_columns_hold_what_was_recorded():
    traces = traces_of(trades=[(1.5, 2.01, 7.25, 1), (2.5, 2.02, 1e-6, -1), (2.5, 2.02, 3, 0)])

    view = view_of(traces)
    market, trades = unpack(view["market"]), unpack(view["trades"])

    np.testing.assert_allclose(market["best_bid"], traces.market["best_bid"], rtol=1e-12)
    np.testing.assert_allclose(market["best_ask"], traces.market["best_ask"], rtol=1e-12)
    np.testing.assert_allclose(unpack(view["quotes"])["shift"], 1.0, atol=1e-4)
    np.testing.assert_allclose(market["inventory"], 5.0, rtol=1e-6)
    assert market["t"].tolist() == [1000.0 * second for second in range(11)]
    assert trades["t"].tolist() == [1500.0, 2500.0, 2500.0]
    np.testing.assert_allclose(trades["size"], [7.25, 1e-6, 3], rtol=1e-9)
    assert trades["direction"].tolist() == [1, -1, 0]
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
    asks = unpack(view["outer"][0])["ask"]
    assert (asks[0], np.isnan(asks[1])) == (pytest.approx(2.6), True)
    assert unpack(view["outer"][0])["bid"].tolist() == pytest.approx([1.8, 1.81])
    assert unpack(view["outer"][1])["t"].tolist() == [0.0, 3000.0]
    assert one["outer"] == []
    assert len(one["figure"]["data"]) == len(view["figure"]["data"]) - 4


def test_nothing_is_drawn_and_named_that_the_run_did_not_have():
    lines = view_of(traces_of(moves_quotes=False))["figure"]
    names = {trace["name"] for trace in lines["data"]}

    assert names.isdisjoint({"reservation - mid", "trailing stop", "bought", "sold", "the market's trades"})
    assert [note["text"].partition(",")[0] for note in lines["layout"]["annotations"]] == [
        "touch",
        "inventory and max_inventory",
        "time without a quote",
    ]
    moved = view_of(traces_of(trades=[(1, 2, 3, 1)]))["figure"]
    assert {"reservation - mid", "the market's trades"} <= {trace["name"] for trace in moved["data"]}


def fills_at(*seconds):
    return replace(no_fills(), ts_ns=START_NS + np.array(seconds, dtype=np.int64) * SECOND_NS)


@pytest.mark.parametrize(
    ("result", "pairs", "total", "opens"),
    [
        (-3.0, (-5.0, 2.0), ("-1", "-7", "5"), ("A", 600, 900)),  # the worst ten minutes: 600 to 1,200
        (3.0, (-5.0, 8.0), ("-1", "-7", "11"), ("B", 1_500, 1_800)),  # the best: 1,200 to 1,800
        (3.0, (8.0, -5.0), ("-1", "-7", "11"), ("A", 560, 860)),  # no fill there: the busiest of the pair
        (None, (None, None), ("0", "0", "0"), ("B", 1_500, 1_800)),  # the busiest pair
    ],
)
def test_figures_open_at_the_pair_and_within_the_stretch_that_the_answer_names(result, pairs, total, opens):
    fills = {"A": fills_at(1, 700, 710, 720), "B": fills_at(2, 3, 1_750, 1_755, 1_760)}
    starts = ["2025-12-13T12:00:00Z", "2025-12-13T12:10:00Z", "2025-12-13T12:20:00Z"]
    answer = {
        "result": result,
        "pairs": {name: {"result": own} for name, own in zip(fills, pairs, strict=True)},
        "by_time": {"minutes": 10, "starts": starts, "total": total},
    }

    symbol, first, last = opening_window(answer, fills, START_NS, START_NS + 1_800 * SECOND_NS)

    assert (symbol, (first - START_NS) / SECOND_NS, (last - START_NS) / SECOND_NS) == opens


def spans(*seconds, run=3_600):
    """Return where the figure of a run with fills at some seconds opens, in seconds of the run."""
    fills = START_NS + np.array(seconds, dtype=np.int64) * SECOND_NS
    edges = opening_span(fills, START_NS, START_NS + run * SECOND_NS)
    return tuple((edge - START_NS) / SECOND_NS for edge in edges)


@pytest.mark.parametrize(
    ("seconds", "opens"),
    [
        ((), (0, 3_600)),  # no fills: all
        ((100, 2_000, 2_010, 2_050, 3_000), (1_875, 2_175)),  # five minutes around the most
        ((5, 6, 7), (0, 300)),  # at the edge
        ((100, 1_100, 1_200, 1_900), (1_050, 1_950)),  # a quarter of an hour has three
        ((100, 3_000), (0, 3_600)),  # no hour has three: the one with most
    ],
)
def test_a_figure_opens_at_a_stretch_with_fills(seconds, opens):
    assert spans(*seconds) == opens


def test_a_short_run_is_shown_whole_and_a_long_one_by_the_hour():
    assert spans(10, 20, 30, run=200) == (0, 200)
    assert spans(40_000, run=90_000) == (38_200, 41_800)


def test_a_run_of_weeks_is_thinned_and_says_how_much_is_left_out():
    view = view_of(traces_of(seconds=300_000), 300_000)

    assert view["thinned"] == ["evenly spaced 130,000 of 300,001 rows of market.parquet"]
    assert view_of(traces_of())["thinned"] == []
    assert view["market"]["columns"][0]["rows"] == 130_000


def test_every_tooltip_has_a_unit():
    for trace in view_of(traces_of())["figure"]["data"]:
        is_written_by_script = trace["hovertemplate"] == "%{text}<extra></extra>"
        units = ("USDT", "XRP", "bps", "%")
        assert is_written_by_script or any(unit in trace["hovertemplate"] for unit in units), trace["name"]
