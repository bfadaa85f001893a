"""A saved account: balances and open positions at one moment, as exact decimals."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import ROUND_CEILING, Decimal
from typing import Any, Self

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class SavedPosition:
    """An open position.

    Parameters
    ----------
    quantity
        Signed size in `base`, negative for a short position; never 0.
    average_price
        The engine's average entry price in `quote`, bit for bit.
    realized
        Realised PnL since the position opened, net of fees, in `quote`.

    Raises
    ------
    ValueError
        If the quantity is 0 or a number is not finite, or the price is not positive.
    """

    symbol: str
    base: str
    quote: str
    quantity: Decimal
    average_price: float
    realized: Decimal

    def __post_init__(self) -> None:
        if not self.quantity.is_finite() or self.quantity == 0:
            raise ValueError(
                f"the quantity of {self.symbol} must be a number other than 0, was {self.quantity}"
            )
        if not 0 < self.average_price < float("inf"):
            raise ValueError(
                f"the average price of {self.symbol} must be a positive number, was {self.average_price}"
            )
        if not self.realized.is_finite():
            raise ValueError(f"the realised PnL of {self.symbol} must be a number, was {self.realized}")

    def to_dict(self) -> dict[str, Any]:
        """Return the position as plain values, amounts as decimal text."""
        return asdict(self) | {"quantity": f"{self.quantity:f}", "realized": f"{self.realized:f}"}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` returned."""
        return cls(
            symbol=str(values["symbol"]),
            base=str(values["base"]),
            quote=str(values["quote"]),
            quantity=Decimal(values["quantity"]),
            average_price=float(values["average_price"]),
            realized=Decimal(values["realized"]),
        )

    def __str__(self) -> str:
        return f"{self.quantity:f} {self.base} at {self.average_price} {self.quote}"


@dataclass(frozen=True, slots=True)
class SavedAccount:
    """Balances and open positions of one moment.

    Parameters
    ----------
    positions
        The open positions, at most one a symbol.
    """

    balances: Mapping[str, Decimal]
    positions: Sequence[SavedPosition] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Return the account as plain values, amounts as decimal text."""
        return {
            "balances": {code: f"{amount:f}" for code, amount in self.balances.items()},
            "positions": [position.to_dict() for position in self.positions],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` returned."""
        balances = {str(code): Decimal(amount) for code, amount in values["balances"].items()}
        if not all(amount.is_finite() for amount in balances.values()):
            raise ValueError(f"balances must be numbers, was {values['balances']}")
        return cls(balances, tuple(SavedPosition.from_dict(position) for position in values["positions"]))

    def before_positions(self, *, is_cash: bool) -> dict[str, Decimal]:
        """Return balances that allow the positions to be reopened in any order without an overdraft.

        These are the saved balances plus, rounded up to whole units, what opening each position costs: on a cash
        account its value in quote currency, or its size in base currency if short, and its realised losses. The
        balances after reopening differ from the saved ones, so the caller must set them again.
        """
        needed = dict(self.balances)
        for position in self.positions:
            takes = {position.quote: max(_ZERO, -position.realized)}
            if is_cash and position.quantity > 0:
                takes[position.quote] += position.quantity * Decimal(position.average_price)
            elif is_cash:
                takes[position.base] = -position.quantity
            for code, amount in takes.items():
                needed[code] = needed.get(code, _ZERO) + amount.to_integral_value(ROUND_CEILING)
        return needed
