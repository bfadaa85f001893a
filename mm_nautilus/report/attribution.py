"""Where a result is from: spread captured, adverse selection, revaluation of the inventory, fees, and the rest."""

from collections.abc import Iterable, Sequence
from decimal import Decimal, localcontext
from typing import Final, NamedTuple, Self

from mm_nautilus.calibration.mark_outs import HORIZONS_SECONDS

HORIZON_SECONDS: Final = max(HORIZONS_SECONDS)
"""Time after a fill up to which a move of the mid is adverse selection; later it revalues the inventory."""
_PRECISION: Final = 60
"""Digits of a sum in between; the engine's amounts and the rates between them never have as many."""
_DIGITS: Final = Decimal("1e-12")
"""Digits that parts keep; the rest of them is not attributed."""


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
    later_mid: Decimal | None = None
    """The mid `HORIZON_SECONDS` later, in quote currency; None where the run had ended or that lies in a gap."""
    meets_end: bool = True
    """Whether the run ended within `HORIZON_SECONDS`, so that all of the move to its end is adverse selection."""
    is_maker: bool | None = True
    """Whether it made liquidity; None where the venue did not say."""

    @property
    def signed(self) -> Decimal:
        """The quantity, negative where we sold."""
        return self.quantity if self.is_buy else -self.quantity


class Parts(NamedTuple):
    """Parts of a result in the report currency, costs negative; None where one is not known."""

    spread_captured: Decimal | None
    adverse_selection: Decimal | None
    inventory_revaluation: Decimal | None
    maker_fees: Decimal | None
    """Of fills that made liquidity; rebates are positive."""
    taker_fees: Decimal | None
    """Of fills that took it, as exits at market do."""
    other_fees: Decimal | None
    """Of fills whose liquidity the venue did not say."""
    unattributed: Decimal | None
    """What the others lack of the result."""

    @property
    def edge(self) -> Decimal | None:
        """What fills were worth `HORIZON_SECONDS` later, before fees."""
        if self.spread_captured is None or self.adverse_selection is None:
            return None
        return self.spread_captured + self.adverse_selection

    @property
    def fees(self) -> Decimal | None:
        """All fees, negative where they cost."""
        return known_sum((self.maker_fees, self.taker_fees, self.other_fees))

    @classmethod
    def of(
        cls,
        fills: Sequence[AnswerFill],
        valuation: Valuation | None,
        fees: Decimal | None,
        result: Decimal | None,
        *,
        has_mids: bool = True,
    ) -> Self:
        """Return the parts of one pair's result.

        Without traces no mids are known; a fill whose mid is not known is not attributed. `fees` are what was charged
        in all, `result` the pair's PnL, both in the report currency. For a fill of `n` units at the price `p`, in the
        direction `d` (1 bought, -1 sold), with the mid `m` at the fill, `m_h` `HORIZON_SECONDS` later, and the value
        `v` of a unit at the end of the run::

            spread_captured       = sum of d * n * (m - p)
            adverse_selection     = sum of d * n * (m_h - m)
            inventory_revaluation = sum of d * n * (v - m_h)

        Where the run ended earlier `v` is in the place of `m_h`; where `m_h` lies in a gap, `m` is.
        """
        with localcontext() as context:
            context.prec = _PRECISION
            charged = _charged(fills, valuation, fees)
            moves = _moves(fills if has_mids else None, valuation)
            return cls(*moves, *charged, _rest(result, *moves, *charged))

    @classmethod
    def total(cls, pairs: Sequence["Parts"], result: Decimal | None) -> Self:
        """Return the parts of a run's result: the sums over its pairs, None where one of them is not known.

        The engine rounds each pair's result and the run's, so that the rest may differ from the sum of the pairs' rests
        by its last digit.
        """
        with localcontext() as context:
            context.prec = _PRECISION
            sums = [
                known_sum(pair[number] for pair in pairs) if pairs else None
                for number in range(len(cls._fields) - 1)
            ]
            return cls._make((*sums, _rest(result, *sums)))


def _charged(
    fills: Sequence[AnswerFill], valuation: Valuation | None, fees: Decimal | None
) -> tuple[Decimal | None, Decimal | None, Decimal | None]:
    """Return the fees of makers, of takers and others, negative where they cost; they add up to all, to the digit."""
    if fees is None or valuation is None:
        return None, None, None
    made, took = (
        sum((fill.fee for fill in fills if fill.is_maker is kind), Decimal(0)) * valuation.quote
        for kind in (True, False)
    )
    taker, other = (-took).quantize(_DIGITS), (made + took - fees).quantize(_DIGITS)
    return (-fees).quantize(_DIGITS) - taker - other, taker, other


def _rest(result: Decimal | None, *parts: Decimal | None) -> Decimal | None:
    if result is None:
        return None
    return result - sum((part for part in parts if part is not None), Decimal(0))


def _moves(
    fills: Iterable[AnswerFill] | None, valuation: Valuation | None
) -> tuple[Decimal | None, Decimal | None, Decimal | None]:
    """Return spread, adverse selection and revaluation over the fills whose mid is known."""
    if fills is None:
        return None, None, None
    spread = adverse = revaluation = Decimal(0)
    for fill in fills:
        if valuation is None:
            return None, None, None
        if fill.mid_price is None:
            continue
        quote, base = valuation
        mid = later = fill.mid_price * quote
        if fill.later_mid is not None:
            later = fill.later_mid * quote
        elif fill.meets_end:
            later = base
        spread += fill.signed * (mid - fill.price * quote)
        adverse += fill.signed * (later - mid)
        revaluation += fill.signed * (base - later)
    return spread.quantize(_DIGITS), adverse.quantize(_DIGITS), revaluation.quantize(_DIGITS)


def known_sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """Return a sum, None where a summand is not known."""
    total = Decimal(0)
    for amount in amounts:
        if amount is None:
            return None
        total += amount
    return total


def turnover_of(fills: Iterable[AnswerFill]) -> Decimal:
    """Return the sum of the fills' values, in quote currency."""
    return sum((fill.price * fill.quantity for fill in fills), Decimal(0))
