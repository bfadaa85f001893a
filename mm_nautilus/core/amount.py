"""An exact amount of one currency; amounts of different currencies refuse to be added."""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Self

__all__ = ["Amount"]


@dataclass(frozen=True, slots=True)
class Amount:
    """An exact amount with its currency.

    Parameters
    ----------
    value
        The number of units, a finite decimal.
    currency
        The currency's code, for example ``USDT``.

    Raises
    ------
    ValueError
        If the value is not finite or the code is not one to ten capital letters and digits.
    """

    value: Decimal
    currency: str

    def __post_init__(self) -> None:
        if not self.value.is_finite():
            raise ValueError(f"an amount must be a finite number, was {self.value}")
        code = self.currency
        if not (code.isascii() and code.isalnum() and code.isupper() and len(code) <= 10):
            raise ValueError(f"a currency code is up to ten capital letters and digits, was {code!r}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an amount such as ``25 XRP``.

        Raises
        ------
        ValueError
            If `text` is not a number, a space and a currency code.
        """
        parts = text.split()
        if len(parts) != 2:
            raise ValueError(f"must be a number and a currency such as '25 XRP', was {text!r}")
        try:
            value = Decimal(parts[0])
        except InvalidOperation:
            raise ValueError(f"must begin with a number such as '25 XRP', was {text!r}") from None
        return cls(value, parts[1])

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
