"""Comparisons that every point of a search space has to meet, such as one parameter below another."""

import operator
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from mm_nautilus.config.amount import Amount
from mm_nautilus.config.fields import finite_number
from mm_nautilus.config.problems import shown, shown_key
from mm_nautilus.config.strategy import MarketMakerConfig, merge_symbol
from mm_nautilus.config.yaml_source import scalar_value
from mm_nautilus.system.near_names import known_names, nearest

type _Number = tuple[Decimal, str]
"""A value and its currency, empty for a bare number."""

_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_SHAPE: Final = re.compile(r"\s*([^<>=!]*[^\s<>=!])\s*([<>]=?|[=!]=)\s*([^<>=!]*[^\s<>=!])\s*")
_STRATEGY: Final = "strategy"
_SYMBOLS: Final = "symbols"
_PRICING_PARAMETERS: Final = "pricing_parameters"


@dataclass(frozen=True, slots=True)
class _Operand:
    """A number or an amount, or a parameter of each symbol or of one."""

    number: _Number | None = None
    name: str = ""
    symbol: str | None = None
    own: str | None = None
    """Which of the values for a pricing function of one's own, where that is what `name` has."""

    def value(self, strategy: Mapping[str, Any], symbol: str) -> Any:
        """Return the number, or what the parameter is for a symbol: its own, else the common one, else the default."""
        if self.number is not None:
            return self.number
        own = strategy[_SYMBOLS][self.symbol or symbol] or {}
        common = {name: value for name, value in strategy.items() if name != _SYMBOLS}
        default = MarketMakerConfig.model_fields[self.name].default
        value = merge_symbol(common, own).get(self.name, default)
        if self.own is None:
            return _number(self.name, value)
        if self.own not in value:
            known = known_names(self.own, value)
            raise ValueError(f"a key of {self.name} must be given for {symbol} ({known}), was {self.own}")
        return _number(self.own, value[self.own])


def _number(name: str, value: Any) -> _Number | None:
    """Return a parameter as a number to compare, None where it is null; a ValueError refuses anything else."""
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = Amount.parse(value)
        except ValueError:
            pass
        else:
            return value.value, value.currency
    if finite_number(value) is None:
        raise ValueError(f"{name} must be a number or an amount to be compared, was {shown(value)}")
    return Decimal(repr(value)), ""


@dataclass(frozen=True, slots=True)
class Constraint:
    """A comparison of two parameters, or of one with a number.

    It has to hold for every symbol, with the symbol's own parameters where it has them. Where a parameter is null there
    is nothing to compare.
    """

    text: str
    left: _Operand
    sign: str
    right: _Operand

    def broken(self, values: Mapping[str, Any]) -> str | None:
        """Return why a configuration's plain values break it, or None; a ValueError says that they do not compare."""
        strategy = values[_STRATEGY]
        for symbol in strategy[_SYMBOLS]:
            left, right = (side.value(strategy, symbol) for side in (self.left, self.right))
            if left is None or right is None:
                continue
            if left[1] != right[1]:
                names = " and ".join(currency or "a bare number" for _, currency in (left, right))
                raise ValueError(f"both sides must have one currency or none, was {names} for {symbol}")
            if not _COMPARISONS[self.sign](left[0], right[0]):
                return f"{self.text} must hold, was {left[0]} {self.sign} {right[0]} for {symbol}"
        return None


def parse_constraint(text: Any, symbols: Collection[str]) -> Constraint:
    """Read a comparison such as ``trailing_stop_distance < trailing_stop_activation``.

    Each side is a parameter's name, its dotted path (``strategy.symbols.XRP/USDT.gamma`` is one symbol's, and `symbols`
    are those that are configured), a number, or an amount such as ``60 XRP``. A ValueError refuses anything else.
    """
    found = _SHAPE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        example = "such as trailing_stop_distance < trailing_stop_activation or max_inventory <= 60 XRP"
        what = "two keys, or a key and a number or an amount"
        raise ValueError(f"a constraint must compare {what}, {example}, was {shown(text)}")
    left, sign, right = found.groups()
    try:
        operands = _operand(left, symbols), _operand(right, symbols)
    except ValueError as error:
        raise ValueError(f"{' '.join(found.groups())}: {error}") from error
    if all(operand.number is not None for operand in operands):
        raise ValueError(f"a constraint must have a key, was {shown(text)}")
    return Constraint(" ".join(found.groups()), operands[0], sign, operands[1])


def _operand(text: str, symbols: Collection[str]) -> _Operand:
    number = finite_number(scalar_value(text))
    if number is not None:
        return _Operand(number=(Decimal(text), ""))
    if text[0] in "+-.0123456789":
        amount = Amount.parse(text)
        return _Operand(number=(amount.value, amount.currency))
    *parents, name = text.split(".")
    own = None
    if parents and parents[-1] == _PRICING_PARAMETERS:
        own, name = name, parents.pop()
    symbol = parents[2] if len(parents) == 3 else None
    if parents not in ([], [_STRATEGY], [_STRATEGY, _SYMBOLS, symbol]):
        example = "such as gamma, strategy.gamma or strategy.symbols.XRP/USDT.gamma"
        text = f"a key must be a parameter of the strategy or of a symbol, {example}, was {shown_key(text)}"
        raise ValueError(text)
    if symbol is not None and symbol not in symbols:
        known = known_names(symbol, symbols)
        raise ValueError(f"a symbol must be configured ({known}), was {shown_key(symbol)}")
    if name not in MarketMakerConfig.model_fields:
        likely = nearest(name, MarketMakerConfig.model_fields)
        hint = "" if likely is None else f" (did you mean {likely}?)"
        raise ValueError(f"unknown key {shown_key(name)}{hint}")
    return _Operand(name=name, symbol=symbol, own=own)
