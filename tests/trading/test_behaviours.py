"""What a change of the inside must not lose: the list, the test that holds each, and those without another home.

`BEHAVIOURS` is the list. A test that is renamed has to be renamed here as well, and one that goes needs a successor.
"""

import re
import sys
from pathlib import Path
from types import FrameType
from typing import Any, Self

import pytest
from nautilus_trader.common import DataActorConfig
from nautilus_trader.model import ActorId
from scripting import T0, XRP_USDT, Watched, around, book, config, ns, trade
from test_strategy_halts import BACK, CALM, LOST, SIDES, Commander, Live, calm, clear

from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.trading.fail_fast import GuardedActor
from mm_nautilus.trading.messages import (
    EVENTS_TOPIC,
    BookingOrder,
    ClockState,
    Fill,
    HaltQuoting,
    StateChanged,
)
from mm_nautilus.trading.working_order import Grounds

TESTS = Path(__file__).resolve().parents[1]

BEHAVIOURS = {
    "exits are checked while a symbol is paused or halted": [
        "trading/test_behaviours.py::test_a_stop_fires_while_the_symbol_is_paused_or_halted",
    ],
    "on a believed feed only": [
        "trading/test_behaviours.py::test_a_stop_waits_for_a_feed_that_is_believed",
        "trading/test_strategy_halts.py::test_no_exit_is_decided_or_sent_on_the_book_of_a_lost_feed",
        "trading/test_exit_pieces.py::test_flattening_at_the_end_never_trades_on_a_feed_that_is_not_believed",
    ],
    "a remainder below the smallest order is quoted on": [
        "trading/test_strategy_exits.py::test_a_rest_below_the_smallest_order_is_quoted_on",
        "trading/test_exit_pieces.py::test_a_remainder_does_not_close_what_is_added_to_it",
    ],
    "cancels on an unsafe book, exits and halts pass the rate cap": [
        "trading/test_behaviours.py::test_what_makes_safe_passes_the_rate_cap",
        "trading/test_strategy_guards.py::test_no_second_sees_more_actions_than_allowed",
    ],
    "at most one order a side": [
        "trading/test_strategy_quoting.py::test_there_is_never_more_than_one_live_order_a_side",
        "trading/test_order_fates.py::test_an_order_in_flight_is_followed_not_doubled",
    ],
    "never a larger size at a kept price": [
        "trading/test_strategy_quoting.py::test_a_size_is_never_amended_up_at_the_same_price",
    ],
    "an order is replaced after 20 amends": [
        "trading/test_strategy_quoting.py::test_an_order_is_replaced_after_its_share_of_amends",
    ],
    "a first book is quoted at once, later ones recover": [
        "risk/test_symbol_guards.py::test_a_catalogs_first_book_is_quoted_on_at_once",
        "trading/test_strategy_guards.py::"
        "test_a_broken_book_is_left_and_returned_to_when_it_has_been_sound_for_a_while",
    ],
    "a kill outranks a halt": [
        "risk/test_symbol_guards.py::test_a_halt_gives_way_to_one_that_says_more",
        "trading/test_strategy_halts.py::test_a_kill_and_a_drawdown_end_with_the_same_resume",
    ],
    "halts survive restarts": [
        "trading/test_stop_and_state.py::test_a_halt_survives_a_restart",
        "trading/test_stop_and_state.py::test_an_account_halt_survives_a_restart",
        "trading/test_strategy_halts.py::test_a_kill_survives_a_restart_and_is_told_again",
    ],
    "a resume measures drawdowns anew": [
        "trading/test_strategy_halts.py::test_a_resume_accepts_the_drawdown_there_has_been",
        "trading/test_strategy_halts.py::test_a_resume_accepts_the_accounts_drawdown_there_has_been",
        "risk/test_symbol_guards.py::test_rearming_clears_every_guard_that_halts",
    ],
    "a fill and its position event are one moment for saving": [
        "trading/test_state_saver.py::test_every_state_is_that_of_the_fills_up_to_then",
        "trading/test_state_saver.py::test_entries_results_and_counts_are_of_the_same_moment",
    ],
    "a flip takes two position events; whoever saves comes last": [
        "trading/test_behaviours.py::test_a_flip_is_one_fill_and_whoever_saves_comes_last",
        "trading/test_strategy_exits.py::test_a_flip_by_one_fill_starts_a_new_entry",
    ],
    "the decision that an order rests on is kept raw until a fill needs it": [
        "trading/test_behaviours.py::test_decisions_are_worked_out_for_fills_alone",
        "trading/test_working_order.py::test_an_amend_counts_from_its_confirmation_on",
    ],
    "breaks and replayed trades in recordings": [
        "trading/test_catalog_recorder.py::test_a_lost_connection_is_a_break_until_the_next_whole_book",
        "trading/test_recorded_feed.py::test_a_lost_connection_is_a_break_and_repeated_trades_are_left_out",
        "data/test_recording_recovery.py::test_an_announced_break_is_no_gap_but_a_silence_is",
    ],
    "the exact equity identity": [
        "trading/test_metrics_actor.py::test_the_change_in_equity_is_trading_profit_and_revaluation",
        "trading/test_metrics_actor.py::test_the_identity_holds_at_every_snapshot",
        "runs/test_identities.py::test_change_of_equity_is_trading_plus_revaluation",
    ],
    "the engine's undercount of equal cycles is known, and nothing else is": [
        "trading/test_metrics_actor.py::test_equal_cycles_in_a_row_are_all_counted",
        "trading/test_purging.py::test_a_closed_position_takes_its_results_with_it_and_the_run_fails_for_it",
    ],
    "a touch in the band of a plan asks for nothing, and a run that keeps plans sends what another one sends": [
        "trading/test_kept_plans.py::test_no_touch_in_the_band_asks_for_anything",
        "trading/test_kept_plans.py::test_a_run_that_keeps_its_plans_sends_what_one_that_never_does_sends",
        "pricing/test_no_action_band.py::test_nothing_is_asked_for_anywhere_in_the_band",
    ],
    "a book event walks as the architecture page says": [
        "trading/test_behaviours.py::test_the_walk_of_the_architecture_page_is_the_one_that_is_taken",
    ],
}


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_every_behaviour_has_its_test(behaviour):
    for name in BEHAVIOURS[behaviour]:
        file, _, test = name.partition("::")
        assert f"\ndef {test}(" in (TESTS / file).read_text(encoding="utf-8"), name


# -- Exits --------------------------------------------------------------------------------------------------

BOUGHT = [book(0, *CALM), *calm(0.5), trade(1, 2.348, 10, "sell"), *calm(1.5, 2)]
FALL = [around(at, 2.3375) for at in (4, 4.1, 6, 7)]
STOPS = {"stop_loss_pct": 0.5, "cooldown_seconds": 3600.0}


@pytest.mark.parametrize(
    ("why", "stopped_by"),
    [
        (ClockState(is_settled=False, step_seconds=60.0), NotQuoting.CLOCK_STEP),
        (HaltQuoting("a test", flatten=False), NotQuoting.KILL_SWITCH),
    ],
)
def test_a_stop_fires_while_the_symbol_is_paused_or_halted(run, why, stopped_by):
    mm = Watched(config(**STOPS))
    outcome = run(mm, [*BOUGHT, *FALL], actors=[Commander({3.0: why})])
    assert stopped_by in mm.symbols[XRP_USDT].ask.stats.counts
    assert [(order.tags, order.ts_init) for order in outcome.orders if order.is_reduce_only] == [
        (["stop_loss"], ns(4))
    ]
    assert outcome.positions[XRP_USDT] == 0


def test_a_stop_waits_for_a_feed_that_is_believed(run):
    """The book falls while the feed is away: nothing is decided before the book has been sent whole again."""
    mm = Live(config(resume_after_seconds=0.0, **STOPS))
    commander = Commander({3.0: LOST, 4.05: BACK})
    outcome = run(mm, [*BOUGHT, *FALL[:1], clear(5), *FALL[2:]], actors=[commander])
    assert [(order.tags, order.ts_init) for order in outcome.orders if order.is_reduce_only] == [
        (["stop_loss"], ns(6))
    ]
    assert mm.exit_reasons == ["stop_loss"]


@pytest.mark.parametrize("what", ["a move", "an unsafe book", "a halt", "an exit"])
def test_what_makes_safe_passes_the_rate_cap(run, what):
    """Two actions have placed the quotes, and the cap allows no third one for a second."""
    mm = Watched(config(max_order_actions_per_second=2, **STOPS))
    events = {
        "a move": [around(0.3, 2.36), around(0.4, 2.36)],
        "an unsafe book": [book(0.3, 2.3506, 2.3505)],
        "a halt": [],
        "an exit": [trade(0.2, 2.348, 10, "sell"), around(0.3, 2.3375)],
    }
    commands = {0.3: HaltQuoting("a test", flatten=False)} if what == "a halt" else {}
    outcome = run(mm, [book(0, *CALM), *events[what], *calm(0.9)], actors=[Commander(commands)])
    cancelled = [event.ts_init for event in outcome.events("OrderCanceled") if event.ts_init < ns(0.9)]
    assert cancelled == [ns(0.3)] * {"a move": 0, "an exit": 1}.get(what, 2)
    assert [order.ts_init for order in outcome.of("stop_loss")] == ([ns(0.3)] if what == "an exit" else [])
    assert (NotQuoting.ACTION_RATE_CAP in mm.symbols[XRP_USDT].bid.stats.counts) is (what == "a move")
    assert len(outcome.of("quote")) == len(SIDES), "nothing else is sent within the second"


# -- One fill -----------------------------------------------------------------------------------------------


class Told(GuardedActor):
    """Note who hears of a fill in which order; who saves subscribes first."""

    def __new__(cls, *_args: Any) -> Self:
        return super().__new__(cls, DataActorConfig(actor_id=ActorId("TOLD-001")))  # type: ignore[call-arg]

    def __init__(self, heard: list[Any]) -> None:
        super().__init__()
        self.heard = heard

    def on_start(self) -> None:
        for booking in BookingOrder:
            self.subscribe_topic(EVENTS_TOPIC, self._hear(booking), booking)

    def _hear(self, booking: BookingOrder) -> Any:
        def hear(message: object) -> None:
            if isinstance(message, Fill):
                self.heard.append((booking.name, message.side, message.quantity, message.position))
            elif isinstance(message, StateChanged) and booking is BookingOrder.SAVE:
                self.heard.append("saved")

        return hear


class Flipping(Watched):
    """Note the engine's own events between what is told."""

    def __init__(self, given: Any) -> None:
        super().__init__(given)
        self.heard: list[Any] = []

    def on_order_event(self, event: Any) -> None:
        if type(event).__name__ == "OrderFilled":
            self.heard.append("OrderFilled")
        super().on_order_event(event)

    def on_position_event(self, event: Any) -> None:
        self.heard.append(type(event).__name__)
        super().on_position_event(event)


def test_a_flip_is_one_fill_and_whoever_saves_comes_last(run):
    mm = Flipping(config(cooldown_seconds=0.5))
    script = [book(0, *CALM), trade(1, 2.348, 4, "sell"), *calm(2, 3), trade(4, 2.37, 10, "buy"), *calm(5)]
    outcome = run(mm, script, actors=[Told(mm.heard)])
    assert outcome.positions[XRP_USDT] == -6
    assert mm.failures == []
    turns = ["BOOK", "RECORD", "PUBLISH", "SAVE"]
    assert mm.heard == [
        "saved",
        *("OrderFilled", "PositionOpened", *((turn, "BUY", 4, 4) for turn in turns), "saved"),
        *("OrderFilled", "PositionClosed", "PositionOpened"),
        *(*((turn, "SELL", 10, -6) for turn in turns), "saved"),
    ]


def test_decisions_are_worked_out_for_fills_alone(run, monkeypatch):
    """Thirty amends and one execution: one decision is put into prices and sizes, the one the order rests on."""
    worked_out: list[Any] = []
    of = Grounds.decision

    def noting(self: Grounds, spec: Any) -> Any:
        worked_out.append(of(self, spec))
        return worked_out[-1]

    monkeypatch.setattr(Grounds, "decision", noting)
    mm = Watched(config(**STOPS))
    moves = [around(0.5 * i, 2.35 + 0.001 * (i % 2)) for i in range(30)]
    outcome = run(mm, [*moves, trade(15, 2.345, 10, "sell"), around(16, 2.35)])
    assert mm.symbols[XRP_USDT].counts.amended >= 30
    (fill,) = outcome.fills
    (decision,) = worked_out
    assert (float(decision.price), decision.ts_event) == (fill.price, ns(14.5))


# -- The walk -----------------------------------------------------------------------------------------------


class Walked(Watched):
    """Note the functions of the package that a book event enters."""

    def __init__(self, given: Any) -> None:
        super().__init__(given)
        self.walks: dict[float, list[tuple[str, str]]] = {}

    def on_book_deltas(self, deltas: Any) -> None:
        walk = self.walks.setdefault((deltas.ts_init - T0) / 1e9, [])

        def note(frame: FrameType, event: str, _arg: Any) -> None:
            path = Path(frame.f_code.co_filename)
            if event == "call" and "mm_nautilus" in path.parts:
                walk.append((path.name, frame.f_code.co_qualname))

        sys.setprofile(note)
        try:
            super().on_book_deltas(deltas)
        finally:
            sys.setprofile(None)


def test_the_walk_of_the_architecture_page_is_the_one_that_is_taken(run):
    page = (TESTS.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"<!-- walk: begin -->\n```text\n(.*?)```", page, re.DOTALL)
    steps = [line.split()[:2] for line in block.splitlines()]
    mm = Walked(config())
    run(mm, [*calm(0, 1), book(1.5, 2.34951, 2.35051), book(2, 2.3495, 2.3505), around(3, 2.36)])
    walk = iter(mm.walks[3.0])
    for file, function in steps:
        assert any(entered == file and f".{name}".endswith(f".{function}") for entered, name in walk), (
            function
        )
    entered = [name for _, name in mm.walks[2.0]]
    assert not any("_requote" in name or "plan" in name for name in entered), (
        "the touch moved within the band"
    )
    assert len(entered) < len(mm.walks[3.0]) / 5
