import json
from dataclasses import asdict

import pytest

from mm_nautilus.pricing.not_quoting import HALTS, NotQuoting
from mm_nautilus.risk.state import GuardState, Halt, QuotingState, guard_state

STALE, CAP, COOLDOWN = NotQuoting.STALE_BOOK, NotQuoting.INVENTORY_CAP, NotQuoting.COOLDOWN


@pytest.mark.parametrize(
    ("bid", "ask", "state", "reason"),
    [
        (None, None, "quoting", ""),
        (CAP, None, "quoting", "bid: inventory cap"),
        (None, CAP, "quoting", "ask: inventory cap"),
        (STALE, STALE, "paused", "stale book"),
        (CAP, COOLDOWN, "paused", "bid: inventory cap, ask: cooldown"),
    ],
)
def test_state_is_told_by_the_two_sides(bid, ask, state, reason):
    assert guard_state(None, bid, ask, 1.5) == GuardState(QuotingState(state), reason, 1.5)


def test_a_halt_outdoes_the_sides():
    halt = Halt(NotQuoting.KILL_SWITCH, "a signal")
    found = guard_state(halt, NotQuoting.STOPPING, NotQuoting.STOPPING, None)
    assert found == GuardState(QuotingState.HALTED, "halted by the kill switch: a signal", None)


@pytest.mark.parametrize("reason", sorted(HALTS))
@pytest.mark.parametrize("flatten", [True, False])
def test_a_halt_survives_a_turn_through_json(reason, flatten):
    halt = Halt(reason, "figures", flatten)
    back = Halt.from_dict(json.loads(json.dumps(asdict(halt))))
    assert back == halt
    assert back.reason is reason


def test_every_halt_says_that_it_is_one():
    assert all(reason.value.startswith("halted") for reason in HALTS)
    assert {reason for reason in NotQuoting if reason.value.startswith("halted")} == HALTS
