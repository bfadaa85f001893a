from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_nautilus.core.quoting import Quote
from mm_nautilus.core.slots import QuoteSlot, SlotState

lots = st.integers(1, 20)


@pytest.fixture
def working():
    """A slot with ten lots at work at a hundred ticks."""
    slot = QuoteSlot()
    slot.placed("O-1", Quote(100, 10))
    slot.accepted()
    return slot


def test_an_empty_slot_is_settled_and_has_nothing_to_fill():
    slot = QuoteSlot()

    assert slot.is_settled
    assert slot.working is None
    assert slot.worst_case_lots == 0
    assert (slot.amends, slot.retry_at_ns) == (0, 0)


def test_an_insert_in_flight_counts_but_is_not_settled():
    slot = QuoteSlot()

    slot.placed("O-1", Quote(100, 10))

    assert slot.state is SlotState.PENDING_NEW
    assert slot.order_id == "O-1"
    assert not slot.is_settled
    assert slot.working is None
    assert slot.worst_case_lots == 10


def test_an_accepted_order_works(working):
    assert working.is_settled
    assert working.working == Quote(100, 10)
    assert working.pending is None


def test_a_late_acceptance_does_not_hide_a_command_in_flight(working):
    working.cancelling()

    working.accepted()

    assert working.state is SlotState.PENDING_CANCEL


@pytest.mark.parametrize(("size", "worst"), [(15, 15), (5, 10)])
def test_an_amend_in_flight_counts_with_the_larger_size(working, size, worst):
    working.amending(Quote(98, size))

    assert not working.is_settled
    assert working.working is None
    assert working.worst_case_lots == worst
    assert working.amends == 1


def test_a_confirmed_amend_counts_what_was_filled_before(working):
    working.filled(4)
    working.amending(Quote(98, 8))

    working.amended(98, total_lots=12)

    assert working.working == Quote(98, 8)
    assert working.worst_case_lots == 8


def test_a_fill_during_an_amend_counts_against_both_sizes(working):
    working.amending(Quote(98, 15))

    working.filled(6)

    assert working.open_lots == 4
    assert working.worst_case_lots == 9


def test_a_fill_of_everything_during_an_amend_leaves_nothing(working):
    working.amending(Quote(98, 5))

    working.filled(10)

    assert working.open_lots == working.worst_case_lots == 0


def test_a_venue_may_confirm_another_size_than_was_asked_for(working):
    working.amending(Quote(98, 15))

    working.amended(98, total_lots=12)

    assert working.working == Quote(98, 12)
    assert working.worst_case_lots == 12


def test_a_fill_during_an_insert_leaves_the_rest(working):
    slot = QuoteSlot()
    slot.placed("O-1", Quote(100, 10))

    slot.filled(4)

    assert slot.worst_case_lots == 6


def test_an_amend_below_what_was_filled_leaves_nothing_open(working):
    working.filled(7)
    working.amending(Quote(100, 1))

    working.amended(100, total_lots=5)

    assert working.open_lots == 0


def test_an_update_while_a_cancel_is_in_flight_waits_for_the_cancel(working):
    working.cancelling()

    working.amended(98, total_lots=8)

    assert working.state is SlotState.PENDING_CANCEL
    assert working.worst_case_lots == 8


def test_a_refused_amend_leaves_the_order_as_it_was_and_pauses(working):
    working.amending(Quote(98, 15))

    working.amend_refused(retry_at_ns=77)

    assert working.working == Quote(100, 10)
    assert working.worst_case_lots == 10
    assert working.retry_at_ns == 77


def test_a_refused_amend_does_not_hide_a_cancel_in_flight(working):
    working.cancelling()

    working.amend_refused(retry_at_ns=77)

    assert working.state is SlotState.PENDING_CANCEL


def test_a_cancel_in_flight_still_counts(working):
    working.cancelling()

    assert not working.is_settled
    assert working.worst_case_lots == 10


def test_a_refused_cancel_leaves_the_order_at_work(working):
    working.cancelling()

    working.cancel_refused()

    assert working.working == Quote(100, 10)


def test_a_refused_cancel_does_not_hide_an_amend_in_flight(working):
    working.amending(Quote(98, 15))
    working.cancelling()

    working.cancel_refused()

    assert working.state is SlotState.PENDING_AMEND
    assert working.worst_case_lots == 15


def test_a_refused_cancel_of_an_order_that_is_gone_changes_nothing(working):
    working.cancelling()
    working.closed()

    working.cancel_refused()

    assert working == QuoteSlot()


def test_a_closed_slot_is_as_new_but_for_its_pause(working):
    working.amending(Quote(98, 15))
    working.filled(3)

    working.closed(retry_at_ns=99)

    assert working == QuoteSlot(retry_at_ns=99)


def test_a_later_close_does_not_shorten_the_pause(working):
    working.closed(retry_at_ns=99)

    working.placed("O-2", Quote(100, 1))
    working.closed()

    assert working.retry_at_ns == 99


calls = st.one_of(
    st.tuples(st.just("placed"), st.just("O-1"), st.builds(Quote, lots, lots)),
    st.tuples(st.just("amending"), st.builds(Quote, lots, lots)),
    st.tuples(st.sampled_from(["cancelling", "accepted", "cancel_refused"])),
    st.tuples(st.just("amended"), lots, st.integers(0, 20)),
    st.tuples(st.just("amend_refused"), st.integers(0, 99)),
    st.tuples(st.just("filled"), lots),
    st.tuples(st.just("closed"), st.integers(0, 99)),
)


@settings(max_examples=200)
@given(calls=st.lists(calls, max_size=15))
def test_no_sequence_of_events_leaves_a_negative_size(calls):
    slot = QuoteSlot()

    for name, *arguments in calls:
        getattr(slot, name)(*arguments)

        assert slot.open_lots >= 0
        assert slot.worst_case_lots >= slot.open_lots
        assert slot.pending is None or slot.pending.size_lots >= 0
        assert (slot.working is not None) == (slot.state is SlotState.WORKING)


class Venue:
    """A venue that is far away: commands and reports travel, in order, for as long as the test likes."""

    def __init__(self):
        self.commands, self.reports = deque(), deque()
        self.total = self.filled = 0
        self.is_open = False

    def carry_out(self):
        if not self.commands:
            return
        command, total = self.commands.popleft()
        if command == "insert":
            self.total, self.filled, self.is_open = total, 0, True
            self.reports.append(("accepted", 0))
        elif not self.is_open:
            self.reports.append((f"{command} refused", 0))
        elif command == "cancel":
            self.is_open = False
            self.reports.append(("closed", 0))
        elif total <= self.filled:
            self.reports.append(("amend refused", 0))
        else:
            self.total = total
            self.reports.append(("amended", total))

    def fill(self, size):
        size = min(size, self.total - self.filled) if self.is_open else 0
        if size:
            self.filled += size
            self.reports.append(("filled", size))
            if self.filled == self.total:
                self.is_open = False
                self.reports.append(("closed", 0))

    def can_still_fill(self):
        """Lots that the client may yet hear of: fills under way, and the largest size that can come to be."""
        under_way = sum(size for report, size in self.reports if report == "filled")
        totals = [total for command, total in self.commands if command != "cancel"]
        inserts = any(command == "insert" for command, _ in self.commands)
        largest = max(totals + ([self.total] if self.is_open else []), default=0)
        filled = 0 if inserts or not self.is_open else self.filled
        return under_way + (largest - filled if self.is_open or inserts else 0)


def receive(slot, venue):
    if not venue.reports:
        return
    report, size = venue.reports.popleft()
    if slot.state is SlotState.EMPTY:
        return  # of an order that is known to be gone
    match report:
        case "accepted":
            slot.accepted()
        case "amended":
            slot.amended(slot.pending.price_ticks, size)
        case "amend refused":
            slot.amend_refused(0)
        case "cancel refused":
            slot.cancel_refused()
        case "filled":
            slot.filled(size)
        case "closed":
            slot.closed()


def send(slot, venue, size):
    """Do what the router may do: insert into an empty slot, amend or cancel a settled order."""
    if not slot.is_settled:
        return
    if slot.state is SlotState.EMPTY:
        if not venue.commands and not venue.reports:
            slot.placed("O", Quote(100, size))
            venue.commands.append(("insert", size))
    elif size % 3 == 0:
        slot.cancelling()
        venue.commands.append(("cancel", 0))
    else:
        slot.amending(Quote(100, size))
        venue.commands.append(("amend", size + slot.filled_lots))


@settings(max_examples=200)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["send", "carry out", "carry out", "fill", "receive", "receive"]), lots),
        min_size=10,
        max_size=60,
    )
)
def test_worst_case_bounds_what_a_distant_venue_can_still_fill(steps):
    slot, venue = QuoteSlot(), Venue()

    for step, size in steps:
        match step:
            case "send":
                send(slot, venue, size)
            case "carry out":
                venue.carry_out()
            case "fill":
                venue.fill(size)
            case "receive":
                receive(slot, venue)

        assert slot.worst_case_lots >= venue.can_still_fill()
        if slot.is_settled and not venue.reports and not venue.commands:
            assert slot.worst_case_lots == venue.can_still_fill() == slot.open_lots
