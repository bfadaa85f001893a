"""A strategy that hears only of the touch does what one does that hears of every change of the book."""

from typing import Any

import pytest
from guard_scripting import Told
from nautilus_trader.model import OrderBookDelta, OrderBookDeltas
from scripting import SECOND, T0, XRP_USDT, Watched, book, config, ns, restless, trade, update
from test_kept_plans import VARIANTS, fact

from mm_nautilus.trading.feed_monitor import FeedMonitor
from mm_nautilus.trading.symbol import SymbolState


class Following(Told):
    """A market maker that hears only of the touch and keeps when it was called, seconds."""

    def __init__(self, given: Any) -> None:
        super().__init__(given)
        self.follow_touch()
        self.quoted: list[float] = []
        self.changed: list[float] = []

    def on_quote(self, quote: Any) -> None:
        self.quoted.append((quote.ts_init - T0) / SECOND)
        super().on_quote(quote)
        self.look(quote.ts_init)

    def on_book_deltas(self, deltas: Any) -> None:
        self.changed.append((deltas.ts_init - T0) / SECOND)
        super().on_book_deltas(deltas)

    def on_time_event(self, event: Any) -> None:
        super().on_time_event(event)
        self.look(event.ts_event)


def late(event: Any, seconds: float) -> Any:
    """Return an event, a book with the venue's time so long before it comes."""
    if not isinstance(event, OrderBookDeltas):
        return event
    rows = [
        OrderBookDelta(
            row.instrument_id,
            row.action,
            row.order,
            row.flags,
            0,
            row.ts_event - round(seconds * SECOND),
            row.ts_init,
        )
        for row in event.deltas
    ]
    return OrderBookDeltas(event.instrument_id, rows)


def behind(at: float) -> Any:
    """Return a change of a level behind the touch."""
    return update(at, ("bid", 2.34, 100.0 + at))


@pytest.mark.parametrize("latency_ms", [0, (20, 300, 80)], ids=str)
@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "halts"])
def test_orders_are_those_of_one_that_hears_of_every_change(
    run: Any, monkeypatch: pytest.MonkeyPatch, variant: str, latency_ms: Any
) -> None:
    given = (
        config(max_inventory="35 XRP", requote_tolerance_bps=3.0, cooldown_seconds=1.3) | VARIANTS[variant]
    )
    market = sorted(
        [*restless(11, 150, stir=0.0002), *(behind(0.0531 + 0.0977 * step) for step in range(300))],
        key=lambda event: event.ts_init,
    )
    market = [late(event, 0.35) for event in market]
    sent = []
    for hears_all in (False, True):
        if hears_all:
            every = lambda monitor, symbol: monitor._subscribe_deltas(symbol.instrument_id)  # noqa: E731
            monkeypatch.setattr(FeedMonitor, "subscribe", every)
        mm = Following(given)
        outcome = run(mm, market, symbols=[XRP_USDT], latency_ms=latency_ms)
        assert mm.failures == []
        assert bool(mm.changed) is hears_all
        assert bool(mm.quoted) is not hears_all
        assert len(outcome.fills) > 2
        sent.append([fact(order, event) for order in outcome.orders for event in order.events()])
    assert sent[0] == sent[1]


def test_what_is_due_is_done_when_it_is_due(run: Any) -> None:
    mm = Following(config(cooldown_seconds=1.3))
    outcome = run(
        mm, [book(0, 2.3495, 2.3505), trade(0.25, 2.34, 10.0, "sell"), behind(5)], symbols=[XRP_USDT]
    )
    (fill,) = outcome.fills
    assert fill.at == 0.25
    again = [order for order in outcome.of("quote") if order.is_buy][-1]
    assert again.ts_init == ns(0.25 + 1.3)


@pytest.mark.parametrize("gone", ["bid", "ask"])
def test_a_side_that_is_gone_is_seen_within_a_second_and_so_is_its_return(run: Any, gone: str) -> None:
    level = 2.3495 if gone == "bid" else 2.3505
    mm = Following(config(resume_after_seconds=2.0))
    market = [
        book(0, 2.3495, 2.3505),
        update(3.4, (gone, level, 0.0)),
        update(6.4, (gone, level, 1000.0)),  # the same touch again, of which no quote tells
        behind(12),
    ]
    run(mm, market, symbols=[XRP_USDT])
    assert mm.failures == []
    assert mm.quoted == [0.0]
    assert mm.texts(XRP_USDT) == [
        "paused: one-sided book",
        "open for quoting again after 5.0 s (one-sided book)",
    ]
    assert [sorted(mm.quotes_at(at)) for at in (3, 5, 6, 7, 8, 10)] == [
        ["ask", "bid"],
        [],
        [],
        [],
        [],
        ["ask", "bid"],
    ]


def test_changes_behind_the_touch_keep_a_book_from_being_stale(run: Any) -> None:
    given = config(stale_after_seconds=5.0, resume_after_seconds=2.0)
    market = [book(0, 2.3495, 2.3505), *(behind(float(at) + 0.3) for at in range(1, 21)), behind(40)]
    heard = []
    for kind in (Following, Told):
        mm = kind(given)
        run(mm, market, symbols=[XRP_USDT])
        heard.append(mm.told)
    assert heard[0] == heard[1]
    assert any("stale book" in text for *_, text in heard[0])


@pytest.mark.parametrize(
    ("changes", "follows"),
    [
        ({}, True),
        ({"quoting": "signal"}, False),
        ({"fair_price": "weighted_mid"}, False),
        ({"stale_after_seconds": 2.0}, False),
    ],
    ids=str,
)
def test_what_depends_on_more_than_the_touch_hears_of_every_change(
    run: Any, changes: dict[str, Any], follows: bool
) -> None:
    mm = Following(config(**changes))
    run(mm, [book(0, 2.3495, 2.3505), behind(0.5), behind(1)], symbols=[XRP_USDT])
    assert mm.changed == ([] if follows else [0.0, 0.5, 1.0])
    assert mm.symbols[XRP_USDT].follows_touch is follows
    assert SymbolState.may_follow_touch.fget(mm.symbols[XRP_USDT]) is follows  # type: ignore[attr-defined]


def test_one_that_nobody_told_to_follow_the_touch_hears_of_every_change(run: Any) -> None:
    mm = Watched(config())
    run(mm, [book(0, 2.3495, 2.3505), behind(0.5)], symbols=[XRP_USDT])
    assert [at for at, _ in mm.seen] == [0.0, 0.5]
