"""Values of a first configuration: a catalog's symbols, in sizes its venue takes, at widths that pay the fees."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Any, Final

from mm_nautilus.config.amount import Amount
from mm_nautilus.config.sandbox import FEED_VENUE
from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.catalog_fitness import refuse_several_venues
from mm_nautilus.errors import ConfigError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rates import Rates
from mm_nautilus.runs.inputs import first_mid

__all__ = ["Starter", "starter_config", "starter_sandbox"]

_DOLLARS: Final = ("USDT", "USD", "USDC", "EUR", "GBP", "CHF", "CAD", "AUD")
"""Currencies of totals, the first that all others can be converted to; a unit of each is about a dollar."""
_QUOTE_VALUE: Final = Decimal(20)
"""Value of one quote in one of `_DOLLARS` (v1.4.0's position_size_usd)."""
_MINIMUMS_PER_QUOTE: Final = 2
_LOTS_PER_QUOTE: Final = 1_000
"""Size of a quote where neither a value nor a trade nor a minimum is known."""
_TRADES_LOOKED_AT: Final = 10_000
"""How many of a catalog's first trades say what a usual one is."""
_QUOTES_PER_CAP: Final = 5
_CAPS_PER_BALANCE: Final = 2
_MIN_EDGE_BPS: Final = 1.0
_EXAMPLE_FEES: Final = {"maker_fee_pct": 0.1, "taker_fee_pct": 0.1}
_ROUND_TRIPS_PER_EXIT: Final = 4
"""Take profit and stop loss, as multiples of a round trip's fees: a reward of 3 against a risk of 5."""
_LEAST_EXIT_PCT: Final = 0.5
_STEPS: Final = (Decimal(1), Decimal(2), Decimal(5), Decimal(10))


@dataclass(frozen=True, slots=True)
class Starter:
    """What a first configuration is made of.

    Parameters
    ----------
    values
        Values by the keys that lead to them, of those that are not left at their defaults.
    simulated
        Whether any of the data is.
    sizes
        A sentence that says what the sizes were taken from.
    """

    values: Mapping[tuple[str, ...], Any]
    simulated: bool
    sizes: str


def starter_config(catalog: Path, names: Sequence[str] | None = None) -> Starter:
    """Return the values of a first configuration.

    Sizes are round numbers of the base currency, at least twice the venue's smallest order. They are worth about 20
    dollars where prices tell; where nothing leads to a currency of about a dollar, as from yen or bitcoin, they are the
    median of the catalog's first trades. The cap is five quotes, the balances are two caps a side. Widths cover two
    maker fees.

    Parameters
    ----------
    catalog
        The catalog's folder.
    names
        Symbols such as ``BTC/USDT``, or ids such as ``BTC/USDT.KRAKEN``; None takes all the catalog has.

    Raises
    ------
    DataError
        If the catalog cannot be used, lacks a symbol, or the symbols are of several venues.
    ConfigError
        If no currency is there that all others can be converted to.
    """
    reader = CatalogReader(catalog)
    specs = reader.choose(names)
    refuse_several_venues(specs, "configuration")
    mids = {spec.symbol: first_mid(reader, spec) for spec in specs}
    rates = Rates({spec.symbol: (spec.base, spec.quote) for spec in specs}, mids.get, 1.0)
    currency = _report_currency(specs, rates)
    wanted = {spec.symbol: _wanted_size(reader, spec, currency, rates) for spec in specs}
    sizes = {spec.symbol: _quote_size(spec, mids[spec.symbol], wanted[spec.symbol]) for spec in specs}
    values = _venue_values(specs, sizes, mids) | _strategy_values(specs, currency)
    for spec in specs:
        size, path = sizes[spec.symbol], ("strategy", "symbols", spec.symbol)
        values[*path, "position_size"] = str(Amount(size.normalize(), spec.base))
        values[*path, "max_inventory"] = str(Amount((_QUOTES_PER_CAP * size).normalize(), spec.base))
    return Starter(values, any(spec.simulated for spec in specs), _size_words(currency))


def starter_sandbox(catalog: Path, names: Sequence[str] | None = None) -> Starter:
    """Return the values of a sandbox's first configuration, but for its feed; sizes and errors as of `starter_config`.

    The feed tells no fees, so that those of the catalog's instruments are given.

    Raises
    ------
    ConfigError
        Also if the catalog is of a venue whose feed a sandbox does not speak.
    """
    starter = starter_config(catalog, names)
    venue = starter.values["venue", "name"]
    if venue != FEED_VENUE:
        raise ConfigError(
            f"a sandbox's symbols must be of {FEED_VENUE}, whose protocol its feed speaks, was {venue} in {catalog}; "
            "without --sandbox the configuration is a backtest's"
        )
    if ("venue", "fees", "maker_fee_pct") in starter.values:
        return starter
    specs = CatalogReader(catalog).choose(names)
    fees = {spec.symbol: _own_fees(spec) for spec in specs}
    first, *others = fees.values()
    found: dict[tuple[str, ...], Any] = {("venue", "symbol_fees"): fees}
    if all(other == first for other in others):
        found = {("venue", "fees", name): fee for name, fee in first.items()}
    return replace(starter, values={**starter.values, **found})


def _own_fees(spec: InstrumentSpec) -> dict[str, float]:
    """Return an instrument's fees as a configuration has them; nothing of one that has none."""
    rates = {"maker_fee_pct": spec.maker_fee_rate, "taker_fee_pct": spec.taker_fee_rate}
    return {name: float(100 * rate) for name, rate in rates.items() if rate is not None}


def _report_currency(specs: Sequence[InstrumentSpec], rates: Rates[float]) -> str:
    """Return the currency of totals: dollars before others, quote currencies before base currencies."""
    traded = dict.fromkeys([*(spec.quote for spec in specs), *(spec.base for spec in specs)])
    for currency in sorted(
        traded, key=lambda code: _DOLLARS.index(code) if code in _DOLLARS else len(_DOLLARS)
    ):
        if all(rates.path(other, currency) is not None for other in traded):
            return currency
    symbols = ", ".join(spec.symbol for spec in specs)
    raise ConfigError(
        f"the symbols must be connected, so that every currency can be converted to one of them over at most two "
        f"pairs, was {symbols}; add the pair that is missing, or leave one out"
    )


def _size_words(currency: str) -> str:
    least = f"rounded up, and at least {_MINIMUMS_PER_QUOTE} of the venue's smallest orders"
    if currency in _DOLLARS:
        return f"A quote's size is worth about {_QUOTE_VALUE} {currency}, {least}."
    return (
        f"A quote's size is the median of the catalog's first trades, {least}: no pair here gives the value of "
        f"{currency} in dollars. Check position_size, max_inventory and starting_balances before you continue."
    )


def _wanted_size(reader: CatalogReader, spec: InstrumentSpec, currency: str, rates: Rates[float]) -> Decimal:
    """Return how much a quote is to be in base currency: by its value or, where that is not known, as trades are."""
    rate = rates.rate(spec.base, currency)
    if currency in _DOLLARS and rate is not None:
        return _QUOTE_VALUE / Decimal(repr(rate))
    for trades in reader.iter_trades(spec.instrument_id, batch_rows=_TRADES_LOOKED_AT):
        lots: int = statistics.median_low(trades.size_lots.tolist())
        return lots * spec.size_increment
    return Decimal(0)


def _quote_size(spec: InstrumentSpec, mid: float, wanted: Decimal) -> Decimal:
    """Return the size of one quote in base currency, a round number of whole lots, or the most that the venue takes."""
    price = Decimal(repr(mid))
    least = max(spec.min_quantity or Decimal(0), (spec.min_notional or Decimal(0)) / price)
    wanted = max(wanted, _MINIMUMS_PER_QUOTE * least)
    rounded = _round_up(wanted or _LOTS_PER_QUOTE * spec.size_increment)
    lots = (rounded / spec.size_increment).to_integral_value(ROUND_CEILING)
    # Half the largest value, as prices may rise.
    limits = [spec.max_quantity, None if spec.max_notional is None else spec.max_notional / price / 2]
    return min(
        [lots * spec.size_increment, *(_whole_lots(limit, spec) for limit in limits if limit is not None)]
    )


def _whole_lots(size: Decimal, spec: InstrumentSpec) -> Decimal:
    return (size / spec.size_increment).to_integral_value(ROUND_FLOOR) * spec.size_increment


def _round_up(value: Decimal) -> Decimal:
    """Return the smallest of 1, 2 and 5 times a power of ten that is no less than a positive value."""
    unit = Decimal(1).scaleb(value.adjusted())
    return next(step * unit for step in _STEPS if step * unit >= value)


def _venue_values(
    specs: Sequence[InstrumentSpec], sizes: Mapping[str, Decimal], mids: Mapping[str, float]
) -> dict[tuple[str, ...], Any]:
    needed: dict[str, Decimal] = {}
    for spec in specs:
        base = _CAPS_PER_BALANCE * _QUOTES_PER_CAP * sizes[spec.symbol]
        needed[spec.base] = needed.get(spec.base, Decimal(0)) + base
        needed[spec.quote] = needed.get(spec.quote, Decimal(0)) + base * Decimal(repr(mids[spec.symbol]))
    balances = [str(Amount(_round_up(amount), currency)) for currency, amount in needed.items()]
    values: dict[tuple[str, ...], Any] = {
        ("venue", "name"): specs[0].venue,
        ("venue", "starting_balances"): balances,
    }
    if any(spec.maker_fee_rate is None or spec.taker_fee_rate is None for spec in specs):
        values |= {("venue", "fees", name): fee for name, fee in _EXAMPLE_FEES.items()}
    return values


def _strategy_values(specs: Sequence[InstrumentSpec], currency: str) -> dict[tuple[str, ...], Any]:
    exit_pct = max(_LEAST_EXIT_PCT, math.ceil(_ROUND_TRIPS_PER_EXIT * _round_trip_pct(specs) * 10) / 10)
    return {
        ("strategy", "report_currency"): currency,
        ("strategy", "min_edge_bps"): _MIN_EDGE_BPS,
        ("strategy", "take_profit_pct"): exit_pct,
        ("strategy", "stop_loss_pct"): exit_pct,
    }


def _round_trip_pct(specs: Sequence[InstrumentSpec]) -> float:
    """Return the highest maker and taker fee together, % of value."""
    known = [
        float(100 * (spec.maker_fee_rate + spec.taker_fee_rate))
        for spec in specs
        if spec.maker_fee_rate is not None and spec.taker_fee_rate is not None
    ]
    return max(known) if len(known) == len(specs) else sum(_EXAMPLE_FEES.values())
