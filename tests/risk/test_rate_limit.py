"""A venue's counter of order commands, by hand-worked sequences."""

import pytest

from mm_nautilus.risk.rate_limit import Command, RateCounter, action_rules, kraken_rules
from mm_nautilus.system.moments import SECOND_NS

ADD, AMEND, CANCEL = Command.ADD, Command.AMEND, Command.CANCEL
STARTER, INTERMEDIATE, PRO = (kraken_rules(tier) for tier in ("starter", "intermediate", "pro"))
BUCKET = action_rules(3, 2.0)
JUST = 1e-9
"""A nanosecond, in seconds."""
FULL = [(0, AMEND, 0, True)] * 15  # 60 points

SEQUENCES = {
    "nothing": (STARTER, [], 100, 0.0),
    "an add costs one": (STARTER, [(0, ADD, 0, True)], 0, 1.0),
    "an amend at once costs four": (STARTER, [(0, AMEND, 0, True)], 0, 4.0),
    "an amend just before 5 s costs four": (STARTER, [(0, AMEND, 5 - JUST, True)], 0, 4.0),
    "an amend at 5 s costs three": (STARTER, [(0, AMEND, 5, True)], 0, 3.0),
    "an amend just before 10 s costs three": (STARTER, [(0, AMEND, 10 - JUST, True)], 0, 3.0),
    "an amend at 10 s costs two": (STARTER, [(0, AMEND, 10, True)], 0, 2.0),
    "an amend just before 15 s costs two": (STARTER, [(0, AMEND, 15 - JUST, True)], 0, 2.0),
    "an amend at 15 s costs one": (STARTER, [(0, AMEND, 15, True)], 0, 1.0),
    "a cancel at once costs eight": (STARTER, [(0, CANCEL, 0, True)], 0, 8.0),
    "a cancel just before 5 s costs eight": (STARTER, [(0, CANCEL, 5 - JUST, True)], 0, 8.0),
    "a cancel at 5 s costs six": (STARTER, [(0, CANCEL, 5, True)], 0, 6.0),
    "a cancel at 10 s costs five": (STARTER, [(0, CANCEL, 10, True)], 0, 5.0),
    "a cancel at 15 s costs four": (STARTER, [(0, CANCEL, 15, True)], 0, 4.0),
    "a cancel at 45 s costs two": (STARTER, [(0, CANCEL, 45, True)], 0, 2.0),
    "a cancel at 90 s costs one": (STARTER, [(0, CANCEL, 90, True)], 0, 1.0),
    "a cancel just before 300 s costs one": (STARTER, [(0, CANCEL, 300 - JUST, True)], 0, 1.0),
    "a cancel at 300 s is free": (STARTER, [(0, CANCEL, 300, True)], 0, 0.0),
    "a starter loses a point a second": (STARTER, [(0, CANCEL, 0, True)], 3, 5.0),
    "an intermediate loses 2.34": (INTERMEDIATE, [(0, CANCEL, 0, True)], 2, 3.32),
    "a pro loses 3.75": (PRO, [(0, CANCEL, 0, True)], 2, 0.5),
    "points end at none": (STARTER, [(0, ADD, 0, True)], 3_600, 0.0),
    "idle time is not saved up": (STARTER, [(0, ADD, 0, True), (3_600, AMEND, 0, True)], 3_601, 3.0),
    "two commands decay together": (STARTER, [(0, AMEND, 0, True), (2, AMEND, 0, True)], 3, 5.0),
    "the threshold itself is taken": (STARTER, FULL, 0, 60.0),
    "beyond it an add is refused and costs its point": (STARTER, [*FULL, (0, ADD, 0, False)], 0, 61.0),
    "a refused amend costs its fixed point alone": (STARTER, [*FULL, (0, AMEND, 0, False)], 0, 61.0),
    "a refused cancel costs nothing": (STARTER, [*FULL, (0, CANCEL, 0, False)], 0, 60.0),
    "a free cancel is taken at the threshold": (STARTER, [*FULL, (0, CANCEL, 300, True)], 0, 60.0),
    "just before a second there is no room": (STARTER, [*FULL, (1 - JUST, ADD, 0, False)], 1, 60.0),
    "after exactly a second there is": (STARTER, [*FULL, (1, ADD, 0, True)], 1, 60.0),
    "room for a cancel at once takes eight seconds": (
        STARTER,
        [*FULL, (8 - JUST, CANCEL, 0, False), (8, CANCEL, 0, True)],
        8,
        60.0,
    ),
    "an intermediate takes 31 young amends": (
        INTERMEDIATE,
        [*([(0, AMEND, 0, True)] * 31), (0, ADD, 0, True), (0, ADD, 0, False)],
        0,
        126.0,
    ),
    "a pro takes 45": (PRO, [*([(0, AMEND, 0, True)] * 45), (0, AMEND, 15, False)], 0, 181.0),
    "a bucket takes its actions at once": (
        BUCKET,
        [(0, ADD, 0, True), (0, AMEND, 0, True), (0, CANCEL, 999, True), (0, CANCEL, 0, False)],
        0,
        3.0,
    ),
    "a bucket is refilled evenly": (
        BUCKET,
        [*([(0, ADD, 0, True)] * 3), (0.666_666_666, ADD, 0, False), (0.666_666_667, ADD, 0, True)],
        1.0,
        2.5,
    ),
    "a bucket is full again after its time": (BUCKET, [(0, ADD, 0, True)] * 3, 2, 0.0),
}


def _ns(seconds: float) -> int:
    return round(seconds * SECOND_NS)


@pytest.mark.parametrize("name", SEQUENCES)
def test_counter_follows_the_published_rules(name: str) -> None:
    rules, commands, then, points = SEQUENCES[name]
    counter = RateCounter(rules)
    taken = [counter.take(command, _ns(at), _ns(age)) for at, command, age, _ in commands]
    assert taken == [is_taken for *_, is_taken in commands]
    assert counter.points(_ns(then)) == pytest.approx(points, abs=1e-6)
