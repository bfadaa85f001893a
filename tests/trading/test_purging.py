"""What may be forgotten while a run goes on: closed orders may, closed positions take their PnL with them."""

from typing import Any

import pytest
from scripting import SPECS, Outcome, Watched, iid, make_engine
from test_metrics_actor import BALANCES, Listener, three_pairs
from test_strategy_guards import others, restless

from mm_nautilus.metrics.actor import AccountingError, MetricsActor, MetricsActorConfig


class Forgetful(Watched):
    """Purge closed orders, and closed positions where that is asked for, at every book event from 10 s on."""

    forgets_orders = forgets_positions = False
    most_orders = 0

    def on_book_deltas(self, deltas: Any) -> None:
        super().on_book_deltas(deltas)
        if self.forgets_orders and self.seen[-1][0] >= 10:
            self.cache.purge_closed_orders(deltas.ts_init, 0)
        if self.forgets_positions and self.seen[-1][0] >= 10:
            self.cache.purge_closed_positions(deltas.ts_init, 0)
        self.most_orders = max(self.most_orders, len(self.cache.orders()))


def played(*, cash: bool = True, **options: bool) -> dict[str, Any]:
    strategy = Forgetful(three_pairs())
    for name, value in options.items():
        setattr(strategy, name, value)
    metrics, listener = MetricsActor(MetricsActorConfig(interval_seconds=1.0)), Listener()
    engine = make_engine(cash=cash, balances=BALANCES)
    try:
        engine.add_actors([metrics, listener])
        engine.add_strategy(strategy)
        engine.add_data([*restless(11, 250), *others(11, 250)])
        engine.run()
        outcome = Outcome(engine)
        outcome.read()
        rows, account = metrics.figures(0)
        return {
            "failures": [type(failure.error) for failure in (*strategy.failures, *metrics.failures)],
            "rows": [repr(row.to_dict()) for row in rows],
            "account": account,
            "balances": outcome.balances,
            "positions": outcome.positions,
            "realized": {symbol: engine.portfolio.realized_pnl(iid(symbol)) for symbol in SPECS},
            "results": [(r.symbol, r.realized_change, r.trade_pnl, r.position) for r in listener.results],
            "entries": strategy.position_entries,
            "most_orders": strategy.most_orders,
        }
    finally:
        engine.dispose()


@pytest.mark.parametrize("cash", [True, pytest.param(False, marks=pytest.mark.long)], ids=["cash", "margin"])
def test_closed_orders_are_forgotten_without_a_trace(cash):
    whole, purged = played(cash=cash), played(cash=cash, forgets_orders=True)
    assert purged.pop("most_orders") < whole.pop("most_orders") / 3
    assert purged == whole
    assert len(whole["results"]) > 60


def test_a_closed_position_takes_its_results_with_it_and_the_run_fails_for_it():
    """Why runs never purge positions: the portfolio forgets what they realised, and the actor sees it."""
    assert AccountingError in played(forgets_positions=True)["failures"]
