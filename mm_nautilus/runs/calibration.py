"""Calibrate a catalog: every estimator on every symbol, and why a symbol has none."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mm_nautilus.calibration.fee_economics import fee_figures
from mm_nautilus.calibration.figures import (
    CALIBRATION_VERSION,
    Calibration,
    CalibrationSource,
    FeeFigures,
    IntensityFit,
    MarkOut,
    MicropriceFigures,
    SpreadFigures,
    SymbolCalibration,
)
from mm_nautilus.calibration.intensity import MarketOrders, fit_intensity, market_orders
from mm_nautilus.calibration.mark_outs import mark_outs
from mm_nautilus.calibration.microprice import estimate_microprice
from mm_nautilus.calibration.reach import TakerReach, WidthChoice, choose_width
from mm_nautilus.calibration.realised_volatility import volatility_figures
from mm_nautilus.calibration.touches import TouchSeries, spread_figures
from mm_nautilus.calibration.volatility import one_minute_pct
from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.data.book_tops import replay_touches
from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.catalog_files import DataKind, format_time
from mm_nautilus.data.catalog_fitness import refuse_other_span, refuse_several_venues, require_data
from mm_nautilus.errors import CalibrationError, ConfigError, DataError
from mm_nautilus.market.instrument import LARGEST_FEE_PCT, InstrumentSpec
from mm_nautilus.market.rows import DeltaBlock, Side, TradeBlock, joined_blocks
from mm_nautilus.runs.expected_fills import QuoteSizes, expected_fills
from mm_nautilus.runs.inputs import book_bounds, books_before
from mm_nautilus.system.moments import GAP_SECONDS, SECOND_NS, moment, nanoseconds
from mm_nautilus.system.store_url import CatalogPath

_BPS: Final = 10_000.0
_SHORT_SHARE: Final = 0.99
"""Share of a requested span below which a note says how much the book covers."""
_UNSOUND_SHARE: Final = 0.01
"""Share of the time without a sound book above which a note says so."""
_MOST_ROWS: Final = 300_000
_MOST_SECONDS: Final = 3600
_BATCH_ROWS: Final = 20_000
_USUAL_SHARE: Final = 0.99
"""Share of silences of a book that are usual."""

type OnProgress = Callable[[float, float], None]


@dataclass(frozen=True, slots=True)
class CalibrationOutcome:
    """A calibration, why symbols have no entry in it, and notes on those that have one."""

    calibration: Calibration
    failures: dict[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Span:
    """The requested data, nanoseconds since the epoch, both inclusive; None is unbounded."""

    start_ns: int | None
    end_ns: int | None
    gap_seconds: float


def calibrate_catalog(
    catalog: CatalogPath,
    *,
    symbols: Sequence[str] | None = None,
    last_seconds: float | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    gap_seconds: float = GAP_SECONDS,
    maker_fee_pct: float | None = None,
    created: datetime | None = None,
    on_progress: OnProgress | None = None,
) -> CalibrationOutcome:
    """Estimate every figure of every symbol from a catalog's books and trades.

    `symbols` are names such as ``BTC/USDT``, or ids such as ``BTC/USDT.KRAKEN``; None takes all. `last_seconds` counts
    back from the last book change of any chosen symbol and excludes `start` and `end`, the first and last moment used.
    A silence of a book of more than `gap_seconds` is a gap: no figure counts it, and none looks across it.
    `maker_fee_pct`, % of value, replaces each instrument's own. `on_progress` receives rows read and rows in all.

    Raises ConfigError if an argument is out of range or two contradict each other, DataError if the catalog cannot be
    used, lacks a symbol or the symbols are of several venues, and CalibrationError, with a line a symbol, if none can
    be calibrated.
    """
    _check_arguments(last_seconds, start, end, maker_fee_pct)
    reader = CatalogReader(catalog)
    specs = reader.choose(symbols)
    refuse_several_venues(specs, "calibration")
    span = _span(reader, specs, last_seconds, start, end, gap_seconds=gap_seconds)
    refuse_other_span(reader, span.start_ns, span.end_ns)
    progress = _Progress(reader, specs, on_progress)
    found: dict[str, SymbolCalibration] = {}
    failures: dict[str, str] = {}
    notes: list[str] = []
    for spec in specs:
        try:
            found[spec.symbol] = _SymbolWork(reader, spec, span, progress, notes).calibrate(maker_fee_pct)
        except DataError as error:
            failures[spec.symbol] = "; ".join(str(error).splitlines())
    if not found:
        raise CalibrationError("\n".join(f"{symbol}: {text}" for symbol, text in failures.items()))
    source = CalibrationSource(
        catalog=str(catalog),
        venue=specs[0].venue,
        simulated=any(spec.simulated for spec in specs if spec.symbol in found),
    )
    calibration = Calibration(
        version=CALIBRATION_VERSION,
        created=created or datetime.now(UTC).replace(microsecond=0),
        source=source,
        symbols=found,
    )
    return CalibrationOutcome(calibration, failures, tuple(notes))


def _check_arguments(
    last_seconds: float | None, start: datetime | None, end: datetime | None, maker_fee_pct: float | None
) -> None:
    problems = []
    if last_seconds is not None and not last_seconds > 0:
        problems.append(f"the window must be longer than 0 seconds, was {last_seconds:g}")
    if last_seconds is not None and (start is not None or end is not None):
        problems.append("the window cannot be given together with a start or an end")
    if start is not None and end is not None and start >= end:
        problems.append(f"end must be after start ({start.isoformat()}), was {end.isoformat()}")
    if maker_fee_pct is not None and not abs(maker_fee_pct) <= LARGEST_FEE_PCT:
        problems.append(
            f"the maker fee must be between -{LARGEST_FEE_PCT} and {LARGEST_FEE_PCT} %, was {maker_fee_pct}"
        )
    if problems:
        raise ConfigError(problems)


def _span(
    reader: CatalogReader,
    specs: Sequence[InstrumentSpec],
    last_seconds: float | None,
    start: datetime | None,
    end: datetime | None,
    *,
    gap_seconds: float,
) -> _Span:
    if last_seconds is None:
        return _Span(nanoseconds(start), nanoseconds(end), gap_seconds)
    bounds = [reader.bounds(spec.instrument_id, DataKind.DELTAS) for spec in specs]
    last = max((bound[1] for bound in bounds if bound is not None), default=None)
    first = None if last is None else max(last - round(last_seconds * 1e9), 0)
    return _Span(first, last, gap_seconds)


class _Progress:
    """Counts the rows read of some instruments."""

    def __init__(
        self, reader: CatalogReader, specs: Sequence[InstrumentSpec], on_progress: OnProgress | None
    ) -> None:
        files = (
            file for spec in specs for kind in DataKind for file in reader.files(spec.instrument_id, kind)
        )
        self._done, self._total, self._on_progress = 0, sum(file.rows for file in files), on_progress

    def counting[Block: (DeltaBlock, TradeBlock)](self, blocks: Iterator[Block]) -> Iterator[Block]:
        for block in blocks:
            self._done += len(block)
            if self._on_progress is not None:
                self._on_progress(self._done, self._total)
            yield block


class _SymbolWork:
    """Calibrates one symbol."""

    def __init__(
        self, reader: CatalogReader, spec: InstrumentSpec, span: _Span, progress: _Progress, notes: list[str]
    ) -> None:
        self._reader, self._spec, self._span = reader, spec, span
        self._progress, self._notes = progress, notes

    def calibrate(self, maker_fee_pct: float | None) -> SymbolCalibration:
        touches = self._touches()
        trades = self._trades(touches)
        orders = market_orders(trades, touches)
        tick = float(self._spec.price_increment)
        spread = spread_figures(touches, tick, market_orders=len(orders), trades=len(trades))
        both, bid, ask = self._intensities(orders, touches, spread)
        return SymbolCalibration(
            start=moment(int(touches.ts_ns[0])),
            end=moment(touches.end_ns),
            seconds=touches.seconds,
            gaps=len(touches.gaps),
            spread=spread,
            volatility=volatility_figures(touches),
            intensity=both,
            intensity_bid=bid,
            intensity_ask=ask,
            microprice=self._microprice(touches),
            mark_outs=self._mark_outs(trades, touches),
            fees=self._fees(maker_fee_pct, both, spread),
        )

    def _note(self, text: str) -> None:
        self._notes.append(f"{self._spec.symbol}: {text}")

    @staticmethod
    def _mark_outs(trades: TradeBlock, touches: TouchSeries) -> list[MarkOut]:
        sided = trades.aggressor != Side.NONE
        is_buy = trades.aggressor[sided] == Side.BID
        return mark_outs(trades.ts_init[sided], trades.price_ticks[sided], is_buy, touches)

    def _touches(self) -> TouchSeries:
        identity, span = self._spec.instrument_id, self._span
        require_data(self._reader.folder, [identity], start=span.start_ns, end=span.end_ns, needs_trades=True)
        first, last = book_bounds(self._reader, self._spec)
        start_ns = first if span.start_ns is None else max(span.start_ns, first)
        end_ns = last if span.end_ns is None else min(span.end_ns, last)
        books = books_before(self._reader, self._spec, start_ns)
        if not books:
            raise CalibrationError(f"there is no full book at or before {format_time(start_ns)}")
        counted = self._progress.counting(self._reader.iter_deltas(identity, start=books[-1], end=end_ns))
        replayed = replay_touches(counted, start_ns, end_ns, gap_seconds=span.gap_seconds)
        self._note_coverage(replayed.touches, replayed.unsound_seconds)
        return replayed.touches

    def _note_coverage(self, touches: TouchSeries, unsound_seconds: float) -> None:
        used = touches.seconds
        span_seconds = (touches.end_ns - int(touches.ts_ns[0])) / 1e9
        if used <= 0:
            raise CalibrationError(f"no time was recorded up to {format_time(touches.end_ns)}")
        if len(touches.gaps):
            self._note(
                f"figures are of the {used:,.0f} s recorded within {span_seconds:,.0f} s; silences of the book longer "
                f"than {self._span.gap_seconds:g} s are left out: {len(touches.gaps)}"
            )
        if self._span.start_ns is not None and self._span.end_ns is not None:
            wanted = (self._span.end_ns - self._span.start_ns) / 1e9
            if span_seconds < _SHORT_SHARE * wanted:
                self._note(f"the book covers {span_seconds:,.0f} s of the {wanted:,.0f} s requested")
        if unsound_seconds > _UNSOUND_SHARE * used:
            self._note(
                f"the book was crossed or lacked a side for {unsound_seconds:,.1f} s of {used:,.0f} s; the "
                "previous touch is used for these"
            )

    def _trades(self, touches: TouchSeries) -> TradeBlock:
        start_ns, end_ns = int(touches.ts_ns[0]), touches.end_ns
        found = self._reader.iter_trades(self._spec.instrument_id, start=start_ns, end=end_ns)
        blocks = list(self._progress.counting(found))
        if not blocks:
            raise CalibrationError(
                f"there are no trades from {format_time(start_ns)} to {format_time(end_ns)}, and without them no "
                "order arrivals"
            )
        trades = joined_blocks(blocks)
        unknown = int((trades.aggressor == Side.NONE).sum())
        if unknown == len(trades):
            raise CalibrationError(
                f"no trade of {len(trades):,} has a known taker, and without takers there are no order arrivals"
            )
        if unknown:
            self._note(
                "trades without a known taker, which are left out of order arrivals and mark-outs: "
                f"{unknown:,} of {len(trades):,}"
            )
        return trades

    def _intensities(
        self, orders: MarketOrders, touches: TouchSeries, spread: SpreadFigures
    ) -> tuple[IntensityFit, IntensityFit | None, IntensityFit | None]:
        depths, times, tick_bps = orders.depth_bps, touches.recorded_ns(orders.ts_ns), spread.tick_bps
        seconds = touches.seconds
        both = fit_intensity(depths, seconds, sides=2, tick_bps=tick_bps, ts_ns=times)

        def one_side(name: str, side: NDArray[np.bool_]) -> IntensityFit | None:
            try:
                return fit_intensity(depths[side], seconds, tick_bps=tick_bps, ts_ns=times[side])
            except CalibrationError as error:
                self._note(f"no fit to {name} orders alone: {error}")
                return None

        return both, one_side("sell", ~orders.is_buy), one_side("buy", orders.is_buy)

    def _microprice(self, touches: TouchSeries) -> MicropriceFigures | None:
        try:
            return estimate_microprice(touches)
        except CalibrationError as error:
            self._note(f"no micro-price: {error}")
            return None

    def _fees(
        self, maker_fee_pct: float | None, intensity: IntensityFit, spread: SpreadFigures
    ) -> FeeFigures | None:
        rate = self._spec.maker_fee_rate
        if maker_fee_pct is None and rate is None:
            return None
        fee_bps = float(rate or 0) * _BPS if maker_fee_pct is None else maker_fee_pct * 100.0
        return fee_figures(fee_bps, intensity, spread.median_spread_bps)


@dataclass(frozen=True, slots=True)
class MarketLook:
    """Figures of the beginning of a pair's data."""

    seconds: float
    """Time without gaps, seconds."""
    spread_pct: float
    """Median spread over time, % of mid."""
    volatility_pct: float
    """One-minute volatility, % of price; 0 if the mid did not move."""
    silence_seconds: float
    """The silence of the book that one in a hundred exceeds, seconds."""
    median_trade: int
    """Median size of a trade, lots; 0 without trades."""
    reach_pct: float
    """Distance from the mid that one market order in twenty goes beyond, % of mid; 0 without any."""
    choice: WidthChoice | None
    """The best width by these market orders; None without any."""


def look_at(
    reader: CatalogReader,
    spec: InstrumentSpec,
    maker_fee_pct: float,
    sizes: QuoteSizes,
    params: SymbolParams,
) -> MarketLook:
    """Measure the first hour of a pair's data, or its first 300,000 rows of book changes; there must be some.

    The maker fee is in % of value; quotes of `sizes` are expected to behave by `params`. Raises DataError if the data
    is damaged, or its beginning holds no sound book for any time.
    """
    must = (
        f"{reader.folder} must hold a sound book of {spec.instrument_id} for some time, was one moment of it"
    )
    blocks = _first_blocks(reader, spec)
    times = np.unique(np.concatenate([block.ts_init for block in blocks]))
    if len(times) == 1:
        raise CalibrationError(must)
    first, last = int(times[0]), int(times[-1])
    silence = float(np.quantile(np.diff(times), _USUAL_SHARE)) / SECOND_NS
    # In a quiet market a usual silence may be longer than a gap elsewhere.
    gap_seconds = max(GAP_SECONDS, 2.0 * silence)
    touches = replay_touches(blocks, first, last, gap_seconds=gap_seconds).touches
    if touches.seconds <= 0:
        raise CalibrationError(must)
    reach, choice, median_trade = None, None, 0
    if traded := _trades_until(reader, spec, first, last):
        trades = joined_blocks(traded)
        median_trade = int(np.median(trades.size_lots))
        orders = market_orders(trades, touches)
        if len(orders):
            reach = TakerReach(orders, touches)
            choice = choose_width(reach, maker_fee_pct, params.cooldown_seconds)
            choice = replace(
                choice,
                fills_per_hour=expected_fills(touches, trades, choice.width_pct, sizes, params),
                paying_fills_per_hour=expected_fills(touches, trades, choice.paying_width_pct, sizes, params),
            )
    spread = spread_figures(touches, float(spec.price_increment), market_orders=0, trades=0)
    try:
        volatility_pct = one_minute_pct(volatility_figures(touches).volatility_bps)
    except CalibrationError:  # too little was recorded, or the mid did not move
        volatility_pct = 0.0
    return MarketLook(
        seconds=touches.seconds,
        spread_pct=spread.median_spread_bps / 100.0,
        volatility_pct=volatility_pct,
        silence_seconds=silence,
        median_trade=median_trade,
        reach_pct=0.0 if reach is None else float(np.quantile(reach.depth_bps(), 0.95)) / 100.0,
        choice=choice,
    )


def _first_blocks(reader: CatalogReader, spec: InstrumentSpec) -> list[DeltaBlock]:
    found: list[DeltaBlock] = []
    rows = 0
    for block in reader.iter_deltas(spec.instrument_id, batch_rows=_BATCH_ROWS):
        end_ns = int((found[0] if found else block).ts_init[0]) + _MOST_SECONDS * SECOND_NS
        part = block.slice(0, int(np.searchsorted(block.ts_init, end_ns, side="right")))
        if len(part):
            found.append(part)
        rows += len(part)
        if len(part) < len(block) or rows >= _MOST_ROWS:
            break
    return found


def _trades_until(
    reader: CatalogReader, spec: InstrumentSpec, first_ns: int, last_ns: int
) -> list[TradeBlock]:
    """Return the trades of a span; with an end the reader would go on to the end of each file."""
    found: list[TradeBlock] = []
    for block in reader.iter_trades(spec.instrument_id, start=first_ns):
        part = block.slice(0, int(np.searchsorted(block.ts_init, last_ns, side="right")))
        if len(part):
            found.append(part)
        if len(part) < len(block):
            break
    return found
