"""A callback that raises ends the run: nothing goes on with half a state."""

import pytest
from scripting import XRP_USDT, Watched, book, config, ns, trade

from mm_nautilus.metrics.actor import MetricsActor, MetricsActorConfig
from mm_nautilus.trading.strategy import MarketMaker

CALM = (2.3495, 2.3505)
DATA = [book(0, *CALM), book(1, *CALM), trade(2, 2.348, 10, "sell"), *(book(at, *CALM) for at in range(3, 9))]


class BrokenError(Exception):
    """What the broken callbacks raise."""


def broken(base: type, callback: str, after: float = 0.0) -> type:
    """Return a subclass with one callback that raises, at events no earlier than `after` seconds."""

    def raises(self, event):
        self.called = getattr(self, "called", 0) + 1
        if getattr(event, "ts_init", ns(after)) >= ns(after):
            raise BrokenError("on purpose")
        getattr(base, callback)(self, event)

    raises.__name__ = raises.__qualname__ = callback
    return type("Broken", (base,), {callback: raises})


@pytest.mark.parametrize(
    "callback",
    [
        "on_book_deltas",
        "on_order_accepted",
        "on_order_filled",
        "on_position_event",
        "on_time_event",
        "on_order_event",
    ],
)
def test_a_failing_strategy_ends_the_run(run, callback):
    mm = broken(Watched, callback, after=1.0 if callback == "on_book_deltas" else 0.0)(config())
    outcome = run(mm, DATA)
    assert [type(failure.error) for failure in mm.failures] == [BrokenError]
    failure = mm.failures[0]
    assert failure.callback == callback
    assert "on purpose" in failure.traceback
    assert "raise BrokenError" in failure.traceback
    assert [order for order in outcome.orders if not order.is_closed] == [], "the stop still cancels"
    assert outcome.engine.iteration < len(DATA)


def test_nothing_runs_after_a_failure(run):
    mm = broken(Watched, "on_trade")(config(quoting="signal"))
    run(mm, [*DATA[:2], trade(2, 2.35, 1, "buy"), trade(2, 2.35, 1, "sell"), *DATA[3:]])
    assert mm.called == 1
    assert len(mm.failures) == 1
    assert max(at for at, _ in mm.seen) < 2


def test_a_failing_helper_of_a_callback_is_reported_once(run):
    class Helpless(MarketMaker):
        def on_book_deltas(self, deltas):
            super().on_book_deltas(deltas)

        def _requote(self, symbol, now_ns):
            raise BrokenError("deep down")

    mm = Helpless(config())
    outcome = run(mm, DATA)
    assert [failure.callback for failure in mm.failures] == ["MarketMaker.on_book_deltas"]
    assert outcome.orders == []


def test_a_failing_start_fails_the_run(run):
    class NoStart(Watched):
        def on_start(self):
            raise BrokenError("cannot start")

    mm = NoStart(config())
    with pytest.raises(RuntimeError):
        run(mm, DATA)
    assert [type(failure.error) for failure in mm.failures] == [BrokenError]


def test_a_failing_stop_is_recorded(run):
    class NoStop(Watched):
        def on_stop(self):
            super().on_stop()
            raise BrokenError("cannot stop")

    mm = NoStop(config())
    outcome = run(mm, DATA)
    assert [type(failure.error) for failure in mm.failures] == [BrokenError]
    assert [order for order in outcome.orders if not order.is_closed] == []


@pytest.mark.parametrize("callback", ["_on_booked", "on_time_event"])
def test_a_failing_actor_ends_the_run(run, callback):
    actor = broken(MetricsActor, callback)(MetricsActorConfig(interval_seconds=1.0))
    mm = Watched(config())
    outcome = run(mm, DATA, actors=[actor])
    assert [type(failure.error) for failure in actor.failures] == [BrokenError]
    assert actor.called == 1
    assert mm.failures == []
    assert [order for order in outcome.orders if not order.is_closed] == []
    assert outcome.engine.iteration < len(DATA)
    assert mm.symbols[XRP_USDT].counts.fills <= 1
