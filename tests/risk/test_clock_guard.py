import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_nautilus.risk.clock import ClockGuard, ClockReading

SECOND = 1_000_000_000
WALL = 1_765_000_000 * SECOND


class Clocks:
    """A computer's clocks: they run together until somebody sets the wall clock."""

    def __init__(self) -> None:
        self.monotonic = 0
        self.offset = WALL
        self.engine = 0

    def read(self, after: float = 0.25, step: float = 0.0) -> ClockReading:
        self.monotonic += round(after * SECOND)
        self.offset += round(step * SECOND)
        wall = self.monotonic + self.offset
        self.engine = max(self.engine, wall)
        return ClockReading(wall, self.monotonic, self.engine)


@pytest.fixture
def clocks():
    return Clocks()


@pytest.fixture
def guard():
    return ClockGuard(limit_ns=SECOND, settle_ns=3 * SECOND)


def test_clocks_that_run_together_are_settled(guard, clocks):
    assert not any(guard.look(clocks.read(after)) for after in (0.25, 0.25, 5.0, 60.0))
    assert guard.is_settled


@pytest.mark.parametrize("step", [-1.0, -0.2, 0.2, 1.0])
def test_a_small_step_is_none(guard, clocks, step):
    guard.look(clocks.read())
    assert not guard.look(clocks.read(step=step))
    assert guard.is_settled


@pytest.mark.parametrize("step", [1.001, 3600.0])
def test_a_step_forward_is_told_once_and_settles(guard, clocks, step):
    guard.look(clocks.read())

    assert guard.look(clocks.read(step=step))
    assert guard.step_ns == round(step * SECOND)
    told = [(guard.look(clocks.read()), guard.is_settled) for _ in range(12)]

    assert told == [(False, False)] * 11 + [(False, True)]


def test_after_a_step_back_the_engines_clock_has_to_run_again(guard, clocks):
    guard.look(clocks.read())

    assert guard.look(clocks.read(step=-60.0))
    assert guard.step_ns == -60 * SECOND
    settled = []
    for _ in range(4 * 70):
        assert not guard.look(clocks.read())
        settled.append(guard.is_settled)

    # The last of 234 looks finds the engine more than a second ahead of the wall clock; three seconds follow.
    assert settled.index(True) + 1 == 234 + 4 * 3


def test_a_second_step_begins_the_wait_anew(guard, clocks):
    guard.look(clocks.read())
    guard.look(clocks.read(step=10.0))
    guard.look(clocks.read(after=2.5))
    guard.look(clocks.read(step=10.0))
    guard.look(clocks.read(after=2.5))
    assert not guard.is_settled
    guard.look(clocks.read(after=0.5))
    assert guard.is_settled


def test_a_computer_that_slept_has_stepped(guard, clocks):
    """Its monotonic clock slept too, the wall clock did not."""
    guard.look(clocks.read())
    assert guard.look(clocks.read(after=0.1, step=8 * 3600.0))


@given(
    st.lists(
        st.tuples(st.floats(0.01, 5.0), st.sampled_from([0.0, 0.0, 0.0, 0.5, -0.5, 2.0, -2.0, 100.0])),
        max_size=60,
    )
)
def test_exactly_the_steps_beyond_the_limit_are_told(looks):
    guard, clocks = ClockGuard(SECOND, 3 * SECOND), Clocks()
    guard.look(clocks.read())
    for after, step in looks:
        assert guard.look(clocks.read(after, step)) == (abs(step) > 1.0)
        assert not (abs(step) > 1.0 and guard.is_settled)
