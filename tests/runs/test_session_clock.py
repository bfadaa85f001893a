"""A live run lasts as long as it is to, and dates what it reports, also where the wall clock is set meanwhile."""

from types import SimpleNamespace
from typing import Any

import pytest

from mm_nautilus.core.feed_guard import FeedData
from mm_nautilus.core.guards import SECOND_NS
from mm_nautilus.nautilus.messages import FeedRequest
from mm_nautilus.runs.session import Session, SessionControl, StopCause

START_NS = 1_800_000_000 * SECOND_NS


class Clocked(SessionControl):
    """A control on a clock that the test sets, with nothing to trade."""

    clock: Any = None

    def __init__(self, clock: Any, reported: list[int], duration_seconds: int | None = None) -> None:
        duration_ns = None if duration_seconds is None else duration_seconds * SECOND_NS
        strategy: Any = SimpleNamespace(desks={"XRP/USDT": SimpleNamespace(book_events=0)})
        super().__init__(
            Session(), strategy, [], duration_ns=duration_ns, flatten=False, on_report=reported.append
        )
        type(self).clock = clock
        self.calls: list[tuple[str, Any]] = []

    def subscribe_topic(self, *_arguments: Any) -> None:
        pass

    def publish_message(self, *_arguments: Any) -> None:
        pass

    def subscribe_trades(self, instrument_id: Any) -> None:
        self.calls.append(("subscribe", instrument_id))

    def unsubscribe_trades(self, instrument_id: Any) -> None:
        self.calls.append(("unsubscribe", instrument_id))


class FakeClock:
    """A wall clock; timers keep their schedule when it is set, as the engine's do."""

    def __init__(self) -> None:
        self.step_ns = 0
        self.elapsed_ns = 0

    def timestamp_ns(self) -> int:
        return START_NS + self.elapsed_ns + self.step_ns

    def set_timer_ns(self, name: str, _interval_ns: int) -> None:
        self.name = name

    def cancel_timer(self, _name: str) -> None:
        pass

    def event_at(self, seconds: float) -> Any:
        """Return the timer's event of so many seconds after the start."""
        self.elapsed_ns = round(seconds * SECOND_NS)
        return SimpleNamespace(name=self.name, ts_event=START_NS + self.elapsed_ns)


@pytest.mark.parametrize("step_seconds", [-3600, 0, 3600])
def test_a_run_lasts_as_long_as_it_is_to_and_dates_its_reports_by_the_clock(step_seconds: int) -> None:
    clock, reported = FakeClock(), []
    control = Clocked(clock, reported, duration_seconds=100)
    control.on_start()
    clock.step_ns = step_seconds * SECOND_NS
    for seconds in (30, 60, 99):
        control.on_time_event(clock.event_at(seconds))
        assert control._session.stop is None
    assert reported == [START_NS + (60 + step_seconds) * SECOND_NS]
    control.on_time_event(clock.event_at(100))
    assert control._session.stop is not None
    assert control._session.stop.cause is StopCause.DURATION


def test_trades_are_left_and_asked_for_with_the_others() -> None:
    control = Clocked(FakeClock(), [])
    for data in FeedData:
        for is_wanted in (False, True):
            control._on_control(FeedRequest("XRP/USDT.KRAKEN", data, is_wanted))  # type: ignore[arg-type]
    assert control.calls == [("unsubscribe", "XRP/USDT.KRAKEN"), ("subscribe", "XRP/USDT.KRAKEN")]
