"""The engine's matching rules that backtests rely on.

Each test pins one rule as it was measured, so that a new release of the engine that fills differently is noticed
before anyone compares results across it.
"""

import pytest
from scripting import XRP_USDT, Trader, book, iid, trade, update

BOOK = book(0, [(2.3495, 100.0), (2.3494, 50.0)], [(2.3505, 100.0), (2.3506, 50.0)])


def later(at: float):
    """Return an update far from the touch, which lets the engine's clock move on."""
    return update(at, ("bid", 2.2, 1.0 + at))


def bid(name: str = "a", at_price: float = 2.3495, amount: float = 10.0):
    return lambda trader: trader.limit(name, "buy", at_price, amount)


# -- Queue --------------------------------------------------------------------------------------------------


def test_the_size_displayed_on_arrival_is_ahead_of_us(run):
    """Quotes at the touch must not fill before the queue in front of them has traded."""
    trader = Trader({0.5: bid()})
    run(trader, [BOOK, *(trade(1 + i, 2.3495, 25, "sell") for i in range(4))])
    assert trader.filled("a") == []


def test_trades_beyond_the_queue_fill_only_the_excess(run):
    """A trade of 30 behind a queue with 25 left fills 5."""
    trader = Trader({0.5: bid()})
    run(
        trader,
        [BOOK, trade(1, 2.3495, 75, "sell"), trade(2, 2.3495, 30, "sell"), trade(3, 2.3495, 3, "sell")],
    )
    assert trader.filled("a") == [(2.3495, 5.0), (2.3495, 3.0)]


def test_a_cut_of_the_level_shortens_the_queue(run):
    """Cancels in front of us count, down to what the level still shows."""
    trader = Trader({0.5: bid()})
    run(trader, [BOOK, update(1, ("bid", 2.3495, 5.0)), trade(2, 2.3495, 6, "sell")])
    assert trader.filled("a") == [(2.3495, 1.0)]


def test_size_that_joins_later_is_behind_us(run):
    """The queue never grows."""
    trader = Trader({0.5: bid()})
    run(trader, [BOOK, update(1, ("bid", 2.3495, 500.0)), trade(2, 2.3495, 104, "sell")])
    assert trader.filled("a") == [(2.3495, 4.0)]


def test_an_order_alone_at_its_price_has_no_queue(run):
    """Quotes inside the spread fill with the first trade."""
    trader = Trader({0.5: bid(at_price=2.35)})
    run(trader, [BOOK, trade(1, 2.35, 4, "sell")])
    assert trader.filled("a") == [(2.35, 4.0)]


def test_a_trade_by_our_own_side_does_not_fill(run):
    """A buyer's trade at our bid's price is not for us."""
    trader = Trader({0.5: bid(at_price=2.35)})
    run(trader, [BOOK, trade(1, 2.35, 4, "buy")])
    assert trader.filled("a") == []


@pytest.mark.parametrize(
    ("at_price", "filled"), [(2.3499, ["a"]), (2.349, ["a"]), (2.35, []), (2.3501, ["b"]), (2.351, ["b"])]
)
def test_a_trade_without_a_known_taker_fills_the_side_its_price_reaches(run, at_price, filled):
    """Recordings that do not say who took are worth as much as their prices."""
    trader = Trader({0.5: lambda t: (t.limit("a", "buy", 2.3499, 10), t.limit("b", "sell", 2.3501, 10))})
    run(trader, [BOOK, trade(1, at_price, 4, "unknown")])
    assert [name for name in "ab" if trader.filled(name)] == filled


def test_an_amended_price_loses_the_queue_place(run):
    """Moving away and back queues again, so a needless amend costs."""
    trader = Trader(
        {0.5: bid(), 2: lambda t: t.amend("a", 2.3494, 10), 3: lambda t: t.amend("a", 2.3495, 10)},
    )
    run(
        trader,
        [
            BOOK,
            trade(1, 2.3495, 100, "sell"),
            later(1.5),
            later(2.5),
            later(3.5),
            trade(4, 2.3495, 5, "sell"),
        ],
    )
    assert trader.filled("a") == []
    assert trader.kinds("a").count("Updated") == 2


def test_an_amended_size_keeps_the_queue_place(run):
    """Kinder than a real venue, which is why a size is never amended up at the same price."""
    trader = Trader({0.5: bid(), 2: lambda t: t.amend("a", 2.3495, 20)})
    run(trader, [BOOK, trade(1, 2.3495, 100, "sell"), later(2.5), trade(4, 2.3495, 15, "sell")])
    assert trader.filled("a") == [(2.3495, 15.0)]


# -- Liquidity ----------------------------------------------------------------------------------------------


def test_one_trade_fills_one_order_only(run):
    """Without liquidity consumption one trade would fill all of our orders at its price."""
    trader = Trader({0.5: lambda t: (t.limit("a", "buy", 2.35, 10), t.limit("b", "buy", 2.35, 10))})
    run(trader, [BOOK, trade(1, 2.35, 10, "sell")])
    assert sum(amount for name in "ab" for _, amount in trader.filled(name)) == 10.0


def test_a_trade_through_us_fills_at_our_price_up_to_its_size(run):
    """A seller who went below our bid would have met it first."""
    trader = Trader({0.5: bid(at_price=2.35)})
    run(trader, [BOOK, trade(1, 2.3490, 4, "sell")])
    assert trader.filled("a") == [(2.35, 4.0)]


def test_an_ask_that_crosses_our_bid_fills_it_once(run):
    """The same displayed size must not fill us again at every unrelated update."""
    trader = Trader({0.5: bid(at_price=2.3495)})
    crossed = book(1, [(2.3480, 100.0)], [(2.3490, 2.0)])
    run(trader, [BOOK, crossed, *(update(2 + i, ("bid", 2.3480, 50.0 + i)) for i in range(3))])
    assert trader.filled("a") == [(2.3495, 2.0)]


def test_a_sweep_walks_the_book(run):
    """Stops pay for the depth they need."""
    trader = Trader({0.5: lambda t: t.market("a", "buy", 120)})
    run(trader, [BOOK, later(1)])
    assert trader.filled("a") == [(2.3505, 100.0), (2.3506, 20.0)]


def test_a_book_that_was_taken_is_not_there_again(run):
    """A second order into the same displayed size finds nothing."""
    trader = Trader({0.5: lambda t: t.market("a", "buy", 150), 0.7: lambda t: t.market("b", "buy", 10)})
    run(trader, [BOOK, later(1)])
    assert sum(amount for _, amount in trader.filled("a")) == 150.0
    assert trader.kinds("b") == ["Submitted", "Canceled"]


# -- Marketable orders --------------------------------------------------------------------------------------


def test_the_rest_of_an_ioc_is_cancelled(run):
    """An exit on a thin book ends, and the next one is ours to send."""
    trader = Trader({0.5: lambda t: t.market("a", "buy", 200)})
    outcome = run(trader, [BOOK, later(1)])
    assert trader.kinds("a") == ["Submitted", "Filled", "Filled", "Canceled"]
    assert outcome.positions[XRP_USDT] == 150


def test_reduce_only_is_clamped_and_never_flips(run):
    """An exit that is larger than the position by the time it arrives only closes it."""
    trader = Trader(
        {0.5: lambda t: t.market("a", "buy", 10), 0.7: lambda t: t.market("b", "sell", 25, reduce_only=True)},
    )
    outcome = run(trader, [BOOK, later(1)])
    assert trader.filled("b") == [(2.3495, 10.0)]
    assert outcome.positions[XRP_USDT] == 0


def test_reduce_only_without_a_position_is_refused(run):
    """A second exit cannot open a position."""
    trader = Trader({0.5: lambda t: t.market("a", "sell", 10, reduce_only=True)})
    outcome = run(trader, [BOOK, later(1)])
    assert trader.kinds("a")[-1] in ("Rejected", "Denied")
    assert outcome.positions[XRP_USDT] == 0


def test_a_market_order_without_any_price_is_denied(run):
    """Why books are subscribed as managed and emit quotes, and why nothing is sent into an empty side."""
    trader = Trader({0.5: lambda t: t.market("a", "buy", 10)})
    run(trader, [book(0, 2.3495, []), later(1)])
    assert "MARKET_PRICE_UNAVAILABLE" in trader.reason("a")


# -- Post-only ----------------------------------------------------------------------------------------------


def test_a_post_only_order_that_would_take_is_rejected(run):
    """Quotes are makers or nothing."""
    trader = Trader({0.5: bid(at_price=2.3505)})
    run(trader, [BOOK, later(1)])
    assert trader.kinds("a") == ["Submitted", "Rejected"]
    assert "POST_ONLY" in trader.reason("a")


def test_an_amend_that_would_take_is_rejected_and_the_order_stands(run):
    """A refused amend leaves the old price working."""
    trader = Trader({0.5: bid(), 0.7: lambda t: t.amend("a", 2.3505, 10)})
    run(trader, [BOOK, later(0.8), trade(1, 2.3495, 103, "sell")])
    assert "ModifyRejected" in trader.kinds("a")
    assert trader.filled("a") == [(2.3495, 3.0)]


# -- Cash ---------------------------------------------------------------------------------------------------


def test_resting_orders_lock_their_balance(run):
    """A second order must be paid for by what the first left."""
    trader = Trader(
        {
            0.5: bid(at_price=2.3, amount=10),
            0.7: bid("b", 2.3, 10),
            0.8: lambda t: t.cancel("a"),
            1.5: bid("c", 2.3, 10),
        }
    )
    run(trader, [BOOK, later(1), later(2)], balances=["30 USDT", "10 XRP"])
    assert trader.reason("b").startswith("NOTIONAL_EXCEEDS_FREE_BALANCE: free=7.00000000 USDT")
    assert trader.kinds("c") == ["Submitted", "Accepted"]


def test_an_orders_own_lock_is_free_for_its_amend(run):
    """With 30 USDT an order over 23 can be amended to 23.10, to 40 it cannot."""
    script = {
        0.5: bid(at_price=2.3),
        0.7: lambda t: t.amend("a", 2.31, 10),
        0.9: lambda t: t.amend("a", 2.32, 20),
    }
    trader = Trader(script)
    run(trader, [BOOK, later(0.6), later(0.8), later(1)], balances=["30 USDT", "10 XRP"])
    assert trader.kinds("a") == ["Submitted", "Accepted", "Updated", "ModifyRejected"]
    assert "NOTIONAL_EXCEEDS_FREE_BALANCE" in trader.reason("a")


def test_what_is_sold_must_be_there(run):
    """A cash account cannot go short beyond its balance; selling what it holds is a short position."""
    trader = Trader({0.5: lambda t: t.market("a", "sell", 10), 0.7: lambda t: t.market("b", "sell", 10)})
    outcome = run(trader, [BOOK, later(1)], balances=["30 USDT", "15 XRP"])
    assert outcome.positions[XRP_USDT] == -10
    assert trader.kinds("b") == ["Denied"]
    assert "EXCEEDS_FREE_BALANCE" in trader.reason("b")


def test_an_overdraft_by_a_fill_ends_the_run(run):
    """Fees and sweeps are not part of the balance check: why quotes leave room for fees, exits for sweeps."""
    trader = Trader({0.5: lambda t: t.market("a", "buy", 10)})
    with pytest.raises(RuntimeError, match="would become negative"):
        run(trader, [BOOK, later(1)], balances=["23.51 USDT", "10 XRP"])


def test_an_order_below_the_smallest_size_is_denied(run):
    """Also to close a position: why a rest that small is left."""
    trader = Trader(
        {0.5: lambda t: t.market("a", "buy", 3), 0.7: lambda t: t.market("b", "sell", 1, reduce_only=True)}
    )
    run(trader, [BOOK, later(1)])
    assert trader.reason("b").startswith("QUANTITY_BELOW_MINIMUM")


def test_a_margin_account_settles_in_the_quote_currency(run):
    """Only profit and fees move, and only there: why its equity counts open PnL."""
    trader = Trader({0.5: lambda t: t.market("a", "buy", 10), 0.7: lambda t: t.market("b", "sell", 10)})
    outcome = run(trader, [BOOK, later(1)], balances=["60 XRP", "100 USDT"], cash=False)
    assert len(outcome.fills) == 2
    assert str(outcome.balances.get("USDT")) == "99.89600000"


def test_a_margin_account_sets_the_value_of_orders_aside(run):
    """Why quotes are held to the free balance there too; a test on a whole run shows what leverage changes."""
    trader = Trader({0.5: lambda t: t.market("a", "buy", 10), 0.7: lambda t: t.market("b", "buy", 10)})
    outcome = run(trader, [BOOK, later(1)], balances=["4 USDT"], cash=False)
    assert outcome.positions[XRP_USDT] == 10
    assert trader.kinds("b") == ["Denied"]
    assert "INITIAL_MARGIN_EXCEEDS_FREE_BALANCE" in trader.reason("b")


# -- Latency ------------------------------------------------------------------------------------------------


def steps(*at: float) -> list:
    return [later(time) for time in at]


def test_commands_arrive_after_their_latency(run):
    """Insert 100 ms, amend 200 ms, cancel 300 ms, seen at the next event of the venue."""
    trader = Trader({1: bid(), 2: lambda t: t.amend("a", 2.3494, 10), 3: lambda t: t.cancel("a")})
    at = [1.05, 1.1, 1.15, 2.1, 2.2, 2.25, 3.2, 3.3, 3.35]
    run(trader, [BOOK, *steps(*at)], latency_ms=(100, 200, 300))
    times = {kind: round((event.ts_init - BOOK.ts_init) / 1e9, 3) for _, kind, event in trader.log_of}
    assert times == {"OrderSubmitted": 1.0, "OrderAccepted": 1.1, "OrderUpdated": 2.2, "OrderCanceled": 3.3}


def test_an_order_in_flight_does_not_fill(run):
    """A trade before the arrival is missed."""
    trader = Trader({1: bid(at_price=2.35)})
    run(trader, [BOOK, trade(1.05, 2.35, 5, "sell"), later(1.2), trade(1.3, 2.35, 4, "sell")], latency_ms=100)
    assert trader.filled("a") == [(2.35, 4.0)]


def test_an_order_fills_while_its_cancel_is_in_flight(run):
    """The adverse fill that a cancel comes too late for."""
    trader = Trader({1: bid(at_price=2.35), 2: lambda t: t.cancel("a")})
    run(trader, [BOOK, later(1.5), trade(2.05, 2.35, 10, "sell"), later(2.2)], latency_ms=(0, 0, 100))
    assert trader.filled("a") == [(2.35, 10.0)]
    assert trader.kinds("a")[-1] in ("Filled", "CancelRejected")


# -- Money --------------------------------------------------------------------------------------------------


def test_fees_are_exact_and_in_quote_currency(run):
    """A maker pays 0.1 %, a taker 0.2 % of the value."""
    trader = Trader({0.5: bid(at_price=2.35), 1.5: lambda t: t.market("b", "sell", 10)})
    outcome = run(trader, [BOOK, trade(1, 2.35, 10, "sell"), later(2)])
    fees = {fill.liquidity: fill.fee for fill in outcome.fills}
    assert fees == {"MAKER": "0.02350000 USDT", "TAKER": "0.04699000 USDT"}
    assert str(outcome.balances["USDT"] - 10_000) == "-0.07549000"
    assert outcome.balances["XRP"] == 10_000


def test_a_fill_comes_before_its_position_event(run):
    """Metrics count the fill first; the portfolio is up to date in both."""
    seen = []

    class Ordered(Trader):
        def on_order_filled(self, event):
            seen.append(("fill", self.portfolio.net_position(iid(XRP_USDT))))

        def on_position_event(self, event):
            seen.append((type(event).__name__, self.portfolio.net_position(iid(XRP_USDT))))

    trader = Ordered({0.5: lambda t: t.market("a", "buy", 10), 0.7: lambda t: t.market("b", "sell", 25)})
    run(trader, [BOOK, later(1)])
    assert seen == [
        ("fill", 10),
        ("PositionOpened", 10),
        ("fill", -15),
        ("PositionClosed", -15),
        ("PositionOpened", -15),
    ]
