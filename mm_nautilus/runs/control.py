"""Progress, interruption and the orderly end of a run, from inside the engine."""

from collections.abc import Callable
from typing import Any, Final, Self

from nautilus_trader.common import DataActorConfig
from nautilus_trader.model import ActorId

from mm_nautilus.system.moments import SECOND_NS
from mm_nautilus.trading.fail_fast import GuardedActor
from mm_nautilus.trading.messages import COMMANDS_TOPIC, EVENTS_TOPIC, MarketGap, StopQuoting
from mm_nautilus.trading.pausing import PausingTimer

__all__ = ["WIND_DOWN_SECONDS", "RunControl"]

_TIMER: Final = "run-control"
_END_ALERT: Final = "run-control-end"
WIND_DOWN_SECONDS: Final = 3
"""Time before the end of the data, in seconds, at which positions are closed where that is configured."""


class RunControl(GuardedActor):
    """Report progress every simulated second, and wind the strategies down at the end or on a signal.

    Parameters
    ----------
    start_ns, end_ns
        First and last moment of the data, nanoseconds since the epoch.
    flatten
        Whether positions are closed before the end.
    on_progress
        Called with the share of the data done, 0..1.
    interrupted
        Returns whether the run is to end now.
    """

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self:
        """Hand the engine's own options to its base class."""
        return super().__new__(cls, DataActorConfig(actor_id=ActorId("CONTROL-001")))  # type: ignore[call-arg]

    def __init__(
        self,
        *,
        start_ns: int,
        end_ns: int,
        flatten: bool,
        on_progress: Callable[[float], None],
        interrupted: Callable[[], bool],
    ) -> None:
        super().__init__()
        self._start_ns = start_ns
        self._end_ns = end_ns
        self._wind_down_ns = end_ns - WIND_DOWN_SECONDS * SECOND_NS
        self._flatten = flatten
        self._on_progress = on_progress
        self._interrupted = interrupted
        self._winding_down = False

    def on_start(self) -> None:
        """Set the timer, and listen for gaps."""
        self._timer = PausingTimer(self.clock, _TIMER, SECOND_NS, may_pause=True)
        self.subscribe_topic(EVENTS_TOPIC, self._on_gap)

    def _on_gap(self, message: object) -> None:
        """Pause while strategies do, but for the end of the data."""
        if isinstance(message, MarketGap) and message.is_over:
            self._timer.resume()
        elif isinstance(message, MarketGap):
            self._timer.pause()
            self.clock.set_time_alert_ns(_END_ALERT, max(self._wind_down_ns, self.clock.timestamp_ns() + 1))

    def on_time_event(self, event: Any) -> None:
        """Report progress; wind down and, after one more second, shut down where that is due."""
        if not self._timer.ticks(event) and event.name != _END_ALERT:
            return
        if self._interrupted():
            if self._winding_down:
                self.shutdown_system("interrupted")
            else:
                self._wind_down("interrupted")
            return
        span = max(1, self._end_ns - self._start_ns)
        self._on_progress(min(1.0, (event.ts_event - self._start_ns) / span))
        near_end = event.ts_event >= self._wind_down_ns
        if self._flatten and near_end and not self._winding_down:
            self._wind_down("end of the data")

    def _wind_down(self, reason: str) -> None:
        self._winding_down = True
        self.publish_message(COMMANDS_TOPIC, StopQuoting(reason, self._flatten))
