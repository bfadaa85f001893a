"""What was measured of a market and what quoting models take from it: the content of a calibration file."""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from mm_nautilus.config.fields import Moment, Section, SymbolName, VenueName
from mm_nautilus.config.problems import Problem, refuse

CALIBRATION_VERSION: Final = 1
"""Version of the file's format."""

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class SignaturePoint(Section):
    """Volatility as seen at one sampling interval: one point of a signature plot."""

    interval_seconds: Positive
    """Time between two samples of the mid, seconds."""
    volatility_bps: NotNegative
    """Volatility from returns over that interval, bps per square root of a second."""
    standard_error_bps: NotNegative
    """Its standard error, same unit."""
    returns: int = Field(..., ge=1)
    """Number of returns it is estimated from."""


class VolatilityQuantile(Section):
    """One point of the distribution of one-minute volatility."""

    quantile: float = Field(..., ge=0, le=1)
    """Share of the time in which volatility was at most volatility_pct."""
    volatility_pct: NotNegative
    """Population standard deviation of the last 20 one-minute returns, %."""


class VolatilityFigures(Section):
    """Volatility of the mid."""

    volatility_bps: NotNegative
    """The volatility that models take, bps per square root of a second."""
    standard_error_bps: NotNegative
    """Its standard error, same unit."""
    interval_seconds: Positive
    """Sampling interval it was taken at, seconds."""
    one_minute_pct: NotNegative | None
    """Population standard deviation of one-minute returns, %; null with fewer than two returns."""
    event_time_bps: NotNegative
    """Standard deviation of the mid's change from one of its moves to the next, bps."""
    mid_moves: int = Field(..., ge=0)
    """How often the mid moved."""
    signature: list[SignaturePoint]
    """Volatility by sampling interval."""
    quantiles: list[VolatilityQuantile] = Field(default_factory=list)
    """Distribution of one-minute volatility, ascending, as volatility_regimes take it; empty with less than 80
    minutes."""


class IntensityPoint(Section):
    """How often market orders reached one depth."""

    depth_bps: NotNegative
    """Distance from the mid, bps of mid."""
    arrivals: int = Field(..., ge=0)
    """Market orders that reached that depth."""
    intensity_per_second: NotNegative
    """Arrivals a second."""


class IntensityFit(Section):
    """Fit of ``lambda(depth) = a * exp(-kappa * depth)`` to the arrivals of market orders."""

    a_per_second: Positive
    """Arrivals a second at the mid, extrapolated."""
    a_standard_error: NotNegative
    """Standard error of a_per_second, same unit."""
    kappa_per_bps: Positive
    """Decay with depth, 1 / bps of mid."""
    kappa_standard_error: NotNegative
    """Standard error of kappa_per_bps, same unit."""
    r_squared: float | None = Field(..., le=1)
    """Share of the log intensity's variance explained; null with no degree of freedom."""
    chi_squared_per_degree: NotNegative | None
    """Chi-squared of the fit per degree of freedom: about 1 where it holds; null with none."""
    compared_depths: int | None = Field(None, ge=1)
    """Depths at which the fit is compared with the orders, of which two are taken up by its parameters."""
    fitted_from_bps: NotNegative
    """Least depth of the fit, bps of mid."""
    fitted_to_bps: Positive
    """Largest depth of the fit, bps of mid."""
    arrivals: int = Field(..., ge=1)
    """Market orders that reached the least depth."""
    points: list[IntensityPoint]
    """The measured curve, the fitted range and beyond."""


class MicropriceFigures(Section):
    """Stoikov's micro-price as a table: how far the fair price lies from the mid in each state of the touch.

    A state is the bucket of the touch's imbalance ``bid size / (bid size + ask size)`` in [0, 1] and the spread
    in ticks. ``adjustment_ticks[s][i]`` belongs to a spread of ``spread_ticks[s]`` ticks and to bucket ``i`` of
    ``imbalance_buckets`` equal ones. Spreads in between take the next smaller one listed, wider ones the last.
    """

    imbalance_buckets: int = Field(..., ge=2, le=100)
    """Number of equal buckets of the imbalance."""
    spread_ticks: list[Annotated[int, Field(ge=1)]] = Field(..., min_length=1)
    """Spreads with a row of their own, ascending, ticks."""
    adjustment_ticks: list[list[float]]
    """Fair price minus mid in ticks: a row a spread, a column an imbalance bucket."""
    observations: list[list[int]]
    """How often each state was seen."""

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        shape = [self.imbalance_buckets] * len(self.spread_ticks)
        found = [
            Problem((name,), f"{name} must have {len(shape)} rows of {self.imbalance_buckets} values")
            for name in ("adjustment_ticks", "observations")
            if [len(row) for row in getattr(self, name)] != shape
        ]
        if sorted(set(self.spread_ticks)) != self.spread_ticks:
            found.append(Problem(("spread_ticks",), f"spread_ticks must ascend, was {self.spread_ticks}"))
        refuse(found)
        return self


class MarkOut(Section):
    """Mean move of the mid against takers after their trades, from the maker's point of view."""

    seconds: Positive
    """Time after the trade, seconds."""
    mark_out_bps: float
    """(trade price - mid then) in the maker's favour, mean over trades, bps; before fees."""
    standard_error_bps: NotNegative
    """Its standard error, bps."""
    trades: int = Field(..., ge=1)
    """Trades with a mid that much later."""


class SpreadFigures(Section):
    """Spread, tick and trades of the market."""

    mid_price: Positive
    """Time-weighted mean mid, quote currency."""
    tick_bps: Positive
    """Price increment, bps of mid."""
    median_spread_bps: Positive
    """Median of the spread over time, bps of mid."""
    median_spread_ticks: Positive
    """Median of the spread over time, ticks."""
    market_orders: int = Field(..., ge=0)
    """Market orders; trades of one order are counted once."""
    trades: int = Field(..., ge=0)
    """Trades on the tape."""


class FeeFigures(Section):
    """What the maker fee leaves."""

    maker_fee_bps: float
    """Maker fee, bps of value."""
    edge_at_touch_bps: float
    """Half the median spread minus the maker fee: what a fill at the touch keeps, bps."""
    best_half_width_bps: float
    """Distance that earns most per second for a maker without risk: fee + 1 / kappa, bps."""
    best_fills_per_hour: NotNegative
    """How often market orders reach that distance on one side, an hour."""
    best_bps_per_hour: float
    """Fills an hour times what each keeps after the fee, bps of quote value, one side."""
    pays: bool
    """Whether spread and intensity can pay the maker fee."""
    verdict: str
    """The same in words."""


class SymbolCalibration(Section):
    """Everything measured of one symbol."""

    start: Moment
    """First moment of the window."""
    end: Moment
    """Last moment of the window."""
    seconds: Positive
    """Time recorded within the window, seconds: its gaps are no part of it."""
    gaps: int = Field(0, ge=0)
    """Silences of the book within the window that are gaps."""
    spread: SpreadFigures
    """Spread, tick and trades."""
    volatility: VolatilityFigures
    """Volatility of the mid."""
    intensity: IntensityFit
    """Fit to both sides together; what models take."""
    intensity_bid: IntensityFit | None
    """Fit to sell orders, which reach bids; null where too few reached any depth."""
    intensity_ask: IntensityFit | None
    """Fit to buy orders, which reach asks; null where too few reached any depth."""
    microprice: MicropriceFigures | None
    """Table of the micro-price; null where the touch changed too rarely to estimate one."""
    mark_outs: list[MarkOut]
    """Mark-outs of trades."""
    fees: FeeFigures | None
    """What the maker fee leaves; null where no fee is known."""


class CalibrationSource(Section):
    """Where a calibration comes from."""

    catalog: str
    """The catalog's folder as it was given."""
    venue: VenueName
    """The venue."""
    simulated: bool
    """Whether any of the data is simulated."""


class Calibration(Section):
    """Content of a calibration file."""

    version: Literal[1]
    """Version of the format."""
    created: Moment
    """When it was estimated."""
    source: CalibrationSource
    """Where the data comes from."""
    symbols: dict[SymbolName, SymbolCalibration] = Field(..., min_length=1)
    """By symbol."""
