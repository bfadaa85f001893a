"""A strategy that hears only of the touch does what one does that hears of every change of the book."""

from typing import Any

import pytest
from guard_scripting import Told
from nautilus_trader.model import OrderBookDelta, OrderBookDeltas
from scripting import SECOND, T0, XRP_USDT, Watched, book, config, ns, restless, trade, update
from test_kept_plans import VARIANTS, fact
from test_market_gaps import HOUR, session

from mm_nautilus.trading.symbol import SymbolState


class Hearing(Told):
    """A market maker that keeps what it was called for, seconds: changes of the touch, and changes of the book."""

    def __init__(self, given: Any) -> None:
        super().__init__(given)
        self.quoted: list[float] = []
        self.changed: list[float] = []

    def on_quote(self, quote: Any) -> None:
        self.quoted.append((self.clock.timestamp_ns() - T0) / SECOND)
        super().on_quote(quote)

    def on_book_deltas(self, deltas: Any) -> None:
        self.changed.append((deltas.ts_init - T0) / SECOND)
        super().on_book_deltas(deltas)

    def on_time_event(self, event: Any) -> None:
        super().on_time_event(event)
        self.look(event.ts_event)


def following(given: Any) -> Hearing:
    """Return a market maker that hears of the touch."""
    mm = Hearing(given)
    mm.conditions.followed = [XRP_USDT]
    return mm


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
def test_orders_are_those_of_one_that_hears_of_every_change(run: Any, variant: str, latency_ms: Any) -> None:
    given = (
        config(max_inventory="35 XRP", requote_tolerance_bps=3.0, cooldown_seconds=1.3) | VARIANTS[variant]
    )
    market = sorted(
        [*restless(11, 150, stir=0.0002), *(behind(0.0531 + 0.0977 * step) for step in range(300))],
        key=lambda event: event.ts_init,
    )
    market = [late(event, 0.35) for event in market]
    sent, heard = [], []
    for follows in (True, False):
        mm = Hearing(given)
        if follows:
            mm.conditions.followed = [XRP_USDT]
        outcome = run(mm, market, symbols=[XRP_USDT], latency_ms=latency_ms)
        assert mm.failures == []
        assert len(outcome.fills) > 2
        sent.append([fact(order, event) for order in outcome.orders for event in order.events()])
        heard.append(len(mm.changed))
    assert sent[0] == sent[1]
    assert heard[0] < 0.8 * heard[1]


def test_a_late_start_and_a_gap_are_those_of_one_that_hears_of_every_change(run: Any) -> None:
    given = config(stale_after_seconds=10.0, resume_after_seconds=2.0, stop_loss_pct=0.5)
    changes = [behind(at) for at in (4.31, 4.4, HOUR + 0.1, HOUR + 0.2)]
    market = sorted(
        [*session(0, 2.35), *changes, *session(HOUR + 0.3, 2.32)], key=lambda event: event.ts_init
    )
    seen = []
    for follows in (True, False):
        mm = Hearing(given)
        mm.conditions.pauses_in_gaps = True
        mm.conditions.start_ns = ns(4.3)
        if follows:
            mm.conditions.followed = [XRP_USDT]
        outcome = run(mm, market)
        assert len(outcome.fills) > 1
        sides = [mm.symbols[XRP_USDT].bid, mm.symbols[XRP_USDT].ask]
        orders = [fact(order, event) for order in outcome.orders for event in order.events()]
        seen.append((orders, mm.told, [side.stats.to_dict() for side in sides]))
    assert seen[0] == seen[1]


def test_what_is_due_is_done_at_the_next_change_of_the_book(run: Any) -> None:
    mm = following(config(cooldown_seconds=1.3))
    changes = [behind(0.4 + 0.1 * step) for step in range(20)]
    market = [book(0, 2.3495, 2.3505), trade(0.25, 2.34, 10.0, "sell"), *changes]
    outcome = run(mm, market, symbols=[XRP_USDT])
    (fill,) = outcome.fills
    assert fill.at == 0.25
    again = [order for order in outcome.of("quote") if order.is_buy][-1]
    assert again.ts_init == ns(1.6)
    assert mm.quoted == [0.0]
    assert mm.changed == [0.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6]


@pytest.mark.parametrize("gone", ["bid", "ask"])
def test_a_side_that_is_gone_is_seen_within_a_second_and_so_is_its_return(run: Any, gone: str) -> None:
    level = 2.3495 if gone == "bid" else 2.3505
    mm = following(config(resume_after_seconds=2.0))
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
    for kind in (following, Told):
        mm = kind(given)
        run(mm, market, symbols=[XRP_USDT])
        heard.append(mm.told)
    assert heard[0] == heard[1]
    assert any("stale book" in text for *_, text in heard[0])


@pytest.mark.parametrize("last", [40.0, 59.6, 60.0], ids=str)
def test_a_stale_book_that_only_changes_behind_its_touch_recovers_before_it_is_quoted_on(
    run: Any, last: float
) -> None:
    given = config(stale_after_seconds=5.0, resume_after_seconds=2.0)
    market = [book(0, 2.3495, 2.3505), behind(last), *(behind(last + step) for step in (0.8, 1.6, 2.4, 4.0))]
    reported = {}
    for kind in (following, Told):
        mm = kind(given)
        run(mm, market, symbols=[XRP_USDT])
        reported[kind] = [at for at, _, text in mm.told if "open for quoting again" in text]
    assert len(reported[following]) == len(reported[Told]) == 1
    assert 0 <= reported[following][0] - reported[Told][0] <= 1
    assert reported[following][0] >= last + 2


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
    mm = following(config(**changes))
    run(mm, [book(0, 2.3495, 2.3505), behind(0.5), behind(1)], symbols=[XRP_USDT])
    assert mm.changed == ([0.0] if follows else [0.0, 0.5, 1.0])  # the first is waited for
    assert mm.symbols[XRP_USDT].follows_touch is follows
    assert SymbolState.may_follow_touch.fget(mm.symbols[XRP_USDT]) is follows  # type: ignore[attr-defined]


def test_one_that_nobody_told_to_follow_the_touch_hears_of_every_change(run: Any) -> None:
    mm = Watched(config())
    run(mm, [book(0, 2.3495, 2.3505), behind(0.5)], symbols=[XRP_USDT])
    assert [at for at, _ in mm.seen] == [0.0, 0.5]
