"""Field types of the configuration: amounts, symbols, names, paths, moments and durations."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from numbers import Real
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
)

from mm_nautilus.config.amount import AMOUNT_PATTERN, Amount
from mm_nautilus.market.instrument import decimal_places
from mm_nautilus.system.store_url import CATALOG_TEXT, CatalogPath, StoreUrl, catalog_path, is_url


class Section(BaseModel):
    """Base of all configuration models: no unknown keys, no type conversion, no inf or NaN.

    The docstrings of attributes are the descriptions in schema, reference and template.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        arbitrary_types_allowed=True,
        use_attribute_docstrings=True,
    )


LARGEST_AMOUNT: Final = 1_000_000_000_000
"""Largest amount in a configuration, just below the engine's own limit."""

BALANCE_DIGITS: Final = 8
"""Most decimal places of a starting balance, which is the engine's precision of every currency."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """Allowed values in words, for messages and the reference."""

    text: str


def _read_amount(value: Any) -> Amount:
    amount = Amount.parse(value) if isinstance(value, str) else value
    if not isinstance(amount, Amount):
        raise ValueError("a number with its currency is needed")
    if abs(amount.value) > LARGEST_AMOUNT:
        raise ValueError(f"an amount must be at most {LARGEST_AMOUNT} in either direction, was {amount}")
    return amount


def _read_positive_amount(value: Any) -> Amount:
    amount = _read_amount(value)
    if amount.value <= 0:
        raise ValueError(f"an amount must be above 0, was {amount}")
    return amount


def _read_balance(value: Any) -> Amount:
    amount = _read_amount(value)
    if amount.value < 0 or decimal_places(amount.value.normalize()) > BALANCE_DIGITS:
        raise ValueError(
            f"an amount of 0 or more with {BALANCE_DIGITS} decimal places is needed, was {amount}"
        )
    return amount


def finite_number(value: Any) -> float | None:
    """Return a finite real number as a float, None for anything else, including booleans and texts."""
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):  # a signalling NaN; an integer beyond all floats
        return None
    return number if math.isfinite(number) else None


def _read_number(value: Any) -> float:
    number = finite_number(value)
    if number is None or abs(number) > LARGEST_AMOUNT:
        raise ValueError(f"a number of at most {LARGEST_AMOUNT} in either direction, or an amount, is needed")
    return number


def _read_inventory_cap(value: Any) -> float | Amount:
    if isinstance(value, str | Amount):
        return _read_positive_amount(value)
    if (number := _read_number(value)) <= 0:
        raise ValueError("a number above 0, or an amount, is needed")
    return number


_SHARE_PATTERN: Final = r"^-?\d{1,3}(\.\d{1,6})? ?%$"


@dataclass(frozen=True, slots=True)
class AccountShare:
    """A share of an account's value, %."""

    percent: float

    def __str__(self) -> str:
        """Return it as a configuration writes it."""
        return f"{self.percent:g} %"


def _read_inventory_target(value: Any) -> float | Amount | AccountShare:
    if isinstance(value, str) and re.match(_SHARE_PATTERN, value):
        value = AccountShare(float(value.rstrip("% ")))
    if isinstance(value, AccountShare):
        if abs(value.percent) > 100:
            raise ValueError(f"a share must be at most 100 % in either direction, was {value}")
        return value
    return _read_amount(value) if isinstance(value, str | Amount) else _read_number(value)


def _write_number_or_amount(value: float | Amount | AccountShare) -> float | str:
    return str(value) if isinstance(value, Amount | AccountShare) else value


_UNSIGNED_AMOUNT: Final = {
    "type": "string",
    "pattern": AMOUNT_PATTERN.replace("-?", ""),
    "examples": ["25 XRP"],
}

AmountField = Annotated[
    Amount,
    PlainValidator(_read_positive_amount),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(_UNSIGNED_AMOUNT),
    Allowed("a positive amount with its currency such as 25 XRP"),
]
"""A positive amount, written as ``25 XRP``."""

Balance = Annotated[
    Amount,
    PlainValidator(_read_balance),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(_UNSIGNED_AMOUNT),
    Allowed(
        f"an amount of 0 or more with its currency such as 1000 USDT, with at most {BALANCE_DIGITS} decimal places"
    ),
]
"""An amount that may be 0, written as ``1000 USDT``."""

InventoryCap = Annotated[
    float | Amount,
    PlainValidator(_read_inventory_cap),
    PlainSerializer(_write_number_or_amount),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "exclusiveMinimum": 0, "maximum": LARGEST_AMOUNT}, _UNSIGNED_AMOUNT]}
    ),
    Allowed("a positive number, or a positive amount with its currency such as 150 XRP"),
]
"""A positive number in the report currency, or a positive amount with its own."""

InventoryTarget = Annotated[
    float | Amount | AccountShare,
    PlainValidator(_read_inventory_target),
    PlainSerializer(_write_number_or_amount),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": -LARGEST_AMOUNT, "maximum": LARGEST_AMOUNT},
                {"type": "string", "pattern": AMOUNT_PATTERN, "examples": ["-50 XRP"]},
                {"type": "string", "pattern": _SHARE_PATTERN, "examples": ["50 %"]},
            ]
        }
    ),
    Allowed(
        "a number, an amount with its currency such as -50 XRP, or a share of the account between -100 % and 100 %, of "
        "a cash account between 0 % and 100 %"
    ),
]
"""A number in the report currency, an amount with its own, or a share of the account; negative is short."""

SymbolName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9/_:-]{1,40}$"),
    Allowed("a symbol of letters, digits and / _ : - such as XRP/USDT"),
]
CurrencyCode = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Z0-9]{1,10}$"),
    Allowed("a currency code of one to ten capital letters and digits such as USDT"),
]
VenueName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,36}$"),
    Allowed("a venue's name of letters, digits and _ - such as KRAKEN"),
]
StrategyName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_]{1,40}-[A-Za-z0-9_]{1,20}$"),
    Allowed("a name, a hyphen and a tag, of letters, digits and _, such as MarketMaker-001"),
]
OrderTag = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_]{1,20}$"),
    Allowed("a text of one to twenty letters, digits and _"),
]


_VARIABLE: Final = r"^[A-Za-z_][A-Za-z0-9_]*$"
_LONGEST_VARIABLE: Final = 100
VariableName = Annotated[
    str,
    StringConstraints(pattern=_VARIABLE, max_length=_LONGEST_VARIABLE),
    Allowed("the name of an environment variable"),
]


def is_variable_name(value: Any) -> bool:
    """Return whether a value may be a `VariableName`."""
    return (
        isinstance(value, str) and len(value) <= _LONGEST_VARIABLE and re.match(_VARIABLE, value) is not None
    )


MOMENT_TEXT: Final = (
    "a date from 1970 to 2261, with or without a time, in UTC unless it has an offset, such as 2025-12-13 or "
    "2025-12-13T12:30:00Z"
)
"""Allowed texts of a moment, in words."""

_FIRST_YEAR, _LAST_YEAR = 1970, 2261
"""Range of 64-bit nanoseconds since 1970."""


def _read_moment(value: Any) -> datetime:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if isinstance(value, str) and moment.utcoffset() is None:
        moment = moment.replace(tzinfo=UTC)
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        raise ValueError("a date, or a date and time, is needed; a datetime needs its offset")
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise ValueError(f"the year must be between {_FIRST_YEAR} and {_LAST_YEAR}, was {moment.year}")
    return moment


Moment = Annotated[
    datetime,
    PlainValidator(_read_moment),
    PlainSerializer(datetime.isoformat, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["2025-12-13", "2025-12-13T12:30:00Z"]}),
    Allowed(MOMENT_TEXT),
]
"""A moment: in UTC unless its text has an offset; a date alone is its midnight."""


_UNIT_SECONDS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION_PATTERN: Final = r"^(\d{1,4}d)?(\d{1,6}h)?(\d{1,8}m)?(\d{1,9}s)?$"
_LONGEST_DURATION: Final = timedelta(days=3_650)


def _read_duration(value: Any) -> timedelta:
    if isinstance(value, str) and value and re.match(_DURATION_PATTERN, value):
        seconds = sum(int(count) * _UNIT_SECONDS[unit] for count, unit in re.findall(r"(\d+)(\D)", value))
        value = timedelta(seconds=seconds)
    if not isinstance(value, timedelta) or not timedelta(0) < value <= _LONGEST_DURATION:
        raise ValueError("a length of time with its unit is needed")
    return value


def write_duration(value: timedelta) -> str:
    """Return a length of time as a configuration has it, such as ``1d12h``."""
    rest, words = round(value.total_seconds()), []
    for unit, seconds in _UNIT_SECONDS.items():
        count, rest = divmod(rest, seconds)
        words.append(f"{count}{unit}" if count else "")
    return "".join(words)


Duration = Annotated[
    timedelta,
    PlainValidator(_read_duration),
    PlainSerializer(write_duration, return_type=str),
    WithJsonSchema(
        {"type": "string", "pattern": _DURATION_PATTERN, "minLength": 2, "examples": ["2h", "1d12h"]}
    ),
    Allowed("a length of time up to ten years in days, hours, minutes and seconds such as 2h, 90s or 1d12h"),
]
"""A length of time with units; a bare number is refused because its unit would be ambiguous."""


def _read_plain_values(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(
        isinstance(key, str) and (item is None or isinstance(item, bool | int | str) or _is_finite(item))
        for key, item in value.items()
    ):
        raise ValueError("a mapping of names to plain values is needed")
    return MappingProxyType(dict(value))


def _is_finite(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value)


PlainValues = Annotated[
    Mapping[str, Any],
    PlainValidator(_read_plain_values),
    PlainSerializer(lambda value: None if value is None else dict(value)),
    WithJsonSchema(
        {"type": "object", "additionalProperties": {"type": ["number", "string", "boolean", "null"]}}
    ),
    Allowed("a mapping of names to numbers, texts, true, false or null such as {width_bps: 3.0}"),
]
"""Values without meaning to the package, such as parameters of a custom model, which cannot change them."""


def _read_path(value: Any) -> Path:
    text = str(value) if isinstance(value, Path) else value
    if not isinstance(text, str) or not text.strip() or not text.isprintable() or is_url(text):
        raise ValueError("the path of a folder or a file is needed")
    return Path(text)


def _read_catalog(value: Any) -> CatalogPath:
    if isinstance(value, StoreUrl):
        return value
    return catalog_path(value) if isinstance(value, str) and is_url(value) else _read_path(value)


_PathText = Annotated[
    Path,
    BeforeValidator(_read_path, json_schema_input_type=str),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "minLength": 1}),
]
FolderPath = Annotated[_PathText, Allowed("the path of a folder")]
"""A folder's path, not empty."""
RecordedFolder = Annotated[
    _PathText, Allowed("the path of a folder, which may be copied into a store afterwards")
]
"""A folder that a recording is written into, which a store's URL cannot be."""
CatalogPlace = Annotated[
    Path | StoreUrl,
    PlainValidator(_read_catalog, json_schema_input_type=str),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "minLength": 1}),
    Allowed(CATALOG_TEXT),
]
"""Where a catalog is that is read: a folder's path, not empty, or a store's URL."""
FilePath = Annotated[_PathText, Allowed("the path of a file")]
"""A file's path, not empty."""
