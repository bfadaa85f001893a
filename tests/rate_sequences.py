"""Scripts of order commands with what a venue's counter makes of them, worked by hand."""

from typing import Any, Final

from mm_nautilus.risk.rate_limit import Command

ADD, AMEND, CANCEL = Command.ADD, Command.AMEND, Command.CANCEL
STARTER, INTERMEDIATE, PRO = ({"kraken": tier} for tier in ("starter", "intermediate", "pro"))
BUCKET: Final = {"actions": 3, "seconds": 2.0}
JUST: Final = 1e-9
"""A nanosecond, in seconds."""

type Step = tuple[float, Command, str, bool]
"""Seconds, command, name of the order, and whether the venue takes it."""


def spent(points: int, at: float = 0) -> list[Step]:
    """Return orders x0, x1 and so on, each placed and amended at once, for five points each."""
    both = [[(at, ADD, f"x{number}", True), (at, AMEND, f"x{number}", True)] for number in range(points // 5)]
    return [step for steps in both for step in steps]


def one(at: float, command: Command) -> list[Step]:
    """Return an order placed at 0 and one command to it; the point of placing is gone after a second."""
    return [(0, ADD, "a", True), (at, command, "a", True)]


SEQUENCES: Final[dict[str, tuple[dict[str, Any], list[Step], float, float]]] = {
    # name: (limit, steps, a moment in seconds, points on the counter then)
    "nothing": (STARTER, [], 100, 0),
    "an add costs one": (STARTER, [(0, ADD, "a", True)], 0, 1),
    "an amend at once costs four": (STARTER, one(0, AMEND), 0, 5),
    "an amend just before 5 s costs four": (STARTER, one(5 - JUST, AMEND), 5 - JUST, 4),
    "an amend at 5 s costs three": (STARTER, one(5, AMEND), 5, 3),
    "an amend just before 10 s costs three": (STARTER, one(10 - JUST, AMEND), 10 - JUST, 3),
    "an amend at 10 s costs two": (STARTER, one(10, AMEND), 10, 2),
    "an amend just before 15 s costs two": (STARTER, one(15 - JUST, AMEND), 15 - JUST, 2),
    "an amend at 15 s costs one": (STARTER, one(15, AMEND), 15, 1),
    "an amend makes an order young": (STARTER, [*one(10, AMEND), (14, AMEND, "a", True)], 14, 4),
    "a cancel at once costs eight": (STARTER, one(0, CANCEL), 0, 9),
    "a cancel just before 5 s costs eight": (STARTER, one(5 - JUST, CANCEL), 5 - JUST, 8),
    "a cancel at 5 s costs six": (STARTER, one(5, CANCEL), 5, 6),
    "a cancel at 10 s costs five": (STARTER, one(10, CANCEL), 10, 5),
    "a cancel at 15 s costs four": (STARTER, one(15, CANCEL), 15, 4),
    "a cancel just before 45 s costs four": (STARTER, one(45 - JUST, CANCEL), 45 - JUST, 4),
    "a cancel at 45 s costs two": (STARTER, one(45, CANCEL), 45, 2),
    "a cancel at 90 s costs one": (STARTER, one(90, CANCEL), 90, 1),
    "a cancel just before 300 s costs one": (STARTER, one(300 - JUST, CANCEL), 300 - JUST, 1),
    "a cancel at 300 s is free": (STARTER, one(300, CANCEL), 300, 0),
    "a cancel counts from the last amend": (STARTER, [*one(20, AMEND), (22, CANCEL, "a", True)], 22, 8),
    "a starter loses a point a second": (STARTER, one(0, CANCEL), 3, 6),
    "an intermediate loses 2.34": (INTERMEDIATE, one(0, CANCEL), 2, 4.32),
    "a pro loses 3.75": (PRO, one(0, CANCEL), 2, 1.5),
    "points end at none": (STARTER, [(0, ADD, "a", True)], 3_600, 0),
    "idle time is not saved up": (
        STARTER,
        [(0, ADD, "a", True), (3_600, ADD, "b", True), (3_600, AMEND, "b", True)],
        3_601,
        4,
    ),
    "two commands decay together": (STARTER, [*one(0, AMEND), (2, AMEND, "a", True)], 3, 6),
    "the threshold itself is taken": (STARTER, spent(60), 0, 60),
    "beyond it an add is refused and costs its point": (STARTER, [*spent(60), (0, ADD, "a", False)], 0, 61),
    "a refused amend costs its fixed point alone": (STARTER, [*spent(60), (0, AMEND, "x0", False)], 0, 61),
    "a refused cancel costs nothing": (STARTER, [*spent(60), (0, CANCEL, "x0", False)], 0, 60),
    "a refused amend leaves an order as old as it was": (
        STARTER,
        [(0, ADD, "a", True), *spent(60, 10), (10, AMEND, "a", False), (16, AMEND, "a", True)],
        16,
        56,
    ),
    "a free cancel is taken at the threshold": (
        STARTER,
        [(0, ADD, "a", True), *spent(60, 300), (300, CANCEL, "a", True)],
        300,
        60,
    ),
    "just before a second there is no room": (STARTER, [*spent(60), (1 - JUST, ADD, "a", False)], 1, 60),
    "after exactly a second there is": (STARTER, [*spent(60), (1, ADD, "a", True)], 1, 60),
    "room for a cancel comes with decay and with age": (
        STARTER,
        [
            *spent(60),
            (5 - JUST, CANCEL, "x0", False),
            (5, CANCEL, "x0", False),
            (6 - JUST, CANCEL, "x0", False),
            (6, CANCEL, "x0", True),
        ],
        6,
        60,
    ),
    "an intermediate's threshold is 125": (INTERMEDIATE, [*spent(125), (0, ADD, "a", False)], 0, 126),
    "a pro's is 180": (PRO, [*spent(180), (0, AMEND, "x0", False)], 0, 181),
    "a pro has room for an add after a point's decay": (
        PRO,
        [*spent(180), (0.266_666_667, ADD, "a", True)],
        0.266_666_667,
        180,
    ),
    "a bucket takes its actions at once, whatever they are": (
        BUCKET,
        [*one(0, AMEND), (0, CANCEL, "a", True), (0, ADD, "b", False)],
        0,
        3,
    ),
    "a bucket is refilled evenly": (
        BUCKET,
        [
            *[(0, ADD, name, True) for name in "abc"],
            (0.666_666_666, ADD, "d", False),
            (0.666_666_667, ADD, "e", True),
        ],
        1,
        2.5,
    ),
    "a bucket is full again after its time": (BUCKET, [(0, ADD, name, True) for name in "abc"], 2, 0),
}
