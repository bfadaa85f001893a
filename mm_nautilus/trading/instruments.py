"""Conversion between `InstrumentSpec` and the engine's instruments."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from decimal import Decimal
from typing import Any, Final

from nautilus_trader.model import (
    FIXED_PRECISION,
    CryptoFuture,
    CryptoPerpetual,
    Currency,
    CurrencyPair,
    InstrumentId,
    Money,
    PerpetualContract,
    Price,
    Quantity,
    Symbol,
)

from mm_nautilus.market.instrument import ORDER_LIMITS, QUOTED, InstrumentSpec, Kind, decimal_places
from mm_nautilus.trading.currencies import LEAST_DIGITS, keep_digits

KINDS: Final[dict[type, Kind]] = {
    CurrencyPair: "spot",
    CryptoPerpetual: "perpetual",
    PerpetualContract: "perpetual",
    CryptoFuture: "future",
}
"""The engine's types of instrument that can be quoted."""

type EngineInstrument = CurrencyPair | CryptoPerpetual | CryptoFuture


def engine_instrument(spec: InstrumentSpec) -> EngineInstrument:
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
    names = InstrumentId.from_str(spec.instrument_id), Symbol(spec.symbol), base, quote
    numbers: dict[str, Any] = {
        "price_precision": spec.price_precision,
        "size_precision": spec.size_precision,
        "price_increment": Price.from_str(str(spec.price_increment)),
        "size_increment": Quantity.from_str(str(spec.size_increment)),
        "ts_event": 0,
        "ts_init": 0,
        "min_quantity": _quantity(spec.min_quantity, spec),
        "max_quantity": _quantity(spec.max_quantity, spec),
        "min_notional": _money(spec.min_notional, quote),
        "max_notional": _money(spec.max_notional, quote),
        "margin_init": spec.margin_init_rate,
        "margin_maint": spec.margin_maint_rate,
        "info": info,
    }
    if spec.kind == "spot":
        return CurrencyPair(*names, **numbers)
    if spec.kind == "perpetual":
        return CryptoPerpetual(*names, quote, is_inverse=False, **numbers)
    return CryptoFuture(
        *names, quote, is_inverse=False, activation_ns=0, expiration_ns=spec.expires_ns or 0, **numbers
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
        If it is no spot pair and no linear perpetual or future, or its multiplier is not 1.
    """
    kind = KINDS.get(type(instrument))
    if kind is None:
        raise ValueError(f"{instrument.id} is a {type(instrument).__name__}; {QUOTED}")
    if kind != "spot":
        _refuse_nonlinear(instrument)
    if instrument.multiplier.as_decimal() != 1:
        raise ValueError(
            f"the multiplier of {instrument.id} must be 1, was {instrument.multiplier}; {QUOTED}"
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
        base=base_currency(instrument).code,
        quote=instrument.quote_currency.code,
        price_increment=instrument.price_increment.as_decimal(),
        size_increment=instrument.size_increment.as_decimal(),
        maker_fee_rate=rate("maker_fee_rate"),
        taker_fee_rate=rate("taker_fee_rate"),
        simulated=bool(info.get("simulated", False)),
        **({} if kind == "spot" else _contract_terms(instrument, kind)),
        **{
            name: limit.as_decimal()
            for name in ORDER_LIMITS
            if (limit := getattr(instrument, name)) is not None
        },
    )


def _contract_terms(instrument: Any, kind: Kind) -> dict[str, Any]:
    """Return a contract's fields beyond a pair's, whose margins are leverage's alone."""
    return {
        "kind": kind,
        "margin_init_rate": instrument.margin_init,
        "margin_maint_rate": instrument.margin_maint,
        "expires_ns": instrument.expiration_ns if kind == "future" else None,
    }


def base_currency(instrument: Any) -> Currency:
    """Return the currency that an instrument's sizes are in: a future's underlying."""
    is_future = isinstance(instrument, CryptoFuture)
    base: Currency | None = instrument.underlying if is_future else instrument.base_currency
    if base is None:
        raise ValueError(f"{instrument.id} must have a base currency, was none")
    return base


def _refuse_nonlinear(instrument: Any) -> None:
    """Raise a `ValueError` for a contract that is not settled in the currency of its prices."""
    quote, settled = instrument.quote_currency.code, instrument.settlement_currency.code
    if instrument.is_inverse:
        name, why = "an inverse contract", f"its profit in {settled} is not linear in the price"
    elif settled != quote:
        name, why = "a quanto contract", f"its prices are in {quote} and its profit in {settled}"
    else:
        return
    raise ValueError(f"{instrument.id} is {name}: {why}; {QUOTED}")


def rounded_money(instrument: EngineInstrument) -> str | None:
    """Return the problem of an instrument created before currency precision was raised, or None."""
    least = {base_currency(instrument): instrument.size_precision, instrument.quote_currency: LEAST_DIGITS}
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
