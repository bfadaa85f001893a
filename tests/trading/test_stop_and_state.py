"""The end of a run, and what the next one knows of it."""

import json

import pytest
from nautilus_trader.common import DataActor, DataActorConfig
from nautilus_trader.model import ActorId, BookType, OrderSide
from scripting import BTC_USDT, XRP_USDT, Watched, book, config, iid, ns, size, trade

from mm_nautilus.metrics.actor import MetricsActor, MetricsActorConfig
from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.trading.messages import COMMANDS_TOPIC, StopQuoting

CALM = (2.3495, 2.3505)
BUY = trade(1, 2.348, 10, "sell")


@pytest.mark.parametrize("latency_ms", [0, 200])
def test_stopping_cancels_everything(run, latency_ms):
    given = config() | {
        "symbols": {XRP_USDT: {}, BTC_USDT: {"position_size": "0.001 BTC", "max_inventory": 1000}}
    }
    mm = Watched(given)
    data = [
        event for at in (0, 1) for event in (book(at, *CALM), book(at, 93999.0, 94001.0, symbol=BTC_USDT))
    ]
    outcome = run(mm, data, latency_ms=latency_ms)
    assert len(outcome.orders) == 4
    assert [order for order in outcome.orders if not order.is_closed] == []
    assert mm.failures == []


@pytest.mark.parametrize(("flatten", "left"), [(True, 0), (False, 10)])
def test_stopping_closes_positions_where_that_is_configured(run, flatten, left):
    mm = Watched(config(flatten_on_stop=flatten))
    outcome = run(mm, [book(0, *CALM), BUY, book(2, *CALM), book(3, *CALM)])
    assert outcome.positions[XRP_USDT] == left
    assert len(outcome.of("stop")) == flatten
    assert [order for order in outcome.orders if not order.is_closed] == []
    assert outcome.events("OrderDenied") == []


class Winder(DataActor):
    """Publish a wind-down at a given time."""

    def __new__(cls, *_args):
        return super().__new__(cls, DataActorConfig(actor_id=ActorId("WINDER-001")))

    def __init__(self, at: float, message: object) -> None:
        super().__init__()
        self.at, self.message = at, message

    def on_start(self) -> None:
        self.clock.set_time_alert_ns("wind", ns(self.at))

    def on_time_event(self, _event) -> None:
        self.publish_message(COMMANDS_TOPIC, self.message)


@pytest.mark.parametrize(("flatten", "left"), [(True, 0), (False, 10)])
@pytest.mark.parametrize("balances", [["10000 USDT", "10000 XRP"], ["100 USDT"]])
def test_a_wind_down_cancels_and_closes_while_the_run_goes_on(run, flatten, left, balances):
    """With 100 USDT alone the ask holds all of the bought XRP, which the exit then waits for."""
    mm = Watched(config())
    actor = Winder(3.5, StopQuoting("enough", flatten=flatten))
    data = [book(0, *CALM), book(0.5, *CALM), BUY, *(book(at, *CALM) for at in (2, 3, 4, 5, 6))]
    outcome = run(mm, data, actors=[actor], balances=balances, latency_ms=100)
    assert [mm.quotes_at(at) for at in (5, 6)] == [{}, {}]
    assert outcome.positions[XRP_USDT] == left
    assert mm.symbols[XRP_USDT].bid.stats.counts[NotQuoting.STOPPING] == 1
    assert outcome.events("OrderDenied") == []


def test_other_messages_on_the_topic_change_nothing(run):
    mm = Watched(config())
    run(mm, [book(at, *CALM) for at in range(6)], actors=[Winder(2.5, "wind down, please")])
    assert sorted(mm.quotes_at(5)) == ["ask", "bid"]


# -- State --------------------------------------------------------------------------------------------------


class Late(Watched):
    """Buy 10 XRP at 1 s, as an earlier life did, and start properly at 1.5 s."""

    buys = True

    def on_start(self) -> None:
        self.subscribe_book_deltas(iid(XRP_USDT), BookType.L2_MBP, managed=True)
        self.clock.set_time_alert_ns("buy", ns(1))
        self.clock.set_time_alert_ns("late", ns(1.5))

    def on_time_event(self, event) -> None:
        if event.name == "late":
            Watched.on_start(self)
        elif event.name == "buy" and self.buys:
            self.submit_order(self.order_factory.market(iid(XRP_USDT), OrderSide.BUY, size(XRP_USDT, 10)))
        elif event.name != "buy":
            super().on_time_event(event)


def saved(run, **changes) -> dict[str, bytes]:
    """Run a first life: 10 XRP bought at 2.34882, a best bid of 2.351, and maybe a fall afterwards."""
    fall = changes.pop("fall", [])
    mm = Watched(config(**changes))
    run(mm, [book(0, *CALM), BUY, book(2, 2.3508, 2.3518), book(3, *CALM), *fall])
    state = mm.save()
    assert isinstance(state, dict)
    return state


def second_life(run, state: dict[str, bytes], *, position: bool = True, **changes) -> tuple:
    mm = Late(config(**changes))
    mm.buys = position
    mm.load(state)
    outcome = run(mm, [book(at, *CALM) for at in (0, 2, 3)])
    assert mm.failures == []
    return mm, outcome


def test_entry_extremes_and_counts_survive_a_restart(run):
    state = saved(run)
    mm, _ = second_life(run, state)
    entry = mm.position_entries[XRP_USDT]
    assert (entry["highest_price"], entry["side"]) == (2.3508, "long")
    assert entry["entry_price"] == pytest.approx(2.3505), "the engine's average price counts"
    before = json.loads(state["market_maker"])["symbols"][XRP_USDT]["counts"]
    symbol = mm.symbols[XRP_USDT]
    assert before["fills"] == 1
    assert (symbol.counts.fills, symbol.counts.maker_fills) == (1, 1)
    assert symbol.counts.placed > before["placed"]


def test_without_the_position_there_is_no_entry(run):
    mm, _ = second_life(run, saved(run), position=False)
    assert mm.position_entries == {}


def test_without_a_state_the_engines_position_is_the_entry(run):
    mm, _ = second_life(run, {})
    assert mm.position_entries[XRP_USDT]["entry_price"] == pytest.approx(2.3505)
    assert mm.position_entries[XRP_USDT]["side"] == "long"


def test_a_cooldown_survives_a_restart(run):
    state = saved(run, cooldown_seconds=3600.0)
    mm, _ = second_life(run, state, cooldown_seconds=3600.0)
    assert sorted(mm.quotes_at(3)) == ["ask"]


def test_a_cooldown_that_begins_ahead_as_the_clock_was_set_back_begins_at_the_restart(run):
    document = json.loads(saved(run, cooldown_seconds=1.0)["market_maker"])
    document["symbols"][XRP_USDT]["last_fill_ns"]["bid"] = ns(3600)
    mm, _ = second_life(run, {"market_maker": json.dumps(document).encode()}, cooldown_seconds=1.0)
    assert sorted(mm.quotes_at(3)) == ["ask", "bid"]


@pytest.mark.parametrize("flatten", [False, True])
def test_a_halt_survives_a_restart(run, flatten):
    limits = {"max_drawdown_pct": 0.2, "cooldown_seconds": 3600.0, "flatten_on_halt": flatten}
    state = saved(run, **limits, fall=[book(at, 2.3195, 2.3205) for at in (4, 5, 6)])
    mm, outcome = second_life(run, state, **limits)
    assert mm.symbols[XRP_USDT].is_halted
    assert mm.quotes_at(3) == {}
    assert len(outcome.of("halt")) == flatten
    assert outcome.positions[XRP_USDT] == (0 if flatten else 10)


def test_an_account_halt_survives_a_restart(run):
    limits = {"max_account_drawdown_pct": 0.0001, "cooldown_seconds": 3600.0}
    state = saved(run, **limits, fall=[book(at, 2.3195, 2.3205) for at in (4, 5, 6)])
    document = json.loads(state["market_maker"])
    assert document["account"]["halted"]
    mm, _ = second_life(run, state, **limits)
    assert mm.symbols[XRP_USDT].is_halted


def test_a_state_is_not_lost_by_a_start_that_fails(run):
    state = saved(run)
    mm = Watched(config(gamma=7.0))
    mm.load(state)
    run(mm, [book(0, *CALM)])
    assert mm.save() == state


def test_counts_and_results_survive_a_restart_and_go_on(run):
    """The engine's position was there before the actor: only what follows is booked, on top of what was saved."""
    first = MetricsActor(MetricsActorConfig(interval_seconds=1.0))
    round_trip = [book(0, *CALM), BUY, book(2, *CALM), trade(3, 2.352, 10, "buy"), book(4, *CALM)]
    run(Watched(config(cooldown_seconds=0.5)), round_trip, actors=[first])
    before = first.ledger.get_symbol_stats(XRP_USDT)
    assert before["trades"] == 1

    again = MetricsActor(MetricsActorConfig(interval_seconds=1.0))
    again.load(first.save())
    mm = Late(config(cooldown_seconds=0.5))
    sale = [trade(4, 2.36, 10, "buy"), book(5, *CALM)]
    outcome = run(mm, [*(book(at, *CALM) for at in (0, 2, 3)), *sale], actors=[again])
    assert outcome.positions[XRP_USDT] == 0
    assert [*again.failures, *mm.failures] == []
    after = again.ledger.get_symbol_stats(XRP_USDT)
    assert after["trades"] == 2
    sold = outcome.fills[-1]
    metrics, _ = again.final(ns(6))
    assert metrics[0].fills == 3
    assert sold.side == "sell"
    gain = 10 * (float(sold.price) - 2.3505)
    assert after["pnl"] - before["pnl"] == pytest.approx(gain - float(sold.fee.split()[0]), abs=1e-8)


def test_metrics_that_saw_no_strategy_hand_back_what_they_were_given():
    actor = MetricsActor()
    actor.load({"metrics": b'{"ledger": {}, "symbols": {}}'})
    assert json.loads(bytes(actor.save()["metrics"])) == {"ledger": {}, "symbols": {}}
