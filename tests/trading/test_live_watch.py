"""The live guard in the engine, with clocks and kill switch in the test's hands."""

import pytest
from guard_scripting import Commander, Told
from nautilus_trader.common import SocketState
from scripting import XRP_USDT, book, config, ns

from mm_nautilus.risk.clock import ClockReading
from mm_nautilus.risk.kill_switch import HaltOrder, KillSwitch
from mm_nautilus.trading.live_watch import LiveWatch
from mm_nautilus.trading.messages import HaltQuoting, ResumeQuoting
from mm_nautilus.trading.setup import Conditions

SIDES = ["ask", "bid"]
CALM = (2.3495, 2.3505)


def calm(count: int) -> list:
    return [book(at, *CALM) for at in range(count)]


def at_offset(offset):
    """Return clocks whose monotonic one lies `offset(seconds since the start)` seconds behind the wall clock."""

    def read(engine_ns: int) -> ClockReading:
        behind = offset((engine_ns - ns(0)) / 1e9)
        return ClockReading(engine_ns, engine_ns - ns(0) - round(behind * 1e9), engine_ns)

    return read


class Event:
    """What the engine tells of a socket."""

    def __init__(self, state: SocketState, endpoint: str = "data") -> None:
        self.client_id, self.endpoint, self.state = "KRAKEN", endpoint, state


class Files(KillSwitch):
    """A kill switch that keeps how often it was written to."""

    def __init__(self, state_path) -> None:
        super().__init__(state_path)
        self.written: list[HaltOrder] = []

    def halt(self, order: HaltOrder) -> None:
        self.written.append(order)
        super().halt(order)


@pytest.fixture
def switch(tmp_path) -> Files:
    return Files(tmp_path / "run.json")


def guard(switch: KillSwitch, **options) -> LiveWatch:
    return LiveWatch(
        switch, **{"max_clock_step_seconds": 1.0, "clocks": at_offset(lambda _at: 0.0)} | options
    )


def live(**changes) -> Told:
    mm = Told(config(resume_after_seconds=0.5, **changes))
    mm.conditions = Conditions(is_live=True, book_depth=10)
    return mm


# -- HaltQuoting switch --------------------------------------------------------------------------------------------


def test_a_halt_file_halts_before_the_first_quote_and_a_resume_ends_it(run, switch):
    switch.halt(HaltOrder("somebody said so"))
    mm, commander = live(), Commander({4.1: lambda: switch.resume("the live page")})
    outcome = run(mm, calm(8), actors=[guard(switch), commander])
    assert [mm.quotes_at(at) for at in range(5)] == [{}] * 5
    assert sorted(mm.quotes_at(6)) == SIDES
    assert min(order.ts_init for order in outcome.orders) == ns(4.25)
    assert mm.texts(XRP_USDT) == [
        "halted by the kill switch: somebody said so",
        "resumed by the live page",
    ]
    assert not switch.resume_path.exists()
    assert switch.written == [HaltOrder("somebody said so")]


@pytest.mark.parametrize("flatten", [None, True])
def test_a_halt_file_is_seen_within_a_quarter_of_a_second(run, switch, flatten):
    mm, commander = live(), Commander({3.3: lambda: switch.halt(HaltOrder("now", flatten))})
    outcome = run(mm, calm(8), actors=[guard(switch), commander])
    assert sorted(mm.quotes_at(3)) == SIDES
    assert [event.ts_init for event in outcome.events("OrderCanceled")] == [ns(3.5)] * 2
    assert mm.symbols[XRP_USDT].guards.halt.flatten is (flatten is True)


def test_an_empty_file_made_by_hand_halts(run, switch):
    mm, commander = live(), Commander({3.3: switch.halt_path.touch})
    run(mm, calm(8), actors=[guard(switch), commander])
    assert mm.texts(XRP_USDT) == ["halted by the kill switch: the halt file"]
    assert mm.quotes_at(7) == {}


def test_a_file_that_is_removed_by_hand_does_not_resume(run, switch):
    mm = live()
    commands = {3.3: lambda: switch.halt(HaltOrder("now")), 4.3: switch.halt_path.unlink}
    run(mm, calm(8), actors=[guard(switch), Commander(commands)])
    assert mm.quotes_at(7) == {}
    assert mm.texts(XRP_USDT) == ["halted by the kill switch: now"]


def test_a_changed_file_may_still_ask_to_close_the_position(run, switch):
    mm = live()
    commands = {3.3: lambda: switch.halt(HaltOrder("now")), 4.3: lambda: switch.halt(HaltOrder("now", True))}
    run(mm, calm(8), actors=[guard(switch), Commander(commands)])
    assert mm.texts(XRP_USDT) == ["halted by the kill switch: now"] * 2
    assert mm.symbols[XRP_USDT].guards.halt.flatten


def test_a_signal_halts_once_and_leaves_a_file(run, switch):
    signals = [0]
    commands = {3.3: lambda: signals.__setitem__(0, 1), 5.3: lambda: switch.resume("a test")}
    mm = live()
    run(mm, calm(9), actors=[guard(switch, kill_signals=lambda: signals[0]), Commander(commands)])
    assert mm.texts(XRP_USDT) == ["halted by the kill switch: a signal", "resumed by a test"]
    assert switch.written == [HaltOrder("a signal")]
    assert sorted(mm.quotes_at(7)) == SIDES, "the signal of before does not halt again"


def test_a_command_of_the_control_topic_is_kept_in_the_file(run, switch):
    mm = live()
    commands = {
        3.3: HaltQuoting("the page", flatten=False),
        5.3: ResumeQuoting("the page"),
        6.3: HaltQuoting("the page again"),
    }
    run(mm, calm(8), actors=[guard(switch), Commander(commands)])
    assert switch.written[0] == HaltOrder("the page", flatten=False)
    assert switch.order() is not None
    assert mm.quotes_at(7) == {}


def test_a_resume_by_the_topic_clears_the_file_too(run, switch):
    """Otherwise the file would halt again at the next look, or the next start."""
    mm = live()
    commands = {3.3: HaltQuoting("the page"), 5.3: ResumeQuoting("the page")}
    run(mm, calm(9), actors=[guard(switch), Commander(commands)])
    assert not switch.halt_path.exists()
    assert sorted(mm.quotes_at(8)) == SIDES
    assert mm.texts(XRP_USDT) == ["halted by the kill switch: the page", "resumed by the page"]


def test_a_file_that_cannot_be_written_does_not_keep_from_halting(run, tmp_path):
    (tmp_path / "blocked").touch()
    switch = KillSwitch(tmp_path / "blocked" / "run.json")
    mm, actor = live(), guard(switch)
    run(mm, calm(8), actors=[actor, Commander({3.3: HaltQuoting("the page")})])
    assert mm.quotes_at(7) == {}
    assert [*mm.failures, *actor.failures] == []


def test_a_resume_that_cannot_be_removed_is_not_fulfilled(run, switch):
    """It would be fulfilled again and again, and no halt would ever hold."""
    switch.resume_path.mkdir()
    mm, actor = live(), guard(switch)
    mm.load({"market_maker": b"{}"})
    run(mm, calm(8), actors=[actor, Commander({3.3: HaltQuoting("the page"), 3.4: switch.halt_path.unlink})])
    assert mm.quotes_at(7) == {}
    assert actor.failures == []


# -- Connections --------------------------------------------------------------------------------------------

LOST, BACK = SocketState.DISCONNECTED, SocketState.CONNECTED


def test_connections_are_told_to_the_strategy(run, switch):
    actor, mm = guard(switch), live()
    events = {
        3.3: lambda: actor.on_socket_state(Event(LOST)),
        4.3: lambda: actor.on_socket_state(Event(BACK)),
    }
    run(mm, calm(9), actors=[actor, Commander(events)])
    assert [sorted(mm.quotes_at(at)) for at in (3, 4, 5, 7)] == [SIDES, [], [], SIDES]


def test_all_connections_have_to_be_back(run, switch):
    actor, mm = guard(switch), live()
    events = {
        3.1: lambda: actor.on_socket_state(Event(LOST, "a")),
        3.2: lambda: actor.on_socket_state(Event(LOST, "b")),
        4.3: lambda: actor.on_socket_state(Event(BACK, "a")),
        6.3: lambda: actor.on_socket_state(Event(BACK, "b")),
    }
    run(mm, calm(10), actors=[actor, Commander(events)])
    assert [sorted(mm.quotes_at(at)) for at in (3, 4, 6, 7, 9)] == [SIDES, [], [], [], SIDES]
    assert mm.texts(XRP_USDT)[:2] == ["paused: feed disconnected", "paused: waiting for a snapshot"]


def test_the_first_connection_may_be_told_after_the_first_book(run, switch):
    actor, mm = guard(switch), live()
    run(mm, calm(5), actors=[actor, Commander({0.3: lambda: actor.on_socket_state(Event(BACK))})])
    assert sorted(mm.quotes_at(2)) == SIDES


# -- Clock --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [-30.0, 30.0])
def test_a_step_of_the_wall_clock_pulls_quotes_until_it_has_settled(run, switch, step):
    clocks = at_offset(lambda at: step if at > 4.1 else 0.0)
    mm = live()
    outcome = run(mm, calm(14), actors=[guard(switch, clocks=clocks)])
    assert [event.ts_init for event in outcome.events("OrderCanceled")][:2] == [ns(4.25)] * 2
    assert mm.texts(XRP_USDT) == ["paused: clock step", "open for quoting again after 3.8 s (clock step)"]
    assert [sorted(mm.quotes_at(at)) for at in (4, 5, 7, 9)] == [SIDES, [], [], SIDES]


def test_a_small_correction_of_the_wall_clock_is_none(run, switch):
    mm = live()
    run(mm, calm(8), actors=[guard(switch, clocks=at_offset(lambda at: 0.9 if at > 4.1 else 0.0))])
    assert mm.texts(XRP_USDT) == []
