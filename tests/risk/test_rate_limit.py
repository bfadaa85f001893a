"""A venue's counter of order commands, by hand-worked sequences."""

import pytest
from rate_sequences import CANCEL, SEQUENCES

from mm_nautilus.risk.rate_limit import RateCounter, rate_rules
from mm_nautilus.system.moments import SECOND_NS


def _ns(seconds: float) -> int:
    return round(seconds * SECOND_NS)


@pytest.mark.parametrize("name", SEQUENCES)
def test_counter_follows_the_published_rules(name: str) -> None:
    limit, steps, then, points = SEQUENCES[name]
    counter, since_ns, taken = RateCounter(rate_rules(**limit)), {}, []
    for at, command, order, _ in steps:
        now_ns = _ns(at)
        taken.append(counter.take(command, now_ns, now_ns - since_ns.get(order, now_ns)))
        if taken[-1] and command is not CANCEL:
            since_ns[order] = now_ns
    assert taken == [is_taken for *_, is_taken in steps]
    assert counter.points(_ns(then)) == pytest.approx(points, abs=1e-6)
