"""From a configuration and the engine's instruments to the symbols that are traded, or to the reasons for none."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from nautilus_trader.model import InstrumentId, StrategyId
from nautilus_trader.trading import StrategyConfig
from pydantic import ValidationError

from mm_nautilus.calibration.file import configured_calibration
from mm_nautilus.checks.fees import with_instrument_fees
from mm_nautilus.checks.instruments import check_instruments, model_inputs
from mm_nautilus.checks.own_code import OwnModules, own_pricing
from mm_nautilus.checks.validation import Problem, validate
from mm_nautilus.config.object_reference import ObjectReference
from mm_nautilus.config.strategy import MarketMakerConfig
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rates import Rates
from mm_nautilus.pricing.pricing_model import OwnPricing, PricingModel
from mm_nautilus.trading.instruments import by_symbol, quotable, rounded_money
from mm_nautilus.trading.symbol import SymbolState

__all__ = ["NEVER_NS", "Conditions", "Symbols", "build_symbols", "engine_config", "validated"]

NEVER_NS: Final = 2**63 - 1
"""A time that does not come."""
_TAG: Final = "001"


@dataclass(slots=True)
class Conditions:
    """Under which conditions a strategy runs; set before it starts.

    Parameters
    ----------
    start_ns
        First moment at which quotes are sent and anything is counted, nanoseconds since the epoch: a backtest that
        starts in mid-recording has to build its books first. At `NEVER_NS` the strategy waits for `StartQuoting`.
    is_live
        Whether to quote only on books that a live feed has sent whole since it was connected. The node needs a
        `LiveWatch` then.
    book_depth
        Levels a side that a live feed is asked for, one of the numbers that the venue offers.
    pauses_in_gaps
        Whether to do nothing, once quotes are pulled, while no book changes for longer than a gap takes; for backtests.
    followed
        Symbols of which to take from the engine's own books what changes the touch, and no more, where quotes depend
        on no more; for backtests, as a live feed is watched event by event. Their data must announce no breaks: the
        engine reports nothing of a book that is emptied.
    """

    start_ns: int = 0
    is_live: bool = False
    book_depth: int | None = None
    pauses_in_gaps: bool = False
    followed: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Symbols:
    """The symbols of a strategy.

    Parameters
    ----------
    by_id
        By the engine's name of the instrument.
    rates
        What converts between their currencies at the present mids.
    """

    by_id: dict[InstrumentId, SymbolState]
    rates: Rates[float]


def engine_config(config: Any, *, takes_over: bool) -> StrategyConfig:
    """Return the engine's own options; ids that it does not take are left to validation, which names them."""
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
    """Return a configuration that may be traded and the models of one's own by symbol, None where it has errors.

    Parameters
    ----------
    config
        The configuration, or a mapping of the same shape.
    warnings
        Where validation adds what it says.
    pricing
        One model for all symbols, or the models that the configuration names by symbol; None imports these.

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
    """Return a configuration that names the model which replaces those of all its symbols."""
    given = config.model_dump(exclude_unset=True) if isinstance(config, MarketMakerConfig) else config
    if not isinstance(given, Mapping):
        return given
    module, _, function = name.partition(":")
    return {**given, "pricing": ObjectReference(module, function)}


def _validated(config: Any, warnings: list[str]) -> MarketMakerConfig | None:
    """Return a configuration that may be traded, None where it has errors; add what validation says to `warnings`."""
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
) -> Symbols | None:
    """Return the symbols of a configuration, None where it does not fit its instruments.

    Parameters
    ----------
    settings
        The configuration.
    cache
        The engine's, which knows the instruments.
    warnings
        Where errors and risks are added.
    pricing
        Models of one's own by symbol, in the place of the configured formulas.
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
        )
    return Symbols({symbol.instrument_id: symbol for symbol in by_name.values()}, rates)


def _instruments(cache: Any, venue: str | None) -> tuple[dict[str, InstrumentSpec], dict[str, str]]:
    """Return the venue's pairs, and why its other instruments cannot be quoted, by symbol.

    Without a venue, the pairs are those that only one venue lists.
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
