"""A venue's rate limit at the door of commands: what is refused, and what a budget of its points sends instead."""

import itertools
import math
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from guard_scripting import Commander
from nautilus_trader.model import OrderSide
from rate_sequences import ADD, AMEND, SEQUENCES, Step, spent
from scripting import (
    BTC_USDT,
    XRP_USDT,
    Watched,
    around,
    book,
    config,
    engine_runs,
    iid,
    ns,
    restless,
    trade,
)

from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.pricing.quotes import Quote
from mm_nautilus.risk.points_budget import URGENT, requote_worth
from mm_nautilus.risk.rate_limit import Command, RateCounter, rate_rules
from mm_nautilus.trading.messages import HaltQuoting
from mm_nautilus.trading.orders import MAX_AMENDS
from mm_nautilus.trading.working_order import QUOTE, OrderState, WorkingOrder

LIMITS: dict[str, dict[str, Any]] = {
    "starter": {"kraken": "starter"},
    "intermediate": {"kraken": "intermediate"},
    "pro": {"kraken": "pro"},
    "bucket": {"actions": 8, "seconds": 8.0},
}
COMMANDS = {
    "OrderInitialized": Command.ADD,
    "OrderPendingUpdate": Command.AMEND,
    "OrderPendingCancel": Command.CANCEL,
}
EXITS = {"stop_loss_pct": 0.2, "take_profit_pct": 0.3, "requote_tolerance_bps": 0.0}
MARKET = restless(7, steps=600, stir=0.0009)
LAST_NS = max(event.ts_init for event in MARKET)


def seen(outcome: Any) -> list[tuple[int, str, Command]]:
    """Return time, order and kind of each command that the engine saw, but for the cancels of the stop."""
    events = [
        (event.ts_init, str(event.client_order_id), command)
        for name, command in COMMANDS.items()
        for event in outcome.events(name)
        if event.ts_init < LAST_NS
    ]
    return sorted(events, key=lambda event: event[0])


def replayed(commands: list[tuple[int, str, Command]], rules: Any) -> list[bool]:
    """Return of each command whether a counter of the venue's own takes it."""
    counter, since_ns, taken = RateCounter(rules), {}, []
    for now_ns, order_id, command in commands:
        taken.append(counter.take(command, now_ns, now_ns - since_ns.get(order_id, now_ns)))
        if command is not Command.CANCEL:
            since_ns[order_id] = now_ns
    return taken


@pytest.fixture(scope="module")
def plain() -> list[tuple[int, str, Command]]:
    """Return the commands of a run without a limit."""
    with engine_runs() as play:
        return seen(play(Watched(config(**EXITS)), MARKET, latency_ms=20))


@pytest.mark.parametrize("name", LIMITS)
def test_a_budget_has_nothing_refused_where_sending_all_has_much(run, plain, name):
    given, rules = LIMITS[name], rate_rules(**LIMITS[name])
    assert replayed(plain, rules).count(False) > 20, "the market moves more than the venue takes"
    mm = Watched(config(rate_limit=given, **EXITS))
    outcome = run(mm, MARKET, latency_ms=20)
    taken, counts = replayed(seen(outcome), rules), mm.symbols[XRP_USDT].counts
    assert len(taken) > 15
    assert all(taken)
    assert counts.rate_limited == 0
    assert counts.points > 0
    assert len(outcome.fills) > 5
    waits = [side.wait for side in (mm.symbols[XRP_USDT].bid, mm.symbols[XRP_USDT].ask)]
    assert all(wait.count and wait.time_ns and wait.bps_ns for wait in waits)


@pytest.mark.parametrize("name", LIMITS)
def test_sending_all_is_refused_in_the_venues_words_and_trips_the_guard(run, name):
    mm = Watched(config(rate_limit=LIMITS[name], rate_limit_policy="ignore", **EXITS))
    run(mm, MARKET, latency_ms=20)
    symbol = mm.symbols[XRP_USDT]
    assert symbol.counts.rate_limited > 20
    assert symbol.counts.rejected > 0
    assert held(symbol, NotQuoting.ORDER_REFUSED) > 0 or held(symbol, NotQuoting.REFUSED_TOO_OFTEN) > 0


def held(symbol: Any, reason: NotQuoting) -> int:
    return sum(side.stats.times_ns.get(reason, 0) for side in (symbol.bid, symbol.ask))


SHORT = [book(0, 2.3495, 2.3505), *(around(1 + 0.1 * step, 2.35 + 0.002 * (step % 2)) for step in range(60))]
"""A market that jumps ten times a second for six seconds, with which a starter's points are spent."""


@pytest.mark.parametrize("what", ["an unsafe book", "a halt", "an exit"])
def test_what_protects_is_sent_at_once_when_no_quote_may_move_any_more(run, what):
    events = {
        "an unsafe book": [book(7.1, 2.3506, 2.3505)],
        "a halt": [around(7.1, 2.35)],
        "an exit": [trade(7.05, 2.34, 10, "sell"), around(7.1, 2.335)],
    }
    commands = {7.1: HaltQuoting("a test", flatten=False)} if what == "a halt" else {}
    mm = Watched(config(rate_limit={"kraken": "starter"}, min_spread_pct=0.2, stop_loss_pct=0.4))
    outcome = run(mm, [*SHORT, *events[what], around(7.2, 2.35)], actors=[Commander(commands)])
    symbol = mm.symbols[XRP_USDT]
    assert symbol.bid.wait.count + symbol.ask.wait.count > 0
    cancelled = [event.ts_init for event in outcome.events("OrderCanceled")]
    assert cancelled.count(ns(7.1)) == (1 if what == "an exit" else 2)
    assert [order.ts_init for order in outcome.of("stop_loss")] == ([ns(7.1)] if what == "an exit" else [])
    assert symbol.counts.rate_limited == 0


def test_a_young_quote_is_not_moved_for_its_price_alone(run):
    """The book moves at every tenth of a second, and nobody trades; an order stands for two seconds."""
    mm = Watched(config(min_quote_life_seconds=2.0, min_spread_pct=0.5))
    outcome = run(mm, SHORT)
    moves: dict[Any, list[int]] = {}
    for name in ("OrderInitialized", "OrderPendingUpdate"):
        for event in outcome.events(name):
            moves.setdefault(event.client_order_id, []).append(event.ts_init)
    times = sorted(moves.values())
    assert [len(of_order) for of_order in times] == [4, 4]
    assert all(b - a >= ns(2) - ns(0) for of_order in times for a, b in itertools.pairwise(of_order))


# -- Several levels -------------------------------------------------------------------------------------------


class Thrifty(Watched):
    """Look after every plan at what is left for cancels, and whether a young order was moved before an old one."""

    def __init__(self, given: Any) -> None:
        super().__init__(given)
        self.moved: Counter[str] = Counter()
        self.costs: dict[str, int] = {}
        self.sent: list[tuple[int, float]] = []
        self.least_left, self.looks = math.inf, 0

    def modify_order(self, order_id: Any, **changes: Any) -> None:
        symbol = self.symbols[XRP_USDT]
        side = next(side for side in symbol.sides if side.order and side.order.order_id == order_id)
        self.moved[side.name] += 1
        worth = self.worth(symbol, side.order.resting, side.order.pending, side)
        self.sent.append((self.costs.get(side.name, 0), worth))
        super().modify_order(order_id, **changes)

    def look(self, now: int) -> None:
        """Leave out that a side has one order."""

    @staticmethod
    def worth(symbol: Any, resting: Any, target: Any, side: Any) -> float:
        touch = symbol.book.best_bid_ticks, symbol.book.best_ask_ticks
        return requote_worth(resting, target, *touch, is_bid=side.is_bid)

    def _requote(self, symbol: Any, now_ns: int) -> None:
        budget = self.orders._door._budgets[symbol.instrument_id]
        self.costs = {
            side.name: budget.cost(AMEND, side.order.order_id, now_ns) for side in symbol.sides if side.order
        }
        self.sent.clear()
        super()._requote(symbol, now_ns)
        live = [order for order in self.orders._live.values() if order.state is not OrderState.PENDING_CANCEL]
        reserve = sum(budget.cost(Command.CANCEL, order.order_id, now_ns) for order in live) + 1
        self.least_left = min(
            self.least_left, budget.rules.threshold - budget.counter.points(now_ns) - reserve
        )
        for side in symbol.sides if self.sent else ():
            if side.working is None or side.wait._since_ns is None or side.order.amends == MAX_AMENDS:
                continue  # one that has to be replaced costs more
            kept = budget.share(getattr(symbol.opposite(side).order, "order_id", None), now_ns)
            order_id, worth = side.order.order_id, self.worth(symbol, side.working, side.target, side)
            if budget.try_again_ns((AMEND,), order_id, URGENT, kept=kept, now_ns=now_ns) is None:
                self.looks += 1
                younger = [sent for sent in self.sent if sent[0] > self.costs[side.name] and sent[1] <= worth]
                assert not younger, f"{side.name} of worth {worth} waits while {younger} moved"


def lively(seed: int, stir_bps: float, traded: float, seconds: float) -> list[Any]:
    """Return a market of five books a second whose takers reach one level or several."""
    draw, mid, events = random.Random(seed), 2.35, []
    for step in range(round(5 * seconds)):
        at, mid = 0.2 * step, round(mid * (1 + draw.gauss(0, stir_bps * 1e-4)), 5)
        events.append(around(at, mid, 40.0))
        if draw.random() < traded:
            taker, reach = draw.choice(("buy", "sell")), draw.choice((0.001, 0.002, 0.004, 0.008))
            price = round(mid + (reach if taker == "buy" else -reach), 5)
            events.append(trade(at + 0.07, price, draw.choice((1, 3, 8, 30, 80)), taker))
    return events


CALM, BUSY = (0.3, 0.02), (1.0, 0.1)


@pytest.mark.parametrize(
    ("tier", "stir_bps", "traded"),
    [
        pytest.param("starter", *BUSY, id="starter-busy"),
        pytest.param("intermediate", *CALM, id="intermediate-calm"),
        *(
            pytest.param(tier, *market, id=f"{tier}-{name}", marks=pytest.mark.long)
            for tier, name, market in (
                ("starter", "calm", CALM),
                ("intermediate", "busy", BUSY),
                ("pro", "calm", CALM),
                ("pro", "busy", BUSY),
            )
        ),
    ],
)
def test_three_levels_share_the_points_of_a_tier(run, tier, stir_bps, traded):
    seconds = 150
    given = {"levels": 3, "level_spacing_bps": 8.0, "max_inventory": "100 XRP", "min_spread_pct": 0.05}
    mm = Thrifty(config(rate_limit={"kraken": tier}, **given))
    end = seconds + 0.1
    market = lively(5, stir_bps, traded, seconds) + [around(end + 0.1 * step, 2.35) for step in range(3)]
    halt = Commander({end: HaltQuoting("a test", flatten=True)})
    outcome = run(mm, market, actors=[halt], symbols=[XRP_USDT], latency_ms=20)
    assert mm.failures == []
    symbol = mm.symbols[XRP_USDT]
    assert symbol.counts.rate_limited == 0
    assert symbol.counts.points > 0.4 * seconds * rate_rules(kraken=tier).points_per_second
    assert mm.least_left >= 0
    assert (outcome.positions[XRP_USDT], [side.order for side in symbol.sides]) == (0, [None] * 6)
    for side in symbol.sides:
        quoted = 1 - sum(side.stats.times_ns.values()) / (end * 1e9)
        assert quoted > 0.25, side.name
    assert mm.looks > 0
    if stir_bps < 1:
        assert set(mm.moved) == {side.name for side in symbol.sides}
        assert mm.looks > 20


# -- Hand-worked sequences ------------------------------------------------------------------------------------


class Scripted(Watched):
    """Send a script's commands, each at its time after the first second, and no quotes of its own.

    Orders whose name begins with "btc" are of that pair.
    """

    def __init__(self, given: Any, *, steps: Sequence[Step]) -> None:
        super().__init__(given)
        self.steps, self.sent = steps, dict[str, WorkingOrder]()
        self.taken: list[bool] = []
        self.refusals: list[str] = []
        self.passed: list[Command] = []

    def on_start(self) -> None:
        super().on_start()
        for at, steps in itertools.groupby(self.steps, lambda step: step[0]):
            self.clock.set_time_alert_ns(
                f"script {at}", ns(1 + at), lambda _, now=list(steps): self.send(now)
            )

    def send(self, steps: Sequence[Step]) -> None:
        now_ns, door = self.clock.timestamp_ns(), self.orders._door
        for _, command, name, _ in steps:
            symbol = self.symbols[BTC_USDT if name.startswith("btc") else XRP_USDT]
            refused, half = symbol.counts.rate_limited, symbol.book.best_bid_ticks // 2
            if command is ADD:
                quote = Quote(half, symbol.sizes.order_limits.min_lots_at(half))
                amount, price = symbol.quantity(quote.size_lots), symbol.price(half)
                order = self.order_factory.limit(
                    symbol.instrument_id, OrderSide.BUY, amount, price, post_only=True
                )
                grounds = symbol.grounds(*quote[:2], now_ns)
                self.sent[name] = WorkingOrder(
                    symbol, None, order.client_order_id, QUOTE, True, quote, grounds, quote
                )
                door.submit(order, self.sent[name], now_ns)
            elif command is AMEND:
                door.amend(self.sent[name], None, symbol.price(half + len(self.taken)), now_ns)
            else:
                door.cancel(self.sent[name], now_ns)
            self.taken.append(symbol.counts.rate_limited == refused)

    def on_order_event(self, event: Any) -> None:
        if type(event).__name__.endswith("Rejected"):
            self.refusals.append(event.reason)
        super().on_order_event(event)

    def submit_order(self, order: Any, **options: Any) -> None:
        self.passed.append(Command.ADD)
        super().submit_order(order, **options)

    def modify_order(self, order_id: Any, **changes: Any) -> None:
        self.passed.append(Command.AMEND)
        super().modify_order(order_id, **changes)

    def cancel_order(self, order_id: Any) -> None:
        self.passed.append(Command.CANCEL)
        super().cancel_order(order_id)

    def points(self, symbol: str, at: float) -> float:
        return self.orders._door._budgets[iid(symbol)].counter.points(ns(1 + at))

    def _requote(self, symbol: Any, now_ns: int) -> None:
        """Quote nothing."""


def scripted(run: Any, limit: dict[str, Any], steps: Sequence[Step], end: float) -> Scripted:
    symbols = {XRP_USDT: {}, BTC_USDT: {"position_size": "0.001 BTC", "max_inventory": "1 BTC"}}
    mm = Scripted(config(rate_limit=limit, rate_limit_policy="ignore", symbols=symbols), steps=steps)
    books = [
        event for at in (0, 3 + end) for event in (around(at, 2.35), book(at, 95_000.0, 95_001.0, BTC_USDT))
    ]
    run(mm, books, symbols=[XRP_USDT, BTC_USDT], latency_ms=5)
    assert mm.failures == []
    return mm


@pytest.mark.parametrize("name", SEQUENCES)
def test_the_venue_takes_each_sequence_as_worked_by_hand(run, name):
    limit, steps, then, points = SEQUENCES[name]
    mm = scripted(run, limit, steps, max([then, *(at for at, *_ in steps)]))
    expected = [is_taken for *_, is_taken in steps]
    assert mm.taken == expected
    assert mm.points(XRP_USDT, then) == pytest.approx(points, abs=1e-6)
    assert mm.refusals == [rate_rules(**limit).refusal] * expected.count(False)
    assert mm.passed == [command for _, command, _, is_taken in steps if is_taken]


def test_each_pair_has_its_counter_of_krakens_and_all_share_a_bucket(run):
    mm = scripted(run, LIMITS["starter"], [*spent(60), (0, ADD, "btc", True), (0, ADD, "a", False)], 0)
    assert mm.taken == [True] * 25 + [False]
    assert (mm.points(XRP_USDT, 0), mm.points(BTC_USDT, 0)) == (61, 1)
    bucket = {"actions": 2, "seconds": 2.0}
    mm = scripted(run, bucket, [(0, ADD, "a", True), (0, ADD, "btc", True), (0, ADD, "btc 2", False)], 0)
    assert mm.taken == [True, True, False]
