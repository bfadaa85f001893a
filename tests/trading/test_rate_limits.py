"""A venue's rate limit at the door of commands: what is refused, and what a budget of its points sends instead."""

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from guard_scripting import Commander
from nautilus_trader.model import OrderSide
from rate_sequences import ADD, AMEND, SEQUENCES, Step, spent
from scripting import BTC_USDT, XRP_USDT, Watched, around, book, config, iid, ns, restless, trade

from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.pricing.quotes import Quote
from mm_nautilus.risk.rate_limit import Command, RateCounter, rate_rules
from mm_nautilus.trading.messages import HaltQuoting
from mm_nautilus.trading.working_order import QUOTE, WorkingOrder

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


def replayed(outcome: Any, rules: Any) -> list[bool]:
    """Return of each command that the engine saw whether a counter of the venue's own takes it."""
    counter, since_ns, taken = RateCounter(rules), {}, []
    events = [(event, command) for name, command in COMMANDS.items() for event in outcome.events(name)]
    for event, command in sorted(events, key=lambda item: item[0].ts_init):
        if event.ts_init >= LAST_NS:  # the cancels of the stop
            break
        order_id, now_ns = event.client_order_id, event.ts_init
        taken.append(counter.take(command, now_ns, now_ns - since_ns.get(order_id, now_ns)))
        if command is not Command.CANCEL:
            since_ns[order_id] = now_ns
    return taken


@pytest.mark.parametrize("name", LIMITS)
def test_a_budget_has_nothing_refused_where_sending_all_has_much(run, name):
    given, rules = LIMITS[name], rate_rules(**LIMITS[name])
    plain = run(Watched(config(**EXITS)), MARKET, latency_ms=20)
    assert replayed(plain, rules).count(False) > 20, "the market moves more than the venue takes"
    mm = Watched(config(rate_limit=given, **EXITS))
    outcome = run(mm, MARKET, latency_ms=20)
    taken, counts = replayed(outcome, rules), mm.symbols[XRP_USDT].counts
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
