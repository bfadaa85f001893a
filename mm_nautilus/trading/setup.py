"""Build the symbols to trade from a configuration and the engine's instruments, or report why that fails."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from nautilus_trader.model import InstrumentId, StrategyId
from nautilus_trader.trading import StrategyConfig
from pydantic import ValidationError

from mm_nautilus.calibration.file import configured_calibration
from mm_nautilus.checks.fees import with_instrument_fees
from mm_nautilus.checks.instruments import check_instruments, model_inputs
from mm_nautilus.checks.own_code import OwnModules, own_pricing
from mm_nautilus.checks.validation import validate
from mm_nautilus.config.object_reference import ObjectReference
from mm_nautilus.config.problems import Problem
from mm_nautilus.config.strategy import MarketMakerConfig
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rates import Rates
from mm_nautilus.pricing.pricing_model import OwnPricing, PricingModel
from mm_nautilus.trading.instruments import by_symbol, quotable, rounded_money
from mm_nautilus.trading.symbol import SymbolState

NEVER_NS: Final = 2**63 - 1
"""A time that is never reached."""
_TAG: Final = "001"


@dataclass(slots=True)
class Conditions:
    """Conditions of a strategy's run; set them before it starts.

    Parameters
    ----------
    start_ns
        Time from which the strategy quotes and counts, nanoseconds since the epoch: a backtest that starts in the
        middle of a recording has to build its books first. With `NEVER_NS` it waits for `StartQuoting`.
    is_live
        Whether to quote only on books with a full snapshot since the feed connected. The node then needs a
        `LiveWatch`.
    book_depth
        Levels a side to subscribe to on a live feed, one of the numbers that the venue offers.
    pauses_in_gaps
        Whether the timers pause in gaps of the data once quotes are pulled; for backtests only.
    followed
        Symbols for which changes at the touch suffice, so that the engine keeps the book and the strategy is not
        called for changes behind the touch; for backtests only. Their data must have no breaks, because the engine
        does not report that a book was cleared.
    answer_ns
        How long the refusal of a command beyond the venue's rate limit takes to arrive, nanoseconds.
    changed_fees
        Called once a second with the time in nanoseconds since the epoch; returns fees that have changed since the last
        call, % of value, by symbol and parameter.
    """

    start_ns: int = 0
    is_live: bool = False
    book_depth: int | None = None
    pauses_in_gaps: bool = False
    followed: Collection[str] = ()
    answer_ns: int = 0
    changed_fees: Callable[[int], Mapping[str, Mapping[str, float]]] = lambda _ns: {}


def engine_config(config: Any, *, takes_over: bool) -> StrategyConfig:
    """Return the engine's strategy options; invalid ids are left out, as validation reports them."""
    given = config.model_dump() if isinstance(config, MarketMakerConfig) else config
    ids: dict[str, Any] = {}
    if isinstance(given, Mapping):
        ids = {"order_id_tag": str(given.get("order_id_tag") or _TAG)}
        with suppress(ValueError):
            ids |= {"strategy_id": StrategyId(str(given["strategy_id"]))} if given.get("strategy_id") else {}
        if takes_over:
            names = [f"{symbol}.{given['venue']}" for symbol in given["symbols"]]
            ids |= {"external_order_instrument_ids": [InstrumentId.from_str(name) for name in names]}
    return StrategyConfig(log_events=False, log_commands=False, **{"order_id_tag": _TAG, **ids})


def validated(
    config: Any, warnings: list[str], pricing: PricingModel | Mapping[str, PricingModel] | None
) -> tuple[MarketMakerConfig | None, dict[str, OwnPricing]]:
    """Return the validated configuration, None if it has errors, and the custom pricing models by symbol.

    Parameters
    ----------
    warnings
        List to which validation adds its errors and warnings.
    pricing
        One model for all symbols, or models by symbol; None imports those that the configuration names.

    Raises
    ------
    TypeError
        If a model cannot be called.
    """
    shared = None if pricing is None or isinstance(pricing, Mapping) else OwnPricing(pricing)
    settings = _validated(config if shared is None else _priced_by(config, shared.name), warnings)
    if settings is None:
        return None, {}
    if shared is not None:
        return settings, dict.fromkeys(settings.symbols, shared)
    found, problems = (pricing, []) if isinstance(pricing, Mapping) else own_pricing(settings, OwnModules())
    warnings += [problem.text() for problem in problems]
    if problems:
        return None, {}
    names = {symbol: str(settings.for_symbol(symbol).pricing) for symbol in found}
    return settings, {symbol: OwnPricing(model, names[symbol]) for symbol, model in found.items()}


def _priced_by(config: Any, name: str) -> Any:
    """Return the configuration with `pricing` set to `name` for all symbols."""
    given = config.model_dump(exclude_unset=True) if isinstance(config, MarketMakerConfig) else config
    if not isinstance(given, Mapping):
        return given
    module, _, function = name.partition(":")
    return {**given, "pricing": ObjectReference(module, function)}


def _validated(config: Any, warnings: list[str]) -> MarketMakerConfig | None:
    """Return the validated configuration, None if it has errors; add errors and warnings to `warnings`."""
    raw = config.model_dump(exclude_unset=True) if isinstance(config, MarketMakerConfig) else config
    warnings += validate(raw)
    if any(not text.startswith("Warning:") for text in warnings):
        return None
    if isinstance(config, MarketMakerConfig):
        return config
    try:
        return MarketMakerConfig.model_validate(dict(raw))
    except ValidationError as error:
        warnings += [f"{item['loc']}: {item['msg']}" for item in error.errors()]
        return None


def build_symbols(
    settings: MarketMakerConfig, cache: Any, warnings: list[str], pricing: Mapping[str, OwnPricing]
) -> tuple[dict[InstrumentId, SymbolState], Rates[float]] | None:
    """Return a configuration's symbols by instrument, and the conversion rates at their current mid prices.

    None if the configuration does not fit the instruments.

    Parameters
    ----------
    warnings
        List to which errors and risks are added.
    pricing
        Custom pricing models by symbol, which replace the built-in ones.
    """
    known, refused = _instruments(cache, settings.venue)
    calibration, problems = configured_calibration(settings)
    problems += check_instruments(settings, known, calibration=calibration, refused=refused)
    pairs = {
        name: cache.instrument(InstrumentId.from_str(known[name].instrument_id))
        for name in settings.symbols
        if name in known
    }
    problems += _rounded_money(pairs, settings)
    warnings += [problem.text() for problem in problems]
    if any(not problem.is_warning for problem in problems):
        return None
    specs = {name: known[name] for name in settings.symbols}
    by_name: dict[str, SymbolState] = {}
    rates = Rates(
        {n: (spec.base, spec.quote) for n, spec in specs.items()}, lambda n: by_name[n].mid_price, 1.0
    )
    for name, spec in specs.items():
        by_name[name] = SymbolState(
            pairs[name],
            spec,
            with_instrument_fees(settings.for_symbol(name), spec),
            settings.report_currency,
            rates.rate,
            market=model_inputs(settings, calibration, name),
            calibration=None if calibration is None else calibration.symbols.get(name),
            pricing=pricing.get(name),
            own_orders=(
                partial(cache.own_order_book, pairs[name].id) if settings.own_orders_in_book else None
            ),
        )
    for symbol in by_name.values():
        pause = symbol.params.correlation_pause
        if pause is not None and pause.symbol != symbol.name:
            other = by_name[pause.symbol]
            symbol.moods.correlate(other, other.position)
            other.dependents.append(symbol)
    return {symbol.instrument_id: symbol for symbol in by_name.values()}, rates


def _instruments(cache: Any, venue: str | None) -> tuple[dict[str, InstrumentSpec], dict[str, str]]:
    """Return the specs of the venue's pairs, and the reasons why other instruments cannot be quoted, by symbol.

    Without a venue, the pairs are those listed by exactly one venue.
    """
    specs, refused = quotable(cache.instruments())
    listed = Counter(spec.symbol for spec in specs)
    known = {
        spec.symbol: spec
        for spec in specs
        if spec.venue == venue or (venue is None and listed[spec.symbol] == 1)
    }
    here = {name: text for name, text in refused.items() if venue in (None, name.rpartition(".")[2])}
    return known, by_symbol(here)


def _rounded_money(pairs: Mapping[str, Any], settings: MarketMakerConfig) -> Iterator[Problem]:
    for symbol in settings.symbols:
        text = rounded_money(pairs[symbol]) if symbol in pairs else None
        if text is not None:
            yield Problem(("symbols", symbol), text)
