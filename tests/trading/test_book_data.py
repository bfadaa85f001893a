"""Books kept from snapshots of some levels, and from best quotes alone."""

import pytest
from scripting import XRP_USDT, Quoted, Watched, book, config, depth, quote, trade

from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.trading.book import LocalBook

LEVELS = ([(2.3495, 300.0), (2.3494, 100.0)], [(2.3505, 100.0), (2.3506, 100.0)])


@pytest.mark.parametrize(
    ("book_data", "made", "calm"),
    [("depth", depth, LEVELS), ("quotes", quote, (2.3495, 2.3505))],
    ids=["depth", "quotes"],
)
def test_snapshots_and_best_quotes_are_quoted_on_and_filled(run, book_data, made, calm):
    mm = Quoted(config(book_data=book_data, stop_loss_pct=0.5, cooldown_seconds=3600.0))
    data = [made(0, *calm), made(1, *calm), trade(2, 2.348, 10, "sell"), made(3, *calm)]
    data += [made(at, 2.337, 2.338) for at in (4, 5)]
    outcome = run(mm, data, level_one=book_data == "quotes")
    assert mm.quotes_at(1) == {"bid": (2.34882, 10.0), "ask": (2.35118, 10.0)}
    assert [(fill.side, fill.tag, fill.liquidity) for fill in outcome.fills] == [
        ("buy", "quote", "MAKER"),
        ("sell", "stop_loss", "TAKER"),
    ]
    assert outcome.positions[XRP_USDT] == 0
    assert mm.failures == []


def test_a_snapshot_with_an_empty_side_stops_quoting(run):
    mm = Quoted(config(book_data="depth"))
    run(mm, [depth(0, *LEVELS), depth(1, [], 2.3505), depth(2, [], 2.3505)])
    assert mm.quotes_at(2) == {}
    assert mm.symbols[XRP_USDT].bid.stats.counts[NotQuoting.ONE_SIDED_BOOK] == 1


@pytest.mark.parametrize(
    ("bids", "asks", "expected"),
    [(300.0, 100.0, 0.5), (100.0, 300.0, -0.5), (100.0, 100.0, 0.0)],
)
def test_imbalance_counts_the_top_ten_levels(run, bids, asks, expected):
    far = [(2.3, 1e6)]
    levels = (
        [(2.3495 - 0.0001 * i, bids) for i in range(10)],
        [(2.3505 + 0.0001 * i, asks) for i in range(10)],
    )
    mm = Watched(config())
    run(mm, [book(0, levels[0] + far, levels[1])])
    own: LocalBook = mm.symbols[XRP_USDT].book
    assert own.imbalance() == pytest.approx(expected)
    assert (own.best_bid_ticks, own.best_ask_ticks) == (234_950, 235_050)
