"""From a catalog to a calibration: every estimator on every symbol, and why a symbol has none."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

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
from mm_nautilus.calibration.realised_volatility import volatility_figures
from mm_nautilus.calibration.spread import spread_figures
from mm_nautilus.calibration.touches import TouchSeries
from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.catalog_files import DataKind, format_time
from mm_nautilus.data.catalog_fitness import refuse_other_span, refuse_several_venues, require_data
from mm_nautilus.data.touch_replay import replay_touches
from mm_nautilus.errors import CalibrationError, ConfigError, DataError
from mm_nautilus.market.instrument import LARGEST_FEE_PCT, InstrumentSpec
from mm_nautilus.market.rows import SIDE_BID, SIDE_NONE, DeltaBlock, TradeBlock, joined_blocks
from mm_nautilus.risk.limits import GAP_SECONDS
from mm_nautilus.runs.inputs import book_bounds, books_before
from mm_nautilus.system.moments import moment, nanoseconds

_BPS: Final = 10_000.0
_SHORT_SHARE: Final = 0.99
"""Share of a wanted span below which what was used of it is told."""
_UNSOUND_SHARE: Final = 0.01
"""Share of the time without a sound book above which it is told."""

type OnProgress = Callable[[float, float], None]


@dataclass(frozen=True, slots=True)
class CalibrationOutcome:
    """What a calibration gave."""

    calibration: Calibration
    failures: dict[str, str]
    """Why a symbol has no entry, in words, by symbol."""
    notes: tuple[str, ...]
    """What is worth knowing of those that have one; each names its symbol."""


@dataclass(frozen=True, slots=True)
class _Span:
    """What is wanted of the data, nanoseconds since the epoch, both inclusive; None is unbounded."""

    start_ns: int | None
    end_ns: int | None
    gap_seconds: float


def calibrate_catalog(
    catalog: Path,
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

    Parameters
    ----------
    catalog
        The catalog's folder; the calibration names it as it is given here.
    symbols
        Symbols such as ``BTC/USDT``, or ids such as ``BTC/USDT.KRAKEN``; None takes all the catalog has.
    last_seconds
        Length of the part of the data that is used, counted back from the last book change of any symbol
        chosen; not together with `start` or `end`. None takes all.
    start, end
        First and last moment used; None is unbounded.
    gap_seconds
        Longest silence of a book that is no gap, seconds. Gaps are no time in which nothing happened: no figure counts
        them, and none looks across one.
    maker_fee_pct
        Maker fee of all symbols, % of value; None takes each instrument's own.
    created
        When it is estimated; None is now.
    on_progress
        Called with rows read and rows in all.

    Raises
    ------
    ConfigError
        If an argument is out of range or two contradict each other.
    DataError
        If the catalog cannot be used, or a symbol named is not in it, or the symbols are of several venues.
    CalibrationError
        If no symbol can be calibrated; the message has a line for each.
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
    """How many of the rows of some instruments have been read."""

    def __init__(
        self, reader: CatalogReader, specs: Sequence[InstrumentSpec], on_progress: OnProgress | None
    ) -> None:
        files = (
            file for spec in specs for kind in DataKind for file in reader.files(spec.instrument_id, kind)
        )
        self._done, self._total, self._on_progress = 0, sum(file.rows for file in files), on_progress

    def counting[Block: (DeltaBlock, TradeBlock)](self, blocks: Iterator[Block]) -> Iterator[Block]:
        """Pass blocks on and count their rows."""
        for block in blocks:
            self._done += len(block)
            if self._on_progress is not None:
                self._on_progress(self._done, self._total)
            yield block


class _SymbolWork:
    """One symbol's way from blocks to figures."""

    def __init__(
        self, reader: CatalogReader, spec: InstrumentSpec, span: _Span, progress: _Progress, notes: list[str]
    ) -> None:
        self._reader, self._spec, self._span = reader, spec, span
        self._progress, self._notes = progress, notes

    def calibrate(self, maker_fee_pct: float | None) -> SymbolCalibration:
        touches = self._touches()
        trades = self._trades(touches)
        orders = market_orders(trades, touches)
        spread = spread_figures(
            touches,
            float(self._spec.price_increment),
            market_orders=len(orders),
            trades=len(trades),
        )
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
            mark_outs=_trade_mark_outs(trades, touches),
            fees=self._fees(maker_fee_pct, both, spread),
        )

    def _note(self, text: str) -> None:
        self._notes.append(f"{self._spec.symbol}: {text}")

    def _touches(self) -> TouchSeries:
        identity, span = self._spec.instrument_id, self._span
        require_data(self._reader.folder, [identity], start=span.start_ns, end=span.end_ns, needs_trades=True)
        first, last = book_bounds(self._reader, self._spec)
        start_ns = first if span.start_ns is None else max(span.start_ns, first)
        end_ns = last if span.end_ns is None else min(span.end_ns, last)
        books = books_before(self._reader, self._spec, start_ns)
        if not books:
            raise CalibrationError(f"there is no full book at or before {format_time(start_ns)}")
        blocks = self._reader.iter_deltas(identity, start=books[-1], end=end_ns)
        counted = self._progress.counting(blocks)
        replayed = replay_touches(counted, start_ns, end_ns, gap_seconds=self._span.gap_seconds)
        self._report_what_was_used(replayed.touches, replayed.unsound_seconds)
        return replayed.touches

    def _report_what_was_used(self, touches: TouchSeries, unsound_seconds: float) -> None:
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
        unknown = int((trades.aggressor == SIDE_NONE).sum())
        if unknown == len(trades):
            raise CalibrationError(
                f"none of {len(trades):,} trades has a known taker, and without takers there are no order arrivals"
            )
        if unknown:
            self._note(
                f"{unknown:,} of {len(trades):,} trades have no known taker and are left out of order arrivals and "
                "mark-outs"
            )
        return trades

    def _intensities(
        self, orders: MarketOrders, touches: TouchSeries, spread: SpreadFigures
    ) -> tuple[IntensityFit, IntensityFit | None, IntensityFit | None]:
        depths, times, tick_bps = orders.depth_bps, touches.recorded_ns(orders.ts_ns), spread.tick_bps
        seconds = touches.seconds
        both = fit_intensity(depths, seconds, sides=2, tick_bps=tick_bps, ts_ns=times)
        sides: list[IntensityFit | None] = []
        for name, side in (("sell", ~orders.is_buy), ("buy", orders.is_buy)):
            try:
                fit = fit_intensity(depths[side], seconds, tick_bps=tick_bps, ts_ns=times[side])
                sides.append(fit)
            except CalibrationError as error:
                self._note(f"no fit to {name} orders alone: {error}")
                sides.append(None)
        return both, sides[0], sides[1]

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
        if maker_fee_pct is not None:
            fee_bps = maker_fee_pct * 100.0
        elif rate is not None:
            fee_bps = float(rate) * _BPS
        else:
            return None
        return fee_figures(fee_bps, intensity, spread.median_spread_bps)


def _trade_mark_outs(trades: TradeBlock, touches: TouchSeries) -> list[MarkOut]:
    """Return the mark-outs of the trades whose taker's side is known."""
    sided = trades.aggressor != SIDE_NONE
    is_buy = trades.aggressor[sided] == SIDE_BID
    return mark_outs(trades.ts_init[sided], trades.price_ticks[sided], is_buy, touches)
