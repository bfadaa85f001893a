"""Columns of numbers as whole increments, against exact arithmetic one by one."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from mm_nautilus.data.exact_numbers import multiple_of_text, multiples_of_floats, multiples_of_texts

INCREMENTS = st.sampled_from(["1", "0.5", "25", "0.00001", "0.00000001"]).map(Decimal)


@given(
    st.lists(
        st.from_regex(r"[0-9]{1,12}(\.[0-9]{0,30})?|[0-9]{1,3}\.[0-9]{1,4}0{1,20}", fullmatch=True),
        min_size=1,
    ),
    INCREMENTS,
    st.sampled_from([pa.binary(), pa.string()]),
)
def test_columns_of_decimals_are_read_as_one_by_one(texts, increment, kind):
    multiples, exact, between = multiples_of_texts(pa.array(texts, pa.string()).cast(kind), increment)
    for row, text in enumerate(texts):
        try:
            expected = multiple_of_text(text, increment)
        except ValueError:
            assert not exact[row]
            assert not between[row]
        else:
            assert (multiples[row], exact[row], between[row]) == (*expected, not expected[1])


@given(st.lists(st.integers(0, 10**16), min_size=1), INCREMENTS)
def test_a_float_of_a_multiple_is_that_multiple(numbers, increment):
    values = np.array([float(number * increment) for number in numbers])
    multiples, exact, between = multiples_of_floats(values, increment)
    for row, number in enumerate(numbers):
        if number * increment.scaleb(-increment.as_tuple().exponent) < 2**52:
            assert (multiples[row], exact[row], between[row]) == (number, True, False)
        else:  # more digits than a float has: whatever is said to be exact is the float's shortest text
            text = multiple_of_text(repr(float(values[row])), increment)
            assert (multiples[row], exact[row]) == text


@given(st.lists(st.floats(0, 1e7), min_size=1), INCREMENTS)
def test_other_floats_lie_between_and_are_rounded_down(numbers, increment):
    multiples, exact, between = multiples_of_floats(np.array(numbers), increment)
    assert (exact ^ between).all()
    for row, number in enumerate(numbers):
        below = Fraction(number) / Fraction(increment)
        if not exact[row]:
            assert float(int(multiples[row]) * increment) < number
            assert below < int(multiples[row]) + 1
        else:
            assert float(int(multiples[row]) * increment) == number


@given(st.lists(st.integers(0, 10**9), min_size=1), INCREMENTS)
def test_a_float_of_32_bits_is_its_multiple_unless_several_share_it(numbers, increment):
    values = np.array([float(number * increment) for number in numbers], np.float32)
    multiples, exact, between = multiples_of_floats(values, increment)
    assert not between.any()
    for row, number in enumerate(numbers):
        neighbours = [np.float32(float((number + by) * increment)) for by in (-1, 1)]
        assert bool(exact[row]) == (np.spacing(values[row]) < float(increment))
        assert not exact[row] or (multiples[row] == number and values[row] not in neighbours)


def test_a_float_of_32_bits_beside_its_multiple_lies_between():
    values = np.nextafter(np.array([0.045, 0.045, 0.045], np.float32), np.array([0, 0.045, 1], np.float32))
    multiples, exact, between = multiples_of_floats(values, Decimal("0.001"))
    assert (multiples.tolist(), exact.tolist()) == ([44, 45, 45], [False, True, False])
    assert between.tolist() == [True, False, True]


def test_what_is_no_size_is_neither_exact_nor_between():
    values = np.array([-0.01, np.nan, np.inf, -np.inf, 1e300])
    multiples, exact, between = multiples_of_floats(values, Decimal("0.01"))
    assert not exact.any()
    assert not between.any()
    assert multiples.tolist() == [0] * 5
