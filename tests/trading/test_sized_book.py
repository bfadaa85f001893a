"""A book that reads sizes at the touch, and tells whoever estimates from it of every change."""

import pytest
from nautilus_trader.model import QuoteTick
from scripting import PAIRS, SPECS, XRP_USDT, book, depth, iid, ns, price, size, update

from mm_nautilus.trading.book import LocalBook, SizedBook

BOOK = ([(2.3495, 300.0), (2.3494, 100.0)], [(2.3505, 100.0), (2.3506, 100.0)])
LOTS = 1_000_000


def make(**options) -> SizedBook:
    pair = PAIRS[XRP_USDT]
    return SizedBook(pair.id, pair.price_increment.raw, pair.size_increment.raw, **options)


def quote(at: float, bid_size: float, ask_size: float) -> QuoteTick:
    both = (
        price(XRP_USDT, 2.3495),
        price(XRP_USDT, 2.3505),
        size(XRP_USDT, bid_size),
        size(XRP_USDT, ask_size),
    )
    return QuoteTick(iid(XRP_USDT), *both, ns(at), ns(at))


@pytest.mark.parametrize("moves_with_size", [True, False])
def test_a_size_at_the_touch_is_a_change_only_where_that_is_asked_for(moves_with_size):
    times: list[int] = []
    own = make(moves_with_size=moves_with_size, record=times.append)
    own.apply_deltas(book(0, *BOOK))
    assert own.read(ns(0))
    assert own.sizes == (300 * LOTS, 100 * LOTS)
    assert not own.read(ns(0))
    own.apply_deltas(update(1, ("bid", 2.3495, 250.0)))
    assert own.read(ns(1)) == moves_with_size
    assert own.sizes == (250 * LOTS, 100 * LOTS)
    own.apply_deltas(update(2, ("bid", 2.3494, 9.0)))
    assert not own.read(ns(2))
    own.apply_deltas(update(3, ("ask", 2.3504, 7.0)))
    assert own.read(ns(3))
    assert (own.best_ask_ticks, own.sizes) == (235_040, (250 * LOTS, 7 * LOTS))
    assert times == [ns(0), ns(1), ns(3)]


def test_snapshots_and_quotes_have_sizes_too():
    by_depth, by_quote = make(moves_with_size=True), make(moves_with_size=True)
    by_depth.apply_depth(depth(0, *BOOK))
    by_quote.apply_quote(quote(0, 300.0, 100.0))
    for own in (by_depth, by_quote):
        assert own.read(ns(0))
        assert own.sizes == (300 * LOTS, 100 * LOTS)
        assert (own.best_bid_ticks, own.best_ask_ticks) == (234_950, 235_050)
        assert not own.read(ns(0))
    by_quote.apply_quote(quote(1, 300.0, 101.0))
    assert by_quote.read(ns(1))
    by_depth.apply_depth(depth(1, [(2.3495, 5.0)], []))
    assert by_depth.read(ns(1))
    assert by_depth.sizes == (5 * LOTS, 0)


def test_the_plain_book_reads_no_sizes():
    own = LocalBook(iid(XRP_USDT), PAIRS[XRP_USDT].price_increment.raw)
    own.apply_deltas(book(0, *BOOK))
    assert own.read(ns(0))
    own.apply_deltas(update(1, ("bid", 2.3495, 250.0)))
    assert not own.read(ns(1))
    assert own.sizes == (0, 0)
    assert SPECS[XRP_USDT].size_precision == 6
