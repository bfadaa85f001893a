import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_nautilus.core.feed_guard import FeedGuard, FeedState
from mm_nautilus.core.guards import SECOND_NS
from mm_nautilus.core.quoting import UNSAFE_BOOK, NotQuoting

HOLD = 2 * SECOND_NS


@pytest.fixture
def guard():
    return FeedGuard(HOLD)


def connected(at: int = 0) -> FeedGuard:
    guard = FeedGuard(HOLD)
    guard.on_snapshot(at)
    return guard


@pytest.mark.parametrize("state", FeedState)
def test_every_state_is_a_counted_reason(state):
    assert NotQuoting(state.value).value == state.value


@pytest.mark.parametrize("state", [FeedState.DISCONNECTED, FeedState.AWAITING_SNAPSHOT])
def test_a_quote_is_dangerous_to_leave_without_a_believed_book(state):
    assert NotQuoting(state.value) in UNSAFE_BOOK


def test_the_first_snapshot_is_waited_for_and_then_held_off(guard):
    assert guard.reason(0) == "waiting for a snapshot"
    assert not guard.is_believed

    guard.on_snapshot(5)

    assert guard.is_believed
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


def test_a_cleared_book_is_waited_for_anew():
    guard = connected()
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
        assert guard.is_believed == is_open
