"""What holds whatever the prices say: sound books, caps, drawdowns, order rates, balances."""

import itertools
import random

import pytest
from scripting import (
    BTC_USDT,
    SECOND,
    XRP_BTC,
    XRP_USDT,
    Watched,
    book,
    config,
    restless,
    trade,
    update,
)

from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.trading.symbol import SymbolState

CALM = (2.3495, 2.3505)


def held(mm: Watched, reason: NotQuoting) -> int:
    return mm.symbols[XRP_USDT].bid.stats.counts.get(reason, 0)


# -- Books --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (([], 2.3505), NotQuoting.ONE_SIDED_BOOK),
        ((2.3495, []), NotQuoting.ONE_SIDED_BOOK),
        ((2.3505, 2.3505), NotQuoting.CROSSED_BOOK),
        ((2.3506, 2.3505), NotQuoting.CROSSED_BOOK),
    ],
)
def test_a_broken_book_is_left_and_returned_to_when_it_has_been_sound_for_a_while(run, broken, reason):
    mm = Watched(config(resume_after_seconds=2.0))
    sound = [book(at, *CALM) for at in (3, 4, 4.9, 6, 6.5)]
    outcome = run(mm, [book(0, *CALM), book(1, *broken), book(2, *broken), *sound])
    assert sorted(mm.quotes_at(1)) == ["ask", "bid"]
    assert [mm.quotes_at(at) for at in (2, 3, 4, 4.9)] == [{}, {}, {}, {}]
    assert sorted(mm.quotes_at(6.5)) == ["ask", "bid"]
    assert held(mm, reason) == 1
    assert held(mm, NotQuoting.BOOK_RECOVERING) == 1
    assert outcome.fills == []


def test_a_silent_feed_is_noticed_by_the_clock(run):
    mm = Watched(config(stale_after_seconds=5.0, resume_after_seconds=2.0))
    # The other pair's book keeps the simulated clock running.
    given = config(stale_after_seconds=5.0, resume_after_seconds=2.0)
    given["symbols"] = {XRP_USDT: {}, BTC_USDT: {"position_size": "0.001 BTC", "max_inventory": 1000}}
    mm = Watched(given)
    other = [book(at, 93999.0, 94001.0, symbol=BTC_USDT) for at in range(20)]
    again = [book(at, *CALM) for at in (10.5, 11.5, 12.4, 13.5, 14.5)]
    run(mm, [book(0, *CALM), *other, *again])
    cancelled = [order.ts_closed for order in run_orders(mm)]
    assert mm.symbols[XRP_USDT].bid.stats.counts[NotQuoting.STALE_BOOK] == 1
    assert min(cancelled) == pytest.approx(T0_NS + 5 * SECOND)
    assert [mm.quotes_at(at) for at in (10.5, 11.5, 12.4)] == [{}, {}, {}], (
        "the touch is as it was, the pause counts"
    )
    assert sorted(mm.quotes_at(14.5)) == ["ask", "bid"]
    assert mm.symbols[BTC_USDT].bid.stats.counts.get(NotQuoting.STALE_BOOK) is None


T0_NS = 1_765_000_800_000_000_000


def run_orders(mm: Watched) -> list:
    return [
        order
        for order in mm.cache.orders()
        if order.instrument_id.symbol.value == XRP_USDT and order.ts_closed
    ]


# -- Inventory ----------------------------------------------------------------------------------------------


class Capped(Watched):
    """Check at every book event that position and live orders together keep the cap."""

    cap = 35.0

    def look(self, now: int) -> None:
        super().look(now)
        position = float(self.portfolio.net_position(self.symbols[XRP_USDT].instrument_id))
        live = self.live_orders()
        buys = sum(float(order.leaves_qty) for order in live if order.is_buy and not order.is_reduce_only)
        sells = sum(float(order.leaves_qty) for order in live if order.is_sell and not order.is_reduce_only)
        assert position + buys <= self.cap + 1e-9
        assert -position + sells <= self.cap + 1e-9
        symbol = self.symbols[XRP_USDT]
        worst = [
            sign * symbol.position.lots + (0 if side.order is None else side.order.worst_case_lots)
            for sign, side in ((1, symbol.bid), (-1, symbol.ask))
        ]
        assert max(worst) * symbol.lot <= self.cap + 1e-9, "an amend in flight may still arrive"
        self.extremes = max(getattr(self, "extremes", 0.0), abs(position))


@pytest.mark.parametrize(("latency_ms", "seed"), list(itertools.product((0, 50, 500), (1, 2, 3))))
def test_the_worst_case_never_breaks_the_cap(run, latency_ms, seed):
    stops = {"stop_loss_pct": 0.6, "take_profit_pct": 0.5, "cooldown_seconds": 0.1, "inventory_skew": 0.5}
    mm = Capped(config(max_inventory="35 XRP", **stops))
    outcome = run(mm, restless(seed), latency_ms=latency_ms)
    assert mm.failures == []
    assert len(outcome.fills) > 20
    assert mm.extremes >= 15, "the cap was not even approached"
    assert outcome.events("OrderDenied") == []


def test_the_cap_stops_the_growing_side(run):
    mm = Watched(config(max_inventory="15 XRP"))
    first = [book(0, *CALM), trade(1, 2.348, 10, "sell"), book(2, *CALM), book(3, *CALM)]
    run(mm, [*first, trade(4, 2.348, 5, "sell"), book(5, *CALM), book(6, *CALM)])
    assert mm.quotes_at(3)["bid"][1] == 5.0
    assert sorted(mm.quotes_at(6)) == ["ask"]
    assert held(mm, NotQuoting.INVENTORY_CAP) == 1


# -- Drawdown -----------------------------------------------------------------------------------------------

TWO = {XRP_USDT: {}, BTC_USDT: {"position_size": "0.001 BTC", "max_inventory": 1000}}


def falling(symbol_prices: tuple[float, float]) -> list:
    """Buy 10 XRP, then fall; the other pair stays where it is."""
    fall = [book(3 + i, *symbol_prices) for i in range(4)]
    other = [book(i + 0.5, 93999.0, 94001.0, symbol=BTC_USDT) for i in range(8)]
    return [book(0, *CALM), trade(1, 2.348, 10, "sell"), book(2, *CALM), *fall, *other]


@pytest.mark.parametrize("flatten", [False, True])
def test_a_symbols_drawdown_halts_that_symbol_for_good(run, flatten):
    given = config(max_drawdown_pct=1.0, flatten_on_halt=flatten, cooldown_seconds=3600.0)
    mm = Watched(given | {"symbols": TWO})
    # 10 XRP fall by 0.15: 1.5 USDT of a cap of 50 XRP, about 110 USDT.
    outcome = run(mm, falling((2.1995, 2.2005)))
    symbol = mm.symbols[XRP_USDT]
    assert symbol.is_halted
    assert held(mm, NotQuoting.HALTED_DRAWDOWN) == 1
    assert [o for o in outcome.orders if o.is_open and o.instrument_id == symbol.instrument_id] == []
    assert outcome.positions[XRP_USDT] == (0 if flatten else 10)
    assert len(outcome.of("halt")) == flatten
    assert not mm.symbols[BTC_USDT].is_halted
    assert mm.symbols[BTC_USDT].bid.working is not None or mm.symbols[BTC_USDT].counts.placed == 2


def test_a_smaller_drawdown_does_not_halt(run):
    mm = Watched(config(max_drawdown_pct=2.0, cooldown_seconds=3600.0) | {"symbols": TWO})
    run(mm, falling((2.1995, 2.2005)))
    assert not mm.symbols[XRP_USDT].is_halted


@pytest.mark.parametrize(("limit", "halts"), [(0.3, True), (1.0, False)])
def test_the_accounts_drawdown_halts_everything(run, limit, halts):
    given = config(max_account_drawdown_pct=limit, flatten_on_halt=True, cooldown_seconds=3600.0)
    mm = Watched(given | {"symbols": TWO})
    # The account is worth 235 + 100 + 47 USDT; the fall costs 1.5 of them.
    outcome = run(mm, falling((2.1995, 2.2005)), balances=["100 USDT", "100 XRP", "0.0005 BTC"])
    assert [symbol.is_halted for symbol in mm.symbols.values()] == [halts, halts]
    assert outcome.positions[XRP_USDT] == (0 if halts else 10)
    assert outcome.open_quotes() == {} if halts else True


# -- Order rate ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cap", [3, 7])
def test_no_second_sees_more_actions_than_allowed(run, cap):
    draw = random.Random(5)
    mids = [2.35 + 0.001 * draw.randint(-8, 8) for _ in range(200)]
    moves = [book(0.05 * i, round(mid - 0.0005, 5), round(mid + 0.0005, 5)) for i, mid in enumerate(mids)]
    mm = Watched(config(max_order_actions_per_second=cap))
    outcome = run(mm, moves)
    names = ("OrderInitialized", "OrderUpdated", "OrderModifyRejected", "OrderPendingCancel")
    times = sorted(event.ts_init for name in names for event in outcome.events(name))
    times = [at for at in times if at < T0_NS + 10 * SECOND - 60_000_000]  # without the cancels of the stop
    assert len(times) > 5 * cap
    assert all(later - first >= SECOND for first, later in zip(times, times[cap:], strict=False))
    assert held(mm, NotQuoting.ACTION_RATE_CAP) > 0


# -- Balances -----------------------------------------------------------------------------------------------


def test_a_quote_shrinks_to_the_balance_and_then_stays(run):
    """With 5 XRP to sell and 12 USDT to spend both quotes are smaller, and not sent again at every event."""
    mm = Watched(config(requote_size_tolerance_pct=0.0))
    moving = [update(1 + 0.1 * i, ("bid", 2.3495, 1000.0 + i)) for i in range(50)]
    outcome = run(
        mm,
        [book(0, *CALM), *moving, book(7, 2.3496, 2.3506), book(8, 2.3496, 2.3506)],
        balances=["12 USDT", "5 XRP"],
    )
    assert outcome.events("OrderDenied") == []
    assert mm.quotes_at(5.9)["ask"] == (2.35118, 5.0)
    assert mm.quotes_at(5.9)["bid"][1] == pytest.approx(12 / 2.34882 / 1.002, abs=1e-5)
    assert len(outcome.orders) == 2
    assert outcome.events("OrderModifyRejected") == []
    assert sorted(mm.quotes_at(8)) == ["ask", "bid"]


def test_a_balance_below_the_smallest_order_is_reported(run):
    mm = Watched(config())
    outcome = run(mm, [book(at, *CALM) for at in range(5)], balances=["100 USDT", "1 XRP"])
    assert sorted(mm.quotes_at(4)) == ["bid"]
    assert mm.symbols[XRP_USDT].ask.stats.counts == {NotQuoting.INSUFFICIENT_BALANCE: 1}
    assert outcome.events("OrderDenied") == []


@pytest.mark.parametrize("latency_ms", [0, 500])
def test_pairs_share_a_balance_without_denials(run, latency_ms):
    """USDT pays for two pairs' bids at once: what is in flight is spoken for."""
    given = config() | {
        "symbols": {XRP_USDT: {}, BTC_USDT: {"position_size": "0.0003 BTC", "max_inventory": 1000}}
    }
    mm = Watched(given)
    both = [
        event
        for i in range(30)
        for event in (
            book(0.2 * i, 2.3495 + 0.001 * (i % 3), 2.3505 + 0.001 * (i % 3)),
            book(0.2 * i, 93999.0 + 20 * (i % 4), 94001.0 + 20 * (i % 4), symbol=BTC_USDT),
        )
    ]
    outcome = run(mm, both, balances=["35 USDT", "100 XRP", "1 BTC"], latency_ms=latency_ms)
    assert outcome.events("OrderDenied") == []
    assert [e for e in outcome.events("OrderModifyRejected") if "BALANCE" in e.reason] == []
    assert min(mm.symbols[symbol].counts.placed for symbol in given["symbols"]) >= 2


@pytest.mark.parametrize("seed", range(4))
def test_a_poor_account_never_sees_a_denial_or_an_overdraft(run, seed):
    """Three pairs, little of everything, stops on: an overdraft would end the run with an error."""
    given = config(stop_loss_pct=0.3, take_profit_pct=0.3, cooldown_seconds=0.1, inventory_skew=0.5)
    given["symbols"] = {
        XRP_USDT: {},
        BTC_USDT: {"position_size": "0.0002 BTC", "max_inventory": "0.001 BTC"},
        XRP_BTC: {},
    }
    mm = Watched(given)
    events = [*restless(seed, 200), *others(seed, 200)]
    outcome = run(mm, events, balances=["30 USDT", "15 XRP", "0.0004 BTC"], latency_ms=50 * (seed % 2))
    assert mm.failures == []
    assert outcome.events("OrderDenied") == []
    assert len(outcome.fills) > 10
    assert min(outcome.balances.values()) >= 0


def others(seed: int, steps: int) -> list:
    """Return restless books of the other two pairs."""
    draw = random.Random(seed + 100)
    btc, cross, events = 94000.0, 0.000025, []
    for step in range(steps):
        at = 0.2 * step + 0.01
        btc = round(btc + draw.gauss(0, 30), 1)
        cross = round(cross + draw.gauss(0, 8e-9), 8)
        events.append(book(at, [(round(btc - 5, 1), 0.5)], [(round(btc + 5, 1), 0.5)], symbol=BTC_USDT))
        events.append(
            book(at, [(round(cross - 1e-8, 8), 500.0)], [(round(cross + 1e-8, 8), 500.0)], symbol=XRP_BTC)
        )
        taker = draw.choice(("buy", "sell"))
        sign = 1 if taker == "buy" else -1
        events.append(trade(at + 0.01, round(btc + sign * 100, 1), 0.0001, taker, symbol=BTC_USDT))
        events.append(trade(at + 0.01, round(cross + sign * 4e-8, 8), 4.0, taker, symbol=XRP_BTC))
    return events


def test_the_symbol_reads_the_smallest_order_from_the_instrument(run):
    mm = Watched(config())
    run(mm, [book(0, *CALM)])
    symbol: SymbolState = mm.symbols[XRP_USDT]
    assert symbol.sizes.order_limits.min_lots_at(235_000) == 2_000_000  # 2 XRP in lots of 0.000001
    assert symbol.sizes.order_limits.min_lots_at(10) == 5_000_000_000  # 0.5 USDT at a price of 0.0001
