"""The life of a side's order, and what it rests on while amends are on their way and when they are refused."""

from collections import deque
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_nautilus.data.simulator import KRAKEN_SPOT
from mm_nautilus.pricing.quotes import Quote
from mm_nautilus.trading.messages import Decision, MarketSample
from mm_nautilus.trading.working_order import QUOTE, Grounds, OrderState, QuoteSide, WorkingOrder

XRP = KRAKEN_SPOT["XRP/USDT"]
BID, ASK = round(Decimal("2.34") / XRP.price_increment), round(Decimal("2.36") / XRP.price_increment)
LOTS = round(10 / XRP.size_increment)

lots = st.integers(1, 20)


def grounds(now_ns: int) -> Grounds:
    market = (BID, ASK, 2.35, 2.349, -LOTS, 4 * LOTS, None, None)
    return Grounds(now_ns, BID, LOTS, *market, 0.1, None, None, None)


def decision(ts_event: int) -> Decision:
    sample = MarketSample(2.34, 2.36, 2.35, 2.349, -10.0, 40.0, None, None)
    return Decision(ts_event, Decimal("2.34"), Decimal(10), sample, 0.1, None, None, None)


class Slot(QuoteSide):
    """A side whose order is told what happens to it, as the order manager does."""

    def placed(self, quote: Quote) -> None:
        self.order = WorkingOrder(None, self, "O", QUOTE, True, Quote(*quote[:2]), grounds(1), quote)

    def amending(self, quote: Quote) -> None:
        self.order.amending(quote, grounds(5))

    def closed(self) -> None:
        self.order = None

    @property
    def state(self) -> OrderState | None:
        return None if self.order is None else self.order.state

    @property
    def worst_case_lots(self) -> int:
        return 0 if self.order is None else self.order.worst_case_lots

    def __getattr__(self, name):
        return getattr(self.order, name)


def slot_with(quote: Quote | None = None) -> Slot:
    slot = Slot(is_bid=True)
    if quote is not None:
        slot.placed(quote)
    return slot


@pytest.fixture
def working() -> Slot:
    """A side with ten lots at work at a hundred ticks."""
    slot = slot_with(Quote(100, 10))
    slot.accepted()
    return slot


def test_an_order_rests_on_what_it_was_placed_on(working):
    origin = working.origin(XRP)
    assert (origin.decision, origin.placed_ns, origin.amends) == (decision(1), 1, 0)


def test_an_order_at_market_has_no_price():
    assert grounds(1)._replace(price_ticks=None).decision(XRP).price is None


def test_without_a_sound_book_there_is_no_touch():
    sample = grounds(1)._replace(bid_ticks=None, ask_ticks=None, cap_lots=None).market(XRP)
    assert sample[:3] == (None, None, 2.35)
    assert sample.inventory_cap is None


def test_an_amend_counts_from_its_confirmation_on(working):
    before = working.origin(XRP)
    working.amending(Quote(98, 10))
    assert working.origin(XRP) is before
    working.amended(98, total_lots=10)
    after = working.origin(XRP)
    assert (after.decision, after.placed_ns, after.amends) == (decision(5), 1, 1)


def test_a_refused_amend_leaves_the_decision_where_it_was(working):
    before = working.origin(XRP)
    working.amending(Quote(98, 10))
    working.amend_refused()
    assert working.origin(XRP) is before


def test_a_confirmation_that_nobody_asked_for_keeps_the_decision(working):
    before = working.origin(XRP)
    working.amended(100, total_lots=10)
    assert working.origin(XRP) is before


def test_an_empty_side_is_settled_and_has_nothing_to_fill():
    slot = slot_with()
    assert slot.is_settled
    assert slot.working is None


def test_an_insert_in_flight_counts_but_is_not_settled():
    slot = slot_with(Quote(100, 10))
    assert slot.state is OrderState.PENDING_NEW
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

    assert working.state is OrderState.PENDING_CANCEL


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

    assert working.resting.size_lots == 4
    assert working.worst_case_lots == 9


def test_a_fill_of_everything_during_an_amend_leaves_nothing(working):
    working.amending(Quote(98, 5))

    working.filled(10)

    assert working.resting.size_lots == working.worst_case_lots == 0


def test_a_venue_may_confirm_another_size_than_was_asked_for(working):
    working.amending(Quote(98, 15))

    working.amended(98, total_lots=12)

    assert working.working == Quote(98, 12)
    assert working.worst_case_lots == 12


def test_a_fill_during_an_insert_leaves_the_rest(working):
    slot = slot_with(Quote(100, 10))

    slot.filled(4)

    assert slot.worst_case_lots == 6


def test_an_amend_below_what_was_filled_leaves_nothing_open(working):
    working.filled(7)
    working.amending(Quote(100, 1))

    working.amended(100, total_lots=5)

    assert working.resting.size_lots == 0


def test_an_update_while_a_cancel_is_in_flight_waits_for_the_cancel(working):
    working.cancelling()

    working.amended(98, total_lots=8)

    assert working.state is OrderState.PENDING_CANCEL
    assert working.worst_case_lots == 8


def test_a_refused_amend_leaves_the_order_as_it_was(working):
    working.amending(Quote(98, 15))

    working.amend_refused()

    assert working.working == Quote(100, 10)
    assert working.worst_case_lots == 10


def test_a_refused_amend_does_not_hide_a_cancel_in_flight(working):
    working.cancelling()

    working.amend_refused()

    assert working.state is OrderState.PENDING_CANCEL


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

    assert working.state is OrderState.PENDING_AMEND
    assert working.worst_case_lots == 15


calls = st.one_of(
    st.tuples(st.just("amending"), st.builds(Quote, lots, lots)),
    st.tuples(st.sampled_from(["cancelling", "accepted", "cancel_refused", "amend_refused"])),
    st.tuples(st.just("amended"), lots, st.integers(0, 20)),
    st.tuples(st.just("filled"), lots),
)


@settings(max_examples=200)
@given(calls=st.lists(calls, max_size=15))
def test_no_sequence_of_events_leaves_a_negative_size(calls):
    slot = slot_with(Quote(100, 10))

    for name, *arguments in calls:
        getattr(slot, name)(*arguments)

        assert slot.resting.size_lots >= 0
        assert slot.worst_case_lots >= slot.resting.size_lots
        assert slot.pending is None or slot.pending.size_lots >= 0
        assert (slot.working is not None) == (slot.state is OrderState.WORKING)


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
    if slot.order is None:
        return  # of an order that is known to be gone
    match report:
        case "accepted":
            slot.accepted()
        case "amended":
            slot.amended(slot.pending.price_ticks, size)
        case "amend refused":
            slot.amend_refused()
        case "cancel refused":
            slot.cancel_refused()
        case "filled":
            slot.filled(size)
        case "closed":
            slot.closed()


def send(slot, venue, size):
    """Do what the order manager may do: insert into an empty slot, amend or cancel a settled order."""
    if not slot.is_settled:
        return
    if slot.order is None:
        if not venue.commands and not venue.reports:
            slot.placed(Quote(100, size))
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
    slot, venue = slot_with(), Venue()

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
            assert (
                slot.worst_case_lots
                == venue.can_still_fill()
                == (slot.resting.size_lots if slot.order else 0)
            )
