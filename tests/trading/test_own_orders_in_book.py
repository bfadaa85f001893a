"""A venue's book that shows our own orders, and a strategy that takes them out of it."""

import random
from typing import Any

import pytest
from live_scripting import LiveScript
from scripting import XRP_USDT, Watched, book, config, ns, trade
from test_kept_plans import fact

from mm_nautilus.errors import MarketMakingError
from mm_nautilus.pricing.not_quoting import NotQuoting

LATENCY_MS = 20
OTHERS = ([(2.348, 1000.0)], [(2.352, 1000.0)])
"""A book in which we are alone at the touch: our quotes stand at 2.34882 and 2.35118."""
OURS = {"bid": 2.34882, "ask": 2.35118}


def with_ours(at: float, *, others: Any = OTHERS, **ours: float | tuple[float, float]) -> Any:
    """Return a book of others that shows a bid and an ask of ours as well, of 10 where no size is given."""
    sides = []
    for rows, own in zip(others, (ours.get("bid"), ours.get("ask")), strict=True):
        levels = dict(rows)
        if own is not None:
            level, amount = own if isinstance(own, tuple) else (own, 10.0)
            levels[level] = levels.get(level, 0.0) + amount
        sides.append(list(levels.items()))
    return book(at, *sides)


def maker(*, in_book: bool = True, **changes: Any) -> Watched:
    return Watched(config(own_orders_in_book=in_book, **changes))


@pytest.fixture
def quotes(run: Any) -> Any:
    """Return what runs a maker on a venue with latency, and returns it."""

    def quotes(mm: Watched, data: list[Any], **venue: Any) -> Watched:
        venue = {"symbols": [XRP_USDT], "latency_ms": LATENCY_MS, "own_books": True} | venue
        outcome = run(mm, data, **venue)
        assert mm.failures == []
        mm.outcome = outcome
        return mm

    return quotes


# -- Whole runs ---------------------------------------------------------------------------------------------


def market() -> list[tuple[float, Any]]:
    """Return a market's books of others and its trades, by time; each book comes thrice.

    A trade at the mid before each makes the simulated venue take the commands that have arrived.
    """
    draw, mid, found = random.Random(5), 2.35, []
    for step in range(40):
        at = round(0.2 * step, 6)
        mid = round(mid + draw.gauss(0, 0.00008), 5)
        sides = [
            [
                (round(mid + sign * (0.002 + 0.0003 * depth), 5), draw.choice((30.0, 36.0, 42.0)))
                for depth in range(3)
            ]
            for sign in (-1, 1)
        ]
        found += [(round(at + later, 6), sides) for later in (0, 0.06, 0.14)]
        ticks = (0.025, 0.05, 0.105, 0.13, 0.165, 0.19)
        found += [(at + later, trade(at + later, mid, 1.0, "buy")) for later in ticks]
        if draw.random() < 0.3:
            taker = draw.choice(("buy", "sell"))
            away = 0.0021 if taker == "buy" else -0.0021
            found.append((round(at + 0.08, 6), trade(at + 0.08, round(mid + away, 5), 30.0, taker)))
    return found


def ours_over_time(outcome: Any) -> list[tuple[int, Any, str, tuple[float, float] | None]]:
    """Return each change of an order at the venue: time, order, side, and price and open size from then on."""
    changes = []
    for order in outcome.orders:
        side, filled = "bid" if order.is_buy else "ask", 0.0
        for event in order.events():
            kind, now = type(event).__name__, None
            if kind == "OrderInitialized":
                price, whole = float(event.price or 0), float(event.quantity)
                continue
            if kind in {"OrderAccepted", "OrderUpdated", "OrderFilled"} and price:
                if kind == "OrderUpdated":
                    price, whole = float(event.price), float(event.quantity)
                filled += float(event.last_qty) if kind == "OrderFilled" else 0.0
                left = round(whole - filled, 6)
                now = (price, left) if left else None
            elif kind not in {"OrderCanceled", "OrderRejected"}:
                continue
            changes.append((event.ts_event, order.client_order_id, side, now))
    return sorted(changes, key=lambda change: change[0])


def shown(events: list[tuple[float, Any]], changes: list[Any]) -> list[Any]:
    """Return the market's events, with the orders in its books that the venue had before each."""
    found = []
    for at, event in events:
        if not isinstance(event, list):
            found.append(event)
            continue
        live: dict[Any, tuple[str, tuple[float, float]]] = {}
        for ts, order, side, now in changes:
            if ts < ns(at):
                live.pop(order, None)
                live |= {order: (side, now)} if now is not None else {}
        ours = dict(live.values())
        assert len(ours) == len(live)
        found.append(with_ours(at, others=event, **ours))
    return found


VARIANTS: dict[str, dict[str, Any]] = {
    "mid": {},
    "weighted mid": {"fair_price": "weighted_mid"},
    "imbalance": {"quoting": "signal", "use_trade_flow": False, "imbalance_threshold": 0.05},
    "replaced": {"fair_price": "weighted_mid", "amend_orders": False},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_run_on_a_book_with_our_orders_is_that_on_a_book_without_them(quotes: Any, variant: str) -> None:
    events = market()
    changes = {"inventory_skew": 0.5, "requote_tolerance_bps": 0.1, **VARIANTS[variant]}

    def orders(mm: Watched) -> list[Any]:
        return [fact(order, event) for order in mm.outcome.orders for event in order.events()]

    plain = [book(at, *each) if isinstance(each, list) else each for at, each in events]
    before = quotes(maker(in_book=False, **changes), plain)
    expected, data = orders(before), shown(events, ours_over_time(before.outcome))
    assert len(before.outcome.fills) > 1
    assert orders(quotes(maker(**changes), data)) == expected
    assert orders(quotes(maker(in_book=False, **changes), data)) != expected


# -- Single cases -------------------------------------------------------------------------------------------

ONLY_BUYS: dict[str, Any] = {"balances": ["10000 USDT"]}


def tick(at: float) -> Any:
    """Return a trade that fills nothing of ours; the simulated venue then takes what has arrived."""
    return trade(at, 2.35, 1.0, "buy")


@pytest.mark.parametrize("in_book", [True, False])
def test_a_bid_alone_at_the_touch_moves_itself_up_unless_it_is_taken_out(quotes: Any, in_book: bool) -> None:
    data = [book(0, *OTHERS), tick(0.03), with_ours(0.1, bid=OURS["bid"])]
    mm = quotes(maker(in_book=in_book), [*data, tick(0.13), with_ours(0.5, bid=OURS["bid"])], **ONLY_BUYS)
    (bid,) = (price for price, _ in mm.quotes_at(0.5).values())
    assert bid == OURS["bid"] if in_book else bid > OURS["bid"]


def test_a_book_that_shows_an_order_before_it_is_confirmed_is_read_again(quotes: Any) -> None:
    data = [book(0, *OTHERS), with_ours(0.02, bid=OURS["bid"]), tick(0.05), with_ours(0.1, bid=OURS["bid"])]
    mm = quotes(maker(), data, **ONLY_BUYS)
    assert mm.quotes_at(0.1) == {"bid": (OURS["bid"], 10.0)}
    assert mm.symbols[XRP_USDT].counts.amended == 0


def test_an_order_that_no_book_shows_yet_takes_nothing_from_the_size_of_others(quotes: Any) -> None:
    others = [[(price, 5.0), *rows] for price, rows in zip(OURS.values(), OTHERS, strict=True)]
    data = [
        book(0, *others),
        tick(0.03),
        tick(0.06),
        *(with_ours(at, others=others, **OURS) for at in (0.1, 0.5)),
    ]
    mm = quotes(maker(), data)
    assert mm.quotes_at(0.5) == {side: (price, 10.0) for side, price in OURS.items()}
    assert mm.symbols[XRP_USDT].counts.amended == 0
    assert mm.symbols[XRP_USDT].book.sizes == (5_000_000, 5_000_000)


@pytest.mark.parametrize(
    ("others", "reason"),
    [(([], []), NotQuoting.NO_BOOK), ((OTHERS[0], []), NotQuoting.ONE_SIDED_BOOK)],
    ids=["no others", "no others' ask"],
)
def test_a_book_without_others_is_no_market(quotes: Any, others: Any, reason: NotQuoting) -> None:
    data = [book(0, *OTHERS), tick(0.03), with_ours(0.1, **OURS), with_ours(0.5, others=others, **OURS)]
    mm = quotes(maker(), [*data, tick(0.6), *(book(at, *OTHERS) for at in (1, 2.5, 3))])
    assert mm.symbols[XRP_USDT].bid.stats.counts[reason] == 1
    assert mm.quotes_at(1) == {}
    assert sorted(mm.quotes_at(3)) == ["ask", "bid"]


@pytest.mark.parametrize(
    ("side", "others", "steps"),
    [
        ("bid", ([(2.3505, 1000.0)], [(2.36, 1000.0)]), [2.35117, 2.35407]),
        ("ask", ([(2.34, 1000.0)], [(2.3495, 1000.0)]), [2.34883, 2.34593]),
    ],
)
def test_a_quote_waits_for_our_own_order_in_its_way(
    quotes: Any, side: str, others: Any, steps: list[float]
) -> None:
    data = [book(0, *OTHERS), tick(0.03), with_ours(0.1, **OURS), with_ours(0.2, others=others, **OURS)]
    mm = quotes(maker(), [*data, tick(0.23), book(0.24, *others), tick(0.26)])
    (order,) = (order for order in mm.outcome.of("quote") if order.is_buy is (side == "bid"))
    updates = [float(event.price) for event in order.events() if type(event).__name__ == "OrderUpdated"]
    assert updates == steps


def test_a_live_node_takes_own_orders_out_as_well() -> None:
    session = LiveScript(
        config(own_orders_in_book=True), [book(0, *OTHERS), *[with_ours(1, **OURS)] * 2]
    ).run()
    symbol = session.strategy.symbols[XRP_USDT]
    assert (symbol.book.best_bid_ticks, symbol.book.best_ask_ticks) == (234_800, 235_200)
    assert (symbol.counts.placed, symbol.counts.amended) == (2, 0)


def test_an_engine_without_a_book_of_own_orders_ends_the_run(run: Any) -> None:
    mm = maker()
    run(mm, [book(0, *OTHERS), tick(0.03)], symbols=[XRP_USDT])
    assert isinstance(mm.failures[0].error, MarketMakingError)
    assert str(mm.failures[0].error) == (
        "manage_own_order_books of the execution engine must be true with own_orders_in_book, was false"
    )
