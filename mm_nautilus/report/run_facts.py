"""A run as plain values, for its answer: what the summary has, and each fill with the mid that it came at."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

type Figures = Mapping[str, Any]


class Valuation(NamedTuple):
    """What a symbol's money and its base currency were worth at the end, in the report currency."""

    quote: Decimal
    """One unit of its quote currency."""
    base: Decimal
    """One unit of its base currency, as the equity values a position."""


class AnswerFill(NamedTuple):
    """One execution."""

    ts_ns: int
    """When, nanoseconds since the epoch."""
    is_buy: bool
    price: Decimal
    quantity: Decimal
    fee: Decimal
    """In quote, base and quote currency."""
    mid_price: Decimal | None
    """The mid when it came, in quote currency; None while the strategy stopped."""

    @property
    def signed(self) -> Decimal:
        """The quantity, negative where we sold."""
        return self.quantity if self.is_buy else -self.quantity


@dataclass(frozen=True, slots=True)
class SymbolFacts:
    """One symbol of a run."""

    figures: Figures
    fills: Sequence[AnswerFill] = ()
    """This run's executions of it, as far as the summary knows them."""
    valuation: Valuation | None = None
    """None where a price for it never came."""
    move_pct: float | None = None
    """How far its mid moved from the first to the last, %, None where there was none."""
    uses_trailing_stop: bool = False
    """Whether its trailing stop is switched on."""
    inventory_lever: str = "gamma"
    """Parameter by which its prices lean further against inventory; ``use_reservation_price`` where they do not."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A run up to now."""

    currency: str
    seconds: float
    """Length of the run."""
    symbols: Mapping[str, SymbolFacts]
    exits: Mapping[str, Figures] = field(default_factory=dict)
    """How each kind of exit did, as in the summary; amounts by currency."""
    trading_pnl: Decimal | None = None
    fees: Decimal | None = None
    """Result and fees of all symbols in the report currency, None where a price for the conversion never came."""
    is_resumed: bool = False
    """Whether money and counts are since an earlier session's start."""
    has_traces: bool = True
    """Whether the mids at fills were recorded."""
    status: str = "completed"
    compare_fee_pct: float | None = None
    """Fee of both sides, % of value, at which the fills are valued once more; None leaves that out."""

    @property
    def fills(self) -> int:
        """Executions of all symbols, earlier sessions' too."""
        return sum(int(symbol.figures["fills"]) for symbol in self.symbols.values())

    def rates(self) -> dict[str, Decimal]:
        """Return the value of one unit of each quote currency, as far as it is known."""
        found = {self.currency: Decimal(1)}
        for symbol in self.symbols.values():
            if symbol.valuation is not None:
                found[symbol.figures["currency"]] = symbol.valuation.quote
        return found


def turnover_of(fills: Iterable[AnswerFill]) -> Decimal:
    """Return the sum of the fills' values, in quote currency."""
    return sum((fill.price * fill.quantity for fill in fills), Decimal(0))
