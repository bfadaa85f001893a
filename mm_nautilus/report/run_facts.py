"""A run as plain values, for its answer: what the summary has, and each fill with the mids that it came at and met."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any

from mm_nautilus.report.attribution import AnswerFill, Parts, Valuation, known_sum, turnover_of
from mm_nautilus.report.run_files import exact_amount
from mm_nautilus.report.stretches import Stretches

type Figures = Mapping[str, Any]


@dataclass(frozen=True)
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
    """Parameter by which its prices lean further against inventory; ``use_reservation_price`` where they do not,
    ``pricing`` where a function of the user's decides over centre and width."""
    quality: Mapping[str, Figures] = field(default_factory=dict)
    """What the ``buys``, the ``sells`` and those of the ``maker`` were worth at the attribution's horizon, as
    `FillQuality`; empty without traces."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Its parameters in the configuration."""
    takes_entries: bool = False
    """Whether its entries are marketable orders, which no width and no reservation price concerns."""

    @cached_property
    def result(self) -> Decimal | None:
        """Its PnL in the report currency, as published; None where a price for it never came."""
        return exact_amount(self.figures["exact"]["total_pnl_report"])

    @cached_property
    def fees(self) -> Decimal | None:
        """What was charged, in the report currency at the last mids."""
        if self.valuation is None:
            return None
        return (exact_amount(self.figures["exact"]["fees"]) or Decimal(0)) * self.valuation.quote

    @property
    def fees_of_fills(self) -> Decimal | None:
        """What this run's fills alone were charged, in the report currency at the last mids."""
        if self.valuation is None:
            return None
        return sum((fill.fee for fill in self.fills), Decimal(0)) * self.valuation.quote

    @property
    def has_own_pricing(self) -> bool:
        """Whether a function of the user's decides over centre and width of its quotes."""
        return self.inventory_lever == "pricing"

    @cached_property
    def turnover(self) -> Decimal | None:
        """The value of this run's fills in the report currency."""
        if self.valuation is None:
            return None if self.fills else Decimal(0)
        return turnover_of(self.fills) * self.valuation.quote


@dataclass(frozen=True)
class RunFacts:
    """A run up to now."""

    currency: str
    seconds: float
    """Length of the run."""
    symbols: Mapping[str, SymbolFacts]
    exits: Mapping[str, Figures] = field(default_factory=dict)
    """How each kind of exit did, as in the summary; amounts by currency."""
    trading_pnl: Decimal | None = None
    """Result of all symbols in the report currency, None where a price for the conversion never came."""
    equity_start: Decimal | None = None
    """Value of all balances at the start."""
    funding: Decimal | None = None
    """Payments of perpetuals beside the trading PnL, negative where paid; None where there is none."""
    stretches: Stretches | None = None
    """The trading PnL by time."""
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

    @cached_property
    def pairs(self) -> Mapping[str, Parts]:
        """The parts of each pair's result; what earlier sessions had made, their fees among it, is not attributed."""
        return {
            name: Parts.of(
                symbol.fills,
                symbol.valuation,
                symbol.fees_of_fills if self.is_resumed else symbol.fees,
                symbol.result,
                has_mids=self.has_traces,
            )
            for name, symbol in self.symbols.items()
        }

    @cached_property
    def parts(self) -> Parts:
        """The parts of the result."""
        return Parts.total(list(self.pairs.values()), self.trading_pnl)

    @cached_property
    def turnover(self) -> Decimal | None:
        """The value of all fills; None where one cannot be converted, or earlier sessions had others."""
        if self.is_resumed:
            return None
        return known_sum(symbol.turnover for symbol in self.symbols.values())

    def shared(self, key: str) -> Any:
        """Return the value of a parameter that all pairs share; the text ``unset`` where they have none or several."""
        values = [symbol.params.get(key) for symbol in self.symbols.values()]
        is_one = values and values[0] is not None and values.count(values[0]) == len(values)
        return values[0] if is_one else "unset"

    def rates(self) -> dict[str, Decimal]:
        """Return the value of one unit of each quote currency, as far as it is known."""
        found = {self.currency: Decimal(1)}
        for symbol in self.symbols.values():
            if symbol.valuation is not None:
                found[symbol.figures["currency"]] = symbol.valuation.quote
        return found
