"""A live run lasts as long as it is to, and dates what it reports, also where the wall clock is set meanwhile."""

from types import SimpleNamespace
from typing import Any

import pytest

from mm_nautilus.risk.feed import FeedData
from mm_nautilus.runs.control import SessionControl, StopCause, StopController
from mm_nautilus.system.moments import SECOND_NS
from mm_nautilus.trading.messages import FeedRequest, StopQuoting

START_NS = 1_800_000_000 * SECOND_NS


class Clocked(SessionControl):
    """A control on a clock that the test sets, with nothing to trade."""

    clock: Any = None

    def __init__(
        self, clock: Any, reported: list[int], duration_seconds: int | None = None, **options: Any
    ) -> None:
        duration_ns = None if duration_seconds is None else duration_seconds * SECOND_NS
        strategy: Any = SimpleNamespace(symbols={"XRP/USDT": SimpleNamespace(book_events=0)})
        super().__init__(
            StopController(),
            strategy,
            [],
            duration_ns=duration_ns,
            flatten=False,
            on_report=reported.append,
            **options,
        )
        type(self).clock = clock
        self.calls: list[tuple[str, Any]] = []
        self.published: list[Any] = []

    def subscribe_topic(self, *_arguments: Any) -> None:
        pass

    def publish_message(self, _topic: str, message: Any) -> None:
        self.published.append(message)

    def take(self, events: int) -> None:
        """Let so many book events come."""
        self._strategy.symbols["XRP/USDT"].book_events += events

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
    assert reported == [START_NS + (at + step_seconds) * SECOND_NS for at in (30, 60)]
    control.on_time_event(clock.event_at(100))
    assert control._session.stop is not None
    assert control._session.stop.cause is StopCause.DURATION


@pytest.mark.parametrize(
    ("behind_seconds", "has_latency", "cause"),
    [(3600, True, StopCause.FAILURE), (9, True, None), (3600, False, None), (-3600, True, None)],
)
def test_a_clock_that_stands_still_ends_a_run_whose_orders_have_a_latency(
    behind_seconds: int, has_latency: bool, cause: StopCause | None
) -> None:
    """Without a latency cancels and exits get to the simulated venue all the same."""
    clock = FakeClock()
    control = Clocked(clock, [], has_latency=has_latency, wall_ns=lambda: clock.timestamp_ns() - behind_ns)
    behind_ns = 0
    control.on_start()
    control.on_time_event(clock.event_at(1.0))
    assert control._session.stop is None
    behind_ns = behind_seconds * SECOND_NS
    control.on_time_event(clock.event_at(1.1))
    stop = control._session.stop
    assert (None if stop is None else stop.cause) is cause
    if stop is not None:
        assert "was set back: the engine's clock stands still for 3600 s" in stop.text
        assert control.published == [StopQuoting(stop.text, flatten=False)]


def test_trades_are_left_and_asked_for_with_the_others() -> None:
    control = Clocked(FakeClock(), [])
    for data in FeedData:
        for is_wanted in (False, True):
            control._on_command(FeedRequest("XRP/USDT.KRAKEN", data, is_wanted))  # type: ignore[arg-type]
    assert control.calls == [("unsubscribe", "XRP/USDT.KRAKEN"), ("subscribe", "XRP/USDT.KRAKEN")]


def ended_feed(sent: int) -> tuple[Clocked, FakeClock]:
    """Return the control of a run whose feed has ended after it had sent so many events."""
    clock = FakeClock()
    control = Clocked(clock, [])
    control.on_start()
    control._session.request_stop(StopCause.FEED_END, "the feed has ended", events=sent)
    return control, clock


def test_what_an_ended_feed_has_sent_is_worked_through_however_slowly() -> None:
    control, clock = ended_feed(sent=100)
    for seconds in range(0, 40, 4):  # the engine gets to ten events every four seconds
        control.take(10)
        control.on_time_event(clock.event_at(seconds))
        control.on_time_event(clock.event_at(seconds + 3.9))
        is_over = control.published != []
        assert is_over is (seconds == 36)
    assert isinstance(control.published[0], StopQuoting)


def test_what_was_lost_on_the_way_is_given_up_after_five_quiet_seconds() -> None:
    control, clock = ended_feed(sent=100)
    control.take(99)
    for seconds, is_over in ((10.0, False), (14.9, False), (15.0, True)):
        control.on_time_event(clock.event_at(seconds))
        assert (control.published != []) is is_over


def test_a_signal_does_not_wait_for_what_an_ended_feed_has_sent() -> None:
    control, clock = ended_feed(sent=100)
    control.on_time_event(clock.event_at(1.0))
    assert control.published == []
    control._session.request_stop(StopCause.SIGNAL, "interrupted by SIGTERM")
    control.on_time_event(clock.event_at(1.1))
    assert control.published == [StopQuoting("interrupted by SIGTERM", flatten=False)]


def test_the_end_is_put_off_while_something_is_worked_through() -> None:
    control, clock = ended_feed(sent=100)
    asked = control._session.stop
    control.on_time_event(clock.event_at(1.0))
    put_off = control._session.stop
    assert asked is not None
    assert put_off is not None
    assert put_off.asked_at > asked.asked_at
    assert put_off.events == asked.events
