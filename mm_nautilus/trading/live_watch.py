"""Watch what only a live run has: connections, the wall clock, the venue's status and the kill switch."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from nautilus_trader.common import SocketState

from mm_nautilus.risk.clock import ClockGuard, ClockReading
from mm_nautilus.risk.kill_switch import HaltOrder, KillSwitch
from mm_nautilus.risk.venue_state import VenueState
from mm_nautilus.system.moments import SECOND_NS
from mm_nautilus.trading.fail_fast import GuardedActor
from mm_nautilus.trading.messages import (
    COMMANDS_TOPIC,
    EVENTS_TOPIC,
    ClockState,
    FeedConnection,
    HaltQuoting,
    ResumeQuoting,
    StrategyStarted,
    VenueChange,
)

CLOCK_SETTLE_SECONDS: Final = 3.0
"""How long wall and monotonic clock must agree after a step before times are trusted, seconds."""

_TIMER: Final = "live-guard"
_LOOK_INTERVAL_NS: Final = SECOND_NS // 4


def read_clocks(engine_ns: int) -> ClockReading:
    """Read the system's clocks together with the engine's time in nanoseconds since the epoch."""
    return ClockReading(time.time_ns(), time.monotonic_ns(), engine_ns)


class LiveWatch(GuardedActor):
    """Publish connection changes, steps of the wall clock, the venue's status and the kill switch's commands.

    Start this actor before the strategies, and set `is_live` in their `conditions`.

    Parameters
    ----------
    max_clock_step_seconds
        Largest change of the wall clock against the monotonic clock that does not count as a step, seconds.
    clocks
        Reads the clocks together with the engine's time; tests replace it.
    """

    actor_name = "GUARD-001"

    def __init__(
        self,
        kill_switch: KillSwitch,
        *,
        max_clock_step_seconds: float,
        kill_signals: Callable[[], int] = lambda: 0,
        venue_states: Callable[[], Mapping[str, VenueState]] = lambda: {},
        clocks: Callable[[int], ClockReading] = read_clocks,
    ) -> None:
        super().__init__()
        self._kill_switch, self._kill_signals, self._venue_states = kill_switch, kill_signals, venue_states
        self._reported_states: Mapping[str, VenueState] = {}
        self._clocks = clocks
        self._clock_guard = ClockGuard(
            round(max_clock_step_seconds * SECOND_NS), round(CLOCK_SETTLE_SECONDS * SECOND_NS)
        )
        self._lost: set[tuple[str, str]] = set()
        self._signals_seen = 0
        self._order: HaltOrder | None = None
        self._may_resume = True

    def on_start(self) -> None:
        """Subscribe to connections, strategy events and commands, and start the timer."""
        self.subscribe_socket_state()
        self.subscribe_topic(EVENTS_TOPIC, self._on_message)
        self.subscribe_topic(COMMANDS_TOPIC, self._on_command)
        self.clock.set_timer_ns(_TIMER, _LOOK_INTERVAL_NS)

    def _on_message(self, message: object) -> None:
        """Check venue and kill switch when a strategy starts, before it sends its first order."""
        if isinstance(message, StrategyStarted):
            self._reported_states = {}
            self._look_at_venue()
            self._look_at_kill_switch()

    def on_socket_state(self, event: Any) -> None:
        """Publish when the first connection is lost and when all are back."""
        connection = (str(event.client_id), event.endpoint)
        was_connected = not self._lost
        if event.state == SocketState.DISCONNECTED:
            self._lost.add(connection)
        else:
            self._lost.discard(connection)
        is_connected = not self._lost
        log = self.log.info if is_connected else self.log.warning
        log(f"MM: {event.endpoint} of {event.client_id} {'connected' if is_connected else 'disconnected'}")
        if is_connected != was_connected:
            self.publish_message(COMMANDS_TOPIC, FeedConnection(is_connected))

    def on_time_event(self, event: Any) -> None:
        """Check the clocks, the venue's status and the kill switch."""
        if event.name == _TIMER:
            self._look_at_clocks()
            self._look_at_venue()
            self._look_at_kill_switch()

    def _look_at_clocks(self) -> None:
        guard = self._clock_guard
        was_settled = guard.is_settled
        has_stepped = guard.look(self._clocks(self.clock.timestamp_ns()))
        if has_stepped or guard.is_settled != was_settled:
            self.publish_message(COMMANDS_TOPIC, ClockState(guard.is_settled, guard.step_ns / SECOND_NS))

    def _look_at_venue(self) -> None:
        states = self._venue_states()
        if states != self._reported_states:
            self._reported_states = states
            self.publish_message(COMMANDS_TOPIC, VenueChange(states))

    def _look_at_kill_switch(self) -> None:
        order, signals = self._kill_switch.order(), self._kill_signals()
        if order is None and signals > self._signals_seen:
            order = HaltOrder("a signal")
        self._signals_seen = signals
        if order is not None:
            if order != self._order:
                self.publish_message(COMMANDS_TOPIC, HaltQuoting(order.reason, order.flatten))
        elif self._kill_switch.is_resume_wanted:
            reason = self._kill_switch.resume_reason()
            if self._take_resume():
                self.publish_message(COMMANDS_TOPIC, ResumeQuoting(reason))

    def _on_command(self, message: object) -> None:
        """Write every halt command to the halt file, so that it survives a restart until a resume command."""
        if isinstance(message, ResumeQuoting):
            self._order = None
            self._forget_halt()
        elif isinstance(message, HaltQuoting):
            self._order = HaltOrder(message.reason, message.flatten)
            if self._kill_switch.order() is None:
                self._keep_halt(self._order)

    def _keep_halt(self, order: HaltOrder) -> None:
        path = self._kill_switch.halt_path
        try:
            self._kill_switch.halt(order)
        except OSError as error:
            self.log.error(
                f"MM: halted, but the halt would not survive a restart: {path} cannot be written: {error}"
            )

    def _forget_halt(self) -> None:
        try:
            self._kill_switch.halt_path.unlink(missing_ok=True)
        except OSError as error:
            self.log.error(
                f"MM: {self._kill_switch.halt_path} cannot be removed and will halt again: {error}"
            )

    def _take_resume(self) -> bool:
        """Remove the resume file before resuming, else it would clear every later halt; return whether that worked."""
        try:
            self._kill_switch.resume_path.unlink(missing_ok=True)
        except OSError as error:
            if self._may_resume:
                path = self._kill_switch.resume_path
                self.log.error(f"MM: not resumed: {path} cannot be removed: {error}")
            self._may_resume = False
            return False
        self._may_resume = True
        return True
