"""Columns of prices and sizes as whole numbers of increments, exact: from decimal texts, and from floats."""

import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mm_nautilus.data.catalog_files import decimal_words
from mm_nautilus.data.reader import Mask
from mm_nautilus.market.instrument import decimal_places
from mm_nautilus.market.rows import Ints

_MOST_MULTIPLES = 10**17
_NUMBER = re.compile(r"[0-9]{1,30}(\.[0-9]{0,30})?([eE][+-]?[0-9]{1,2})?")
_DIGIT = 1
_LETTERS = np.zeros(256, np.uint8)
"""1 for a digit, 2 for a decimal point."""
_LETTERS[[*b"0123456789"]] = _DIGIT
_LETTERS[ord(".")] = 2
_EXACT_FLOATS = 2**53
"""Below this a whole number is a float without rounding, and so its quotient by a power of ten is rounded once."""


def as_mask(values: Any) -> Mask:
    """Return an Arrow array of booleans as an array."""
    mask: Mask = values.to_numpy(zero_copy_only=False)
    return mask


def texts_where(column: Any, fits: Mask) -> Any:
    """Return texts of digits as strings, ``0`` where a mask is False."""
    if not fits.all():
        column = pc.if_else(pa.array(fits), column, pa.scalar("0").cast(column.type))
    return column.cast(pa.string())


def multiples_of_texts(column: Any, increment: Decimal) -> tuple[Ints, Mask, Mask]:
    """Return an Arrow array of texts as multiples of `increment`, rounded down; which are exact; which lie between.

    A text that is neither is no number that `multiple_of_text` takes.
    """
    quick = _plain_decimals(column, increment)
    if quick is not None:
        return quick
    digits = decimal_places(increment)
    behind = f"[0-9]{{1,{digits}}}0{{0,12}}" if digits else "0{1,12}"
    pattern = rf"^[0-9]{{1,{max(1, 17 - digits)}}}(\.{behind})?$"
    plain = as_mask(pc.match_substring_regex(column, pattern))
    finer = np.zeros(len(plain), dtype=bool)
    if not plain.all():  # cut what is finer than the increment's digits
        whole = rf"[0-9]{{1,{max(1, 17 - digits)}}}" + (rf"\.[0-9]{{{digits}}}" if digits else "")
        point = "" if digits else r"\."
        cut = as_mask(pc.match_substring_regex(column, rf"^{whole}{point}[0-9]+$")) & ~plain
        finer = cut & as_mask(pc.match_substring_regex(column, rf"^{whole}{point}[0-9]*[1-9]"))
        shorter = pc.replace_substring_regex(column, rf"^({whole}){point}[0-9]+$", r"\1")
        column, plain = pc.if_else(pa.array(cut), shorter, column), plain | cut
    numbers = texts_where(column, plain).cast(pa.decimal128(38, digits))
    multiples, rest = np.divmod(decimal_words(numbers)[:, 0], int(increment.scaleb(digits)))
    exact = plain & (rest == 0) & ~finer
    between = plain & ~exact
    for row in np.flatnonzero(~plain).tolist():
        text = column[row].as_py()
        try:
            multiples[row], exact[row] = multiple_of_text(
                text if isinstance(text, str) else text.decode(errors="replace"), increment
            )
            between[row] = not exact[row]
        except ValueError:
            continue
    return multiples, exact, between


def _plain_decimals(column: Any, increment: Decimal) -> tuple[Ints, Mask, Mask] | None:
    """Return what `multiples_of_texts` does where all texts are plain decimals with the increment's digits."""
    digits = decimal_places(increment)
    texts = column.cast(pa.string())
    starts = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
    if not len(texts) or starts[0] == starts[-1] or (np.diff(starts) < 1).any():
        return None
    letters = _LETTERS[np.frombuffer(texts.buffers()[2], np.uint8)[starts[0] : starts[-1]]]
    if not letters.all() or (letters[starts[:-1] - starts[0]] != _DIGIT).any():
        return None
    try:
        words = decimal_words(texts.cast(pa.decimal128(38, digits)))
    except pa.ArrowInvalid:
        return None
    multiples, rest = np.divmod(words[:, 0], int(increment.scaleb(digits)))
    if words[:, 1].any() or ((multiples < 0) | (multiples >= _MOST_MULTIPLES)).any():
        return None
    return multiples, rest == 0, rest != 0


def multiple_of_text(text: str, increment: Decimal) -> tuple[int, bool]:
    """Return a number's multiple of `increment`, rounded down, and whether it is exact.

    The `ValueError` for a text that is no such number says what is allowed.
    """
    if _NUMBER.fullmatch(text) is None:
        raise ValueError("a number that is not negative")
    multiple = Fraction(text) / Fraction(increment)
    if multiple >= _MOST_MULTIPLES:
        raise ValueError(f"less than {_MOST_MULTIPLES} times {increment}")
    return int(multiple), multiple.denominator == 1


def multiples_of_floats(values: NDArray[np.floating[Any]], increment: Decimal) -> tuple[Ints, Mask, Mask]:
    """Return floats as multiples of `increment`, rounded down; which are exact; which lie between.

    A float is exact where it is the one of its width nearest to the multiple's decimal, as written by a program that
    parsed it. One that is neither is negative, not finite or too large, or of less than 64 bits and nearest to several
    multiples.
    """
    digits = decimal_places(increment)
    step, scale = int(increment.scaleb(digits)), 10.0**digits
    known = np.isfinite(values) & (values >= 0)
    multiples = np.zeros(len(values), dtype=np.int64)
    is_small = known & (values < (_EXACT_FLOATS - step) / scale)
    is_small[is_small] = np.spacing(values[is_small]) < step / scale
    small = values[is_small].astype(np.float64)
    nearest = np.rint(small * scale / step)
    floats = (nearest * step / scale).astype(values.dtype).astype(np.float64)
    exact = np.zeros(len(values), dtype=bool)
    exact[is_small] = floats == small
    multiples[is_small] = nearest - (floats > small)
    between = is_small & ~exact
    for row in np.flatnonzero(known & ~is_small & (values.dtype == np.float64)).tolist():
        try:
            multiples[row], exact[row] = multiple_of_text(repr(float(values[row])), increment)
            between[row] = not exact[row]
        except ValueError:
            continue
    return multiples, exact, between


def number_rule(text: str, increment: Decimal, *, positive: bool, between: bool) -> str | None:
    """Return what a number must be, for a message; None where it is right.

    `positive` is whether zero is wrong, `between` whether what lies between two multiples is right.
    """
    try:
        multiple, exact = multiple_of_text(text, increment)
    except ValueError as error:
        return str(error)
    if not exact and not between:
        return f"a multiple of {increment}"
    return f"at least {increment}" if positive and not multiple else None
