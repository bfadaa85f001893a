"""One parameter of a search: some choices, or any number between two; as the YAML of a space describes it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Final, Self

from pydantic import PlainValidator, model_validator

from mm_nautilus.config.amount import Amount
from mm_nautilus.config.fields import Allowed, Section, finite_number
from mm_nautilus.config.problems import Problem, refuse

_MOST_STEPS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Choices:
    """One of some values, as a configuration has them."""

    key: str
    """Dotted path of the parameter."""
    values: tuple[Any, ...]
    is_ordered: bool
    """Whether they are numbers or amounts, which ascend, so that neighbours are alike."""

    def at(self, share: float) -> Any:
        """Return the value at a share of the dimension, 0 to 1."""
        return self.values[min(int(share * len(self.values)), len(self.values) - 1)]

    def units(self, value: Any) -> list[float]:
        """Return a value's coordinates, 0 to 1: one that ascends, or else one for each value, 1 at this one."""
        place = self.values.index(value)
        if self.is_ordered:
            return [place / max(1, len(self.values) - 1)]
        return [float(place == other) for other in range(len(self.values))]

    def extremes(self) -> tuple[Any, ...]:
        """Return the first and the last value, or all without an order."""
        return (self.values[0], self.values[-1]) if self.is_ordered else self.values


@dataclass(frozen=True, slots=True)
class Continuous:
    """Any number between two; `log` searches their logarithms evenly."""

    key: str
    """Dotted path of the parameter."""
    low: float
    high: float
    log: bool = False

    def at(self, share: float) -> float:
        """Return the value at a share of the dimension, 0 to 1."""
        even = self.low + share * (self.high - self.low)
        value = self.low * (self.high / self.low) ** share if self.log else even
        return min(self.high, max(self.low, value))

    def units(self, value: float) -> list[float]:
        """Return a value's coordinate, 0 to 1."""
        if self.log:
            return [math.log(value / self.low) / math.log(self.high / self.low)]
        return [(value - self.low) / (self.high - self.low)]

    def extremes(self) -> tuple[float, float]:
        """Return both bounds."""
        return self.low, self.high


type Dimension = Choices | Continuous


# -- From YAML ----------------------------------------------------------------------------------------------


def _read_bound(value: Any) -> Amount | Decimal:
    if isinstance(value, str):
        return Amount.parse(value)
    if finite_number(value) is None:
        raise ValueError("a number or an amount is needed")
    return Decimal(repr(value))


_Bound = Annotated[
    Any, PlainValidator(_read_bound), Allowed("a number, or an amount with its currency such as 25 XRP")
]


class Range(Section):
    """Values between two bounds, both included; a step makes them exact decimals."""

    low: _Bound
    high: _Bound
    step: _Bound | None = None
    log: bool = False

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        refuse(self._problems())
        return self

    def _problems(self) -> Iterator[Problem]:
        (low, currency), (high, other) = _split(self.low), _split(self.high)
        step, third = (None, currency) if self.step is None else _split(self.step)
        if not currency == other == third:
            names = ", ".join(name or "none" for name in (currency, other, third))
            yield Problem((), f"bounds and step must have one currency or none, was {names}")
        if low >= high:
            yield Problem(("low",), f"low must be below high ({self.high}), was {self.low}")
        if self.log and low <= 0:
            yield Problem(("low",), f"low must be above 0 with log: true, was {self.low}")
        if self.log and step is not None:
            yield Problem(("log",), f"log must be false with a step, was true with step {self.step}")
        if currency and step is None:
            yield Problem((), f"amounts must have a step, was {self.low} to {self.high} without one")
        if step is not None and step <= 0:
            yield Problem(("step",), f"step must be above 0, was {self.step}")
        elif step is not None and high - low > _MOST_STEPS * step:
            text = f"step must make at most {_MOST_STEPS:,} steps from low to high, was {self.step}"
            yield Problem(("step",), text)

    @property
    def whole_bounds(self) -> tuple[int, int] | None:
        """Both bounds, where they are whole numbers without a step."""
        bounds = self.low, self.high
        if self.step is None and all(isinstance(it, Decimal) and it == int(it) for it in bounds):
            return int(self.low), int(self.high)
        return None

    def continuous(self, key: str) -> Continuous:
        """Return all numbers of the range."""
        return Continuous(key, float(self.low), float(self.high), self.log)

    def stepped(self, key: str) -> Choices:
        """Return the values from low upwards that do not pass high; without a step they are whole numbers."""
        (low, currency), (high, _) = _split(self.low), _split(self.high)
        step = Decimal(1) if self.step is None else _split(self.step)[0]
        found = [low + step * count for count in range(int((high - low) / step) + 1)]
        if currency:
            return Choices(key, tuple(str(Amount(value, currency)) for value in found), is_ordered=True)
        numbers = (int(value) if value == int(value) else float(value) for value in found)
        return Choices(key, tuple(numbers), is_ordered=True)


def _split(bound: Amount | Decimal) -> tuple[Decimal, str]:
    return (bound.value, bound.currency) if isinstance(bound, Amount) else (bound, "")


def choices(key: str, values: Sequence[Any]) -> Choices:
    """Return a list of choices, in ascending order where all are numbers, or amounts of one currency."""
    try:
        sizes = [_split(_read_bound(value)) for value in values]
    except ValueError:
        sizes = []
    if len({currency for _, currency in sizes}) != 1:
        return Choices(key, tuple(values), is_ordered=False)
    ascending = sorted(range(len(values)), key=lambda place: sizes[place][0])
    return Choices(key, tuple(values[place] for place in ascending), is_ordered=True)
