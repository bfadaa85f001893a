"""State of a symbol under its guards: quoting, paused or halted, with a reason."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from mm_nautilus.pricing.not_quoting import NotQuoting


class QuotingState(StrEnum):
    """State of a symbol.

    ``quoting``: at least one side may be quoted; ``paused``: ends by itself; ``halted``: ends with a resume command.
    """

    QUOTING = "quoting"
    PAUSED = "paused"
    HALTED = "halted"


@dataclass(frozen=True, slots=True)
class Halt:
    """Why a symbol is halted.

    Parameters
    ----------
    reason
        One of `HALTS`.
    text
        The reason with its numbers.
    """

    reason: NotQuoting
    text: str
    flatten: bool = False

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `asdict` returned."""
        return cls(NotQuoting(values["reason"]), str(values["text"]), bool(values["flatten"]))


@dataclass(frozen=True, slots=True)
class GuardState:
    """A symbol's state at one moment.

    Parameters
    ----------
    reason
        Why the symbol, or one side, is not quoted; empty if both sides are.
    feed_age_seconds
        Time since the last book event, seconds; None before the first.
    """

    state: QuotingState
    reason: str
    feed_age_seconds: float | None


def guard_state(
    halt: Halt | None, bid: NotQuoting | None, ask: NotQuoting | None, feed_age_seconds: float | None
) -> GuardState:
    """Return a symbol's state."""
    if halt is not None:
        return GuardState(QuotingState.HALTED, f"{halt.reason}: {halt.text}", feed_age_seconds)
    if bid is not None and bid is ask:
        return GuardState(QuotingState.PAUSED, bid.value, feed_age_seconds)
    reasons = [f"{name}: {reason}" for name, reason in (("bid", bid), ("ask", ask)) if reason is not None]
    is_quoted = bid is None or ask is None
    state = QuotingState.QUOTING if is_quoted else QuotingState.PAUSED
    return GuardState(state, ", ".join(reasons), feed_age_seconds)
