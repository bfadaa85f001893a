"""How often market orders reach a distance from the mid, and the law fitted to it.

The law is Avellaneda and Stoikov's (Quantitative Finance 8(3), 2008, section 2.5): market orders reach a
quote that stands ``d`` from the mid ``lambda(d) = A * exp(-kappa * d)`` times a second. Both come from three
choices, which change the figures more than their standard errors do.

**What is counted.** One arrival is all trades of one side between two changes of the touch. A quote that
rests there is filled by them once, as no quote can be renewed between them. Where a book is recorded
after every event this is one market order; where it is recorded ten times a second, orders of one burst are
counted once and not as ten takers at ten times the depth.

**From where.** Depth runs from the mid in force just before to the deepest price reached. It is not measured
from the mid at the start of some longer interval: over a second the mid itself moves by a basis point, and
depths would say how far the mid travelled, which models already know as volatility.

**Over which range.** The near range starts beyond the depth that half of the arrivals do not exceed. In a
liquid market that is the touch, where most orders are filled and stop, whatever price they would have paid: a
point mass that no exponential law has. Where ticks are coarse (arrivals beyond it go less than one tick
further on average) the touch belongs to the range and it starts at half a tick. It ends at the depth that one
in twenty of its arrivals reach, and at least ten: the tail beyond, often fatter than exponential, counts only
as "this far or further".
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mm_nautilus.calibration.figures import IntensityFit, IntensityPoint
from mm_nautilus.calibration.touches import TouchSeries
from mm_nautilus.errors import CalibrationError
from mm_nautilus.market.rows import Ints, Side, TradeBlock
from mm_nautilus.system.plain_text import counted

LEAST_ARRIVALS: Final = 30
"""Arrivals in the fitted range below which nothing is fitted."""

_LEAST_IN_A_PART: Final = 5
"""Arrivals that must stop within the range, and as many that must go on from its first depth."""
_TAIL_SHARE: Final = 0.05
_TAIL_ARRIVALS: Final = 10
_MOST_CELLS: Final = 10
_ARRIVALS_A_CELL: Final = 10
_STRETCHES: Final = 20
_POINTS_TO_RANGE_END: Final = 20
_CURVE_LENGTH: Final = 3
_BPS: Final = 10_000.0

type Floats = NDArray[np.float64]
type Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class MarketOrders:
    """Market orders as a maker meets them, in time order, one entry an arrival."""

    ts_ns: Ints
    """Time of the first trade, nanoseconds since the epoch."""
    is_buy: Bools
    """Whether the taker bought."""
    depth_bps: Floats
    """Distance of the deepest price reached from the mid just before, bps of that mid; negative where a stale mid had
    already been passed."""

    def __len__(self) -> int:
        return len(self.ts_ns)


def market_orders(trades: TradeBlock, touches: TouchSeries) -> MarketOrders:
    """Return the market orders behind a tape of trades.

    Trades of one side with one venue time are one order, which counts from its first trade. Orders of one side
    between two changes of the touch are one as well (see the module's text). Trades before the first touch, in a gap
    of the book and without a known taker's side are left out. No trade may be stamped later than the book change it
    caused.
    """
    sided = np.flatnonzero((trades.aggressor == Side.BID) | (trades.aggressor == Side.ASK))
    is_buy, venue_ns = trades.aggressor[sided] == Side.BID, trades.ts_event[sided]
    _, order = np.unique(np.stack([venue_ns, is_buy]), axis=1, return_inverse=True)
    ts_ns = _least(trades.ts_init[sided], order)[order]
    row = touches.row_at(ts_ns, before=True)
    known = (row >= 0) & (touches.stretch_at(ts_ns, before=True) >= 0)
    kept, is_buy, row = sided[known], is_buy[known], row[known]
    keys, order = np.unique(2 * row + is_buy, return_inverse=True)
    buys, mids = keys % 2 == 1, touches.mid_ticks[keys // 2]
    deepest = -_least(np.where(is_buy, -1, 1) * trades.price_ticks[kept], order)
    first_ns = _least(ts_ns[known], order)
    sequence = np.argsort(first_ns, kind="stable")
    depths = _BPS * (deepest - np.where(buys, mids, -mids)) / mids
    return MarketOrders(first_ns[sequence], buys[sequence], depths[sequence])


def _least(values: Ints, group: NDArray[np.intp]) -> Ints:
    """Return the least value of every group, numbered from 0."""
    found = np.full(int(group.max(initial=-1)) + 1, np.iinfo(np.int64).max)
    np.minimum.at(found, group, values)
    return found


def fit_intensity(
    depth_bps: ArrayLike,
    seconds: float,
    *,
    sides: int = 1,
    tick_bps: float = 0.0,
    least_depth_bps: float | None = None,
    ts_ns: Ints | None = None,
) -> IntensityFit:
    """Fit ``lambda(d) = A * exp(-kappa * d)`` to the depths that market orders reached.

    Counts at several depths are counts of the same orders: an arrival at 2 bps is one at 1 bp too, so
    ``Cov(N_j, N_k) = E[N_deeper]`` and a line through log counts that ignores it states errors several times too
    small. The fit is the maximum likelihood of the disjoint counts instead, which needs no covariance: each
    arrival in the range goes on from one tick to the next with probability ``exp(-kappa * tick)``, or stops, until
    the range ends. With ``n`` stops and ``s`` steps gone, ``kappa = ln(1 + n / s) / tick``, in the limit of no
    tick ``kappa = n / s`` with ``s`` in bps (Deemer and Votaw, Annals of Mathematical Statistics 26(3), 1955).
    ``A`` is the sum of ``exp(kappa * a) / (seconds * sides)`` over these arrivals, where ``a`` is the first depth
    of the range at which there was a price to trade at: half a tick more or less, by the spread's parity.

    Standard errors are those of Poisson arrivals, widened by the root of chi-squared per degree where that
    exceeds 1 (Birge, Physical Review 40, 1932, 207). With `ts_ns` they are at least what the scatter between
    twenty stretches of the window says: arrivals come in bursts.

    `depth_bps` has how deep each order reached, bps of mid, on so many `sides` of the book; figures are per side.
    `seconds` is the length of the window without its gaps, `tick_bps` the price increment in bps of mid, 0 where depths
    are continuous. The range starts at `least_depth_bps`, None chooses it from the data. `ts_ns` are the orders' times
    on any clock that does not run in gaps, nanoseconds; None takes the orders as independent.

    Raises
    ------
    CalibrationError
        If too few orders reach the range or spread over depths within it, or the fit leaves A open.
    ValueError
        If an argument is out of range.
    """
    depths = np.asarray(depth_bps, dtype=np.float64)
    _check_arguments(
        depths, seconds, sides, {"tick_bps": tick_bps, "least_depth_bps": least_depth_bps or 0.0}, ts_ns
    )
    start = _start_bps(depths, tick_bps) if least_depth_bps is None else least_depth_bps
    inside = depths >= start
    reach = _reach(depths[inside], start, tick_bps)
    kappa, a = reach.kappa, float(reach.weights.sum()) / (seconds * sides)
    chi_squared, r_squared, compared_depths = _goodness(reach)
    variances = np.array([reach.kappa_variance, reach.a_variance]) * max(chi_squared or 0.0, 1.0)
    if ts_ns is not None:
        variances = np.maximum(variances, _variances_between_stretches(reach, ts_ns[inside], ts_ns, seconds))
    kappa_error, a_error = np.sqrt(variances) / [1.0, seconds * sides]
    if not a_error < a:
        raise CalibrationError(
            f"the intensity at the mid, {a:.3g} a second, has a standard error of {a_error:.3g}: orders that reached "
            f"{reach.start_bps:.3g} bps, and {1 / kappa:.3g} bps more on average, do not determine it"
        )
    return IntensityFit(
        a_per_second=a,
        a_standard_error=float(a_error),
        kappa_per_bps=kappa,
        kappa_standard_error=float(kappa_error),
        r_squared=r_squared,
        chi_squared_per_degree=chi_squared,
        compared_depths=compared_depths,
        fitted_from_bps=reach.start_bps,
        fitted_to_bps=reach.end_bps,
        arrivals=len(reach.steps),
        points=_points(depths, reach.end_bps, seconds * sides, tick_bps),
    )


def _check_arguments(
    depths: Floats, seconds: float, sides: int, lengths: dict[str, float], ts_ns: Ints | None
) -> None:
    if not 0 < seconds < np.inf:
        raise ValueError(f"seconds must be positive and finite, was {seconds}")
    for name, value in lengths.items():
        if not 0 <= value < np.inf:
            raise ValueError(f"{name} must be at least 0 and finite, was {value}")
    if not np.isfinite(depths).all():
        raise ValueError("depth_bps must be finite")
    if sides not in {1, 2}:
        raise ValueError(f"sides must be 1 or 2, was {sides}")
    if ts_ns is not None and len(ts_ns) != len(depths):
        raise ValueError(f"ts_ns must be as long as depth_bps, {len(depths)}, was {len(ts_ns)}")


def _start_bps(depths: Floats, tick_bps: float) -> float:
    """Return where the near range starts: past the median depth, or at half a tick where ticks are coarse.

    Prices lie whole and half ticks from the mid, so a quarter of a tick keeps the limit off them.
    """
    outside = np.sort(depths[depths > 0])
    if len(outside) < LEAST_ARRIVALS:
        raise _too_few(len(outside), 0.0)
    median = float(outside[(len(outside) - 1) // 2])
    start = median + tick_bps / 4 if tick_bps > 0 else float(np.nextafter(median, np.inf))
    if tick_bps > 0:
        beyond = outside[outside > start]
        if not len(beyond) or np.floor((beyond - start) / tick_bps).mean() < 1:
            return tick_bps / 4
    return start


def _too_few(arrivals: int, start: float) -> CalibrationError:
    return CalibrationError(
        f"{counted(arrivals, 'market order')} reached {start:.3g} bps from the mid or more, {LEAST_ARRIVALS} are "
        "needed to fit their intensity; take a longer window"
    )


@dataclass(frozen=True, slots=True)
class _Reach:
    """How far the arrivals of the range went, in steps of one unit: a tick, or a bp where there is none."""

    steps: Floats
    """Steps from the start that each arrival went; whole where there are ticks."""
    first_bps: Floats
    """First depth of the range that each arrival could have traded at."""
    last: float
    """Steps to the end of the range."""
    unit_bps: float
    """Length of a step."""
    whole: bool
    """Whether steps are whole."""

    @property
    def start_bps(self) -> float:
        """Least depth that any arrival could have traded at, bps of mid."""
        return float(self.first_bps.min())

    @property
    def end_bps(self) -> float:
        """End of the range, bps of mid."""
        return self.start_bps + self.last * self.unit_bps

    @property
    def gone(self) -> Floats:
        """Steps within the range of each arrival."""
        return np.minimum(self.steps, self.last)

    @property
    def stopped(self) -> Bools:
        """Which arrivals stopped within the range."""
        return self.steps < self.last

    @property
    def kappa(self) -> float:
        """Decay, 1 / bps."""
        rate = float(self.stopped.sum() / self.gone.sum())
        return float(np.log1p(rate) if self.whole else rate) / self.unit_bps

    @property
    def kappa_slopes(self) -> tuple[float, float]:
        """Derivatives of kappa by the number of stops and by the steps gone."""
        stops, gone = float(self.stopped.sum()), float(self.gone.sum())
        by_stops = 1.0 / ((gone + stops if self.whole else gone) * self.unit_bps)
        return by_stops, -by_stops * stops / gone

    @property
    def kappa_variance(self) -> float:
        """Variance of kappa: the inverse of the information in stops and steps."""
        return -self.kappa_slopes[1] / self.unit_bps

    @property
    def weights(self) -> Floats:
        """Arrivals at the mid that each arrival of the range represents, ``exp(kappa * a)``."""
        return np.exp(self.kappa * self.first_bps)

    @property
    def a_variance(self) -> float:
        """Variance of the sum of weights: Poisson counts, and kappa's own, which is independent of them."""
        by_kappa = float((self.first_bps * self.weights).sum())
        return float((self.weights**2).sum()) + by_kappa**2 * self.kappa_variance


def _reach(depths: Floats, start: float, tick_bps: float) -> _Reach:
    """Measure the arrivals of the range, refusing those that cannot say how the intensity decays."""
    if len(depths) < LEAST_ARRIVALS:
        raise _too_few(len(depths), start)
    whole = tick_bps > 0
    unit = tick_bps if whole else 1.0
    steps = np.floor((depths - start) / unit) if whole else depths - start
    first = depths - steps * unit if whole else np.full(len(depths), start)
    tail = max(int(np.ceil(_TAIL_SHARE * len(steps))), _TAIL_ARRIVALS)
    last = float(np.sort(steps)[-tail])
    reach = _Reach(steps, first, max(last, 1.0) if whole else last, unit, whole)
    going_on = int((steps > 0).sum())
    stopping = int(reach.stopped.sum())
    if going_on < _LEAST_IN_A_PART:
        raise CalibrationError(
            f"{going_on} of {counted(len(steps), 'market order')} that reached {reach.start_bps:.3g} bps went further "
            f"than the first price there, {_LEAST_IN_A_PART} are needed to fit a decay; take a longer window"
        )
    if stopping < _LEAST_IN_A_PART:
        raise CalibrationError(
            f"the intensity does not decay: {stopping} of {counted(len(steps), 'market order')} that reached "
            f"{reach.start_bps:.3g} bps stopped before {reach.end_bps:.3g} bps, {_LEAST_IN_A_PART} are needed to fit "
            "a decay"
        )
    return reach


def _variances_between_stretches(reach: _Reach, ts_ns: Ints, all_ns: Ints, seconds: float) -> Floats:
    """Return the variances of kappa and of the sum of weights that equal stretches of the window show.

    Both estimates are sums over arrivals to first order, so the scatter of the stretches' shares says how far
    arrivals hang together within a stretch, whatever makes them.
    """
    passed = (ts_ns - all_ns.min()) / (1e9 * seconds)
    stretch = np.clip((_STRETCHES * passed).astype(np.int64), 0, _STRETCHES - 1)
    by_stops, by_steps = reach.kappa_slopes
    kappa_shares = by_stops * reach.stopped + by_steps * reach.gone
    by_kappa = float((reach.first_bps * reach.weights).sum())
    shares = (kappa_shares, reach.weights + by_kappa * kappa_shares)
    sums = np.stack([np.bincount(stretch, weights=share, minlength=_STRETCHES) for share in shares])
    return _STRETCHES * sums.var(axis=1, ddof=1)


def _goodness(reach: _Reach) -> tuple[float | None, float | None, int]:
    """Return chi-squared per degree of freedom, the share of the variance of log arrivals explained, and the depths.

    Both are over disjoint cells of the range, which the law fills evenly where ticks allow, and its tail. Degrees of
    freedom are cells less 1 for their sum and 1 for kappa; without any, chi-squared (Pearson's) and the share are None,
    as a line goes through any two points.
    """
    decay = reach.kappa * reach.unit_bps
    wanted = int(np.clip(len(reach.steps) // _ARRIVALS_A_CELL, 2, _MOST_CELLS))
    edges = -np.log1p(np.linspace(0.0, np.expm1(-decay * reach.last), wanted + 1)[:-1]) / decay
    edges = np.append(np.rint(edges) if reach.whole else edges, reach.last)
    edges = np.unique(np.abs(edges))
    arrivals = np.array([(reach.steps >= edge).sum() for edge in edges], dtype=np.float64)
    expected = len(reach.steps) * np.exp(-decay * edges)
    if len(edges) <= 2:
        return None, None, len(edges)
    logs, by_law = np.log(arrivals), np.log(expected)
    r_squared = float(1.0 - ((logs - by_law) ** 2).sum() / ((logs - logs.mean()) ** 2).sum())
    found, lawful = (-np.diff(counts, append=0.0) for counts in (arrivals, expected))
    return float(((found - lawful) ** 2 / lawful).sum()) / (len(edges) - 2), r_squared, len(edges)


def _points(depths: Floats, range_end: float, side_seconds: float, tick_bps: float) -> list[IntensityPoint]:
    """Return the measured curve from the mid to three times the range, at depths prices can have."""
    step = range_end / _POINTS_TO_RANGE_END
    if tick_bps > 0:
        step = tick_bps / 2 * max(np.rint(2 * step / tick_bps), 1.0)
    end = min(_CURVE_LENGTH * range_end, float(depths.max()))
    curve = np.arange(1, int(np.floor(end / step + 0.5)) + 1) * step
    reached = [int((depths >= depth - tick_bps / 4).sum()) for depth in curve]
    return [
        IntensityPoint(depth_bps=float(depth), arrivals=count, intensity_per_second=count / side_seconds)
        for depth, count in zip(curve, reached, strict=True)
    ]
