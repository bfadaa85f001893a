"""Books at the venue, and what subscribers of limited depth are told of them."""

from hypothesis import given
from hypothesis import strategies as st

from mm_nautilus.mock_kraken.book import BookView, Change, VenueBook, view_changes

CHANGES = st.lists(
    st.builds(Change, st.booleans(), st.integers(1, 30), st.integers(0, 4)), min_size=1, max_size=6
)


def book_of(bids: dict[int, int], asks: dict[int, int]) -> VenueBook:
    book = VenueBook()
    book.apply(Change(True, ticks, lots) for ticks, lots in bids.items())
    book.apply(Change(False, ticks, lots) for ticks, lots in asks.items())
    return book


class Subscriber:
    """Keeps a book as Kraken asks its clients to: apply an update, then cut each side at the depth."""

    def __init__(self, view: BookView, depth: int) -> None:
        self.depth = depth
        self.bids, self.asks = dict(view.bids), dict(view.asks)

    def hear(self, changes: BookView) -> None:
        for levels, told in ((self.bids, changes.bids), (self.asks, changes.asks)):
            for ticks, lots in told:
                levels[ticks] = lots
                if lots == 0:
                    del levels[ticks]
        self.bids = dict(sorted(self.bids.items(), reverse=True)[: self.depth])
        self.asks = dict(sorted(self.asks.items())[: self.depth])

    @property
    def view(self) -> BookView:
        return BookView(tuple(self.bids.items()), tuple(self.asks.items()))


def test_a_view_is_the_best_levels_best_first() -> None:
    book = book_of({5: 1, 7: 2, 6: 3}, {10: 1, 8: 2, 9: 3})
    assert book.view(2) == BookView(bids=((7, 2), (6, 3)), asks=((8, 2), (9, 3)))
    assert len(book.view(10).bids) == 3


def test_levels_are_set_removed_and_cleared() -> None:
    book = book_of({5: 1}, {8: 2})
    book.apply([Change(True, 5, 9), Change(False, 8, 0), Change(False, 77, 0)])
    assert book.view(10) == BookView(bids=((5, 9),))
    book.clear()
    assert book.view(10).is_empty


@given(steps=st.lists(CHANGES, max_size=30), depth=st.integers(1, 8))
def test_who_applies_the_changes_and_cuts_at_the_depth_holds_the_view(
    steps: list[list[Change]], depth: int
) -> None:
    book = book_of({5: 1, 4: 1}, {25: 1})
    told = book.view(depth)
    subscriber = Subscriber(told, depth)
    for step in steps:
        book.apply(step)
        view = book.view(depth)
        subscriber.hear(view_changes(told, view, depth))
        told = view
        assert subscriber.view == view


@given(steps=st.lists(CHANGES, min_size=1, max_size=10), depth=st.integers(1, 8))
def test_nothing_is_told_of_what_is_the_same(steps: list[list[Change]], depth: int) -> None:
    book = book_of({5: 1}, {25: 1})
    for step in steps:
        book.apply(step)
    assert view_changes(book.view(depth), book.view(depth), depth).is_empty


def test_a_level_pushed_beyond_the_depth_is_not_removed() -> None:
    before = BookView(bids=((7, 2), (6, 3)))
    assert view_changes(before, BookView(bids=((8, 1), (7, 2))), 2) == BookView(bids=((8, 1),))


def test_a_level_that_has_gone_is_removed_first_and_the_next_one_told() -> None:
    before = BookView(bids=((7, 2), (6, 3)))
    after = BookView(bids=((6, 3), (4, 1)))
    assert view_changes(before, after, 2) == BookView(bids=((7, 0), (4, 1)))


def test_the_last_level_of_a_thin_side_is_removed() -> None:
    assert view_changes(BookView(asks=((9, 1),)), BookView(), 10) == BookView(asks=((9, 0),))


def test_a_crossed_view_has_a_bid_above_the_best_ask() -> None:
    book = book_of({7: 2, 6: 3}, {8: 5, 9: 1})
    assert book.crossed_view(2, 3) == BookView(bids=((11, 5), (7, 2)), asks=((8, 5), (9, 1)))
    assert book_of({7: 2}, {}).crossed_view(2, 3) == BookView(bids=((7, 2),))
