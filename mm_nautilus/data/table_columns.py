"""Columns of a table as arrays: times, words, numbers and ids, each with where it is right and what it must be."""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mm_nautilus.data.exact_numbers import (
    as_mask,
    multiples_of_floats,
    multiples_of_texts,
    texts_where,
)
from mm_nautilus.data.reader import Mask
from mm_nautilus.market.rows import Ints

_DIGITS: Final = {"s": 10, "ms": 13, "us": 16, "ns": 19}
"""Digits of the whole number of a time from 2001 to 2255."""
UNIT_WORDS: Final = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_WHOLE_DIGITS: Final = re.compile(r"([0-9]+)(\.[0-9]*)?", re.ASCII)
_ISO: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?$"
_ISO_RULE: Final = "a time in UTC such as 2024-08-08T23:54:15.123Z"
_FIRST_NS, _LAST_NS = 10**18, 9 * 10**18
_STEP_NS: Final = 100
"""Finest step of a time with decimals, nanoseconds."""
_TRADE_ID_CHARACTERS = 36
_TRADE_ID_PATTERN = rf"^[!-~]{{0,{_TRADE_ID_CHARACTERS}}}$"
ID_RULE: Final = f"at most {_TRADE_ID_CHARACTERS} printable characters without spaces"


@dataclass(frozen=True, slots=True)
class Checked:
    """One column's values, and which of them are right."""

    values: Any
    fine: Mask


def as_text(column: Any, row: int) -> str:
    """Return a value of a column as messages show it."""
    value = column[row].as_py()
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, float):  # the shortest digits that are this float in the column's width
        return str(column.slice(row, 1).to_numpy(zero_copy_only=False)[0])
    return "" if value is None else str(value)


def choices(column: Any, codes: dict[str, int]) -> Checked:
    """Return the codes of texts, -1 for a text that has none."""
    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string()).fill_null("").dictionary_encode()
    texts = [as_text(column.dictionary, row) for row in range(len(column.dictionary))]
    table = np.array([codes.get(text, -1) for text in texts] or [-1], dtype=np.int64)
    values: Ints = table[column.indices.to_numpy()]
    return Checked(values, values >= 0)


def ids(column: Any) -> Checked:
    """Return texts that can be ids of trades."""
    texts = column.cast(pa.string()).fill_null("")
    return Checked(
        np.array(texts.to_pylist(), dtype=object), as_mask(pc.match_substring_regex(texts, _TRADE_ID_PATTERN))
    )


def id_rule(text: str) -> str | None:
    """Return what an id must be, None where it is right."""
    return None if re.fullmatch(_TRADE_ID_PATTERN, text) else ID_RULE


# -- Numbers ------------------------------------------------------------------------------------------------


def multiples(column: Any, increment: Decimal) -> tuple[Ints, Mask, Mask]:
    """Return a column of numbers as multiples, which are exact, and which lie between two of them."""
    if pa.types.is_dictionary(column.type):
        found = multiples_of_texts(column.dictionary, increment)
        rows = column.indices.to_numpy()
        return found[0][rows], found[1][rows], found[2][rows]
    if pa.types.is_floating(column.type):
        return multiples_of_floats(column.to_numpy(zero_copy_only=False), increment)
    if not (pa.types.is_string(column.type) or pa.types.is_binary(column.type)):
        column = column.cast(pa.string())
    return multiples_of_texts(column.fill_null(""), increment)


# -- Times --------------------------------------------------------------------------------------------------


def times(column: Any, unit: str) -> Checked:
    """Return times of a unit as nanoseconds since 1970."""
    if pa.types.is_timestamp(column.type):
        return times(column.cast(pa.int64()), column.type.unit)
    if pa.types.is_integer(column.type):
        # Beyond 64 bits a number comes out negative, which no time is.
        values = column.cast(pa.int64(), safe=False).fill_null(0).to_numpy()
        digits = _DIGITS.get(unit, 0)
        fine = (values >= 10 ** (digits - 1)) & (values < 9 * 10 ** (digits - 1)) if digits else values < 0
        return _in_range(np.where(fine, values, 0) * 10 ** (19 - digits), fine)
    texts = column.cast(pa.string()).fill_null("")
    return _iso_times(texts) if unit == "iso" else _number_times(texts, unit)


def _number_times(texts: Any, unit: str) -> Checked:
    digits = _DIGITS[unit]
    is_whole = as_mask(pc.ascii_is_decimal(texts)) & (as_mask(pc.binary_length(texts)) == digits)
    if unit == "ns":
        is_whole &= ~as_mask(pc.starts_with(texts, "9"))  # some of these are beyond 64 bits
    values: Ints = texts_where(texts, is_whole).cast(pa.int64()).to_numpy() * 10 ** (19 - digits)
    fine = is_whole
    if unit in ("s", "ms") and not is_whole.all():
        rows = np.flatnonzero(~is_whole)
        step = Decimal(_STEP_NS).scaleb(digits - 19)
        found, exact, _ = multiples_of_texts(texts.take(pa.array(rows)), step)
        pattern = rf"^[1-8][0-9]{{{digits - 1}}}\.[0-9]+$"
        exact &= as_mask(pc.match_substring_regex(texts, pattern))[rows]
        values, fine = values.copy(), fine.copy()
        values[rows], fine[rows] = np.where(exact, found * _STEP_NS, 0), exact
    return _in_range(values, fine)


def _iso_times(texts: Any) -> Checked:
    texts = pc.replace_substring_regex(texts, r"(Z|\+00:?00)$", "")
    fine = as_mask(pc.match_substring_regex(texts, _ISO))
    plain = pc.if_else(pa.array(fine), texts, "1970-01-01T00:00:00")
    try:
        values = plain.cast(pa.timestamp("ns")).cast(pa.int64()).to_numpy()
    except pa.ArrowInvalid:  # no such day or hour: find the rows one by one
        values = np.array([_iso_time(text) for text in plain.to_pylist()], dtype=np.int64)
    return _in_range(values, fine)


def _iso_time(text: str) -> int:
    try:
        return int(np.datetime64(text, "ns").astype(np.int64))
    except ValueError:
        return 0


def _in_range(values: Ints, fine: Mask) -> Checked:
    return Checked(values, fine & (values >= _FIRST_NS) & (values < _LAST_NS))


def time_rule(text: str, unit: str) -> str | None:
    """Return what a time must be, with the unit that its number of digits suggests; None where it is right."""
    if times(pa.array([text]), unit).fine[0]:
        return None
    if unit == "iso":
        return _ISO_RULE
    match = _WHOLE_DIGITS.fullmatch(text)
    other = next((name for name, count in _DIGITS.items() if match and count == len(match[1])), unit)
    hint = "" if other == unit else f"; {_DIGITS[other]} are {UNIT_WORDS[other]}"
    return f"{UNIT_WORDS[unit]} since 1970 ({_DIGITS[unit]} digits{hint})"


def settled_unit(unit: str, text: str) -> str:
    """Return the unit of a file whose map leaves it open between milliseconds and microseconds, by its first time."""
    if unit != "ms_or_us":
        return unit
    return "ms" if len(text.partition(".")[0]) <= _DIGITS["ms"] else "us"
