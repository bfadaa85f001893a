"""Risks of a symbol's parameters net of fees."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, Self

from mm_nautilus.config.problems import Problem
from mm_nautilus.config.run import FeeConfig, TradingConfig, VenueConfig
from mm_nautilus.config.strategy import MarketMakerConfig, SymbolParams
from mm_nautilus.market.instrument import InstrumentSpec

LEAST_REWARD_TO_RISK: Final = 0.5
"""Ratio of take profit to stop loss below which v1.4.0 warns."""


@dataclass(frozen=True, slots=True)
class Fees:
    """Maker and taker fee, % of the traded value; negative is a rebate."""

    maker_pct: float
    taker_pct: float

    @classmethod
    def of(cls, params: SymbolParams) -> Self | None:
        """Return the fees in a symbol's parameters, None unless both are given."""
        maker, taker = params.maker_fee_pct, params.taker_fee_pct
        return None if maker is None or taker is None else cls(maker, taker)


def configured_fees(config: TradingConfig) -> dict[str, Fees]:
    """Return the fees of all symbols whose fees are given in the configuration.

    A symbol's own ``maker_fee_pct`` and ``taker_fee_pct`` come before ``venue.symbol_fees``, and those before
    ``venue.fees``.
    """
    found: dict[str, Fees] = {}
    for symbol in config.strategy.symbols:
        params, charged = config.strategy.for_symbol(symbol), _charged(config.venue, symbol)
        if charged is not None:
            params = _filled(params, charged.maker_fee_pct, charged.taker_fee_pct)
        if (fees := Fees.of(params)) is not None:
            found[symbol] = fees
    return found


def with_venue_fees(venue: VenueConfig, spec: InstrumentSpec) -> InstrumentSpec:
    """Return an instrument with the venue's fees: ``symbol_fees`` before ``fees`` before its own.

    A fee schedule counts by the tier of its starting volume.
    """
    fees = _charged(venue, spec.symbol)
    if fees is None:
        return spec
    maker, taker = Decimal(repr(fees.maker_fee_pct)) / 100, Decimal(repr(fees.taker_fee_pct)) / 100
    return replace(spec, maker_fee_rate=maker, taker_fee_rate=taker)


def with_instrument_fees(params: SymbolParams, spec: InstrumentSpec) -> SymbolParams:
    """Fill in the instrument's fees for those the configuration leaves open."""
    maker, taker = (
        None if rate is None else float(100 * rate) for rate in (spec.maker_fee_rate, spec.taker_fee_rate)
    )
    return _filled(params, maker, taker)


def _charged(venue: VenueConfig, symbol: str) -> FeeConfig | None:
    if symbol in venue.symbol_fees or venue.fee_schedule is None:
        return venue.symbol_fees.get(symbol, venue.fees)
    tier = venue.fee_schedule.tier_at(venue.fee_schedule.starting_volume)
    return FeeConfig(maker_fee_pct=tier.maker_fee_pct, taker_fee_pct=tier.taker_fee_pct)


def _filled(params: SymbolParams, maker_pct: float | None, taker_pct: float | None) -> SymbolParams:
    given = {"maker_fee_pct": maker_pct, "taker_fee_pct": taker_pct}
    return params.model_copy(
        update={name: fee for name, fee in given.items() if getattr(params, name) is None}
    )


def locked_in_pct(activation_pct: float, distance_pct: float) -> float:
    """Return the profit that a trailing stop locks in when it is armed, % of the entry price.

    A long's best price is then ``1 + activation`` times the entry, and the stop lies `distance_pct` below it.
    """
    return ((1 + activation_pct / 100) * (1 - distance_pct / 100) - 1) * 100


def check_fees(config: MarketMakerConfig, fees: Mapping[str, Fees]) -> list[Problem]:
    """Return the risks of each symbol's parameters under its fees, as warnings; symbols without fees are left out."""
    return [
        Problem(("symbols", symbol, key), message, is_warning=True)
        for symbol in config.symbols
        if symbol in fees
        for rule in (_exit_risks, _width_risk, _trailing_risk)
        for key, message in rule(config.for_symbol(symbol), fees[symbol])
    ]


def _round_trip(params: SymbolParams, fees: Fees) -> tuple[float, str]:
    """Return what an entry, as maker or taker, and an exit, which takes, cost together, % of value, and it in words."""
    is_taker = params.entry_order == "taker"
    role, entry = ("taker", fees.taker_pct) if is_taker else ("maker", fees.maker_pct)
    total = entry + fees.taker_pct
    words = f"{role} {entry:.4g} % in, taker {fees.taker_pct:.4g} % out"
    return total, f"a round trip's fees of {total:.4g} % ({words})"


def _exit_risks(params: SymbolParams, fees: Fees) -> Iterator[tuple[str, str]]:
    cost, words = _round_trip(params, fees)
    reward, risk = params.take_profit_pct - cost, params.stop_loss_pct + cost
    if reward <= 0:
        text = f"take_profit_pct {params.take_profit_pct} % is no more than {words}: it earns nothing"
        yield "take_profit_pct", text
    elif risk > 0 and reward / risk < LEAST_REWARD_TO_RISK:
        ratio = reward / risk
        text = (
            f"Poor R:R ratio net of fees ({ratio:.2f}:1), requires {round(100 / (1 + ratio))}% win rate: "
            f"take_profit_pct {params.take_profit_pct} % and stop_loss_pct {params.stop_loss_pct} % against {words}"
        )
        yield "take_profit_pct", text


def _width_risk(params: SymbolParams, fees: Fees) -> Iterator[tuple[str, str]]:
    least = 2 * fees.maker_pct
    if (
        params.pricing is not None or params.is_calibrated
    ):  # They set their own widths, the latter with the fee added.
        return
    if params.entry_order == "taker" or params.min_edge_bps is not None or params.min_spread_pct >= least:
        return
    yield (
        "min_spread_pct",
        f"min_spread_pct {params.min_spread_pct} % is below two maker fees of {fees.maker_pct:.4g} % each "
        f"({least:.4g} % in all): a round trip between our own quotes loses; min_edge_bps widens them",
    )


def _trailing_risk(params: SymbolParams, fees: Fees) -> Iterator[tuple[str, str]]:
    if not params.use_trailing_stop:
        return
    cost, words = _round_trip(params, fees)
    locked = locked_in_pct(params.trailing_stop_activation, params.trailing_stop_distance)
    if locked - cost <= 0:
        yield (
            "trailing_stop_activation",
            f"a trailing stop armed at {params.trailing_stop_activation} % and "
            f"{params.trailing_stop_distance} % away locks in {locked:.3g} %, no more than {words}",
        )
