import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_nautilus.pricing.not_quoting import UNSAFE_BOOK, NotQuoting
from mm_nautilus.risk.feed import FeedGuard, TapeGuard
from mm_nautilus.system.moments import SECOND_NS

HOLD = 2 * SECOND_NS


@pytest.fixture
def guard():
    return FeedGuard(HOLD)


def connected(at: int = 0) -> FeedGuard:
    guard = FeedGuard(HOLD)
    guard.on_snapshot(at)
    return guard


@pytest.mark.parametrize("state", [NotQuoting.FEED_DISCONNECTED, NotQuoting.AWAITING_SNAPSHOT])
def test_a_quote_is_dangerous_to_leave_without_a_believed_book(state):
    assert state in UNSAFE_BOOK


def test_the_first_snapshot_is_waited_for_and_then_held_off(guard):
    assert guard.reason(0) == "waiting for a snapshot"
    assert not guard.is_trusted

    guard.on_snapshot(5)

    assert guard.is_trusted
    assert guard.reason(5) == guard.reason(5 + HOLD - 1) == "book recovering"
    assert guard.resume_at_ns == 5 + HOLD
    assert guard.reason(5 + HOLD) is None


def test_a_lost_feed_waits_for_the_connection_and_a_snapshot():
    guard = connected()
    guard.on_disconnected()
    lost = guard.reason(10 * HOLD)
    guard.on_connected()
    back = guard.reason(10 * HOLD)
    guard.on_snapshot(11 * HOLD)

    assert (lost, back) == ("feed disconnected", "waiting for a snapshot")
    assert guard.reason(11 * HOLD) == "book recovering"
    assert guard.reason(12 * HOLD) is None


def test_a_snapshot_from_before_the_loss_does_not_count():
    guard = connected()
    guard.on_disconnected()
    guard.on_snapshot(HOLD)

    assert guard.reason(10 * HOLD) == "feed disconnected"


def test_a_snapshot_may_be_seen_before_the_news_of_the_connection():
    guard = connected()
    guard.on_disconnected()
    guard.on_clear()
    guard.on_snapshot(HOLD)
    guard.on_connected()

    assert guard.reason(2 * HOLD) is None


def test_a_connection_without_a_loss_asks_for_nothing():
    guard = connected()
    guard.on_connected()

    assert guard.reason(HOLD) is None


def test_a_cleared_book_that_was_asked_for_is_waited_for_anew():
    guard = connected()
    guard.on_resubscribed(HOLD)
    guard.on_clear()

    assert guard.reason(10 * HOLD) == "waiting for a snapshot"
    guard.on_snapshot(10 * HOLD)
    assert guard.reason(10 * HOLD) == "book recovering"


def test_a_second_snapshot_does_not_hold_off_again():
    guard = connected()
    guard.on_snapshot(HOLD)

    assert guard.reason(HOLD) is None


EVENTS = st.lists(
    st.sampled_from(["on_disconnected", "on_connected", "on_clear", "on_snapshot"]), max_size=30
)


@given(EVENTS)
def test_after_a_loss_nothing_but_a_snapshot_that_follows_a_new_beginning_opens_the_book(events):
    guard = connected()
    guard.on_disconnected()
    has_begun, is_open = False, False
    for at, event in enumerate(events):
        getattr(guard, event)(*([at] if event == "on_snapshot" else []))
        if event == "on_disconnected":
            has_begun, is_open = False, False
        elif event == "on_clear" or (event == "on_connected" and not is_open):
            has_begun, is_open = True, False
        elif event == "on_snapshot" and has_begun:
            is_open = True
        assert is_open or not guard.is_trusted
    guard.on_connected()
    guard.on_resubscribed(len(events))
    guard.on_clear()
    guard.on_snapshot(len(events))
    assert guard.is_trusted, "there is always a way back"


# -- Checksums ----------------------------------------------------------------------------------------


def broken(at: int) -> FeedGuard:
    """Return a guard whose book was emptied without another reason, and was sent again as the client wished."""
    guard = connected()
    guard.on_clear()
    guard.on_snapshot(at)
    return guard


def test_a_book_that_was_emptied_for_no_other_reason_is_asked_for_before_it_is_believed():
    guard = broken(10 * HOLD)
    assert guard.reason(20 * HOLD) == "waiting for a snapshot"
    assert guard.needs_resubscription(20 * HOLD)

    guard.on_resubscribed(20 * HOLD)
    assert not guard.needs_resubscription(20 * HOLD)
    guard.on_clear()
    guard.on_snapshot(21 * HOLD)

    assert guard.is_trusted
    assert guard.reason(22 * HOLD) is None
    assert not guard.needs_resubscription(100 * HOLD)


def test_the_clearing_of_a_new_connection_asks_for_nothing():
    guard = connected()
    guard.on_disconnected()
    guard.on_connected()
    guard.on_clear()
    guard.on_snapshot(HOLD)

    assert guard.is_trusted
    assert not guard.needs_resubscription(100 * HOLD)


def test_nobody_is_asked_while_the_feed_is_lost_but_afterwards():
    guard = broken(HOLD)
    guard.on_disconnected()
    assert not guard.needs_resubscription(2 * HOLD)
    guard.on_connected()
    guard.on_clear()
    guard.on_snapshot(3 * HOLD)

    assert not guard.is_trusted, "a new connection does not make the client check again"
    assert guard.needs_resubscription(3 * HOLD)


def test_what_was_asked_for_and_did_not_come_is_asked_for_again():
    guard = broken(0)
    guard.on_resubscribed(0)

    assert not guard.needs_resubscription(10 * SECOND_NS - 1)
    assert guard.needs_resubscription(10 * SECOND_NS)


def asked_at(until: int) -> list[int]:
    """Return when a book is asked for whose checksum is wrong again at once, looked at every second."""
    guard, found = connected(), []
    for second in range(until):
        now = second * SECOND_NS
        if guard.needs_resubscription(now):
            guard.on_resubscribed(now)
            found.append(second)
            guard.on_clear()
        guard.on_snapshot(now)
        guard.on_clear()
    return found


def test_a_book_that_stays_wrong_is_asked_for_ever_more_seldom():
    found = asked_at(400)
    waits = [after - before for before, after in itertools.pairwise(found)]
    assert waits[:6] == [1, 2, 4, 8, 16, 32]
    assert set(waits[6:]) == {60}


def test_the_wait_is_forgotten_after_a_while_of_sound_books():
    guard = broken(0)
    for now in (0, SECOND_NS, 3 * SECOND_NS):
        guard.on_resubscribed(now)
    later = 200 * SECOND_NS
    guard.on_resubscribed(later)
    guard.on_clear()
    guard.on_snapshot(later)
    guard.on_clear()
    assert guard.needs_resubscription(later + SECOND_NS)


# -- Trades -------------------------------------------------------------------------------------------

STALE = 600 * SECOND_NS


@pytest.fixture
def tape():
    return TapeGuard(STALE, HOLD)


def test_a_tape_that_falls_silent_is_stale_until_a_trade_comes_and_a_while_has_passed(tape):
    tape.begin(0)
    tape.on_trade(5)
    assert tape.reason(5 + STALE - 1) is None
    assert tape.reason(5 + STALE) == "stale tape"

    tape.on_trade(6 + STALE)

    assert not tape.is_stale(6 + STALE)
    assert tape.reason(6 + STALE + HOLD - 1) == "stale tape"
    assert tape.resume_at_ns == 6 + STALE + HOLD
    assert tape.reason(6 + STALE + HOLD) is None


def test_the_reason_is_counted_and_dangerous_to_leave_a_quote_with(tape):
    tape.begin(0)
    assert tape.reason(STALE) in UNSAFE_BOOK


def test_a_tape_without_a_beginning_is_not_doubted(tape):
    assert tape.reason(10 * STALE) is None
    tape.begin(10 * STALE)
    tape.begin(11 * STALE)
    assert tape.is_stale(11 * STALE), "the first beginning counts"


def test_a_new_connection_counts_anew(tape):
    tape.begin(0)
    tape.on_connected(STALE)
    assert not tape.is_stale(2 * STALE - 1)
    assert tape.is_stale(2 * STALE)


def test_trades_are_asked_for_once_a_minute_while_none_come(tape):
    tape.begin(0)
    found = []
    for second in range(599, 800):
        if tape.needs_resubscription(second * SECOND_NS):
            tape.on_resubscribed(second * SECOND_NS)
            found.append(second)
    assert found == [600, 660, 720, 780]
    tape.on_trade(800 * SECOND_NS)
    assert not tape.needs_resubscription(1_399 * SECOND_NS)
    assert tape.needs_resubscription(1_400 * SECOND_NS)


def test_a_tape_that_is_never_doubted():
    tape = TapeGuard(None, HOLD)
    tape.begin(0)
    assert tape.reason(100 * STALE) is None
    assert not tape.needs_resubscription(100 * STALE)
