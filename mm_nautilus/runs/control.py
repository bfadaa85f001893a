"""The orderly end of a run from inside the engine: quotes first, then the engine."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from nautilus_trader.model import InstrumentId

from mm_nautilus.risk.feed import FeedData
from mm_nautilus.system.moments import SECOND_NS
from mm_nautilus.trading.fail_fast import CallbackFailure, GuardedActor
from mm_nautilus.trading.messages import COMMANDS_TOPIC, EVENTS_TOPIC, FeedRequest, MarketGap, StopQuoting
from mm_nautilus.trading.pausing import PausingTimer
from mm_nautilus.trading.strategy import MarketMaker

_TIMER: Final = "run-control"
_END_ALERT: Final = "run-control-end"
_FLATTEN_SECONDS: Final = 3
"""Time before the end of a backtest's data at which positions are closed, if configured."""
_LOOK_INTERVAL_NS: Final = SECOND_NS // 10
_REPORT_INTERVAL_NS: Final = 60 * SECOND_NS
_LOST_AFTER_NS: Final = 5 * SECOND_NS
"""Time without any event after which the missing ones of an ended feed are taken for lost."""
STANDSTILL_SECONDS: Final = 10.0
"""Longest time for which the engine's clock may stand still after the wall clock was set back, if orders have a
latency: it is counted in the engine's time, so that neither orders nor cancels reach the simulated venue."""
WIND_DOWN_SECONDS: Final = 2.0
"""Longest wait for cancels and exits before the engine is stopped."""


class StopCause(StrEnum):
    """Why a run ends."""

    SIGNAL = "signal"
    DURATION = "duration"
    FEED_END = "end of the feed"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class StopRequest:
    """The first request to end a run."""

    cause: StopCause
    text: str
    asked_at: float
    """Time of the request or its last delay, seconds of the monotonic clock."""
    events: int = 0
    """Book events and trades to be processed before."""


class StopController:
    """One run's request to end, which any thread may make; the first one counts.

    Only a feed's end waits until everything the venue had sent is processed, and any other request replaces it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.stop: StopRequest | None = None

    def request_stop(self, cause: StopCause, text: str, *, events: int = 0) -> None:
        """Request the end unless it has been requested."""
        with self._lock:
            if self.stop is None or self.stop.cause is StopCause.FEED_END is not cause:
                self.stop = StopRequest(cause, text, time.monotonic(), events)

    def delay(self) -> None:
        """Let the end wait for events that were sent before it."""
        with self._lock:
            if self.stop is not None:
                self.stop = replace(self.stop, asked_at=time.monotonic())


class RunControl(GuardedActor):
    """Report progress every simulated second, and wind the strategies down at the end or on a signal."""

    actor_name = "CONTROL-001"

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
        self._start_ns, self._end_ns, self._flatten = start_ns, end_ns, flatten
        self._wind_down_ns = end_ns - _FLATTEN_SECONDS * SECOND_NS
        self._on_progress, self._interrupted = on_progress, interrupted
        self._winding_down = False

    def on_start(self) -> None:
        """Set the timer, and subscribe to gaps."""
        self._timer = PausingTimer(self.clock, _TIMER, SECOND_NS, may_pause=True)
        self.subscribe_topic(EVENTS_TOPIC, self._on_gap)

    def _on_gap(self, message: object) -> None:
        """Pause while strategies do, except for the end of the data."""
        if isinstance(message, MarketGap) and message.is_over:
            self._timer.resume()
        elif isinstance(message, MarketGap):
            self._timer.pause()
            self.clock.set_time_alert_ns(_END_ALERT, max(self._wind_down_ns, self.clock.timestamp_ns() + 1))

    def on_time_event(self, event: Any) -> None:
        """Report progress; wind down and, one second after a signal, shut down."""
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
        if self._flatten and event.ts_event >= self._wind_down_ns and not self._winding_down:
            self._wind_down("end of the data")

    def _wind_down(self, reason: str) -> None:
        self._winding_down = True
        self.publish_message(COMMANDS_TOPIC, StopQuoting(reason, self._flatten))


class SessionControl(GuardedActor):
    """Watch and end a live run from inside the engine.

    It subscribes to the trades that the simulated venue matches with, and calls `on_report` at the start and once a
    minute with the time in nanoseconds since the epoch. At the end it lets the strategy cancel (and, with `flatten`,
    close) everything before it stops the engine: fills while the engine stops reach no callback. If `has_latency`, a
    clock that stands still ends the run.
    """

    actor_name = "CONTROL-001"

    def __init__(
        self,
        session: StopController,
        strategy: MarketMaker,
        instrument_ids: Sequence[InstrumentId],
        *,
        duration_ns: int | None,
        flatten: bool,
        on_report: Callable[[int], None],
        has_latency: bool = False,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        super().__init__()
        self._session, self._strategy, self._instrument_ids = session, strategy, instrument_ids
        self._duration_ns, self._flatten, self._on_report = duration_ns, flatten, on_report
        self._has_latency, self._wall_ns = has_latency, wall_ns
        self._next_report_ns = 0
        self._give_up_ns: int | None = None
        self.start_ns: int | None = None
        self.trades = 0
        self._events_seen = -1
        self._fed_ns = 0

    def on_start(self) -> None:
        """Subscribe to trades and set the timer."""
        for instrument_id in self._instrument_ids:
            self.subscribe_trades(instrument_id)
        self.subscribe_topic(COMMANDS_TOPIC, self._on_command)
        self.start_ns = self.clock.timestamp_ns()
        self._next_report_ns = self.start_ns
        self.clock.set_timer_ns(_TIMER, _LOOK_INTERVAL_NS)

    def on_trade(self, _trade: Any) -> None:
        """Count a trade."""
        self.trades += 1

    def _on_command(self, message: object) -> None:
        """Subscribe to trades again or no more, as the strategy does to its feeds."""
        if isinstance(message, FeedRequest) and message.data is FeedData.TRADES:
            (self.subscribe_trades if message.is_wanted else self.unsubscribe_trades)(message.instrument_id)

    def on_time_event(self, event: Any) -> None:
        """Report at the start and after each minute, and end the run on a request."""
        if event.name != _TIMER:
            return
        # The timer keeps its schedule when the wall clock is set: it measures how long the run has lasted.
        now_ns = event.ts_event
        self._look(now_ns)
        stop = self._session.stop
        if stop is not None and self._is_still_fed(stop, now_ns):
            self._session.delay()
        elif stop is not None:
            self._end(stop, now_ns)
        elif now_ns >= self._next_report_ns:
            self._next_report_ns += _REPORT_INTERVAL_NS
            self._on_report(self.clock.timestamp_ns())

    def _look(self, now_ns: int) -> None:
        end_ns = None if self._duration_ns is None else (self.start_ns or now_ns) + self._duration_ns
        if end_ns is not None and now_ns >= end_ns:
            self._session.request_stop(StopCause.DURATION, "the configured duration is over")
        ahead_seconds = (self.clock.timestamp_ns() - self._wall_ns()) / SECOND_NS
        if self._has_latency and ahead_seconds > STANDSTILL_SECONDS:
            self._session.request_stop(
                StopCause.FAILURE,
                f"the wall clock was set back: the engine's clock stands still for {ahead_seconds:.0f} s, and no order "
                "or cancel reaches the simulated venue meanwhile; a restart continues at once",
            )
        if not self._strategy.symbols:
            reasons = "; ".join(self._strategy.config_warnings) or "no reason was given"
            self._session.request_stop(StopCause.FAILURE, f"the strategy does not quote: {reasons}")

    @property
    def events(self) -> int:
        """Book events and trades so far."""
        return self.trades + sum(symbol.book_events for symbol in self._strategy.symbols.values())

    def _is_still_fed(self, stop: StopRequest, now_ns: int) -> bool:
        """Return whether events that the venue sent before its feed ended are still on their way.

        Events that were lost with a connection never come: the wait ends after five seconds without any.
        """
        if stop.cause is not StopCause.FEED_END:
            return False
        if self.events != self._events_seen:
            self._events_seen, self._fed_ns = self.events, now_ns
        quiet_ns = now_ns - self._fed_ns
        return quiet_ns < (_LOOK_INTERVAL_NS if self.events >= stop.events else _LOST_AFTER_NS)

    def _end(self, stop: StopRequest, now_ns: int) -> None:
        """Wind the strategy down and, once that is done or the wait is over, stop the engine."""
        if self._give_up_ns is None:
            self._give_up_ns = now_ns + round(WIND_DOWN_SECONDS * SECOND_NS)
            self.log.info(f"ending: {stop.text}")
            self.publish_message(COMMANDS_TOPIC, StopQuoting(stop.text, self._flatten))
        elif self._is_clear() or now_ns >= self._give_up_ns:
            self.clock.cancel_timer(_TIMER)
            self.shutdown_system(stop.text)

    def _is_clear(self) -> bool:
        """Return whether no order is left and, with `flatten`, no position that can be closed."""
        if self.cache.orders_open_count() or self.cache.orders_inflight_count():
            return False
        symbols = self._strategy.symbols.values()
        return not (self._flatten and any(symbol.closing.is_possible for symbol in symbols))

    def on_failure(self, failure: CallbackFailure) -> None:
        """Ask for the end, in whatever way the engine allows now."""
        self._session.request_stop(StopCause.FAILURE, failure.text)
        super().on_failure(failure)
