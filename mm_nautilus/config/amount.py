"""Exact amounts with a currency; adding different currencies raises an error."""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Self

AMOUNT_PATTERN: Final = r"^-?[0-9]{1,20}(\.[0-9]{1,20})? [A-Z0-9]{1,10}$"
"""An amount's text: a plain decimal number (no exponent, no separators), a space and a currency code."""

_AMOUNT: Final = re.compile(AMOUNT_PATTERN)
_CURRENCY: Final = re.compile(r"[A-Z0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class Amount:
    """An exact amount with its currency; a ValueError says that the value is not finite, or the code not allowed."""

    value: Decimal
    currency: str

    def __post_init__(self) -> None:
        if not self.value.is_finite():
            raise ValueError(f"an amount must be a finite number, was {self.value}")
        if _CURRENCY.fullmatch(self.currency) is None:
            raise ValueError(
                f"a currency code must be one to ten capital letters and digits, was {self.currency!r}"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an amount such as ``25 XRP``: a plain decimal number, white space and a currency code.

        A ValueError refuses any other form, such as an exponent or more than 20 digits on a side of the point.
        """
        joined = " ".join(text.split())
        if _AMOUNT.fullmatch(joined) is None:
            raise ValueError(f"an amount must be a number and a currency such as '25 XRP', was {text!r}")
        number, currency = joined.split()
        return cls(Decimal(number), currency)

    @classmethod
    def of(cls, number: float, currency: str) -> Self:
        """Return `number` units of `currency` with the digits of `str(number)`; a ValueError as for the class."""
        value = Decimal(repr(float(number)))
        if value.is_finite() and value == value.to_integral_value():
            value = value.quantize(Decimal(1)) if value.adjusted() < 27 else value
        return cls(value, currency)

    def __str__(self) -> str:
        return f"{self.value:f} {self.currency}"

    def _same_currency(self, other: Self) -> None:
        if self.currency != other.currency:
            raise ValueError(f"amounts of one currency are needed, was {self.currency} and {other.currency}")

    def __add__(self, other: Self) -> Self:
        self._same_currency(other)
        return type(self)(self.value + other.value, self.currency)

    def __sub__(self, other: Self) -> Self:
        self._same_currency(other)
        return type(self)(self.value - other.value, self.currency)

    def __neg__(self) -> Self:
        return type(self)(-self.value, self.currency)
