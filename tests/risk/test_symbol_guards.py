import pytest

from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.risk.feed import FeedData
from mm_nautilus.risk.gate import SymbolGuards
from mm_nautilus.risk.state import Halt
from mm_nautilus.system.moments import SECOND_NS

S = SECOND_NS


def make(*, live: bool = False, **params) -> SymbolGuards:
    guards = SymbolGuards(SymbolParams(stale_after_seconds=30.0, resume_after_seconds=1.0, **params))
    if live:
        guards.watch_feed()
    return guards


def sound(guards: SymbolGuards, at: int) -> None:
    guards.book.on_event(at, None)


# -- Reasons ------------------------------------------------------------------------------------------


def test_a_catalogs_first_book_is_quoted_on_at_once():
    guards = make()
    assert guards.reason(0) is NotQuoting.NO_BOOK
    sound(guards, 0)
    assert guards.reason(0) is None
    assert guards.next_ns(0, 60 * S) == 60 * S


def test_a_live_feeds_first_book_is_held_off():
    guards = make(live=True)
    guards.feed.on_snapshot(0)
    sound(guards, 0)
    assert guards.reason(0) is NotQuoting.BOOK_RECOVERING
    assert guards.next_ns(0, 60 * S) == S
    assert guards.reason(S) is None


def test_the_gravest_reason_is_the_one_given():
    guards = make(live=True, max_refused_orders=1)
    guards.feed.on_snapshot(0)
    sound(guards, 0)
    found = []
    for spoil in (
        lambda: (guards.refusals.add(2 * S), guards.refusals.add(2 * S)),
        lambda: guards.book.on_event(2 * S, NotQuoting.CROSSED_BOOK),
        lambda: setattr(guards, "is_clock_settled", False),
        guards.feed.on_disconnected,
    ):
        spoil()
        found.append(guards.reason(2 * S))
    assert found == [
        NotQuoting.REFUSED_TOO_OFTEN,
        NotQuoting.CROSSED_BOOK,
        NotQuoting.CLOCK_STEP,
        NotQuoting.FEED_DISCONNECTED,
    ]


def test_the_next_look_is_due_when_the_first_pause_ends():
    guards = make(live=True, max_refused_orders=1, refused_orders_pause_seconds=5.0)
    guards.feed.on_snapshot(0)
    guards.refusals.add(0)
    guards.refusals.add(0)
    guards.book.recover(2 * S)
    assert [guards.next_ns(at, 60 * S) for at in (0, S, 3 * S, 5 * S)] == [S, 3 * S, 5 * S, 60 * S]
    assert guards.next_ns(S, 2 * S) == 2 * S


# -- Telling ------------------------------------------------------------------------------------------


def test_a_pause_is_told_once_whatever_follows():
    guards = make()
    stale, back = NotQuoting.STALE_BOOK, NotQuoting.BOOK_RECOVERING
    told = [
        guards.pause_text(reason, at * S)
        for at, reason in enumerate([None, stale, stale, back, back, None, None])
    ]
    assert told == [
        "open for quoting",
        "paused: stale book",
        None,
        None,
        None,
        "open for quoting again after 4.0 s (stale book)",
        None,
    ]


def test_another_reason_is_told_and_the_time_counts_from_the_first():
    guards = make()
    guards.pause_text(None, 0)
    reasons = [NotQuoting.FEED_DISCONNECTED, NotQuoting.AWAITING_SNAPSHOT, NotQuoting.BOOK_RECOVERING, None]
    assert [guards.pause_text(reason, at * S) for at, reason in enumerate(reasons)] == [
        "paused: feed disconnected",
        "paused: waiting for a snapshot",
        None,
        "open for quoting again after 3.0 s (waiting for a snapshot)",
    ]


def test_a_recovery_that_nothing_was_told_of_before_is_told():
    """A silence that ended between two looks of the clock."""
    guards = make()
    guards.pause_text(None, 0)
    assert guards.pause_text(NotQuoting.BOOK_RECOVERING, S) == "paused: book recovering"


# -- Trades -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age_s", "is_old"), [(-3600, False), (0, False), (10, False), (10.001, True), (3600, True)]
)
def test_a_trade_is_old_beyond_the_limit(age_s, is_old):
    assert make().is_old(7200 * S, 7200 * S + round(age_s * S)) is is_old


def test_old_trades_are_told_once_a_spell():
    guards = make()
    times = [0, 1, 59, 118, 178, 179]
    assert [guards.old_trades.begins(at * S) for at in times] == [True, False, False, False, True, False]


# -- Halts --------------------------------------------------------------------------------------------

DRAWDOWN = Halt(NotQuoting.HALTED_DRAWDOWN, "5 %")
LOSSES = Halt(NotQuoting.HALTED_LOSS_STREAK, "5 in a row")
KILL = Halt(NotQuoting.KILL_SWITCH, "x")


@pytest.mark.parametrize(
    ("present", "new", "takes"),
    [
        (None, DRAWDOWN, True),
        (DRAWDOWN, LOSSES, False),
        (DRAWDOWN, Halt(NotQuoting.HALTED_LOSS_STREAK, "", flatten=True), True),
        (DRAWDOWN, KILL, True),
        (KILL, KILL, False),
        (KILL, DRAWDOWN, False),
        (KILL, Halt(NotQuoting.KILL_SWITCH, "x", flatten=True), True),
        (Halt(NotQuoting.KILL_SWITCH, "x", flatten=True), KILL, False),
    ],
)
def test_a_halt_gives_way_to_one_that_says_more(present, new, takes):
    guards = make()
    guards.halt = present
    assert guards.supersedes(new) is takes


def test_rearming_clears_every_guard_that_halts():
    guards = make(max_drawdown_pct=1.0, max_consecutive_losses=2, max_refused_orders=1)
    guards.halt = KILL
    guards.drawdown.update(-5.0, 100.0)
    guards.losses.reset(2)
    guards.refusals.add(0)
    guards.refusals.add(0)
    guards.rearm()
    assert guards.halt is None
    assert guards.losses.length == 0
    assert not guards.refusals.is_paused(0)
    assert not guards.drawdown.halted
    assert not guards.drawdown.update(-5.0, 100.0), "the fall that was accepted does not fire again"
    assert guards.drawdown.update(-6.0, 100.0), "a new one does"


# -- A live feed's requests ---------------------------------------------------------------------------


def test_what_a_live_feed_is_to_be_asked_for_is_told_once():
    guards = make(live=True, stale_tape_after_seconds=60.0)
    guards.feed.on_snapshot(0)
    guards.tape.begin(0)
    sound(guards, 59 * S)
    assert guards.data_to_resubscribe(59 * S) == []
    assert guards.reason(60 * S) is NotQuoting.STALE_TAPE
    assert guards.data_to_resubscribe(60 * S) == [FeedData.TRADES]
    assert guards.data_to_resubscribe(61 * S) == []

    guards.feed.on_clear()
    assert guards.data_to_resubscribe(62 * S) == [FeedData.BOOK], "trades wait for the book"
    assert guards.data_to_resubscribe(200 * S) == [FeedData.BOOK], "as nothing came of it"


def test_a_catalog_is_asked_for_nothing():
    guards = make(stale_tape_after_seconds=1.0)
    sound(guards, 0)
    assert guards.data_to_resubscribe(1_000 * S) == []
    assert guards.reason(29 * S) is None
    assert not guards.is_tape_stale(1_000 * S)


def test_the_end_of_a_stale_tape_is_one_of_the_times_that_are_waited_for():
    guards = make(live=True, stale_tape_after_seconds=10.0)
    guards.feed.on_snapshot(0)
    guards.tape.begin(0)
    sound(guards, 12 * S)
    guards.tape.on_trade(12 * S)
    assert guards.reason(12 * S) is NotQuoting.STALE_TAPE
    assert guards.next_ns(12 * S, 60 * S) == 13 * S
    assert guards.reason(13 * S) is None
