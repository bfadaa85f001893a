"""A run's instruments, span of data and first prices, checked before anything is written."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from mm_nautilus.calibration.file import configured_calibration
from mm_nautilus.calibration.volatility import MINUTE_NS
from mm_nautilus.checks.instruments import check_run
from mm_nautilus.checks.own_code import ObjectRefusedError, OwnModules, own_pricing, takes_arguments
from mm_nautilus.checks.refusals import RefusedRunError, refused_for
from mm_nautilus.config.problems import Problem
from mm_nautilus.config.run import RunConfig, TradingConfig
from mm_nautilus.config.sandbox import SandboxConfig
from mm_nautilus.config.strategy import MarketMakerConfig, SymbolParams
from mm_nautilus.data.book_tops import BookReplay
from mm_nautilus.data.catalog import CatalogReader, FileVersions
from mm_nautilus.data.catalog_files import DataKind, format_time
from mm_nautilus.data.catalog_fitness import refuse_other_span, require_data
from mm_nautilus.data.funding import FundingRate, constant_rates, stored_rates
from mm_nautilus.errors import DataError, MarketMakingError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.pricing.pricing_model import PricingModel
from mm_nautilus.system.moments import nanoseconds
from mm_nautilus.system.raised import raised_text
from mm_nautilus.system.store_url import CatalogPath
from mm_nautilus.trading.strategy import MarketMaker

_BATCH_ROWS = 2_000
_SPANS_KEPT = 64
"""Spans of data of which is known what they hold."""


@dataclass(frozen=True, slots=True)
class OwnCode:
    """A run's strategy class and pricing functions."""

    strategy_class: type[MarketMaker]
    pricing: Mapping[str, PricingModel]
    """By symbol; the other symbols use the configured model."""
    sources: Mapping[Path, bytes]
    """The text of each imported module, by its path in the run's folder."""

    def strategy(self, config: MarketMakerConfig, *, takes_over: bool = False) -> MarketMaker:
        """Return the strategy; raises MarketMakingError if the user's constructor raises."""
        try:
            return self.strategy_class(config, takes_over=takes_over, pricing=self.pricing)
        except BaseException as error:
            if config.strategy_class is None:
                raise
            raise MarketMakingError(f"{config.strategy_class} raised {raised_text(error)}") from error


def import_own_code(config: TradingConfig) -> OwnCode:
    """Import the classes and functions of a configuration; a RefusedRunError has all that cannot be imported."""
    modules, strategy_class = OwnModules(), MarketMaker
    pricing, problems = own_pricing(config.strategy, modules)
    reference = config.strategy.strategy_class
    if reference is not None:
        kind = "a subclass of mm_nautilus.MarketMaker that takes its arguments config, takes_over and pricing"
        try:
            strategy_class = modules.get(reference, kind, _is_strategy)
        except ObjectRefusedError as refused:
            problems.append(Problem(("class",), f"class must {refused}"))
    if problems:
        raise RefusedRunError([problem.under("strategy") for problem in problems])
    return OwnCode(strategy_class, pricing, modules.sources)


def _is_strategy(found: Any) -> bool:
    return (
        isinstance(found, type)
        and issubclass(found, MarketMaker)
        and takes_arguments(found.__init__, None, None, takes_over=False, pricing={})
    )


@dataclass(frozen=True, slots=True)
class Inputs:
    """A configuration with its instruments in the catalog or at the venue."""

    config: RunConfig | SandboxConfig
    specs: Mapping[str, InstrumentSpec]
    warnings: Mapping[str, Problem]
    """Risks that validation found, by their texts."""
    code: OwnCode
    data_notes: tuple[str, ...]
    """What the recordings lacked and which rules stood in for it, each with its symbol."""


@dataclass(frozen=True, slots=True)
class RunInputs(Inputs):
    """A backtest's configuration with its catalog's data."""

    config: RunConfig
    data_ns: int
    """First moment of the data to read, nanoseconds since the epoch: in the middle of a recording the last full book
    before the run and, as far as there are any, before the minutes for its first volatility."""
    quote_ns: int
    end_ns: int
    """First and last moment of the run itself."""
    pinned: tuple[Any, ...]
    """The engine's instruments that the catalog defines several times, as they are in force here."""
    broken: frozenset[str]
    """The symbols whose data announce breaks, in which the book is unknown."""
    funding: Mapping[str, Sequence[FundingRate]]
    """Funding rates of the perpetuals that have any."""


def prepare(config: RunConfig) -> RunInputs:
    """Check a configuration against its catalog, and return the inputs of its run.

    Raises RefusedRunError if a class or function cannot be imported, the configuration does not fit the instruments or
    its calibration, or the catalog cannot be used or has no full book before the run's start.
    """
    code = import_own_code(config)
    start_ns, end_ns = nanoseconds(config.start), nanoseconds(config.end)
    with refused_for("catalog"):
        reader = CatalogReader(config.catalog)
        reader.some_instruments()
    found = [*_book_problems(config), *_unknown_symbols(config, reader)]
    try:
        with refused_for("end" if start_ns is None else "start"):
            refuse_other_span(reader, start_ns, end_ns)
    except RefusedRunError as error:
        found.extend(error.found)
    if found:
        raise RefusedRunError(found)
    with refused_for("catalog"):
        return _inputs(config, code, start_ns, end_ns)


def _inputs(config: RunConfig, code: OwnCode, start_ns: int | None, end_ns: int | None) -> RunInputs:
    reader = CatalogReader(config.catalog, start_ns)
    version = reader.version()
    span = start_ns, end_ns
    try:
        data = _found_data(config.catalog, version, tuple(config.strategy.symbols), config.venue.name, *span)
    except DataError as error:
        raise _with_misfits(config, reader, error) from error
    risks = checked_run(config, data.specs, data.mids)
    data_ns = min(
        _first_history(config.strategy.for_symbol(name), times, start_ns)
        for name, times in data.books.items()
    )
    quote_ns = max(data.first_ns, start_ns or data.first_ns)
    last_ns = data.last_ns if end_ns is None else min(data.last_ns, end_ns)
    funding = {
        symbol: _funding(config, version, spec, data_ns, last_ns)
        for symbol, spec in data.specs.items()
        if spec.kind == "perpetual"
    }
    risks = (*risks, *_unfunded(config, funding))
    return RunInputs(
        config=config,
        code=code,
        specs=data.specs,
        data_ns=data_ns,
        quote_ns=quote_ns,
        end_ns=last_ns,
        funding={symbol: rates for symbol, rates in funding.items() if rates},
        warnings={risk.text(): risk for risk in risks},
        pinned=data.pinned,
        data_notes=data.notes,
        broken=_broken(config.catalog, version, tuple(data.specs.values()), *span, data_ns),
    )


def _funding(
    config: RunConfig, version: FileVersions, spec: InstrumentSpec, start_ns: int, end_ns: int
) -> Sequence[FundingRate]:
    if config.funding is not None:
        return constant_rates(config.funding.rate_pct, config.funding.every_hours, start_ns, end_ns)
    return _stored_rates(config.catalog, version, spec, start_ns, end_ns)


def _unfunded(config: RunConfig, funding: Mapping[str, Sequence[FundingRate]]) -> Iterator[Problem]:
    """Warn of perpetuals for which no funding will be paid, and of funding that nothing pays."""
    if config.funding is not None and not funding:
        symbols = ", ".join(config.strategy.symbols)
        text = f"funding has no effect: perpetuals pay it, and there is none among {symbols}"
        yield Problem(("funding",), text, is_warning=True)
    if config.funding is None:
        for symbol, rates in funding.items():
            if not rates:
                text = f"no funding of {symbol} is paid: the catalog holds no rate for this span, and funding is null"
                yield Problem(("funding",), text, is_warning=True)


@dataclass(frozen=True, slots=True)
class _FoundData:
    """What a catalog has for a span of time, whatever a run does with it; mappings are by symbol."""

    specs: Mapping[str, InstrumentSpec]
    books: Mapping[str, list[int]]
    """Times of the full books up to the span's start, nanoseconds, oldest first."""
    mids: Mapping[str, float]
    """First mid prices, quote currency."""
    first_ns: int
    last_ns: int
    pinned: tuple[Any, ...]
    notes: tuple[str, ...]


# A search runs many configurations on the same data: what depends on its files alone is read once while they stay.


@lru_cache(_SPANS_KEPT)
def _found_data(
    catalog: CatalogPath,
    _version: FileVersions,
    symbols: tuple[str, ...],
    venue: str,
    start_ns: int | None,
    end_ns: int | None,
) -> _FoundData:
    reader = CatalogReader(catalog, start_ns)
    found = require_data(catalog, symbols, venue, start=start_ns, end=end_ns, needs_trades=True)
    specs = {spec.symbol: spec for spec in found}
    books = {symbol: _full_books(reader, spec, start_ns) for symbol, spec in specs.items()}
    return _FoundData(
        specs=specs,
        books=books,
        mids={symbol: first_mid(reader, spec, books[symbol][-1]) for symbol, spec in specs.items()},
        first_ns=min(times[-1] for times in books.values()),
        last_ns=max(book_bounds(reader, spec)[1] for spec in found),
        pinned=reader.ambiguous(spec.instrument_id for spec in found),
        notes=tuple(f"{spec.symbol}: {note}" for spec in found for note in reader.notes(spec.instrument_id)),
    )


@lru_cache(_SPANS_KEPT)
def _stored_rates(
    catalog: CatalogPath, _version: FileVersions, spec: InstrumentSpec, start_ns: int, end_ns: int
) -> Sequence[FundingRate]:
    return stored_rates(CatalogReader(catalog).folder, spec, start_ns, end_ns)


@lru_cache(_SPANS_KEPT)
def _broken(
    catalog: CatalogPath,
    _version: FileVersions,
    specs: tuple[InstrumentSpec, ...],
    start_ns: int | None,
    end_ns: int | None,
    data_ns: int,
) -> frozenset[str]:
    """Return the symbols whose data announce breaks; raises DataError if a price or size is off the grid."""
    reader = CatalogReader(catalog, start_ns)
    for spec in specs:
        for kind in DataKind:
            reader.require_grid(spec.instrument_id, kind, data_ns, end_ns)
    return frozenset(
        spec.symbol for spec in specs if reader.announces_breaks(spec.instrument_id, data_ns, end_ns)
    )


def _with_misfits(config: RunConfig, reader: CatalogReader, error: DataError) -> RefusedRunError:
    """Return the problems of the data, and those of the configuration with the instruments."""
    found = [Problem(("catalog",), line) for line in str(error).splitlines()]
    specs = {symbol: reader.instrument(symbol, config.venue.name) for symbol in config.strategy.symbols}
    try:
        checked_run(config, specs, {})
    except RefusedRunError as misfits:
        found.extend(misfits.found)
    return RefusedRunError(found)


def checked_run(
    config: TradingConfig,
    specs: Mapping[str, InstrumentSpec],
    mids: Mapping[str, float],
    refused: Mapping[str, str] | None = None,
    listed: Collection[str] = (),
) -> tuple[Problem, ...]:
    """Check a run against its instruments, first prices and calibration; return the risks, raise all errors.

    `specs` has the instruments by symbol, `listed` the names of others there are; `mids` the known mid prices in quote
    currency; `refused` why other instruments cannot be quoted.
    """
    calibration, found = configured_calibration(config.strategy)
    problems = [problem.under("strategy") for problem in found]
    problems += check_run(config, specs, mids, calibration=calibration, refused=refused, listed=listed)
    errors = [problem for problem in problems if not problem.is_warning]
    if errors:
        raise RefusedRunError(errors)
    return tuple(problems)


def _book_problems(config: RunConfig) -> Iterator[Problem]:
    if config.strategy.book_data != "deltas":
        must = "book_data must be deltas in a run on a catalog (depth and quotes are for nodes of your own)"
        yield Problem(("strategy", "book_data"), f"{must}, was {config.strategy.book_data}")


def _unknown_symbols(config: RunConfig, reader: CatalogReader) -> Iterator[Problem]:
    """Yield the configured symbols that the catalog lacks."""
    for symbol in config.strategy.symbols:
        try:
            reader.instrument(symbol, config.venue.name)
        except DataError as error:
            yield Problem(("strategy", "symbols", symbol), str(error))


def book_bounds(reader: CatalogReader, spec: InstrumentSpec) -> tuple[int, int]:
    """Return the times of an instrument's first and last book change; raises DataError if there is none."""
    bounds = reader.bounds(spec.instrument_id, DataKind.DELTAS)
    if bounds is None:
        raise DataError(f"{reader.folder} holds no book changes of {spec.instrument_id}")
    return bounds


def books_before(reader: CatalogReader, spec: InstrumentSpec, start_ns: int | None) -> list[int]:
    """Return the times of the full books up to the start, oldest first, or that of the first book."""
    first, _ = book_bounds(reader, spec)
    if start_ns is None or start_ns <= first:
        return [first]
    return reader.full_books(spec.instrument_id, start_ns)


def _full_books(reader: CatalogReader, spec: InstrumentSpec, start_ns: int | None) -> list[int]:
    found = books_before(reader, spec, start_ns)
    if not found:
        must = f"start must come after a full book of {spec.instrument_id}, and {reader.folder} holds none up to then"
        raise RefusedRunError([Problem(("start",), f"{must}, was {format_time(start_ns or 0)}")])
    return found


def _first_history(params: SymbolParams, books: list[int], start_ns: int | None) -> int:
    """Return the full book with enough minutes after it for a volatility at the start, or the oldest."""
    wanted_ns = (start_ns or books[-1]) - (params.volatility_lookback + 2) * MINUTE_NS
    return max((book for book in books if book <= wanted_ns), default=books[0])


def first_mid(reader: CatalogReader, spec: InstrumentSpec, from_ns: int | None = None) -> float:
    """Return the mid of a catalog's first two-sided book, in quote currency; raises DataError if there is none."""
    replay = BookReplay()
    for block in reader.iter_deltas(spec.instrument_id, start=from_ns, batch_rows=_BATCH_ROWS):
        tops = replay.apply(block)
        for bid, ask in zip(tops.bid.tolist(), tops.ask.tolist(), strict=True):
            if bid > 0 and ask > 0:
                return float(0.5 * (bid + ask) * float(spec.price_increment))
    raise DataError(f"{reader.folder} holds no two-sided book of {spec.instrument_id}")
