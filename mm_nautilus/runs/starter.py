"""A first configuration: a catalog's symbols at widths that takers reach, in sizes that their venue accepts."""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_UP, Context, Decimal
from typing import Any, Final

from mm_nautilus.config.amount import Amount
from mm_nautilus.config.sandbox import FEED_VENUE
from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.catalog_fitness import refuse_several_venues
from mm_nautilus.errors import ConfigError
from mm_nautilus.market.instrument import LARGEST_FEE_PCT, InstrumentSpec
from mm_nautilus.market.rates import Rates
from mm_nautilus.runs.calibration import MarketLook, look_at
from mm_nautilus.runs.expected_fills import QuoteSizes
from mm_nautilus.runs.inputs import first_mid
from mm_nautilus.system.store_url import CatalogPath

_DOLLARS: Final = ("USDT", "USD", "USDC", "EUR", "GBP", "CHF", "CAD", "AUD")
"""Currencies of totals, the first that all others can be converted to; a unit of each is about a dollar."""
_QUOTE_VALUE: Final = Decimal(20)
"""Value of one quote in one of `_DOLLARS` (v1.4.0's position_size_usd)."""
_MINIMUMS_PER_QUOTE: Final = 2
_LOTS_PER_QUOTE: Final = 1_000
"""Size of a quote if no value, trade or minimum is known."""
_FIRST_TRADES: Final = 10_000
"""Trades of which the median size is taken."""
_QUOTES_PER_CAP: Final = 5
_CAPS_PER_BALANCE: Final = 2
_EXAMPLE_FEE_PCT: Final = 0.1
_ROUND_TRIPS_PER_EXIT: Final = 4
"""Take profit and stop loss, as multiples of a round trip's fees: a reward of 3 against a risk of 5."""
_WIDTHS_PER_EXIT: Final = 2
_MINUTES_PER_EXIT: Final = 5
"""And as multiples of the width and of what the price moves in a minute."""
_LEAST_EXIT_PCT: Final = 0.5
_CALM: Final = 2
"""Volatility up to which widths are not scaled, as a multiple of what was measured."""
_STALE_PER_SILENCE: Final = 2
_ROUNDING: Final = 1e-9
_STEPS: Final = (Decimal(1), Decimal(2), Decimal(5), Decimal(10))

type Keys = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StarterFees:
    """Fees in place of the instruments' own, % of value; None keeps an instrument's."""

    maker_pct: float | None = None
    taker_pct: float | None = None

    def __post_init__(self) -> None:
        found = [
            f"the {name} fee must be between -{LARGEST_FEE_PCT:g} and {LARGEST_FEE_PCT:g} %, was {fee:g}"
            for name, fee in (("maker", self.maker_pct), ("taker", self.taker_pct))
            if fee is not None and not abs(fee) <= LARGEST_FEE_PCT
        ]
        if found:
            raise ConfigError(found)

    def charged(self, spec: InstrumentSpec) -> InstrumentSpec:
        """Return an instrument with these fees, or its own, or those of an example."""

        def rate(given_pct: float | None, own: Decimal | None) -> Decimal:
            if given_pct is None and own is not None:
                return own
            return Decimal(repr(_EXAMPLE_FEE_PCT if given_pct is None else given_pct)) / 100

        maker, taker = rate(self.maker_pct, spec.maker_fee_rate), rate(self.taker_pct, spec.taker_fee_rate)
        return replace(spec, maker_fee_rate=maker, taker_fee_rate=taker)


@dataclass(frozen=True, slots=True)
class Starter:
    """The contents of a first configuration."""

    values: Mapping[Keys, Any]
    """Values other than defaults, by their keys."""
    notes: Mapping[Keys, str]
    """Reasons for values, by the same keys."""
    simulated: bool
    sizes: str
    """A sentence on the source of the sizes."""
    expectations: tuple[str, ...]
    """A sentence a symbol on expected fills."""


def starter_config(
    catalog: CatalogPath, names: Sequence[str] | None = None, fees: StarterFees = StarterFees()
) -> Starter:
    """Return the values of a first configuration, proposed from the beginning of each symbol's data.

    Sizes are round numbers of the base currency, at least twice the venue's smallest order and worth about 20 dollars;
    if no pair leads to a currency of about a dollar, the median of the catalog's first trades. The cap is five quotes,
    the balances are two caps a side. Widths are those of `choose_width`, stops are beyond the fees, the width and the
    moves of some minutes.

    Raises DataError if the catalog cannot be used, lacks a symbol (None takes all), or the symbols are of several
    venues, and ConfigError if not all currencies can be converted to one of them.
    """
    return _starter(catalog, names, fees, writes_fees=False)


def _starter(
    catalog: CatalogPath, names: Sequence[str] | None, fees: StarterFees, *, writes_fees: bool
) -> Starter:
    reader = CatalogReader(catalog)
    found = reader.choose(names)
    refuse_several_venues(found, "configuration")
    specs = [fees.charged(spec) for spec in found]
    mids = {spec.symbol: first_mid(reader, spec) for spec in specs}
    rates = Rates({spec.symbol: (spec.base, spec.quote) for spec in specs}, mids.get, 1.0)
    currency = _report_currency(specs, rates)
    wanted = {spec.symbol: _wanted_size(reader, spec, currency, rates) for spec in specs}
    sizes = {spec.symbol: _quote_size(spec, mids[spec.symbol], wanted[spec.symbol]) for spec in specs}
    values = _venue_values(specs, sizes, mids)
    if writes_fees or specs != found:
        values |= _fee_values(specs)
    values["strategy", "report_currency"] = currency
    notes: dict[Keys, str] = {}
    expectations = []
    params = SymbolParams()
    for spec in specs:
        size, mid = sizes[spec.symbol], mids[spec.symbol]
        look = look_at(reader, spec, _fee_pct(spec.maker_fee_rate), _in_lots(spec, size, mid), params)
        proposal = _Proposal(spec, look, size, mid)
        for name, (value, why) in proposal.parameters().items():
            path = ("strategy", "symbols", spec.symbol, name)
            values[path], notes[path] = value, why
        expectations.append(proposal.expectation())
    is_simulated = any(spec.simulated for spec in specs)
    return Starter(values, notes, is_simulated, _size_words(currency), tuple(expectations))


def starter_sandbox(
    catalog: CatalogPath, names: Sequence[str] | None = None, fees: StarterFees = StarterFees()
) -> Starter:
    """Return the values of a sandbox's first configuration without its feed, as `starter_config` does.

    The feed has no fees, so those of the catalog's instruments are given. Also raises ConfigError if a sandbox does not
    speak the protocol of the catalog's venue.
    """
    starter = _starter(catalog, names, fees, writes_fees=True)
    venue = starter.values["venue", "name"]
    if venue != FEED_VENUE:
        raise ConfigError(
            f"a sandbox's symbols must be of {FEED_VENUE}, whose protocol its feed speaks, was {venue} in {catalog}; "
            "without --sandbox the configuration is a backtest's"
        )
    return starter


def _fee_values(specs: Sequence[InstrumentSpec]) -> dict[Keys, Any]:
    fees = {
        spec.symbol: {
            "maker_fee_pct": _fee_pct(spec.maker_fee_rate),
            "taker_fee_pct": _fee_pct(spec.taker_fee_rate),
        }
        for spec in specs
    }
    first, *others = fees.values()
    if all(other == first for other in others):
        return {("venue", "fees", name): fee for name, fee in first.items()}
    return {("venue", "symbol_fees"): fees}


def _fee_pct(rate: Decimal | None) -> float:
    if rate is None:
        raise ValueError("an instrument of a first configuration must have fees, was without")
    return float(100 * rate)


@dataclass(frozen=True, slots=True)
class _Proposal:
    """One symbol's parameters and their reasons."""

    spec: InstrumentSpec
    """The instrument with the fees to charge."""
    look: MarketLook
    size: Decimal
    """Size of a quote, base currency."""
    mid: float
    """The first mid, quote currency."""

    @property
    def _maker_pct(self) -> float:
        return _fee_pct(self.spec.maker_fee_rate)

    @property
    def _width_pct(self) -> float:
        """Width between the quotes, % of mid: without takers the market's, or that of the fees."""
        choice = self.look.choice
        return max(self.look.spread_pct, 2 * self._maker_pct) if choice is None else choice.width_pct

    def parameters(self) -> dict[str, tuple[Any, str]]:
        """Return values with their reasons, by the parameters' names."""
        base, cap = self.spec.base, _QUOTES_PER_CAP * self.size
        found: dict[str, tuple[Any, str]] = {
            "position_size": (str(Amount(self.size.normalize(), base)), self._size_words()),
            "max_inventory": (str(Amount(cap.normalize(), base)), f"{_QUOTES_PER_CAP} full quotes."),
            "min_spread_pct": (_digits(self._width_pct), self._width_words()),
        }
        if self.look.choice is None or self.look.choice.pays:
            found["min_edge_bps"] = (0.0, "Quotes stay two maker fees apart whatever the fees are.")
        found |= dict(self._volatility_parameters())
        stale = math.ceil(_STALE_PER_SILENCE * self.look.silence_seconds)
        if stale > SymbolParams.model_fields["stale_after_seconds"].default:
            words = f"One silence of the book in a hundred is longer than {self.look.silence_seconds:.3g} s"
            found["stale_after_seconds"] = (float(stale), f"{words}, without a fault of the feed.")
        return found

    def _size_words(self) -> str:
        minimums = [
            None if self.spec.min_quantity is None else f"{_plain(self.spec.min_quantity)} {self.spec.base}",
            None if self.spec.min_notional is None else f"{_plain(self.spec.min_notional)} {self.spec.quote}",
        ]
        least = " and ".join(text for text in minimums if text is not None) or "not named"
        trade = f"{_plain(self.look.median_trade * self.spec.size_increment)} {self.spec.base}"
        usual = f"the median trade is {trade}" if self.look.median_trade else "there are no trades"
        return f"The venue's smallest order is {least}; {usual}."

    def _width_words(self) -> str:
        look, choice = self.look, self.look.choice
        market = f"In the first {look.seconds / 60:.3g} min the median spread is {look.spread_pct:.3g} %"
        if choice is None:
            return f"{market}; no market orders say how deep takers trade."
        reach = (
            f"{market}, one market order in twenty trades {look.reach_pct:.3g} % from the mid or deeper, and quotes "
            f"this wide get about {_fills(choice.fills_per_hour)}"
        )
        if choice.pays:
            return f"{reach}: the width that earns most after a maker fee of {self._maker_pct:.4g} %."
        return f"{reach}. A LOSS: two maker fees need {choice.paying_width_pct:.4g} %; this is the widest that trades."

    def _volatility_parameters(self) -> Iterator[tuple[str, tuple[Any, str]]]:
        volatility = self.look.volatility_pct
        moved = f"the price moves {volatility:.3g} % in a minute"
        if volatility > 0:
            calm = min(_digits(_CALM * volatility), 100.0)
            words = f"Twice the measured one: {moved}. Wilder markets widen the quotes."
            yield "base_volatility_pct", (calm, words)
        fees = _ROUND_TRIPS_PER_EXIT * (self._maker_pct + _fee_pct(self.spec.taker_fee_rate))
        reasons = {
            f"{_ROUND_TRIPS_PER_EXIT} times a round trip's fees": fees,
            f"{_WIDTHS_PER_EXIT} times the width": _WIDTHS_PER_EXIT * self._width_pct,
            f"{_MINUTES_PER_EXIT} times the volatility ({moved})": _MINUTES_PER_EXIT * volatility,
            "the least that is proposed": _LEAST_EXIT_PCT,
        }
        reason, needed = max(reasons.items(), key=lambda pair: pair[1])
        exit_pct = min(math.ceil(needed * 10 - _ROUNDING) / 10, 100.0)
        yield "take_profit_pct", (exit_pct, f"Far enough to be worth the fees: {reason}.")
        yield "stop_loss_pct", (exit_pct, "As far as the profit.")

    def expectation(self) -> str:
        """Return the expected fills and what they keep, in a sentence."""
        choice, symbol = self.look.choice, self.spec.symbol
        apart = f"{_digits(self._width_pct):g} % apart"
        if choice is None:
            return f"{symbol}: fills cannot be estimated, as the data has no trades; quotes are {apart}."
        fills = _fills(choice.fills_per_hour)
        fee = f"a maker fee of {self._maker_pct:.4g} %"
        if choice.pays:
            return (
                f"{symbol}: quotes {apart}, about {fills} expected; each keeps {choice.kept_bps:.3g} bps after {fee}, "
                "before the price moves."
            )
        loss = _plain(Decimal(repr(_digits(-choice.kept_bps / 10_000 * float(self.size) * self.mid))))
        needed = f"{fee} needs quotes {choice.paying_width_pct:.4g} % apart"
        return (
            f"{symbol} IS EXPECTED TO LOSE: {needed}, with about {_fills(choice.paying_fills_per_hour)}. "
            f"Proposed are quotes {apart}: about {fills}, each losing {-choice.kept_bps:.3g} bps, {loss} "
            f"{self.spec.quote} a full quote. Lower fees change that, other parameters do not."
        )


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"


def _fills(per_hour: float) -> str:
    """Return a rate of fills with two digits."""
    shown = f"{per_hour:,.0f}" if per_hour >= 10 or not per_hour else f"{per_hour:.2g}"
    return f"{shown} {'fill' if shown == '1' else 'fills'} an hour"


def _digits(value: float) -> float:
    """Return a number rounded up to two digits."""
    return float(Context(prec=2, rounding=ROUND_UP).create_decimal(Decimal(repr(value))))


def _report_currency(specs: Sequence[InstrumentSpec], rates: Rates[float]) -> str:
    """Return the currency of totals: dollars before others, quote currencies before base currencies."""
    traded = dict.fromkeys([*(spec.quote for spec in specs), *(spec.base for spec in specs)])
    for currency in dict.fromkeys([*(code for code in _DOLLARS if code in traded), *traded]):
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
    """Return a quote's size in base currency by its value or, if that is unknown, the median trade's."""
    rate = rates.rate(spec.base, currency)
    if currency in _DOLLARS and rate is not None:
        return _QUOTE_VALUE / Decimal(repr(rate))
    for trades in reader.iter_trades(spec.instrument_id, batch_rows=_FIRST_TRADES):
        return int(statistics.median_low(trades.size_lots.tolist())) * spec.size_increment
    return Decimal(0)


def _least_size(spec: InstrumentSpec, price: Decimal) -> Decimal:
    """Return the venue's smallest order in base currency."""
    return max(spec.min_quantity or Decimal(0), (spec.min_notional or Decimal(0)) / price)


def _in_lots(spec: InstrumentSpec, size: Decimal, mid: float) -> QuoteSizes:
    quote, least = (
        int(size / spec.size_increment),
        _least_size(spec, Decimal(repr(mid))) / spec.size_increment,
    )
    return QuoteSizes(quote, cap=_QUOTES_PER_CAP * quote, least=max(1, math.ceil(least)))


def _quote_size(spec: InstrumentSpec, mid: float, wanted: Decimal) -> Decimal:
    """Return one quote's size in base currency, a round number of whole lots, or the venue's largest."""
    price = Decimal(repr(mid))
    least = _least_size(spec, price)
    wanted = max(wanted, _MINIMUMS_PER_QUOTE * least)
    lot = spec.size_increment
    rounded = _round_up(wanted or _LOTS_PER_QUOTE * lot)
    # Half the largest value, as prices may rise.
    limits = [spec.max_quantity, None if spec.max_notional is None else spec.max_notional / price / 2]
    lots = [(limit / lot).to_integral_value(ROUND_FLOOR) for limit in limits if limit is not None]
    return lot * min([(rounded / lot).to_integral_value(ROUND_CEILING), *lots])


def _round_up(value: Decimal) -> Decimal:
    """Return the smallest of 1, 2 and 5 times a power of ten that is no less than a positive value."""
    unit = Decimal(1).scaleb(value.adjusted())
    return next(step * unit for step in _STEPS if step * unit >= value)


def _venue_values(
    specs: Sequence[InstrumentSpec], sizes: Mapping[str, Decimal], mids: Mapping[str, float]
) -> dict[Keys, Any]:
    needed: dict[str, Decimal] = {}
    for spec in specs:
        base = _CAPS_PER_BALANCE * _QUOTES_PER_CAP * sizes[spec.symbol]
        if spec.kind == "spot":
            needed[spec.base] = needed.get(spec.base, Decimal(0)) + base
        needed[spec.quote] = needed.get(spec.quote, Decimal(0)) + base * Decimal(repr(mids[spec.symbol]))
    balances = [str(Amount(_round_up(amount), currency)) for currency, amount in needed.items()]
    values: dict[Keys, Any] = {("venue", "name"): specs[0].venue, ("venue", "starting_balances"): balances}
    if any(spec.kind != "spot" for spec in specs):
        values["venue", "account_type"] = "margin"
    return values
