"""A symbol's quote model: the width of its quotes and how far inventory moves the reservation price.

Distances are basis points (bps) of mid, volatility is bps per square root of a second, arrivals are per second, and
inventory is counted in full quotes. "Skew" is the move of the reservation price at full inventory, which is
``max_inventory / position_size`` full quotes.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from mm_nautilus.calibration.model_inputs import ModelInputs, check_market
from mm_nautilus.calibration.volatility import VolatilitySource, volatility_bps
from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.errors import CalibrationError
from mm_nautilus.pricing.models import (
    avellaneda_stoikov_gamma,
    avellaneda_stoikov_skew,
    avellaneda_stoikov_width,
    full_width_pct,
    glft_gamma,
    glft_half_width,
    glft_skew,
    reservation_price,
    volatility_multiplier,
)
from mm_nautilus.pricing.pricing_model import MarketView, PositionView, PricedQuote

LARGEST_MODEL_WIDTH_PCT: Final = 5.0
"""Largest full width of a model, % of mid; above it the inputs are probably in wrong units."""

_LARGEST_LOG: Final = 700.0
_BPS: Final = 10_000.0


@dataclass(frozen=True, slots=True)
class QuoteModel:
    """Width and skew of the quotes; valid until one of the inputs of `quote_model` changes.

    Parameters
    ----------
    full_width_pct
        Distance between bid and ask, % of mid: the wider of model and ``min_spread_pct``, scaled by volatility, never
        below the fee floor.
    skew_bps
        How far inventory moves the reservation price at ``q = 1``, bps of mid, downward for a long position.
    model_width_pct
        The model's own full width including two maker fees, % of mid; 0 if the model sets none.
    gamma
        Risk aversion in force, in the model's unit; None without skew, or if only the skew is given.
    """

    full_width_pct: float
    skew_bps: float
    model_width_pct: float = 0.0
    gamma: float | None = None

    @property
    def half_width_bps(self) -> float:
        """Distance of each quote from the reservation price, bps of mid."""
        return self.full_width_pct * 50.0

    def priced(self, market: MarketView, position: PositionView) -> PricedQuote:
        """Return reservation price and widths at a market and a position.

        The reservation price is ``fair * (1 - q * skew)``, below the fair price if the position is above its target.
        """
        half_width = 0.5 * (market.mid_price * self.full_width_pct / 100.0)
        reservation = market.fair_price * (1.0 - position.share * self.skew_bps / _BPS)
        return PricedQuote(reservation, half_width, half_width, self.skew_bps)


def quote_model(
    params: SymbolParams, market: ModelInputs | None, *, volatility_pct: float, quotes_at_cap: float
) -> QuoteModel:
    """Return the quote model for a symbol's parameters and calibrated inputs.

    Parameters
    ----------
    params
        The symbol's merged parameters; a ``maker_fee_pct`` of None counts as 0.
    market
        Inputs of the calibrated models; the simplified one needs none.
    volatility_pct
        One-minute volatility measured so far, %; while it is 0 (unknown) the calibrated models use the calibration's.
    quotes_at_cap
        ``max_inventory`` as a number of full quotes.

    Raises
    ------
    CalibrationError
        If a calibrated model has no inputs, an input is implausible (see `check_market`), no gamma gives the requested
        skew, or the model's width is above `LARGEST_MODEL_WIDTH_PCT`.
    """
    skew_bps, model_width_pct, gamma = 0.0, 0.0, None
    if params.is_calibrated:
        if market is None:
            raise CalibrationError(
                f"{params.reservation_model} needs volatility and order arrivals, was given none"
            )
        check_market(market)
        sigma = volatility_bps(volatility_pct) if volatility_pct > 0 else market.volatility_bps
        try:
            skew_bps, model_width_pct, gamma = _calibrated(params, market, sigma, quotes_at_cap)
        except ValueError as error:
            raise CalibrationError(f"{params.reservation_model} cannot be computed: {error}") from None
        _refuse_width(params, market, sigma, model_width_pct)
    elif params.use_reservation_price:
        skew_bps, gamma = _simplified(params, volatility_pct)
    multiplier = volatility_multiplier(
        volatility_pct, params.base_volatility_pct, params.volatility_threshold_mult
    )
    width_pct = full_width_pct(
        max(params.min_spread_pct, model_width_pct),
        multiplier,
        params.maker_fee_pct or 0.0,
        params.min_edge_bps,
    )
    return QuoteModel(width_pct, skew_bps, model_width_pct, gamma)


def _simplified(params: SymbolParams, volatility_pct: float) -> tuple[float, float | None]:
    """Return the skew of v1.4.0's reservation price, bps, and its gamma (None if the skew is given)."""
    if params.skew_bps_at_max_inventory is not None:
        return params.skew_bps_at_max_inventory, None
    return _BPS * (1.0 - reservation_price(1.0, 1.0, 1.0, params.gamma, volatility_pct)), params.gamma


def _calibrated(
    params: SymbolParams, market: ModelInputs, sigma: float, quotes_at_cap: float
) -> tuple[float, float, float]:
    """Return skew at full inventory in bps, full width in % of mid, and gamma of Avellaneda-Stoikov or GLFT.

    A gamma for a given skew is solved at the calibration's volatility, so that the current one, `sigma`, still changes
    the width.
    """
    kappa, intensity = market.kappa_per_bps, market.a_per_second
    fee_bps = (params.maker_fee_pct or 0.0) * 100.0
    given = params.skew_bps_at_max_inventory
    if params.reservation_model == "avellaneda_stoikov":
        horizon = params.horizon_seconds
        gamma = params.gamma
        if given is not None:
            gamma = avellaneda_stoikov_gamma(given / quotes_at_cap, market.volatility_bps, horizon)
        skew = avellaneda_stoikov_skew(gamma, sigma, horizon)
        half_width = 0.5 * avellaneda_stoikov_width(gamma, sigma, kappa, horizon) + fee_bps
    else:
        gamma = params.gamma
        if given is not None:
            gamma = glft_gamma(given / quotes_at_cap, market.volatility_bps, kappa, intensity, fee=fee_bps)
        skew = glft_skew(gamma, sigma, kappa, intensity, fee=fee_bps)
        half_width = glft_half_width(gamma, sigma, kappa, intensity, fee=fee_bps)
    return skew * quotes_at_cap if given is None else given, half_width / 50.0, gamma


def _refuse_width(params: SymbolParams, market: ModelInputs, sigma: float, model_width_pct: float) -> None:
    if model_width_pct <= LARGEST_MODEL_WIDTH_PCT:
        return
    fee_bps = (params.maker_fee_pct or 0.0) * 100.0
    reached = market.a_per_second * math.exp(min(-market.kappa_per_bps * fee_bps, _LARGEST_LOG))
    raise CalibrationError(
        f"the full width of {params.reservation_model} must be at most {LARGEST_MODEL_WIDTH_PCT:g} % of mid, was "
        f"{model_width_pct:.3g} % (volatility {sigma:.3g} bps per square root of a second, A {market.a_per_second:.3g} "
        f"per second, kappa {market.kappa_per_bps:.3g} per bps, {market.source}; market orders reach the maker fee of "
        f"{fee_bps:g} bps {reached:.2g} times a second): a figure is in other units, or this market is too volatile "
        "or too thin for that fee"
    )


@dataclass(frozen=True, slots=True)
class QuoteMetrics:
    """Width and skew of a symbol's quotes, for the log, reports and warnings.

    Parameters
    ----------
    model
        The reservation model, ``none`` without skew.
    half_width_bps, half_width_ticks
        Distance of each quote from the reservation price.
    skew_bps, skew_ticks
        Move of the reservation price at full inventory.
    spread_bps, spread_source
        The market's spread, None if unknown, and how it was measured.
    """

    model: str
    source: str
    gamma: float | None
    half_width_bps: float
    half_width_ticks: float
    skew_bps: float
    skew_ticks: float
    maker_fee_bps: float
    spread_bps: float | None
    spread_source: str


def quote_metrics(
    params: SymbolParams,
    market: ModelInputs | None,
    *,
    volatility_pct: float,
    volatility_source: VolatilitySource = VolatilitySource.MINUTE_RETURNS,
    quotes_at_cap: float,
    mid_price: float,
    tick: float,
    spread: tuple[float | None, str],
) -> QuoteMetrics:
    """Return width and skew of a symbol's quotes.

    Parameters
    ----------
    params, market, volatility_pct, quotes_at_cap
        As for `quote_model`; the simplified model uses ``base_volatility_pct`` for a volatility of 0.
    volatility_source
        What the volatility was measured from.
    mid_price, tick
        Mid price and price increment, in quote currency.
    spread
        The market's spread in bps of mid, None if unknown, and how it was measured.

    Raises
    ------
    CalibrationError
        As for `quote_model`.
    """
    stand_in = volatility_pct if volatility_pct > 0 or params.is_calibrated else params.base_volatility_pct
    model = quote_model(params, market, volatility_pct=stand_in, quotes_at_cap=quotes_at_cap)
    tick_bps = _BPS * tick / mid_price
    return QuoteMetrics(
        model=params.reservation_model if params.use_reservation_price else "none",
        source=", ".join(_sources(params, market, model, volatility_pct, volatility_source)),
        gamma=model.gamma,
        half_width_bps=model.half_width_bps,
        half_width_ticks=model.half_width_bps / tick_bps,
        skew_bps=model.skew_bps,
        skew_ticks=model.skew_bps / tick_bps,
        maker_fee_bps=(params.maker_fee_pct or 0.0) * 100.0,
        spread_bps=spread[0],
        spread_source=spread[1],
    )


def _sources(
    params: SymbolParams,
    market: ModelInputs | None,
    model: QuoteModel,
    volatility_pct: float,
    volatility_source: VolatilitySource,
) -> Iterator[str]:
    if not params.use_reservation_price:
        yield "no reservation price"
        return
    if params.skew_bps_at_max_inventory is not None:
        yield f"skew_bps_at_max_inventory {params.skew_bps_at_max_inventory:g}"
    if model.gamma is not None:
        yield f"gamma {model.gamma:.4g}"
    if params.is_calibrated and market is not None:
        is_known = volatility_pct > 0
        sigma = volatility_bps(volatility_pct) if is_known else market.volatility_bps
        source = volatility_source if is_known else VolatilitySource.CALIBRATION
        yield f"volatility {sigma:.3g} bps per square root of a second ({source})"
        yield f"A {market.a_per_second:.3g} per second"
        yield f"kappa {market.kappa_per_bps:.3g} per bps"
        yield market.source
    elif params.skew_bps_at_max_inventory is None:
        known = volatility_pct > 0
        yield f"one-minute volatility {volatility_pct if known else params.base_volatility_pct:.3g} %"
        yield str(volatility_source) if known else "base_volatility_pct, as none is measured yet"


def quote_metrics_text(symbol: str, metrics: QuoteMetrics) -> str:
    """Return the log line of a symbol's quote metrics."""
    spread = "not known" if metrics.spread_bps is None else f"{short_number(metrics.spread_bps)} bps"
    return (
        f"MM: {symbol} quotes stand {_distance_text(metrics.half_width_bps, metrics.half_width_ticks)} from the "
        f"reservation price, which full inventory moves by {_distance_text(metrics.skew_bps, metrics.skew_ticks)}; "
        f"maker fee {metrics.maker_fee_bps:g} bps, {metrics.spread_source} {spread}; "
        f"model {metrics.model}: {metrics.source}"
    )


def _distance_text(bps: float, ticks: float) -> str:
    return f"{short_number(bps)} bps ({short_number(ticks)} ticks)"


def short_number(value: float) -> str:
    """Format a number with about three significant digits and no exponent."""
    size = abs(value)
    decimals = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 or size == 0 else 4
    return f"{value:,.{decimals}f}"
