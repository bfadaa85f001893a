"""Write the state file whenever what it keeps has changed."""

import traceback
from typing import Any, Final, Self

from nautilus_trader.common import DataActorConfig
from nautilus_trader.model import ActorId

from mm_nautilus.metrics.actor import MetricsActor
from mm_nautilus.runs.state_file import RunState, StateFile, StateWriteError
from mm_nautilus.system.moments import SECOND_NS
from mm_nautilus.trading.balances import Balances
from mm_nautilus.trading.fail_fast import CallbackFailure, GuardedActor
from mm_nautilus.trading.messages import EVENTS_TOPIC, BookingOrder, StateChanged, StrategyStarted
from mm_nautilus.trading.saved_account import SavedAccount
from mm_nautilus.trading.strategy import MarketMaker

__all__ = ["METRICS", "STRATEGY", "StateSaver"]

STRATEGY: Final = "strategy"
"""Name of the strategy among a state's components."""
METRICS: Final = "metrics"
"""Name of the metrics actor among a state's components."""

_TIMER: Final = "state-saver"


class StateSaver(GuardedActor):
    """Save balances, positions, strategy and metrics together: after every fill and halt, and on a timer.

    A fill is saved in the callback that tells of it, before the next event; extremes, drawdown and counts of orders,
    which change with the market, are saved when the timer comes and something has changed. Start the actor after
    the metrics actor and before the strategy.

    Parameters
    ----------
    file
        The open state file.
    strategy, metrics
        The components that are saved.
    interval_seconds
        Longest time that a change of extremes stays unsaved.
    """

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self:
        """Hand the engine's own options to its base class."""
        return super().__new__(cls, DataActorConfig(actor_id=ActorId("STATE-001")))  # type: ignore[call-arg]

    def __init__(
        self, file: StateFile, strategy: MarketMaker, metrics: MetricsActor, *, interval_seconds: float = 5.0
    ) -> None:
        super().__init__()
        self._file = file
        self._strategy = strategy
        self._metrics = metrics
        self._interval_ns = round(interval_seconds * SECOND_NS)
        self._balances: Balances | None = None

    def on_start(self) -> None:
        """Listen to the strategy and set the timer."""
        self.subscribe_topic(EVENTS_TOPIC, self._on_message, BookingOrder.SAVE)
        self.clock.set_timer_ns(_TIMER, self._interval_ns)

    def _on_message(self, message: object) -> None:
        """Save at once what has changed; before a strategy has started there would be nothing but what was read."""
        if isinstance(message, StateChanged):
            self.save_now()
        elif isinstance(message, StrategyStarted):
            self._balances = Balances(message.portfolio, next(iter(message.views)).venue)

    def on_time_event(self, event: Any) -> None:
        """Save what has changed since."""
        if event.name == _TIMER:
            self.save_now()

    def save_now(self) -> bool:
        """Save now, where strategy and metrics have begun and every fill is booked.

        Returns
        -------
        bool
            Whether there was anything to write.
        """
        if (
            self._balances is None
            or self._metrics.ledger is None
            or not self._strategy.persistence.is_settled
        ):
            return False
        account = SavedAccount(self._balances.totals(), tuple(self._strategy.persistence.positions))
        components = {STRATEGY: self._strategy.on_save(), METRICS: self._metrics.on_save()}
        return self._file.write(RunState(account, components))

    def save_last(self) -> None:
        """Save what the stop of the strategy did, which no callback tells.

        For the end of a run: after the node has run and strategy and metrics have caught up, before the node is
        disposed of. A file that cannot be written is one more failure of this actor, which fails the run.
        """
        try:
            self.save_now()
        except StateWriteError as error:
            self.failures.append(CallbackFailure("StateSaver.save_last", error, traceback.format_exc()))
