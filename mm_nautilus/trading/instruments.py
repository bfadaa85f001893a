"""Conversion between `InstrumentSpec` and the engine's `CurrencyPair`."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from decimal import Decimal
from typing import Any, Final

from nautilus_trader.model import (
    FIXED_PRECISION,
    Currency,
    CurrencyPair,
    InstrumentId,
    Money,
    Price,
    Quantity,
    Symbol,
)

from mm_nautilus.market.instrument import ORDER_LIMITS, InstrumentSpec, decimal_places
from mm_nautilus.trading.currencies import LEAST_DIGITS, keep_digits

ONLY_PAIRS: Final = "only spot pairs of multiplier 1 are quoted"

_MARGIN_RATE: Final = Decimal(1)
"""Initial margin as a share of an order's value at leverage 1; leverage divides it."""


def currency_pair(spec: InstrumentSpec) -> CurrencyPair:
    """Build the engine's instrument; its ``info`` carries the fees and whether its data is simulated.

    Raises
    ------
    ValueError
        If a number has more digits than the engine keeps, which would round prices, minimums or balances.
    """
    _refuse_digits(spec, "price_increment", FIXED_PRECISION)
    _refuse_digits(spec, "size_increment", FIXED_PRECISION)
    keep_size_digits([spec])
    base, quote = Currency.from_str(spec.base), Currency.from_str(spec.quote)
    for name in ("min_quantity", "max_quantity"):
        _refuse_digits(spec, name, spec.size_precision)
    for name in ("min_notional", "max_notional"):
        _refuse_digits(spec, name, quote.precision)
    info: dict[str, Any] = {"simulated": spec.simulated}
    for name in ("maker_fee_rate", "taker_fee_rate"):
        rate = getattr(spec, name)
        if rate is not None:
            info[name] = str(rate)
    return CurrencyPair(
        InstrumentId.from_str(spec.instrument_id),
        Symbol(spec.symbol),
        base,
        quote,
        spec.price_precision,
        spec.size_precision,
        Price.from_str(str(spec.price_increment)),
        Quantity.from_str(str(spec.size_increment)),
        0,
        0,
        min_quantity=_quantity(spec.min_quantity, spec),
        max_quantity=_quantity(spec.max_quantity, spec),
        min_notional=_money(spec.min_notional, quote),
        max_notional=_money(spec.max_notional, quote),
        margin_init=_MARGIN_RATE,
        margin_maint=_MARGIN_RATE,
        info=info,
    )


def _quantity(limit: Decimal | None, spec: InstrumentSpec) -> Quantity | None:
    return None if limit is None else Quantity.from_decimal_dp(limit, spec.size_precision)


def _money(limit: Decimal | None, currency: Currency) -> Money | None:
    return None if limit is None else Money.from_decimal(limit, currency)


def _refuse_digits(spec: InstrumentSpec, name: str, most: int) -> None:
    value = getattr(spec, name)
    if value is not None and decimal_places(value.normalize()) > most:
        raise ValueError(
            f"{name} of {spec.symbol} must have at most {most} decimal places, which is what the engine "
            f"keeps of it, was {value}"
        )


def instrument_differences(
    known: InstrumentSpec, other: InstrumentSpec, words: tuple[str, str] = ("there", "here")
) -> list[str]:
    """Return one text for each field in which two definitions differ; empty if they are equivalent.

    `words` says in the texts where each of the two comes from.
    """
    texts = []
    for field in fields(InstrumentSpec):
        before, after = getattr(known, field.name), getattr(other, field.name)
        digits_matter = field.name in ("price_increment", "size_increment")
        if before != after or (digits_matter and decimal_places(before) != decimal_places(after)):
            texts.append(f"{field.name} is {before} {words[0]}, {after} {words[1]}")
    return texts


def quotable(instruments: Iterable[Any]) -> tuple[list[InstrumentSpec], dict[str, str]]:
    """Return the specs of the instruments that can be quoted, and by id the reasons why the others cannot."""
    specs: list[InstrumentSpec] = []
    refused: dict[str, str] = {}
    for instrument in instruments:
        try:
            specs.append(instrument_spec(instrument))
        except ValueError as error:
            refused[str(instrument.id)] = str(error)
    return specs, refused


def by_symbol(refused: Mapping[str, str]) -> dict[str, str]:
    """Return reasons keyed by symbol instead of instrument id."""
    return {InstrumentId.from_str(name).symbol.value: text for name, text in refused.items()}


def instrument_spec(instrument: Any) -> InstrumentSpec:
    """Return the spec of an engine's instrument; fee rates are None if its ``info`` has none.

    Raises
    ------
    ValueError
        If it is not a spot pair with a multiplier of 1.
    """
    if not isinstance(instrument, CurrencyPair):
        raise ValueError(f"{instrument.id} is a {type(instrument).__name__}; {ONLY_PAIRS}")
    if instrument.multiplier.as_decimal() != 1:
        raise ValueError(
            f"the multiplier of {instrument.id} must be 1, was {instrument.multiplier}; {ONLY_PAIRS}"
        )
    info = instrument.info or {}

    def rate(name: str) -> Decimal | None:
        try:
            return Decimal(info[name]) if name in info else None
        except (ArithmeticError, TypeError, ValueError) as error:
            raise ValueError(f"{name} of {instrument.id} must be a number, was {info[name]}") from error

    return InstrumentSpec(
        symbol=instrument.id.symbol.value,
        venue=instrument.id.venue.value,
        base=instrument.base_currency.code,
        quote=instrument.quote_currency.code,
        price_increment=instrument.price_increment.as_decimal(),
        size_increment=instrument.size_increment.as_decimal(),
        maker_fee_rate=rate("maker_fee_rate"),
        taker_fee_rate=rate("taker_fee_rate"),
        simulated=bool(info.get("simulated", False)),
        **{
            name: limit.as_decimal()
            for name in ORDER_LIMITS
            if (limit := getattr(instrument, name)) is not None
        },
    )


def rounded_money(instrument: CurrencyPair) -> str | None:
    """Return the problem of an instrument created before currency precision was raised, or None."""
    least = {instrument.base_currency: instrument.size_precision, instrument.quote_currency: LEAST_DIGITS}
    for currency, digits in least.items():
        if currency.precision < digits:
            return (
                f"money in {currency.code} must be kept with at least {digits} decimal places, was "
                f"{currency.precision} in {instrument.id}: `import mm_nautilus.trading` before instruments and "
                "balances are made"
            )
    return None


def keep_size_digits(specs: Iterable[InstrumentSpec]) -> None:
    """Give each base currency at least as many decimal places as its order sizes have, also beyond eight.

    With fewer, balances after partial fills would differ from the sum of the fills in the last digits.
    """
    for spec in specs:
        keep_digits([spec.base], spec.size_precision)
